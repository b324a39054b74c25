// Subscriptions to topics of 3.0.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settled } from './support/clock.js';
import { CONF3, FakeServer, bytes, outcome, text, webwire, welcome } from './support/fakes.js';

const { ClosedError, DisconnectedError, ErrorReply, FailureError, GapError, MalformedError, WebWireError } = webwire;

const SUBSCRIBE = 34;
const UNSUBSCRIBE = 35;
const LASTS = 120_000;
const little = (n, size) => Array.from({ length: size }, (_, i) => Math.floor(n / 256 ** i) % 256);
const at = (epoch, offset) => [...little(epoch, 8), ...little(offset, 8)];
const u32 = (data, i) => new DataView(data.buffer, data.byteOffset).getUint32(i, true);
const u64 = (data, i) => Number(new DataView(data.buffer, data.byteOffset).getBigUint64(i, true));

// modern returns a server of 3.0 whose connections outlive their sockets if lasts says so.
function modern(t, lasts = 0) {
  const server = new FakeServer(t);
  server.metadata.versions = ['3.0'];
  server.conf3 = bytes([...CONF3.slice(0, 7)], little(0, 4), little(0, 4), little(16, 2));
  server.welcome = welcome(0, { lasts });
  return server;
}

async function connected(t, options, lasts) {
  const server = modern(t, lasts);
  const client = await server.connected(options);
  return { server, client, socket: server.socket };
}

// subscribe begins a loop that keeps what it gets, and how it ends.
function subscribe(client, options = {}, topic = 'news') {
  const loop = client.subscribe(topic, options);
  const got = [];
  const taken = { got, end: undefined, ended: false, loop };
  taken.done = (async () => {
    try {
      for await (const m of loop) got.push(m.name);
    } catch (error) {
      taken.end = error;
    }
    taken.ended = true;
  })();
  return taken;
}

// asked takes a subscribe.
function asked(socket) {
  const { type, id, payload } = socket.take();
  assert.equal(type, SUBSCRIBE);
  const [flags] = payload.slice(4);
  return {
    id, ref: u32(payload, 0), since: flags & 1 ? [u64(payload, 5), u64(payload, 13)] : undefined, presence: !!(flags & 2), topic: text(payload.slice(21)),
  };
}

function left(socket, ref) {
  const { type, id } = socket.take();
  assert.deepEqual([type, id], [UNSUBSCRIBE, little(ref, 4)]);
}

const confirm = (socket, { id }, epoch = 0, offset = 0) => socket.say(191, id, [0, 0], at(epoch, offset));
const publish = (socket, { ref }, offset, name, payload = 'x') => socket.say(70, little(ref, 4), little(offset, 8), [0, 0], [name.length], name, payload);
const gap = (socket, { ref }, lost, epoch, offset) => socket.say(12, little(ref, 4), little(lost, 8), at(epoch, offset));
const presence = (socket, { ref }, op, said) => socket.say(72, little(ref, 4), [op], said === undefined ? '' : JSON.stringify(said));
const fail = (socket, { id }, code, executed = 0) => socket.say(13, id, [code, executed]);
const refuse = (socket, { id }, code) => socket.say(0, id, [code.length], code);

// reconnected loses the socket and opens the next.
async function reconnected(server) {
  server.socket.drop();
  await server.clock.pass(10_000);
  await server.socket.open();
  await settled();
  return server.socket;
}

test('a loop gets the messages of its topic in order, and leaving it unsubscribes', async (t) => {
  const { client, socket } = await connected(t);
  const loop = client.subscribe('room.42');
  const first = loop.next();
  const s = asked(socket);
  assert.deepEqual([s.topic, s.since, s.presence], ['room.42', undefined, false]);
  confirm(socket, s, 5, 7);
  publish(socket, s, 8, 'said', 'hello');
  publish(socket, s, 8, 'again');
  publish(socket, s, 10, 'more');
  const { value } = await first;
  assert.deepEqual(Object.keys(value), ['position', 'name', 'payload']);
  assert.deepEqual([value.position, value.name, value.payload.text()], ['5-8', 'said', 'hello']);
  const { value: more } = await loop.next();
  assert.deepEqual([more.position, more.name], ['5-10', 'more']);
  await loop.return();
  left(socket, s.ref);
  publish(socket, s, 11, 'late');
  assert.equal(socket.take(), undefined);
});

test('a publication with a critical field is dropped, and does not move the position', async (t) => {
  const { server, client, socket } = await connected(t);
  const { got } = subscribe(client);
  const s = asked(socket);
  confirm(socket, s, 5, 7);
  const critical = (offset, name) => socket.say(70, little(s.ref, 4), little(offset, 8), [3, 0, 128, 0, 0], [name.length], name, 'x');
  critical(8, 'a');
  publish(socket, s, 9, 'b');
  critical(10, 'c');
  await settled();
  assert.deepEqual(got, ['b']);
  assert.deepEqual(asked(await reconnected(server)).since, [5, 9]);
});

test('nothing happens before the iteration, and each subscription has a ref of its own', async (t) => {
  const { client, socket } = await connected(t);
  const loop = client.subscribe('news');
  await settled();
  assert.equal(socket.take(), undefined);
  loop.next().catch(() => {}); // ends with the client
  const [a, b] = [asked(socket), (subscribe(client), asked(socket))];
  assert.notEqual(a.ref, b.ref);
  assert.notEqual(a.ref, 0);
});

test('an answer that is no position ends the loop, and nothing else', async (t) => {
  const { client, socket } = await connected(t);
  for (const answer of [[], [1, 2, 3], Array(16).fill(255), Array(17).fill(0)]) {
    const all = subscribe(client);
    const s = asked(socket);
    socket.say(191, s.id, [0, 0], answer);
    await settled();
    assert.ok(all.end instanceof MalformedError, `${answer}: ${all.end}`);
    left(socket, s.ref);
  }
  assert.equal(client.status, 'connected');
});

test('since begins where another page stopped', async (t) => {
  const { client, socket } = await connected(t);
  for (const [since, want] of [['5-17', [5, 17]], [JSON.parse(JSON.stringify('5-10')), [5, 10]], [0, [0, 0]], ['0', [0, 0]], [null, undefined], [undefined, undefined]]) {
    subscribe(client, { since });
    assert.deepEqual(asked(socket).since, want);
  }
  for (const since of ['', '5', '5-', 'x', 5, {}, '5-1-1']) assert.throws(() => client.subscribe('news', { since }), TypeError, JSON.stringify(since));
  for (const topic of ['', 'n'.repeat(256), 'ä'.repeat(128)]) assert.throws(() => client.subscribe(topic), MalformedError);
});

test('a subscription goes on after its position on the next connection', async (t) => {
  const { server, client, socket } = await connected(t);
  const all = subscribe(client);
  const s = asked(socket);
  confirm(socket, s, 5, 1);
  publish(socket, s, 2, 'two');
  const next = await reconnected(server);
  const again = asked(next);
  assert.deepEqual([again.since, again.topic], [[5, 2], 'news']);
  assert.notEqual(again.ref, s.ref);
  confirm(next, again, 5, 2);
  publish(next, again, 2, 'doubled');
  publish(next, again, 3, 'three');
  await settled();
  assert.deepEqual([all.got, all.ended], [['two', 'three'], false]);
});

test('a connection that is lost before the confirmation changes nothing', async (t) => {
  const { server, client, socket } = await connected(t);
  const all = subscribe(client, { since: '5-1' });
  asked(socket);
  const next = await reconnected(server);
  const s = asked(next);
  assert.deepEqual(s.since, [5, 1]);
  confirm(next, s, 5, 1);
  publish(next, s, 2, 'two');
  await settled();
  assert.deepEqual(all.got, ['two']);
});

test('a loop that waits for a connection subscribes after the listeners of connected', async (t) => {
  const server = modern(t);
  const client = server.client();
  let ready;
  client.addEventListener('connected', (event) => event.waitUntil(new Promise((resolve) => { ready = resolve; })));
  subscribe(client);
  await settled();
  await server.socket.open();
  assert.equal(server.socket.take(), undefined);
  ready();
  await settled();
  assert.equal(asked(server.socket).topic, 'news');
});

test('a gap ends the loop with an error that says how to go on', async (t) => {
  const { client, socket } = await connected(t);
  const all = subscribe(client);
  const s = asked(socket);
  confirm(socket, s, 5, 1);
  publish(socket, s, 2, 'two');
  gap(socket, s, 3, 5, 5);
  gap(socket, s, 4, 6, 1);
  publish(socket, s, 2, 'six');
  await settled();
  assert.ok(all.end instanceof GapError && all.end instanceof WebWireError);
  assert.deepEqual([all.end.topic, all.end.lost, all.end.position, all.end.name], ['news', 7, '6-1', 'GapError']);
  assert.deepEqual(all.got, ['two']);
  left(socket, s.ref);
});

test('onGap lets the loop go on', async (t) => {
  const { client, socket } = await connected(t);
  const gaps = [];
  const all = subscribe(client, { since: '5-1', onGap: (error) => gaps.push([error.lost, error.position, all.got.length]) });
  const s = asked(socket);
  gap(socket, s, 0, 6, 1);
  confirm(socket, s, 6, 1);
  publish(socket, s, 2, 'a');
  gap(socket, s, 2, 6, 4);
  gap(socket, s, 0, 6, 9);
  publish(socket, s, 10, 'b');
  await settled();
  assert.deepEqual(gaps, [[0, '6-1', 0], [0, '6-9', 1]]);
  assert.deepEqual([all.got, all.ended], [['a', 'b'], false]);
});

test('without a history each new connection is a gap, and there are no positions', async (t) => {
  const { server, client, socket } = await connected(t);
  const gaps = [];
  const loop = client.subscribe('news', { onGap: (error) => gaps.push([error.lost, error.position]) });
  const first = loop.next();
  const s = asked(socket);
  confirm(socket, s);
  publish(socket, s, 0, 'a');
  publish(socket, s, 0, 'a');
  assert.equal((await first).value.position, undefined);
  await loop.next();
  const later = loop.next();
  const next = await reconnected(server);
  const again = asked(next);
  assert.equal(again.since, undefined);
  confirm(next, again);
  publish(next, again, 0, 'b');
  assert.equal((await later).value.name, 'b');
  assert.deepEqual(gaps, [[0, undefined]]);
});

test('a connection that resumes carries its subscriptions on', async (t) => {
  const { server, client, socket } = await connected(t, {}, LASTS);
  const all = subscribe(client);
  const s = asked(socket);
  confirm(socket, s, 5, 1);
  publish(socket, s, 2, 'two');
  server.welcome = welcome(1, { lasts: LASTS, received: 1, from: 3 });
  const next = await reconnected(server);
  assert.equal(next.take(), undefined);
  publish(next, s, 3, 'three');
  await settled();
  assert.deepEqual([all.got, all.ended], [['two', 'three'], false]);
});

test('after a resume that lost messages all subscriptions begin anew', async (t) => {
  const { server, client, socket } = await connected(t, {}, LASTS);
  const all = subscribe(client);
  const s = asked(socket);
  confirm(socket, s, 5, 1);
  publish(socket, s, 2, 'two');
  const b = subscribe(client, {}, 'other');
  const pending = asked(socket); // has no answer yet
  server.welcome = welcome(2, { lasts: LASTS, received: 2, from: 9 });
  const next = await reconnected(server);
  left(next, s.ref);
  const again = asked(next);
  assert.deepEqual([again.since, again.topic], [[5, 2], 'news']);
  assert.equal(next.take().type, 9, 'the subscribe in flight is cancelled');
  left(next, pending.ref);
  const other = asked(next);
  assert.equal(other.topic, 'other');
  publish(next, s, 9, 'of the old one');
  confirm(next, pending, 7, 1);
  publish(next, pending, 2, 'of the old one');
  confirm(next, again, 5, 2);
  confirm(next, other, 7, 1);
  publish(next, again, 3, 'three');
  publish(next, other, 2, 'b');
  await settled();
  assert.deepEqual([all.got, b.got], [['two', 'three'], ['b']]);
});

test('a connection that is lost for good while it is away ends nothing', async (t) => {
  const { server, client, socket } = await connected(t, {}, LASTS);
  const all = subscribe(client);
  confirm(socket, asked(socket), 5, 1);
  socket.drop();
  await server.clock.pass(10_000);
  server.welcome = welcome(3, { lasts: LASTS, id: 9 });
  await server.socket.open();
  await settled();
  const again = asked(server.socket);
  assert.deepEqual(again.since, [5, 1]);
  confirm(server.socket, again, 5, 1);
  publish(server.socket, again, 2, 'two');
  await settled();
  assert.deepEqual(all.got, ['two']);
});

test('what is left while the connection is away is unsubscribed', async (t) => {
  const { server, client, socket } = await connected(t, {}, LASTS);
  const loop = client.subscribe('news');
  loop.next();
  const s = asked(socket);
  confirm(socket, s, 5, 1);
  publish(socket, s, 2, 'a');
  await settled();
  socket.drop();
  await loop.return();
  server.welcome = welcome(1, { lasts: LASTS, received: 1, from: 3 });
  await server.clock.pass(10_000);
  await server.socket.open();
  left(server.socket, s.ref);
});

test('a refused subscribe ends the loop with the reason, at first or on a later connection', async (t) => {
  const { server, client, socket } = await connected(t);
  const refused = subscribe(client);
  const s = asked(socket);
  refuse(socket, s, 'FORBIDDEN');
  await settled();
  assert.ok(refused.end instanceof ErrorReply && refused.end.code === 'FORBIDDEN');
  const unavailable = subscribe(client);
  socket.take(); // the unsubscribe of the one before
  fail(socket, asked(socket), 14);
  await settled();
  assert.ok(unavailable.end instanceof FailureError && unavailable.end.code === 14);
  socket.take();
  const later = subscribe(client);
  confirm(socket, asked(socket), 5, 1);
  await settled();
  const next = await reconnected(server);
  refuse(next, asked(next), 'FORBIDDEN');
  await settled();
  assert.equal(later.end.code, 'FORBIDDEN');
});

test('a subscription that was in effect is tried again after failures that pass', async (t) => {
  const { server, client, socket } = await connected(t);
  const abort = new AbortController();
  const all = subscribe(client, { signal: abort.signal });
  confirm(socket, asked(socket), 5, 1);
  await settled();
  const next = await reconnected(server);
  for (const code of [14, 8, 2]) {
    const s = asked(next);
    assert.deepEqual(s.since, [5, 1]);
    fail(next, s, code);
    left(next, s.ref);
    confirm(next, s, 5, 1);
    publish(next, s, 2, 'not yet');
    await server.clock.pass(10_000);
    left(next, s.ref);
  }
  const s = asked(next);
  confirm(next, s, 5, 1);
  publish(next, s, 2, 'two');
  await settled();
  assert.deepEqual([all.got, all.ended], [['two'], false]);

  // The pauses begin anew, and end with the loop.
  const third = await reconnected(server);
  fail(third, asked(third), 14);
  assert.equal(third.take().type, UNSUBSCRIBE);
  await server.clock.pass(1_000);
  assert.equal(third.take().type, UNSUBSCRIBE);
  const { timers } = server.clock;
  fail(third, asked(third), 14);
  assert.equal(server.clock.timers, timers + 1);
  abort.abort();
  await all.done;
  assert.equal(server.clock.timers, timers);
});

test('a subscribe without an answer fails at first, and is repeated later', async (t) => {
  const { server, client, socket } = await connected(t);
  const first = subscribe(client, { timeout: 5000 });
  const unanswered = asked(socket);
  await server.clock.pass(5000);
  assert.equal(first.end.name, 'TimeoutError');
  assert.equal(socket.take().type, 9);
  left(socket, unanswered.ref);
  const later = subscribe(client, { timeout: 5000 });
  confirm(socket, asked(socket), 5, 1);
  await settled();
  const next = await reconnected(server);
  asked(next);
  await server.clock.pass(5000);
  assert.equal(later.ended, false);
  await server.clock.pass(10_000);
  const types = [];
  for (let m; (m = next.take());) types.push(m.type);
  assert.ok(types.includes(SUBSCRIBE), types);
});

test('a server that shuts down is asked again elsewhere', async (t) => {
  const { server, client, socket } = await connected(t);
  const all = subscribe(client);
  fail(socket, asked(socket), 1);
  await server.clock.pass(1000);
  await server.clock.pass(10_000);
  await server.socket.open();
  await settled();
  const s = asked(server.socket);
  confirm(server.socket, s, 5, 1);
  publish(server.socket, s, 2, 'two');
  await settled();
  assert.deepEqual(all.got, ['two']);
});

test('a loop that does not keep up unsubscribes, and goes on without a loss when it has caught up', async (t) => {
  const { server, client, socket } = await connected(t);
  const loop = client.subscribe('news');
  const first = loop.next();
  const s = asked(socket);
  confirm(socket, s, 5, 0);
  for (let n = 1; n <= 300; n++) publish(socket, s, n, String(n));
  await first;
  left(socket, s.ref);
  assert.equal(socket.take(), undefined);
  for (let n = 2; n < 256; n++) assert.equal((await loop.next()).value.name, String(n));
  assert.equal(socket.take(), undefined, 'not before all are taken');
  assert.equal((await loop.next()).value.name, '256');
  left(socket, s.ref);
  const again = asked(socket);
  assert.deepEqual(again.since, [5, 256]);
  confirm(socket, again, 5, 256);
  publish(socket, again, 257, '257');
  assert.equal((await loop.next()).value.name, '257');

  // The connection is lost in the meantime.
  for (let n = 258; n <= 600; n++) publish(socket, again, n, String(n));
  const next = await reconnected(server);
  const third = asked(next);
  assert.deepEqual(third.since, [5, 513]);
  await loop.return();
});

test('bytes are bounded too, and a message of any size is taken', async (t) => {
  const { client, socket } = await connected(t, { maxQueue: 4000 });
  const loop = client.subscribe('news');
  const first = loop.next();
  const s = asked(socket);
  confirm(socket, s, 5, 0);
  await settled();
  publish(socket, s, 1, '1', 'x'.repeat(5000));
  publish(socket, s, 2, '2', 'x'.repeat(500));
  assert.equal(socket.take().type, UNSUBSCRIBE);
  assert.equal((await first).value.payload.bytes.length, 5000);
  await loop.return();
});

test('what the loop has taken counts no more', async (t) => {
  const { client, socket } = await connected(t, { maxQueue: 4000 });
  const loop = client.subscribe('news');
  const first = loop.next();
  const s = asked(socket);
  confirm(socket, s, 5, 0);
  publish(socket, s, 1, '1', 'x'.repeat(300));
  await first;
  for (let n = 2; n < 20; n += 2) {
    publish(socket, s, n, 'a', 'x'.repeat(300));
    publish(socket, s, n + 1, 'b', 'x'.repeat(300));
    await loop.next();
    await loop.next();
  }
  assert.equal(socket.take(), undefined);
  await loop.return();
});

test('a resume that lost messages leaves a loop alone that has unsubscribed', async (t) => {
  const { server, client, socket } = await connected(t, {}, LASTS);
  const loop = client.subscribe('news');
  const first = loop.next();
  const s = asked(socket);
  confirm(socket, s, 5, 0);
  for (let n = 1; n <= 300; n++) publish(socket, s, n, String(n));
  await first;
  left(socket, s.ref);
  server.welcome = welcome(2, { lasts: LASTS, received: 2, from: 400 });
  const next = await reconnected(server);
  assert.equal(next.take(), undefined);
  for (let n = 2; n <= 256; n++) await loop.next();
  left(next, s.ref);
  assert.deepEqual(asked(next).since, [5, 256]);
  await loop.return();
});

test('close(), disconnect(), giving up and autoconnect: false end a subscription', async (t) => {
  for (const [end, Class, options] of [
    [(client) => client.close(), ClosedError],
    [(client) => client.disconnect(), DisconnectedError],
    [(client, socket) => socket.drop(4999), DisconnectedError],
    [(client, socket) => socket.drop(), DisconnectedError, { autoconnect: false }],
  ]) {
    for (const paused of [false, true]) {
      const { server, client, socket } = await connected(t, options);
      const loop = client.subscribe('news');
      const first = loop.next();
      const s = asked(socket);
      confirm(socket, s, 5, 0);
      for (let n = 1; n <= (paused ? 300 : 1); n++) publish(socket, s, n, 'a');
      await first;
      end(client, socket);
      await settled();
      const rest = [];
      const { error } = await outcome((async () => {
        for await (const m of loop) rest.push(m);
      })());
      assert.ok(error instanceof Class, `${error}`);
      assert.equal(rest.length, paused ? 255 : 0);
      assert.equal(server.sockets.length, 1, 'it does not connect again');
      assert.notEqual(client.status, 'connecting');
      client.close();
    }
  }
});

test('a signal ends the loop with its reason, in whatever state it is', async (t) => {
  const { server, client, socket } = await connected(t);
  const abort = new AbortController();
  const all = subscribe(client, { signal: abort.signal });
  const s = asked(socket);
  confirm(socket, s, 5, 1);
  publish(socket, s, 2, 'two');
  await settled();
  abort.abort('enough');
  await all.done;
  assert.deepEqual([all.got, all.end], [['two'], 'enough']);
  left(socket, s.ref);
  assert.deepEqual(await outcome(client.subscribe('news', { signal: abort.signal }).next()), { error: 'enough' });
  const other = new AbortController();
  const waits = subscribe(client, { signal: other.signal });
  socket.drop();
  other.abort('not now');
  await settled();
  assert.equal(waits.end, 'not now');
  await server.clock.pass(10_000);
  await server.socket.open();
  assert.equal(server.socket.take(), undefined);
});

test('before 3.0 subscribing fails and says why', async (t) => {
  for (const version of ['2.0', '1.2']) {
    const server = new FakeServer(t);
    const client = await server.connected({ versions: [version] });
    const { end } = await (async () => {
      const all = subscribe(client);
      await all.done;
      return all;
    })();
    assert.ok(end instanceof FailureError);
    assert.deepEqual([end.code, end.executed], [9, 'no']);
    assert.match(end.message, new RegExp(`${version} has no topics`));
    assert.equal(server.socket.take(), undefined);
    client.close();
  }
});

test('members come, change and leave', async (t) => {
  const { server, client, socket } = await connected(t);
  const seen = [];
  subscribe(client, { presence: ({ op, id, info }) => seen.push([op, id, info]) });
  const s = asked(socket);
  assert.equal(s.presence, true);
  confirm(socket, s, 5, 1);
  presence(socket, s, 2, { id: 'early', data: 1 });
  presence(socket, s, 0, [{ id: 'a', data: { n: 1 } }]);
  await settled();
  assert.deepEqual(seen.splice(0), [['enter', 'early', 1]], 'a snapshot counts when it is complete');
  presence(socket, s, 1, [{ id: 'b' }]);
  presence(socket, s, 2, { id: 'b' });
  presence(socket, s, 4, { id: 'a', data: { n: 2 } });
  presence(socket, s, 3, { id: 'b', data: 1 });
  presence(socket, s, 3, { id: 'b' });
  socket.say(72, little(s.ref, 4), [2], 'no JSON');
  await settled();
  assert.deepEqual(seen.splice(0), [
    ['leave', 'early', undefined], ['enter', 'a', { n: 1 }], ['enter', 'b', undefined], ['update', 'a', { n: 2 }], ['leave', 'b', undefined],
  ]);
  presence(socket, s, 0, [{ id: 'c', data: 3 }]);
  presence(socket, s, 1, [{ id: 'd' }]);
  presence(socket, s, 1, [{ id: 'a', data: 4 }]); // another snapshot
  await settled();
  assert.deepEqual(seen.splice(0), [
    ['leave', 'a', undefined], ['enter', 'c', 3], ['enter', 'd', undefined],
    ['leave', 'c', undefined], ['leave', 'd', undefined], ['enter', 'a', 4],
  ]);
  presence(socket, s, 0, [{ id: 'cut off' }]);
  const next = await reconnected(server);
  const again = asked(next);
  confirm(next, again, 5, 1);
  presence(next, again, 0, [{ id: 'c' }]);
  presence(next, again, 1);
  await settled();
  assert.deepEqual(seen.splice(0), [['leave', 'a', undefined], ['enter', 'c', undefined]]);
});

const named = (from, n) => Array.from({ length: n }, (_, i) => ({ id: String(from + i).padStart(32, '0'), data: { name: `somebody with the number ${from + i}` } }));

// snapshot tells of all members, 500 at a time.
async function snapshot(socket, s, members) {
  for (let i = 0; i < members.length; i += 500) {
    presence(socket, s, 0, members.slice(i, i + 500));
    await settled();
  }
  presence(socket, s, 1);
  await settled();
}

test('20,000 members are no attack, also if all are replaced or many come and go', async (t) => {
  const { client, socket } = await connected(t);
  const counts = { enter: 0, update: 0, leave: 0 };
  const loop = subscribe(client, { presence: ({ op }) => counts[op]++ });
  const s = asked(socket);
  confirm(socket, s, 5, 1);
  await snapshot(socket, s, named(0, 20_000));
  assert.deepEqual(counts, { enter: 20_000, update: 0, leave: 0 });
  await snapshot(socket, s, named(20_000, 20_000));
  assert.deepEqual(counts, { enter: 40_000, update: 0, leave: 20_000 });
  const long = 'x'.repeat(10_000);
  for (let i = 0; i < 600; i++) {
    presence(socket, s, 2, { id: `${i}`, data: long });
    presence(socket, s, 4, { id: `${i}`, data: i + long });
    presence(socket, s, 3, { id: `${i}` });
    await settled();
  }
  assert.deepEqual(counts, { enter: 40_600, update: 600, leave: 20_600 });
  await snapshot(socket, s, []);
  assert.deepEqual(counts, { enter: 40_600, update: 600, leave: 40_600 });
  assert.equal(loop.ended, false);
});

const long = 'x'.repeat(10_000);
for (const [name, attack] of Object.entries({
  'members that enter': (i) => [2, { id: `${i}`, data: long }],
  'members with long ids': (i) => [2, { id: i + long }],
  'members whose ids are no strings': (i) => [2, { id: i + 0.5, data: long }],
  'infos that grow': (i) => [4, { id: `${i % 10}`, data: i < 10 ? long : long.repeat(60) }],
  'a snapshot that does not end': (i) => [0, [{ id: `${i}`, data: long }]],
  'a snapshot of members without anything': (i) => [0, Array.from({ length: 500 }, (_, j) => ({ id: `${i} ${j}` }))],
})) {
  test(`too many members end a subscription: ${name}`, async (t) => {
    const { client, socket } = await connected(t);
    let events = 0;
    const loop = subscribe(client, { presence: () => events++ });
    const s = asked(socket);
    confirm(socket, s, 5, 1);
    let i = 0;
    for (; !loop.ended; i++) {
      assert.ok(i < 1000, 'the subscription goes on');
      presence(socket, s, ...attack(i));
      await settled();
    }
    assert.equal(loop.end.name, 'WebWireError');
    assert.equal(loop.end.message, 'the topic has too many members (5 MiB): subscribe without presence');
    left(socket, s.ref);
    const before = events;
    presence(socket, s, ...attack(i));
    presence(socket, s, 2, { id: 'late' });
    await settled();
    assert.equal(events, before);
    assert.equal(client.status, 'connected');
  });
}

test('a subscription goes on under another session', async (t) => {
  const { server, client, socket } = await connected(t, { storage: null });
  socket.say(21, JSON.stringify({ k: 'key', c: '2026-01-02T03:04:05Z' }));
  await settled();
  const all = subscribe(client);
  confirm(socket, asked(socket), 5, 1);
  await settled();
  const next = await reconnected(server);
  const restore = next.take();
  assert.equal(restore.type, 32);
  assert.equal(next.take(), undefined, 'it waits for the session');
  fail(next, restore, 3); // that is gone
  await settled();
  const s = asked(next);
  confirm(next, s, 5, 1);
  publish(next, s, 2, 'two');
  await settled();
  assert.deepEqual([all.got, all.ended], [['two'], false]);
});

test('a subscription waits while its session cannot be restored for the moment', async (t) => {
  const { server, client, socket } = await connected(t, { storage: null });
  socket.say(21, JSON.stringify({ k: 'key', c: '2026-01-02T03:04:05Z' }));
  await settled();
  subscribe(client);
  confirm(socket, asked(socket), 5, 1);
  await settled();
  const next = await reconnected(server);
  fail(next, next.take(), 4); // it has too many connections
  await settled();
  assert.equal(client.status, 'connected');
  assert.equal(next.take(), undefined);
  await server.clock.pass(1_000);
  const restore = next.take();
  assert.equal(restore.type, 32);
  next.say(192, restore.id, [0, 0], JSON.stringify({ k: 'key', c: '2026-01-02T03:04:05Z' }));
  await settled();
  assert.deepEqual(asked(next).since, [5, 1]);
});

test('nothing is left behind by subscriptions', async (t) => {
  const { server, client, socket } = await connected(t);
  await server.clock.pass(20_000);
  const { timers } = server.clock;
  const { signal } = new AbortController();
  let listeners = 0;
  for (const [method, by] of [['addEventListener', 1], ['removeEventListener', -1]]) {
    const before = signal[method];
    signal[method] = (...args) => {
      listeners += by;
      before.apply(signal, args);
    };
  }
  for (let i = 0; i < 10; i++) {
    const loop = client.subscribe('news', { signal });
    const next = loop.next();
    const s = asked(socket);
    confirm(socket, s, 5, 1);
    publish(socket, s, 2, 'a');
    await next;
    await loop.return();
    left(socket, s.ref);
  }
  await server.clock.pass(20_000);
  assert.equal(server.clock.timers, timers);
  assert.equal(listeners, 0);
});
