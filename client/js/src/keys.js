// Where the key of the session is kept.

// Keys keeps the key in a storage with the methods of localStorage, so that it
// survives the page, and in memory, should the storage fail: it may be full, or
// forbidden by the user.
export class Keys {
  #storage;
  #item;
  #key = null;

  constructor(storage, item) {
    this.#storage = storage;
    this.#item = item;
  }

  // The storage comes first: other tabs write to it too.
  load() {
    this.#try((storage) => {
      this.#key = storage.getItem(this.#item) || null;
    });
    return this.#key;
  }

  save(key) {
    this.#key = key;
    this.#try((storage) => (key ? storage.setItem(this.#item, key) : storage.removeItem(this.#item)));
  }

  // drop forgets a key, unless another tab has put its own in its place.
  drop(key) {
    if (this.load() === key) this.save(null);
  }

  #try(use) {
    try {
      if (this.#storage) use(this.#storage);
    } catch {
      this.#storage = undefined;
    }
  }
}

// defaultStorage is localStorage in pages. Elsewhere all clients of a process would
// share one key, so there is none.
export function defaultStorage() {
  try {
    return globalThis.document && globalThis.localStorage;
  } catch {
    return undefined; // the user does not allow it
  }
}
