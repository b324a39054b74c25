// The client: a connection that is made when it is needed and made again when it is
// lost, and those who wait for it.

import { Pauses, permanent } from './backoff.js';
import { Call, later, now } from './call.js';
import { CLOSE_SESSION, REQUEST, RESTORE_SESSION, SESSION_CLOSED, SESSION_CREATED, SIGNAL } from './codec.js';
import { Connection } from './connection.js';
import { ClosedError, DisconnectedError, QueueFullError, SessionNotFoundError, TimeoutError, WebWireError } from './errors.js';
import { Keys } from './keys.js';
import { negotiate, resolve } from './negotiate.js';
import { complete } from './options.js';
import { HEADER, composed } from './payload.js';
import { SessionState, gone } from './session.js';
import { Stream } from './stream.js';
import { Subscription } from './subscription.js';
import { Waiting } from './waiting.js';
import { watchWake } from './wake.js';

const LONG_SILENCE = 10_000;

export class Client extends EventTarget {
  #url; // as it was given: only when it is needed there must be a base for a relative one
  #options;
  #session;
  #handlers = new Map(); // of requests of the server

  #status = 'disconnected';
  #run; // what #maintain does, undefined if it does not
  #failure; // why the last attempt to connect failed
  #gaveUp = false; // that was final, until connect() is called
  #bare = false; // an endpoint that says nothing did not take tokens
  #plan; // how to connect, from the metadata; undefined to ask for it
  #connection; // that can be used
  #since; // when it began to
  #pauses;
  #waiting = new Waiting();
  #lost; // the gap that is about to be told

  constructor(url, options = {}) {
    super();
    new URL(url, 'ws://localhost'); // throws if it cannot be one
    this.#url = url;
    const o = complete(options);
    for (const name in o) {
      if (name.startsWith('on')) this.addEventListener(name.slice(2), o[name]);
    }
    this.#options = o;
    this.#pauses = new Pauses(o);
    const keys = new Keys(o.storage, () => o.storageKey ?? `webwire:${resolve(this.#url)}`);
    this.#session = new SessionState(keys, o, (...event) => this.#tell(...event), () => this.#flush());
  }

  get status() {
    return this.#status;
  }

  get session() {
    return this.#session.current(this.#connection);
  }

  async connect(options) {
    return this.#call(options, 0, (call) => call.settle(), true);
  }

  async request(name, payload, options) {
    const message = composed(name, payload, options);
    return this.#call(options, message.size, (call, connection) => connection.request(call, REQUEST, message));
  }

  stream(name, payload, options) {
    return this.#items(composed(name, payload, options), options);
  }

  async* #items(message, { timeout = Infinity, ...options } = {}) {
    const stream = new Stream();
    const outcome = this.#call({ ...options, timeout, stream }, message.size, (call, connection) => {
      connection.request(call, REQUEST, message);
    });
    yield* stream.read(outcome);
  }

  subscribe(topic, options = {}) {
    const { timeout } = options;
    return new Subscription(topic, options, this.#options, (start, done, renewed, size) => (
      this.#enter({ timeout, renewed }, size, start, false, done)
    )).read();
  }

  handle(name, handler) {
    this.#handlers.set(name, handler);
  }

  signal(name, payload, options) {
    const message = composed(name, payload, options);
    if (!this.#lasting) {
      this.#demand();
      throw new DisconnectedError(false, this.#failure);
    }
    // What cannot be sent is refused now, although it may have to wait.
    if (!this.#usable() || this.#connection.held) this.#connection.compose(SIGNAL, message);
    this.#enter({ timeout: Infinity }, message.size, (call, connection) => {
      connection.send(SIGNAL, message);
      call.settle();
    }, false, (error) => {
      // It will not be sent: one more in the gap that is about to be told, if there is one.
      if (error && this.#lost) this.#lost.unacknowledged++;
      else if (error) this.#gap(0, 1);
    });
  }

  async restoreSession(key = this.#session.keptKey, options) {
    this.#refuseClosed();
    if (!key) throw new SessionNotFoundError();
    const session = this.#session;
    const { waived } = session;
    return this.#call(options, 0, (caller, connection) => {
      if (session.key === key) caller.settle();
      else if (session.awaits(key)) session.restore(connection, this.#patience(options), caller);
      else session.change(caller, connection, this.#patience(options), RESTORE_SESSION, key, (error, payload) => error || session.restored(payload, waived));
    });
  }

  async closeSession(options) {
    this.#refuseClosed();
    const session = this.#session;
    const { key } = session;
    if (this.#lasting && key) {
      return this.#call(options, 0, (caller, connection) => {
        if (session.key === key) {
          session.change(caller, connection, this.#patience(options), CLOSE_SESSION, undefined, session.closeBegins(connection));
        } else {
          // While it waited the connection was lost, and this one has another session, or none.
          if (session.awaits(key)) session.renounce();
          caller.settle();
        }
      });
    }
    session.renounce();
    if (key) this.#connection?.end(gone()); // the server believes in it
    return undefined;
  }

  disconnect() {
    this.#stop(new WebWireError('disconnect() was called'));
  }

  close() {
    this.#setStatus('closed');
    this.#stop(new ClosedError());
  }

  // Calls, with a connection or waiting for one.

  #usable() {
    return this.#connection?.usable ? this.#connection : undefined;
  }

  // lasting tells whether there is a connection on which what is sent now gets to the server,
  // sooner or later.
  get #lasting() {
    return this.#usable() || this.#connection?.resumable;
  }

  // call lets start make a request on the connection, at once if there is one, so that
  // messages are sent in the order of calls.
  #call(options, bytes, start, explicit) {
    return new Promise((resolve, reject) => {
      const done = (error, value, failed) => (failed ? reject(error) : resolve(value));
      this.#enter(options, bytes, start, explicit, done);
    });
  }

  #enter({ signal, timeout = this.#options.timeout, stream, renewed } = {}, bytes, start, explicit, done) {
    signal?.throwIfAborted();
    const connection = this.#usable();
    if (!connection) this.#demand(explicit);
    const direct = connection && (explicit || !connection.held);
    this.#admit(bytes, direct ? connection.queued : this.#waiting.bytes);
    const call = new Call(done, timeout, () => this.#late(call, timeout), signal);
    if (stream) {
      call.stream = stream;
      stream.call = call;
    }
    Object.assign(call, { start, explicit, renewed, bytes, during: this.#connection, owner: bytes ? this.session?.key : undefined });
    if (direct) start(call, connection);
    else this.#waiting.add(call);
    return call;
  }

  #refuseClosed() {
    if (this.#status === 'closed') throw new ClosedError();
  }

  // demand sees to it that there will be a connection, and throws if there will not.
  #demand(explicit) {
    this.#refuseClosed();
    if (explicit) this.#gaveUp = false;
    else if (this.#gaveUp || !this.#options.autoconnect) throw new DisconnectedError(false, this.#failure);
    this.#start();
  }

  #flush() {
    this.#waiting.flush(this.#usable(), this.#session);
  }

  #admit(bytes, queued) {
    const { maxQueue } = this.#options;
    if (bytes && queued && queued + bytes > maxQueue) throw new QueueFullError(maxQueue);
  }

  #late(call, timeout) {
    const waiting = this.#waiting.has(call);
    const why = waiting && (this.#failure ?? new Error(`${this.#connection ? 'the session, or leaving the server,' : 'connecting'} takes longer`));
    call.settle(new TimeoutError(timeout, why, !waiting && call.sent));
    if (!waiting && this.#connection?.silence >= LONG_SILENCE) this.#verify(true);
  }

  // patience is how long a request that changes the session may take: at least as
  // long as its caller waits.
  #patience(options) {
    return Math.max(this.#options.timeout, options?.timeout ?? 0);
  }

  // The connection.

  #start() {
    if (this.#run) return;
    const run = {}; // stopped, whether it was, attempt, an AbortController, and skipPause
    this.#run = run;
    this.#setStatus('connecting');
    this.#maintain(run);
  }

  // stop ends the connection, or the making of it, so that a new one can be begun at once.
  #stop(reason) {
    const run = this.#run;
    if (!run) return;
    run.stopped = true;
    this.#connection?.end(reason);
    run.attempt?.abort(reason);
    run.skipPause?.();
    this.#ended(run, reason); // unless the connection has told that
  }

  // maintain connects, and connects again whenever the connection ended, until the
  // client is closed, gives up, or shall connect but once.
  async #maintain(run) {
    const unwatch = watchWake((serious) => this.#woke(serious), () => this.#connection?.suspend());
    for (;;) {
      await this.#pauses.pause(run); // if only for a moment, so that nothing fails before it waits
      if (this.#run === run) await this.#connectOnce(run);
      if (this.#run !== run) break;
    }
    unwatch();
  }

  // connectOnce makes one connection and returns when it has ended.
  async #connectOnce(run) {
    const { WebSocket = globalThis.WebSocket, dialTimeout, maxQueue } = this.#options;
    const attempt = new AbortController();
    const { signal } = attempt;
    run.attempt = attempt;
    const timer = later(dialTimeout, () => {
      attempt.abort(new TimeoutError(dialTimeout, new Error('the server does not answer')));
    });
    try {
      const url = resolve(this.#url);
      if (!WebSocket) throw new TypeError('webwire: no WebSocket, pass it as an option');
      this.#plan ??= await negotiate(url, signal, this.#options, this.#bare);
      signal.throwIfAborted();
      this.#debug('connecting', url.origin + url.pathname, this.#plan);
      await new Promise((over) => {
        const early = [];
        let bytes = 0;
        let connection = new Connection(WebSocket, url.href, this.#plan, this.#options, {
          open: () => {
            clearTimeout(timer);
            this.#session.restore(connection, dialTimeout, undefined, () => this.#ready(connection, early));
          },
          received: (message) => {
            if (message.type !== SIGNAL || this.#connection === connection) {
              this.#received(connection, message);
            } else if (!message.error) {
              // Signals that come before the connection can be used are told after that.
              early.push(message);
              bytes += HEADER + message.payload.bytes.length;
              if (bytes > maxQueue) connection.end(new QueueFullError(maxQueue));
            }
          },
          handler: (name) => this.#handlers.get(name),
          failed: (name, error) => this.#tell('handlererror', { name, error }),
          silent: () => this.#verify(false),
          answered: (closed) => {
            if (closed && this.#session.key) connection.end(gone());
            else this.#flush();
          },
          again: (call, error) => {
            // A call that was not executed waits for the next connection, in its place.
            call.sent = false;
            if (error && !this.#options.autoconnect) call.settle(error);
            else if (!call.over) this.#waiting.restore(call);
          },
          gap: (missed) => this.#gap(missed),
          away: (reason) => {
            this.#ended(run, reason, connection, true);
            over();
          },
          resumed: (before, missed) => {
            clearTimeout(timer);
            connection = before;
            this.#begins();
            this.#tell('resumed');
            if (missed) this.#gap(missed);
            this.#flush();
          },
          end: (reason, unacknowledged) => {
            this.#ended(run, reason, connection, false, unacknowledged);
            over();
          },
        }, this.#connection);
        signal.addEventListener('abort', () => connection.end(signal.reason));
      });
    } catch (error) {
      this.#ended(run, error);
    } finally {
      clearTimeout(timer);
    }
  }

  // ready tells that the connection can be used. Its listeners come first, then the
  // requests that waited.
  #ready(connection, early) {
    this.#connection = connection;
    connection.used = true;
    this.#begins();
    const holds = [];
    this.#tell('connected', { waitUntil: (promise) => holds.push(promise) }, async () => {
      while (holds.length) await Promise.allSettled(holds.splice(0));
      connection.holding = false;
      this.#flush();
    });
    for (const message of early) this.#received(connection, message);
  }

  #begins() {
    this.#since = now();
    this.#failure = undefined;
    this.#setStatus('connected');
  }

  #received(connection, { type, name, payload, meta = [], trace = {}, error }) {
    if (type === SESSION_CREATED) {
      try {
        this.#session.createdByServer(payload);
      } catch (malformed) {
        connection.end(malformed); // the server believes in a session that we do not know
      }
    } else if (!error) {
      if (type === SIGNAL) this.#tell('signal', { name, payload, meta, trace });
      if (type === SESSION_CLOSED) this.#session.closedByServer();
    }
  }

  // ended takes note, once, that a connection or its socket ended, or could not be made.
  #ended(run, reason, connection, resumable, unacknowledged) {
    if (this.#run !== run) return;
    const kept = this.#connection;
    const used = kept && kept === connection;
    const before = this.#failure;
    if (!used) {
      if (this.#plan?.guessed && !kept) this.#bare = !this.#bare;
      this.#plan = undefined;
    }
    this.#failure = reason;
    this.#gaveUp = !run.stopped && permanent(reason, before);
    const again = !run.stopped && !this.#gaveUp && this.#options.autoconnect;
    if (used) this.#pauses.lasted(this.#since, reason);
    if (again || this.#gaveUp) this.#pauses.failed(reason, connection?.spread);
    else this.#pauses.skip();
    const goesOn = again && kept && (resumable || !used);
    if (kept && !used && !goesOn) {
      kept.end(reason);
      return;
    }
    if (goesOn) this.#setStatus('resuming');
    else this.#setStatus(again ? 'connecting' : 'disconnected');
    if (!used && again) this.#tell('connecterror', { error: reason });
    if (goesOn) return;
    this.#connection = undefined;
    this.#session.lost();
    if (!again) this.#run = undefined;
    if (used) this.#tell('disconnected', { reason });
    if (this.#gaveUp) this.#tell('connectfailed', { error: reason });
    if (unacknowledged !== undefined) this.#gap(undefined, unacknowledged);
    if (again) return;
    const lost = reason instanceof ClosedError ? reason : new DisconnectedError(false, reason);
    this.#waiting.fail(lost, run.stopped ? lost : reason);
  }

  #woke(serious) {
    const skip = this.#run?.skipPause;
    if (!skip) this.#verify(serious);
    else if (serious) skip();
  }

  #verify(serious) {
    this.#connection?.verify(this.#session.probeKey, serious);
  }

  // Events.

  #gap(missed, unacknowledged = 0) {
    this.#lost = { missed, unacknowledged };
    this.#tell('gap', this.#lost);
  }

  #setStatus(status) {
    if (this.#status === 'closed' || this.#status === status) return;
    this.#status = status;
    this.#tell('statuschange', { status });
  }

  // tell dispatches an event once the client is in its new state, whatever it is
  // doing now, so that listeners may call everything. Then it calls after.
  #tell(type, fields = {}, after) {
    queueMicrotask(() => {
      this.#debug(type, fields.error ?? fields.reason ?? fields.status ?? fields.name ?? '');
      if (fields === this.#lost) this.#lost = undefined;
      this.dispatchEvent(Object.assign(new Event(type), fields));
      after?.();
      this.#flush();
    });
  }

  // debug tells developers what happens. Keys of sessions, payloads and the query of
  // the URL are not theirs.
  #debug(...what) {
    const { debug } = this.#options;
    if (debug) (typeof debug === 'function' ? debug : console.debug)('webwire:', ...what);
  }
}
