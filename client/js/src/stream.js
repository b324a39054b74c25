// Streamed replies of 3.0 and their credit (section 11.7 of PROTOCOL.md).

import { MalformedError } from './errors.js';

export const CREDIT = 64 << 10; // the first limit, which hello says
const ITEM = 64; // bytes that an item counts besides its payload

const cost = (payload) => ITEM + payload.bytes.length;

export class Stream {
  call; // the request
  left = false; // no more items are wanted
  raise; // tells the server another limit

  #items = [];
  #limit = CREDIT; // all in bytes of items
  #received = 0;
  #consumed = 0;
  #wake = () => {};

  // begun tells whether there were items.
  get begun() {
    return this.#received;
  }

  // add takes an item.
  add(payload) {
    if (this.#received >= this.#limit) throw new MalformedError('an item beyond the limit');
    this.#received += cost(payload);
    this.#items.push(payload);
    this.#wake();
  }

  // read yields the items until the outcome of the request. Who leaves the loop cancels it.
  async* read(outcome) {
    let over;
    const end = (...errors) => {
      over = errors;
      this.#wake();
    };
    outcome.then(() => end(), end);
    try {
      for (;;) {
        if (this.#items.length) {
          const item = this.#items.shift();
          this.#consumed += cost(item);
          // Once half of what is allowed is consumed more is.
          if (!over && this.#limit - this.#consumed <= CREDIT / 2) {
            this.#limit = this.#consumed + CREDIT;
            this.raise(this.#limit);
          }
          yield item;
        } else if (!over) {
          await new Promise((resolve) => {
            this.#wake = resolve;
          });
        } else if (over.length) {
          throw over[0];
        } else {
          return;
        }
      }
    } finally {
      this.left = true;
      this.call?.settle(undefined, undefined, true);
    }
  }
}
