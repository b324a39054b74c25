// The calls for which there was no connection, in the order in which they were made.

import { DisconnectedError } from './errors.js';
import { gone } from './session.js';

export class Waiting {
  bytes = 0;

  #calls = new Set();

  has(call) {
    return this.#calls.has(call);
  }

  add(call) {
    call.release = () => {
      // Once: a call that cannot be started is released by flush, and when it fails.
      if (this.#calls.delete(call)) this.bytes -= call.bytes;
    };
    this.#calls.add(call);
    this.bytes += call.bytes;
  }

  // restore adds a call in its place.
  restore(call) {
    this.add(call);
    this.#calls = new Set([...this.#calls].sort((a, b) => a.order - b.order));
  }

  // flush starts what waited for the connection, and for its session: under another than
  // that under which it was asked for nothing is executed, but that a subscription goes on. What
  // was asked for when the connection was there already does not wait until it holds nothing
  // back: that may be what its listeners wait for.
  flush(connection, session) {
    for (const call of this.#calls) {
      const { owner, explicit, renewed, during } = call;
      if (owner && session.awaits(owner)) continue;
      if (owner && owner !== session.key && !renewed) {
        call.settle(new DisconnectedError(false, gone()));
      } else if (connection && (explicit || !(connection.held || (connection.holding && during !== connection)))) {
        call.release();
        try {
          call.start(call, connection);
        } catch (error) {
          call.settle(error);
        }
      }
    }
  }

  // fail fails all: with the reason those that asked for a connection and no more.
  fail(lost, reason) {
    for (const call of this.#calls) call.settle(call.explicit ? reason : lost);
  }
}
