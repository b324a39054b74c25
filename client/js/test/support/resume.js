// What a client does while its sockets are cut. Runs in Node and in browsers.

import { Client } from '../../src/index.js';

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// A Worker makes requests and sends signals, all with numbers, until it is stopped.
export class Worker {
  events = [];
  news = []; // numbers of the server's signals
  errors = [];
  requests = 0;
  signals = 0;

  #stopped = false;
  #done;

  constructor(url, WebSocket, options) {
    this.client = new Client(url, { WebSocket, storage: null, versions: ['3.0'], minBackoff: 20, maxBackoff: 50, ...options });
    for (const type of ['connected', 'disconnected', 'resumed', 'gap']) {
      this.client.addEventListener(type, ({ missed, unacknowledged }) => {
        if (this.client.status !== 'closed') this.events.push([type, missed, unacknowledged].filter((v) => v !== undefined).join(' '));
      });
    }
    this.client.addEventListener('signal', ({ payload }) => this.news.push(Number(payload.text())));
  }

  async start(crowd = 8) {
    await this.client.connect();
    this.#done = Promise.all([this.#signal(), ...Array.from({ length: crowd }, () => this.#request())]);
  }

  async #request() {
    while (!this.#stopped) {
      const n = String(++this.requests);
      try {
        const reply = (await this.client.request('add', n, { timeout: 20_000 })).text();
        if (reply !== n) this.errors.push(`${n}: ${reply}`);
      } catch (error) {
        this.errors.push(`${n}: ${error}`);
        await sleep(10);
      }
    }
  }

  async #signal() {
    while (!this.#stopped) {
      this.client.signal('tick', String(++this.signals));
      await sleep(3);
    }
  }

  count(type) {
    return this.events.filter((event) => event.startsWith(type)).length;
  }

  // stop ends the work, and returns what became of it, on both sides. The server has counted
  // all signals only if there was but one connection.
  async stop(one = true) {
    this.#stopped = true;
    await this.#done;
    // News came before this reply. The last signals may still be handled.
    const report = async () => (await this.client.request('report', 'x')).json();
    let server = await report();
    for (let i = 0; one && i < 500 && server.ticks < this.signals; i++) {
      await sleep(20);
      server = await report();
    }
    this.client.close();
    return {
      errors: this.errors,
      requests: this.requests - server.executed, // that were not
      doubled: server.doubled,
      signals: this.signals - server.ticks,
      disorder: server.disorder,
      news: server.news - this.news.length,
      newsDisorder: this.news.filter((n, i) => n !== i + 1).length,
    };
  }
}

// perfect is what stop returns if nothing went wrong.
export const perfect = { errors: [], requests: 0, doubled: 0, signals: 0, disorder: 0, news: 0, newsDisorder: 0 };
