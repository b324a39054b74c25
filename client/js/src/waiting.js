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
  // that under which it was asked for nothing is executed, but that a subscription goes on.
  flush(connection, session) {
    const wait = connection?.holding || connection?.held;
    for (const call of this.#calls) {
      const { owner, renewed } = call;
      const awaited = owner && session.awaits(owner);
      if (awaited || (owner && owner !== session.key && !renewed)) {
        if (!awaited) call.settle(new DisconnectedError(false, gone()));
      } else if (connection && (call.explicit || !wait)) {
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
