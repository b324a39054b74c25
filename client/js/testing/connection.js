// The server's end of a connection (section 11 of PROTOCOL.md). Several sockets may carry it,
// one after the other.

import {
  ACCEPT_CONF, ACK, CANCEL, CLOSE_SESSION, CREDIT, ERROR_REPLY, FAILURE, GAP, ITEM, REPLY, REQUEST, RESTORE_SESSION,
  SESSION_CLOSED, SESSION_CREATED, SIGNAL, SUBSCRIBE, UNSUBSCRIBE, compose, counted, isOwn, little, number, parse,
} from '../src/codec.js';
import { DisconnectedError, MalformedError, WebWireError } from '../src/errors.js';
import { Payload, composed } from '../src/payload.js';
import { Ledger, hello } from './ledger.js';
import { CANCELLED, serve } from '../src/tasks.js';

const VERSION = '3.0';
const READ_TIMEOUT = 60_000;
const REQUESTS = 65_535; // of the client at once
const INTERNAL = 2; // codes of failures
const NOT_FOUND = 3;
const ITEM_OVERHEAD = 64; // bytes that an item counts besides its payload
const NORMAL = 1000;
const LEFT = 1001;
const PROTOCOL_ERROR = 1002;

// meet waits for the hello on a socket, which makes a connection or goes on with one, and then
// lets the connection have what comes.
export function meet(server, sessions, socket) {
  let connection;
  return {
    received(message) {
      if (connection) {
        connection.received(socket, message);
        return;
      }
      const { credit, proof, received } = hello(message);
      connection = server.connections.find((each) => each.proof === proof) ?? new FakeConnection(server, sessions, credit);
      connection.carry(socket, proof, received);
    },
    ended: (code) => connection?.lose(socket, code),
  };
}

export class FakeConnection {
  session = null;

  #server;
  #sessions; // of the server, by key
  #socket; // undefined while the client is away
  #credit; // of a stream that has not raised it
  #ledger = new Ledger();
  #limits = new Map(); // of streams, by id
  #tasks = new Map();
  #pending = new Map(); // requests to the client
  #lastId = 0;
  #refs = new Map(); // topics that the client has subscribed to, by ref

  constructor(server, sessions, credit) {
    this.#server = server;
    this.#sessions = sessions;
    this.#credit = credit;
    server.connections.push(this);
  }

  get away() {
    return !this.#socket;
  }

  get proof() {
    return String(this.#ledger.proof);
  }

  // carry opens the connection on a socket, or goes on with it.
  carry(socket, proof, received) {
    const before = this.#socket;
    this.#socket = socket;
    before?.drop(); // the client has given it up
    const conf = [3, 0, ...little(READ_TIMEOUT, 4), ...little(0, 4), ...little(0, 4), ...little(REQUESTS, 2)];
    socket.say(compose(VERSION, ACCEPT_CONF, { payload: new Payload(Uint8Array.from(conf)) }));
    const messages = proof === this.proof ? this.#ledger.resume(received) : [this.#ledger.welcome(proof !== undefined)];
    for (const message of messages) socket.say(message);
  }

  signal(name, data) {
    this.answer(SIGNAL, composed(name, data));
  }

  gap(missed) {
    this.send([GAP, ...little(0, 4), ...little(missed, 8), ...little(0, 16)]);
  }

  request(name, data) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#pending.set(id, { resolve, reject });
      this.answer(REQUEST, { id, ...composed(name, data) });
    });
  }

  createSession(info = null) {
    if (this.session) throw new WebWireError('the connection has a session already');
    const now = new Date();
    this.session = { key: crypto.randomUUID(), created: now, lastSeen: now, info };
    this.#sessions.set(this.session.key, this.session);
    this.answer(SESSION_CREATED, { payload: written(this.session) });
    return this.session;
  }

  closeSession() {
    const key = this.session?.key;
    if (!key) return;
    this.#sessions.delete(key);
    for (const connection of this.#server.connections) {
      if (connection.session?.key === key) connection.#lose();
    }
  }

  #lose() {
    this.session = null;
    this.answer(SESSION_CLOSED);
  }

  close(code = NORMAL, reason = '') {
    const socket = this.#socket;
    this.end();
    socket?.drop(code, reason);
  }

  cut() {
    this.#socket?.drop();
  }

  answer(type, message) {
    this.send(compose(VERSION, type, message));
  }

  // send sends a message, now or when the client is back.
  send(message) {
    const bytes = Uint8Array.from(message);
    this.#ledger.keep(bytes);
    this.#socket?.say(bytes);
  }

  // lose is called when a socket has ended. The connection goes on, unless the client ended it.
  lose(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    if (code === NORMAL || code === LEFT) this.end();
  }

  // end ends the connection.
  end() {
    this.#socket = undefined;
    const { connections } = this.#server;
    const i = connections.indexOf(this);
    if (i >= 0) connections.splice(i, 1);
    for (const topic of this.#refs.values()) topic.drop(this);
    this.#refs.clear();
    const reason = new DisconnectedError(true);
    for (const { reject } of this.#pending.values()) reject(reason);
    for (const abort of this.#tasks.keys()) abort(reason, CANCELLED);
  }

  // received is called with each message of the client.
  received(socket, message) {
    if (socket !== this.#socket) return;
    const [type] = message;
    const rest = message.subarray(9);
    if (counted(type)) this.answer(ACK, { id: this.#ledger.count() });
    if (type === ACK) {
      this.#ledger.free(number(message.subarray(1)));
    } else if (type === CREDIT) {
      this.#raise(String(message.subarray(1, 9)), number(rest));
    } else if (type === SUBSCRIBE) {
      this.#subscribe(String(message.subarray(1, 9)), rest);
    } else if (type === UNSUBSCRIBE) {
      const ref = number(message.subarray(1));
      this.#refs.get(ref)?.drop(this, ref);
      this.#refs.delete(ref);
    } else if (type === CLOSE_SESSION || type === RESTORE_SESSION) {
      this.#askedOfSession(type, String(message.subarray(1, 9)), new Payload(rest, 'utf8').text());
    } else {
      const parsed = parse(VERSION, message);
      if (parsed.error instanceof MalformedError) {
        this.#server.errors.push(parsed.error);
        this.close(PROTOCOL_ERROR, parsed.error.message);
      } else {
        this.#parsed(parsed);
      }
    }
  }

  #parsed({ type, id, ...message }) {
    if (type === REQUEST) {
      this.#serve({ id, ...message });
    } else if (type === SIGNAL) {
      const { name, payload, meta, trace } = message;
      this.#server.signals.push({ name, payload, meta, trace, connection: this });
    } else if (type === CANCEL) {
      this.#tasks.forEach((asked, abort) => asked === id && abort(new WebWireError('cancelled by the client'), CANCELLED));
    } else if (type === REPLY) {
      const { resolve, reject } = this.#pending.get(id) ?? {};
      this.#pending.delete(id);
      if (message.error) reject?.(message.error);
      else resolve?.(message.payload);
    }
  }

  async #subscribe(id, body) {
    const name = new Payload(body.subarray(21), 'utf8').text();
    const [ref, epoch, offset] = [[0, 4], [5, 13], [13, 21]].map((range) => number(body.subarray(...range)));
    const topic = this.#server.topic(name);
    this.#refs.set(ref, topic);
    try {
      await this.#server.onsubscribe?.(name, this);
      if (this.#refs.has(ref)) topic.subscribe(this, id, { ref, flags: body[4], epoch, offset });
      else this.answer(REPLY, { id, payload: new Payload(new Uint8Array(16)) }); // the client has left meanwhile
    } catch (error) {
      this.#refs.delete(ref);
      if (isOwn(error)) {
        this.answer(ERROR_REPLY, { id, name: error.code, payload: Payload.from(error.message) });
        return;
      }
      this.#server.errors.push(error);
      this.answer(FAILURE, { id, payload: new Payload(Uint8Array.of(INTERNAL, 0)) });
    }
  }

  #askedOfSession(type, id, key) {
    if (type === CLOSE_SESSION) {
      const { session } = this;
      this.session = null;
      this.#sessions.delete(session?.key);
      this.answer(REPLY, { id });
      for (const other of this.#server.connections) {
        if (session && other.session?.key === session.key) other.#lose();
      }
      return;
    }
    const session = this.#sessions.get(key);
    if (!session) {
      this.answer(FAILURE, { id, payload: new Payload(Uint8Array.of(NOT_FOUND, 0)) });
      return;
    }
    this.session = session;
    this.answer(REPLY, { id, payload: written(session) });
  }

  #serve(message) {
    const handler = this.#server.handler(message.name);
    const answered = (type, answer) => {
      this.#limits.delete(message.id);
      this.answer(type, answer);
    };
    const run = handler && (async (payload, request) => {
      const { signal } = request;
      // A handler that goes on after its request is over keeps nothing waiting.
      const over = new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
      const result = await Promise.race([handler(payload, { ...request, connection: this }), over]);
      return result?.[Symbol.asyncIterator] ? this.#stream(message.id, result, over) : result;
    });
    serve(this.#tasks, answered, message, run, (error) => this.#server.errors.push(error));
  }

  // stream sends the items of a streamed reply, as fast as the client takes them, until over
  // rejects.
  async #stream(id, items, over) {
    const flow = { limit: this.#credit, wake() {} };
    this.#limits.set(id, flow);
    const iterator = items[Symbol.asyncIterator]();
    try {
      for (let sent = 0; ;) {
        const { done, value } = await Promise.race([iterator.next(), over]);
        if (done) return undefined;
        const payload = Payload.from(value);
        while (sent >= flow.limit) {
          const raised = new Promise((resolve) => {
            flow.wake = resolve;
          });
          await Promise.race([raised, over]);
        }
        sent += ITEM_OVERHEAD + payload.bytes.length;
        this.answer(ITEM, { id, payload });
      }
    } finally {
      iterator.return?.().catch(() => {}); // nobody waits for it
    }
  }

  #raise(id, limit) {
    const flow = this.#limits.get(id);
    if (!flow) return;
    flow.limit = limit;
    flow.wake();
  }
}

// written returns a session as servers write it.
const written = ({ key, created, lastSeen, info }) => Payload.from({ k: key, c: created, l: lastSeen, i: info });
