// A server for tests of programs that use the client: it runs beside the client in the same
// process, over WebSockets that are not real. It speaks 3.0.

import { Client } from '../src/client.js';
import { FakeConnection, meet } from './connection.js';
import { socketClass } from './socket.js';
import { FakeTopic } from './topic.js';

export { FakeConnection, FakeTopic };

export class FakeServer {
  signals = [];
  errors = [];
  connections = [];
  offline = false;
  onsubscribe = null;

  #handlers = new Map();
  #sessions = new Map();
  #topics = new Map();
  #clients = [];

  constructor(handlers = {}) {
    for (const [name, handler] of Object.entries(handlers)) this.handle(name, handler);
    this.options = {
      WebSocket: socketClass((socket) => (this.offline ? undefined : meet(this, this.#sessions, socket))),
      negotiate: 'token',
      versions: ['3.0'],
      minBackoff: 1,
      maxBackoff: 10,
      storage: null,
    };
  }

  handle(name, handler) {
    this.#handlers.set(name, handler);
  }

  handler(name) {
    return this.#handlers.get(name);
  }

  client(options) {
    const client = new Client('ws://fake.test/', { ...this.options, ...options });
    this.#clients.push(client);
    return client;
  }

  signal(name, data) {
    for (const connection of [...this.connections]) connection.signal(name, data);
  }

  topic(name) {
    if (!this.#topics.has(name)) this.#topics.set(name, new FakeTopic());
    return this.#topics.get(name);
  }

  cut() {
    for (const connection of [...this.connections]) connection.cut();
  }

  restart() {
    for (const connection of [...this.connections]) {
      connection.cut();
      connection.end();
    }
    for (const topic of this.#topics.values()) topic.restart();
  }

  goOffline() {
    this.offline = true;
    this.cut();
  }

  goOnline() {
    this.offline = false;
  }

  close() {
    for (const client of this.#clients) client.close();
    this.goOffline();
    for (const connection of [...this.connections]) connection.end();
  }
}
