// The client: a connection that is made when it is needed and made again when it is
// lost, the session, and those who wait.

import { Call } from './call.js';
import { CLOSE_SESSION, REQUEST, RESTORE_SESSION, SESSION_CLOSED, SESSION_CREATED, SIGNAL } from './codec.js';
import { Connection } from './connection.js';
import {
  ClosedError, DisconnectedError, ErrorReply, InternalError, MalformedError, QueueFullError, SessionFullError,
  SessionNotFoundError, SessionsDisabledError, TimeoutError, VersionError,
} from './errors.js';
import { VERSIONS, metadata, offer, plan, speak } from './negotiate.js';
import { Payload } from './payload.js';
import { Keys, defaultStorage, parseSession } from './session.js';
import { watchWake } from './wake.js';

const EVENTS = ['signal', 'sessioncreated', 'sessionclosed', 'connected', 'disconnected', 'connectfailed', 'statuschange'];

const HEADER = 12; // bytes at most that a message has besides name and payload
const LONG_SILENCE = 10_000;
const MAX_RETRY_AFTER = 600_000; // what a server may ask for

export class Client extends EventTarget {
  #url;
  #options;
  #keys;

  #status = 'disconnected';
  #running = false; // #maintain is
  #failure; // why the last attempt to connect failed
  #gaveUp = false; // that was final, until connect() is called
  #metadata; // what the endpoint answered, a promise; undefined to ask
  #answered = false; // the endpoint has metadata: it answered once
  #attempt; // AbortController of the connection that is being made or in use
  #connection; // that can be used
  #skipPause;
  #waiting = new Set(); // calls
  #waitingBytes = 0;

  #session = null;
  #active = false; // the connection has the session
  #closing = 0; // calls of closeSession that wait for the server
  #closed = false; // meanwhile the server said that it is closed

  constructor(url, options = {}) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace('http', 'ws');
    this.#url.hash = '';
    const o = {
      WebSocket: globalThis.WebSocket,
      autoconnect: true,
      timeout: 60_000,
      dialTimeout: 10_000,
      minBackoff: 500,
      maxBackoff: 10_000,
      maxQueue: 8 << 20,
      versions: VERSIONS,
      negotiate: 'metadata',
      subProtocol: '',
      storage: defaultStorage(),
      storageKey: `webwire:${this.#url}`,
      ...options,
    };
    if (!o.WebSocket) throw new TypeError('webwire: there is no global WebSocket here, pass one as option WebSocket');
    if (!o.versions.length || !o.versions.every((v) => VERSIONS.includes(v))) {
      throw new TypeError(`webwire: versions are ${VERSIONS}`);
    }
    this.#options = o;
    this.#keys = new Keys(o.storage, o.storageKey);
    for (const type of EVENTS) {
      if (o[`on${type}`]) this.addEventListener(type, o[`on${type}`]);
    }
  }

  get status() {
    return this.#status;
  }

  get session() {
    return this.#active || !this.#connection ? this.#session : null;
  }

  connect(options) {
    return this.#call(options, (call) => call.resolve(), 0, true);
  }

  request(name, payload, options) {
    return this.#payload(payload, (p) => this.#call(options, (call, connection) => {
      connection.request(call, REQUEST, { name, payload: p });
    }, HEADER + name.length + p.bytes.length));
  }

  signal(name, payload) {
    const p = Payload.from(payload);
    const connection = this.#usable();
    if (!connection) {
      const error = this.#unavailable();
      if (!error) this.#start();
      throw error ?? new DisconnectedError(false, this.#failure);
    }
    this.#admit(HEADER + name.length + p.bytes.length);
    connection.signal(name, p);
  }

  restoreSession(key = this.#keys.load(), options) {
    if (!key) return Promise.reject(new SessionNotFoundError());
    return this.#settle(options, RESTORE_SESSION, key, (payload) => {
      this.#keep(parseSession(payload));
    });
  }

  closeSession(options) {
    if (this.#status === 'closed') return Promise.reject(new ClosedError());
    if (!this.#active) {
      this.#keys.save(null); // if it is just being restored that is found out
      this.#session = null;
      return Promise.resolve();
    }
    this.#closing++;
    return this.#settle(options, CLOSE_SESSION, undefined, () => {
      this.#forget();
    }, (error) => {
      this.#closing--;
      if (this.#closed && error) this.#tell('sessionclosed');
      if (error || !this.#closing) this.#closed = false;
    });
  }

  close() {
    if (this.#status === 'closed') return;
    this.#setStatus('closed');
    const reason = new ClosedError();
    for (const call of [...this.#waiting]) call.reject(reason);
    this.#attempt?.abort(reason);
    this.#skipPause?.();
  }
}
