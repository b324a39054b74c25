// One socket of WebWire 3.0 (section 11 of PROTOCOL.md), without resume: its opening, the
// requests in both directions, and streamed replies. The client does not use it yet.

import { Call, later } from './call.js';
import { compose, parse } from './codec3.js';
import {
  ClosedError, DisconnectedError, ErrorReply, InternalError, MalformedError, SessionFullError, SessionNotFoundError,
  SessionsDisabledError, ShutdownError, TimeoutError, WebWireError,
} from './errors.js';
import { Payload } from './payload.js';
import { Incoming, Outgoing, size } from './stream3.js';

const MAX_STREAMS = 128;
const ACK_AFTER = 32; // counted messages
const ACK_BYTES = 64 << 10;
const ACK_DELAY = 1_000;
const GAVE_UP = 0; // the reasons of cancel
const LATE = 1;
const ENOUGH = 2;

// The codes of failures that this end sends.
const INTERNAL = 2;
const CANCELLED = 6;
const DEADLINE = 7;
const TOO_MANY = 8;
const UNSUPPORTED = 9;
const NO_HANDLER = 12;
const NO = 0; // whether the request was executed
const YES = 1;
const MAYBE = 2;

const NAMED = {
  1: ShutdownError, 2: InternalError, 3: SessionNotFoundError, 4: SessionFullError, 5: SessionsDisabledError,
};

// A FailureError says that there is no reply, and why (11.5). executed is 0 (no), 1 (yes)
// or 2 (maybe).
export class FailureError extends WebWireError {
  constructor(code, executed, text) {
    super(text || `the request failed with code ${code}`);
    this.code = code;
    this.executed = executed;
  }
}
FailureError.prototype.name = 'FailureError';

// What a server sends, counted or not, and this end has a use for. Others that it may send are ignored.
const COUNTED = ['errorReply', 'failure', 'sessionCreated', 'sessionClosed', 'signal', 'item', 'publication', 'presence', 'request', 'reply', 'gap'];
const FROM_SERVER = [...COUNTED, 'ack', 'cancel', 'credit', 'drain'];

export class Link {
  #options;
  #opening = ['conf', 'welcome']; // what is still to come
  #conf = { requests: 0, longest: 0, credit: 0, readTimeout: 0 };
  #nextId = 1n;
  #unsent = new Set(); // calls that wait for the other end to take more requests
  #pending = new Map(); // calls by id, until their last answer
  #tasks = new Map(); // requests of the server by id, until their handlers have returned
  #received = 0; // counted messages
  #acked = 0;
  #ackedBytes = 0; // that came since
  #ackTimer;
  #beatTimer;
  #ended = false;

  // options has send(bytes), which writes to the socket; handlers, a Map of functions by
  // the names of the requests of the server that they handle; the numbers requests, credit
  // and longest of hello; and the functions ready(conf), message(m) for signals and
  // sessions, and end(reason, status), which is called once, and after which the socket is
  // to be closed with the status if there is one.
  constructor(options) {
    this.#options = { handlers: new Map(), requests: 16, credit: 64 << 10, longest: 0, head: {}, ...options };
    const { requests, credit, longest, head } = this.#options;
    this.#send({ kind: 'hello', head, longest, credit, requests, resume: null });
  }

  // request resolves to the reply. An aborted or late request is cancelled, or not sent at
  // all if it was not yet. meta is a list of keys and values.
  request(name, payload, { signal, timeout = 60_000, meta = [], traceparent } = {}) {
    const m = { kind: 'request', name, payload: Payload.from(payload), head: { meta, traceparent } };
    return this.#ask(m, timeout, signal);
  }

  // ask sends a message that has an answer, that of a session for instance.
  #ask(m, timeout, signal, stream) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#ended) throw new DisconnectedError(false);
      const entry = { m, stream, until: performance.now() + timeout };
      const done = (error, value, failed) => {
        if (failed && this.#pending.get(m.id) === entry) {
          // Its slot is free when the last answer comes, which is then ignored.
          const reason = error instanceof TimeoutError ? LATE : GAVE_UP;
          this.#send({ kind: 'cancel', id: m.id, reason: stream?.left ? ENOUGH : reason });
        }
        this.#unsent.delete(entry);
        if (failed) reject(error);
        else resolve(value);
      };
      entry.call = new Call(done, timeout, undefined, signal);
      this.#unsent.add(entry);
      this.#flush();
    });
  }

  restoreSession(key, { signal, timeout = 60_000 } = {}) {
    return this.#ask({ kind: 'restoreSession', key }, timeout, signal);
  }

  closeSession({ signal, timeout = 60_000 } = {}) {
    return this.#ask({ kind: 'closeSession' }, timeout, signal);
  }

  signal(name, payload, { meta = [], traceparent } = {}) {
    this.#send({ kind: 'signal', name, payload: Payload.from(payload), head: { meta, traceparent } });
  }

  // stream returns the items of a streamed reply, to be iterated over once. Leaving the
  // loop cancels the request.
  stream(name, payload, { signal, timeout = Infinity, meta = [], traceparent } = {}) {
    if ([...this.#pending.values(), ...this.#unsent].filter((entry) => entry.stream).length >= MAX_STREAMS) {
      throw new WebWireError(`more than ${MAX_STREAMS} streams`);
    }
    const leave = new AbortController();
    const m = { kind: 'request', name, payload: Payload.from(payload), head: { meta, traceparent, stream: true } };
    const stream = new Incoming(this.#options.credit, (limit) => this.#send({ kind: 'credit', id: m.id, limit }), () => leave.abort());
    const aborted = () => leave.abort(signal.reason);
    if (signal?.aborted) aborted();
    signal?.addEventListener('abort', aborted);
    stream.answer(this.#ask(m, timeout, leave.signal, stream).finally(() => signal?.removeEventListener('abort', aborted)));
    return stream;
  }

  // receive takes the bytes of a message of the server, or its text, which is malformed.
  receive(data) {
    if (this.#ended) return;
    try {
      if (typeof data === 'string') throw Object.assign(new MalformedError('text message'), { status: 1003 });
      const m = parse(new Uint8Array(data));
      if (this.#opening.length) this.#open(m);
      else this.#take(m);
      if (COUNTED.includes(m.kind)) this.#count(data.byteLength);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.end(error, error.status ?? 1002);
    }
  }

  // end fails everything: the socket has ended, or has to.
  end(reason, status) {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#ackTimer);
    clearTimeout(this.#beatTimer);
    const closed = reason instanceof ClosedError;
    for (const { call } of this.#unsent) call.settle(closed ? reason : new DisconnectedError(false, reason));
    for (const { call } of this.#pending.values()) call.settle(closed ? reason : new DisconnectedError(true, reason));
    for (const task of this.#tasks.values()) task.abort(reason);
    this.#options.end?.(reason, status);
  }

  #send(m) {
    if (this.#ended) return;
    this.#options.send(compose(m, this.#conf.longest || undefined));
    const ms = this.#conf.readTimeout * 0.75;
    if (!ms) return;
    clearTimeout(this.#beatTimer);
    this.#beatTimer = later(ms, () => this.#ack());
  }

  // flush sends as many requests as the server takes at once.
  #flush() {
    for (const entry of this.#unsent) {
      const { m, call } = entry;
      if (this.#ended || this.#opening.includes('conf')) return;
      if (m.kind === 'request' && this.#pending.size >= this.#conf.requests) continue;
      this.#unsent.delete(entry);
      m.id = this.#nextId++;
      const left = Math.max(0, Math.ceil(entry.until - performance.now()));
      if (m.head && left < 2 ** 32) m.head.deadline = left;
      this.#pending.set(m.id, entry);
      try {
        this.#send(m);
      } catch (error) {
        this.#pending.delete(m.id);
        call.settle(error);
      }
    }
  }

  #open(m) {
    if (m.kind !== this.#opening[0]) throw new MalformedError(`${m.kind} instead of ${this.#opening[0]}`);
    this.#opening.shift();
    if (m.kind === 'conf') {
      if (m.major !== 3) throw new MalformedError(`version ${m.major}`);
      this.#conf = m;
      this.#flush();
    } else if (m.outcome) {
      throw new MalformedError('the outcome of a resume that nobody asked for');
    } else {
      this.#options.ready?.(this.#conf);
    }
  }

  #take(m) {
    if (!FROM_SERVER.includes(m.kind)) throw new MalformedError(`a server sends no ${m.kind}`);
    switch (m.kind) {
      case 'request':
        if (this.#tasks.has(m.id)) throw new MalformedError('an id that is in use');
        this.#handle(m);
        break;
      case 'cancel':
        this.#tasks.get(m.id)?.cancel();
        break;
      case 'credit':
        this.#tasks.get(m.id)?.stream.raise(m.limit);
        break;
      case 'item':
        this.#pending.get(m.id)?.stream?.add(m.payload);
        break;
      case 'reply':
        this.#answer(m.id, m.head.critical ? new FailureError(UNSUPPORTED, MAYBE, 'the reply has a critical field') : undefined, m.payload);
        break;
      case 'errorReply':
        this.#answer(m.id, new ErrorReply(m.name, m.text));
        break;
      case 'failure':
        this.#answer(m.id, NAMED[m.code] ? new NAMED[m.code]() : new FailureError(m.code, m.executed, m.text));
        break;
      case 'signal':
        if (m.head.critical) break;
        // falls through
      case 'sessionCreated':
      case 'sessionClosed':
        this.#options.message?.(m);
    }
  }

  #answer(id, error, value) {
    const entry = this.#pending.get(id);
    if (!entry) return;
    this.#pending.delete(id);
    entry.call.settle(error, value);
    this.#flush();
  }

  // handle runs the handler of a request of the server, beside the others. Its slot is free
  // when the handler has returned, not when the request is cancelled.
  async #handle({ id, name, payload, head }) {
    const refuse = (code, text) => this.#send({ kind: 'failure', id, code, executed: NO, text });
    const handler = this.#options.handlers.get(name);
    if (head.critical) {
      refuse(UNSUPPORTED, '');
      return;
    }
    if (this.#tasks.size >= this.#options.requests) {
      refuse(TOO_MANY, '');
      return;
    }
    if (!handler) {
      refuse(NO_HANDLER, `no handler for ${name}`);
      return;
    }

    const controller = new AbortController();
    const { signal } = controller;
    const stream = new Outgoing(this.#conf.credit, signal);
    let failure = INTERNAL;
    const abort = (reason, code) => {
      if (!signal.aborted) failure = code;
      controller.abort(reason);
    };
    this.#tasks.set(id, { stream, abort, cancel: () => abort(new WebWireError('cancelled by the server'), CANCELLED) });
    const timer = head.deadline === undefined ? undefined
      : later(head.deadline, () => abort(new TimeoutError(head.deadline), DEADLINE));
    const { meta, traceparent, tracestate, baggage } = head;
    let answer;
    try {
      let result = await handler(payload, { name, signal, meta, traceparent, tracestate, baggage });
      if (head.stream && typeof result?.[Symbol.asyncIterator] === 'function') {
        for await (const value of result) {
          const item = Payload.from(value);
          await stream.room(size(item));
          this.#send({ kind: 'item', id, payload: item });
        }
        result = undefined;
      }
      answer = { kind: 'reply', payload: Payload.from(result) };
    } catch (error) {
      answer = error instanceof ErrorReply
        ? { kind: 'errorReply', name: error.code, text: error.message }
        : { kind: 'failure', code: failure, executed: signal.aborted ? MAYBE : YES, text: '' };
    }
    clearTimeout(timer);
    this.#tasks.delete(id);
    try {
      this.#send({ id, ...answer });
    } catch {
      this.#send({ kind: 'failure', id, code: INTERNAL, executed: YES, text: '' }); // too long, or no error code
    }
  }

  // count counts what has come, and acknowledges it in time.
  #count(bytes) {
    this.#received++;
    this.#ackedBytes += bytes;
    if (this.#received - this.#acked >= ACK_AFTER || this.#ackedBytes >= ACK_BYTES) this.#ack();
    else this.#ackTimer ??= later(ACK_DELAY, () => this.#ack());
  }

  #ack() {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.#acked = this.#received;
    this.#ackedBytes = 0;
    this.#send({ kind: 'ack', received: this.#received });
  }
}
