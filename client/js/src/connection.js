// One WebSocket connection: its opening, the requests in flight on it, heartbeats,
// and the question whether it is still there. It ends once, and for good.

import { Call, MAX_DELAY } from './call.js';
import { ACCEPT_CONF, HEARTBEAT, RESTORE_SESSION, SIGNAL, compose, parse } from './codec.js';
import { ClosedError, CloseError, DisconnectedError, MalformedError, TimeoutError, VersionError } from './errors.js';
import { agreed } from './negotiate.js';
import { Payload } from './payload.js';

const OPEN = 1;
const NORMAL = 1000;

const PROBE_TIMEOUT = 5_000;
const ignore = () => {};

export class Connection {
  version; // that is spoken, once it is open
  negotiated; // the server selected a token: it is no older one
  ended = false;

  #events;
  #expect;
  #socket;
  #open = false;
  #limit = 0;
  #heartbeat = 0; // milliseconds of silence before one is due, zero for none
  #timer;
  #pending = new Map(); // calls by id
  #nextId = 1;
  #heard = Date.now();
  #probing = false;
  #doubtful = false; // whether it is there will show when a reply comes or is late

  // expect has what the client speaks: versions and subProtocol. events has the
  // functions open(), message(m) for what is no reply, and end(reason), which is
  // called once and synchronously, after the requests in flight have failed.
  constructor(WebSocket, url, plan, expect, events) {
    this.#expect = expect;
    this.#events = events;
    const socket = plan.tokens.length ? new WebSocket(url, plan.tokens) : new WebSocket(url);
    this.#socket = socket;
    let failure;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#connected(plan);
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onerror = ({ error, message }) => {
      failure = error ?? (message ? new Error(message) : undefined); // browsers say neither
    };
    socket.onclose = ({ code, reason }) => this.end(new CloseError(code, reason, failure));
  }

  // usable tells whether what is sent has a chance to get anywhere.
  get usable() {
    return this.#open && this.#socket.readyState === OPEN;
  }

  // queued is how many bytes wait to be sent.
  get queued() {
    return this.#socket.bufferedAmount;
  }

  #connected(plan) {
    try {
      this.version = agreed(plan, this.#socket.protocol, this.#expect.versions);
    } catch (error) {
      this.end(error);
      return;
    }
    this.negotiated = plan.tokens.length > 0;
    if (this.version === '1.2') this.#ready(); // 2.0 has the server speak first
  }

  #ready() {
    this.#open = true;
    this.#events.open(this);
  }

  #received(data) {
    this.#heard = Date.now();
    this.#doubtful = false;
    let message;
    try {
      if (typeof data === 'string') throw new MalformedError('text message');
      message = parse(this.version, new Uint8Array(data));
    } catch (error) {
      message = { ...error, error }; // with what is known of the message
    }
    if (!this.#open) {
      this.#accept(message);
    } else if (message?.id !== undefined) {
      // Late and duplicate replies find no call.
      const call = this.#pending.get(message.id);
      if (message.error) call?.reject(message.error);
      else call?.resolve(message.payload);
    } else if (message) {
      this.#events.message(message);
    }
  }

  // accept takes the message with which a server of 2.0 opens a connection.
  #accept(conf) {
    const { versions, subProtocol } = this.#expect;
    let reason;
    if (conf?.error || conf?.type !== ACCEPT_CONF) reason = new MalformedError('the server did not open the connection', conf?.error);
    else if (conf.major !== 2) reason = new VersionError([`${conf.major}.${conf.minor}`], versions);
    else if (conf.subProtocol !== subProtocol) reason = new VersionError([`2.0 with sub-protocol "${conf.subProtocol}"`], versions);
    if (reason) {
      this.end(reason);
      return;
    }
    this.#limit = conf.limit;
    this.#heartbeat = Math.min(conf.readTimeout * 0.75, MAX_DELAY);
    this.#beatLater();
    this.#ready();
  }

  // request sends a request of any kind and lets the call have its outcome.
  request(call, type, message) {
    const id = this.#nextId++;
    let bytes;
    try {
      bytes = compose(this.version, type, { ...message, id }, this.#limit);
    } catch (error) {
      call.reject(error);
      return;
    }
    this.#pending.set(id, call);
    call.release = () => {
      this.#pending.delete(id);
      if (this.#doubtful && !this.#pending.size) this.#giveUp();
    };
    this.#send(bytes);
  }

  signal(message) {
    this.#send(compose(this.version, SIGNAL, message, this.#limit));
  }

  #send(bytes) {
    this.#socket.send(bytes);
    this.#beatLater();
  }

  #beatLater() {
    clearTimeout(this.#timer);
    if (!this.#heartbeat) return;
    this.#timer = setTimeout(() => {
      if (this.usable) this.#send(compose(this.version, HEARTBEAT));
    }, this.#heartbeat);
  }

  // verify finds out whether the connection is still there. Pings are out of reach in
  // browsers, so something must be asked that changes nothing. A client with a
  // session restores it once more; published servers would count that as another
  // connection of the session, so they are not asked. Otherwise the requests in
  // flight will show it, and if there is none a new connection does no harm.
  verify(key) {
    if (this.#probing || this.ended) return;
    if (key && this.negotiated) {
      this.#probing = true;
      const asked = Date.now();
      const answered = () => {
        this.#probing = false;
      };
      const call = new Call({ resolve: answered, reject: answered }, PROBE_TIMEOUT, () => {
        call.reject();
        if (this.#heard <= asked) this.#giveUp();
      });
      this.request(call, RESTORE_SESSION, { payload: Payload.from(key) });
    } else if (this.#pending.size) {
      this.#doubtful = true;
    } else {
      this.#giveUp();
    }
  }

  // silence is how long the server was not heard, in milliseconds.
  get silence() {
    return Date.now() - this.#heard;
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
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = ignore; // Node takes an error that nobody listens to badly
    socket.close(NORMAL);
    this.#doubtful = false;
    const lost = reason instanceof ClosedError ? reason : new DisconnectedError(true, reason);
    for (const call of [...this.#pending.values()]) call.reject(lost);
    this.#events.end(reason);
  }
}
