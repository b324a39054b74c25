// The fake server for users' tests behaves towards a client as a real one.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { mock, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client, DisconnectedError, ErrorReply, GapError, InternalError, TimeoutError } from '../src/index.js';
import { FakeServer } from '../testing/index.js';

const soon = () => new Promise((resolve) => { setImmediate(resolve); });
const event = (client, type) => new Promise((resolve) => { client.addEventListener(type, resolve, { once: true }); });

function start(t, handlers) {
  const server = new FakeServer(handlers);
  t.after(() => {
    server.close();
    assert.deepEqual(server.errors, []);
  });
  return server;
}

test('the code of docs/testing.md passes', async () => {
  const text = await readFile(new URL('../../../docs/testing.md', import.meta.url), 'utf8');
  const blocks = [...text.matchAll(/^```js\n(.*?)^```/gms)];
  assert.equal(blocks.length, 2);
  const env = { ...process.env };
  delete env.NODE_TEST_CONTEXT; // it is a run of its own
  for (const [, code] of blocks) {
    const args = ['--input-type=module', '--eval', code];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: fileURLToPath(new URL('..', import.meta.url)), env });
    assert.match(stdout, /^# pass 1$/m);
  }
});

test('requests', async (t) => {
  const server = start(t, {
    greet: (payload) => `hello, ${payload.text()}`,
    bytes: ({ bytes, encoding }) => ({ encoding, length: bytes.length }),
    refuse: () => { throw new ErrorReply('NO', 'not now'); },
    meta: (_, { meta, name }) => [name, ...meta.flat()],
  });
  const client = server.client();
  assert.equal((await client.request('greet', 'Ada')).text(), 'hello, Ada');
  assert.deepEqual((await client.request('bytes', new Uint8Array(100_000))).json(), { encoding: 'binary', length: 100_000 });
  assert.deepEqual((await client.request('meta', '', { meta: { k: 'v' } })).json(), ['meta', 'k', 'v']);
  await assert.rejects(client.request('refuse'), (error) => error instanceof ErrorReply && error.code === 'NO' && error.message === 'not now');
  await assert.rejects(client.request('nobody'), { code: 'NOT_FOUND' });
});

test('a handler that fails', async () => {
  const server = new FakeServer({ fail: () => { throw new RangeError('a secret'); } });
  await assert.rejects(server.client().request('fail'), InternalError);
  assert.equal(server.errors.shift().message, 'a secret');
  server.close();
});

test('a handler does not pass on what somebody else answered to it', async (t) => {
  const refuse = () => { throw new ErrorReply('SOLD_OUT', 'a secret'); };
  const other = start(t, { refuse });
  const upstream = other.client();
  const server = start(t, {
    ask: async (_, { connection }) => connection.request('refuse'),
    askOther: () => upstream.request('refuse'),
    again: async () => {
      const { code } = await upstream.request('refuse').catch((error) => error);
      throw new ErrorReply(code, 'in my words');
    },
  });
  const client = server.client();
  client.handle('refuse', refuse);
  client.handle('ask', () => upstream.request('refuse'));
  const failed = [];
  client.addEventListener('handlererror', ({ name, error }) => failed.push([name, error.code, error.message]));
  await assert.rejects(client.request('again'), { name: 'ErrorReply', code: 'SOLD_OUT', message: 'in my words' });
  for (const name of ['ask', 'askOther']) {
    await assert.rejects(client.request(name), InternalError);
    assert.equal(server.errors.shift().code, 'SOLD_OUT');
  }
  await assert.rejects(server.connections[0].request('ask'), InternalError);
  assert.deepEqual(failed, [['ask', 'SOLD_OUT', 'a secret']]);
  server.onsubscribe = () => upstream.request('refuse');
  await assert.rejects(client.subscribe('t').next(), InternalError);
  assert.equal(server.errors.shift().code, 'SOLD_OUT');
});

test('a program that makes its own client', async (t) => {
  const server = start(t, { greet: () => 'hello' });
  const client = new Client('wss://example.com/api', { ...server.options, timeout: 1000 });
  t.after(() => client.close());
  assert.equal((await client.request('greet')).text(), 'hello');
});

test('signals both ways', async (t) => {
  const server = start(t);
  const client = server.client();
  await client.connect();
  await client.signal('typing', 'Ada');
  await soon();
  const [{ name, payload, connection }] = server.signals;
  assert.deepEqual([name, payload.text()], ['typing', 'Ada']);
  const [signal] = await Promise.all([event(client, 'signal'), connection.signal('news', { n: 1 })]);
  assert.deepEqual([signal.name, signal.payload.json()], ['news', { n: 1 }]);
});

test('requests to the client', async (t) => {
  const server = start(t);
  const client = server.client();
  client.handle('name', () => 'Ada');
  client.handle('refuse', () => { throw new ErrorReply('NO', 'not now'); });
  await client.connect();
  const [connection] = server.connections;
  assert.equal((await connection.request('name')).text(), 'Ada');
  await assert.rejects(connection.request('refuse'), { code: 'NO' });
  await assert.rejects(connection.request('nobody'), { code: 'NOT_FOUND' });
  client.handle('wait', () => new Promise(() => {}));
  const waiting = connection.request('wait');
  await soon();
  connection.close();
  await assert.rejects(waiting, DisconnectedError);
});

test('a client that gives up', async (t) => {
  const aborted = [];
  const server = start(t, {
    wait: (_, { signal }) => new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        aborted.push(signal.reason.message);
        reject(signal.reason);
      });
    }),
  });
  const client = server.client();
  await client.connect();
  await assert.rejects(client.request('wait', '', { timeout: 20 }), TimeoutError);
  await soon();
  assert.equal(aborted.length, 1);
});

test('streams, with flow control', async (t) => {
  let sent = 0;
  let left = 0;
  const server = start(t, {
    async* count() {
      try {
        for (;; sent++) yield 'x'.repeat(1000);
      } finally {
        left++;
      }
    },
    async* three() { yield* ['a', 'b', 'c']; },
  });
  const client = server.client();
  const items = [];
  for await (const item of client.stream('three')) items.push(item.text());
  assert.deepEqual(items, ['a', 'b', 'c']);
  let got = 0;
  for await (const item of client.stream('count')) {
    assert.equal(item.bytes.length, 1000);
    if (++got === 500) break;
    if (got === 1) await soon();
    assert.ok(sent - got < 100, `${sent} items were sent when ${got} were taken`);
  }
  await soon();
  assert.equal(left, 1);
});

test('a connection that breaks, and is made again', async (t) => {
  let finish;
  let executed = 0;
  const slow = () => new Promise((resolve) => {
    executed++;
    finish = resolve;
  });
  const server = start(t, { greet: () => 'hello', slow });
  const client = server.client();
  await client.connect();
  const [connection] = server.connections;
  const signals = [];
  client.addEventListener('signal', ({ payload }) => signals.push(payload.text()));
  const waiting = client.request('slow');
  await soon();
  server.goOffline();
  assert.ok(connection.away);
  finish('done');
  connection.signal('news', 'while it is away');
  await soon();
  assert.equal(client.status, 'resuming');
  server.goOnline();
  assert.equal((await waiting).text(), 'done');
  assert.equal(executed, 1);
  assert.equal(connection.away, false);
  for (let i = 0; i < 5; i++) {
    server.cut();
    connection.signal('news', String(i));
    assert.equal((await client.request('greet')).text(), 'hello');
  }
  assert.deepEqual(signals, ['while it is away', '0', '1', '2', '3', '4']);
  assert.deepEqual(server.connections, [connection]);
  const gap = event(client, 'gap');
  connection.gap(7);
  assert.equal((await gap).missed, 7);

  server.goOffline();
  await soon();
  const later = client.request('greet');
  server.goOnline();
  assert.equal((await later).text(), 'hello');
  const gone = event(client, 'connectfailed');
  server.connections[0].close(4500, 'go away');
  assert.equal((await gone).error.code, 4500);
  assert.equal(server.connections.length, 0);
});

test('sessions', async (t) => {
  const server = start(t, {
    login: (payload, { connection }) => { connection.createSession({ user: payload.text() }); },
    who: (_, { connection }) => connection.session?.info ?? null,
  });
  const client = server.client();
  await client.request('login', 'Ada');
  const { key } = client.session;
  assert.deepEqual(client.session.info, { user: 'Ada' });
  server.cut();
  assert.deepEqual((await client.request('who')).json(), { user: 'Ada' });
  assert.equal(client.session.key, key);

  const other = server.client();
  await other.restoreSession(key);
  assert.deepEqual((await other.request('who')).json(), { user: 'Ada' });
  const closed = event(other, 'sessionclosed');
  await client.closeSession();
  await closed;
  assert.equal(other.session, null);
  await assert.rejects(client.restoreSession(key), { name: 'SessionNotFoundError' });

  await client.request('login', 'Bob');
  const ended = event(client, 'sessionclosed');
  server.connections[0].closeSession();
  await ended;
  assert.equal((await client.request('who')).json(), null);
});

test('it takes no time: fake timers do', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.after(() => mock.timers.reset());
  const server = start(t, { greet: () => 'hello' });
  assert.equal((await server.client().request('greet')).text(), 'hello');
});

test('topics', async (t) => {
  const server = start(t);
  const news = server.topic('news');
  const first = news.publish('item', 'one');
  const client = server.client();
  const got = [];
  const gaps = [];
  const presence = [];
  const stop = new AbortController();
  const options = { since: 0, signal: stop.signal, onGap: ({ lost }) => gaps.push(lost), presence: ({ op, id, info }) => presence.push([op, id, info]) };
  const reading = (async () => {
    for await (const { name, payload, position } of client.subscribe('news', options)) got.push([name, payload.text(), position]);
  })();
  await soon();
  const [connection] = server.connections;
  assert.deepEqual(news.subscribers, [connection]);
  const second = news.publish('item', 'two');
  news.gap(3);
  news.enter('a', { user: 'Ada' });
  news.enter('a', { user: 'Ada L.' });
  news.leave('a');
  await soon();
  assert.deepEqual(got, [['item', 'one', first], ['item', 'two', second]]);
  assert.deepEqual(gaps, [3]);
  assert.deepEqual(presence, [['enter', 'a', { user: 'Ada' }], ['update', 'a', { user: 'Ada L.' }], ['leave', 'a', undefined]]);

  // What is published while the client is away it gets when it is back.
  server.goOffline();
  const third = news.publish('item', new Uint8Array([1]));
  server.goOnline();
  await event(client, 'resumed');
  await soon();
  assert.deepEqual(got.at(-1), ['item', '\x01', third]);
  assert.deepEqual(gaps, [3]);

  stop.abort();
  await assert.rejects(reading, { name: 'AbortError' });
  await soon();
  assert.deepEqual(news.subscribers, []);
});

test('a subscription goes on after its position', async (t) => {
  const server = start(t);
  const news = server.topic('news');
  const [first] = ['one', 'two', 'three'].map((text) => news.publish('item', text));
  const client = server.client();
  const next = async (options) => {
    const { value } = await client.subscribe('news', options).next();
    return value.payload.text();
  };
  assert.equal(await next({ since: 0 }), 'one');
  assert.equal(await next({ since: first }), 'two');
  news.forget();
  await assert.rejects(next({ since: first }), (error) => error instanceof GapError && error.lost === 2);
  const only = next();
  await soon();
  news.publish('item', 'four');
  assert.equal(await only, 'four');

  news.history = false;
  const live = client.subscribe('news').next();
  await soon();
  assert.equal(news.publish('item', 'five'), undefined);
  assert.equal((await live).value.position, undefined);
});

test('the members that are there are told first', async (t) => {
  const server = start(t);
  server.topic('room').enter('a', 'Ada');
  const client = server.client();
  const met = new Promise((resolve) => {
    client.subscribe('room', { presence: resolve }).next().catch(() => {});
  });
  assert.deepEqual(await met, { op: 'enter', id: 'a', info: 'Ada' });
});

test('who may subscribe', async (t) => {
  const server = start(t);
  server.onsubscribe = async (topic, { session }) => {
    if (!session) throw new ErrorReply('SIGNED_OUT', `no ${topic} for you`);
  };
  const client = server.client();
  await assert.rejects(client.subscribe('news').next(), { code: 'SIGNED_OUT', message: 'no news for you' });
  server.connections[0].createSession();
  const next = client.subscribe('news').next();
  await soon();
  server.topic('news').publish('item', 'x');
  assert.equal((await next).value.payload.text(), 'x');
});

test('a hook that fails', async () => {
  const server = new FakeServer();
  server.onsubscribe = () => { throw new RangeError('a secret'); };
  await assert.rejects(server.client().subscribe('news').next(), InternalError);
  assert.equal(server.errors.shift().message, 'a secret');
  server.close();
});

test('a server that is started anew', async (t) => {
  const server = start(t, { hang: () => new Promise(() => {}) });
  const client = server.client();
  server.topic('news').publish('item', 'lost');
  const gaps = [];
  const reading = client.subscribe('news', { since: 0, onGap: (gap) => gaps.push(gap) });
  assert.equal((await reading.next()).value.payload.text(), 'lost');
  const waiting = assert.rejects(client.request('hang'), (error) => error instanceof DisconnectedError && error.sent);
  await soon();
  const again = event(client, 'connected');
  server.restart();
  await waiting;
  await again;
  const next = reading.next();
  await soon();
  server.topic('news').publish('item', 'new');
  assert.equal((await next).value.payload.text(), 'new');
  assert.equal(gaps.length, 1);
});
