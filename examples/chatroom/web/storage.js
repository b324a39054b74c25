// What is kept in the browser. Browsers may forbid that, and storage may be full:
// then it is kept as long as the page.

class Storage {
  #area;
  #memory = new Map();

  constructor(area) {
    try {
      this.#area = area();
    } catch {
      // forbidden
    }
  }

  get(key) {
    if (this.#memory.has(key)) return this.#memory.get(key);
    try {
      return JSON.parse(this.#area?.getItem(key) ?? 'null');
    } catch {
      return null;
    }
  }

  set(key, value) {
    try {
      this.#area.setItem(key, JSON.stringify(value));
      this.#memory.delete(key);
    } catch {
      this.#memory.set(key, value);
    }
  }

  remove(key) {
    this.#memory.delete(key);
    try {
      this.#area?.removeItem(key);
    } catch {
      // then there is nothing to remove
    }
  }

  keys() {
    try {
      return [...new Set([...Object.keys(this.#area ?? {}), ...this.#memory.keys()])];
    } catch {
      return [...this.#memory.keys()];
    }
  }
}

// browser is shared by all tabs, tab survives a reload of its own tab only.
export const browser = new Storage(() => localStorage);
export const tab = new Storage(() => sessionStorage);
