// Messages that the server has not confirmed yet. A request that is under way when the
// connection is lost is the client's matter: it is executed once and answered if the
// connection goes on within the two minutes for which the server keeps it. What remains for
// the page is what a client in memory cannot do: messages that were written without a
// connection, or whose connection did not go on, survive a reload and a crash, here or of the
// server. They are sent again with the same id, and the server stores an id once.
//
// Each is an item of its own in the browser's storage, so that tabs do not overwrite one
// another. Any tab may send a message, but only while its author is signed in: others may use
// the same browser.

import { browser } from './storage.js';

const PREFIX = 'chatroom.unsent.';

// Event change: an item was added, changed or removed, here or by another tab.
export class Outbox extends EventTarget {
  #items = new Map(); // by id; a copy of the storage, which is slow to read
  #last = 0;

  constructor() {
    super();
    this.#load();
    addEventListener('storage', ({ key, newValue }) => {
      if (key === null) this.#load(); // all was removed
      else if (key.startsWith(PREFIX)) this.#take(key);
      else return;
      this.#changed({ elsewhere: true, added: Boolean(newValue) });
    });
  }

  // of returns the items of an author in the order in which they were written.
  of(name) {
    return [...this.#items.values()].filter((item) => item.name === name).sort((a, b) => a.order - b.order);
  }

  add(name, room, text) {
    const now = Date.now();
    this.#last = Math.max(now, this.#last + 1);
    this.#put({ id: newID(), name, room, text, time: new Date(now).toISOString(), order: this.#last });
  }

  // fail marks an item that the server has refused; the user decides what to do.
  fail(id, reason) {
    const item = this.#items.get(id);
    if (item) this.#put({ ...item, failed: reason });
  }

  retry(id) {
    const { failed, ...item } = this.#items.get(id) ?? {};
    if (item.id) this.#put(item);
  }

  remove(id) {
    if (!this.#items.delete(id)) return;
    browser.remove(PREFIX + id);
    this.#changed({});
  }

  clear(name) {
    for (const { id } of this.of(name)) this.remove(id);
  }

  #load() {
    this.#items.clear();
    for (const key of browser.keys()) {
      if (key.startsWith(PREFIX)) this.#take(key);
    }
  }

  // take reads an item from the storage, where another tab may have changed it.
  #take(key) {
    const item = browser.get(key);
    if (item?.id && item.room && item.text) this.#items.set(item.id, item);
    else this.#items.delete(key.slice(PREFIX.length));
  }

  #put(item) {
    this.#items.set(item.id, item);
    browser.set(PREFIX + item.id, item);
    this.#changed({});
  }

  #changed(detail) {
    this.dispatchEvent(new CustomEvent('change', { detail }));
  }
}

// newID is crypto.randomUUID, which pages without TLS do not have.
function newID() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}
