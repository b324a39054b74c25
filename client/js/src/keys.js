// Where the key of the session is kept.

const KEY = /^[ -~]{1,255}$/; // what a server may accept

// Keys keeps the key in a storage with the methods of localStorage, so that it
// survives the page, and in memory, should the storage fail: it may be full, or
// forbidden by the user.
export class Keys {
  #storage;
  #item;
  #key = null;

  // item returns the name of the item in the storage.
  constructor(storage, item) {
    this.#storage = storage;
    this.#item = item;
  }

  // The storage comes first: other tabs write to it too. What cannot be a key is none.
  load() {
    this.#try((storage, item) => {
      this.#key = storage.getItem(item)?.match(KEY)?.[0] ?? null;
    });
    return this.#key;
  }

  save(key) {
    this.#key = key;
    this.#try((storage, item) => (key ? storage.setItem(item, key) : storage.removeItem(item)));
  }

  // drop forgets a key, unless another tab has put its own in its place.
  drop(key) {
    if (this.load() === key) this.save(null);
  }

  #try(use) {
    try {
      use(this.#storage, this.#item());
    } catch { // there may be none
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
