// What a client knows of its session. The key outlives connections, and in a storage
// the page as well; other tabs may change it there.

import { Call } from './call.js';
import { RESTORE_SESSION } from './codec.js';
import {
  ClosedError, DisconnectedError, MalformedError, SessionNotFoundError, ShutdownError, TimeoutError,
} from './errors.js';
import { Payload } from './payload.js';

// parseSession reads a session object: that of 1.2, that of later versions, or one
// that is both (sections 3.4 and 4.3 of PROTOCOL.md).
export function parseSession(payload) {
  let o;
  try {
    o = payload.json();
  } catch {
    // the check below tells
  }
  const key = o?.k ?? o?.key;
  if (typeof key !== 'string' || !key) throw new MalformedError('not a session');
  const created = new Date(o.c ?? o.crt);
  return Object.freeze({ key, created, lastSeen: new Date(o.l ?? created), info: o.i ?? o.inf ?? null });
}

// After these a connection is of no use: whether it has the session is not known,
// or will not be for long.
const ENDING = [ClosedError, DisconnectedError, MalformedError, ShutdownError, TimeoutError];

export class SessionState {
  #keys;
  #tell;
  #session = null;
  #active = false; // the connection has it
  #closing = 0; // requests to close it that wait for their reply
  #closed = false; // meanwhile the server said that it is closed

  // tell dispatches an event.
  constructor(keys, tell) {
    this.#keys = keys;
    this.#tell = tell;
  }

  get active() {
    return this.#active;
  }

  // Without a connection it is the session that is going to be restored.
  current(connected) {
    return this.#active || !connected ? this.#session : null;
  }

  // probe is a key that can be restored without any effect, if there is one.
  get probe() {
    return this.#active && !this.#closing ? this.#session.key : undefined;
  }

  get keptKey() {
    return this.#keys.load();
  }

  // prepare restores the session on a new connection, if there is one to restore,
  // and calls ready unless the connection ends.
  prepare(connection, timeout, ready) {
    const key = this.#keys.load();
    if (this.#session && this.#session.key !== key) {
      // Another tab signed out, or in with a new session.
      this.#session = null;
      this.#tell('sessionclosed');
    }
    if (!key) {
      ready();
      return;
    }
    const call = new Call({
      resolve: (payload) => this.#restored(connection, key, payload) && ready(),
      reject: (error) => {
        if (ENDING.some((type) => error instanceof type)) {
          connection.end(error);
          return;
        }
        // For other reasons the key is kept: the next connection tries again.
        if (error instanceof SessionNotFoundError) {
          this.#session = null;
          this.#keys.drop(key);
          this.#tell('sessionclosed');
        }
        ready();
      },
    }, timeout, () => call.reject(new TimeoutError(timeout)));
    connection.request(call, RESTORE_SESSION, { payload: Payload.from(key) });
  }

  #restored(connection, key, payload) {
    try {
      const session = parseSession(payload);
      // Only a new connection makes the server forget it too.
      if (this.#keys.load() !== key) throw new DisconnectedError(true, new Error('session given up while it was restored'));
      this.#session = session;
      this.#active = true;
      return true;
    } catch (error) {
      connection.end(error);
      return false;
    }
  }

  // keep takes a session that the connection got from the server.
  keep(payload) {
    const session = parseSession(payload);
    this.#session = session;
    this.#active = true;
    this.#keys.save(session.key);
    return session;
  }

  // forget forgets the session, and tells whether there was one.
  forget() {
    if (!this.#active) return false;
    this.#keys.drop(this.#session.key);
    this.#session = null;
    this.#active = false;
    return true;
  }

  // renounce forgets the session although the server is not told. A connection
  // that is just restoring it finds that out.
  renounce() {
    this.#session = null;
    this.#keys.save(null);
  }

  // closedByServer takes note that the server closed the session: because it was
  // asked to, most likely, if it was.
  closedByServer() {
    if (!this.forget()) return;
    if (this.#closing) this.#closed = true;
    else this.#tell('sessionclosed');
  }

  closeBegins() {
    this.#closing++;
  }

  closeEnds(error) {
    this.#closing--;
    if (this.#closed && error) this.#tell('sessionclosed');
    if (error || !this.#closing) this.#closed = false;
    if (!error) this.forget();
  }

  // lost takes note that the connection is gone.
  lost() {
    this.#active = false;
  }
}
