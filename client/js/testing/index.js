// A server for tests of programs that use the client: it runs beside the client in the same
// process, over WebSockets that are not real. It speaks 3.0; its connections end with their
// sockets.

import { Client } from '../src/client.js';
import { FakeConnection } from './connection.js';
import { socketClass } from './socket.js';

export { FakeConnection };

export class FakeServer {
  signals = [];
  errors = [];
  connections = [];
  offline = false;

  #handlers = new Map();
  #sessions = new Map();
  #clients = [];

  constructor(handlers = {}) {
    for (const [name, handler] of Object.entries(handlers)) this.handle(name, handler);
    this.options = {
      WebSocket: socketClass((socket) => (this.offline ? undefined : new FakeConnection(this, this.#sessions, socket))),
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

  cut() {
    for (const connection of [...this.connections]) connection.cut();
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
  }
}
