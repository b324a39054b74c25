// Streamed replies of 3.0 and their credit (section 11.7 of PROTOCOL.md).

import { MalformedError } from './errors.js';
import { Feed } from './feed.js';

export const CREDIT = 64 << 10; // the first limit, which hello says
const ITEM = 64; // bytes that an item counts besides its payload

const cost = (payload) => ITEM + payload.bytes.length;

export class Stream {
  call; // the request
  left = false; // no more items are wanted
  raise; // tells the server another limit

  #items = new Feed();
  #limit = CREDIT; // all in bytes of items
  #received = 0;
  #consumed = 0;

  // begun tells whether there were items.
  get begun() {
    return this.#received;
  }

  // add takes an item.
  add(payload) {
    if (this.#received >= this.#limit) throw new MalformedError('an item beyond the limit');
    this.#received += cost(payload);
    this.#items.add(payload);
  }

  // read yields the items until the outcome of the request. Who leaves the loop cancels it.
  async* read(outcome) {
    const items = this.#items;
    outcome.then(() => items.end(), (error) => items.end(error));
    try {
      for (let item; (item = await items.next());) {
        this.#consumed += cost(item);
        // Once half of what is allowed is consumed more is.
        if (!items.over && this.#limit - this.#consumed <= CREDIT / 2) {
          this.#limit = this.#consumed + CREDIT;
          this.raise(this.#limit);
        }
        yield item;
      }
    } finally {
      this.left = true;
      this.call?.settle(undefined, undefined, true);
    }
  }
}
