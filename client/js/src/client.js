// The client: a connection that is made when it is needed and made again when it is
// lost, and those who wait for it.

import { Call, MAX_DELAY } from './call.js';
import { CLOSE_SESSION, REQUEST, RESTORE_SESSION, SESSION_CLOSED, SESSION_CREATED, SIGNAL } from './codec.js';
import { Connection } from './connection.js';
import {
  ClosedError, DisconnectedError, QueueFullError, SessionNotFoundError, TimeoutError, VersionError,
} from './errors.js';
import { Keys, defaultStorage } from './keys.js';
import { VERSIONS, metadata, offer, plan, speak } from './negotiate.js';
import { Payload } from './payload.js';
import { SessionState } from './session.js';
import { watchWake } from './wake.js';

const EVENTS = ['signal', 'sessioncreated', 'sessionclosed', 'connected', 'disconnected', 'connectfailed', 'statuschange'];

const HEADER = 12; // bytes that a message may have besides name and payload
const LONG_SILENCE = 10_000;
const MAX_RETRY_AFTER = 600_000; // what a server may ask for
const GROWTH = 3; // of the pause between attempts to connect
const GOING_AWAY = 1001; // the status of a server that shuts down

export class Client extends EventTarget {
  #url;
  #options;
  #session;

  #status = 'disconnected';
  #running = false; // #maintain is
  #failure; // why the last attempt to connect failed
  #gaveUp = false; // that was final, until connect() is called
  #plan; // how to connect, from the metadata; undefined to ask for it
  #answered = false; // the endpoint has metadata
  #attempt; // AbortController of the connection that is made or in use
  #connection; // that can be used
  #since; // when it began to
  #skipPause;

  #waiting = new Set(); // calls for whom there was no connection
  #waitingBytes = 0;

  constructor(url, options = {}) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace('http', 'ws');
    this.#url.hash = '';
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const o = {
      WebSocket: globalThis.WebSocket,
      autoconnect: true,
      timeout: 60_000,
      dialTimeout: 10_000,
      minBackoff: 1_000,
      maxBackoff: 10_000,
      maxQueue: 8 << 20,
      versions: VERSIONS,
      negotiate: 'metadata',
      subProtocol: '',
      storage: defaultStorage(),
      storageKey: `webwire:${this.#url}`,
      ...Object.fromEntries(given),
    };
    if (!o.WebSocket) throw new TypeError('webwire: no global WebSocket, pass a class as option WebSocket');
    if (!o.versions.length || !o.versions.every((v) => VERSIONS.includes(v))) throw new TypeError(`webwire: versions are ${VERSIONS}`);
    this.#options = o;
    this.#session = new SessionState(new Keys(o.storage, o.storageKey), (type) => this.#tell(type));
    for (const type of EVENTS) {
      if (o[`on${type}`]) this.addEventListener(type, o[`on${type}`]);
    }
  }

  get status() {
    return this.#status;
  }

  get session() {
    return this.#session.current(this.#connection);
  }

  async connect(options) {
    return this.#call(options, 0, (call) => call.resolve(), true);
  }

  async request(name, payload, options) {
    const message = { name, payload: Payload.from(payload) };
    return this.#call(options, size(message), (call, connection) => connection.request(call, REQUEST, message));
  }

  signal(name, payload) {
    const message = { name, payload: Payload.from(payload) };
    const connection = this.#usable();
    if (!connection) {
      this.#demand();
      throw new DisconnectedError(false, this.#failure);
    }
    this.#admit(size(message));
    connection.signal(message);
  }

  async restoreSession(key = this.#session.keptKey, options) {
    if (!key) throw new SessionNotFoundError();
    return this.#settle(options, RESTORE_SESSION, key, (payload) => this.#session.keep(payload));
  }

  async closeSession(options) {
    if (this.#status === 'closed') throw new ClosedError();
    if (this.#session.active) return this.#settle(options, CLOSE_SESSION);
    this.#session.renounce();
    return undefined;
  }

  close() {
    if (this.#status === 'closed') return;
    this.#setStatus('closed');
    const reason = new ClosedError();
    this.#dismiss(() => reason);
    this.#attempt?.abort(reason);
    this.#skipPause?.();
  }

  // Calls, with a connection or waiting for one.

  #usable() {
    return this.#connection?.usable ? this.#connection : undefined;
  }

  // call lets start make a request on the connection, at once if there is one, so that
  // messages are sent in the order of calls.
  #call({ signal, timeout = this.#options.timeout } = {}, bytes, start, explicit = false) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const connection = this.#usable();
      if (!connection) this.#demand(explicit);
      this.#admit(bytes);
      const call = new Call({ resolve, reject }, timeout, () => this.#late(call, timeout), signal);
      if (connection) {
        start(call, connection);
        return;
      }
      call.start = start;
      call.explicit = explicit;
      call.release = () => {
        // Once: a call that cannot be started is released by #ready, and when it fails.
        if (this.#waiting.delete(call)) this.#waitingBytes -= bytes;
      };
      this.#waiting.add(call);
      this.#waitingBytes += bytes;
    });
  }

  // demand sees to it that there will be a connection, and throws if there will not.
  #demand(explicit = false) {
    if (this.#status === 'closed') throw new ClosedError();
    if (explicit) this.#gaveUp = false;
    else if (this.#gaveUp || !this.#options.autoconnect) throw new DisconnectedError(false, this.#failure);
    this.#start();
  }

  #admit(bytes) {
    const { maxQueue } = this.#options;
    const queued = this.#usable()?.queued ?? this.#waitingBytes;
    if (bytes && queued && queued + bytes > maxQueue) throw new QueueFullError(maxQueue);
  }

  #late(call, timeout) {
    const waiting = this.#waiting.has(call);
    call.reject(new TimeoutError(timeout, waiting ? this.#failure ?? new Error('connecting takes that long') : undefined));
    if (!waiting && this.#connection?.silence >= LONG_SILENCE) this.#connection.verify(this.#session.probe);
  }

  #dismiss(reason) {
    for (const call of [...this.#waiting]) call.reject(reason(call));
  }

  // settle sends a request that changes the session. It goes on if the caller gives
  // up, because both ends have to agree on the session: if there is no outcome the
  // connection is given up.
  #settle(options, type, key, apply = () => {}) {
    const { timeout } = this.#options;
    const closing = type === CLOSE_SESSION;
    return this.#call(options, 0, (caller, connection) => {
      if (closing) this.#session.closeBegins();
      const reject = (error) => {
        if (closing) this.#session.closeEnds(error);
        caller.reject(error);
      };
      const call = new Call({
        resolve: (payload) => {
          try {
            apply(payload);
          } catch (error) {
            reject(error);
            connection.end(error);
            return;
          }
          if (closing) this.#session.closeEnds();
          caller.resolve();
        },
        reject,
      }, timeout, () => {
        const error = new TimeoutError(timeout);
        call.reject(error);
        connection.end(error);
      });
      connection.request(call, type, { payload: Payload.from(key) });
    });
  }

  // The connection.

  #start() {
    if (this.#running) return;
    this.#running = true;
    this.#setStatus('connecting');
    this.#maintain();
  }

  // maintain connects, and connects again whenever the connection ended, until the
  // client is closed, gives up, or shall connect but once.
  async #maintain() {
    const unwatch = watchWake(() => this.#woke());
    let retries = 0;
    for (;;) {
      const { again, reason, lasted } = await this.#connectOnce();
      if (!again) break;
      if (lasted >= this.#stable(reason)) retries = 0;
      await this.#pause(this.#backoff(retries++, reason));
    }
    unwatch();
  }

  // connectOnce makes one connection and returns when it has ended.
  async #connectOnce() {
    const { WebSocket, dialTimeout } = this.#options;
    const attempt = new AbortController();
    const { signal } = attempt;
    this.#attempt = attempt;
    const late = () => attempt.abort(new TimeoutError(dialTimeout, new Error('the server does not answer')));
    const timer = dialTimeout <= MAX_DELAY ? setTimeout(late, dialTimeout) : undefined;
    try {
      if (this.#status === 'closed') throw new ClosedError();
      this.#plan ??= await this.#negotiate(signal);
      signal.throwIfAborted();
      return await new Promise((resolve) => {
        const connection = new Connection(WebSocket, this.#url.href, this.#plan, this.#options, {
          open: () => {
            clearTimeout(timer);
            this.#session.prepare(connection, dialTimeout, () => this.#ready(connection));
          },
          message: (message) => this.#received(connection, message),
          end: (reason) => resolve(this.#ended(reason)),
        });
        signal.addEventListener('abort', () => connection.end(signal.reason));
      });
    } catch (error) {
      return this.#ended(error);
    } finally {
      clearTimeout(timer);
    }
  }

  async #negotiate(signal) {
    const { negotiate, versions } = this.#options;
    if (negotiate === 'token') return offer(versions);
    if (negotiate === 'none') return speak(versions[0], versions);
    let meta;
    try {
      meta = await metadata(this.#url, signal);
      this.#answered ||= Boolean(meta);
    } catch (error) {
      // What browsers forbid looks like a network error. A page may not be allowed to
      // ask a server of another origin, and yet to connect.
      const forbidden = error instanceof TypeError && !this.#answered && versions.includes('2.0');
      if (!forbidden) throw error;
    }
    return plan(meta, versions);
  }

  #ready(connection) {
    this.#connection = connection;
    this.#since = Date.now();
    this.#failure = undefined;
    this.#setStatus('connected');
    this.#tell('connected');
    for (const call of [...this.#waiting]) {
      call.release();
      call.start(call, connection);
    }
  }

  #received(connection, { type, name, payload, error }) {
    switch (type) {
      case SIGNAL:
        if (!error) this.#tell('signal', { name, payload });
        break;
      case SESSION_CREATED:
        try {
          this.#tell('sessioncreated', { session: this.#session.keep(payload) });
        } catch (malformed) {
          connection.end(malformed); // the server believes in a session that we do not know
        }
        break;
      case SESSION_CLOSED:
        if (!error) this.#session.closedByServer();
    }
  }

  // ended takes note that a connection ended, or could not be made, and says
  // whether to try again.
  #ended(reason) {
    const used = this.#connection;
    this.#connection = undefined;
    this.#session.lost();
    if (!used) this.#plan = undefined;
    this.#failure = reason;
    const open = this.#status !== 'closed';
    this.#gaveUp = open && permanent(reason);
    const again = open && !this.#gaveUp && this.#options.autoconnect;
    this.#running = again;
    this.#setStatus(again ? 'connecting' : 'disconnected');
    if (used) this.#tell('disconnected', { reason });
    if (this.#gaveUp) this.#tell('connectfailed', { error: reason });
    if (!again) this.#dismiss((call) => (call.explicit ? reason : new DisconnectedError(false, reason)));
    return { again, reason, lasted: used ? Date.now() - this.#since : 0 };
  }

  #woke() {
    if (this.#skipPause) this.#skipPause();
    else this.#connection?.verify(this.#session.probe);
  }

  // stable is how long a connection must have lasted for the pauses to start anew. A
  // server that goes away in good order is none that fails.
  #stable(reason) {
    const { minBackoff, maxBackoff } = this.#options;
    return reason.code === GOING_AWAY ? minBackoff : maxBackoff;
  }

  // backoff is exponential, with full jitter, so that many clients that lost their
  // server do not come back at once. A server that says when to come back sets the
  // pace, the jitter is ours.
  #backoff(retries, reason) {
    const { minBackoff, maxBackoff } = this.#options;
    let limit = Math.min(minBackoff, maxBackoff);
    for (; retries > 0 && limit * GROWTH <= maxBackoff; retries--) limit *= GROWTH;
    const asked = Math.min(reason.retryAfter ?? 0, MAX_RETRY_AFTER);
    if (asked > 0) limit = Math.min(limit, Math.max(asked, minBackoff));
    return asked + Math.random() * limit;
  }

  async #pause(ms) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(ms, MAX_DELAY));
      this.#skipPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#skipPause = undefined;
  }

  // Events.

  #setStatus(status) {
    if (this.#status === 'closed' || this.#status === status) return;
    this.#status = status;
    this.#tell('statuschange', { status });
  }

  // tell dispatches an event once the client is in its new state, whatever it is
  // doing now, so that listeners may call everything.
  #tell(type, fields) {
    queueMicrotask(() => this.dispatchEvent(Object.assign(new Event(type), fields)));
  }
}

const size = ({ name, payload }) => HEADER + name.length + payload.bytes.length;

// permanent tells whether it makes no sense to try again: a server that speaks
// something else, a URL that browsers refuse.
function permanent(reason) {
  return reason instanceof VersionError || ['SecurityError', 'SyntaxError'].includes(reason.name);
}
