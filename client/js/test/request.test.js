// Requests and signals on a connection, and before there is one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CloseError, ClosedError, DisconnectedError, ErrorReply, InternalError, MalformedError, Payload, QueueFullError,
  SessionFullError, SessionNotFoundError, SessionsDisabledError, ShutdownError, TimeoutError, TooLongError, WebWireError,
} from '../src/index.js';
import { settled } from './support/clock.js';
import { FakeServer, ID, bytes, outcome, session, text } from './support/fakes.js';

const REQUEST = 128;

test('a request gets its reply, in whatever order they come', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const first = client.request('a', 'one');
  const second = client.request('b', 'two');
  const [a, b] = [server.socket.take(), server.socket.take()];
  assert.deepEqual([a.type, a.name, text(a.payload)], [REQUEST, 'a', 'one']);
  assert.notDeepEqual(a.id, b.id);
  server.socket.reply(b, 'TWO');
  server.socket.reply(a, 'ONE');
  assert.equal((await second).text(), 'TWO');
  const reply = await first;
  assert.ok(reply instanceof Payload);
  assert.deepEqual([reply.encoding, reply.text()], ['utf8', 'ONE']);
});

test('replies in all encodings, empty ones too', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  for (const [type, body, encoding, want] of [
    [191, [255], 'binary', [255]], [192, ['x'], 'utf8', [120]], [193, [0, 0x3d, 0xd8, 0x00, 0xde], 'utf16', [0x3d, 0xd8, 0, 0xde]],
    [191, [], 'binary', []], [192, [], 'utf8', []], [193, [7], 'utf16', []],
  ]) {
    const request = client.request('n', 'x');
    server.socket.say(type, server.socket.take().id, ...body);
    const reply = await request;
    assert.equal(reply.encoding, encoding);
    assert.deepEqual([...reply.bytes], want);
  }
});

test('the errors of the server have their classes', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected({ autoconnect: false });
  for (const [type, body, Class] of [
    [0, [3, 'BADwhat it means'], ErrorReply], [2, [], InternalError], [3, [], SessionNotFoundError], [4, [], SessionFullError],
    [5, [], SessionsDisabledError], [1, [], ShutdownError],
  ]) {
    const request = client.request('n', 'x');
    server.socket.say(type, server.socket.take().id, ...body);
    const { error } = await outcome(request);
    assert.equal(error.constructor, Class);
    assert.ok(error instanceof WebWireError);
    assert.equal(error.name, Class.name);
    assert.match(error.stack, new RegExp(`^${Class.name}: ${error.message}`));
    if (Class === ErrorReply) assert.deepEqual([error.code, error.message], ['BAD', 'what it means']);
  }
});

test('errors have a cause if there is one', () => {
  const cause = new Error('why');
  const errors = (...args) => [
    new WebWireError('message', ...args), new MalformedError('message', ...args), new DisconnectedError(true, ...args),
    new TimeoutError(5_000, ...args), new CloseError(1006, '', ...args),
  ];
  for (const error of errors(cause)) assert.equal(error.cause, cause);
  for (const error of errors()) assert.ok(!('cause' in error));
});

test('a message that is malformed, late, a duplicate or unknown harms nobody', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const { socket } = server;
  const request = client.request('n', 'x');
  const { id } = socket.take();
  socket.say();
  for (const type of [6, 7, 23, 31, 32, 33, 127, 128, 255]) socket.say(type, id, 'x');
  socket.say(192, ID(77), 'nobody asked');
  socket.say(192, [1, 2, 3]);
  socket.say(64, 9, 'x');
  socket.say(22, 0);
  socket.sayText('text');
  assert.equal(await outcome(request), undefined);
  socket.say(192, id, 'reply');
  socket.say(192, id, 'duplicate');
  socket.say(2, id);
  assert.equal((await request).text(), 'reply');
  assert.equal(client.status, 'connected');
  assert.deepEqual(client.events(), []);
});

test('a malformed reply is the outcome of its request', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const request = client.request('n', 'x');
  server.socket.say(0, server.socket.take().id, 0, 'code of no length');
  await assert.rejects(request, MalformedError);
  assert.equal(client.status, 'connected');
});

test('a request times out, and its late reply is dropped', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected({ timeout: 5_000 });
  const [usual, longer, endless] = [undefined, { timeout: 8_000 }, { timeout: Infinity }].map((o) => client.request('n', 'x', o));
  const requests = [server.socket.take(), server.socket.take(), server.socket.take()];
  await server.clock.pass(4_999);
  assert.equal(await outcome(usual), undefined);
  await server.clock.pass(1);
  await assert.rejects(usual, (error) => error instanceof TimeoutError && error.after === 5_000 && !error.cause && error.sent === true);
  server.socket.reply(requests[0], 'late');
  await server.clock.pass(3_000);
  await assert.rejects(longer, TimeoutError);
  server.socket.reply(requests[2], 'in time');
  assert.equal((await endless).text(), 'in time');
});

test('the default timeout is a minute', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const request = client.request('n', 'x');
  await server.clock.pass(59_999);
  assert.equal(await outcome(request), undefined);
  await server.clock.pass(1);
  await assert.rejects(request, TimeoutError);
});

test('aborting ends the waiting with the reason, and nothing else', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const controller = new AbortController();
  const request = client.request('n', 'x', { signal: controller.signal });
  const other = client.request('o', 'x');
  const { id } = server.socket.take();
  controller.abort();
  await assert.rejects(request, { name: 'AbortError' });
  server.socket.say(192, id, 'late');
  server.socket.reply(server.socket.take(), 'fine');
  assert.equal((await other).text(), 'fine');

  const reason = new Error('mine');
  await assert.rejects(client.request('n', 'x', { signal: AbortSignal.abort(reason) }), (error) => error === reason);
  assert.equal(server.socket.take(), undefined, 'nothing is sent for what is aborted');
});

test('a settled request leaves no timer and no listener behind', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const before = server.clock.timers;
  const { signal } = new AbortController();
  let listeners = 0;
  t.mock.method(signal, 'addEventListener', () => listeners++);
  t.mock.method(signal, 'removeEventListener', () => listeners--);
  for (let i = 0; i < 10; i++) {
    const request = client.request('n', 'x', { signal });
    server.socket.reply(server.socket.take());
    await request;
  }
  assert.equal(server.clock.timers, before);
  assert.equal(listeners, 0);
});

test('when the connection is lost the requests on it fail, once, and are not sent again', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const request = client.request('n', 'x');
  server.socket.drop(1006, '', 'read ECONNRESET');
  await assert.rejects(request, (error) => (
    error instanceof DisconnectedError && error.sent && error.cause.code === 1006 && /ECONNRESET/.test(error.message)
  ));
  await server.clock.pass(1_000);
  await server.socket.open();
  assert.equal(client.status, 'connected');
  assert.equal(server.socket.take(), undefined);
});

test('requests wait for the connection, and are sent in order', async (t) => {
  const server = new FakeServer(t);
  const client = server.client();
  assert.equal(client.status, 'disconnected');
  assert.equal(server.sockets.length, 0, 'nothing happens before the client is used');
  const requests = ['a', 'b', 'c'].map((name) => client.request(name, 'x'));
  assert.equal(client.status, 'connecting');
  await settled();
  assert.equal(server.sockets.length, 1);
  await server.socket.open();
  for (const name of ['a', 'b', 'c']) {
    const request = server.socket.take();
    assert.equal(request.name, name);
    server.socket.reply(request, name.toUpperCase());
  }
  assert.deepEqual((await Promise.all(requests)).map((p) => p.text()), ['A', 'B', 'C']);
});

test('a request that finds no connection in time says why', async (t) => {
  const server = new FakeServer(t);
  const client = server.client();
  const request = client.request('n', 'x', { timeout: 3_000 });
  await settled();
  server.socket.drop(1006, '', 'connect ECONNREFUSED');
  await server.clock.pass(3_000);
  await assert.rejects(request, (error) => error instanceof TimeoutError && error.sent === false && /ECONNREFUSED/.test(error.message));
  await server.socket.open();
  assert.equal(server.socket.take(), undefined, 'it is not sent any more');
});

test('a request can be aborted while it waits for the connection', async (t) => {
  const server = new FakeServer(t);
  const client = server.client();
  const controller = new AbortController();
  const request = client.request('n', 'x', { signal: controller.signal });
  controller.abort();
  await assert.rejects(request, { name: 'AbortError' });
  await settled();
  await server.socket.open();
  assert.equal(client.status, 'connected');
  assert.equal(server.socket.take(), undefined);
});

test('a request waits for the next connection while the socket is closing', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const { socket } = server;
  socket.readyState = 2;
  const request = client.request('n', 'x');
  assert.throws(() => client.signal('s', 'x'), DisconnectedError);
  assert.deepEqual(socket.sent, []);
  socket.drop(1001);
  await server.clock.pass(1_000);
  await server.socket.open();
  server.socket.reply(server.socket.take(), 'y');
  assert.equal((await request).text(), 'y');
});

test('signals are sent at once, in order with requests', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  client.signal('s1', 'x');
  client.request('r', 'x');
  client.signal('s2', { a: 1 });
  client.signal('s3');
  const { socket } = server;
  assert.deepEqual([socket.take(), socket.take(), socket.take(), socket.take()].map((m) => [m.type, m.name, text(m.payload)]), [
    [64, 's1', 'x'], [128, 'r', 'x'], [64, 's2', '{"a":1}'], [63, 's3', ''],
  ]);
});

test('a signal without a connection fails at once, and has one made', async (t) => {
  const server = new FakeServer(t);
  const client = server.client();
  assert.throws(() => client.signal('s', 'x'), (error) => error instanceof DisconnectedError && !error.sent);
  assert.equal(client.status, 'connecting');
  await settled();
  await server.socket.open();
  assert.equal(server.socket.take(), undefined);
  client.signal('s', 'x');
  assert.equal(server.socket.take().name, 's');
});

test('signals of the server are events', async (t) => {
  const server = new FakeServer(t);
  const got = [];
  const client = await server.connected({ onsignal: ({ name, payload }) => got.push([name, payload.encoding, payload.text()]) });
  client.addEventListener('signal', ({ name }) => got.push(name));
  server.socket.say(64, 4, 'news', '😀');
  server.socket.say(65, 1, 'u', 0, 0x3d, 0xd8, 0x00, 0xde);
  server.socket.say(63, 1, 'b', 1);
  server.socket.say(64, 4, 'bare');
  await settled();
  assert.deepEqual(got, [
    ['news', 'utf8', '😀'], 'news', ['u', 'utf16', '😀'], 'u', ['b', 'binary', '\x01'], 'b', ['bare', 'utf8', ''], 'bare',
  ]);
});

test('a signal that came before a reply is told before it', async (t) => {
  const server = new FakeServer(t);
  const order = [];
  const client = await server.connected({ onsignal: () => order.push('signal') });
  const request = client.request('n', 'x').then(() => order.push('reply'));
  const { id } = server.socket.take();
  server.socket.say(64, 1, 's', 'x');
  server.socket.say(192, id);
  await request;
  assert.deepEqual(order, ['signal', 'reply']);
});

test('messages longer than the server takes are refused, and nothing is sent', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const room = 8192 - 1 - 8 - 1 - 1;
  await assert.rejects(client.request('n', new Uint8Array(room + 1)), (error) => (
    error instanceof TooLongError && error.size === 8193 && error.limit === 8192
  ));
  assert.throws(() => client.signal('n', new Uint8Array(8192)), TooLongError);
  assert.equal(server.socket.take(), undefined);
  client.request('n', new Uint8Array(room));
  assert.equal(server.socket.sent[0].length, 8192);
});

test('what the version cannot express is refused', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected({ versions: ['1.2'] });
  await assert.rejects(client.request('n'), MalformedError);
  await assert.rejects(client.request('ä', 'x'), MalformedError);
  await assert.rejects(client.request(undefined, 'x'), TypeError);
  await assert.rejects(client.request('n', () => {}), TypeError);
  assert.throws(() => client.signal('n'), MalformedError);
  assert.equal(server.socket.take(), undefined);
  assert.equal(client.status, 'connected');
});

test('what waits to be sent is bounded', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected({ maxQueue: 1_000 });
  server.socket.bufferedAmount = 900;
  await assert.rejects(client.request('n', new Uint8Array(100)), (error) => error instanceof QueueFullError && error.limit === 1_000);
  assert.throws(() => client.signal('n', new Uint8Array(100)), QueueFullError);
  client.signal('n', 'small');
  server.socket.bufferedAmount = 0;
  client.signal('n', new Uint8Array(5_000)); // any size, where nothing else waits
  assert.equal(server.socket.sent.length, 2);
});

test('what waits for a connection is bounded too', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ maxQueue: 1_000 });
  const controller = new AbortController();
  const waiting = client.request('n', new Uint8Array(900), { signal: controller.signal });
  await assert.rejects(client.request('n', new Uint8Array(100)), QueueFullError);
  controller.abort();
  await assert.rejects(waiting);
  const next = client.request('n', new Uint8Array(900));
  await settled();
  await server.socket.open();
  server.socket.reply(server.socket.take());
  await next;
});

test('what cannot be sent once connected counts as waiting no longer, and no more', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ maxQueue: 100 });
  const long = client.request('n', new Uint8Array(9_000));
  await settled();
  await server.socket.open();
  await assert.rejects(long, TooLongError);
  server.socket.drop();
  client.request('ä', 'not ASCII');
  await server.clock.pass(1_000);
  await server.socket.open();
  server.socket.drop();

  const waiting = client.request('n', new Uint8Array(40));
  client.request('n', new Uint8Array(30));
  const refused = await outcome(client.request('n', new Uint8Array(40)));
  assert.ok(refused?.error instanceof QueueFullError);
  assert.equal(await outcome(waiting), undefined);
});

test('what queues nothing is not refused', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ maxQueue: 100 });
  client.request('n', new Uint8Array(5_000));
  const connecting = [client.connect(), client.connect()];
  const restoring = client.restoreSession('KEY');
  await settled();
  const { socket } = server;
  await socket.open();
  await Promise.all(connecting);
  socket.bufferedAmount = 5_000;
  await client.connect();
  socket.take();
  socket.say(192, socket.take().id, session('KEY'));
  await restoring;
  const closing = client.closeSession();
  socket.say(192, socket.take().id);
  await closing;
  await assert.rejects(client.request('n', 'x'), QueueFullError);
});

test('close ends everything that waits, on the connection and for one', async (t) => {
  const server = new FakeServer(t);
  const connected = await server.connected();
  const pending = connected.request('n', 'x');
  connected.signal('last', 'x');
  connected.close();
  await assert.rejects(pending, ClosedError);
  assert.equal(server.socket.closedWith, 1000);
  await settled();
  assert.deepEqual(connected.events(), ['disconnected']);

  const connecting = server.client();
  const waiting = connecting.request('n', 'x');
  connecting.close();
  await assert.rejects(waiting, ClosedError);
  for (const client of [connected, connecting]) {
    client.close();
    assert.equal(client.status, 'closed');
    await assert.rejects(client.request('n', 'x'), ClosedError);
    await assert.rejects(client.connect(), ClosedError);
    await assert.rejects(client.restoreSession('key'), ClosedError);
    await assert.rejects(client.closeSession(), ClosedError);
    assert.throws(() => client.signal('n', 'x'), ClosedError);
  }
  await settled();
  assert.equal(server.clock.timers, 0);
});

test('views of bytes are sent as what they are then', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const data = bytes('abc');
  client.signal('n', data);
  data[0] = 0;
  assert.equal(text(server.socket.take().payload), 'abc');
});

test('many requests with one AbortSignal', async (t) => {
  const server = new FakeServer(t);
  const warnings = [];
  const warn = (warning) => warnings.push(warning.name);
  process.on('warning', warn);
  t.after(() => process.off('warning', warn));
  const client = await server.connected();
  const controller = new AbortController();
  const requests = Array.from({ length: 20 }, () => client.request('n', 'x', { signal: controller.signal }));
  server.socket.reply(server.socket.take(), 'y');
  assert.equal((await requests.shift()).text(), 'y');
  controller.abort();
  for (const request of requests) await assert.rejects(request, { name: 'AbortError' });
  await settled();
  assert.deepEqual(warnings, []);
});

test('the name of an error may be assigned', () => {
  const error = new ClosedError();
  assert.equal(error.name, 'ClosedError');
  error.name = 'Mine';
  assert.equal(error.name, 'Mine');
  assert.equal(new ClosedError().name, 'ClosedError');
  assert.deepEqual(Object.keys(new CloseError(1006, '')), ['code', 'reason']);
});

for (const name of [undefined, null, 5, {}]) {
  test(`a name that is no string is refused at once: ${name}`, async (t) => {
    const server = new FakeServer(t);
    const client = server.client({ maxQueue: 100 });
    await assert.rejects(client.request(name, 'x'), TypeError);
    assert.throws(() => client.signal(name, 'x'), TypeError);
    client.request('a', 'x'.repeat(80));
    assert.ok((await outcome(client.request('b', 'x'.repeat(80)))).error instanceof QueueFullError);
  });
}

test('a server that shuts down is left, once it has answered what it had begun', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const { socket, clock } = server;
  const begun = client.request('n', 'x');
  const refused = client.request('refused', 'x', { timeout: 30_000 });
  const { id } = socket.take();
  socket.say(1, socket.take().id);
  client.request('later', 'x');
  client.signal('signal', 'x');
  await clock.pass(10_000);
  assert.equal(socket.closedWith, undefined);
  assert.equal(socket.take(), undefined, 'requests and signals wait');
  socket.say(192, id, 'y');
  assert.equal((await begun).text(), 'y');
  await clock.pass(999);
  assert.equal(socket.closedWith, undefined, 'it has a second to close the connection');
  await clock.pass(1);
  assert.equal(socket.closedWith, 1000);
  assert.equal(client.status, 'connecting');
  await clock.pass(1000);
  await server.socket.open();
  const again = server.socket.take();
  assert.deepEqual([again.name, server.socket.take().name, server.socket.take().name], ['refused', 'later', 'signal'], 'in their order');
  server.socket.say(192, again.id, 'z');
  assert.equal((await refused).text(), 'z');
});

test('a refused request fails in its time', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const refused = client.request('n', 'x', { timeout: 5000 });
  const abort = new AbortController();
  client.request('left', 'x', { signal: abort.signal });
  server.socket.say(1, server.socket.take().id);
  server.socket.say(1, server.socket.take().id);
  abort.abort();
  await settled();
  const old = server.socket;
  old.drop(1001);
  await server.clock.pass(4_000);
  await server.socket.open();
  assert.notEqual(server.socket, old);
  assert.equal(server.socket.take().name, 'n');
  assert.equal(server.socket.take(), undefined, 'who gave up is not sent');
  await server.clock.pass(1_000);
  assert.ok((await outcome(refused)).error instanceof TimeoutError);
});

