// What a connection counts and keeps, so that it outlives its socket (section 11.10 of
// PROTOCOL.md).

import { WELCOME, counted, little, number } from '../src/codec.js';

const FRESH = 0; // outcomes of a hello
const RESUMED = 1;
const UNKNOWN = 3;
const WINDOW = 120_000; // as long as that of a real server; the fake one has no timer
const RING = 256 << 10;

export class Ledger {
  proof = crypto.getRandomValues(new Uint8Array(32)); // id and secret of the connection

  #kept = []; // counted messages that the client may not have
  #first = 1; // the number of the first of them
  #received = 0;

  keep(message) {
    if (counted(message[0])) this.#kept.push(message);
  }

  // free forgets what the client has.
  free(received) {
    this.#kept.splice(0, received + 1 - this.#first);
    this.#first = Math.max(this.#first, received + 1);
  }

  // count counts a message of the client, and returns what acknowledges it.
  count() {
    return ++this.#received;
  }

  // welcome returns the answer to a hello. asked says whether that asked for a connection.
  welcome(asked) {
    return this.#welcome(asked ? UNKNOWN : FRESH, 1);
  }

  // resume goes on after what the client has: it returns the answer, and what is sent again.
  resume(received) {
    this.free(received);
    return [this.#welcome(RESUMED, this.#first), ...this.#kept];
  }

  #welcome(outcome, from) {
    const numbers = [...little(WINDOW, 4), ...little(RING, 4), ...little(this.#received, 8), ...little(from, 8), 0, 0];
    return Uint8Array.from([WELCOME, outcome, ...this.proof, ...numbers]);
  }
}

// hello takes a hello apart: the credit of streams, and of the connection that is asked for
// the proof and how much the client has of it.
export function hello(message) {
  const body = message.subarray(3 + number(message.subarray(1, 3)));
  const credit = number(body.subarray(5, 9));
  if (!(body[0] & 1)) return { credit };
  return { credit, proof: String(body.subarray(11, 43)), received: number(body.subarray(47, 55)) };
}
