// A server that does what a test says, at the other end of fake WebSockets.

import { mock } from 'node:test';
import { Clock, settled } from './clock.js';

// The bundle is tested as the source is.
export const webwire = await import(process.env.WEBWIRE_MODULE ?? '../../src/index.js');

const { Client } = webwire;

export const text = (bytes) => new TextDecoder().decode(bytes);
export const bytes = (...parts) => Uint8Array.from(parts.flatMap((p) => (typeof p === 'string' ? [...new TextEncoder().encode(p)] : p)));
export const ID = (n) => [n, 0, 0, 0, 0, 0, 0, 0];
export const CONF = bytes(23, 2, 0, 0x60, 0xea, 0, 0, 0, 0x20, 0, 0); // 60 s, 8192 bytes

export const CONF3 = bytes([23, 3, 0, 0x60, 0xea, 0, 0, 0, 0x20, 0, 0, 0, 0, 1, 0, 16, 0]); // the same, 16 requests at once
export const WELCOME = bytes([25], Array(59).fill(0));

const little = (n, size) => Array.from({ length: size }, (_, i) => Math.floor(n / 256 ** i) % 256);

// welcome returns one that says more: lasts is the window in milliseconds.
export const welcome = (outcome, { id = 1, secret = 2, lasts = 120_000, received = 0, from = 1, late = 0 } = {}) => bytes(
  [25, outcome], Array(16).fill(id), Array(16).fill(secret), little(lasts, 4), little(0, 4), little(received, 8), little(from, 8), little(late, 2),
);

// parsed takes a message of the client apart. Heads of 3.0 are left as they are.
function parsed(message, modern) {
  const type = message[0];
  const at = [63, 64, 65].includes(type) ? 1 : 9;
  if (modern && type >= 63) {
    const size = message[at] + 256 * message[at + 1];
    const head = message.slice(at + 2, at + 2 + size);
    if (type >= 191) return { type, id: [...message.slice(1, 9)], head, payload: message.slice(at + 2 + size) };
    return { ...parsed(bytes([...message.slice(0, at)], [...message.slice(at + 2 + size)])), head };
  }
  if (type === 33) return { type };
  if (type >= 63 && type <= 65) {
    return { type, name: text(message.slice(2, 2 + message[1])), payload: message.slice(2 + message[1]) };
  }
  const id = [...message.slice(1, 9)];
  if (type < 63) return { type, id, payload: message.slice(9) };
  return { type, id, name: text(message.slice(10, 10 + message[9])), payload: message.slice(10 + message[9]) };
}

export class FakeSocket extends EventTarget {
  readyState = 0;
  bufferedAmount = 0;
  protocol = '';
  sent = []; // messages of the client that were not taken
  closedWith = undefined;
  alive = () => false; // whether to answer a request about the session by itself

  constructor(server, url, protocols) {
    super();
    this.url = url;
    this.protocols = protocols;
    this.conf = server.conf;
    this.conf3 = server.conf3;
    this.welcome = server.welcome;
    server.sockets.push(this);
    for (const type of ['open', 'message', 'error', 'close']) {
      this.addEventListener(type, (event) => this[`on${type}`]?.(event));
    }
  }

  #event(type, fields) {
    this.dispatchEvent(Object.assign(new Event(type), fields));
  }

  // What the client does.

  send(message) {
    if (this.readyState !== 1) throw new Error('send() on a socket that is not open');
    if (this.#modern && message[0] === 24) {
      this.hello = message.slice();
      return;
    }
    this.sent.push(message.slice());
    if (message[0] !== 31 && message[0] !== 32) return;
    const question = parsed(message);
    if (this.alive(question)) {
      this.sent.pop();
      queueMicrotask(() => this.#answer(question));
    }
  }

  // answer answers a question whether the server is there.
  #answer({ type, id, payload }) {
    if (type === 31) this.say(191, id, this.#head);
    else this.say(192, id, this.#head, session(text(payload)));
  }

  close(code) {
    this.closedWith ??= code;
    this.readyState = 2; // the server may be silent
  }

  // What the server does.

  // start opens the socket, and no more.
  start(protocol = this.protocols?.[0] ?? '') {
    this.protocol = protocol;
    this.readyState = 1;
    this.#event('open');
  }

  async open(protocol = this.protocols?.[0] ?? '') {
    this.start(protocol);
    if (protocol === 'webwire-2.0') this.say(this.conf);
    if (this.#modern) {
      this.say(this.conf3);
      await settled();
      if (this.readyState === 1) this.say(this.welcome);
    }
    await settled();
  }

  say(...message) {
    const { buffer } = bytes(...message.map((m) => (m instanceof Uint8Array ? [...m] : m)));
    this.#event('message', { data: buffer });
  }

  sayText(data) {
    this.#event('message', { data });
  }

  drop(code = 1006, reason = '', message = undefined) {
    this.readyState = 3;
    this.#event('error', { message });
    this.#event('close', { code, reason });
  }

  get #modern() {
    return this.protocol === 'webwire-3.0';
  }

  get #head() {
    return this.#modern ? [0, 0] : [];
  }

  // take returns the next message of the client, taken apart, but for the acks of 3.0.
  take() {
    let message;
    do message = this.sent.shift(); while (message?.[0] === 8);
    return message && parsed(message, this.#modern);
  }

  reply(request, payload = '') {
    this.say(192, request.id, this.#head, payload);
  }
}

export class FakeServer {
  sockets = [];
  asked = []; // requests for the metadata
  conf = CONF;
  conf3 = CONF3;
  welcome = WELCOME;
  refusal; // of the browser to connect
  ask; // returns what is answered, instead of the metadata
  answers = {}; // by method, instead of the metadata
  metadata = { 'protocol-version': '1.2', versions: ['2.0', '1.2'] };

  constructor(t) {
    this.clock = new Clock(t);
    this.t = t;
    const server = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocols) {
        if (server.refusal) throw server.refusal;
        super(server, url, protocols);
      }
    };
    const { fetch } = globalThis;
    globalThis.fetch = async (url, options) => {
      this.asked.push({ url, ...options });
      options.signal.throwIfAborted();
      const aborted = new Promise((_, reject) => {
        options.signal.addEventListener('abort', () => reject(options.signal.reason));
      });
      const answer = await Promise.race([this.ask?.() ?? this.answers[options.method] ?? this.metadata, aborted]);
      if (answer instanceof Error) throw answer;
      return answer instanceof Response ? answer.clone() : Response.json(answer);
    };
    // Pauses are as long as they may be.
    const random = mock.method(Math, 'random', () => 1);
    t.after(() => {
      random.mock.restore();
      globalThis.fetch = fetch;
    });
  }

  client(options, url = 'http://example.com/api') {
    const client = new Client(url, { WebSocket: this.WebSocket, ...options });
    const events = [];
    for (const type of [
      'signal', 'sessioncreated', 'sessionupdated', 'sessionclosed', 'sessionrestored', 'connected', 'disconnected', 'connectfailed',
      'resumed', 'gap',
    ]) {
      client.addEventListener(type, (event) => events.push(type === 'signal' ? `signal ${event.name}` : type));
    }
    client.events = () => events.splice(0);
    for (const method of ['connect', 'request', 'restoreSession', 'closeSession']) {
      client[method] = (...args) => {
        const promise = Client.prototype[method].apply(client, args);
        promise.catch(() => {}); // a test may look at it only later
        return promise;
      };
    }
    this.t.after(() => client.close());
    return client;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  // connected returns a client that is, and its socket.
  async connected(options) {
    const client = this.client(options);
    const connecting = client.connect();
    await settled();
    await this.socket.open();
    await connecting;
    client.events();
    return client;
  }

  // outcome returns what becomes of a promise without waiting: its value or error,
  // undefined if there is none yet.
  static async outcome(promise) {
    let result;
    promise.then((value) => { result = { value }; }, (error) => { result = { error }; });
    await settled();
    return result;
  }
}

export const { outcome } = FakeServer;

// storage is like localStorage.
export function storage(items = {}) {
  return {
    items,
    getItem: (item) => items[item] ?? null,
    setItem(item, value) {
      items[item] = value;
    },
    removeItem(item) {
      delete items[item];
    },
  };
}

export const session = (key, info = null) => JSON.stringify({ k: key, c: '2026-01-02T03:04:05.123456789+01:00', i: info });
