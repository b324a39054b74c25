// Requests that wait in the storage of the browser until they are answered, so that they
// outlive the page.

import { ErrorReply, InternalError, MalformedError, TooLongError } from './errors.js';

// After these a request is not sent again: the server has answered it, or it cannot be sent.
const FINAL = [ErrorReply, InternalError, MalformedError, TooLongError, TypeError];

export class Outbox extends EventTarget {
  #client;
  #prefix;
  #storage;
  #asked = 0; // how often to send
  #sending = false;
  #signal;

  constructor(client, name, { storage = globalThis.localStorage, signal } = {}) {
    super();
    this.#client = client;
    this.#prefix = `webwire:outbox:${encodeURIComponent(name)}:`;
    this.#storage = storage;
    this.#signal = signal;
    for (const type of ['connected', 'resumed']) client.addEventListener(type, () => this.#send(), { signal });
    globalThis.addEventListener?.('storage', ({ key }) => {
      if (key?.startsWith(this.#prefix)) this.#changed(); // by another tab
    }, { signal });
    this.#send();
  }

  get pending() {
    const keys = Array.from({ length: this.#storage.length }, (_, i) => this.#storage.key(i));
    return keys.filter((key) => key?.startsWith(this.#prefix)).sort().flatMap((key) => {
      const text = this.#storage.getItem(key); // null if another tab has removed it since
      return text ? [{ key, ...JSON.parse(text) }] : [];
    });
  }

  add(name, data) {
    const [last] = this.pending.at(-1)?.key.slice(this.#prefix.length).split(':') ?? [0];
    const at = Math.max(Date.now(), Number(last) + 1); // they are sorted by it
    const tab = Math.random().toString(36).slice(2); // of two tabs in the same millisecond
    this.#storage.setItem(`${this.#prefix}${at}:${tab}`, JSON.stringify({ name, data }));
    this.#changed();
    this.#send();
  }

  // send sends what is pending, one at a time. Two tabs may send the same request, but each
  // sends one only when the ones before it have been answered: the order is kept.
  async #send() {
    this.#asked++;
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (let next; !this.#signal?.aborted && ([next] = this.pending) && next;) {
        const { key, name, data } = next;
        const asked = this.#asked;
        let refused;
        try {
          await this.#client.request(name, data, { signal: this.#signal });
        } catch (error) {
          if (!FINAL.some((type) => error instanceof type)) {
            if (asked === this.#asked) return; // until there is another connection
            continue;
          }
          refused = error;
        }
        if (this.#signal?.aborted) return;
        this.#storage.removeItem(key);
        if (refused) this.dispatchEvent(Object.assign(new Event('refused'), { name, data, error: refused }));
        this.#changed();
      }
    } finally {
      this.#sending = false;
    }
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
