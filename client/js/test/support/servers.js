// The contract server, and what can be put between it and a client.

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Program, ROOT, built } from './programs.js';

const source = './internal/check/interop/contractserver';

// goMissing says why the contract server cannot be built, false if it can.
export async function goMissing() {
  if (!existsSync(join(ROOT, source))) return 'the contract server is not here: this is not a checkout of the repository';
  try {
    await promisify(execFile)('go', ['version']);
    return false;
  } catch {
    return 'there is no Go to build the contract server with';
  }
}

// build returns the contract server, and how to remove it.
export async function build() {
  const dir = await mkdtemp(join(tmpdir(), 'webwire-'));
  return { path: built(dir, source), remove: () => rm(dir, { recursive: true, force: true }) };
}

// Server is a contract server that runs.
export class Server {
  static async start(path, version, addr = '127.0.0.1:0') {
    const server = new Server();
    server.program = await Program.start(path, ['--addr', addr, '--version', version], /^LISTENING (\S+)/, { stdio: ['ignore', 'pipe', 'ignore'] });
    server.addr = server.program.where;
    return server;
  }

  // kill ends it without good-byes.
  kill() {
    return this.program.kill();
  }
}

// Relay passes connections on to a server, until it does not.
export class Relay {
  #target;
  #server;
  #sockets = new Set(); // both ends of all connections
  #passing = new Set(); // those that are not swallowed
  #port = 0;

  static async start(target) {
    const relay = new Relay();
    relay.#target = target;
    await relay.up();
    return relay;
  }

  get addr() {
    return `127.0.0.1:${this.#port}`;
  }

  async up() {
    this.#server = net.createServer((socket) => {
      const [host, port] = this.#target.split(':');
      const out = net.connect({ host, port: Number(port) });
      for (const s of [socket, out]) {
        this.#sockets.add(s);
        this.#passing.add(s);
        s.on('error', () => {});
        s.on('close', () => this.#sockets.delete(s) && this.#passing.delete(s));
      }
      socket.on('close', () => this.#passing.has(out) && out.destroy());
      out.on('close', () => this.#passing.has(socket) && socket.destroy());
      socket.pipe(out);
      out.pipe(socket);
    });
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = this.#server.address().port;
  }

  // down ends all connections, and refuses new ones.
  async down() {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  // cut ends all connections, and goes on to take new ones.
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  // swallow lets whatever is sent on the connections of now disappear, and that one of
  // their ends closed them, as when the device changed its network.
  swallow() {
    for (const socket of this.#passing) {
      socket.unpipe();
      socket.resume();
    }
    this.#passing.clear();
  }
}
