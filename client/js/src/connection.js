// One WebSocket connection: its opening, the requests in flight on it, heartbeats,
// and the question whether it is still there. It ends once, and for good.

import { Call, MAX_DELAY, later } from './call.js';
import {
  ACCEPT_CONF, ACK, CANCEL, CLOSE_SESSION, CREDIT, ERROR_REPLY, FAILURE, HEARTBEAT, HELLO, ITEM, REPLY, REQUEST, RESTORE_SESSION,
  WELCOME, compose, counted, little, parse,
} from './codec.js';
import {
  ClosedError, CloseError, DisconnectedError, ErrorReply, FailureError, MalformedError, ShutdownError, TimeoutError, VersionError,
  WebWireError,
} from './errors.js';
import { agreed } from './negotiate.js';
import { Payload } from './payload.js';
import { CREDIT as FIRST_CREDIT } from './stream.js';

const OPEN = 1;
const NORMAL = 1000;

const SILENCE = 30_000; // after which the server is asked, at the latest
const PROBE_TIMEOUT = 5_000;
const LATE = 1_000; // of a timer: the page was frozen, or the device slept
export const GOING_AWAY = 1001; // the status of a server that shuts down
const GRACE = 1_000; // for a server that shuts down to close the connection
const NO_CLOSE = 1_000; // after an error that the browser lets no close follow

// What follows is of 3.0.
const REQUESTS = 16; // of the server at once
// An ack is due after 32 messages, 64 KiB, or some of both: each message counts this besides
// its bytes.
const ACK_BYTES = 64 << 10;
const ACK_MESSAGE = ACK_BYTES / 32;
const ACK_DELAY = 1_000;
const GAVE_UP = 0; // the reasons of a cancel
const LATE_REPLY = 1;
const ENOUGH = 2;
const INTERNAL = 2; // the codes of failures
const CANCELLED = 6;
const DEADLINE = 7;
const TOO_MANY = 8;
const UNSUPPORTED = 9;
const NO_HANDLER = 12;
const NO = 0; // whether a request of the server was executed
const YES = 1;
const MAYBE = 2;

const unopened = (cause) => new MalformedError('the server did not open the connection', cause);

// now goes on steadily, whatever happens to the clock of the device.
export const now = () => performance.now();

export class Connection {
  version; // that is spoken, once it is open
  negotiated; // the server selected a token: it is no older one
  ended = false;
  holding = true; // requests that waited for the connection go on waiting
  quiet = false; // no request may be sent now: see verify

  #events;
  #expect;
  #socket;
  #open = false;
  #limit; // of the length of messages
  #heartbeat = 0; // milliseconds of silence before one is due, zero for none
  #patience = SILENCE; // the silence of the server after which it is asked
  #timers = {};
  #pending = new Map(); // calls by id, in 3.0 until their last answer
  #queue = new Map(); // calls that wait because the server takes no more at once, and how to begin them
  #tasks = new Map(); // how to abort the handlers of requests of the server, by id
  #conf; // that of a server of 2.0 or later
  #counted = 0; // messages that came
  #due = 0; // what those count of which the server does not know
  #nextId = 1;
  #heard = now();
  #doubtful = false; // whether it is there will show when a reply comes or is late
  #leaving = false; // the server shuts down

  // expect has what the client speaks, versions and subProtocol, and credentials. events
  // has the functions open(), received(message) for what is no reply, handler(name) for
  // requests of the server and failed(name, error) for what handlers throw, silent() when
  // the server was not heard for long, answered() when it may be asked again after quiet,
  // and end(reason), which is called once and synchronously, after the requests in flight
  // have failed.
  constructor(WebSocket, url, plan, expect, events) {
    this.#expect = expect;
    this.#events = events;
    const socket = new WebSocket(url, plan.tokens);
    this.#socket = socket;
    let failure;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#connected(plan);
    socket.onmessage = ({ data }) => this.#received(data);
    const close = ({ code, reason }) => this.end(new CloseError(code, reason, failure));
    socket.onclose = close;
    socket.onerror = ({ error, message }) => {
      failure = error ?? (message && new Error(message)); // browsers say neither
      this.#later('error', NO_CLOSE, () => close({ code: 1006, reason: '' })); // Chromium, if the page's policy forbids it
    };
  }

  // usable tells whether what is sent has a chance to get anywhere.
  get usable() {
    return this.#open && this.#socket.readyState === OPEN;
  }

  // queued is how many bytes wait to be sent.
  get queued() {
    let bytes = this.#socket.bufferedAmount;
    for (const [, size] of this.#queue.values()) bytes += size;
    return bytes;
  }

  get #modern() {
    return this.version === '3.0';
  }

  #later(what, ms, run) {
    clearTimeout(this.#timers[what]);
    this.#timers[what] = later(ms, run);
  }

  #connected(plan) {
    const { protocol } = this.#socket;
    try {
      this.version = agreed(plan, protocol, this.#expect.versions);
    } catch (error) {
      this.end(error);
      return;
    }
    this.negotiated = plan.tokens?.includes(protocol);
    if (this.version === '1.2') {
      this.#ready();
    } else if (this.#modern) {
      this.#hello();
    } else if (!this.negotiated && plan.guessed) {
      // A server of 2.0 speaks first, one that waits for the client never does.
      const ms = this.#expect.dialTimeout / 4;
      this.#later('conf', ms, () => this.end(new TimeoutError(ms, unopened())));
    }
  }

  async #hello() {
    try {
      const credentials = Payload.from(await this.#expect.credentials?.()).bytes;
      if (this.ended) return;
      this.send(HELLO, {
        head: { credentials },
        payload: new Payload([0, ...little(0, 4), ...little(FIRST_CREDIT, 4), ...little(REQUESTS, 2)]),
      });
    } catch (error) {
      this.end(new WebWireError('no credentials', error));
    }
  }

  #ready() {
    clearTimeout(this.#timers.conf);
    this.#open = true;
    if (this.negotiated) this.#watchSilence();
    this.#events.open();
  }

  #received(data) {
    this.#heard = now();
    this.#doubtful = false;
    const message = typeof data === 'string' ? { error: new MalformedError('text message') } : parse(this.version, new Uint8Array(data));
    if (this.#modern) {
      if (message.error instanceof MalformedError) {
        this.end(message.error);
        return;
      }
      if (counted(new Uint8Array(data)[0])) this.#count(data.byteLength);
    }
    const { type, id, payload } = message ?? {};
    if (!this.#open || (type === ACCEPT_CONF && this.version === '1.2')) {
      this.#accept(message);
    } else if (type === REQUEST) {
      this.#serve(message);
    } else if (type === CANCEL) {
      this.#tasks.get(id)?.(new WebWireError('cancelled by the server'), CANCELLED);
    } else if (type === ITEM) {
      const { stream } = this.#pending.get(id) ?? {};
      try {
        stream?.add(payload);
      } catch (error) {
        this.end(error);
      }
    } else if (id !== undefined) {
      // Late and duplicate replies find no call.
      const call = this.#pending.get(id);
      this.#pending.delete(id);
      // Published servers keep such a connection open for ever.
      if (message.error instanceof ShutdownError) this.#leaving = true;
      const unknown = message.critical && new FailureError(UNSUPPORTED, 'maybe', 'a critical field');
      // The server's clock may be a little ahead of ours.
      if (message.error?.code === DEADLINE && call?.until < Infinity) call.late();
      else call?.settle(message.error || unknown, payload);
      this.#begin();
      this.#idle();
    } else if (message && !message.critical) {
      this.#events.received(message);
    }
  }

  // accept takes the message with which a server of 2.0 opens a connection, or one of the
  // two of a server of 3.0.
  #accept(conf) {
    const { versions, subProtocol } = this.#expect;
    let reason;
    if (this.version === '1.2') reason = new VersionError(['2.0'], versions); // nothing but the metadata, or the user, said 1.2
    else if (this.#conf) reason = conf.type !== WELCOME && unopened();
    else if (conf?.error || conf?.type !== ACCEPT_CONF) reason = unopened(conf?.error);
    else if (conf.major !== Number(this.version[0])) reason = new VersionError([`${conf.major}.${conf.minor}`], versions);
    else if (conf.subProtocol !== subProtocol) reason = new VersionError([`${this.version} with sub-protocol "${conf.subProtocol}"`], versions);
    if (reason) {
      this.end(reason);
      return;
    }
    if (this.#conf) {
      this.#ready();
      return;
    }
    this.#conf = conf;
    this.#limit = conf.longest || undefined; // zero if it does not say
    this.#heartbeat = Math.min(conf.readTimeout * 0.75, MAX_DELAY);
    this.#patience = Math.min(conf.readTimeout / 2 || SILENCE, SILENCE);
    this.#beatLater();
    if (!this.#modern) this.#ready();
  }

  // request sends a request of any kind and lets the call have its outcome.
  request(call, type, message) {
    const { stream } = call;
    if (stream && !this.#modern) {
      call.settle(new FailureError(UNSUPPORTED, 'no', `${this.version} has no streams`));
      return;
    }
    const ask = () => {
      const id = this.#nextId++;
      this.#pending.set(id, call);
      call.release = (error) => {
        if (this.#modern && this.#pending.has(id)) {
          // The caller gave up. Its place is free when the last answer has come.
          const reason = error instanceof TimeoutError ? LATE_REPLY : GAVE_UP;
          this.#say(CANCEL, { id, payload: new Payload([stream?.left ? ENOUGH : reason]) });
        } else {
          this.#pending.delete(id);
        }
        this.#idle();
      };
      if (stream) stream.raise = (limit) => this.#say(CREDIT, { id, payload: new Payload(little(limit, 8)) });
      try {
        const deadline = Math.max(0, Math.ceil(call.until - now()));
        this.send(type, { ...message, id, head: { ...message.head, stream, deadline } });
      } catch (error) {
        this.#pending.delete(id);
        call.settle(error);
      }
    };
    if (type === REQUEST && this.#full) {
      call.release = () => this.#queue.delete(call);
      this.#queue.set(call, [ask, message.size]);
    } else {
      ask();
    }
  }

  get #full() {
    return this.#pending.size >= (this.#conf?.requests ?? Infinity);
  }

  // begin begins as many of the calls that wait as the server takes.
  #begin() {
    for (const [call, [ask]] of this.#queue) {
      if (this.#full) break;
      this.#queue.delete(call);
      ask();
    }
  }

  // idle ends a connection that only the requests in flight keep.
  #idle() {
    if (this.#pending.size || this.ended) return;
    if (this.#doubtful) this.#giveUp();
    else if (this.#leaving) this.#later('leave', GRACE, () => this.end(new CloseError(GOING_AWAY, 'the server is shutting down')));
  }

  // send sends what has no reply.
  send(type, message) {
    this.#socket.send(compose(this.version, type, message, this.#limit));
    this.#beatLater();
  }

  // say sends what nobody misses if the connection is about to end.
  #say(type, message) {
    if (!this.ended && this.#socket.readyState === OPEN) this.send(type, message);
  }

  #beatLater() {
    if (!this.#heartbeat) return;
    this.#later('beat', this.#heartbeat, () => {
      if (this.#modern) this.#ack();
      else this.#say(HEARTBEAT);
    });
  }

  // count counts a message, and tells the server in time.
  #count(bytes) {
    this.#counted++;
    this.#due += ACK_MESSAGE + bytes;
    if (this.#due > ACK_BYTES) this.#ack();
    else this.#timers.ack ??= later(ACK_DELAY, () => this.#ack());
  }

  #ack() {
    clearTimeout(this.#timers.ack);
    this.#timers.ack = undefined;
    this.#due = 0;
    this.#say(ACK, { id: this.#counted });
  }

  // serve executes a request of the server, beside others. Its place is free when the
  // handler has returned, also if the request is cancelled. There is always one answer.
  async #serve({ id, name, payload, meta, trace, deadline, critical }) {
    const answer = (type, message) => this.#say(type, { id, ...message });
    const fail = (code, executed) => answer(FAILURE, { payload: new Payload([code, executed]) });
    const handler = this.#events.handler(name);
    if (critical || !handler || this.#tasks.size >= REQUESTS) {
      fail((critical && UNSUPPORTED) || (handler ? TOO_MANY : NO_HANDLER), NO);
      return;
    }
    const controller = new AbortController();
    const { signal } = controller;
    let code = INTERNAL;
    const abort = (reason, why) => {
      if (!signal.aborted) code = why;
      controller.abort(reason);
    };
    this.#tasks.set(id, abort);
    const timer = later(deadline ?? Infinity, () => abort(new TimeoutError(deadline), DEADLINE));
    try {
      try {
        answer(REPLY, { payload: Payload.from(await handler(payload, { name, meta, trace, signal })) });
      } catch (error) {
        if (!(error instanceof ErrorReply)) throw error;
        answer(ERROR_REPLY, { name: error.code, payload: Payload.from(error.message) });
      }
    } catch (error) {
      fail(code, signal.aborted ? MAYBE : YES);
      if (!signal.aborted) this.#events.failed(name, error);
    }
    clearTimeout(timer);
    this.#tasks.delete(id);
  }

  #watchSilence() {
    const left = this.#patience - this.silence;
    this.#later('silence', left > 0 ? left : this.#patience, () => {
      if (this.silence >= this.#patience) this.#events.silent();
      if (!this.ended) this.#watchSilence();
    });
  }

  // verify finds out whether the connection is still there. Pings are out of reach in
  // browsers, so something must be asked that changes nothing: a session is restored
  // once more, or closed if there is none. In the latter case no request may be sent
  // until the answer is there: it might create one. Published servers are not asked,
  // they would count a session twice: the requests in flight will show it, and if there is
  // none a new connection does no harm, if the reason to doubt is a serious one.
  verify(key, serious) {
    if (this.#timers.probe || !this.#open) return;
    const { size } = this.#pending;
    if (this.#socket.readyState !== OPEN) {
      this.#giveUp();
    } else if (this.negotiated && (key || !size)) {
      this.quiet = !key;
      const call = new Call(() => {
        this.quiet = false;
        this.#events.answered();
      }, Infinity);
      this.request(call, key ? RESTORE_SESSION : CLOSE_SESSION, { payload: Payload.from(key) });
      this.#doubtful = true;
      this.#judge();
    } else if (size) {
      this.#doubtful = true;
    } else if (serious) {
      this.#giveUp();
    }
  }

  // judge gives up a connection on which nothing is heard. If the time is long over the
  // page was frozen, or the device slept: what came may wait to be read.
  #judge() {
    const asked = now();
    this.#later('probe', PROBE_TIMEOUT, () => {
      this.#timers.probe = undefined;
      if (!this.#doubtful) return;
      if (now() - asked > PROBE_TIMEOUT + LATE) this.#judge();
      else this.#giveUp();
    });
  }

  // silence is how long the server was not heard, in milliseconds.
  get silence() {
    return Math.round(now() - this.#heard);
  }

  #giveUp() {
    this.end(new TimeoutError(this.silence));
  }

  // end closes the connection, unless it has ended, without waiting for the
  // server, which may be gone. What was sent before is still transmitted.
  end(reason) {
    if (this.ended) return;
    this.ended = true;
    this.#open = false;
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = () => {}; // in Node an error needs a listener
    socket.close(NORMAL);
    const lost = reason instanceof ClosedError ? reason : new DisconnectedError(true, reason);
    const unsent = lost.sent ? new DisconnectedError(false, reason) : lost;
    for (const call of this.#queue.keys()) call.settle(unsent);
    for (const call of this.#pending.values()) call.settle(lost);
    for (const abort of this.#tasks.values()) abort(reason);
    Object.values(this.#timers).forEach(clearTimeout);
    this.#events.end(reason);
  }
}
