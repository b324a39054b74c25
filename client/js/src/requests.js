// The requests in flight on a connection, and those that wait because the server takes no
// more at once.

import { now } from './call.js';
import { CANCEL, CREDIT, REQUEST, SUBSCRIBE, little } from './codec.js';
import { FailureError, ShutdownError, TimeoutError } from './errors.js';
import { Payload } from './payload.js';

const GAVE_UP = 0; // the reasons of a cancel
const LATE_REPLY = 1;
const ENOUGH = 2;
const DEADLINE = 7; // the codes of failures
const UNSUPPORTED = 9;

export class Requests {
  most = Infinity; // that the server takes at once

  #connection;
  #pending = new Map(); // calls by id, in 3.0 until their last answer
  #queue = new Set(); // calls that wait
  #nextId = 1;

  constructor(connection) {
    this.#connection = connection;
  }

  get count() {
    return this.#pending.size;
  }

  // wanted is how many of them somebody waits for.
  get wanted() {
    return [...this.#pending.values()].filter(({ over }) => !over).length;
  }

  // bytes is how many bytes wait.
  get bytes() {
    let bytes = 0;
    for (const call of this.#queue) bytes += call.bytes;
    return bytes;
  }

  get #full() {
    return this.count >= this.most;
  }

  // stream returns that to which the items with an id belong.
  stream(id) {
    return this.#pending.get(id)?.stream;
  }

  // add sends a request of any kind and lets the call have its outcome.
  add(call, type, message) {
    const { stream } = call;
    const connection = this.#connection;
    const { modern } = connection;
    if ((stream || type === SUBSCRIBE) && !modern) {
      call.settle(new FailureError(UNSUPPORTED, 'no', `${connection.version} has no ${stream ? 'streams' : 'topics'}`));
      return;
    }
    if (type === REQUEST && this.#full) {
      call.release = () => this.#queue.delete(call);
      this.#queue.add(call);
      return;
    }
    const id = this.#nextId++;
    this.#pending.set(id, call);
    call.sent = true;
    const tell = (what, bytes) => {
      call.last = [what, { id, payload: new Payload(bytes) }];
      connection.say(...call.last);
    };
    call.release = (error) => {
      if (modern && this.#pending.has(id)) {
        // The caller gave up. Its place is free when the last answer has come.
        const reason = error instanceof TimeoutError ? LATE_REPLY : GAVE_UP;
        tell(CANCEL, [stream?.left ? ENOUGH : reason]);
      } else {
        this.#pending.delete(id);
      }
      connection.idle();
    };
    if (stream) stream.raise = (limit) => tell(CREDIT, little(limit, 8));
    try {
      const deadline = Math.max(0, call.until - now());
      connection.send(type, { ...message, id, head: { ...message.head, stream, deadline } }, call);
    } catch (error) {
      this.#pending.delete(id);
      call.settle(error);
    }
  }

  // answer takes the last answer to a request. Late and duplicate replies find no call.
  // again(call, error) is called with one that was not executed, and with as many of those that
  // wait as the server takes; answered() makes them go on.
  answer({ id, payload, error, critical }, { again, answered }) {
    const call = this.#pending.get(id);
    this.#pending.delete(id);
    const unknown = critical && new FailureError(UNSUPPORTED, 'maybe', 'a critical field');
    // The server's clock may be a little ahead of ours.
    if (error instanceof ShutdownError && call?.start && !call.stream?.begun) again(call, error);
    else if (error?.code === DEADLINE && call?.until < Infinity) {
      call.sent = error.executed !== 'no';
      call.late();
    } else call?.settle(error || unknown, payload);
    for (const next of this.#queue) {
      if (this.#full) break;
      this.#queue.delete(next);
      again(next);
      answered();
    }
  }

  // repeat says once more what is not counted: a cancel, or the current credit.
  repeat() {
    for (const { last } of this.#pending.values()) {
      if (last) this.#connection.say(...last);
    }
  }

  // end ends all: those that wait were not executed.
  end(lost, again) {
    for (const call of this.#queue) again(call);
    for (const call of this.#pending.values()) call.settle(lost);
  }
}
