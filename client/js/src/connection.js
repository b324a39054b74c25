// One WebSocket connection: its opening, the requests in flight on it, heartbeats,
// and the question whether it is still there. It ends once, and for good.

import { Call, MAX_DELAY, later } from './call.js';
import { ACCEPT_CONF, CLOSE_SESSION, HEARTBEAT, RESTORE_SESSION, compose, parse } from './codec.js';
import {
  ClosedError, CloseError, DisconnectedError, MalformedError, ShutdownError, TimeoutError, VersionError,
} from './errors.js';
import { agreed } from './negotiate.js';
import { Payload } from './payload.js';

const OPEN = 1;
const NORMAL = 1000;

const SILENCE = 30_000; // after which the server is asked, at the latest
const PROBE_TIMEOUT = 5_000;
const LATE = 1_000; // of a timer: the page was frozen, or the device slept
export const GOING_AWAY = 1001; // the status of a server that shuts down
const GRACE = 1_000; // for a server that shuts down to close the connection
const NO_CLOSE = 1_000; // after an error that the browser lets no close follow
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
  #pending = new Map(); // calls by id
  #nextId = 1;
  #heard = now();
  #doubtful = false; // whether it is there will show when a reply comes or is late
  #leaving = false; // the server shuts down

  // expect has what the client speaks: versions and subProtocol. events has the
  // functions open(), received(message) for what is no reply, silent() when the server was
  // not heard for long, answered() when it may be asked again after quiet, and
  // end(reason), which is called once and synchronously, after the requests in flight
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
    return this.#socket.bufferedAmount;
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
    } else if (!this.negotiated && plan.guessed) {
      // A server of 2.0 speaks first, one that waits for the client never does.
      const ms = this.#expect.dialTimeout / 4;
      this.#later('conf', ms, () => this.end(new TimeoutError(ms, unopened())));
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
    if (!this.#open || (message?.type === ACCEPT_CONF && this.version === '1.2')) {
      this.#accept(message);
    } else if (message?.id !== undefined) {
      // Late and duplicate replies find no call.
      const call = this.#pending.get(message.id);
      // Published servers keep such a connection open for ever.
      if (message.error instanceof ShutdownError) this.#leaving = true;
      call?.settle(message.error, message.payload);
      this.#idle();
    } else if (message) {
      this.#events.received(message);
    }
  }

  // accept takes the message with which a server of 2.0 opens a connection.
  #accept(conf) {
    const { versions, subProtocol } = this.#expect;
    let reason;
    if (this.version === '1.2') reason = new VersionError(['2.0'], versions); // nothing but the metadata, or the user, said 1.2
    else if (conf?.error || conf?.type !== ACCEPT_CONF) reason = unopened(conf?.error);
    else if (conf.major !== 2) reason = new VersionError([`${conf.major}.${conf.minor}`], versions);
    else if (conf.subProtocol !== subProtocol) reason = new VersionError([`2.0 with sub-protocol "${conf.subProtocol}"`], versions);
    if (reason) {
      this.end(reason);
      return;
    }
    this.#limit = conf.longest || undefined; // zero if it does not say
    this.#heartbeat = Math.min(conf.readTimeout * 0.75, MAX_DELAY);
    this.#patience = Math.min(conf.readTimeout / 2 || SILENCE, SILENCE);
    this.#beatLater();
    this.#ready();
  }

  // request sends a request of any kind and lets the call have its outcome.
  request(call, type, message) {
    const id = this.#nextId++;
    this.#pending.set(id, call);
    call.release = () => {
      this.#pending.delete(id);
      this.#idle();
    };
    try {
      this.send(type, { ...message, id });
    } catch (error) {
      call.settle(error);
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

  #beatLater() {
    if (!this.#heartbeat) return;
    this.#later('beat', this.#heartbeat, () => {
      if (this.#socket.readyState === OPEN) this.send(HEARTBEAT);
    });
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
    for (const call of this.#pending.values()) call.settle(lost);
    Object.values(this.#timers).forEach(clearTimeout);
    this.#events.end(reason);
  }
}
