// The order of events and requests, and whose requests they are.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DisconnectedError, TimeoutError } from '../src/index.js';
import { settled } from './support/clock.js';
import { FakeServer, outcome, session, storage, text } from './support/fakes.js';

const ITEM = 'webwire:ws://example.com/api';

test('listeners of connected come before the requests that waited', async (t) => {
  const server = new FakeServer(t);
  const order = [];
  const client = server.client({
    onconnected() {
      order.push('connected');
      this.request('login', 'x');
      this.signal('hello', 'x');
    },
  });
  client.request('waited', 'x');
  client.connect().then(() => order.push('connect() is done'));
  await settled();
  await server.socket.open();
  const { socket } = server;
  assert.deepEqual([socket.take().name, socket.take().name, socket.take().name], ['login', 'hello', 'waited']);
  assert.deepEqual(order, ['connected', 'connect() is done']);
});

test('waitUntil lets them wait longer', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ maxQueue: 100 });
  client.addEventListener('connected', (event) => {
    event.waitUntil(client.request('login', 'x'));
  });
  client.addEventListener('connected', (event) => event.waitUntil(Promise.reject(new Error('fails'))));
  const waited = client.request('waited', new Uint8Array(60));
  const late = client.request('late', 'x', { timeout: 3_000 });
  const connecting = client.connect();
  await settled();
  await server.socket.open();
  await connecting;
  const { socket } = server;
  const login = socket.take();
  assert.equal(login.name, 'login');
  assert.equal(socket.take(), undefined);
  await server.clock.pass(3_000);
  await assert.rejects(late, TimeoutError);
  assert.equal(await outcome(waited), undefined);
  socket.reply(login);
  await settled();
  assert.equal(socket.take().name, 'waited');
  assert.equal(socket.take(), undefined);
});

test('a connection that is lost while a listener keeps requests waiting', async (t) => {
  const server = new FakeServer(t);
  let done;
  const client = server.client();
  client.addEventListener('connected', (event) => event.waitUntil(new Promise((resolve) => { done = resolve; })), { once: true });
  const waited = client.request('waited', 'x');
  await settled();
  await server.socket.open();
  const lost = server.socket;
  lost.drop();
  await server.clock.pass(1_000);
  await server.socket.open();
  server.socket.reply(server.socket.take(), 'y');
  assert.equal((await waited).text(), 'y');
  done();
  await settled();
  assert.deepEqual(lost.sent, []);
});

const dora = async (server, client, kept) => {
  server.socket.drop();
  const waiting = client.request('mine', 'x');
  kept.setItem(ITEM, 'DORA'); // in another tab
  await server.clock.pass(1_000);
  await server.socket.open();
  const restore = server.socket.take();
  assert.equal(text(restore.payload), 'DORA');
  server.socket.say(192, restore.id, session('DORA'));
  await settled();
  return { waiting };
};

test('a request that was made under one session is not executed under that of another tab', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  const client = await server.connected({ storage: kept });
  server.socket.say(21, session('ADA'));
  const { waiting } = await dora(server, client, kept);
  await assert.rejects(waiting, (error) => (
    error instanceof DisconnectedError && !error.sent && /session/.test(error.cause.message)
  ));
  assert.equal(server.socket.take(), undefined);
  assert.equal(client.session.key, 'DORA');
});

test('one that was made without a session may be executed under one', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  const client = await server.connected({ storage: kept });
  await dora(server, client, kept);
  assert.equal(server.socket.take()?.name, 'mine');
});

test('a request does not wait for a session that was closed meanwhile', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  server.socket.say(21, session('ADA'));
  server.socket.drop();
  const waiting = client.request('mine', 'x');
  await client.closeSession();
  await server.clock.pass(1_000);
  await server.socket.open();
  assert.equal((await outcome(waiting)).error.sent, false);
  assert.equal(server.socket.take(), undefined);
});

test('nor for one that another took the place of while it was restored', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  server.socket.say(21, session('ADA'));
  server.socket.drop();
  const waiting = client.request('mine', 'x');
  await server.clock.pass(1_000);
  await server.socket.open();
  server.socket.say(4, server.socket.take().id);
  assert.equal(await outcome(waiting), undefined);
  const login = client.request('login', 'x');
  const { id } = server.socket.take();
  server.socket.say(21, session('NEXT'));
  server.socket.say(192, id);
  await login;
  assert.equal((await outcome(waiting)).error.sent, false);
  await server.clock.pass(20_000);
  assert.equal(server.socket.take(), undefined, 'what is kept is there');
  assert.equal(client.session.key, 'NEXT');
});

test('who waits for the connection does not care whose session it has', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  server.socket.say(21, session('ADA'));
  server.socket.drop();
  const connecting = client.connect();
  const restoring = client.restoreSession('DORA');
  await client.closeSession();
  await server.clock.pass(1_000);
  await server.socket.open();
  await connecting;
  const restore = server.socket.take();
  assert.equal(text(restore.payload), 'DORA');
  server.socket.say(3, restore.id);
  assert.equal((await outcome(restoring)).error.name, 'SessionNotFoundError');
});
