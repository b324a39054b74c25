// Time that passes only when a test says so.

const real = {
  setTimeout, clearTimeout, setInterval, clearInterval, now: Date.now, setImmediate,
};

// settled resolves when everything that can happen without time has happened.
export async function settled() {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => real.setImmediate(resolve));
}

export const MAX_DELAY = 2 ** 31 - 1; // of setTimeout

const START = Date.UTC(2026, 0, 1);

export class Clock {
  now = START;
  #timers = new Map();
  #last = 0;
  #set = 0;

  constructor(t) {
    const add = (every) => (run, delay, ...args) => {
      const ms = delay >= 1 && delay <= MAX_DELAY ? Number(delay) : 1; // as Node does
      const id = ++this.#last;
      this.#timers.set(id, { at: this.now + ms, every: every && ms, run: () => run(...args) });
      return id;
    };
    const remove = (id) => this.#timers.delete(id);
    Object.assign(globalThis, {
      setTimeout: add(false), setInterval: add(true), clearTimeout: remove, clearInterval: remove,
    });
    Date.now = () => this.now + this.#set;
    performance.now = () => this.now - START;
    t.after(() => {
      const { now, ...timers } = real;
      Object.assign(globalThis, timers);
      Date.now = now;
      delete performance.now; // that of the prototype is behind it
    });
  }

  get timers() {
    return this.#timers.size;
  }

  // idle lets a long time pass in which nothing but timers runs.
  idle(ms) {
    return this.pass(ms, () => {});
  }

  // pass lets time pass, with all that happens meanwhile.
  async pass(ms, pause = settled) {
    const end = this.now + ms;
    await settled();
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.now = Math.max(this.now, timer.at);
      if (timer.every) timer.at += timer.every;
      else this.#timers.delete(id);
      timer.run();
      await pause();
    }
    this.now = end;
  }

  // sleep lets time pass without running a timer, as on a device that sleeps.
  sleep(ms) {
    this.now += ms;
    for (const timer of this.#timers.values()) timer.at += ms;
  }

  // set sets the clock of the device, which no timer goes by.
  set(ms) {
    this.#set += ms;
  }

  // freeze lets time pass while nothing runs: timers are late then.
  freeze(ms) {
    this.now += ms;
  }
}
