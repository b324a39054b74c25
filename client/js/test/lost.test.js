// What was under way when a socket was lost, or a session ended: nothing is executed twice, under
// another session or out of order, and nothing waits for itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settled } from './support/clock.js';
import { CONF3, FakeServer, bytes, outcome, session, storage, webwire, welcome } from './support/fakes.js';

const { DisconnectedError, TimeoutError } = webwire;
const u16 = (n) => [n % 256, n >> 8];
const conf = (requests = 16) => bytes([...CONF3.slice(0, 15)], u16(requests));

async function connected(t, options, confirmed = conf(), lasts = 120_000) {
  const server = new FakeServer(t);
  server.metadata.versions = ['3.0', '2.0', '1.2'];
  server.conf3 = confirmed;
  server.welcome = welcome(0, { lasts });
  const client = await server.connected({ minBackoff: 100, ...options });
  return { server, client, socket: server.socket };
}

async function next(server, ms = 10_000) {
  const n = server.sockets.length;
  for (let i = 0; i < ms && server.sockets.length === n; i += 10) await server.clock.pass(10);
  assert.equal(server.sockets.length, n + 1, 'a new socket');
  server.socket.start('webwire-3.0');
  await settled();
  return server.socket;
}

async function resumed(server, code, fields) {
  const socket = await next(server);
  socket.say(server.conf3);
  socket.say(welcome(code, fields));
  await settled();
  return socket;
}

test('a request that waits because the server takes no more at once is not executed without its session', async (t) => {
  const { client, socket } = await connected(t, { storage: storage() }, conf(1));
  socket.say(21, session('k1'));
  await settled();
  assert.equal(client.session.key, 'k1');
  client.request('first', 'x');
  const first = socket.take();
  const second = client.request('second', 'x');
  const closing = client.closeSession();
  const close = socket.take();
  assert.equal(close.type, 31);
  socket.reply(close);
  await closing;
  assert.equal(client.session, null);
  socket.say(21, session('k2')); // another user's
  await settled();
  assert.equal(client.session.key, 'k2');
  socket.reply(first);
  await settled();
  assert.equal(socket.take()?.name, undefined, 'it is not sent under another session');
  const { error } = await outcome(second);
  assert.ok(error instanceof DisconnectedError && error.sent === false, String(error));
});

test('a login of waitUntil that is made while the socket is lost does not wait for itself', async (t) => {
  const server = new FakeServer(t);
  server.metadata.versions = ['3.0'];
  server.conf3 = conf();
  server.welcome = welcome(0, { lasts: 120_000 });
  let token;
  const client = server.client({ minBackoff: 100 });
  let login;
  client.addEventListener('connected', (event) => event.waitUntil((async () => {
    await new Promise((resolve) => { token = resolve; });
    login = client.request('login', 'x');
    await login;
  })()));
  const waits = client.request('waits', 'x');
  await settled();
  await server.socket.open();
  await settled();
  assert.equal(client.status, 'connected');
  server.socket.drop();
  await settled();
  assert.equal(client.status, 'resuming');
  token();
  await settled();
  const second = await resumed(server, 1, { received: 0 });
  assert.equal(client.status, 'connected');
  await server.clock.pass(10_000);
  const request = second.take();
  assert.equal(request?.name, 'login', 'the login is sent');
  second.reply(request);
  await settled();
  assert.equal(second.take()?.name, 'waits');
});

test('signals keep their order when a listener of connected holds what waits', async (t) => {
  const server = new FakeServer(t);
  server.metadata.versions = ['3.0'];
  server.conf3 = conf();
  server.welcome = welcome(0, { lasts: 120_000 });
  let ready;
  const client = server.client({ minBackoff: 100 });
  client.addEventListener('connected', (event) => event.waitUntil(new Promise((resolve) => { ready = resolve; })));
  client.connect();
  await settled();
  await server.socket.open();
  await settled();
  server.socket.drop();
  await settled();
  client.signal('a', 'x');
  const second = await resumed(server, 1, { received: 0 });
  client.signal('b', 'x');
  await settled();
  ready();
  await settled();
  assert.deepEqual([second.take()?.name, second.take()?.name], ['a', 'b']);
});

test('disconnect() ends a subscription that waits for its next attempt, and the client stays disconnected', async (t) => {
  const { server, client, socket } = await connected(t, { minBackoff: 1000, maxBackoff: 5000 });
  const loop = client.subscribe('t', { timeout: 300 });
  const first = loop.next();
  await settled();
  const subscribe = socket.take();
  assert.equal(subscribe.type, 34);
  socket.say(191, subscribe.id, [0, 0], Array(16).fill(1).map((_, i) => (i % 8 < 2 ? 1 : 0)));
  await settled();
  socket.drop(1001); // the connection has ended, and there is a pause before the next
  await settled();
  await server.clock.pass(400); // the subscribe is late
  assert.equal(client.status, 'connecting');
  client.disconnect();
  const result = await outcome(first);
  const n = server.sockets.length;
  await server.clock.pass(20_000);
  assert.deepEqual([client.status, server.sockets.length - n], ['disconnected', 0], 'it stays so');
  assert.ok(result?.error instanceof DisconnectedError, String(result?.error));
});

test('close() ends a subscription that waits for its next attempt at once', async (t) => {
  const { server, client, socket } = await connected(t, { minBackoff: 1000, maxBackoff: 5000 });
  const loop = client.subscribe('t', { timeout: 300 });
  const first = loop.next();
  await settled();
  const subscribe = socket.take();
  socket.say(191, subscribe.id, [0, 0], Array(16).fill(1).map((_, i) => (i % 8 < 2 ? 1 : 0)));
  await settled();
  socket.drop(1001);
  await settled();
  await server.clock.pass(400);
  client.close();
  const result = await outcome(first);
  assert.ok(result?.error instanceof webwire.ClosedError, String(result?.error));
  assert.equal(server.clock.timers, 0, 'no timer keeps the process');
});

test('TimeoutError.sent of a request that was refused by shutdown and then never sent', async (t) => {
  const { server, client, socket } = await connected(t, {}, conf(1));
  const late = client.request('late', 'x', { timeout: 5_000 });
  const { id } = socket.take();
  socket.say(13, id, 1, 0); // shutting down
  await settled();
  const result = late;
  socket.drop(1001);
  await settled();
  const second = await next(server);
  // a request that is before it in the order takes the only place
  second.say(conf(0));
  second.say(welcome(0, { lasts: 0 }));
  await settled();
  await server.clock.pass(6_000);
  const { error } = await outcome(result);
  assert.ok(error instanceof TimeoutError, String(error));
  assert.equal(error.sent, false);
});

test('the question whether a server of 3.0 is there does not close a session that it creates meanwhile', async (t) => {
  const { server, client, socket } = await connected(t, { storage: storage() });
  await server.clock.pass(30_000);
  const probe = socket.take();
  assert.ok(probe, 'the server is asked');
  socket.say(21, session('k1')); // its application has signed the user in: with a QR code, for instance
  if (probe.type === 31) { // which it handles after that
    socket.say(22);
    socket.reply(probe);
  } else {
    socket.say(8, [1, 0, 0, 0, 0, 0, 0, 0]);
  }
  await settled();
  assert.equal(client.session?.key, 'k1');
  for (let i = 0; i < 3; i++) {
    await server.clock.pass(30_000);
    const { id } = socket.take();
    socket.say(192, id, [0, 0], session('k1'));
  }
  assert.equal(client.status, 'connected');
  await server.clock.pass(35_000);
  assert.equal(client.status, 'resuming', 'and that it is not there is noticed');
});

test('an attempt to restore the session that loses its socket does not cost the connection', async (t) => {
  const server = new FakeServer(t);
  server.metadata.versions = ['3.0'];
  server.conf3 = conf();
  server.welcome = welcome(0, { lasts: 120_000 });
  const client = server.client({ storage: storage({ k: 'KEY' }), storageKey: 'k', minBackoff: 100 });
  const reply = client.request('n', 'x');
  await settled();
  await server.socket.open();
  const { socket } = server;
  const restore = socket.take();
  socket.say(13, restore.id, 4, 0); // full
  await settled();
  const request = socket.take();
  assert.equal(request.name, 'n');
  await server.clock.pass(5_000);
  assert.equal(socket.take().type, 32, 'again');
  socket.drop();
  await settled();
  assert.equal(client.status, 'resuming');
  for (let i = 0; i < 20; i++) {
    await server.clock.pass(1_000);
    if (!server.socket.readyState) server.socket.drop(); // still offline
  }
  assert.equal(client.status, 'resuming', 'for two minutes');
  assert.equal(await outcome(reply), undefined);
});

test('a handler that returns while the server is asked whether it is there does not cost the socket', async (t) => {
  const { server, client, socket } = await connected(t, {});
  let finish;
  client.handle('slow', () => new Promise((resolve) => { finish = resolve; }));
  socket.say(128, [1, 0, 0, 0, 0, 0, 0, 0], [0, 0], [4], 'slow', 'x');
  await server.clock.pass(1_000);
  socket.take(); // an ack
  await server.clock.pass(29_000);
  assert.equal(socket.take().type, 35);
  finish('y');
  await settled();
  assert.equal(client.status, 'connected');
  assert.equal(socket.take()?.type, 192, 'the reply');
  await server.clock.pass(5_000);
  assert.equal(client.status, 'resuming', 'and that the server is not there is noticed');
});

test('requests that wait for a place go on where the client moves to, in their order', async (t) => {
  const { server, client, socket } = await connected(t, {}, conf(1));
  for (const name of ['a', 'b', 'c', 'd']) client.request(name, 'x');
  const first = socket.take();
  assert.equal(first.name, 'a');
  socket.say(11, 1, [0, 0, 0, 0], [0x60, 0xea, 0, 0]);
  await server.clock.pass(10);
  socket.reply(first);
  await settled();
  assert.equal(socket.take()?.name, undefined, 'nothing more is sent to a server that is left');
  socket.say(8, [1, 0, 0, 0, 0, 0, 0, 0]);
  const second = await resumed(server, 1, { received: 1, from: 2 });
  for (const name of ['b', 'c', 'd']) {
    const request = second.take();
    assert.equal(request?.name, name);
    second.reply(request);
    await settled();
  }
});
