// Heartbeats, and how connections that died without a word are found out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DisconnectedError, TimeoutError } from '../src/index.js';
import { MAX_DELAY, settled } from './support/clock.js';
import { FakeServer, bytes, outcome, session, text } from './support/fakes.js';

test('a heartbeat is sent when nothing was sent for 3/4 of the read timeout', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const { socket, clock } = server;
  await clock.pass(44_999);
  assert.equal(socket.sent.length, 0);
  await clock.pass(1);
  assert.deepEqual(socket.take(), { type: 33 });
  await clock.pass(45_000);
  assert.deepEqual(socket.take(), { type: 33 });
  await clock.pass(30_000);
  client.signal('s', 'x');
  socket.take();
  await clock.pass(44_999);
  assert.equal(socket.sent.length, 0);
  await clock.pass(1);
  assert.equal(socket.sent.length, 1);
});

test('no heartbeats in 1.2, with a read timeout of zero, or once the connection is gone', async (t) => {
  const server = new FakeServer(t);
  await server.connected({ versions: ['1.2'] });
  await server.clock.pass(600_000);
  assert.equal(server.socket.sent.length, 0);

  const client = server.client({ negotiate: 'none' });
  const connecting = client.connect();
  await settled();
  await server.socket.open('');
  server.socket.say(bytes(23, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  await connecting;
  await server.clock.pass(600_000);
  assert.equal(server.socket.sent.length, 0);

  await server.connected();
  const { socket } = server;
  socket.readyState = 2;
  await server.clock.pass(45_000);
  assert.equal(socket.sent.length, 0);
});

test('a read timeout longer than a timer can be', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ negotiate: 'none' });
  const connecting = client.connect();
  await settled();
  await server.socket.open('');
  server.socket.say(bytes(23, 2, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0));
  await connecting;
  await server.clock.pass(1_000);
  assert.equal(server.socket.sent.length, 0);
  await server.clock.pass(MAX_DELAY - 1_000);
  assert.equal(server.socket.sent.length, 1);
});

// Ways in which a page learns that the device slept or the network changed.

class Page extends EventTarget {
  constructor(t) {
    super();
    this.document = new EventTarget();
    globalThis.document = this.document;
    globalThis.addEventListener = this.addEventListener.bind(this);
    t.after(() => {
      delete globalThis.document;
      delete globalThis.addEventListener;
    });
  }

  tell(type, fields) {
    this.dispatchEvent(Object.assign(new Event(type), fields));
  }
}

const ways = {
  online: (page) => page.tell('online'),
  resume: (page) => page.document.dispatchEvent(new Event('resume')),
  'pageshow from the cache': (page) => page.tell('pageshow', { persisted: true }),
  'visible after a sleep': (page, clock) => {
    clock.sleep(120_000);
    page.document.dispatchEvent(new Event('visibilitychange'));
  },
  'a timer after a sleep': (_, clock) => {
    clock.sleep(120_000);
    return clock.pass(10_000);
  },
};

for (const [way, wake] of Object.entries(ways)) {
  test(`${way}: with a session it is asked for once more`, async (t) => {
    const page = new Page(t);
    const server = new FakeServer(t);
    const client = await server.connected({ storage: null });
    const { socket } = server;
    socket.say(21, session('KEY'));
    await wake(page, server.clock);
    const probe = socket.take();
    assert.deepEqual([probe.type, text(probe.payload)], [32, 'KEY']);
    socket.say(192, probe.id, session('KEY'));
    await server.clock.pass(10_000);
    assert.equal(client.status, 'connected');

    // Anything that is heard will do, not only the answer.
    await wake(page, server.clock);
    await server.clock.pass(1);
    socket.say(64, 1, 's', 'x');
    await server.clock.pass(9_999);
    assert.equal(client.status, 'connected');

    const pending = client.request('n', 'x');
    await wake(page, server.clock);
    await server.clock.pass(5_000);
    await assert.rejects(pending, (error) => error instanceof DisconnectedError && error.sent && error.cause instanceof TimeoutError);
    assert.equal(client.status, 'connecting');
    assert.equal(socket.closedWith, 1000);
  });

  test(`${way}: without a session a new connection is made`, async (t) => {
    const page = new Page(t);
    const server = new FakeServer(t);
    const client = await server.connected();
    const { socket } = server;
    await wake(page, server.clock);
    assert.equal(client.status, 'connecting');
    await server.clock.pass(1_000);
    assert.notEqual(server.socket, socket);
    await server.socket.open();
    assert.equal(client.status, 'connected');
  });
}

test('one question at a time', async (t) => {
  const page = new Page(t);
  const server = new FakeServer(t);
  const client = await server.connected();
  const { socket } = server;
  socket.say(21, session('KEY'));
  page.tell('online');
  page.tell('online');
  const probe = socket.take();
  assert.equal(socket.take(), undefined);
  socket.say(3, probe.id);
  page.tell('online');
  assert.equal(socket.take().type, 32, 'any answer is one');
  assert.equal(client.status, 'connected');
});

test('being looked at again, or shown at first, is no reason to doubt', async (t) => {
  const page = new Page(t);
  const server = new FakeServer(t);
  const client = await server.connected();
  await server.clock.pass(600_000);
  page.document.dispatchEvent(new Event('visibilitychange'));
  page.tell('pageshow', { persisted: false });
  server.clock.sleep(60_000); // a timer of a hidden page
  await server.clock.pass(10_000);
  assert.equal(server.sockets.length, 1);
  assert.equal(client.status, 'connected');
});

test('requests in flight are not sacrificed to doubt', async (t) => {
  const page = new Page(t);
  const server = new FakeServer(t);
  const client = await server.connected({ timeout: 20_000 });
  const { socket } = server;
  const answered = client.request('n', 'x');
  page.tell('online');
  assert.equal(client.status, 'connected');
  socket.reply(socket.take(), 'y');
  assert.equal((await answered).text(), 'y');
  assert.equal(client.status, 'connected', 'the reply settles it');

  const late = client.request('n', 'x');
  page.tell('online');
  await server.clock.pass(20_000);
  await assert.rejects(late, TimeoutError);
  assert.equal(client.status, 'connecting', 'so does its absence');
});

test('a published server is not asked: it would count the session twice', async (t) => {
  const page = new Page(t);
  const server = new FakeServer(t);
  server.metadata = { 'protocol-version': '1.2' };
  const client = await server.connected();
  const { socket } = server;
  socket.say(21, session('KEY'));
  page.tell('online');
  assert.equal(socket.take(), undefined);
  assert.equal(client.status, 'connecting');
});

test('a session that is being closed is not asked for', async (t) => {
  const page = new Page(t);
  const server = new FakeServer(t);
  const client = await server.connected();
  server.socket.say(21, session('KEY'));
  const closing = client.closeSession();
  const request = server.socket.take();
  page.tell('online');
  assert.equal(server.socket.take(), undefined);
  server.socket.say(191, request.id);
  await closing;
  assert.equal(client.status, 'connected');
});

test('coming online ends a pause', async (t) => {
  const page = new Page(t);
  const server = new FakeServer(t);
  const client = await server.connected();
  server.socket.drop();
  await settled();
  page.tell('online');
  await settled();
  assert.equal(server.sockets.length, 2);
  page.tell('online'); // while it is connecting
  await server.socket.open();
  assert.equal(client.status, 'connected');
});

test('a request that timed out in silence raises doubt', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const { socket } = server;
  socket.say(21, session('KEY'));
  const quick = client.request('n', 'x', { timeout: 9_000 });
  await server.clock.pass(9_000);
  await assert.rejects(quick, TimeoutError);
  socket.take();
  assert.equal(socket.take(), undefined, 'a silence of nine seconds is none');
  const slow = client.request('n', 'x');
  socket.take();
  await server.clock.pass(45_000);
  socket.take(); // heartbeat
  await server.clock.pass(15_000);
  assert.equal((await outcome(slow)).error.name, 'TimeoutError');
  assert.equal(socket.take().type, 32);
  await server.clock.pass(5_000);
  assert.equal(client.status, 'connecting');
});

test('nothing is watched once the client is closed or given up', async (t) => {
  const page = new Page(t);
  const server = new FakeServer(t);
  const client = await server.connected();
  client.close();
  await settled();
  assert.equal(server.clock.timers, 0);
  page.tell('online');
  page.document.dispatchEvent(new Event('resume'));
  await settled();
  assert.equal(server.sockets.length, 1);
});
