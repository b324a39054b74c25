// What the apps have in common: the number of the server and the state of the connection, for
// any framework. It connects while somebody looks.

export class Counter {
  #client;
  #state;
  #watchers = new Set();

  constructor(client, count) {
    this.#client = client;
    this.#state = { status: client.status, count };
    client.addEventListener('statuschange', () => this.#set({ status: client.status }));
    client.addEventListener('signal', ({ name, payload }) => {
      if (name === 'count') this.#set({ count: payload.json() });
    });
    // What happened before, or while the client was away: the current number. After a gap between
    // two connections the next one asks, and after the last connection nobody wants to know.
    client.addEventListener('connected', () => this.#ask());
    client.addEventListener('gap', () => client.status === 'connected' && this.#ask());
  }

  #ask() {
    this.#client.request('count').then((reply) => this.#set({ count: reply.json() }), () => {}); // the next connection asks again
  }

  #set(changed) {
    this.#state = { ...this.#state, ...changed };
    for (const watcher of this.#watchers) watcher();
  }

  // state is an object that changes only as a whole.
  state = () => this.#state;

  // watch calls watcher after each change, until the function that it returns is called.
  watch = (watcher) => {
    this.#watchers.add(watcher);
    this.#client.connect().catch(() => {}); // the status says it
    return () => {
      this.#watchers.delete(watcher);
      // React's StrictMode mounts again at once: no reason to connect twice.
      setTimeout(() => {
        if (!this.#watchers.size) this.#client.disconnect();
      });
    };
  };

  add = (n) => this.#client.request('add', n).catch(() => {}); // offline: nothing was added, or its signal tells
}
