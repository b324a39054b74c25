// The storage of a browser, for tests in Node.

export class FakeStorage {
  #items = new Map();

  get length() { return this.#items.size; }

  key(i) { return [...this.#items.keys()][i] ?? null; }

  getItem(key) { return this.#items.get(key) ?? null; }

  setItem(key, value) { this.#items.set(key, value); }

  removeItem(key) { this.#items.delete(key); }
}
