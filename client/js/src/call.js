// What somebody waits for. It has one outcome: whatever comes first.

import { TimeoutError } from './errors.js';

// now goes on steadily, whatever happens to the clock of the device.
export const now = () => performance.now();

export const MAX_DELAY = 2 ** 31 - 1; // of setTimeout, which takes a longer one for none

// later calls run after so many milliseconds, or never if that is longer than a timer
// can be.
export const later = (ms, run) => ms <= MAX_DELAY && setTimeout(run, ms);

// Calls by the signal that aborts them. A signal has one listener for all of them:
// Node warns of more than ten.
const abortable = new WeakMap();

// watch lets a signal abort a call, and returns a function that ends that.
function watch(signal, call) {
  let calls = abortable.get(signal);
  if (!calls) {
    calls = new Set();
    calls.abort = () => calls.forEach((each) => each.settle(signal.reason, undefined, true));
    abortable.set(signal, calls);
    signal.addEventListener('abort', calls.abort);
  }
  calls.add(call);
  return () => {
    calls.delete(call);
    if (calls.size) return;
    abortable.delete(signal);
    signal.removeEventListener('abort', calls.abort);
  };
}

let calls = 0;

export class Call {
  order = ++calls; // in which they are sent
  // release takes the call out of where it waits. It gets the error if there is one.
  release;
  stream; // that gets the items of a streamed reply
  sent = false; // the server may have begun to execute it
  last; // what was said about it and is not counted: it may have to be said again

  #done;
  #timer;
  #unwatch;

  // done is called with an error or a value, late after timeout milliseconds.
  constructor(done, timeout, late = () => this.settle(new TimeoutError(timeout)), signal) {
    this.#done = done;
    this.until = now() + timeout;
    this.late = late;
    this.#timer = later(timeout, late);
    this.#unwatch = signal && watch(signal, this);
  }

  get over() {
    return !this.#done;
  }

  // failed is for the reasons that signals abort with: they may be anything.
  settle(error, value, failed = error) {
    const done = this.#done;
    if (!done) return;
    this.#done = undefined;
    clearTimeout(this.#timer);
    this.#unwatch?.();
    this.release?.(error);
    done(error, value, failed);
  }
}
