// The calls for which there was no connection, in the order in which they were made.

import { DisconnectedError } from './errors.js';
import { gone } from './session.js';

// stale reports whether a call was made under a session that the client does not have now: it is
// not to be executed under another, but that a subscription goes on.
export const stale = ({ owner, renewed }, session) => owner && owner !== session.key && !renewed;

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

  // flush starts what waited for the connection, and for its session. What was asked for when
  // the connection was there already does not wait until it holds nothing back: that may be
  // what its listeners wait for.
  flush(connection, session) {
    for (const call of this.#calls) {
      const { owner, explicit, during } = call;
      const awaited = owner && session.awaits(owner);
      const held = connection?.held || (connection?.holding && during !== connection);
      if (awaited || stale(call, session)) {
        if (!awaited) call.settle(new DisconnectedError(false, gone()));
      } else if (connection && (explicit || !held)) {
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
