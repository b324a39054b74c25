// Sessions, and the tabs of one user that share them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DisconnectedError, ErrorReply, InternalError, SessionFullError, SessionNotFoundError, TimeoutError,
} from '../src/index.js';
import { settled } from './support/clock.js';
import { FakeServer, outcome, session, storage, text } from './support/fakes.js';

const ITEM = 'webwire:ws://example.com/api';

const created = (socket, key, info) => socket.say(21, session(key, info));
const restored = (socket, request, key, info) => socket.say(192, request.id, session(key, info));

// reconnect drops the connection and opens the next one.
async function reconnect(server) {
  server.socket.drop();
  await server.clock.pass(10_000);
  await server.socket.open();
}

// restoring checks that the client restores a key, and returns the request.
function restoring(server, key) {
  const request = server.socket.take();
  assert.deepEqual([request?.type, request && text(request.payload)], [32, key]);
  return request;
}

// signedIn returns a client with a session.
async function signedIn(server, key, options) {
  const client = await server.connected(options);
  created(server.socket, key, { user: 'alice' });
  await settled();
  assert.deepEqual(client.events(), ['sessioncreated']);
  return client;
}

test('a session that the server creates', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  let event;
  const client = await server.connected({ storage: kept, onsessioncreated: (e) => { event = e; } });
  assert.equal(client.session, null);
  const request = client.request('login', 'x').then(() => client.session.key);
  const { id } = server.socket.take();
  created(server.socket, 'KEY', { user: 'alice' });
  server.socket.say(192, id);
  assert.equal(await request, 'KEY', 'it is there before the reply');
  assert.equal(event.session, client.session);
  assert.deepEqual(client.session.info, { user: 'alice' });
  assert.equal(client.session.created.toISOString(), '2026-01-02T02:04:05.123Z');
  assert.ok(Object.isFrozen(client.session));
  assert.deepEqual(kept.items, { [ITEM]: 'KEY' });
});

test('a session that the server updates', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  let event;
  const client = await server.connected({ storage: kept, onsessionupdated: (e) => { event = e; } });
  created(server.socket, 'KEY', { user: 'alice' });
  await settled();
  kept.items[ITEM] = 'OTHER TAB';
  created(server.socket, 'KEY', { user: 'bob' });
  assert.deepEqual(client.session.info, { user: 'bob' });
  assert.ok(Object.isFrozen(client.session));
  await settled();
  assert.equal(event.session, client.session);
  assert.deepEqual(client.events(), ['sessioncreated', 'sessionupdated']);
  assert.deepEqual(kept.items, { [ITEM]: 'OTHER TAB' });
});

test('an update while the session is restored is newer than the reply', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ storage: storage({ [ITEM]: 'KEY' }) });
  client.connect();
  await settled();
  await server.socket.open();
  const request = restoring(server, 'KEY');
  created(server.socket, 'KEY', { user: 'bob' });
  restored(server.socket, request, 'KEY', { user: 'alice' });
  await settled();
  assert.deepEqual(client.session.info, { user: 'bob' });
  assert.deepEqual(client.events(), ['connected']);
});

test('the session object of 1.2', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected({ versions: ['1.2'] });
  server.socket.say(21, JSON.stringify({ key: 'KEY', crt: '2018-03-24T00:03:41.5+01:00', inf: [1] }));
  assert.equal(client.session.key, 'KEY');
  assert.equal(client.session.created.toISOString(), '2018-03-23T23:03:41.500Z');
  assert.deepEqual(client.session.lastSeen, client.session.created);
  assert.deepEqual(client.session.info, [1]);
});

for (const body of ['', '{}', '{"k":""}', '{"k":5}', 'no JSON', 'null']) {
  test(`a session that is none ends the connection: ${body}`, async (t) => {
    const server = new FakeServer(t);
    const client = await server.connected();
    server.socket.say(21, body);
    assert.equal(server.socket.closedWith, 1000);
    assert.equal(client.status, 'connecting');
    assert.equal(client.session, null);
  });
}

test('the session is restored before anything else is sent', async (t) => {
  const server = new FakeServer(t);
  const client = await signedIn(server, 'KEY');
  server.socket.drop();
  assert.equal(client.session.key, 'KEY', 'it is going to be restored');
  const request = client.request('n', 'x');
  await server.clock.pass(1_000);
  await server.socket.open();
  const restore = restoring(server, 'KEY');
  assert.equal(client.status, 'connecting');
  assert.equal(server.socket.take(), undefined);
  restored(server.socket, restore, 'KEY', { user: 'bob' });
  assert.equal(client.status, 'connected');
  assert.deepEqual(client.session.info, { user: 'bob' });
  await settled();
  server.socket.reply(server.socket.take(), 'y');
  assert.equal((await request).text(), 'y');
  assert.deepEqual(client.events(), ['disconnected', 'connected']);
});

test('a page that is loaded anew has its session', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ storage: storage({ [ITEM]: 'KEY' }) });
  const connecting = client.connect();
  await settled();
  await server.socket.open();
  restored(server.socket, restoring(server, 'KEY'), 'KEY');
  await connecting;
  assert.equal(client.session.key, 'KEY');
  assert.deepEqual(client.events(), ['connected']);
});

test('a session that does not exist any more is forgotten', async (t) => {
  const server = new FakeServer(t);
  const kept = storage({ [ITEM]: 'KEY' });
  const client = server.client({ storage: kept });
  const connecting = client.connect();
  await settled();
  await server.socket.open();
  server.socket.say(3, restoring(server, 'KEY').id);
  await connecting;
  assert.equal(client.session, null);
  assert.deepEqual(kept.items, {});
  assert.deepEqual(client.events(), ['sessionclosed', 'connected']);
});

for (const [what, type, body = ''] of [['full', 4], ['internal error', 2], ['sessions disabled', 5], ['refused', 0, '\x01Cm']]) {
  test(`a session that cannot be restored now is kept: ${what}`, async (t) => {
    const server = new FakeServer(t);
    const client = await signedIn(server, 'KEY');
    await reconnect(server);
    server.socket.say(type, restoring(server, 'KEY').id, body);
    await settled();
    assert.equal(client.status, 'connected');
    assert.equal(client.session, null);
    const again = client.restoreSession();
    server.socket.say(4, restoring(server, 'KEY').id);
    await assert.rejects(again, SessionFullError);
    await reconnect(server);
    restored(server.socket, restoring(server, 'KEY'), 'KEY');
    assert.equal(client.session.key, 'KEY');
    await settled();
    assert.deepEqual(client.events(), ['disconnected', 'connected', 'disconnected', 'connected']);
  });
}

for (const [what, answer] of [
  ['the server shuts down', (socket, { id }) => socket.say(1, id)],
  ['the reply is malformed', (socket, { id }) => socket.say(192, id, '{}')],
  ['the reply does not come', (_, __, clock) => clock.pass(10_000)],
]) {
  test(`the connection is of no use when ${what}`, async (t) => {
    const server = new FakeServer(t);
    const client = await signedIn(server, 'KEY');
    await reconnect(server);
    const { socket } = server;
    await answer(socket, restoring(server, 'KEY'), server.clock);
    assert.equal(socket.closedWith, 1000);
    assert.equal(client.status, 'connecting');
    await server.clock.pass(10_000);
    assert.notEqual(server.socket, socket);
    await server.socket.open();
    restored(server.socket, restoring(server, 'KEY'), 'KEY');
    assert.equal(client.status, 'connected');
    await settled();
    assert.deepEqual(client.events(), ['disconnected', 'connected']);
  });
}

test('the server closes the session', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  const client = await signedIn(server, 'KEY', { storage: kept });
  server.socket.say(22);
  server.socket.say(22);
  await settled();
  assert.equal(client.session, null);
  assert.deepEqual(kept.items, {});
  assert.deepEqual(client.events(), ['sessionclosed']);
  await reconnect(server);
  assert.equal(server.socket.take(), undefined, 'nothing is restored');
});

for (const version of ['2.0', '1.2']) {
  test(`closeSession in ${version}`, async (t) => {
    const server = new FakeServer(t);
    const kept = storage();
    const client = await signedIn(server, 'KEY', { storage: kept, versions: [version] });
    const closing = client.closeSession();
    const request = server.socket.take();
    assert.deepEqual([request.type, request.payload.length], [31, 0]);
    assert.equal(client.session.key, 'KEY', 'it is not closed yet');
    if (version === '1.2') server.socket.say(22);
    server.socket.say(191, request.id);
    await closing;
    assert.equal(client.session, null);
    assert.deepEqual(kept.items, {});
    assert.deepEqual(client.events(), [], 'who closed it knows');
  });
}

test('closeSession that fails', async (t) => {
  const server = new FakeServer(t);
  const client = await signedIn(server, 'KEY');
  const closing = client.closeSession();
  server.socket.say(2, server.socket.take().id);
  await assert.rejects(closing, InternalError);
  assert.equal(client.session.key, 'KEY');
  // The connection is lost after the session was closed.
  const lost = client.closeSession();
  server.socket.say(22);
  server.socket.drop();
  await assert.rejects(lost, DisconnectedError);
  assert.equal(client.session, null);
  assert.deepEqual(client.events(), ['sessionclosed', 'disconnected']);
});

test('closeSession goes on if its caller does not wait', async (t) => {
  const server = new FakeServer(t);
  const client = await signedIn(server, 'KEY');
  const controller = new AbortController();
  const closing = client.closeSession({ signal: controller.signal });
  controller.abort();
  await assert.rejects(closing, { name: 'AbortError' });
  server.socket.say(191, server.socket.take().id);
  assert.equal(client.session, null);

  created(server.socket, 'NEXT');
  const { socket } = server;
  const unanswered = client.closeSession({ timeout: 1_000 });
  await server.clock.pass(1_000);
  await assert.rejects(unanswered, TimeoutError);
  assert.equal(socket.closedWith, undefined);
  await server.clock.pass(59_000);
  assert.equal(socket.closedWith, 1000, 'both ends have to agree');
});

test('closeSession without a connection forgets the session', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  const client = await signedIn(server, 'KEY', { storage: kept });
  server.socket.drop();
  await client.closeSession();
  assert.equal(client.session, null);
  assert.deepEqual(kept.items, {});
  await server.clock.pass(10_000);
  await server.socket.open();
  assert.equal(server.socket.take(), undefined);
  assert.equal(client.status, 'connected');
});

test('closeSession while the session is restored', async (t) => {
  const server = new FakeServer(t);
  const client = await signedIn(server, 'KEY');
  await reconnect(server);
  const { socket } = server;
  const restore = restoring(server, 'KEY');
  await client.closeSession();
  restored(socket, restore, 'KEY');
  assert.equal(socket.closedWith, 1000, 'the server believes that this connection has the session');
  assert.equal(client.session, null);
  await server.clock.pass(10_000);
  await server.socket.open();
  assert.equal(server.socket.take(), undefined);
  assert.equal(client.status, 'connected');
});

test('restoreSession', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  const client = await server.connected({ storage: kept });
  for (const [type, Class] of [[3, SessionNotFoundError], [4, SessionFullError], [2, InternalError]]) {
    const failing = client.restoreSession('KEY');
    server.socket.say(type, restoring(server, 'KEY').id);
    await assert.rejects(failing, Class);
  }
  assert.deepEqual(kept.items, {});
  const restore = client.restoreSession('KEY');
  restored(server.socket, restoring(server, 'KEY'), 'KEY', { user: 'alice' });
  assert.equal(await restore, undefined);
  assert.deepEqual(client.session.info, { user: 'alice' });
  assert.deepEqual(kept.items, { [ITEM]: 'KEY' });

  const other = client.restoreSession('OTHER');
  server.socket.say(0, restoring(server, 'OTHER').id, 14, 'SESSION_ACTIVE');
  await assert.rejects(other, (error) => error instanceof ErrorReply && error.code === 'SESSION_ACTIVE');
  assert.equal(client.session.key, 'KEY');
});

test('restoreSession and closeSession of a client that is closed', async (t) => {
  for (const items of [{}, { [ITEM]: 'KEY' }]) {
    const client = new FakeServer(t).client({ storage: storage(items) });
    client.close();
    for (const call of [() => client.restoreSession(), () => client.restoreSession('KEY'), () => client.closeSession()]) {
      await assert.rejects(call, { name: 'ClosedError' });
    }
  }
});

test('restoreSession waits for a connection, and for an answer that makes sense', async (t) => {
  const server = new FakeServer(t);
  const client = server.client();
  await assert.rejects(client.restoreSession(), SessionNotFoundError);
  const restore = client.restoreSession('KEY');
  await settled();
  await server.socket.open();
  server.socket.say(192, restoring(server, 'KEY').id, 'nonsense');
  await assert.rejects(restore, /not a session/);
  assert.equal(server.socket.closedWith, 1000);
});

test('a tab adopts on its next connection the session that another created', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  const client = await server.connected({ storage: kept });
  kept.setItem(ITEM, 'A');
  await settled();
  assert.equal(client.session, null);
  await reconnect(server);
  restored(server.socket, restoring(server, 'A'), 'A');
  assert.equal(client.session.key, 'A');
  kept.setItem(ITEM, 'B');
  await settled();
  assert.equal(client.session.key, 'A', 'it keeps what it has until then');
  client.events();
  await reconnect(server);
  restored(server.socket, restoring(server, 'B'), 'B');
  assert.equal(client.session.key, 'B');
  await settled();
  assert.deepEqual(client.events(), ['disconnected', 'sessionclosed', 'connected']);
});

test('a tab that missed that another signed out', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  const client = await signedIn(server, 'KEY', { storage: kept });
  server.socket.drop();
  kept.removeItem(ITEM);
  await server.clock.pass(10_000);
  await server.socket.open();
  assert.equal(server.socket.take(), undefined);
  assert.equal(client.session, null);
  assert.deepEqual(client.events(), ['disconnected', 'sessionclosed', 'connected']);
});

test('a session that ends does not take the key of another with it', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  const client = await signedIn(server, 'OLD', { storage: kept });
  kept.setItem(ITEM, 'NEW');
  server.socket.say(22);
  assert.equal(client.session, null);
  assert.deepEqual(kept.items, { [ITEM]: 'NEW' });

  await reconnect(server);
  const restore = restoring(server, 'NEW');
  kept.setItem(ITEM, 'NEWER');
  server.socket.say(3, restore.id);
  assert.deepEqual(kept.items, { [ITEM]: 'NEWER' });
});

test('storages that fail are done without', async (t) => {
  const server = new FakeServer(t);
  const failing = () => {
    throw new Error('denied');
  };
  for (const kept of [{ getItem: failing, setItem: failing, removeItem: failing }, { ...storage(), setItem: failing }, null]) {
    const client = await signedIn(server, 'KEY', { storage: kept });
    await reconnect(server);
    restored(server.socket, restoring(server, 'KEY'), 'KEY');
    assert.equal(client.session.key, 'KEY');
    server.socket.say(22);
    await reconnect(server);
    assert.equal(server.socket.take(), undefined);
  }
});

test('localStorage is the default where there is a page', async (t) => {
  const server = new FakeServer(t);
  globalThis.document = new EventTarget();
  const localStorage = storage({ [ITEM]: 'KEY', other: 'OTHER' });
  Object.defineProperty(globalThis, 'localStorage', { configurable: true, get: () => localStorage });
  t.after(() => {
    delete globalThis.document;
    delete globalThis.localStorage;
  });
  const client = server.client();
  client.connect();
  await settled();
  await server.socket.open();
  restored(server.socket, restoring(server, 'KEY'), 'KEY');

  const other = server.client({ storageKey: 'other' });
  other.connect();
  await settled();
  await server.socket.open();
  restored(server.socket, restoring(server, 'OTHER'), 'OTHER');
  assert.equal(client.session.key, 'KEY');

  Object.defineProperty(globalThis, 'localStorage', { configurable: true, get: () => { throw new DOMException('no', 'SecurityError'); } });
  const denied = await signedIn(server, 'MINE');
  assert.equal(denied.session.key, 'MINE');
});

test('a close that comes right behind the restore is not missed', async (t) => {
  const server = new FakeServer(t);
  const client = await signedIn(server, 'KEY');
  await reconnect(server);
  restored(server.socket, restoring(server, 'KEY'), 'KEY');
  server.socket.say(22);
  assert.equal(client.session, null);
  assert.equal((await outcome(client.connect())).error, undefined);
  assert.deepEqual(client.events(), ['disconnected', 'connected', 'sessionclosed']);
});

// Twins of the tests of the Go client.

// Go: TestCloseAfterAbandonedRestore.
test('who gave up a restoreSession and then closed the session has none', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  const client = await server.connected({ storage: kept });
  const controller = new AbortController();
  const abandoned = client.restoreSession('KEY', { signal: controller.signal });
  const request = restoring(server, 'KEY');
  controller.abort();
  await assert.rejects(abandoned);
  await client.closeSession();
  restored(server.socket, request, 'KEY');
  await settled();
  assert.equal(client.session, null);
  assert.deepEqual(kept.items, {});
  assert.equal(server.socket.closedWith, 1000, 'the server believes that this connection has the session');
});

// Go: TestSessionDeadline.
for (const what of ['closeSession', 'restoreSession']) {
  test(`who has more time than the client's timeout has it for ${what} too`, async (t) => {
    const server = new FakeServer(t);
    const client = await server.connected({ timeout: 2_000 });
    const { socket } = server;
    if (what === 'closeSession') created(socket, 'KEY');
    const change = what === 'closeSession' ? client.closeSession({ timeout: 60_000 }) : client.restoreSession('KEY', { timeout: 60_000 });
    const other = client.request('n', 'x', { timeout: 60_000 });
    const [asked, request] = [socket.take(), socket.take()];
    await server.clock.pass(5_000);
    socket.say(192, asked.id, what === 'closeSession' ? '' : session('KEY'));
    await change;
    socket.reply(request, 'y');
    assert.equal((await other).text(), 'y');
  });
}

// Go: TestRestoreWaitsWithinTimeout.
test('restoreSession has its time for the connection and the reply together', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ timeout: 30_000, minBackoff: 1_000, maxBackoff: 1_000 });
  const restore = client.restoreSession('KEY');
  await settled();
  server.socket.drop();
  await server.clock.pass(25_000);
  await server.socket.open();
  assert.equal(await outcome(restore), undefined);
  await server.clock.pass(5_000);
  await assert.rejects(restore, TimeoutError);
});

// Go: TestCloseSparesNewSession.
test('the reply to closeSession is about the session that there was', async (t) => {
  const server = new FakeServer(t);
  const kept = storage();
  const client = await signedIn(server, 'OLD', { storage: kept });
  const closing = client.closeSession();
  const { id } = server.socket.take();
  server.socket.say(22);
  created(server.socket, 'NEW');
  server.socket.say(191, id);
  await closing;
  assert.equal(client.session.key, 'NEW');
  assert.deepEqual(kept.items, { [ITEM]: 'NEW' });
});

// Go: TestClosedIsToldBeforeCreated.
test('that a session was closed is told before the next one is', async (t) => {
  const server = new FakeServer(t);
  const client = await signedIn(server, 'OLD');
  const closing = client.closeSession();
  server.socket.say(22);
  created(server.socket, 'NEW');
  server.socket.drop();
  await assert.rejects(closing, DisconnectedError);
  assert.deepEqual(client.events(), ['sessionclosed', 'sessioncreated', 'disconnected']);
});

// Go: TestOwnCloseIsNotTold.
test('a closeSession that succeeded explains the end of the session', async (t) => {
  const server = new FakeServer(t);
  const client = await signedIn(server, 'OLD');
  const [first, second] = [client.closeSession(), client.closeSession()];
  const { id } = server.socket.take();
  server.socket.say(22);
  server.socket.say(191, id);
  await first;
  server.socket.drop();
  await assert.rejects(second, DisconnectedError);
  assert.deepEqual(client.events(), ['disconnected']);
});

// Go: TestUnreadableSession.
test('a session with a time that is none', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected({ autoconnect: false, versions: ['1.2'] });
  const restore = client.restoreSession('KEY');
  server.socket.say(192, server.socket.take().id, '{"key":"KEY","crt":"not a time"}');
  await assert.rejects(restore, /not a session/);
  await client.closeSession();
  assert.equal(client.status, 'disconnected');
});

// Go: TestUnfitKey.
for (const [what, key] of [['too long', 'k'.repeat(256)], ['not printable', 'k\0y'], ['empty', '']]) {
  test(`what cannot be a key does not keep the client from connecting: ${what}`, async (t) => {
    const server = new FakeServer(t);
    const client = server.client({ storage: storage({ [ITEM]: key }) });
    client.connect();
    await settled();
    await server.socket.open();
    assert.equal(server.socket.take(), undefined);
    assert.equal(client.status, 'connected');
  });
}

test('a session created unasked waits for the outcome of restoring the kept one', async (t) => {
  const server = new FakeServer(t);
  const kept = storage({ [ITEM]: 'KEY' });
  const client = server.client({ storage: kept });
  client.connect();
  await settled();
  await server.socket.open();
  const first = restoring(server, 'KEY');
  created(server.socket, 'GUEST');
  server.socket.say(4, first.id);
  await settled();
  assert.deepEqual([client.session, kept.items[ITEM]], [null, 'KEY']);
  await server.clock.pass(1_000);
  server.socket.say(3, restoring(server, 'KEY').id);
  await settled();
  assert.deepEqual([client.session.key, kept.items[ITEM]], ['GUEST', 'GUEST']);
  assert.deepEqual(client.events(), ['connected', 'sessionclosed', 'sessioncreated']);
});

test('restoring is given up with the session', async (t) => {
  const server = new FakeServer(t);
  const client = await signedIn(server, 'KEY');
  await reconnect(server);
  server.socket.say(4, restoring(server, 'KEY').id);
  await server.clock.pass(1_000);
  const again = restoring(server, 'KEY');
  await client.closeSession();
  server.socket.say(4, again.id);
  await server.clock.pass(20_000);
  assert.equal(server.socket.take(), undefined, 'nothing is restored');
  assert.equal(client.status, 'connected');
});

test('what the server sends before the connection can be used is bounded', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ storage: storage({ [ITEM]: 'KEY' }), maxQueue: 1_000 });
  client.connect();
  await settled();
  await server.socket.open();
  const { socket } = server;
  for (let i = 0; i < 3; i++) socket.say(64, 1, 's', 'x'.repeat(400));
  assert.equal(socket.closedWith, 1000);
});
