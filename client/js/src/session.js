// What a client knows of its session, and where the session's key is kept.

import { MalformedError } from './errors.js';

// parseSession reads a session object: that of 1.2, that of later versions, or one
// that is both (sections 3.4 and 4.3 of PROTOCOL.md).
export function parseSession(payload) {
  let o;
  try {
    o = payload.json();
  } catch {
    // the check below tells
  }
  const key = o?.k ?? o?.key;
  if (typeof key !== 'string' || !key) throw new MalformedError('not a session');
  return Object.freeze({
    key,
    created: new Date(o.c ?? o.crt),
    lastSeen: new Date(o.l ?? o.c ?? o.crt),
    info: o.i ?? o.inf ?? null,
  });
}

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
    try {
      if (this.#storage) this.#key = this.#storage.getItem(this.#item) || null;
    } catch {
      this.#storage = undefined;
    }
    return this.#key;
  }

  save(key) {
    this.#key = key;
    try {
      if (key) this.#storage?.setItem(this.#item, key);
      else this.#storage?.removeItem(this.#item);
    } catch {
      this.#storage = undefined;
    }
  }

  // drop forgets a key, unless another tab has put its own in its place.
  drop(key) {
    if (this.load() === key) this.save(null);
  }
}

// defaultStorage is localStorage in pages. Elsewhere the clients of a process
// would share one key, so there is none.
export function defaultStorage() {
  try {
    return globalThis.document ? globalThis.localStorage : undefined;
  } catch {
    return undefined; // access is denied
  }
}
