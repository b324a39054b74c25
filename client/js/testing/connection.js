// The server's end of a connection (section 11 of PROTOCOL.md).

import {
  ACCEPT_CONF, CANCEL, CLOSE_SESSION, CREDIT, FAILURE, HELLO, ITEM, REPLY, REQUEST, RESTORE_SESSION, SESSION_CLOSED,
  SESSION_CREATED, SIGNAL, SUBSCRIBE, UNSUBSCRIBE, WELCOME, compose, little, number, parse,
} from '../src/codec.js';
import { DisconnectedError, MalformedError, WebWireError } from '../src/errors.js';
import { Payload, composed } from '../src/payload.js';
import { CANCELLED, serve } from '../src/tasks.js';

const VERSION = '3.0';
const READ_TIMEOUT = 60_000;
const REQUESTS = 65_535; // of the client at once
const NOT_FOUND = 3; // the code of the failure of a restore
const UNSUPPORTED = 9;
const ITEM_OVERHEAD = 64; // bytes that an item counts besides its payload
const NORMAL = 1000;
const PROTOCOL_ERROR = 1002;

export class FakeConnection {
  session = null;

  #server;
  #sessions; // of the server, by key
  #socket;
  #credit = 0; // of a stream that has not raised it
  #limits = new Map(); // of streams, by id
  #tasks = new Map();
  #pending = new Map(); // requests to the client
  #lastId = 0;

  constructor(server, sessions, socket) {
    this.#server = server;
    this.#sessions = sessions;
    this.#socket = socket;
    server.connections.push(this);
  }

  signal(name, data) {
    this.#say(SIGNAL, composed(name, data));
  }

  request(name, data) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#pending.set(id, { resolve, reject });
      this.#say(REQUEST, { id, ...composed(name, data) });
    });
  }

  createSession(info = null) {
    if (this.session) throw new WebWireError('the connection has a session already');
    const now = new Date();
    this.session = { key: crypto.randomUUID(), created: now, lastSeen: now, info };
    this.#sessions.set(this.session.key, this.session);
    this.#say(SESSION_CREATED, { payload: written(this.session) });
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
    this.#say(SESSION_CLOSED);
  }

  close(code = NORMAL, reason = '') {
    this.#socket.drop(code, reason);
  }

  cut() {
    this.#socket.drop();
  }

  #say(type, message) {
    this.#socket.say(compose(VERSION, type, message));
  }

  // ended is called when the socket has ended.
  ended() {
    const { connections } = this.#server;
    const i = connections.indexOf(this);
    if (i >= 0) connections.splice(i, 1);
    const reason = new DisconnectedError(true);
    for (const { reject } of this.#pending.values()) reject(reason);
    for (const abort of this.#tasks.values()) abort(reason, CANCELLED);
  }

  // received is called with each message of the client. There are no topics.
  received(message) {
    const [type] = message;
    const rest = message.subarray(9);
    if (type === HELLO) {
      const head = number(message.subarray(1, 3));
      this.#hello(message.subarray(3 + head));
    } else if (type === CREDIT) {
      this.#raise(String(message.subarray(1, 9)), number(rest));
    } else if (type === SUBSCRIBE) {
      this.#say(FAILURE, { id: String(message.subarray(1, 9)), payload: new Payload(Uint8Array.of(UNSUPPORTED, 0)) });
    } else if (type === CLOSE_SESSION || type === RESTORE_SESSION) {
      this.#askedOfSession(type, String(message.subarray(1, 9)), new Payload(rest, 'utf8').text());
    } else if (type !== UNSUBSCRIBE) {
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
      this.#tasks.get(id)?.(new WebWireError('cancelled by the client'), CANCELLED);
    } else if (type === REPLY) {
      const { resolve, reject } = this.#pending.get(id) ?? {};
      this.#pending.delete(id);
      if (message.error) reject?.(message.error);
      else resolve?.(message.payload);
    }
  }

  // hello opens the connection: a new one, that ends with its socket.
  #hello(body) {
    this.#credit = number(body.subarray(5, 9));
    const conf = [3, 0, ...little(READ_TIMEOUT, 4), ...little(0, 4), ...little(0, 4), ...little(REQUESTS, 2)];
    this.#say(ACCEPT_CONF, { payload: new Payload(Uint8Array.from(conf)) });
    this.#say(WELCOME, { payload: new Payload(new Uint8Array(59)) });
  }

  #askedOfSession(type, id, key) {
    if (type === CLOSE_SESSION) {
      const { session } = this;
      this.session = null;
      this.#sessions.delete(session?.key);
      this.#say(REPLY, { id });
      for (const other of this.#server.connections) {
        if (session && other.session?.key === session.key) other.#lose();
      }
      return;
    }
    const session = this.#sessions.get(key);
    if (!session) {
      this.#say(FAILURE, { id, payload: new Payload(Uint8Array.of(NOT_FOUND, 0)) });
      return;
    }
    this.session = session;
    this.#say(REPLY, { id, payload: written(session) });
  }

  #serve(message) {
    const handler = this.#server.handler(message.name);
    const answered = (type, answer) => {
      this.#limits.delete(message.id);
      this.#say(type, answer);
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
        this.#say(ITEM, { id, payload });
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
