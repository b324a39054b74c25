// Heartbeats, and how connections that died without a word are found out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DisconnectedError, TimeoutError } from '../src/index.js';
import { MAX_DELAY, settled } from './support/clock.js';
import { FakeServer, bytes, outcome, session, text } from './support/fakes.js';

// talk lets time pass on a connection on which the server is not silent.
async function talk({ socket, clock }, ms) {
  for (let left = ms; left > 0; left -= 15_000) {
    socket.say(64, 1, 's', 'x');
    await clock.pass(Math.min(left, 15_000));
  }
}

test('a heartbeat is sent when nothing was sent for 3/4 of the read timeout', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const { socket, clock } = server;
  await talk(server, 44_999);
  assert.equal(socket.sent.length, 0);
  await clock.pass(1);
  assert.deepEqual(socket.take(), { type: 33 });
  await talk(server, 45_000);
  assert.deepEqual(socket.take(), { type: 33 });
  await talk(server, 30_000);
  client.signal('s', 'x');
  socket.take();
  await talk(server, 44_999);
  assert.equal(socket.sent.length, 0);
  await clock.pass(1);
  assert.equal(socket.sent.length, 1);
});

for (const [what, key, type] of [['a session', 'KEY', 32], ['no session', undefined, 31]]) {
  test(`a client that only listens notices that the server is gone: ${what}`, async (t) => {
    const server = new FakeServer(t);
    const client = await server.connected({ storage: null });
    const { socket, clock } = server;
    if (key) socket.say(21, session(key));
    for (let i = 0; i < 3; i++) {
      await clock.pass(29_999);
      assert.equal(socket.take(), undefined);
      await clock.pass(1);
      const probe = socket.take();
      assert.equal(probe.type, type);
      await clock.pass(4_999);
      socket.say(191, probe.id, key ? session(key) : '');
    }
    await clock.pass(34_999);
    assert.equal(client.status, 'connected');
    await clock.pass(1);
    assert.equal(client.status, 'connecting');
    assert.equal(socket.closedWith, 1000);
    await settled();
    assert.deepEqual(client.events().filter((event) => event !== 'sessioncreated'), ['disconnected']);
  });
}

test('a session that was created while the server was asked is asked for', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected({ storage: null });
  const { socket, clock } = server;
  await clock.pass(30_000);
  const probe = socket.take();
  assert.equal(probe.type, 31);
  socket.say(21, session('KEY')); // it came before the question, which has closed it
  socket.say(191, probe.id, '');
  assert.equal(client.status, 'connecting');
  await clock.pass(1_000);
  await server.socket.open();
  const again = server.socket.take();
  assert.deepEqual([again.type, text(again.payload)], [32, 'KEY']);
  server.socket.say(3, again.id); // there is no such session
  await settled();
  assert.equal(client.session, null);
});

test('the server is asked after half of its read timeout', async (t) => {
  const server = new FakeServer(t);
  server.conf = bytes(23, 2, 0, ...[0x30, 0x75, 0, 0], 0, 0, 0, 0); // 30 s
  const client = await server.connected();
  await server.clock.pass(15_000);
  assert.equal(server.socket.take().type, 31);
  await server.clock.pass(5_000);
  assert.equal(client.status, 'connecting');
});

test('the clock of the device does not matter', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const { socket, clock } = server;
  clock.set(-3_600_000);
  await clock.pass(30_000);
  assert.equal(socket.take().type, 31);
  await clock.pass(5_000);
  assert.equal(client.status, 'connecting', 'a dead connection is given up all the same');

  await clock.pass(1_000);
  await server.socket.open();
  clock.set(7_200_000);
  server.socket.alive = () => true;
  await clock.pass(60_000);
  assert.equal(client.status, 'connected', 'and one that lives is not');
  assert.equal(server.sockets.length, 2);
});

test('a page that was frozen reads what came before it judges', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const { socket, clock } = server;
  await clock.pass(30_000);
  const probe = socket.take();
  clock.freeze(600_000); // the answer waits to be read, and the timer is due
  await clock.pass(0);
  assert.equal(client.status, 'connected');
  socket.say(191, probe.id);
  await clock.pass(29_000);
  assert.equal(client.status, 'connected');

  await clock.pass(1_000);
  socket.take();
  clock.freeze(600_000);
  await clock.pass(0);
  assert.equal(client.status, 'connected');
  await clock.pass(5_000);
  assert.equal(client.status, 'connecting', 'if nothing came it is dead');
});

test('no request is sent behind a question that would close the session it creates', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const { socket, clock } = server;
  await clock.pass(30_000);
  const probe = socket.take();
  assert.equal(probe.type, 31);
  const login = client.request('login', 'x');
  const later = client.request('later', 'x');
  await client.connect();
  assert.equal(socket.take(), undefined);
  socket.say(191, probe.id);
  assert.deepEqual([socket.take().name, socket.take().name], ['login', 'later']);
  assert.equal(await outcome(login), undefined);
  assert.equal(await outcome(later), undefined);

  // With requests in flight it is not asked: they may create one as well.
  await clock.pass(60_000);
  assert.ok(socket.sent.every((message) => message[0] === 33));
});

test('requests that wait for an answer that does not come are sent on the next connection', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const { clock } = server;
  await clock.pass(30_000);
  const request = client.request('n', 'x');
  await clock.pass(5_000);
  assert.equal(client.status, 'connecting');
  await clock.pass(1_000);
  await server.socket.open();
  server.socket.reply(server.socket.take(), 'y');
  assert.equal((await request).text(), 'y');
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
  assert.equal(socket.closedWith, 1000, 'it is closing for that long');
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
  await server.clock.idle(MAX_DELAY - 1_000);
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

  test(`${way}: without a session it is asked whether there is one`, async (t) => {
    const page = new Page(t);
    const server = new FakeServer(t);
    const client = await server.connected();
    const { socket } = server;
    await wake(page, server.clock);
    const probe = socket.take();
    assert.equal(probe.type, 31);
    socket.say(5, probe.id); // any answer will do
    await server.clock.pass(10_000);
    assert.equal(client.status, 'connected');
    assert.equal(server.sockets.length, 1);

    await wake(page, server.clock);
    await server.clock.pass(5_000);
    assert.equal(client.status, 'connecting');
    assert.equal(socket.closedWith, 1000);
  });
}

for (const way of ['online', 'resume']) {
  test(`${way}: a published server is not asked, a new connection is made`, async (t) => {
    const page = new Page(t);
    const server = new FakeServer(t);
    server.metadata = { 'protocol-version': '1.2' };
    const client = await server.connected();
    const { socket } = server;
    await ways[way](page);
    assert.equal(client.status, 'connecting');
    await server.clock.pass(1_000);
    assert.notEqual(server.socket, socket);
    await server.socket.open();
    assert.equal(client.status, 'connected');
  });
}

test('offline: the server is asked, and nothing is given up for it', async (t) => {
  const page = new Page(t);
  const server = new FakeServer(t);
  const client = await server.connected();
  page.tell('offline');
  const probe = server.socket.take();
  assert.equal(probe.type, 31);
  server.socket.say(191, probe.id);
  await server.clock.pass(5_000);
  assert.equal(client.status, 'connected', 'it was not true');
  page.tell('offline');
  await server.clock.pass(5_000);
  assert.equal(client.status, 'connecting');
  const before = server.sockets.length;
  page.tell('offline'); // is no reason to end a pause
  await settled();
  assert.equal(server.sockets.length, before);
  client.close();

  server.metadata = { 'protocol-version': '1.2' };
  const other = await server.connected();
  page.tell('offline'); // who cannot be asked
  assert.equal(other.status, 'connected');
});

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
  assert.equal(socket.take(), undefined, 'not so soon');
  await server.clock.pass(5_000);
  page.tell('online');
  assert.equal(socket.take().type, 32, 'any answer is one');
  assert.equal(client.status, 'connected');
});

test('being looked at again, or shown at first, is no reason to doubt', async (t) => {
  const page = new Page(t);
  const server = new FakeServer(t);
  const client = await server.connected();
  server.socket.alive = () => true;
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
  const slow = client.request('n', 'x', { timeout: 11_000 });
  socket.take();
  await server.clock.pass(11_000);
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
