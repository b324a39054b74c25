// A connection to the server: its opening, what comes and goes on it, and its end. In 3.0
// several sockets may carry it, one after the other. It ends once, and for good.

import { Liveness } from './alive.js';
import { GOING_AWAY } from './backoff.js';
import { later } from './call.js';
import {
  ACCEPT_CONF, ACK, CANCEL, DRAIN, GAP, HEARTBEAT, HELLO, ITEM, REQUEST, SUBSCRIBE, UNSUBSCRIBE, WELCOME,
  compose, counted, little, parse,
} from './codec.js';
import {
  ClosedError, CloseError, DisconnectedError, MalformedError, QueueFullError, ShutdownError, TimeoutError, VersionError, WebWireError,
} from './errors.js';
import { Ledger } from './ledger.js';
import { agreed } from './negotiate.js';
import { Payload } from './payload.js';
import { Requests } from './requests.js';
import { CREDIT as FIRST_CREDIT } from './stream.js';
import { CANCELLED, REQUESTS, serve } from './tasks.js';

const OPEN = 1;
const NORMAL = 1000; // ends the connection
const LOST = 4000; // ends the socket
const SURVIVES = /1006|1012|3001/; // ends of a socket after which the connection goes on: it broke, the server restarts, the credentials expired

const GRACE = 1_000; // for a server that shuts down to close the connection
const NO_CLOSE = 1_000; // after an error that the browser lets no close follow

// What follows is of 3.0.
const ACK_DELAY = 1_000;
const NO_REF = 2 ** 32 - 1; // of no subscription
const SETTLE = 2_000; // for the server to say what it has, before the client moves
const FRESH = 0; // the outcomes of a hello
const GAPS = 2;
const TAKEN = 5;

const unopened = (cause) => new MalformedError('the server did not open the connection', cause);

export class Connection {
  version; // that is spoken, once it is open
  negotiated; // the server selected a token: it is no older one
  ended = false;
  used = false; // the client has it: it may go on if its socket is lost
  holding = true; // requests that waited for the connection go on waiting
  spread = false; // the client has left at a moment of its own

  #events;
  #expect;
  #spreads = false; // it is to leave at a moment of its own
  #socket;
  #before; // the connection to go on with
  #open = false;
  #away; // why there is no socket
  #limit; // of the length of messages
  #timers = {};
  #requests = new Requests(this);
  #liveness = new Liveness(this);
  #tasks = new Map(); // ids of requests of the server, by how to abort their handlers
  #unread = 0; // answers since the queue became full, or the server acknowledged something
  #subscriptions = new Map(); // by ref
  #ledger = new Ledger();
  #conf; // that of a server of 2.0 or later
  #leaving = false; // the server shuts down, and
  #moving = false; // it is time to go

  // expect is the options of the client. events has the functions open(), received(message)
  // for what is no reply, handler(name) for requests of the server and failed(name, error)
  // for what handlers throw, silent() when the server was not heard for long, answered() when
  // it may be asked again, again(call, error) for a call that was not executed, gap(missed)
  // when signals of the server are lost, away(reason) when a socket is lost and the connection
  // is not, resumed(connection, missed) when this socket carries the connection before, and
  // end(reason, unacknowledged), which is called once and synchronously, after the requests in
  // flight have failed; unacknowledged is how many signals may be lost, undefined if neither
  // end has lost any.
  constructor(WebSocket, url, plan, expect, events, before) {
    this.#expect = expect;
    this.#events = events;
    this.#before = before;
    this.#attach(new WebSocket(url, plan.tokens), plan);
  }

  #attach(socket, plan) {
    this.#socket = socket;
    let failure;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#connected(plan);
    socket.onmessage = ({ data }) => this.#received(data);
    const close = ({ code, reason }) => this.#lose(new CloseError(code, reason, failure));
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

  // resumable is for how many milliseconds the connection outlives its socket.
  get resumable() {
    return this.used && this.#expect.autoconnect ? this.#ledger.lasts : 0;
  }

  // held tells whether nothing may be sent now that is not in flight: the server is asked
  // whether it is there, or shuts down.
  get held() {
    return this.#liveness.quiet || (this.#leaving && this.#expect.autoconnect);
  }

  // queued is how many bytes wait to be sent, or to be acknowledged.
  get queued() {
    return Math.max(this.#socket.bufferedAmount, this.#ledger.size) + this.#requests.bytes;
  }

  get modern() {
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
    } else if (this.modern) {
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
      const resume = this.#before?.ended === false ? this.#before.#ledger.hello() : [];
      const payload = new Payload([resume.length && 1, ...little(0, 4), ...little(FIRST_CREDIT, 4), ...little(REQUESTS, 2), ...resume]);
      this.#socket.send(this.compose(HELLO, { head: { credentials }, payload }));
    } catch (error) {
      this.end(new WebWireError('no credentials', error));
    }
  }

  #ready() {
    this.#before?.end(this.#before.#away);
    clearTimeout(this.#timers.conf);
    this.#open = true;
    if (this.negotiated) this.#liveness.watch(this.#events.silent);
    this.#events.open();
  }

  #received(data) {
    this.#liveness.heard();
    const message = typeof data === 'string' ? { error: new MalformedError('text message') } : parse(this.version, new Uint8Array(data));
    if (this.modern) {
      if (message.error instanceof MalformedError) {
        this.end(message.error);
        return;
      }
      if (counted(message.type)) {
        const again = this.#ledger.repeated;
        if (this.#ledger.count(data.byteLength)) this.#ack();
        else this.#timers.ack ??= later(ACK_DELAY, () => this.#ack());
        if (again) return;
      }
    }
    const { type, id, payload } = message ?? {};
    if (!this.#open || (type === ACCEPT_CONF && this.version === '1.2')) {
      this.#accept(message);
    } else if (type === REQUEST) {
      this.#serve(message);
    } else if (type === CANCEL) {
      this.#tasks.forEach((asked, abort) => asked === id && abort(new WebWireError('cancelled by the server'), CANCELLED));
    } else if (type === ACK) {
      this.#unread = 0;
      this.#try(() => this.#ledger.free(message.received));
      this.idle();
    } else if (message?.ref) {
      this.#subscriptions.get(message.ref)?.take(message);
    } else if (type === GAP) {
      this.#events.gap(message.lost || undefined);
    } else if (type === DRAIN) {
      this.#drain(message);
    } else if (type === ITEM) {
      this.#try(() => this.#requests.stream(id)?.add(payload));
    } else if (id !== undefined) {
      if (message.error instanceof ShutdownError) this.#leaving = true;
      this.#requests.answer(message, this.#events);
      this.idle();
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
      this.#welcomed(conf);
      return;
    }
    this.#configure(conf);
    if (!this.modern) this.#ready();
  }

  #configure(conf) {
    this.#conf = conf;
    this.#limit = conf.longest || undefined; // zero if it does not say
    this.#requests.most = conf.requests ?? Infinity;
    this.#liveness.configure(conf.readTimeout);
  }

  #welcomed(welcome) {
    const { outcome } = welcome;
    const before = this.#before;
    if (outcome > TAKEN) {
      this.end(new WebWireError('the server cannot resume now'));
    } else if (outcome === FRESH || outcome > GAPS) {
      this.#ledger.open(welcome);
      this.#ready();
    } else if (before && !before.ended) {
      before.#resume(this, welcome);
    } else {
      this.end(unopened());
    }
  }

  // resume goes on with the socket that another connection has opened.
  #resume(opened, welcome) {
    let missed;
    try {
      missed = this.#ledger.resume(welcome);
    } catch (error) {
      this.end(error);
      opened.end(error);
      return;
    }
    opened.ended = true;
    opened.#clear();
    this.#clear();
    this.#attach(opened.#socket);
    this.#events = opened.#events;
    this.#configure(opened.#conf);
    this.#liveness.heard();
    this.#away = undefined;
    this.#leaving = this.#moving = this.spread = false;
    this.#open = true;
    for (const message of this.#ledger.again()) this.#socket.send(message);
    this.#requests.repeat();
    this.#liveness.watch(this.#events.silent);
    if (missed) [...this.#subscriptions.values()].forEach((each) => each.doubt());
    this.#events.resumed(this, missed);
  }

  // drain moves to another socket at a random moment, once nothing is in flight, or when it is
  // high time.
  #drain({ spread, grace }) {
    if (!this.#expect.autoconnect) return;
    const last = grace * 0.9;
    const wait = Math.random() * spread;
    this.#spreads = wait && wait <= last;
    this.#later('leave', Math.min(wait, last), () => {
      this.#leaving = this.#moving = true;
      this.idle();
    });
    this.#later('limit', last, () => this.#leave());
  }

  // leave leaves a server that shuts down.
  #leave() {
    const reason = new CloseError(GOING_AWAY, 'the server is shutting down');
    this.spread = this.#moving && this.#spreads;
    if (this.#moving) this.#lose(reason);
    else this.#abandon(reason);
  }

  request(call, type, message) {
    this.#requests.add(call, type, message);
  }

  // subscribe lets a subscription take the messages of a ref.
  subscribe(call, subscription, ref, payload) {
    this.#subscriptions.set(ref, subscription);
    this.request(call, SUBSCRIBE, { payload });
  }

  // unsubscribe tells the server that a ref is not used any more.
  unsubscribe(ref, keep) {
    if (!this.#subscriptions.has(ref)) return;
    if (!keep) this.#subscriptions.delete(ref);
    if (this.modern) this.#cut(ref);
  }

  // nudge sends what changes nothing, if the server acknowledges that, and reports whether it
  // does. To close a session that is not there could close one that is created meanwhile.
  nudge() {
    const { lasts } = this.#ledger;
    if (lasts) this.#cut(NO_REF);
    return lasts;
  }

  #cut(ref) {
    this.say(UNSUBSCRIBE, { payload: new Payload(little(ref, 4)) });
  }

  // idle ends a connection that only the requests in flight keep.
  idle() {
    if (this.#requests.count || !this.#open) return;
    if (this.#liveness.hopeless) {
      this.giveUp();
    } else if (this.#moving) {
      if (this.#tasks.size) return;
      if (this.#ledger.size) this.#timers.settle ??= later(SETTLE, () => this.#leave());
      else this.#leave();
    } else if (this.#leaving && !this.#timers.limit) {
      this.#later('leave', GRACE, () => this.#leave()); // published servers keep such a connection open for ever
    }
  }

  compose(type, message) {
    return compose(this.version, type, message, this.#limit);
  }

  // send sends what has no reply. Without a socket it is sent later if it is counted, or not
  // at all.
  send(type, message, call) {
    const bytes = this.compose(type, message);
    if (counted(type)) this.#ledger.keep(bytes, call);
    if (!this.usable) return;
    this.#socket.send(bytes);
    this.#liveness.wrote();
    if (this.#ledger.due) this.#ack();
  }

  // say sends what nobody misses if the connection is about to end.
  say(type, message) {
    if (this.#open || this.#away) this.send(type, message);
  }

  // try ends the connection if the server does what it must not.
  #try(run) {
    try {
      run();
    } catch (error) {
      this.end(error);
    }
  }

  // beat sends a heartbeat.
  beat() {
    if (this.modern) this.#ack();
    else this.say(HEARTBEAT);
  }

  #ack() {
    clearTimeout(this.#timers.ack);
    this.#timers.ack = undefined;
    this.say(ACK, { id: this.#ledger.acknowledge() });
  }

  // serve executes a request of the server. A server that keeps to the protocol has at most
  // REQUESTS in flight: it reads an answer before there are more.
  async #serve(message) {
    const { handler, failed } = this.#events;
    const { name } = message;
    const { maxQueue } = this.#expect;
    const say = (...answer) => {
      this.say(...answer);
      this.#unread = this.queued > maxQueue ? this.#unread + 1 : 0;
      if (this.#unread > REQUESTS) this.end(new QueueFullError(maxQueue));
    };
    await serve(this.#tasks, say, message, handler(name), (error) => failed(name, error));
    this.idle();
  }

  get silence() {
    return this.#liveness.silence;
  }

  // verify finds out whether the connection is still there.
  verify(key, serious) {
    if (this.#open) this.#liveness.verify(key, serious, this.#requests.wanted, this.#events.answered);
  }

  // suspend gives up the socket if the connection can be resumed. Chromium would close it when
  // the page goes on, with a status by which the server takes the page to be gone.
  suspend() {
    if (this.#open && this.resumable) this.#lose(new WebWireError('the page is frozen'));
  }

  giveUp() {
    this.#lose(new TimeoutError(this.silence));
  }

  // lose gives up the socket, and with it the connection if that cannot go on without.
  #lose(reason) {
    const { code = 1006 } = reason;
    if (!this.#open || !this.resumable || !((this.#moving && code === GOING_AWAY) || SURVIVES.test(code))) {
      this.#abandon(reason);
      return;
    }
    this.#away = reason;
    this.#detach(LOST);
    this.#later('window', this.resumable, () => this.end(reason));
    this.#events.away(reason);
  }

  // abandon ends a connection with which signals may be lost: those without an ack.
  #abandon(reason) {
    if (this.#ledger.signals) this.#away = reason;
    this.end(reason);
  }

  #clear() {
    Object.values(this.#timers).forEach(clearTimeout);
    this.#timers = {};
    this.#liveness.stop();
  }

  // detach gives up the socket without waiting for the server, which may be gone. What was
  // sent before is still transmitted.
  #detach(status) {
    this.#open = false;
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = () => {}; // in Node an error needs a listener
    socket.close(status);
    this.#clear();
  }

  // end ends the connection, unless it has ended.
  end(reason) {
    if (this.ended) return;
    this.ended = true;
    this.#detach(this.#before?.ended === false ? LOST : NORMAL);
    const lost = reason instanceof ClosedError ? reason : new DisconnectedError(true, reason);
    this.#requests.end(lost, this.#events.again);
    const subscriptions = this.#subscriptions;
    this.#subscriptions = new Map();
    subscriptions.forEach((each) => each.subscribe()); // on the next connection
    this.#tasks.forEach((_, abort) => abort(reason));
    this.#events.end(reason, this.#away && this.#ledger.signals);
  }
}
