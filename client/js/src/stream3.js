// Streamed replies of 3.0 and their credit (section 11.7 of PROTOCOL.md).

import { MalformedError } from './errors.js';

const ITEM = 64; // bytes that an item counts besides its payload

// size is what an item counts.
export const size = (payload) => ITEM + payload.bytes.length;

// Incoming is the items of a reply, to be iterated over once.
export class Incoming {
  #credit;
  #raise;
  #leave;
  #items = [];
  #limit;
  #received = 0; // bytes
  #consumed = 0;
  #over; // the outcome: { error } or {}
  left = false; // the rest is not wanted
  #waiting = []; // calls of next

  // credit is the first limit, at least 1; raise tells the sender another, leave gives up the rest.
  constructor(credit, raise, leave) {
    this.#credit = this.#limit = credit;
    this.#raise = raise;
    this.#leave = leave;
  }

  // answer takes the promise of the last answer.
  answer(promise) {
    promise.then(() => this.#end({}), (error) => this.#end({ error, failed: true }));
  }

  #end(outcome) {
    this.#over = outcome;
    this.#wake();
  }

  #wake() {
    for (const resume of this.#waiting.splice(0)) resume();
  }

  // add takes an item. One beyond the limit is a violation of the protocol.
  add(payload) {
    if (this.#received >= this.#limit) throw new MalformedError('an item beyond the limit of its stream');
    this.#received += size(payload);
    if (this.left) return;
    this.#items.push(payload);
    this.#wake();
  }

  async next() {
    while (!this.#items.length && !this.#over && !this.left) {
      await new Promise((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    if (this.left || (!this.#items.length && this.#over && !this.#over.failed)) return { done: true, value: undefined };
    if (!this.#items.length) {
      const { error } = this.#over;
      this.#over = {}; // it comes once
      throw error;
    }
    const value = this.#items.shift();
    this.#consumed += size(value);
    // Once half of what is allowed is consumed more is.
    if (!this.#over && this.#limit - this.#consumed <= this.#credit / 2) {
      this.#limit = this.#consumed + this.#credit;
      this.#raise(this.#limit);
    }
    return { done: false, value };
  }

  async return(value) {
    this.left = true;
    this.#items = [];
    this.#wake();
    this.#leave();
    return { done: true, value };
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

// Outgoing keeps to the credit of the other end.
export class Outgoing {
  #limit;
  #sent = 0;
  #signal;
  #wake = () => {};

  constructor(limit, signal) {
    this.#limit = limit;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake());
  }

  // raise takes credit: one below the limit is ignored.
  raise(limit) {
    this.#limit = Math.max(this.#limit, limit);
    this.#wake();
  }

  // room waits until an item may be sent, whatever its size, and counts it.
  async room(bytes) {
    while (this.#sent >= this.#limit && !this.#signal.aborted) {
      await new Promise((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#signal.throwIfAborted();
    this.#sent += bytes;
  }
}
