// Requests that outlive the page: the outbox, with a storage that is not that of a browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ErrorReply } from '../src/index.js';
import { Outbox } from '../src/outbox.js';
import { FakeServer } from '../testing/index.js';
import { FakeStorage } from './support/storage.js';

// start returns a server that takes edits, and what it took.
function start(t, take = () => {}) {
  const edits = [];
  const server = new FakeServer({
    edit: async (payload, request) => {
      edits.push(payload.text());
      await take(payload.text(), request);
    },
  });
  t.after(() => {
    server.close();
    assert.deepEqual(server.errors, []);
  });
  return { server, edits, storage: new FakeStorage() };
}

const empty = async (outbox) => {
  while (outbox.pending.length) await new Promise((resolve) => { outbox.addEventListener('change', resolve, { once: true }); });
};
const datas = ({ pending }) => pending.map(({ data }) => data);

test('requests are sent in order, one at a time', async (t) => {
  let running = 0;
  const { server, edits, storage } = start(t, async () => {
    assert.equal(++running, 1);
    await new Promise((resolve) => { setImmediate(resolve); });
    running--;
  });
  const outbox = new Outbox(server.client(), 'a', { storage });
  let changes = 0;
  outbox.addEventListener('change', () => changes++);
  for (let i = 0; i < 5; i++) outbox.add('edit', i);
  assert.deepEqual(outbox.pending.map(({ name, data }) => [name, data]), [0, 1, 2, 3, 4].map((i) => ['edit', i]));
  await empty(outbox);
  assert.deepEqual(edits, ['0', '1', '2', '3', '4']);
  assert.equal(storage.length, 0);
  assert.equal(changes, 10);
});

test('what is added offline is sent later, by another page too', async (t) => {
  const { server, edits, storage } = start(t);
  server.goOffline();
  const left = new AbortController();
  const first = new Outbox(server.client(), 'a', { storage, signal: left.signal });
  const other = new Outbox(server.client(), 'b', { storage });
  first.add('edit', 1);
  first.add('edit', 2);
  other.add('edit', 'of another outbox');
  left.abort(); // as with its page
  const second = new Outbox(server.client(), 'a', { storage });
  second.add('edit', 3);
  assert.deepEqual(datas(second), [1, 2, 3]);
  assert.deepEqual(datas(other), ['of another outbox']);
  server.goOnline();
  await Promise.all([empty(second), empty(other)]);
  assert.deepEqual(edits.filter(Number), ['1', '2', '3']);
  assert.equal(storage.length, 0);
});

test('what can never be sent is refused, and holds nothing up', async (t) => {
  const { server, edits, storage } = start(t);
  const outbox = new Outbox(server.client(), 'a', { storage });
  const refused = [];
  outbox.addEventListener('refused', ({ data, error }) => refused.push([data, error.name]));
  outbox.add(undefined, 1);
  outbox.add('edit', 2);
  await empty(outbox);
  assert.deepEqual([edits, refused], [['2'], [[1, 'TypeError']]]);
});

test('an aborted outbox sends nothing, and keeps what was in flight', async (t) => {
  let finish;
  const { server, edits, storage } = start(t, () => new Promise((resolve) => { finish = resolve; }));
  const client = server.client();
  const left = new AbortController();
  const outbox = new Outbox(client, 'a', { storage, signal: left.signal });
  outbox.add('edit', 1);
  outbox.add('edit', 2);
  while (!finish) await new Promise((resolve) => { setImmediate(resolve); });
  left.abort();
  finish();
  await client.request('nothing').catch(() => {}); // after what is in flight
  assert.deepEqual(edits, ['1']);
  assert.deepEqual(datas(outbox), [1, 2]);
});

test('a request whose connection ends is sent again', async (t) => {
  let tries = 0;
  const { server, edits, storage } = start(t, () => {
    if (++tries === 1) {
      server.restart();
      return new Promise(() => {});
    }
    return undefined;
  });
  const outbox = new Outbox(server.client(), 'a', { storage });
  outbox.add('edit', 1);
  outbox.add('edit', 2);
  await empty(outbox);
  assert.deepEqual(edits, ['1', '1', '2']);
});

test('two tabs send the same requests, in order', async (t) => {
  const { server, edits, storage } = start(t, () => new Promise((resolve) => { setImmediate(resolve); }));
  const [one, two] = [0, 1].map(() => new Outbox(server.client(), 'a', { storage }));
  for (let i = 0; i < 10; i++) (i % 2 ? one : two).add('edit', i);
  await Promise.all([empty(one), empty(two)]);
  assert.deepEqual([...new Set(edits)].join(''), '0123456789');
});

test('what the server refuses is not sent again', async (t) => {
  const { server, edits, storage } = start(t, (edit) => {
    if (edit === 'bad') throw new ErrorReply('BAD', 'no');
  });
  const outbox = new Outbox(server.client(), 'a', { storage });
  const refused = [];
  outbox.addEventListener('refused', ({ name, data, error }) => refused.push([name, data, error.code]));
  outbox.add('edit', 'bad');
  outbox.add('nobody', 'x');
  outbox.add('a name in ünicode', 'y');
  outbox.add('edit', 'good');
  await empty(outbox);
  assert.deepEqual(edits, ['bad', 'good']);
  assert.deepEqual(refused, [['edit', 'bad', 'BAD'], ['nobody', 'x', 'NOT_FOUND'], ['a name in ünicode', 'y', undefined]]);
});

test('a storage that is full throws', (t) => {
  const { server, storage } = start(t);
  storage.setItem = () => { throw new RangeError('full'); };
  const outbox = new Outbox(server.client(), 'a', { storage });
  assert.throws(() => outbox.add('edit', 1), RangeError);
  assert.deepEqual(outbox.pending, []);
});
