// What 3.0 adds: cancel and deadlines, metadata, requests of the server, streams, credentials.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settled } from './support/clock.js';
import { CONF3, FakeServer, ID, WELCOME, bytes, outcome, text, webwire } from './support/fakes.js';

const {
  DisconnectedError, ErrorReply, FailureError, InternalError, MalformedError, Payload, ReplyLostError, TimeoutError, TooLongError,
} = webwire;

const CANCEL = 9;
const FAILURE = 13;
const REPLY = 192;
const u16 = (n) => [n % 256, n >> 8];
const u32 = (n) => [...u16(n % 65536), ...u16(Math.floor(n / 65536))];
const field = (tag, value = []) => [tag, ...u16(value.length), ...value];
const utf8 = (value) => [...new TextEncoder().encode(value)];
const head = (...fields) => [...u16(fields.flat().length), ...fields.flat()];
const pair = (key, value) => field(64, utf8(`${key}\0${value}`));
const deadline = (ms) => field(1, u32(ms));
const conf = (requests, longest = 0) => bytes([...CONF3.slice(0, 7)], u32(longest), u32(0), u16(requests));

// modern returns a server that speaks all versions.
function modern(t) {
  const server = new FakeServer(t);
  server.metadata.versions = ['3.0', '2.0', '1.2'];
  return server;
}

// connected returns a client of 3.0, its server and the socket between them.
async function connected(t, options, confirmed = conf(16)) {
  const server = modern(t);
  server.conf3 = confirmed;
  const client = await server.connected({ versions: ['3.0'], ...options });
  const { socket } = server;
  return { server, client, socket };
}

const cancel = (id, reason) => ({ type: CANCEL, id, payload: Uint8Array.of(reason) });
const ask = (socket, id, name, fields = [], payload = 'x') => socket.say(128, ID(id), head(...fields), name.length, name, payload);
const item = (socket, id, value) => socket.say(67, id, value);
const failure = (id, code, executed) => ({ type: FAILURE, id: ID(id), payload: Uint8Array.of(code, executed) });

// deadlineOf returns that of a message that was taken.
const deadlineOf = ({ head: [tag, , , ...value] }) => {
  assert.equal(tag, 1);
  return new DataView(Uint8Array.from(value).buffer).getUint32(0, true);
};

test('hello goes first, the session and requests follow welcome', async (t) => {
  const server = modern(t);
  const client = server.client();
  const reply = client.request('n', 'x');
  await settled();
  assert.deepEqual(server.socket.protocols, ['webwire-3.0', 'webwire-2.0', 'webwire-1.2']);
  server.socket.start();
  await settled();
  assert.deepEqual(server.socket.hello, bytes([24, 0, 0, 0], u32(0), u32(65536), u16(16)));
  server.socket.say(conf(16));
  await settled();
  assert.deepEqual([server.socket.take(), client.status], [undefined, 'connecting']);
  server.socket.say(WELCOME);
  await settled();
  assert.equal(client.status, 'connected');
  const request = server.socket.take();
  assert.deepEqual([request.name, deadlineOf(request)], ['n', 60_000]);
  server.socket.say(REPLY, request.id, [0, 0], 'y');
  assert.equal((await reply).text(), 'y');
});

test('what is no opening ends the attempt', async (t) => {
  for (const messages of [[WELCOME], [conf(1), conf(1)], [conf(1), bytes([25, 1], Array(58).fill(0))], [conf(1), bytes([25, 6], Array(58).fill(0))], [bytes([23, 4], [...conf(1).slice(2)])]]) {
    const server = modern(t);
    const client = server.client({ versions: ['3.0'], autoconnect: false });
    const connecting = outcome(client.connect());
    await settled();
    server.socket.start();
    for (const message of messages) server.socket.say(message);
    await connecting;
    assert.equal(server.socket.closedWith, 1000);
    assert.notEqual(client.status, 'connected');
    client.close();
  }
});

test('a malformed message, an unknown type or text end the connection', async (t) => {
  for (const say of [(s) => s.say(64, [1, 0, 0]), (s) => s.say(33), (s) => s.say(191, ID(1)), (s) => s.sayText('x')]) {
    const { client, server, socket } = await connected(t);
    const request = outcome(client.request('n', 'x'));
    say(socket);
    const { error } = await request;
    assert.ok(error instanceof DisconnectedError && error.sent && error.cause instanceof MalformedError);
    assert.equal(server.socket.closedWith, 1000);
    client.close();
  }
});

test('what is of topics is ignored', async (t) => {
  const { client, socket } = await connected(t);
  socket.say(12, u32(7), Array(24).fill(0));
  socket.say(69, u32(7), Array(8).fill(0), [0, 0], [1], 'n');
  socket.say(10, ID(99), ID(1));
  assert.equal(client.status, 'connected');
  assert.deepEqual(client.events(), []);
});

test('metadata travel, of requests and signals, both ways', async (t) => {
  const { client, socket } = await connected(t);
  client.request('n', 'x', { timeout: 5000, meta: { k: 'v', n: 1 } });
  const request = socket.take();
  assert.deepEqual([...request.head], [...deadline(5000), ...pair('k', 'v'), ...pair('n', '1')]);
  client.request('n', 'x', { timeout: Infinity, meta: [['k', 'a'], ['k', 'b']] });
  assert.deepEqual([...socket.take().head], [...pair('k', 'a'), ...pair('k', 'b')]);
  client.signal('n', 'x', { meta: new Map([['k', 'v']]) });
  assert.deepEqual([...socket.take().head], pair('k', 'v'));
  let meta;
  client.addEventListener('signal', (event) => { ({ meta } = event); });
  socket.say(64, head(pair('a', 'b'), pair('a', 'c')), [1], 'n', 'x');
  await settled();
  assert.deepEqual(meta, [['a', 'b'], ['a', 'c']]);
  for (const bad of [{ '': 'v' }, [['a\0b', 'v']]]) {
    assert.throws(() => client.signal('n', 'x', { meta: bad }), TypeError);
  }
  assert.equal(socket.take(), undefined);
});

test('the trace context travels, of requests and signals, both ways', async (t) => {
  const { client, socket } = await connected(t);
  const trace = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', tracestate: 'a=b' };
  const fields = [field(2, Buffer.from('4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b701', 'hex')), field(3, utf8('a=b'))];
  client.request('n', 'x', { timeout: Infinity, trace });
  assert.deepEqual([...socket.take().head], fields.flat());
  client.signal('n', 'x', { trace });
  assert.deepEqual([...socket.take().head], fields.flat());
  const seen = [];
  client.addEventListener('signal', (event) => seen.push(event.trace));
  client.handle('n', (payload, request) => { seen.push(request.trace); });
  socket.say(64, head(...fields), [1], 'n', 'x');
  ask(socket, 1, 'n', fields);
  ask(socket, 2, 'n', []);
  await settled();
  assert.deepEqual(seen.map(({ tracestate }) => tracestate ?? '').sort(), ['', 'a=b', 'a=b']);
  assert.deepEqual(seen.find(({ tracestate }) => tracestate), trace);
});

test('errors of all kinds', async (t) => {
  const { client, socket } = await connected(t);
  const answer = async (code, executed, words = '') => {
    const request = client.request('n', 'x');
    socket.say(FAILURE, socket.take().id, [code, executed], words);
    return (await outcome(request)).error;
  };
  assert.ok(await answer(2, 1) instanceof InternalError);
  const missing = await answer(12, 0, 'no handler');
  assert.ok(missing instanceof ErrorReply && missing.code === 'NOT_FOUND', 'as in 2.0');
  const lost = await answer(11, 1);
  assert.ok(lost instanceof ReplyLostError && lost instanceof FailureError);
  assert.deepEqual([lost.code, lost.executed, lost.name], [11, 'yes', 'ReplyLostError']);
  const unknown = await answer(10, 2, 'gone');
  assert.ok(unknown instanceof FailureError);
  assert.deepEqual([unknown.code, unknown.executed, unknown.message, unknown.name], [10, 'maybe', 'gone', 'FailureError']);
  const refused = client.request('n', 'x');
  socket.say([0], socket.take().id, [2], 'NO', 'no');
  const { error } = await outcome(refused);
  assert.ok(error instanceof ErrorReply && error.code === 'NO' && error.message === 'no');
});

// Cancel and deadlines.

test('a request that is late says whether it may have been executed', async (t) => {
  const { server, client, socket } = await connected(t, { timeout: 1000 }, conf(1));
  const [first, queued] = [client.request('first', 'x'), client.request('second', 'x')];
  await server.clock.pass(1000);
  await assert.rejects(first, (error) => error instanceof TimeoutError && error.sent === true);
  await assert.rejects(queued, (error) => error instanceof TimeoutError && error.sent === false);
  const { id } = socket.take();
  socket.take(); // the cancel
  socket.say(FAILURE, id, [6, 2]);
  for (const [executed, sent] of [[0, false], [1, true], [2, true]]) {
    const request = client.request('n', 'x');
    socket.say(FAILURE, socket.take().id, [7, executed]);
    await assert.rejects(request, (error) => error instanceof TimeoutError && error.sent === sent, `executed is ${executed}`);
  }
});

test('a stream has no timeout of its own', async (t) => {
  const { server, client, socket } = await connected(t, { timeout: 1000 });
  for (const options of [undefined, {}, { timeout: undefined }]) {
    const stream = client.stream('tail', 'x', options);
    const next = stream.next();
    await settled();
    const { id } = socket.take();
    await server.clock.pass(2000);
    socket.say(67, id, 'item');
    assert.equal((await next).value.text(), 'item');
    void stream.return();
    await settled();
    while (socket.take());
  }
});

test('an aborted request is cancelled, and holds its place until it is answered', async (t) => {
  const { client, socket } = await connected(t, {}, conf(1));
  const abort = new AbortController();
  const first = outcome(client.request('first', 'x', { signal: abort.signal }));
  const second = client.request('second', 'x');
  const { id } = socket.take();
  abort.abort('enough');
  assert.deepEqual(await first, { error: 'enough' });
  assert.deepEqual(socket.take(), cancel(id, 0));
  assert.equal(socket.take(), undefined, 'the second waits');
  socket.say(FAILURE, id, [6, 2]);
  const request = socket.take();
  assert.equal(request.name, 'second');
  socket.reply(request);
  await second;
  assert.equal(socket.take(), undefined);
});

test('a request that was not sent yet is never sent once it is aborted', async (t) => {
  const { client, socket } = await connected(t, {}, conf(1));
  client.request('first', 'x');
  const first = socket.take();
  const abort = new AbortController();
  const second = outcome(client.request('second', 'x', { signal: abort.signal }));
  abort.abort();
  assert.equal((await second).error.name, 'AbortError');
  socket.reply(first);
  assert.equal(socket.take(), undefined);
});

test('a late request is cancelled as late; what waited carries the time that is left', async (t) => {
  const { server, client, socket } = await connected(t, {}, conf(1));
  const first = client.request('first', 'x', { timeout: 1000 });
  const { id } = socket.take();
  client.request('second', 'x', { timeout: 5000 });
  await server.clock.pass(1000);
  assert.ok((await outcome(first)).error instanceof TimeoutError);
  assert.deepEqual(socket.take(), cancel(id, 1));
  await server.clock.pass(500);
  socket.say(REPLY, id, [0, 0]);
  assert.equal(deadlineOf(socket.take()), 3500);
});

test('a deadline that passes at the server first is a timeout', async (t) => {
  const { client, socket } = await connected(t);
  const request = client.request('n', 'x', { timeout: 1000 });
  socket.say(FAILURE, socket.take().id, [7, 2]);
  const { error } = await outcome(request);
  assert.ok(error instanceof TimeoutError && error.after === 1000);
  assert.equal(socket.take(), undefined, 'no cancel');
  const unlimited = client.request('n', 'x', { timeout: Infinity });
  socket.say(FAILURE, socket.take().id, [7, 2]);
  assert.equal((await outcome(unlimited)).error.code, 7);
});

test('the end of the connection decides what is pending; what was not sent goes out on the next', async (t) => {
  const { server, client, socket } = await connected(t, {}, conf(1));
  const first = outcome(client.request('first', 'x'));
  const second = client.request('second', 'x');
  client.request('third', 'x');
  assert.equal(socket.take().name, 'first');
  socket.drop();
  assert.equal((await first).error.sent, true);
  await server.clock.pass(1000);
  await server.socket.open();
  const request = server.socket.take();
  assert.deepEqual([request.name, deadlineOf(request)], ['second', 59_000]);
  server.socket.reply(request);
  await second;
  assert.equal(server.socket.take().name, 'third');
});

test('what was not sent fails if there is no other connection', async (t) => {
  const { client, socket } = await connected(t, { autoconnect: false }, conf(1));
  const first = outcome(client.request('first', 'x'));
  const second = outcome(client.request('second', 'x'));
  socket.drop();
  assert.deepEqual([(await first).error.sent, (await second).error.sent], [true, false]);
});

test('a request that is longer than the server takes is not sent, and holds no place', async (t) => {
  const { client, socket } = await connected(t, {}, conf(1, 1024));
  assert.ok((await outcome(client.request('n', 'x'.repeat(1024)))).error instanceof TooLongError);
  assert.equal(socket.take(), undefined);
  client.request('n', 'x');
  assert.equal(socket.take().name, 'n');
});

test('what waits for a place counts as waiting', async (t) => {
  const { client } = await connected(t, { maxQueue: 1000 }, conf(1));
  client.request('first', 'x');
  client.request('second', 'x'.repeat(900));
  assert.equal((await outcome(client.request('third', 'x'.repeat(900)))).error.name, 'QueueFullError');
});

test('requests about the session do not wait for a place', async (t) => {
  const { client, socket } = await connected(t, {}, conf(1));
  client.request('n', 'x');
  assert.equal(socket.take().name, 'n');
  client.restoreSession('key');
  assert.equal(text(socket.take().payload), 'key');
});

test('counted messages are acknowledged', async (t) => {
  const { server, client, socket } = await connected(t);
  const sent = () => socket.sent.splice(0).map((message) => [message[0], message[1] + 256 * message[2]]);
  const news = (n, payload = '') => {
    for (let i = 0; i < n; i++) socket.say(64, [0, 0], [1], 'n', payload);
  };
  assert.deepEqual(sent(), []);
  news(1);
  socket.say(11, [0], u32(1e9), u32(1e9)); // not counted
  await server.clock.pass(999);
  assert.deepEqual(sent(), []);
  await server.clock.pass(1);
  assert.deepEqual(sent(), [[8, 1]], 'after a second');
  news(31);
  client.connect();
  await settled();
  assert.deepEqual(sent(), [], 'fewer than 32');
  await server.clock.pass(1000);
  assert.deepEqual(sent(), [[8, 32]]);
  news(255);
  assert.deepEqual(sent(), []);
  news(1);
  assert.deepEqual(sent(), [[8, 288]], 'at once after 256');
  news(2, 'x'.repeat(32 << 10));
  assert.deepEqual(sent(), [[8, 290]], 'at once after 64 KiB');
});

test('acks go with what is sent after 32 messages', async (t) => {
  const { server, client, socket } = await connected(t);
  const news = (n) => {
    for (let i = 0; i < n; i++) socket.say(64, [0, 0], [1], 'n');
  };
  news(31);
  client.signal('n', 'x');
  assert.deepEqual(socket.sent.splice(0).map(([type]) => type), [64]);
  news(1);
  client.signal('n', 'x');
  assert.deepEqual(socket.sent.splice(0).map(([type, n]) => [type, type === 8 ? n : 0]), [[64, 0], [8, 32]]);
  await server.clock.pass(1000);
  assert.deepEqual(socket.sent, []);
  socket.alive = () => true;
  await server.clock.pass(45_000);
  assert.deepEqual(socket.sent.filter(([type]) => type === 8).map(([, n]) => n).at(-1), 33, 'the heartbeat is one');
});

// Requests of the server.

test('a request of the server is answered by its handler', async (t) => {
  const { client, socket } = await connected(t);
  let seen;
  const errors = [];
  client.addEventListener('handlererror', ({ name, error }) => errors.push([name, error.message]));
  client.handle('greet', async (payload, request) => {
    seen = request;
    return `hello, ${payload.text()}`;
  });
  client.handle('refuse', () => { throw new ErrorReply('NO', 'no'); });
  client.handle('fail', () => { throw new Error('secret'); });
  client.handle('nothing', () => {});
  ask(socket, 1, 'greet', [pair('k', 'v')], 'Ada');
  await settled();
  const { type, id, payload } = socket.take();
  assert.deepEqual([type, id, text(payload)], [REPLY, ID(1), 'hello, Ada']);
  assert.deepEqual([seen.name, seen.meta, seen.signal.aborted], ['greet', [['k', 'v']], false]);
  ask(socket, 2, 'refuse');
  await settled();
  assert.deepEqual(socket.take(), { type: 0, id: ID(2), payload: bytes([2], 'NO', 'no') });
  ask(socket, 3, 'fail');
  await settled();
  assert.deepEqual(socket.take(), failure(3, 2, 1));
  assert.deepEqual(errors, [['fail', 'secret']]);
  ask(socket, 4, 'none');
  assert.deepEqual(socket.take(), failure(4, 12, 0));
  ask(socket, 5, 'nothing');
  await settled();
  assert.deepEqual(socket.take(), { type: 191, id: ID(5), head: bytes(), payload: bytes() });
});

test('a reply that cannot be sent is a failure, and told', async (t) => {
  const { client, socket } = await connected(t, {}, conf(16, 1024));
  const errors = [];
  client.addEventListener('handlererror', ({ error }) => errors.push(error.name));
  client.handle('long', () => 'x'.repeat(1024));
  client.handle('map', () => new Map());
  client.handle('code', () => { throw new ErrorReply('ä', ''); });
  client.handle('no code', () => { throw new ErrorReply('', 'x'); });
  client.handle('undefined', () => { throw new ErrorReply(undefined, 'x'); });
  client.handle('number', () => { throw new ErrorReply(404, 'x'); });
  client.handle('odd', () => new Payload(Uint8Array.of(1), 'utf16'));
  for (const [i, name] of ['long', 'map', 'code', 'no code', 'undefined', 'number', 'odd'].entries()) {
    ask(socket, i, name);
    await settled();
    assert.deepEqual(socket.take(), failure(i, 2, 1));
  }
  assert.deepEqual(errors, ['TooLongError', 'TypeError', ...Array(5).fill('MalformedError')]);
});

test('sixteen at once, and each can ask back; one more is refused', async (t) => {
  const { client, socket } = await connected(t);
  client.handle('ask', async () => `${(await client.request('back', 'x')).text()}!`);
  const back = [];
  for (let i = 1; i <= 16; i++) {
    ask(socket, i, 'ask');
    back.push(socket.take());
  }
  ask(socket, 17, 'ask');
  assert.deepEqual(socket.take(), failure(17, 8, 0));
  socket.reply(back[2], 'yes');
  await settled();
  assert.deepEqual([text(socket.take().payload)], ['yes!']);
  ask(socket, 18, 'ask');
  assert.equal(socket.take().name, 'back');
});

test('sixteen at once also if the server uses an id again, and each ends with the connection', async (t) => {
  const { client, socket } = await connected(t);
  const signals = [];
  const stops = [];
  client.handle('wait', (payload, { signal }) => {
    signals.push(signal);
    return new Promise((resolve) => { stops.push(resolve); });
  });
  for (let i = 0; i < 100; i++) ask(socket, 1, 'wait');
  assert.equal(signals.length, 16);
  for (let i = 0; i < 84; i++) assert.deepEqual(socket.take(), failure(1, 8, 0));
  stops[0]();
  await settled();
  assert.equal(socket.take().type, 191);
  for (let i = 0; i < 2; i++) ask(socket, 1, 'wait');
  assert.equal(signals.length, 17);
  client.close();
  assert.deepEqual(signals.map(({ aborted }) => aborted), [false, ...Array(16).fill(true)]);
});

test('a server that asks and reads no answers is left once the queue is full', async (t) => {
  const { client, socket } = await connected(t, { maxQueue: 1000 });
  client.handle('n', () => 'x');
  const request = client.request('n', 'x', { timeout: Infinity });
  let id = 0;
  const answers = async (n) => {
    for (let i = 0; i < n; i++) {
      ask(socket, ++id, 'n');
      await settled();
    }
  };
  await answers(100);
  socket.bufferedAmount = 1001;
  await answers(16); // as many as a server may have in flight
  socket.say([8], Array(8).fill(0)); // it reads
  await answers(16);
  assert.deepEqual([await outcome(request), client.status], [undefined, 'connected']);
  await answers(1);
  assert.deepEqual([socket.closedWith, client.status], [1000, 'connecting']);
  const { error } = await outcome(request);
  assert.deepEqual([error.sent, error.cause.name], [true, 'QueueFullError']);
});

test('a cancelled handler sees its signal, and its place is free when it has returned', async (t) => {
  const { client, socket } = await connected(t);
  const stops = [];
  const signals = [];
  client.handle('wait', (payload, { signal }) => {
    signals.push(signal);
    return new Promise((_, reject) => { stops.push(() => reject(new Error('stopped'))); });
  });
  for (let i = 1; i <= 16; i++) ask(socket, i, 'wait');
  socket.say(CANCEL, ID(1), [0]);
  socket.say(CANCEL, ID(99), [0]); // nobody's
  assert.deepEqual(signals.map(({ aborted }) => aborted), [true, ...Array(15).fill(false)]);
  ask(socket, 17, 'wait');
  assert.deepEqual(socket.take(), failure(17, 8, 0), 'its place is taken');
  stops[0]();
  await settled();
  assert.deepEqual(socket.take(), failure(1, 6, 2));
  ask(socket, 18, 'wait');
  assert.equal(socket.take(), undefined, 'its place is free');
});

test('of the deadline of a request of the server and its cancel the first decides', async (t) => {
  const { server, client, socket } = await connected(t);
  client.handle('wait', (payload, { signal }) => new Promise((_, reject) => {
    signal.addEventListener('abort', () => setTimeout(() => reject(signal.reason), 100));
  }));
  ask(socket, 1, 'wait', [deadline(1000)]);
  ask(socket, 2, 'wait', [deadline(1000)]);
  socket.say(CANCEL, ID(2), [0]);
  await server.clock.pass(1000);
  socket.say(CANCEL, ID(1), [0]);
  assert.deepEqual(socket.take(), failure(2, 6, 2));
  await server.clock.pass(100);
  assert.deepEqual(socket.take(), failure(1, 7, 2));
  assert.equal(socket.take(), undefined);
});

test('the signal of a handler ends with the connection, and nothing is answered', async (t) => {
  const { client, socket } = await connected(t, { autoconnect: false });
  let signal;
  let stop;
  client.handle('wait', (payload, request) => {
    ({ signal } = request);
    return new Promise((resolve) => { stop = resolve; });
  });
  ask(socket, 1, 'wait');
  socket.drop();
  assert.ok(signal.aborted);
  assert.equal(signal.reason.name, 'CloseError');
  stop('late');
  await settled();
  assert.equal(socket.take(), undefined);
});

test('critical fields: nothing is executed', async (t) => {
  const { client, socket } = await connected(t);
  let called = false;
  client.handle('n', () => { called = true; });
  ask(socket, 1, 'n', [field(200)]);
  assert.deepEqual(socket.take(), failure(1, 9, 0));
  socket.say(64, head(field(200)), [1], 'n', 'x');
  await settled();
  assert.deepEqual([called, client.events()], [false, []]);
  const request = client.request('n', 'x');
  socket.say(REPLY, socket.take().id, head(field(200)));
  assert.equal((await outcome(request)).error.code, 9);
});

// Streams.

const collect = async (stream) => {
  const got = [];
  for await (const each of stream) got.push(each.text());
  return got;
};

test('items arrive in order, then the end', async (t) => {
  const { client, socket } = await connected(t);
  const all = collect(client.stream('tail', 'x', { meta: { k: 'v' } }));
  const { id, head: sent } = socket.take();
  assert.deepEqual([...sent], [...field(5), ...pair('k', 'v')]);
  item(socket, id, 'a');
  item(socket, id, 'b');
  socket.say(191, id, [0, 0]);
  assert.deepEqual(await all, ['a', 'b']);
  assert.equal(socket.take(), undefined, 'no credit, no cancel');
});

test('an error comes once, after the items', async (t) => {
  const { client, socket } = await connected(t);
  const stream = client.stream('tail', 'x');
  const first = stream.next();
  const { id } = socket.take();
  item(socket, id, 'a');
  socket.say([0], id, [2], 'NO', 'no');
  assert.equal((await first).value.text(), 'a');
  await assert.rejects(stream.next(), ErrorReply);
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test('leaving the loop cancels the request', async (t) => {
  const { client, socket } = await connected(t);
  let id;
  queueMicrotask(() => {
    ({ id } = socket.take());
    item(socket, id, 'a');
    item(socket, id, 'b');
  });
  const got = [];
  for await (const each of client.stream('tail', 'x')) {
    got.push(each.text());
    break;
  }
  assert.deepEqual(got, ['a']);
  assert.deepEqual(socket.take(), cancel(id, 2));
  item(socket, id, 'c');
  socket.say(FAILURE, id, [6, 2]);
  await settled();
  assert.equal(socket.take(), undefined);
  assert.equal(client.status, 'connected');
});

test('an aborted stream ends with the reason of its signal, and a late one with a TimeoutError', async (t) => {
  const { server, client, socket } = await connected(t);
  const abort = new AbortController();
  const aborted = outcome(client.stream('tail', 'x', { signal: abort.signal }).next());
  const { id } = socket.take();
  abort.abort('reason');
  assert.deepEqual(await aborted, { error: 'reason' });
  assert.deepEqual(socket.take(), cancel(id, 0));
  const late = client.stream('tail', 'x', { timeout: 1000 }).next();
  late.catch(() => {});
  const second = socket.take();
  assert.equal(deadlineOf(second), 1000);
  await server.clock.pass(1000);
  assert.ok((await outcome(late)).error instanceof TimeoutError);
  assert.deepEqual(socket.take(), cancel(second.id, 1));
});

test('credit is raised when half of it is consumed, and not before', async (t) => {
  const { client, socket } = await connected(t);
  const stream = client.stream('tail', 'x');
  const first = stream.next();
  const { id } = socket.take();
  const big = 'x'.repeat(16384 - 64); // a quarter
  for (let i = 0; i < 4; i++) item(socket, id, big);
  await first;
  assert.equal(socket.take(), undefined);
  await stream.next();
  const credit = socket.take();
  assert.deepEqual([credit.type, credit.id, [...credit.payload]], [10, id, [...u32(32768 + 65536), ...u32(0)]]);
  for (let i = 0; i < 2; i++) item(socket, id, big);
  assert.equal(client.status, 'connected');
});

test('an item beyond the limit ends the connection', async (t) => {
  const { client, socket } = await connected(t, { autoconnect: false });
  const first = client.stream('tail', 'x').next();
  const { id } = socket.take();
  item(socket, id, 'x'.repeat(100_000)); // of any size while the limit is not reached
  assert.equal((await first).value.bytes.length, 100_000);
  const stalled = client.stream('tail', 'x');
  outcome(stalled.next());
  const other = socket.take(); // credit of the first
  assert.equal(other.type, 10);
  const next = socket.take().id;
  item(socket, next, 'x'.repeat(32_000));
  await settled();
  for (let i = 0; i < 3; i++) item(socket, next, 'x'.repeat(40_000));
  assert.equal(client.status, 'disconnected');
});

test('the end of the connection ends a stream', async (t) => {
  const { client, socket } = await connected(t);
  const next = outcome(client.stream('tail', 'x').next());
  socket.drop();
  const { error } = await next;
  assert.ok(error instanceof DisconnectedError && error.sent);
});

test('a stream waits for a connection, and is never sent if it is left before', async (t) => {
  const server = modern(t);
  const client = server.client();
  const abort = new AbortController();
  const left = outcome(client.stream('left', 'x', { signal: abort.signal }).next());
  const all = collect(client.stream('tail', 'x'));
  abort.abort('left');
  assert.deepEqual(await left, { error: 'left' });
  await settled();
  await server.socket.open();
  const { id, name } = server.socket.take();
  assert.equal(name, 'tail');
  item(server.socket, id, 'a');
  server.socket.say(191, id, [0, 0]);
  assert.deepEqual(await all, ['a']);
});

test('before 3.0 streams fail and say why, and requests are as they were', async (t) => {
  for (const version of ['2.0', '1.2']) {
    const server = modern(t);
    const client = await server.connected({ versions: [version], credentials: () => assert.fail('nobody sees them') });
    const { error } = await outcome(client.stream('tail', 'x').next());
    assert.ok(error instanceof FailureError);
    assert.deepEqual([error.code, error.executed], [9, 'no']);
    assert.match(error.message, new RegExp(`${version} has no streams`));
    const abort = new AbortController();
    const request = outcome(client.request('n', 'x', { signal: abort.signal, meta: { k: 'v' } }));
    assert.deepEqual(server.socket.sent.shift().slice(9), bytes([1], 'n', 'x'));
    abort.abort();
    await request;
    assert.equal(server.socket.take(), undefined, 'no cancel');
    client.close();
  }
});

test('nothing is left behind by requests and streams', async (t) => {
  const { server, client, socket } = await connected(t);
  client.handle('n', () => 'x');
  ask(socket, 1, 'n', [deadline(5000)]);
  await settled();
  socket.take();
  await server.clock.pass(1000); // the last ack
  const before = server.clock.timers;
  const { signal } = new AbortController();
  let listeners = 0;
  t.mock.method(signal, 'addEventListener', () => listeners++);
  t.mock.method(signal, 'removeEventListener', () => listeners--);
  const reply = client.request('n', 'x', { signal });
  socket.reply(socket.take());
  await reply;
  const next = client.stream('n', 'x', { signal, timeout: 1000 }).next();
  assert.equal(listeners, 1);
  socket.reply(socket.take());
  assert.equal((await next).done, true);
  assert.equal(listeners, 0);
  await server.clock.pass(1000);
  assert.equal(server.clock.timers, before);
});

// Credentials.

test('credentials are made for each attempt, and go with hello', async (t) => {
  const server = modern(t);
  let made = 0;
  const client = await server.connected({ versions: ['3.0'], credentials: async () => `token ${++made}` });
  const sent = () => text(server.socket.hello.slice(6, 6 + server.socket.hello[4]));
  assert.deepEqual([...server.socket.hello.slice(0, 4)], [24, 10, 0, 6]);
  assert.equal(sent(), 'token 1');
  server.socket.drop(4401, 'credentials expired');
  await server.clock.pass(10_000);
  await server.socket.open();
  assert.equal(client.status, 'connected');
  assert.equal(sent(), 'token 2');
});

test('without credentials the attempt fails, and the next one asks again', async (t) => {
  const server = modern(t);
  let fail = true;
  const errors = [];
  const client = server.client({
    versions: ['3.0'],
    credentials: async () => {
      if (fail) throw new TypeError('offline');
      return Uint8Array.of(7);
    },
    onconnecterror: ({ error }) => errors.push(error),
  });
  const connecting = client.connect();
  await settled();
  await server.socket.open();
  assert.equal(server.socket.hello, undefined);
  assert.match(errors[0].message, /credentials: offline/);
  fail = false;
  await server.clock.pass(1000);
  await server.socket.open();
  await connecting;
  assert.deepEqual([...server.socket.hello.slice(0, 7)], [24, 4, 0, 6, 1, 0, 7]);
});

test('credentials that never come end the attempt in time', async (t) => {
  const server = modern(t);
  const errors = [];
  const client = server.client({ versions: ['3.0'], credentials: () => new Promise(() => {}), onconnecterror: ({ error }) => errors.push(error) });
  client.connect();
  await settled();
  server.socket.start();
  await server.clock.pass(10_000);
  assert.ok(errors[0] instanceof TimeoutError);
});

test('a server that refuses credentials for good is not asked again', async (t) => {
  const server = modern(t);
  const client = server.client({ versions: ['3.0'], credentials: () => 'wrong' });
  const connecting = client.connect();
  await settled();
  server.socket.start();
  await settled();
  assert.ok(server.socket.hello);
  server.socket.drop(4500, 'who are you?');
  assert.equal((await outcome(connecting)).error.code, 4500);
  assert.equal(client.status, 'disconnected');
});

test('payloads of all encodings, with heads of any length', async (t) => {
  const { client, socket } = await connected(t);
  for (const meta of [{}, { a: '1' }, { a: '12' }]) {
    const request = client.request('n', Payload.utf16('ä€'), { meta, timeout: Infinity });
    const sent = socket.sent.at(-1);
    assert.equal(new TextDecoder('utf-16').decode(sent.slice(sent.length - 4)), 'ä€');
    assert.equal(sent.length % 2, 0);
    const { id } = socket.take();
    socket.say(193, id, [0, 0], [0], [...Payload.utf16('ö').bytes]);
    assert.equal((await request).text(), 'ö');
  }
});
