// What lets a connection of 3.0 outlive its sockets (section 11.10 of PROTOCOL.md): both
// ends count messages, and keep theirs until the other end has them.

import { now } from './call.js';
import { REQUEST, SIGNAL, duration, little } from './codec.js';
import { MalformedError } from './errors.js';

const ACK_BYTES = 64 << 10; // after which an ack is due
const ACK_NEXT = 32; // messages after which it goes with the next one that is sent
const ACK_NOW = 256; // messages after which it does not wait for one
const DEADLINE_AT = 14; // in a request that has one: it comes first in the head

function disagrees(wrong) {
  if (wrong) throw new MalformedError('client and server disagree');
}

export class Ledger {
  lasts = 0; // for how many milliseconds the connection lasts without a socket, zero for none
  size = 0; // of the messages that are kept, in bytes

  #proof; // id and secret of the connection
  #attempts = 0;
  #kept = []; // messages that the server may not have, and the calls that they belong to
  #first = 1; // the number of the first of them
  #received = 0; // counted messages of the server
  #late = 0; // number of messages that come next and have no number
  #had = 0; // how many of those came on an earlier socket, which was lost before the last one
  #got = 0; // how many have come
  #then = 0; // what received is once all have come
  #gap = [0, -1]; // how many were missed at the last resume, and received at that time
  #unknown = 0; // received, and not acknowledged
  #unknownBytes = 0;

  // open begins a new connection, or goes on with it.
  open({ proof, lasts }) {
    this.#proof = proof;
    this.lasts = lasts;
  }

  keep(message, call) {
    if (!this.lasts) return;
    this.#kept.push([message, call]);
    this.size += message.length;
  }

  // free forgets what the server has. If the connection does not last nothing is kept.
  free(received) {
    const n = received + 1 - this.#first;
    disagrees(this.lasts && n > this.#kept.length);
    for (const [message] of this.#kept.splice(0, Math.max(0, n))) {
      this.#first++;
      this.size -= message.length;
    }
  }

  // repeated reports whether the next message came on an earlier socket too.
  get repeated() {
    return this.#had > 0;
  }

  // count counts a message of the server, and reports whether an ack is due at once.
  count(bytes) {
    if (!this.#late) this.#received++;
    else {
      if (this.#had) this.#had--;
      else this.#got++;
      if (!--this.#late) this.#caughtUp();
    }
    this.#unknown++;
    this.#unknownBytes += bytes;
    return this.#unknown >= ACK_NOW || this.#unknownBytes >= ACK_BYTES;
  }

  // due reports whether an ack goes with the next message.
  get due() {
    return this.#unknown >= ACK_NEXT;
  }

  acknowledge() {
    this.#unknown = this.#unknownBytes = 0;
    return this.#received;
  }

  // hello returns what the hello says that asks to go on with the connection.
  hello() {
    return [...this.#proof, ...little(++this.#attempts, 4), ...little(this.#received, 8), ...little(this.#first, 8)];
  }

  // resume goes on as the server says, and returns how many messages were missed.
  resume(welcome) {
    this.open(welcome);
    this.free(welcome.received);
    const missed = welcome.from - 1 - this.#received - welcome.uncounted;
    disagrees(missed < 0);
    const told = this.#gap[1] === this.#received ? Math.min(this.#gap[0], missed) : 0;
    this.#gap = [missed, this.#received];
    this.#then = welcome.from - 1;
    this.#late = welcome.uncounted;
    this.#had = Math.min(this.#got, this.#late);
    if (!this.#late) this.#caughtUp();
    return missed - told;
  }

  #caughtUp() {
    this.#received = this.#then;
    this.#got = 0;
  }

  // again returns what is kept, to be sent once more: deadlines are what is left of them.
  again() {
    return this.#kept.map(([message, call]) => {
      if (message[0] >= REQUEST && call?.until < Infinity) {
        message.set(duration(Math.max(1, call.until - now())), DEADLINE_AT);
      }
      return message;
    });
  }

  // signals is how many signals the server may not have.
  get signals() {
    return this.#kept.filter(([[type]]) => type >= SIGNAL && type < SIGNAL + 3).length;
  }
}
