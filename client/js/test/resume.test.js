// A connection of 3.0 that outlives its sockets, and a server that asks its clients to move.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settled } from './support/clock.js';
import { CONF3, FakeServer, ID, bytes, outcome, session, storage, text, webwire, welcome } from './support/fakes.js';

const { CloseError, DisconnectedError, MalformedError, QueueFullError, TimeoutError } = webwire;

const u16 = (n) => [n % 256, n >> 8];
const u32 = (n) => [...u16(n % 65536), ...u16(Math.floor(n / 65536))];
const u64 = (n) => [...u32(n), ...u32(0)];
const conf = (requests = 16) => bytes([...CONF3.slice(0, 15)], u16(requests));
const WINDOW = 120_000;

// connected returns a client, its server and the socket between them.
async function connected(t, options, confirmed = conf(), lasts = WINDOW) {
  const server = new FakeServer(t);
  server.metadata.versions = ['3.0', '2.0', '1.2'];
  server.conf3 = confirmed;
  server.welcome = welcome(0, { lasts });
  const client = await server.connected({ minBackoff: 100, ...options });
  return { server, client, socket: server.socket };
}

const signal = (socket, name, payload = 'x') => socket.say(64, [0, 0], name.length, name, payload);
const ask = (socket, id, name) => socket.say(128, ID(id), [0, 0], name.length, name, 'x');
const item = (socket, id, value) => socket.say(67, id, value);
const deadlineOf = ({ head: [tag, , , ...value] }) => tag === 1 && new DataView(Uint8Array.from(value).buffer).getUint32(0, true);

// hello takes the hello apart with which a client wants to go on.
function hello({ hello: message }) {
  const body = message.slice(3 + message[1]); // after the head
  const n = (at) => new DataView(body.buffer).getUint32(at, true);
  const resume = body[0] === 1;
  assert.equal(body.length, resume ? 63 : 11);
  return resume && { id: body[11], secret: body[27], attempt: n(43), received: n(47), first: n(55) };
}

// next lets the client open its next socket, and returns it: the client has said hello.
async function next(server, ms = 10_000) {
  const n = server.sockets.length;
  for (let i = 0; i < ms && server.sockets.length === n; i += 10) await server.clock.pass(10);
  assert.equal(server.sockets.length, n + 1, 'a new socket');
  const { socket } = server;
  socket.start(server.protocol ?? 'webwire-3.0');
  await settled();
  return socket;
}

// resumed lets the client go on with a welcome.
async function resumed(server, code, fields) {
  await next(server);
  return greeted(server, code, fields);
}

// greeted lets the client go on with the socket that it has opened.
async function greeted(server, code, fields) {
  const { socket } = server;
  if (!socket.readyState) socket.start('webwire-3.0');
  await settled();
  socket.say(server.conf3);
  socket.say(welcome(code, fields));
  await settled();
  return socket;
}

// taken returns all messages of the client, taken apart: no acks.
const taken = (socket) => {
  const all = [];
  for (let m = socket.take(); m; m = socket.take()) all.push(m);
  return all;
};
const names = (socket) => taken(socket).map(({ name }) => name);

// gaps returns the events gap of a client.
function gaps(client) {
  const seen = [];
  client.addEventListener('gap', ({ missed, unacknowledged }) => seen.push([missed, unacknowledged]));
  return seen;
}

test('a request survives its socket: it is sent once, and its reply comes late', async (t) => {
  const { server, client, socket } = await connected(t);
  const seen = [];
  client.addEventListener('statuschange', ({ status }) => seen.push(status));
  const reply = client.request('n', 'x');
  const { id } = socket.take();
  signal(socket, 'one');
  socket.drop();
  await settled();
  assert.deepEqual([client.status, client.events()], ['resuming', ['signal one']]);
  const second = await next(server);
  assert.deepEqual(hello(second), { id: 1, secret: 2, attempt: 1, received: 1, first: 1 });
  assert.deepEqual([...second.protocols], ['webwire-3.0', 'webwire-2.0', 'webwire-1.2']);
  assert.equal(server.asked.length, 1, 'the metadata are known');
  second.say(conf());
  await settled();
  assert.deepEqual([taken(second), client.status], [[], 'resuming'], 'nothing before welcome');
  second.say(welcome(1, { received: 1, from: 2, secret: 9 }));
  await settled();
  assert.deepEqual([taken(second), client.status, client.events()], [[], 'connected', ['resumed']]);
  second.say(192, id, [0, 0], 'y');
  assert.equal((await reply).text(), 'y');
  second.drop();
  assert.deepEqual(hello(await next(server)), { id: 1, secret: 9, attempt: 2, received: 2, first: 2 });
  assert.deepEqual(seen, ['resuming', 'connected', 'resuming']);
});

test('what the server does not have is sent again, in order, with the deadline that is left', async (t) => {
  const { server, client, socket } = await connected(t);
  client.request('a', 'x', { timeout: 10_000 });
  client.signal('b', 'x');
  client.request('c', 'x', { timeout: Infinity, meta: { k: 'v' } });
  client.signal('d', 'x');
  client.request('e', 'x', { timeout: 1_000 });
  const before = taken(socket);
  socket.drop();
  const second = await resumed(server, 1, { received: 0 });
  const again = taken(second);
  const times = again.splice(5); // the last is a cancel if it was late
  assert.deepEqual(times, []);
  assert.deepEqual(again.map(({ id, name }) => [id, name]), before.map(({ id, name }) => [id, name]));
  assert.deepEqual(again[2], before[2], 'the same bytes');
  const left = deadlineOf(again[0]);
  assert.ok(left < 10_000 && left > 9_000, left);
  await server.clock.pass(2_000);
  assert.deepEqual(taken(second).map(({ type }) => type), [9], 'the late one is cancelled');
  second.drop();
  const third = await resumed(server, 1, { received: 3 });
  const rest = taken(third);
  assert.deepEqual(rest.map(({ type, name }) => name ?? type), ['d', 'e', 9]);
  assert.equal(deadlineOf(rest[1]), 1, 'at least');
  third.drop();
  assert.deepEqual(hello(await next(server)).first, 4);
});

test('a request with a deadline of more than 2^32 ms is sent again as it was', async (t) => {
  const { server, client, socket } = await connected(t);
  for (const timeout of [2 ** 32, 2 ** 33, Number.MAX_VALUE]) client.request('name', 'payload', { timeout, meta: { k: 'v' } });
  const before = taken(socket);
  assert.deepEqual(before.map(deadlineOf), Array(3).fill(2 ** 32 - 1));
  socket.drop();
  const again = taken(await resumed(server, 1, { received: 0 }));
  assert.ok(deadlineOf(again[0]) > 2 ** 32 - 10_000);
  assert.deepEqual(again.slice(1), before.slice(1));
});

test('an ack frees what the server has', async (t) => {
  const { server, client, socket } = await connected(t, { maxQueue: 1000 });
  for (const name of ['a', 'b']) client.signal(name, 'x'.repeat(400));
  assert.throws(() => client.signal('c', 'x'.repeat(400)), QueueFullError);
  assert.ok((await outcome(client.request('c', 'x'.repeat(400)))).error instanceof QueueFullError);
  socket.say([8], u64(1));
  socket.say([8], u64(1)); // once more
  client.signal('c', 'x'.repeat(400));
  socket.say([8], u64(0)); // from long ago
  socket.drop();
  const second = await resumed(server, 1, { received: 1 });
  assert.deepEqual(names(second), ['b', 'c']);
});

test('an ack of what was never sent ends the connection for good', async (t) => {
  const { server, client, socket } = await connected(t);
  client.signal('a', 'x');
  const request = client.request('b', 'x');
  socket.say([8], u64(3));
  const { error } = await outcome(request);
  assert.ok(error instanceof DisconnectedError && error.sent && error.cause instanceof MalformedError);
  assert.deepEqual([socket.closedWith, client.status], [1000, 'connecting']);
  assert.equal(hello(await next(server)), false);
});

test('a welcome that disagrees ends the connection, and the next one is new', async (t) => {
  for (const fields of [{ received: 2 }, { received: 0, from: 1 }, { received: 1, from: 3, late: 2 }]) {
    const { server, client, socket } = await connected(t);
    const request = client.request('n', 'x');
    signal(socket, 's');
    socket.drop();
    const second = await resumed(server, 2, fields);
    assert.equal((await outcome(request)).error.sent, true);
    assert.deepEqual([second.closedWith, client.status], [1000, 'connecting']);
    assert.equal(hello(await next(server)), false);
    server.socket.say(conf());
    server.socket.say(welcome(0));
    await settled();
    assert.equal(client.status, 'connected');
    client.close();
  }
});

test('outcome 2: late replies are not counted, and what is lost is told', async (t) => {
  const { server, client, socket } = await connected(t);
  const lost = gaps(client);
  const reply = client.request('n', 'x');
  const { id } = socket.take();
  signal(socket, 'one');
  socket.drop();
  // Of the messages 2 to 6 one is a reply.
  const second = await resumed(server, 2, { received: 1, from: 7, late: 1 });
  second.say(192, id, [0, 0], 'y');
  assert.equal((await reply).text(), 'y');
  assert.deepEqual(lost, [[4, 0]]);
  signal(second, 'seven');
  second.drop();
  assert.deepEqual(hello(await next(server)).received, 7);
  assert.deepEqual(client.events(), ['signal one', 'resumed', 'gap', 'signal seven']);
});

test('late replies that did not all come are sent again, and taken once', async (t) => {
  const { server, client, socket } = await connected(t);
  const lost = gaps(client);
  let asked = 0;
  client.handle('ask', () => `${++asked}`);
  const reply = client.request('n', 'x');
  const { id } = socket.take();
  socket.drop();
  // A request of the server and a reply are late; only the first arrives.
  const second = await resumed(server, 2, { received: 1, from: 7, late: 2 });
  second.say(128, [9, 9, 9, 9, 9, 9, 9, 9], [0, 0], [3], 'ask', 'x');
  await settled();
  second.drop();
  const third = await resumed(server, 2, { received: 1, from: 7, late: 2 });
  assert.equal(hello(third).received, 0);
  third.say(128, [9, 9, 9, 9, 9, 9, 9, 9], [0, 0], [3], 'ask', 'x');
  third.say(192, id, [0, 0], 'y');
  assert.equal((await reply).text(), 'y');
  assert.deepEqual([asked, lost], [1, [[4, 0]]]);
  third.drop();
  assert.equal(hello(await next(server)).received, 6);
});

test('a late reply that is all that was missed is no gap', async (t) => {
  const { server, client, socket } = await connected(t);
  const lost = gaps(client);
  client.request('n', 'x');
  const { id } = socket.take();
  socket.drop();
  const second = await resumed(server, 2, { received: 1, from: 2, late: 1 });
  second.say(192, id, [0, 0], 'y');
  await settled();
  second.drop();
  assert.deepEqual([hello(await next(server)).received, lost], [1, []]);
});

test('cancels and credit are sent again, after the requests', async (t) => {
  const { server, client, socket } = await connected(t);
  const abort = new AbortController();
  outcome(client.request('a', 'x', { signal: abort.signal }));
  outcome(client.request('b', 'x', { signal: abort.signal }));
  const stream = client.stream('s', 'x');
  const first = stream.next();
  const [a, b, s] = taken(socket);
  for (let i = 0; i < 4; i++) item(socket, s.id, 'x'.repeat(16384 - 64));
  await first;
  await stream.next();
  const [credit] = taken(socket);
  assert.equal(credit.type, 10);
  socket.say(192, b.id, [0, 0], 'y'); // what has its answer needs no cancel
  socket.drop();
  abort.abort();
  const second = await resumed(server, 1, { received: 3, from: 6 });
  assert.deepEqual(taken(second), [{ type: 9, id: a.id, payload: Uint8Array.of(0) }, credit]);
  await stream.next();
  const end = await outcome(stream.return());
  assert.deepEqual(end.value, { done: true, value: undefined });
  assert.deepEqual(taken(second), [{ type: 9, id: s.id, payload: Uint8Array.of(2) }]);
});

test('a stream goes on after a resume', async (t) => {
  const { server, client, socket } = await connected(t);
  const got = [];
  const all = (async () => {
    for await (const each of client.stream('s', 'x')) got.push(each.text());
  })();
  const { id } = socket.take();
  item(socket, id, 'a');
  await settled();
  socket.drop();
  const second = await resumed(server, 1, { received: 1, from: 2 });
  item(second, id, 'b');
  second.say(191, id, [0, 0]);
  await all;
  assert.deepEqual(got, ['a', 'b']);
});

test('what is asked for while the connection is away is sent once, in order, after what is sent again', async (t) => {
  const { server, client, socket } = await connected(t);
  client.signal('first', 'x');
  socket.drop();
  await settled();
  client.signal('a', 'x');
  const b = client.request('b', 'x', { timeout: 30_000 });
  const abort = new AbortController();
  const left = client.request('left', 'x', { signal: abort.signal });
  const late = client.request('late', 'x', { timeout: 50 });
  client.signal('c', 'x');
  const connecting = client.connect();
  abort.abort('enough');
  const second = await resumed(server, 1, { received: 0 });
  assert.deepEqual(await outcome(left), { error: 'enough' });
  assert.ok((await outcome(late)).error instanceof TimeoutError);
  await connecting;
  const sent = taken(second);
  assert.deepEqual(sent.map(({ name }) => name), ['first', 'a', 'b', 'c']);
  second.reply(sent[2], 'y');
  assert.equal((await b).text(), 'y');
  assert.deepEqual(taken(second), []);
});

test('signals while it is away are within the limit, and must be possible', async (t) => {
  const { server, client, socket } = await connected(t, { maxQueue: 100 });
  socket.drop();
  await settled();
  client.signal('a', 'x'.repeat(60));
  assert.throws(() => client.signal('b', 'x'.repeat(60)), QueueFullError);
  assert.throws(() => client.signal('ä', 'x'), MalformedError);
  const second = await resumed(server, 1);
  assert.deepEqual(names(second), ['a']);
  client.signal('b', 'x');
  assert.deepEqual(names(second), ['b']);
});

for (const code of [0, 3, 4, 5]) {
  test(`outcome ${code}: the connection is new`, async (t) => {
    const { server, client, socket } = await connected(t, { storage: storage() });
    const lost = gaps(client);
    socket.say([21], session('KEY'));
    await settled();
    client.signal('a', 'x');
    client.signal('b', 'x');
    const sent = client.request('sent', 'x');
    const stream = client.stream('s', 'x').next();
    stream.catch(() => {});
    let aborted;
    client.handle('wait', (payload, request) => new Promise((resolve) => {
      aborted = () => request.signal.aborted;
      setTimeout(resolve, 500);
    }));
    ask(socket, 1, 'wait');
    socket.say([8], u64(1));
    socket.drop();
    await settled();
    const unsent = client.request('unsent', 'x');
    client.signal('unsent signal', 'x');
    client.events();
    const second = await resumed(server, code, { id: 7, secret: 8 });
    for (const written of [sent, stream]) {
      const { error } = await outcome(written);
      assert.ok(error instanceof DisconnectedError && error.sent && error.cause instanceof CloseError);
    }
    assert.ok(aborted());
    assert.deepEqual(lost, [[undefined, 1]]);
    assert.equal(client.status, 'connecting');
    const restore = second.take();
    assert.deepEqual([restore.type, text(restore.payload)], [32, 'KEY']);
    assert.equal(second.take(), undefined);
    second.say(192, restore.id, [0, 0], session('KEY'));
    await settled();
    assert.deepEqual(client.events(), ['disconnected', 'gap', 'connected']);
    const request = second.take();
    assert.deepEqual([request.name, second.take().name], ['unsent', 'unsent signal']);
    second.reply(request, 'y');
    assert.equal((await unsent).text(), 'y');
    await server.clock.pass(1_000);
    assert.deepEqual(taken(second), [], 'the handler of the connection before has nobody to answer');
    client.signal('c', 'x');
    second.drop();
    assert.deepEqual(hello(await next(server)), { id: 7, secret: 8, attempt: 1, received: 2, first: 1 });
  });
}

test('outcome 7: everything is kept, and it tries again', async (t) => {
  const { server, client, socket } = await connected(t);
  const reply = client.request('n', 'x');
  const { id } = socket.take();
  socket.drop();
  await resumed(server, 7, { id: 99, secret: 99 });
  assert.equal(client.status, 'resuming');
  const third = await resumed(server, 1, { received: 1 });
  assert.deepEqual(hello(third), { id: 1, secret: 2, attempt: 2, received: 0, first: 1 });
  third.say(192, id, [0, 0], 'y');
  assert.equal((await reply).text(), 'y');
  assert.deepEqual(client.events(), ['resumed']);
});

test('attempts that fail are told and repeated, and do no harm to the connection', async (t) => {
  const { server, client, socket } = await connected(t, { dialTimeout: 1000 });
  const errors = [];
  client.addEventListener('connecterror', ({ error }) => errors.push(error.name));
  const reply = client.request('n', 'x');
  const { id } = socket.take();
  socket.drop();
  const second = await next(server);
  second.say(conf()); // and nothing more: welcome is lost
  await server.clock.pass(1000);
  assert.equal(second.closedWith, 4000, 'which ends the socket alone');
  const third = await next(server);
  third.drop(1006);
  const fourth = await resumed(server, 1, { received: 1 });
  assert.equal(hello(fourth).attempt, 3);
  fourth.say(192, id, [0, 0], 'y');
  assert.equal((await reply).text(), 'y');
  assert.deepEqual([errors, client.events()], [['TimeoutError', 'CloseError'], ['resumed']]);
});

test('when the window is over the connection is, at once', async (t) => {
  const { server, client, socket } = await connected(t);
  const lost = gaps(client);
  const request = client.request('sent', 'x', { timeout: Infinity });
  client.signal('a', 'x');
  taken(socket);
  socket.drop();
  await server.clock.pass(1000);
  const waiting = client.request('waiting', 'x', { timeout: Infinity });
  await server.clock.pass(WINDOW - 1001);
  assert.deepEqual([await outcome(request), client.status], [undefined, 'resuming']);
  await server.clock.pass(1);
  assert.equal((await outcome(request)).error.sent, true);
  assert.deepEqual([client.status, lost], ['connecting', [[undefined, 1]]]);
  assert.deepEqual(client.events(), ['disconnected', 'gap']);
  if (server.socket.readyState) await next(server);
  const last = await greeted(server, 0);
  assert.equal(hello(last), false);
  const sent = last.take();
  assert.equal(sent.name, 'waiting');
  last.reply(sent, 'y');
  assert.equal((await waiting).text(), 'y');
});

test('a connection that is resumed after its window is not', async (t) => {
  const { server, client, socket } = await connected(t, { dialTimeout: 1e6, storage: null });
  server.welcome = welcome(0, { lasts: 5000 });
  socket.drop();
  const request = client.request('n', 'x');
  const second = await next(server);
  assert.ok(hello(second));
  await server.clock.pass(WINDOW);
  second.say(conf());
  second.say(welcome(1));
  await settled();
  assert.equal(second.closedWith, 1000);
  const third = await resumed(server, 0);
  assert.equal(hello(third), false);
  assert.equal((await outcome(request))?.error?.name, 'TimeoutError');
});

test('a gap that the server tells of', async (t) => {
  const { client, socket } = await connected(t);
  const lost = gaps(client);
  socket.say([12], u32(0), u64(3), u64(0), u64(0));
  socket.say([12], u32(0), u64(0), u64(0), u64(0));
  socket.say([12], u32(7), u64(5), u64(1), u64(1)); // of a subscription
  await settled();
  assert.deepEqual(lost, [[3, 0], [undefined, 0]]);
});

test('disconnect() and close() end the connection for good', async (t) => {
  for (const method of ['disconnect', 'close']) {
    const { server, client, socket } = await connected(t);
    client[method]();
    assert.equal(socket.closedWith, 1000);
    client.close();
    assert.equal(server.sockets.length, 1);
  }
});

test('each connection that ends has one gap at most', async (t) => {
  const cases = {
    'it was away': [{}, (socket) => socket.drop(), [[undefined, 2]]],
    'it was away, and everything had arrived': [{}, (socket) => { socket.say([8], u64(2)); socket.drop(); }, [[undefined, 0]]],
    'the server closed it': [{}, (socket) => socket.drop(1001), [[undefined, 2]]],
    'the server closed it, and has everything': [{}, (socket) => { socket.say([8], u64(2)); socket.drop(1001); }, []],
    'it broke, and is not to go on': [{ autoconnect: false }, (socket) => socket.drop(), [[undefined, 2]]],
    'the client closed it': [{}, () => {}, []],
  };
  for (const [name, [options, happens, want]] of Object.entries(cases)) {
    for (const method of ['disconnect', 'close']) {
      const { client, socket } = await connected(t, options);
      const lost = gaps(client);
      client.signal('a', 'x');
      client.signal('b', 'x');
      happens(socket);
      await settled();
      client[method]();
      await settled();
      assert.deepEqual(lost, want, name);
      assert.deepEqual(client.events(), ['disconnected', ...want.map(() => 'gap')], name);
      client.close();
    }
  }
});

test('signals that waited are in the gap of their connection', async (t) => {
  const { client, socket } = await connected(t);
  const lost = gaps(client);
  client.signal('sent', 'x');
  socket.drop();
  for (const name of ['b', 'c']) client.signal(name, 'x');
  client.close();
  await settled();
  assert.deepEqual(lost, [[undefined, 3]]);
  assert.deepEqual(client.events(), ['disconnected', 'gap']);
});

test('signals that waited on a connection that the client closes are one gap', async (t) => {
  const { server, client, socket } = await connected(t);
  const lost = gaps(client);
  client.request('n', 'x');
  socket.say([11, 0], u32(0), u32(30_000)); // drain: what comes waits
  await server.clock.pass(1);
  for (const name of ['b', 'c']) client.signal(name, 'x');
  client.disconnect();
  await settled();
  assert.deepEqual(lost, [[0, 2]]);
});

test('disconnect() while it is away, or is about to come back', async (t) => {
  for (const moment of ['away', 'dialling', 'greeting']) {
    const { server, client, socket } = await connected(t);
    const sent = client.request('n', 'x');
    socket.drop();
    await settled();
    const waiting = client.request('n', 'x');
    if (moment !== 'away') {
      await next(server);
      if (moment === 'greeting') server.socket.say(conf());
    }
    client.disconnect();
    const [one, two] = [await outcome(sent), await outcome(waiting)];
    assert.deepEqual([one.error.sent, two.error.sent, client.status], [true, false, 'disconnected']);
    if (moment !== 'away') assert.equal(server.socket.closedWith, 1000);
    assert.deepEqual(client.events().filter((event) => event !== 'gap'), ['disconnected']);
    const n = server.sockets.length;
    client.connect();
    await next(server);
    assert.equal(server.sockets.length, n + 1);
    assert.equal(hello(server.socket), false, 'a new one');
    client.close();
    await settled();
    assert.equal(server.clock.timers, 0);
  }
});

test('a server that restarts, and credentials that expire, end the socket alone', async (t) => {
  for (const code of [1012, 3001]) {
    const { server, client, socket } = await connected(t);
    socket.drop(code);
    assert.ok(hello(await next(server)));
    client.close();
  }
});

test('other statuses of the server end the connection', async (t) => {
  for (const [code, status] of [[4500, 'disconnected'], [1000, 'connecting'], [1001, 'connecting'], [1011, 'connecting'], [4000, 'connecting']]) {
    const { client, socket } = await connected(t);
    const request = client.request('n', 'x');
    socket.drop(code);
    assert.equal((await outcome(request)).error.sent, true);
    assert.equal(client.status, status);
    assert.equal(client.events()[0], 'disconnected');
    client.close();
  }
});

test('a final answer while it is away ends it', async (t) => {
  const { server, client, socket } = await connected(t, { credentials: () => 'token' });
  const request = client.request('n', 'x');
  socket.drop(3001, 'credentials expired');
  const second = await next(server);
  assert.equal(text(second.hello.slice(6, 6 + second.hello[4])), 'token');
  const waiting = client.request('n', 'x');
  second.drop(4500, 'who are you?');
  const [one, two] = [await outcome(request), await outcome(waiting)];
  assert.deepEqual([one.error.sent, two.error.sent, client.status], [true, false, 'disconnected']);
  assert.deepEqual(client.events(), ['disconnected', 'connectfailed', 'gap']);
});

test('a connection that is not to be made again ends with its socket', async (t) => {
  const { client, socket } = await connected(t, { autoconnect: false });
  const request = client.request('n', 'x');
  socket.drop();
  assert.equal((await outcome(request)).error.sent, true);
  assert.equal(client.status, 'disconnected');
});

test('a server that has no window', async (t) => {
  const server = new FakeServer(t);
  server.metadata.versions = ['3.0'];
  server.welcome = welcome(0, { lasts: 0 });
  const client = await server.connected({ maxQueue: 1000 });
  for (let i = 0; i < 9; i++) client.signal('n', 'x'.repeat(900)); // nothing is kept
  const request = client.request('n', 'x');
  server.socket.drop();
  assert.equal((await outcome(request)).error.sent, true);
  assert.deepEqual(client.events(), ['disconnected']);
});

test('without a window acks mean nothing', async (t) => {
  const { client, socket } = await connected(t, {}, conf(), 0);
  client.signal('n', 'x');
  const request = client.request('n', 'x');
  socket.take();
  const { id } = socket.take();
  for (const n of [1, 2, 2, 3, 0]) socket.say([8], u64(n));
  socket.say(192, id, [0, 0], 'y');
  assert.equal((await request).text(), 'y');
  assert.deepEqual([client.status, client.events()], ['connected', []]);
});

test('a server that lost 3.0 meanwhile', async (t) => {
  const { server, client, socket } = await connected(t);
  const sent = client.request('n', 'x');
  socket.drop();
  await settled();
  const waiting = client.request('n', 'x');
  server.protocol = 'webwire-2.0';
  const second = await next(server);
  second.say(server.conf = bytes(23, 2, 0, 0x60, 0xea, 0, 0, 0, 0x20, 0, 0));
  await settled();
  assert.equal((await outcome(sent)).error.sent, true);
  const request = second.take();
  second.say(192, request.id, 'y');
  assert.equal((await waiting).text(), 'y');
  assert.deepEqual(client.events(), ['disconnected', 'gap', 'connected']);
});

test('a dead socket is given up, and the connection goes on', async (t) => {
  const { server, client, socket } = await connected(t, { storage: storage() });
  socket.say([21], session('KEY'));
  const request = client.request('n', 'x');
  taken(socket);
  await server.clock.pass(36_000); // nothing is heard
  assert.equal(socket.closedWith, 4000);
  const second = await greeted(server, 1, { received: 1, from: 2 });
  assert.ok(hello(second));
  const [probe] = taken(second);
  assert.equal(probe.type, 32, 'the question is still to be answered');
  second.say(192, probe.id, [0, 0], session('KEY'));
  second.say(192, ID(1), [0, 0], 'y');
  assert.equal((await request).text(), 'y');
  await server.clock.pass(10_000);
  assert.equal(client.status, 'connected');
});

for (const [what, options, lasts] of [['without a window', {}, 0], ['of a client that connects but once', { autoconnect: false }, WINDOW]]) {
  test(`a dead socket ${what} is noticed although a request without an answer was given up`, async (t) => {
    const { server, client, socket } = await connected(t, options, conf(), lasts);
    const abort = new AbortController();
    const left = client.request('left', 'x', { signal: abort.signal });
    const late = client.request('late', 'x', { timeout: 20_000 });
    abort.abort();
    await server.clock.pass(20_000);
    assert.deepEqual([(await outcome(left)).error.name, (await outcome(late)).error.name], ['AbortError', 'TimeoutError']);
    await server.clock.pass(4_999);
    assert.equal(client.status, 'connected');
    await server.clock.pass(1);
    assert.equal(socket.closedWith, 1000);
  });
}

test('a dead socket is noticed although a stream waits for items', async (t) => {
  const { server, client, socket } = await connected(t);
  const items = client.stream('s', 'x');
  const first = items.next();
  first.catch(() => {});
  const [{ id }] = taken(socket);
  for (let i = 0; i < 3; i++) {
    await server.clock.pass(30_000);
    assert.deepEqual(taken(socket).map(({ type }) => type), [35], 'it asks');
    socket.say([8], u64(2 + i));
    await server.clock.pass(4_000);
  }
  await server.clock.pass(31_000);
  assert.deepEqual([socket.closedWith, client.status], [4000, 'resuming']);
  if (server.socket === socket) await next(server);
  const second = await greeted(server, 1, { received: 5 });
  item(second, id, 'a');
  assert.equal((await first).value.text(), 'a');
});

test('a page that is about to be frozen gives up its socket, and goes on at once when it is active', async (t) => {
  globalThis.document = new EventTarget();
  t.after(() => { delete globalThis.document; });
  const { server, client, socket } = await connected(t, { minBackoff: 1000, storage: null });
  const request = client.request('n', 'x');
  document.dispatchEvent(new Event('freeze'));
  assert.equal(socket.closedWith, 4000);
  await settled();
  assert.equal(client.status, 'resuming');
  server.clock.freeze(60_000);
  document.dispatchEvent(new Event('resume'));
  await settled();
  const second = await greeted(server, 1, { received: 1 });
  second.say(192, ID(1), [0, 0], 'y');
  assert.equal((await request).text(), 'y');
  assert.deepEqual(client.events(), ['resumed']);
  client.close();

  const other = new FakeServer(t);
  await other.connected({ storage: null });
  document.dispatchEvent(new Event('freeze'));
  assert.equal(other.socket.closedWith, undefined, 'of 2.0: nothing is gained');
});

test('a page that is frozen while its socket is lost goes on as well', async (t) => {
  globalThis.document = new EventTarget();
  t.after(() => { delete globalThis.document; });
  const { server, client, socket } = await connected(t, { storage: null });
  const request = client.request('n', 'x');
  socket.drop();
  await settled();
  document.dispatchEvent(new Event('freeze'));
  await settled();
  assert.equal(client.status, 'resuming');
  const second = await resumed(server, 1, { received: 1 });
  second.say(192, ID(1), [0, 0], 'y');
  assert.equal((await outcome(request)).value?.text(), 'y');
  assert.deepEqual(client.events(), ['resumed']);
});

test('a device that wakes up with a request in flight and no session tries another socket', async (t) => {
  const { server, client, socket } = await connected(t);
  const request = client.request('n', 'x', { timeout: Infinity });
  server.clock.sleep(300_000);
  await server.clock.pass(10_000);
  assert.equal(socket.closedWith, 4000);
  await server.clock.pass(100);
  const second = await greeted(server, 1, { received: 1 });
  second.say(192, ID(1), [0, 0], 'y');
  assert.equal((await request).text(), 'y');
  assert.deepEqual(client.events(), ['resumed']);
});

test('the kept session stays; it is closed when the connection is back', async (t) => {
  const { server, client, socket } = await connected(t, { storage: storage() });
  socket.say([21], session('KEY'));
  await settled();
  socket.drop();
  await settled();
  assert.equal(client.session.key, 'KEY');
  const closing = client.closeSession();
  const second = await resumed(server, 1, { from: 2 });
  const request = second.take();
  assert.equal(request.type, 31);
  second.say(191, request.id, [0, 0]);
  await closing;
  assert.equal(client.session, null);
});

// closing returns a client whose socket is lost, and a closeSession that waits for the next one.
async function closing(t, items) {
  const { server, client, socket } = await connected(t, { storage: storage(items), storageKey: 'k' });
  socket.say([21], session('KEY'));
  await settled();
  socket.drop();
  await settled();
  return { server, client, closed: client.closeSession() };
}

test('a session that is to be closed and cannot be restored for the moment is forgotten', async (t) => {
  const items = {};
  const { server, client, closed } = await closing(t, items);
  const request = client.request('n', 'x');
  const second = await resumed(server, 3);
  second.say([13], second.take().id, [4, 0]); // full
  assert.deepEqual(await outcome(closed), { value: undefined });
  assert.deepEqual([items, client.session, client.status], [{}, null, 'connected']);
  assert.equal((await outcome(request)).error.sent, false);
  await server.clock.pass(10_000);
  assert.deepEqual([taken(second), client.events().at(-1)], [[], 'connected'], 'and not asked for again');
});

test('a session that is to be closed and is gone meanwhile is closed', async (t) => {
  const items = {};
  const { server, closed } = await closing(t, items);
  const second = await resumed(server, 3);
  second.say([13], second.take().id, [3, 0]);
  assert.deepEqual(await outcome(closed), { value: undefined });
  assert.deepEqual([items, taken(second)], [{}, []]);
});

test('closing a session does not close the one with which another tab signed in', async (t) => {
  const items = {};
  const { server, client, closed } = await closing(t, items);
  items.k = 'OTHER';
  const second = await resumed(server, 3);
  second.say(192, second.take().id, [0, 0], session('OTHER'));
  assert.deepEqual(await outcome(closed), { value: undefined });
  assert.deepEqual([items, client.session.key, taken(second)], [{ k: 'OTHER' }, 'OTHER', []]);
});

test('a socket that is lost while the session is restored was none that could be used', async (t) => {
  const server = new FakeServer(t);
  server.metadata.versions = ['3.0'];
  server.welcome = welcome(0);
  const client = server.client({ storage: storage({ k: 'KEY' }), storageKey: 'k', minBackoff: 100 });
  const reply = client.request('n', 'x');
  await settled();
  await server.socket.open();
  assert.equal(server.socket.take().type, 32);
  server.socket.drop();
  await settled();
  assert.equal(client.status, 'connecting');
  const second = await next(server);
  assert.equal(hello(second), false);
  await greeted(server, 0);
  second.say(192, second.take().id, [0, 0], session('KEY'));
  await settled();
  second.reply(second.take(), 'y');
  assert.equal((await reply).text(), 'y');
  await server.clock.pass(20_000);
  assert.equal(client.status, 'connected');
  assert.deepEqual(client.events(), ['connected']);
});

test('a session that could not be restored is asked for again when the connection is back', async (t) => {
  const server = new FakeServer(t);
  server.metadata.versions = ['3.0'];
  server.welcome = welcome(0);
  const client = server.client({ storage: storage({ k: 'KEY' }), storageKey: 'k', minBackoff: 100, maxBackoff: 100 });
  client.connect();
  await settled();
  const { socket } = server;
  await socket.open();
  socket.say([13], socket.take().id, [4, 0]); // full
  await settled();
  assert.equal(client.status, 'connected');
  socket.drop();
  const second = await next(server);
  await server.clock.pass(5_000); // the server takes its time
  await greeted(server, 1, { received: 1, from: 2 });
  assert.deepEqual(taken(second), []);
  await server.clock.pass(100);
  const again = second.take();
  assert.equal(again.type, 32);
  second.say(192, again.id, [0, 0], session('KEY'));
  await settled();
  assert.equal(client.session.key, 'KEY');
});

test('requests made under a session are not sent under another', async (t) => {
  const items = {};
  const { server, client, socket } = await connected(t, { storage: storage(items), storageKey: 'k' });
  const lost = gaps(client);
  socket.say([21], session('KEY'));
  await settled();
  socket.drop();
  await settled();
  const request = client.request('n', 'x');
  client.signal('s', 'x');
  items.k = 'OTHER'; // another tab signed in
  const second = await resumed(server, 3);
  second.say(192, second.take().id, [0, 0], session('OTHER'));
  await settled();
  assert.equal((await outcome(request)).error.sent, false);
  assert.deepEqual([taken(second), lost], [[], [[undefined, 1]]]);
});

test('handlers run on while it is away, and their answers follow', async (t) => {
  const { server, client, socket } = await connected(t);
  let aborted;
  client.handle('wait', async (payload, request) => {
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    aborted = request.signal.aborted;
    return 'done';
  });
  ask(socket, 5, 'wait');
  socket.drop();
  await server.clock.pass(60);
  assert.equal(aborted, false);
  if (server.socket === socket) await next(server);
  const second = await greeted(server, 1, { from: 2 });
  const [answer] = taken(second);
  assert.deepEqual([answer.type, answer.id, text(answer.payload)], [192, ID(5), 'done']);
});

test('what waits for a place survives', async (t) => {
  const { server, client, socket } = await connected(t, {}, conf(1));
  client.request('first', 'x');
  client.request('second', 'x');
  const [{ id }] = taken(socket);
  socket.drop();
  const second = await resumed(server, 1, { received: 1 });
  assert.deepEqual(taken(second), []);
  second.say(192, id, [0, 0], 'y');
  assert.deepEqual(names(second), ['second']);
});

test('what waited for a place is sent on the new connection, before what came later', async (t) => {
  const { server, client, socket } = await connected(t, {}, conf(1));
  server.conf3 = conf(9);
  for (const name of ['first', 'second', 'third']) outcome(client.request(name, 'x'));
  assert.deepEqual(names(socket), ['first']);
  socket.drop();
  await settled();
  client.request('fourth', 'x');
  const second = await resumed(server, 3);
  assert.deepEqual(names(second), ['second', 'third', 'fourth']);
});

test('pauses grow while sockets break at once, and nothing is lost', async (t) => {
  const { server, client, socket } = await connected(t);
  const reply = client.request('n', 'x');
  taken(socket);
  socket.drop();
  let start = server.clock.now;
  const pauses = [];
  for (let i = 0; i < 4; i++) {
    const again = await resumed(server, 1, { received: 0 });
    pauses.push(Math.round((server.clock.now - start) / 100));
    start = server.clock.now;
    assert.deepEqual(names(again), ['n']);
    again.drop();
  }
  assert.deepEqual(pauses, [1, 4, 16, 50]);
  const last = await resumed(server, 1, { received: 1 });
  last.say(192, ID(1), [0, 0], 'y');
  await reply;
});

test('nothing is left behind', async (t) => {
  const { server, client, socket } = await connected(t);
  client.request('n', 'x', { timeout: Infinity });
  socket.drop();
  await resumed(server, 1, { received: 1 });
  client.close();
  await settled();
  assert.equal(server.clock.timers, 0);
});

// A Peer is a server that keeps to the protocol on sockets that break at any moment: before
// welcome, inside of what is sent again, or with messages of either end on their way.
class Peer {
  received = 0; // counted messages
  sent = []; // counted messages
  signals = [];
  executed = [];
  attempt = 0;
  news = 0;

  constructor(random) {
    this.random = random;
  }

  // greet answers the hello of a socket, and sends again what the client does not have.
  greet(socket) {
    const resume = hello(socket);
    if (resume) {
      assert.ok(resume.attempt > this.attempt, 'attempts grow');
      assert.ok(resume.received <= this.sent.length, 'nothing was received that was not sent');
      assert.ok(resume.first <= this.received + 1, 'all that is missing is kept');
      this.attempt = resume.attempt;
    }
    socket.say(conf(1000));
    if (this.random() < 0.2) return false; // welcome is lost
    socket.say(welcome(resume ? 1 : 0, { received: this.received, from: (resume.received ?? 0) + 1 }));
    for (const message of this.sent.slice(resume.received ?? 0)) {
      if (this.random() < 0.05) return false;
      socket.say(message);
    }
    return true;
  }

  say(socket, message, arrives) {
    this.sent.push(message);
    if (!arrives) socket.broken = true; // and nothing after it arrives
    if (!socket.broken) socket.say(message);
  }

  // read takes some of what has arrived.
  read(socket) {
    while (socket.sent.length && this.random() < 0.9) {
      const message = socket.sent.shift();
      const [type] = message;
      if (type >= 8 && type <= 10) continue;
      this.received++;
      const at = type < 127 ? 1 : 9;
      const start = at + 2 + message[at] + 256 * message[at + 1];
      const payload = text(message.slice(start + 1 + message[start]));
      if (type < 127) {
        this.signals.push(payload);
      } else {
        this.executed.push(payload);
        this.say(socket, bytes([192], [...message.slice(1, 9)], [0, 0], payload), this.random() < 0.9);
      }
      if (!socket.broken && this.random() < 0.1) socket.say([8], u64(this.received));
    }
    if (this.random() < 0.5) this.say(socket, bytes([64, 0, 0, 1], 'n', String(++this.news)), this.random() < 0.9);
  }
}

test('sockets that break at any moment: nothing is lost, doubled or out of order', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    let state = seed;
    const random = () => { // that of Lehmer
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const server = new FakeServer(t);
    server.metadata.versions = ['3.0'];
    const client = server.client({ minBackoff: 10, maxBackoff: 10, timeout: Infinity });
    const heard = [];
    const lost = gaps(client);
    client.addEventListener('signal', ({ payload }) => heard.push(payload.text()));
    const peer = new Peer(random);
    client.connect();
    await settled();
    server.socket.start('webwire-3.0');
    await settled();
    server.socket.say(conf(1000));
    server.socket.say(welcome(0));
    await settled();
    let n = 0;
    let good = true;
    const replies = [];
    const open = async () => {
      while (server.socket.readyState !== 1) {
        await next(server);
        good = peer.greet(server.socket);
        if (!good) server.socket.drop();
        await settled();
      }
    };
    for (let step = 0; step < 60; step++) {
      for (let i = random() * 4; i >= 1; i--) {
        n++;
        if (random() < 0.5) client.signal('s', `s${n}`);
        else replies.push(client.request('r', `r${n}`).then((reply) => assert.match(reply.text(), /^r/)));
      }
      await settled();
      if (server.socket.readyState === 1) peer.read(server.socket);
      if (random() < 0.2) {
        server.socket.drop();
        await settled();
      } else if (random() < 0.6) {
        await open();
      }
      if (random() < 0.2) await server.clock.pass(1_100); // acks
    }
    if (server.socket.readyState === 1) server.socket.drop(); // what was sent and did not arrive
    await settled();
    peer.random = () => 0.5;
    await open();
    while (server.socket.sent.length) peer.read(server.socket);
    await Promise.all(replies);
    await settled();
    const numbers = (all) => all.map((each) => Number(each.replace(/^[rs]/, '')));
    const sorted = (all) => numbers(all).toSorted((a, b) => a - b);
    assert.equal(new Set(peer.executed).size, replies.length, `seed ${seed}`);
    assert.equal(peer.executed.length, replies.length, `seed ${seed}: none twice`);
    assert.deepEqual(numbers(peer.signals), sorted(peer.signals), `seed ${seed}: in order`);
    assert.equal(peer.signals.length + peer.executed.length, n);
    assert.deepEqual(heard, Array.from({ length: peer.news }, (_, i) => String(i + 1)), `seed ${seed}`);
    assert.deepEqual(lost, []);
    client.close();
  }
});

// Drain.

const drain = (socket, spread, grace) => socket.say([11, 0], u32(spread), u32(grace), 'ws://elsewhere.example/');

test('drain: after a moment new requests wait, those in flight finish, then it moves and goes on', async (t) => {
  const { server, client, socket } = await connected(t);
  const begun = client.request('begun', 'x');
  const { id } = socket.take();
  drain(socket, 3_000, 30_000);
  await server.clock.pass(2_999);
  client.signal('before', 'x');
  assert.deepEqual(names(socket), ['before'], 'it uses the connection');
  await server.clock.pass(1);
  const waiting = client.request('waiting', 'x');
  client.signal('signal', 'x');
  await server.clock.pass(5_000);
  assert.deepEqual([taken(socket), socket.closedWith], [[], undefined]);
  socket.say(192, id, [0, 0], 'y');
  assert.equal((await begun).text(), 'y');
  await server.clock.pass(1_999);
  assert.equal(socket.closedWith, undefined, 'the server has two seconds to say what it has');
  socket.say([8], u64(2));
  assert.equal(socket.closedWith, 4000);
  await server.clock.pass(1);
  const second = server.socket;
  assert.notEqual(second, socket, 'at once');
  assert.equal(second.url, socket.url, 'the endpoint of drain is nobody that it knows');
  await greeted(server, 3, { id: 5 });
  assert.ok(hello(second));
  const sent = taken(second);
  assert.deepEqual(sent.map(({ name }) => name), ['waiting', 'signal']);
  second.reply(sent[0], 'z');
  assert.equal((await waiting).text(), 'z');
});

test('drain: it does not wait longer than two seconds for acks', async (t) => {
  const { server, client, socket } = await connected(t);
  const lost = gaps(client);
  drain(socket, 0, 30_000);
  client.signal('a', 'x');
  await server.clock.pass(2_000);
  assert.equal(socket.closedWith, undefined);
  await server.clock.pass(1);
  assert.equal(socket.closedWith, 4000);
  await resumed(server, 3);
  assert.deepEqual(lost, [[undefined, 1]]);
});

test('drain: a random moment within spread', async (t) => {
  const { server, client, socket } = await connected(t);
  t.mock.method(Math, 'random', () => 0.5);
  drain(socket, 10_000, 60_000);
  await server.clock.pass(4_999);
  assert.deepEqual([socket.closedWith, client.status], [undefined, 'connected']);
  await server.clock.pass(1);
  assert.equal(socket.closedWith, 4000);
  await server.clock.pass(1);
  await greeted(server, 1);
  client.signal('n', 'x');
  assert.deepEqual([names(server.socket), client.events()], [['n'], ['resumed']], 'it holds nothing back');
});

test('drain: a request that is refused meanwhile does not end the connection', async (t) => {
  const { server, client, socket } = await connected(t);
  drain(socket, 10_000, 60_000);
  client.request('refused', 'x');
  socket.say(13, socket.take().id, 1, 0);
  await server.clock.pass(5_000);
  assert.deepEqual([socket.closedWith, client.status], [undefined, 'connected']);
  await server.clock.pass(7_001);
  assert.deepEqual([socket.closedWith, client.status], [4000, 'resuming']);
});

test('drain: at most a little less than grace', async (t) => {
  const { server, client, socket } = await connected(t);
  const begun = client.request('begun', 'x');
  const { id } = socket.take();
  drain(socket, 60_000, 10_000);
  await server.clock.pass(8_900);
  assert.equal(socket.closedWith, undefined);
  await server.clock.pass(200);
  assert.equal(socket.closedWith, 4000);
  await greeted(server, 1, { received: 1 });
  server.socket.say(192, id, [0, 0], 'y');
  assert.equal((await begun).text(), 'y');
});

test('drain: the handlers of requests of the server finish too', async (t) => {
  const { server, client, socket } = await connected(t);
  client.handle('wait', () => new Promise((resolve) => { setTimeout(resolve, 5_000); }));
  ask(socket, 5, 'wait');
  drain(socket, 0, 60_000);
  await server.clock.pass(4_999);
  assert.equal(socket.closedWith, undefined);
  await server.clock.pass(1);
  assert.equal(taken(socket)[0].type, 191);
  socket.say([8], u64(1));
  assert.equal(socket.closedWith, 4000);
});

test('drain without a window, and for a client that connects but once', async (t) => {
  const { server, client, socket } = await connected(t, { autoconnect: false });
  drain(socket, 0, 1000);
  await server.clock.pass(2000);
  assert.deepEqual([socket.closedWith, client.status], [undefined, 'connected']);
  client.request('n', 'x');
  assert.deepEqual(names(socket), ['n']);
  client.close();

  const other = new FakeServer(t);
  other.metadata.versions = ['3.0'];
  const listener = await other.connected({ minBackoff: 100 });
  const first = other.socket;
  drain(first, 0, 60_000);
  await other.clock.pass(10);
  assert.equal(first.closedWith, 1000);
  const request = listener.request('n', 'x');
  await other.clock.pass(200);
  await other.socket.open();
  other.socket.reply(other.socket.take(), 'y');
  assert.equal((await request).text(), 'y');
});

test('drain: a final status ends the connection of a client that is about to move', async (t) => {
  for (const [code, status] of [[4500, 'disconnected'], [3500, 'disconnected'], [1000, 'connecting']]) {
    const { server, client, socket } = await connected(t);
    const items = client.stream('s', 'x').next();
    items.catch(() => {});
    const request = client.request('n', 'x');
    drain(socket, 0, 60_000);
    await server.clock.pass(1);
    socket.drop(code);
    for (const promise of [items, request]) assert.equal((await outcome(promise))?.error.sent, true, code);
    assert.deepEqual([client.status, client.events()[0]], [status, 'disconnected']);
    client.close();
  }
});

test('drain: those that the server closes at once do not come back at once', async (t) => {
  const { server, socket } = await connected(t, { minBackoff: 1000, storage: null });
  t.mock.method(Math, 'random', () => 0.5);
  await server.clock.pass(5_000);
  drain(socket, 60_000, 120_000);
  await server.clock.pass(10_000);
  socket.drop(1001, '');
  await server.clock.pass(100);
  assert.equal(server.sockets.length, 1);
  await server.clock.pass(900);
  assert.equal(server.sockets.length, 2);
});

for (const [spread, grace] of [[0, 0], [0, 60_000], [1, 60_000], [60_000, 1]]) {
  test(`drain: again and again, ${spread} ms with a grace of ${grace} ms`, async (t) => {
    const { server, client } = await connected(t, { minBackoff: 1000, storage: null });
    const end = server.clock.now + 60_000;
    for (let n = 0; server.clock.now < end && n < 100; n++) {
      drain(server.socket, spread, grace);
      while (server.socket.readyState && server.clock.now < end) await server.clock.pass(10);
      if (!server.socket.readyState) await greeted(server, 1);
    }
    assert.ok(server.sockets.length > 5 && server.sockets.length < 60, `${server.sockets.length} sockets in a minute`);
    assert.deepEqual(client.events().filter((event) => event !== 'resumed'), []);
  });
}

// A server that refuses because it shuts down.

test('a request that was refused by a server that shuts down is sent again after the resume', async (t) => {
  const { server, client, socket } = await connected(t);
  const refused = client.request('refused', 'x');
  const { id } = socket.take();
  socket.say([13], id, [1, 0]);
  const later = client.request('later', 'x');
  client.signal('signal', 'x');
  assert.deepEqual(taken(socket), []);
  socket.drop(3001, 'credentials expired');
  const second = await resumed(server, 1, { received: 1, from: 2 });
  const sent = taken(second);
  assert.deepEqual(sent.map(({ name }) => name), ['refused', 'later', 'signal']);
  second.reply(sent[0], 'y');
  second.reply(sent[1], 'z');
  assert.deepEqual([(await refused).text(), (await later).text()], ['y', 'z']);
});

test('a stream that is refused after items fails', async (t) => {
  const { client, socket } = await connected(t);
  const stream = client.stream('s', 'x');
  const first = stream.next();
  const { id } = socket.take();
  item(socket, id, 'a');
  await first;
  socket.say([13], id, [1, 0]);
  assert.equal((await outcome(stream.next())).error.name, 'ShutdownError');
});

test('a refused stream begins again', async (t) => {
  const { server, client, socket } = await connected(t);
  const got = [];
  const all = (async () => {
    for await (const each of client.stream('s', 'x')) got.push(each.text());
  })();
  socket.say([13], socket.take().id, [1, 0]);
  socket.drop(1001);
  const second = await resumed(server, 3);
  const { id } = second.take();
  item(second, id, 'a');
  second.say(191, id, [0, 0]);
  await all;
  assert.deepEqual(got, ['a']);
});
