// What a client knows of its session. The key outlives connections, and in a storage
// the page as well; other tabs may change it there.

import { backoff } from './backoff.js';
import { Call } from './call.js';
import { RESTORE_SESSION } from './codec.js';
import {
  ClosedError, DisconnectedError, MalformedError, SessionNotFoundError, SessionsDisabledError, ShutdownError,
  TimeoutError, TooLongError, WebWireError,
} from './errors.js';
import { Payload } from './payload.js';

// parseSession reads a session object: that of 1.2, that of later versions, or one
// that is both (sections 3.4 and 4.3 of PROTOCOL.md).
function parseSession(payload) {
  try {
    const o = payload.json();
    const key = o.k ?? o.key;
    const created = new Date(o.c ?? o.crt);
    if (key && typeof key === 'string' && !isNaN(created)) {
      return Object.freeze({ key, created, lastSeen: new Date(o.l ?? created), info: o.i ?? o.inf ?? null });
    }
  } catch {
    // what follows says it
  }
  throw new MalformedError('not a session');
}

// After these a connection is of no use: whether it has the session is not known,
// or will not be for long.
const ENDING = [ClosedError, DisconnectedError, MalformedError, ShutdownError, TimeoutError];
// After these the same question on the same connection has the same answer.
const LASTING = [SessionsDisabledError, TooLongError];

const isOne = (error, types) => types.some((type) => error instanceof type);

// gone is why a request is not sent if its session no longer exists, and why a connection
// is ended if it has a session that the client has given up: only a new connection makes
// the server forget it too.
export const gone = () => new WebWireError('the session is gone');

export class SessionState {
  #keys;
  #options;
  #tell;
  #changed; // is called when a request that changes the session has ended, and when it is given up
  #session = null;
  #active = false; // the connection has it
  #changes = 0; // of the key, by this client
  waived = 0; // calls of closeSession that found none: no restoreSession before them counts
  #closing = 0; // requests to close it that wait for their reply
  #closed = false; // meanwhile the server said that it is closed
  #restoring; // calls that wait for the outcome of restoring the kept session, while it is in flight
  #retries = 0; // how often that failed on the connection
  #failure; // the name of the error of the last time
  #timer;
  #held; // a session that the server created or updated while the kept one is restored, and
  #asked; // whether that was asked for: then it goes before one that cannot be restored now

  // tell dispatches an event.
  constructor(keys, options, tell, changed) {
    this.#changed = changed;
    this.#keys = keys;
    this.#options = options;
    this.#tell = tell;
  }

  // key is that of the session that the connection has.
  get key() {
    return this.#active ? this.#session.key : undefined;
  }

  // Without a connection it is the session that is going to be restored.
  current(connected) {
    return this.#active || !connected ? this.#session : null;
  }

  // probeKey is a key that can be restored without any effect, if there is one.
  get probeKey() {
    return this.#closing ? undefined : this.key;
  }

  get keptKey() {
    return this.#keys.load();
  }

  // awaits tells whether the session of a key is still to be restored.
  awaits(key) {
    return !this.#active && this.keptKey === key;
  }

  // restore restores the kept session on a connection, if there is one to restore, and
  // lets the caller, if there is one, have the outcome. For a new connection it calls ready
  // unless the connection ends: if the session cannot be restored for the moment, it goes
  // on trying.
  restore(connection, timeout, caller, ready) {
    const key = this.keptKey;
    if (this.#session && this.#session.key !== key) {
      // Another tab signed out, or in with a new session.
      this.#session = null;
      this.#tell('sessionclosed');
    }
    if (!key) {
      caller?.settle(new SessionNotFoundError());
      ready?.();
      return;
    }
    if (this.#restoring) { // two at a time would count twice at some servers
      this.#restoring.push(caller);
      return;
    }
    clearTimeout(this.#timer);
    const callers = this.#restoring = [caller];
    const changes = this.#changes;
    const call = new Call((failure, payload) => {
      let error = failure;
      let useless = isOne(error, ENDING);
      let adopt; // a session that was created meanwhile takes the place of the kept one
      const given = this.#changes !== changes;
      if (!error) {
        try {
          const session = parseSession(payload);
          if (given || this.keptKey !== key) throw gone();
          // An update that overtook this reply is the newer one.
          this.#session = this.#held?.key === key ? this.#held : session;
          this.#active = true;
          this.#held = undefined;
          if (this.#failure) this.#tell('sessionrestored', { session: this.#session });
          this.#failure = undefined;
        } catch (reason) {
          error = reason;
          useless = true;
        }
      } else if (!useless) {
        const unknown = error instanceof SessionNotFoundError;
        adopt = given || unknown || this.#asked;
        if (!given && unknown) this.#gone(key);
        else if (!given && !(this.#asked && this.#held)) this.#failed(error, connection, timeout);
      }
      this.#restoring = undefined;
      if (useless) connection.end(error);
      else ready?.();
      for (const each of callers) each?.settle(error);
      if (adopt) this.#adopt(this.#held);
    }, timeout + connection.resumable); // the socket may be lost before the answer comes
    this.#asked = !ready;
    connection.request(call, RESTORE_SESSION, { payload: Payload.from(key) });
  }

  // change sends a request that changes the session. It goes on if the caller gives up,
  // because both ends have to agree on the session: if there is no outcome the connection is
  // given up.
  change(caller, connection, timeout, type, key, apply) {
    const call = new Call((failure, payload) => {
      let error = failure;
      let useless = error instanceof TimeoutError;
      try {
        apply(error, payload);
      } catch (reason) {
        error = reason;
        useless = true;
      }
      caller.settle(error);
      if (useless) connection.end(error);
      this.#changed();
    }, timeout);
    connection.request(call, type, { payload: Payload.from(key) });
  }

  #gone(key) {
    this.#unset();
    this.#keys.drop(key);
    this.#tell('sessionclosed');
  }

  // failed keeps the key and tries again: the server may not have noticed yet that
  // the connection before was lost, or its store may fail for the moment.
  #failed(error, connection, timeout) {
    if (this.#failure !== error.name) this.#tell('sessionerror', { error });
    this.#failure = error.name;
    if (isOne(error, LASTING)) return;
    const pause = backoff(this.#options, this.#retries++, error);
    const again = () => {
      if (this.#active || connection.ended) return;
      if (connection.usable) this.restore(connection, timeout);
      else this.#timer = setTimeout(again, pause); // it may come back
    };
    this.#timer = setTimeout(again, pause);
  }

  // createdByServer takes a session that the server created or, if the client already has its
  // key, updated. An update leaves the storage alone: another tab may have written to it.
  createdByServer(payload) {
    const session = parseSession(payload);
    if (this.#restoring) {
      this.#held = session;
      return;
    }
    if (this.key === session.key) {
      this.#session = session;
      this.#tell('sessionupdated', { session });
      return;
    }
    if (this.#closed) { // should a closeSession fail, that would be too late to tell
      this.#closed = false;
      this.#tell('sessionclosed');
    }
    this.#adopt(session);
  }

  #adopt(session) {
    if (!session) return;
    this.#keep(session);
    this.#tell('sessioncreated', { session });
  }

  // restored takes the session that a restoreSession got, unless one was closed since:
  // waived is what it was before.
  restored(payload, waived) {
    const session = parseSession(payload);
    if (this.waived !== waived) throw gone();
    this.#keep(session);
  }

  #keep(session) {
    this.#session = session;
    this.#active = true;
    this.#held = undefined;
    this.#changes++;
    this.#keys.save(session.key);
  }

  #unset() {
    this.#session = null;
    this.#active = false;
    this.#failure = undefined;
    this.#changes++;
  }

  // forget forgets the session that the connection has, and tells whether there was one.
  #forget() {
    if (!this.#active) return false;
    this.#keys.drop(this.key);
    this.#unset();
    return true;
  }

  // renounce forgets the session although the server is not told. A connection
  // that is just restoring it finds that out.
  renounce() {
    this.waived++;
    this.#unset();
    this.#keys.save(null);
    if (!this.#restoring) this.#adopt(this.#held);
    this.#changed();
  }

  // closedByServer takes note that the server closed the session: because it was
  // asked to, most likely, if it was.
  closedByServer() {
    this.#held = undefined;
    if (!this.#forget()) return;
    if (this.#closing) this.#closed = true;
    else this.#tell('sessionclosed');
  }

  // closeBegins takes note of a closeSession. It returns the function to be called at
  // its end. Where the server does not confirm it by type 22 the reply may be about the
  // session of now or about one that came since: only restoring that tells.
  closeBegins(connection) {
    const { key } = this;
    this.#closing++;
    return (error) => {
      this.#closing--;
      if (this.#closed && error) this.#tell('sessionclosed');
      this.#closed = false;
      if (error) return;
      if (this.key === key) this.#forget();
      else if (this.#active && connection.version !== '1.2') connection.end(gone());
    };
  }

  // lost takes note that the connection is gone.
  lost() {
    clearTimeout(this.#timer);
    this.#active = false;
    this.#retries = 0;
    this.#failure = this.#restoring = this.#held = undefined;
  }
}
