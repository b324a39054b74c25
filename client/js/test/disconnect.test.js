// disconnect(), after which the client can be used again: the effects of React's
// StrictMode run twice.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DisconnectedError } from '../src/index.js';
import { settled } from './support/clock.js';
import { FakeServer, outcome, session, text } from './support/fakes.js';

test('disconnect ends the connection and what waits', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  server.socket.say(21, session('KEY'));
  const pending = client.request('n', 'x');
  client.signal('last', 'x');
  const { socket } = server;
  client.disconnect();
  assert.equal(client.status, 'disconnected');
  assert.equal(socket.closedWith, 1000);
  await assert.rejects(pending, (error) => error instanceof DisconnectedError && error.sent);
  assert.deepEqual(client.events(), ['sessioncreated', 'disconnected']);
  assert.equal(client.session.key, 'KEY', 'it is going to be restored');
  await server.clock.pass(60_000);
  assert.equal(server.sockets.length, 1, 'it does not connect by itself');
  assert.equal(server.clock.timers, 0);

  const next = client.request('n', 'x');
  await settled();
  await server.socket.open();
  const restore = server.socket.take();
  assert.deepEqual([restore.type, text(restore.payload)], [32, 'KEY']);
  server.socket.say(192, restore.id, session('KEY'));
  await settled();
  server.socket.reply(server.socket.take(), 'y');
  assert.equal((await next).text(), 'y');
});

const moments = {
  'before anything': () => {},
  'while the metadata is asked for': () => {},
  'while it connects': () => settled(),
  'while the session is restored': async (server) => {
    await settled();
    await server.socket.open();
  },
  'in a pause': async (server) => {
    await settled();
    server.socket.drop();
    await settled();
  },
};
for (const [moment, reach] of Object.entries(moments)) {
  test(`connect, disconnect and connect again: ${moment}`, async (t) => {
    const server = new FakeServer(t);
    const client = server.client();
    const first = client.connect();
    if (moment === 'before anything') {
      client.disconnect();
      client.disconnect();
    }
    const request = client.request('n', 'x');
    await reach(server);
    if (moment !== 'before anything' && moment !== 'while the session is restored') client.disconnect();
    const second = client.connect();
    await settled();
    if (server.socket.readyState === 0) await server.socket.open();
    await second;
    assert.equal(client.status, 'connected');
    const open = server.sockets.filter((socket) => socket.closedWith === undefined && socket.readyState === 1);
    assert.equal(open.length, 1, 'one connection');
    if (moment !== 'while the session is restored') {
      assert.ok((await outcome(first)).error instanceof DisconnectedError || moment === 'before anything');
    }
    await outcome(request);
    client.close();
    await settled();
    assert.equal(server.clock.timers, 0);
  });
}

test('disconnect does nothing to a client that is not connected, or closed', async (t) => {
  const server = new FakeServer(t);
  const client = server.client();
  client.disconnect();
  assert.equal(client.status, 'disconnected');
  client.close();
  client.disconnect();
  assert.equal(client.status, 'closed');
  assert.deepEqual(client.events(), []);
});

test('disconnect in listeners', async (t) => {
  const server = new FakeServer(t);
  for (const type of ['onconnected', 'ondisconnected', 'onconnecterror']) {
    const client = server.client({ [type]: () => client.disconnect() });
    client.connect();
    await settled();
    if (type !== 'onconnecterror') await server.socket.open();
    server.socket.drop();
    const before = server.sockets.length;
    await server.clock.pass(60_000);
    assert.equal(client.status, 'disconnected');
    assert.equal(server.sockets.length, before);
  }
});
