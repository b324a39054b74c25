// How connections are made, and made again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, ClosedError, DisconnectedError, QueueFullError, RefusedError, TimeoutError, VersionError } from '../src/index.js';
import { MAX_DELAY, settled } from './support/clock.js';
import { CONF, FakeServer, bytes, outcome, storage } from './support/fakes.js';

const TOKENS = ['webwire-2.0', 'webwire-1.2'];
const ALL = ['webwire-3.0', ...TOKENS];

test('tokens are offered to a server that lists its versions', async (t) => {
  const server = new FakeServer(t);
  const client = server.client();
  const connecting = client.connect();
  await settled();
  assert.deepEqual(server.asked.map(({ url, method, headers }) => [url, method, headers.Accept]), [
    ['http://example.com/api', 'WEBWIRE', 'application/webwire+json'],
  ]);
  assert.equal(server.socket.url, 'ws://example.com/api');
  assert.deepEqual(server.socket.protocols, TOKENS);
  assert.equal(server.socket.binaryType, 'arraybuffer');
  await server.socket.open('webwire-2.0');
  await connecting;
});

test('only common versions are offered, in the order of the client', async (t) => {
  const server = new FakeServer(t);
  server.metadata = { 'protocol-version': '1.5', versions: ['1.5', '1.2', '2.0'] };
  for (const [versions, want] of [[['1.2', '2.0'], ['webwire-1.2', 'webwire-2.0']], [['1.2'], ['webwire-1.2']]]) {
    const client = server.client({ versions });
    const connecting = client.connect();
    await settled();
    assert.deepEqual(server.socket.protocols, want);
    await server.socket.open('webwire-1.2');
    await connecting;
  }
});

test('a server that lists nothing is spoken to in its version, without an offer', async (t) => {
  const server = new FakeServer(t);
  server.metadata = { 'protocol-version': '1.2' };
  const client = server.client();
  const connecting = client.connect();
  await settled();
  assert.equal(server.socket.protocols, undefined);
  await server.socket.open();
  await connecting;
});

const silences = [
  ...[400, 405, 406, 426, 501].map((status) => [status, () => new Response('', { status })]),
  ['what a browser forbids', () => new TypeError('Failed to fetch')],
  ['a page', () => new Response('<!doctype html>', { headers: { 'Content-Type': 'text/html' } })],
  ['other JSON', () => ({ name: 'something else' })],
];
for (const [what, metadata] of silences) {
  test(`where the question gets no answer (${what}) tokens are offered, and none the next time`, async (t) => {
    const server = new FakeServer(t);
    server.metadata = metadata();
    const errors = [];
    const client = server.client({ onconnecterror: ({ error }) => errors.push(error) });
    const connecting = client.connect();
    await settled();
    assert.deepEqual(server.asked.map(({ method }) => method), ['WEBWIRE', 'GET']);
    assert.deepEqual(server.socket.protocols, ALL);
    server.socket.drop(1006, '', 'no sub-protocol'); // a published server of 2.0
    await server.clock.pass(1_000);
    assert.match(errors[0].message, /no sub-protocol/);
    assert.equal(server.socket.protocols, undefined);
    await server.socket.open('');
    assert.equal(await outcome(connecting), undefined, 'not before accept-conf');
    server.socket.say(CONF);
    await connecting;

    // What worked is tried first.
    server.socket.drop();
    await server.clock.pass(10_000);
    assert.equal(server.socket.protocols, undefined);
    server.socket.drop();
    await server.clock.pass(10_000);
    assert.deepEqual(server.socket.protocols, ALL);
  });
}

test('a connection without a token on which nothing comes is given up early, and tokens are offered', async (t) => {
  const server = new FakeServer(t);
  server.metadata = new TypeError('Failed to fetch');
  const client = server.client();
  client.connect();
  await settled();
  server.socket.drop(); // the server was not there
  await server.clock.pass(1_000);
  const { socket } = server;
  await socket.open(''); // it is now, and waits for the client
  await server.clock.pass(2_500);
  assert.equal(socket.closedWith, 1000);
  await server.clock.pass(4_000);
  assert.deepEqual(server.socket.protocols, ALL);
  await server.socket.open();
  assert.equal(client.status, 'connected');
});

test('a socket that opens although none of the tokens was selected', async (t) => {
  const server = new FakeServer(t); // Deno, Bun
  server.metadata = new TypeError('fetch failed');
  const client = server.client();
  client.connect();
  await settled();
  await server.socket.open('');
  assert.equal(client.status, 'connecting');
  server.socket.say(CONF);
  assert.equal(client.status, 'connected');
});

test('a plain GET has the answer where the method WEBWIRE has none', async (t) => {
  const server = new FakeServer(t);
  const { metadata } = server;
  for (const answer of [new Response('', { status: 400 }), new Response('', { status: 403 }), new TypeError('Failed to fetch')]) {
    server.answers.WEBWIRE = answer;
    server.metadata = { ...metadata, versions: ['1.2'] };
    const client = server.client();
    const connecting = client.connect();
    await settled();
    assert.deepEqual(server.socket.protocols, ['webwire-1.2']);
    await server.socket.open();
    await connecting;
  }
});

test('a question that nobody answers does not take all the time for the attempt', async (t) => {
  const server = new FakeServer(t);
  server.metadata = new Promise(() => {});
  const client = server.client();
  client.connect();
  await server.clock.pass(5_000);
  assert.deepEqual(server.socket.protocols, ALL);
  await server.socket.open();
  assert.equal(client.status, 'connected');
});

test('the metadata is remembered, and asked for again after a failure', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  for (let i = 0; i < 3; i++) {
    server.socket.drop();
    await server.clock.pass(10_000);
    await server.socket.open();
  }
  assert.equal(client.status, 'connected');
  assert.equal(server.asked.length, 1);
  server.socket.drop();
  await server.clock.pass(10_000);
  server.socket.drop(); // was never open
  await server.clock.pass(10_000);
  assert.equal(server.asked.length, 2);
});

for (const [what, metadata] of [
  ['lists others', { 'protocol-version': '1.4', versions: ['1.4', '1.3'] }],
  ['speaks another', { 'protocol-version': '1.4' }],
]) {
  test(`a server that ${what} is given up`, async (t) => {
    const server = new FakeServer(t);
    server.metadata = metadata;
    const errors = [];
    const client = server.client({ onconnectfailed: ({ error }) => errors.push(error) });
    const waiting = client.request('n', 'x');
    const connecting = client.connect();
    const { error } = await outcome(connecting);
    assert.ok(error instanceof VersionError);
    assert.deepEqual(error.client, ['3.0', '2.0', '1.2']);
    await assert.rejects(waiting, (e) => e instanceof DisconnectedError && !e.sent && e.cause === error);
    assert.deepEqual(errors, [error]);
    assert.equal(client.status, 'disconnected');
    await server.clock.pass(60_000);
    assert.equal(server.sockets.length, 0);
    await assert.rejects(client.request('n', 'x'), (e) => e instanceof DisconnectedError && e.cause === error);
    assert.throws(() => client.signal('n', 'x'), DisconnectedError);
    assert.equal(server.clock.timers, 0);

    server.metadata = { 'protocol-version': '1.2' };
    const again = client.connect();
    await settled();
    await server.socket.open();
    await again;
  });
}

test('a client of 1.2 alone offers its token where the question gets no answer, and does not guess', async (t) => {
  const server = new FakeServer(t);
  server.metadata = new Response('', { status: 405 });
  const client = server.client({ versions: ['1.2'] });
  client.connect();
  for (let i = 0; i < 3; i++) {
    await server.clock.pass(10_000);
    assert.deepEqual(server.socket.protocols, ['webwire-1.2']);
    server.socket.drop();
  }
  assert.equal(client.status, 'connecting');
});

test('a client of 1.2 alone notices that a server speaks 2.0', async (t) => {
  const server = new FakeServer(t);
  server.metadata = { 'protocol-version': '1.2' };
  const client = server.client({ versions: ['1.2'] });
  const errors = [];
  client.addEventListener('connectfailed', ({ error }) => errors.push(error));
  client.connect();
  await settled();
  await server.socket.open('');
  server.socket.say(CONF);
  await settled();
  assert.deepEqual(errors.map((e) => [e.name, e.server]), [['VersionError', ['2.0']]]);
});

test('a server that refuses for the moment is asked again, when it says', async (t) => {
  const server = new FakeServer(t);
  server.metadata = new Response('', { status: 503, headers: { 'Retry-After': '7' } });
  const client = server.client();
  const connecting = client.connect({ timeout: 7_400 });
  await server.clock.pass(7_399);
  assert.equal(server.asked.length, 1);
  await server.clock.pass(1);
  await assert.rejects(connecting, (error) => error instanceof TimeoutError && error.cause instanceof RefusedError && error.cause.status === 503);
  server.metadata = { 'protocol-version': '1.2' };
  await server.clock.pass(600);
  assert.equal(server.asked.length, 2);
  await server.socket.open();
  assert.equal(client.status, 'connected');
});

test('a server cannot ask to be asked sooner than otherwise', async (t) => {
  const server = new FakeServer(t);
  server.metadata = new Response('', { status: 503, headers: { 'Retry-After': '-5' } });
  const client = server.client();
  const connecting = client.connect({ timeout: 400 });
  await server.clock.pass(400);
  await assert.rejects(connecting, TimeoutError);
  assert.equal(server.asked.length, 1);
});

test('the user may know better: token', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ negotiate: 'token' });
  const connecting = client.connect();
  await settled();
  assert.equal(server.asked.length, 0);
  assert.deepEqual(server.socket.protocols, ALL);
  await server.socket.open('');
  await assert.rejects(connecting, VersionError);
});

test('the user may know better: none', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ negotiate: 'none', versions: ['1.2'] });
  const connecting = client.connect();
  await settled();
  assert.equal(server.asked.length, 0);
  assert.equal(server.socket.protocols, undefined);
  await server.socket.open();
  await connecting;
});

for (const [what, message, Class] of [
  ['of another major version', bytes(23, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0), VersionError],
  ['with another sub-protocol', bytes(CONF[0], ...CONF.slice(1), 'chess'), VersionError],
]) {
  test(`accept-conf ${what} ends the attempt for good`, async (t) => {
    const server = new FakeServer(t);
    const client = server.client({ negotiate: 'none' });
    const connecting = client.connect();
    await settled();
    await server.socket.open();
    server.socket.say(message);
    await assert.rejects(connecting, Class);
    assert.equal(server.socket.closedWith, 1000);
  });
}

test('a sub-protocol that is expected', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ negotiate: 'none', subProtocol: 'chess' });
  const connecting = client.connect();
  await settled();
  await server.socket.open();
  server.socket.say(bytes(...CONF, 'chess'));
  await connecting;
});

test('a minor version that is higher does not matter', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ negotiate: 'none' });
  const connecting = client.connect();
  await settled();
  await server.socket.open();
  server.socket.say(bytes(23, 2, 9, ...CONF.slice(3)));
  await connecting;
});

test('anything but accept-conf first is no way to open a connection of 2.0', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ negotiate: 'none' });
  client.connect();
  for (const message of [bytes(64, 1, 'sx'), bytes(23, 2), bytes(99), bytes()]) {
    await settled();
    const { socket } = server;
    await socket.open();
    socket.say(message);
    assert.equal(socket.closedWith, 1000);
    await server.clock.pass(10_000);
  }
  assert.equal(client.status, 'connecting');
});

for (const [what, stuck] of [
  ['metadata', (server) => { server.metadata = new Promise(() => {}); }],
  ['opening', () => {}],
  ['accept-conf', (server) => settled().then(() => server.socket.open(''))],
]) {
  test(`an attempt ends when the server is silent: ${what}`, async (t) => {
    const server = new FakeServer(t);
    const client = server.client({ autoconnect: false, negotiate: what === 'metadata' ? 'metadata' : 'none' });
    const connecting = client.connect();
    await stuck(server);
    await server.clock.pass(9_999);
    assert.equal(client.status, 'connecting');
    await server.clock.pass(1);
    await assert.rejects(connecting, (error) => error instanceof TimeoutError && error.after === 10_000);
    assert.equal(client.status, 'disconnected');
    assert.equal(server.clock.timers, 0);
  });
}

for (const dialTimeout of [Infinity, MAX_DELAY + 1]) {
  test(`an attempt may take ${dialTimeout} ms`, async (t) => {
    const server = new FakeServer(t);
    const client = server.client({ dialTimeout, storage: storage({ 'webwire:ws://example.com/api': 'KEY' }) });
    const connecting = client.connect({ timeout: Infinity });
    await server.clock.pass(600_000);
    assert.equal(server.sockets.length, 1);
    await server.socket.open();
    await server.clock.pass(600_000); // the session is restored that slowly
    server.socket.say(3, server.socket.take().id);
    await connecting;
    assert.equal(server.sockets.length, 1);
  });
}

test('close while the metadata is asked for', async (t) => {
  const server = new FakeServer(t);
  let answer;
  server.metadata = new Promise((resolve) => { answer = resolve; });
  const client = server.client();
  const connecting = client.connect();
  client.close();
  await assert.rejects(connecting, ClosedError);
  answer({ 'protocol-version': '1.2' });
  await settled();
  assert.equal(server.sockets.length, 0);
});

test('pauses grow, and start anew after a connection that proved stable', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  const attempts = async (pauses, code = 1006) => {
    for (const pause of pauses) {
      const before = server.sockets.length;
      server.socket.drop(code);
      await server.clock.pass(pause - 1);
      assert.equal(server.sockets.length, before, `a pause is shorter than ${pause}`);
      await server.clock.pass(1);
      assert.equal(server.sockets.length, before + 1, `a pause is longer than ${pause}`);
    }
  };
  await attempts([1_000, 4_000, 5_000, 5_000]);
  await server.socket.open();
  await server.clock.pass(4_999); // not stable yet
  await attempts([5_000]);
  await server.socket.open();
  await server.clock.pass(5_000);
  await attempts([1_000, 4_000]);
  await server.socket.open();
  await server.clock.pass(1_000);
  await attempts([1_000, 4_000], 1001); // it went away in good order
  assert.equal(client.status, 'connecting');
});

test('a pause longer than a timer can be', async (t) => {
  const server = new FakeServer(t);
  await server.connected({ minBackoff: Infinity, maxBackoff: Infinity });
  server.socket.drop();
  await server.clock.pass(1_000);
  assert.equal(server.sockets.length, 1);
  await server.clock.idle(MAX_DELAY - 1_001);
  assert.equal(server.sockets.length, 1);
  await server.clock.pass(1);
  assert.equal(server.sockets.length, 2);
});

test('pauses are random', async (t) => {
  const server = new FakeServer(t);
  await server.connected();
  Math.random.mock.mockImplementation(() => 0.25);
  server.socket.drop();
  await server.clock.pass(249);
  assert.equal(server.sockets.length, 1);
  await server.clock.pass(1);
  assert.equal(server.sockets.length, 2);
  await server.socket.drop();
  await server.clock.pass(999);
  assert.equal(server.sockets.length, 2);
  await server.clock.pass(1);
  assert.equal(server.sockets.length, 3);
  await server.socket.drop();
  await server.clock.pass(4_062); // a quarter of the way from 3,750 to 5,000 ms
  assert.equal(server.sockets.length, 3);
  await server.clock.pass(1);
  assert.equal(server.sockets.length, 4);
});

test('close during a pause', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  server.socket.drop();
  await settled();
  client.close();
  await settled();
  assert.equal(server.sockets.length, 1);
  assert.equal(server.clock.timers, 0);
  assert.deepEqual(client.events(), ['disconnected']);
});

test('without autoconnect', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({ autoconnect: false });
  await assert.rejects(client.request('n', 'x'), DisconnectedError);
  assert.throws(() => client.signal('n', 'x'), DisconnectedError);
  assert.equal(client.status, 'disconnected');
  const failing = client.connect();
  await settled();
  server.socket.drop(1006, '', 'refused');
  await assert.rejects(failing, /refused/);
  const connecting = client.connect();
  await settled();
  await server.socket.open();
  await connecting;
  server.socket.drop();
  await server.clock.pass(60_000);
  assert.equal(client.status, 'disconnected');
  assert.equal(server.sockets.length, 2);
});

test('connect is done at once when connected', async (t) => {
  const server = new FakeServer(t);
  const client = await server.connected();
  await client.connect();
  assert.equal(server.sockets.length, 1);
});

test('events tell what happens to the connection', async (t) => {
  const server = new FakeServer(t);
  const log = [];
  const client = server.client({
    onstatuschange: ({ status }) => log.push(status),
    onconnected: () => log.push('CONNECTED'),
    ondisconnected: ({ reason }) => log.push(`DISCONNECTED ${reason.name} ${reason.code ?? ''}`),
  });
  client.connect();
  await settled();
  await server.socket.open();
  server.socket.drop(1001, 'going away');
  await server.clock.pass(1_000);
  await server.socket.open();
  client.close();
  await settled();
  assert.deepEqual(log, [
    'connecting', 'connected', 'CONNECTED', 'connecting', 'DISCONNECTED CloseError 1001', 'connected', 'CONNECTED',
    'closed', 'DISCONNECTED ClosedError ',
  ]);
});

test('listeners may call everything', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({
    ondisconnected() {
      this.close();
    },
    onconnected() {
      this.signal('hello', 'x');
    },
  });
  client.connect();
  await settled();
  await server.socket.open();
  assert.equal(server.socket.take().name, 'hello');
  server.socket.drop();
  await server.clock.pass(60_000);
  assert.equal(client.status, 'closed');
  assert.equal(server.sockets.length, 1);
});

test('what a browser forbids is given up', async (t) => {
  const server = new FakeServer(t);
  class WebSocket {
    constructor() {
      throw new DOMException('mixed content', 'SecurityError');
    }
  }
  const client = server.client({ WebSocket });
  await assert.rejects(client.connect(), { name: 'SecurityError' });
  assert.equal(client.status, 'disconnected');
});

test('an option that is undefined has its default', async (t) => {
  const server = new FakeServer(t);
  const names = [
    'autoconnect', 'timeout', 'dialTimeout', 'minBackoff', 'maxBackoff', 'maxQueue', 'versions', 'negotiate', 'subProtocol', 'storage',
    'storageKey', 'onsignal',
  ];
  const client = await server.connected(Object.fromEntries(names.map((name) => [name, undefined])));
  assert.deepEqual(server.socket.protocols, TOKENS);
  server.socket.bufferedAmount = 8 << 20;
  assert.throws(() => client.signal('n', 'x'), QueueFullError);
  server.socket.bufferedAmount = 0;
  const request = client.request('n', 'x');
  await server.clock.pass(60_000);
  await assert.rejects(request, TimeoutError);
  assert.equal(client.status, 'connecting', 'nothing was heard for long');
  await server.clock.pass(999);
  assert.equal(server.sockets.length, 1);
  await server.clock.pass(1);
  assert.equal(server.sockets.length, 2);
  await server.clock.pass(10_000);
  assert.equal(server.socket.closedWith, 1000);

  const { WebSocket } = globalThis;
  t.after(() => {
    globalThis.WebSocket = WebSocket;
  });
  globalThis.WebSocket = server.WebSocket;
  await server.connected({ WebSocket: undefined });
});

test('URLs and options that are none', async (t) => {
  const server = new FakeServer(t);
  const { WebSocket } = server;
  assert.throws(() => new Client('http://', { WebSocket }), TypeError);
  assert.throws(() => new Client('ws://example.com', { WebSocket, versions: ['1.5'] }), TypeError);
  assert.throws(() => new Client('ws://example.com', { WebSocket, versions: [] }), TypeError);
  for (const [url, http, ws] of [
    ['wss://example.com/a?b=c#d', 'https://example.com/a?b=c', 'wss://example.com/a?b=c'],
    ['https://example.com', 'https://example.com/', 'wss://example.com/'],
  ]) {
    const client = new Client(url, { WebSocket });
    client.connect().catch(() => {});
    await settled();
    assert.equal(server.asked.at(-1).url, http);
    assert.equal(server.socket.url, ws);
    client.close();
  }
});

// A page, or what renders one on a server.
function page(t, { baseURI, href }) {
  globalThis.document = Object.assign(new EventTarget(), { baseURI });
  globalThis.location = { href };
  t.after(() => {
    delete globalThis.document;
    delete globalThis.location;
  });
}

test('a relative URL is one of the page', async (t) => {
  const server = new FakeServer(t);
  page(t, { baseURI: 'https://example.com/app/', href: 'https://example.com/deep/page?q#h' });
  for (const [url, want] of [['/api', 'wss://example.com/api'], ['api?x', 'wss://example.com/app/api?x'], ['//other/api', 'wss://other/api']]) {
    const client = new Client(url, { WebSocket: server.WebSocket, storage: null });
    client.connect().catch(() => {});
    await settled();
    assert.equal(server.socket.url, want);
    client.close();
  }
});

test('where there is no page a relative URL fails when it is needed, and not before', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({}, '/api');
  assert.equal(client.session, null);
  await client.closeSession();
  client.close();
  const used = server.client({}, '/api');
  const { error } = await outcome(used.connect());
  assert.ok(error instanceof TypeError);
  assert.match(error.message, /URL/);
  assert.equal(used.status, 'disconnected');
  assert.deepEqual(used.events(), ['connectfailed']);
  assert.equal(server.clock.timers, 0);
});

test('where there is no WebSocket the client fails when it is needed, and not before', async (t) => {
  const server = new FakeServer(t);
  const { WebSocket } = globalThis;
  delete globalThis.WebSocket;
  t.after(() => {
    if (WebSocket) globalThis.WebSocket = WebSocket;
  });
  const client = server.client({ WebSocket: undefined });
  assert.match((await outcome(client.connect())).error.message, /WebSocket/);
  assert.equal(client.status, 'disconnected');
});

test('a URL of another protocol is given up', async (t) => {
  const server = new FakeServer(t);
  const client = server.client({}, 'ftp://example.com/');
  assert.match((await outcome(client.connect())).error.message, /ftp/);
  assert.equal(client.status, 'disconnected');
});

test('an error that no close follows ends the attempt', async (t) => {
  const server = new FakeServer(t);
  const client = server.client();
  client.connect();
  await settled();
  const { socket } = server;
  socket.readyState = 3;
  socket.dispatchEvent(new Event('error'));
  await server.clock.pass(1_000);
  assert.equal(client.status, 'connecting');
  await server.clock.pass(1_000);
  assert.notEqual(server.socket, socket);
});

test('connect() in a listener of connectfailed keeps to the pauses', async (t) => {
  const server = new FakeServer(t);
  server.metadata = { 'protocol-version': '1.4' };
  const client = server.client({ onconnectfailed() { client.connect(); } });
  client.connect();
  await server.clock.pass(60_000);
  assert.ok(server.asked.length < 16, `asked ${server.asked.length} times`);
});

test('a failed attempt is told with its cause', async (t) => {
  const server = new FakeServer(t);
  const errors = [];
  const client = server.client({ onconnecterror: ({ error }) => errors.push(error) });
  client.connect();
  await settled();
  server.socket.drop(1006, '', 'connect ECONNREFUSED');
  await settled();
  assert.match(errors[0].message, /ECONNREFUSED/);
  assert.equal(errors.length, 1);
});

test('debug tells what happens, and no secrets', async (t) => {
  const server = new FakeServer(t);
  const said = [];
  const client = server.client({ debug: (...what) => said.push(what.map((x) => x?.message ?? JSON.stringify(x)).join(' ')) }, 'ws://example.com/api?token=SECRET');
  client.connect();
  await settled();
  await server.socket.open();
  server.socket.say(21, '{"k":"SECRET","c":"2026-01-02T03:04:05Z","i":"SECRET"}');
  server.socket.say(64, 4, 'newsSECRET');
  server.socket.drop(1006, '', 'ECONNRESET');
  await settled();
  const text = said.join('\n');
  for (const word of ['connecting', 'example.com/api', 'connected', 'sessioncreated', 'news', 'disconnected', 'ECONNRESET']) assert.match(text, new RegExp(word));
  assert.doesNotMatch(text, /SECRET/);
});

test('debug: true is the console', async (t) => {
  const server = new FakeServer(t);
  const log = t.mock.method(console, 'debug', () => {});
  await server.connected({ debug: true });
  assert.ok(log.mock.callCount() > 0);
});
