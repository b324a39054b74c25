// One socket of 3.0, against a server that does what a test says.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compose, parse } from '../src/codec3.js';
import { DisconnectedError, ErrorReply, InternalError, MalformedError, Payload, ShutdownError, TimeoutError, TooLongError } from '../src/index.js';
import { FailureError, Link } from '../src/link3.js';
import { Clock, settled } from './support/clock.js';

const NOBODY = new Uint8Array(16);

class Server {
  sent = []; // messages of the client that were not taken
  told = []; // signals and sessions
  ended;

  constructor(t, options) {
    this.clock = new Clock(t);
    this.link = new Link({
      send: (bytes) => this.sent.push(parse(bytes)),
      message: (m) => this.told.push(m),
      end: (reason, status) => { this.ended = { reason, status }; },
      ...options,
    });
    const { request } = this.link;
    this.link.request = (...args) => {
      const promise = request.apply(this.link, args);
      promise.catch(() => {}); // a test may look at it only later
      return promise;
    };
    t.after(() => this.link.end(new Error('the test is over')));
  }

  // open opens the socket, and leaves out hello.
  static async open(t, options, conf) {
    const server = new Server(t, options);
    assert.equal(server.sent.shift().kind, 'hello');
    server.say({ kind: 'conf', major: 3, minor: 0, readTimeout: 0, longest: 0, credit: 1000, requests: 4, subProtocol: '', ...conf });
    server.say({ kind: 'welcome', outcome: 0, conn: NOBODY, secret: NOBODY, window: 0, ring: 0, received: 0, from: 1, late: 0 });
    await settled();
    return server;
  }

  say(m) {
    this.link.receive(compose(m));
  }

  // take returns the next message of the client that is no ack.
  take() {
    let m;
    do m = this.sent.shift(); while (m?.kind === 'ack');
    return m;
  }

  reply(id, text = '') {
    this.say({ kind: 'reply', id, payload: Payload.from(text) });
  }

  ask(id, name, head = {}, payload = Payload.from('x')) {
    this.say({ kind: 'request', id, name, payload, head });
  }

  item(id, text) {
    this.say({ kind: 'item', id, payload: Payload.from(text) });
  }
}

// outcome returns what has become of a promise: undefined if it is open.
async function outcome(promise) {
  let result;
  promise.then((value) => { result = { value }; }, (error) => { result = { error }; });
  await settled();
  return result;
}

const open = (handlers) => ({ handlers: new Map(Object.entries(handlers)) });

test('hello goes first, requests after accept-conf', async (t) => {
  let ready;
  const server = new Server(t, { credit: 5, requests: 2, longest: 2048, head: { credentials: Uint8Array.of(1) }, ready: (conf) => { ready = conf; } });
  const { kind, head, longest, credit, requests, resume } = server.take();
  assert.deepEqual([kind, [...head.credentials], longest, credit, requests, resume], ['hello', [1], 2048, 5, 2, null]);
  const reply = server.link.request('n', 'x');
  assert.equal(server.take(), undefined);
  server.say({ kind: 'conf', major: 3, minor: 0, readTimeout: 0, longest: 0, credit: 0, requests: 1, subProtocol: 'p' });
  const request = server.take();
  assert.deepEqual([request.kind, request.name, request.payload.text()], ['request', 'n', 'x']);
  assert.equal(ready, undefined);
  server.say({ kind: 'welcome', outcome: 0, conn: NOBODY, secret: NOBODY, window: 0, ring: 0, received: 0, from: 1, late: 0 });
  assert.equal(ready.subProtocol, 'p');
  server.reply(request.id, 'y');
  assert.equal((await reply).text(), 'y');
});

test('what is no opening ends the socket', async (t) => {
  const conf = { kind: 'conf', major: 3, minor: 0, readTimeout: 0, longest: 0, credit: 0, requests: 1, subProtocol: '' };
  const welcome = { kind: 'welcome', outcome: 3, conn: NOBODY, secret: NOBODY, window: 0, ring: 0, received: 0, from: 1, late: 0 };
  for (const messages of [[welcome], [conf, conf], [conf, welcome], [{ ...conf, major: 4 }]]) {
    const server = new Server(t);
    const request = server.link.request('n', 'x');
    for (const m of messages) server.say(m);
    assert.equal(server.ended.status, 1002);
    assert.ok(server.ended.reason instanceof MalformedError);
    assert.ok((await outcome(request)).error instanceof DisconnectedError);
  }
});

test('metadata, trace and timeout travel', async (t) => {
  const server = await Server.open(t);
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  server.link.request('n', 'x', { timeout: 5000, meta: [['k', 'v']], traceparent });
  const { head } = server.take();
  assert.deepEqual([head.deadline, head.meta, head.traceparent, head.stream], [5000, [['k', 'v']], traceparent, undefined]);
  server.link.request('n', 'x', { timeout: Infinity });
  assert.equal(server.take().head.deadline, undefined);
});

test('errors of all kinds', async (t) => {
  const server = await Server.open(t);
  const ask = async (answer) => {
    const request = server.link.request('n', 'x');
    server.say({ id: server.take().id, ...answer });
    return (await outcome(request)).error;
  };
  const refused = await ask({ kind: 'errorReply', name: 'NO', text: 'no' });
  assert.ok(refused instanceof ErrorReply && refused.code === 'NO' && refused.message === 'no');
  assert.ok(await ask({ kind: 'failure', code: 1, executed: 0, text: '' }) instanceof ShutdownError);
  assert.ok(await ask({ kind: 'failure', code: 2, executed: 1, text: '' }) instanceof InternalError);
  const unknown = await ask({ kind: 'failure', code: 10, executed: 2, text: 'gone' });
  assert.ok(unknown instanceof FailureError);
  assert.deepEqual([unknown.code, unknown.executed, unknown.message, unknown.name], [10, 2, 'gone', 'FailureError']);
});

test('an aborted request is cancelled, and holds its place until it is answered', async (t) => {
  const server = await Server.open(t, {}, { requests: 1 });
  const abort = new AbortController();
  const first = outcome(server.link.request('first', 'x', { signal: abort.signal }));
  const second = server.link.request('second', 'x');
  const { id } = server.take();
  abort.abort('enough');
  assert.deepEqual(await first, { error: 'enough' });
  assert.deepEqual(server.take(), { kind: 'cancel', id, reason: 0 });
  assert.equal(server.take(), undefined, 'the second waits');
  server.say({ kind: 'failure', id, code: 6, executed: 2, text: '' });
  const request = server.take();
  assert.equal(request.name, 'second');
  server.reply(request.id);
  await second;
  assert.equal(server.take(), undefined);
});

test('a request that was not sent yet is never sent once it is aborted', async (t) => {
  const server = await Server.open(t, {}, { requests: 1 });
  server.link.request('first', 'x');
  const { id } = server.take();
  const abort = new AbortController();
  const second = outcome(server.link.request('second', 'x', { signal: abort.signal }));
  abort.abort();
  assert.equal((await second).error.name, 'AbortError');
  server.reply(id);
  assert.equal(server.take(), undefined);
});

test('a late request is cancelled as late; what waited carries the time that is left', async (t) => {
  const server = await Server.open(t, {}, { requests: 1 });
  const first = server.link.request('first', 'x', { timeout: 1000 });
  const { id } = server.take();
  server.link.request('second', 'x', { timeout: 5000 });
  await server.clock.pass(1000);
  assert.ok((await outcome(first)).error instanceof TimeoutError);
  assert.deepEqual(server.take(), { kind: 'cancel', id, reason: 1 });
  await server.clock.pass(500);
  server.reply(id);
  assert.equal(server.take().head.deadline, 3500);
});

test('the end of the socket decides what is pending', async (t) => {
  const server = await Server.open(t, {}, { requests: 1 });
  const first = outcome(server.link.request('first', 'x'));
  const second = outcome(server.link.request('second', 'x'));
  server.link.end(new Error('cut'));
  assert.deepEqual([(await first).error.sent, (await second).error.sent], [true, false]);
  assert.ok((await outcome(server.link.request('third', 'x'))).error instanceof DisconnectedError);
  assert.equal(server.ended.reason.message, 'cut');
});

test('sessions', async (t) => {
  const server = await Server.open(t);
  const restored = server.link.restoreSession('key');
  const { kind, id, key } = server.take();
  assert.deepEqual([kind, key], ['restoreSession', 'key']);
  server.reply(id, '{}');
  assert.equal((await restored).text(), '{}');
  const closed = server.link.closeSession();
  server.reply(server.take().id);
  await closed;
  server.say({ kind: 'sessionCreated', session: '{"k":"key"}' });
  server.say({ kind: 'sessionClosed' });
  server.say({ kind: 'signal', name: 'news', payload: Payload.from('x') });
  assert.deepEqual(server.told.map((m) => m.kind), ['sessionCreated', 'sessionClosed', 'signal']);
});

test('a request that is longer than the server takes is not sent', async (t) => {
  const server = await Server.open(t, {}, { longest: 1024, requests: 1 });
  assert.ok((await outcome(server.link.request('n', 'x'.repeat(1024)))).error instanceof TooLongError);
  assert.equal(server.take(), undefined);
  server.link.request('n', 'x');
  assert.equal(server.take().name, 'n');
});

// Requests of the server.

test('a reply that is longer than the server takes is a failure', async (t) => {
  const server = await Server.open(t, open({ n: () => 'x'.repeat(1024) }), { longest: 1024 });
  server.ask(1n, 'n');
  await settled();
  assert.deepEqual(server.take(), { kind: 'failure', id: 1n, code: 2, executed: 1, text: '' });
});

test('a request of the server is answered by its handler', async (t) => {
  let seen;
  const server = await Server.open(t, open({
    greet: async (payload, request) => {
      seen = request;
      return `hello, ${payload.text()}`;
    },
    refuse: () => { throw new ErrorReply('NO', 'no'); },
    fail: () => { throw new Error('secret'); },
  }));
  server.ask(1n, 'greet', { meta: [['k', 'v']] }, Payload.from('Ada'));
  await settled();
  const { kind, id, payload } = server.take();
  assert.deepEqual([kind, id, payload.text()], ['reply', 1n, 'hello, Ada']);
  assert.deepEqual([seen.name, seen.meta], ['greet', [['k', 'v']]]);
  server.ask(2n, 'refuse');
  await settled();
  assert.deepEqual(server.take(), { kind: 'errorReply', id: 2n, name: 'NO', text: 'no' });
  server.ask(3n, 'fail');
  await settled();
  assert.deepEqual(server.take(), { kind: 'failure', id: 3n, code: 2, executed: 1, text: '' });
  server.ask(4n, 'nothing');
  assert.deepEqual(server.take(), { kind: 'failure', id: 4n, code: 12, executed: 0, text: 'no handler for nothing' });
});

test('with one place a handler can ask back, and a second request is refused', async (t) => {
  const server = await Server.open(t, {
    requests: 1, ...open({ ask: async () => `${(await server.link.request('back', 'x')).text()}!` }),
  });
  server.ask(1n, 'ask');
  const back = server.take();
  assert.equal(back.name, 'back');
  server.ask(2n, 'ask');
  assert.deepEqual(server.take(), { kind: 'failure', id: 2n, code: 8, executed: 0, text: '' });
  server.reply(back.id, 'yes');
  await settled();
  assert.equal(server.take().payload.text(), 'yes!');
  server.ask(3n, 'ask');
  assert.equal(server.take().name, 'back');
});

test('a cancelled handler sees its signal, and its place is free when it has returned', async (t) => {
  let release;
  let signal;
  const server = await Server.open(t, {
    requests: 1,
    ...open({
      wait: (payload, request) => {
        ({ signal } = request);
        return new Promise((_, reject) => { release = () => reject(new Error('stopped')); });
      },
    }),
  });
  server.ask(1n, 'wait');
  server.say({ kind: 'cancel', id: 1n, reason: 0 });
  server.say({ kind: 'cancel', id: 9n, reason: 0 }); // nobody's
  assert.equal(signal.aborted, true);
  server.ask(2n, 'wait');
  assert.equal(server.take().code, 8, 'its place is taken');
  release();
  await settled();
  assert.deepEqual(server.take(), { kind: 'failure', id: 1n, code: 6, executed: 2, text: '' });
  server.ask(3n, 'wait');
  assert.equal(server.take(), undefined, 'its place is free');
});

test('the deadline of a request of the server ends its signal', async (t) => {
  const server = await Server.open(t, open({
    wait: (payload, { signal }) => new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    }),
  }));
  server.ask(1n, 'wait', { deadline: 1000 });
  await server.clock.pass(999);
  assert.equal(server.take(), undefined);
  await server.clock.pass(1);
  assert.deepEqual(server.take(), { kind: 'failure', id: 1n, code: 7, executed: 2, text: '' });
});

test('what happens first decides: the deadline, not the cancel after it', async (t) => {
  let release;
  const server = await Server.open(t, open({ wait: () => new Promise((_, reject) => { release = reject; }) }));
  server.ask(1n, 'wait', { deadline: 1000 });
  await server.clock.pass(1000);
  server.say({ kind: 'cancel', id: 1n, reason: 0 });
  release(new Error('stopped'));
  await settled();
  assert.equal(server.take().code, 7);
});

test('nothing is left behind by requests, and by streams', async (t) => {
  const server = await Server.open(t, open({ n: () => 'x' }));
  server.ask(1n, 'n', { deadline: 5000 });
  await settled();
  server.take();
  const { signal } = new AbortController();
  let listeners = 0;
  t.mock.method(signal, 'addEventListener', () => listeners++);
  t.mock.method(signal, 'removeEventListener', () => listeners--);
  const reply = server.link.request('n', 'x', { signal });
  server.reply(server.take().id);
  await reply;
  const stream = server.link.stream('n', 'x', { signal });
  assert.equal(listeners, 1);
  server.reply(server.take().id);
  await stream.next();
  await settled();
  assert.equal(listeners, 0);
  await server.clock.pass(1000); // the last ack
  assert.equal(server.clock.timers, 0);
});

test('requests about the session do not wait for a place', async (t) => {
  const server = await Server.open(t, {}, { requests: 0 });
  server.link.request('n', 'x');
  server.link.closeSession().catch(() => {});
  assert.equal(server.take().kind, 'closeSession');
  assert.equal(server.take(), undefined);
});

test('a handler outlives the socket, its signal does not', async (t) => {
  let signal;
  const server = await Server.open(t, open({ wait: (payload, request) => { ({ signal } = request); return new Promise(() => {}); } }));
  server.ask(1n, 'wait');
  const reason = new Error('cut');
  server.link.end(reason);
  assert.equal(signal.reason, reason);
});

test('critical fields: nothing is executed', async (t) => {
  let called = false;
  const server = await Server.open(t, open({ n: () => { called = true; } }));
  const critical = (type, id, rest) => Uint8Array.of(type, ...id, 3, 0, 200, 0, 0, ...rest).buffer;
  server.link.receive(critical(128, [1, 0, 0, 0, 0, 0, 0, 0], [1, 110]));
  assert.deepEqual(server.take(), { kind: 'failure', id: 1n, code: 9, executed: 0, text: '' });
  server.link.receive(critical(64, [], [1, 110]));
  assert.deepEqual([called, server.told], [false, []]);
  const request = server.link.request('n', 'x');
  const { id } = server.take();
  server.link.receive(critical(192, [Number(id), 0, 0, 0, 0, 0, 0, 0], []));
  assert.equal((await outcome(request)).error.code, 9);
});

// Streams.

test('items arrive in order, then the end', async (t) => {
  const server = await Server.open(t, { credit: 100 });
  const stream = server.link.stream('tail', 'x');
  const { id, head } = server.take();
  assert.equal(head.stream, true);
  server.item(id, 'a');
  server.item(id, 'b');
  server.reply(id);
  await settled();
  const got = [];
  for await (const item of stream) got.push(item.text());
  assert.deepEqual(got, ['a', 'b']);
  assert.equal(server.take(), undefined, 'no credit after the end');
});

test('several calls of next wait beside each other', async (t) => {
  const server = await Server.open(t);
  const stream = server.link.stream('tail', 'x');
  const { id } = server.take();
  const both = outcome(Promise.all([stream.next(), stream.next()]));
  server.item(id, 'a');
  server.item(id, 'b');
  assert.deepEqual((await both).value.map(({ value }) => value.text()), ['a', 'b']);
});

test('an error comes once, after the items', async (t) => {
  const server = await Server.open(t);
  const stream = server.link.stream('tail', 'x');
  const { id } = server.take();
  server.item(id, 'a');
  server.say({ kind: 'errorReply', id, name: 'NO', text: 'no' });
  await settled();
  assert.equal((await stream.next()).value.text(), 'a');
  await assert.rejects(stream.next(), ErrorReply);
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test('leaving the loop cancels as enough', async (t) => {
  const server = await Server.open(t);
  const stream = server.link.stream('tail', 'x');
  const { id } = server.take();
  server.item(id, 'a');
  for await (const item of stream) {
    assert.equal(item.text(), 'a');
    break;
  }
  assert.deepEqual(server.take(), { kind: 'cancel', id, reason: 2 });
  server.item(id, 'late');
  server.say({ kind: 'failure', id, code: 6, executed: 2, text: '' });
  assert.equal(server.ended, undefined);
});

test('an aborted stream throws the reason, and cancels', async (t) => {
  const server = await Server.open(t);
  const abort = new AbortController();
  const stream = server.link.stream('tail', 'x', { signal: abort.signal });
  const { id } = server.take();
  const next = outcome(stream.next());
  abort.abort('why');
  assert.deepEqual(await next, { error: 'why' });
  assert.deepEqual(server.take(), { kind: 'cancel', id, reason: 0 });
});

test('credit is raised as the application consumes, and an item beyond it is a violation', async (t) => {
  const server = await Server.open(t, { credit: 260 });
  const stream = server.link.stream('tail', 'x');
  const { id } = server.take();
  for (let i = 0; i < 4; i++) server.item(id, 'x'); // 65 bytes each: 260 in all
  await stream.next();
  assert.equal(server.take(), undefined, 'less than half is consumed');
  await stream.next();
  assert.deepEqual(server.take(), { kind: 'credit', id, limit: 390 });
  server.item(id, 'x');
  server.item(id, 'y'.repeat(1000)); // below the limit when it is sent
  assert.equal(server.ended, undefined);
  server.item(id, 'x');
  assert.equal(server.ended.status, 1002);
  await stream.next();
  await stream.next();
});

test('128 streams, and no more', async (t) => {
  const server = await Server.open(t, {}, { requests: 1000 });
  for (let i = 0; i < 128; i++) server.link.stream('tail', 'x');
  assert.throws(() => server.link.stream('tail', 'x'), /128 streams/);
  server.reply(server.take().id);
  server.link.stream('tail', 'x');
});

test('a handler streams its reply within the credit of the server', async (t) => {
  let closed = false;
  const server = await Server.open(t, open({
    async* count() {
      try {
        for (let i = 1; i <= 4; i++) yield String(i);
      } finally {
        closed = true;
      }
    },
  }), { credit: 100 });
  server.ask(1n, 'count', { stream: true });
  await settled();
  const items = () => server.sent.splice(0).filter((m) => m.kind === 'item').map((m) => m.payload.text());
  assert.deepEqual(items(), ['1', '2']); // the second begins below the limit
  server.say({ kind: 'credit', id: 1n, limit: 150 });
  server.say({ kind: 'credit', id: 1n, limit: 50 }); // ignored
  await settled();
  assert.deepEqual(items(), ['3']);
  server.say({ kind: 'cancel', id: 1n, reason: 2 });
  await settled();
  assert.deepEqual(server.take(), { kind: 'failure', id: 1n, code: 6, executed: 2, text: '' });
  assert.equal(closed, true);
});

// The socket.

test('what was counted is acknowledged: after 32 messages, or a second', async (t) => {
  const server = await Server.open(t);
  const signal = { kind: 'signal', name: 'n', payload: Payload.from('x') };
  for (let i = 0; i < 31; i++) server.say(signal);
  assert.deepEqual(server.sent, []);
  server.say(signal);
  assert.deepEqual(server.sent.splice(0), [{ kind: 'ack', received: 32 }]);
  server.say(signal);
  await server.clock.pass(999);
  assert.deepEqual(server.sent, []);
  await server.clock.pass(1);
  assert.deepEqual(server.sent.splice(0), [{ kind: 'ack', received: 33 }]);
});

test('an ack is the heartbeat', async (t) => {
  const server = await Server.open(t, {}, { readTimeout: 1000 });
  server.link.signal('n', 'x');
  assert.equal(server.take().kind, 'signal');
  await server.clock.pass(749);
  assert.deepEqual(server.sent, []);
  await server.clock.pass(1 + 750);
  assert.deepEqual(server.sent.splice(0), [{ kind: 'ack', received: 0 }, { kind: 'ack', received: 0 }]);
  await server.clock.pass(500);
  server.link.signal('n', 'x');
  await server.clock.pass(749);
  assert.deepEqual(server.sent.map((m) => m.kind), ['signal'], 'what is sent is one as well');
});

test('violations end the socket', async (t) => {
  for (const [m, status] of [[Uint8Array.of(1).buffer, 1002], ['text', 1003], [compose({ kind: 'closeSession', id: 1n }), 1002]]) {
    const server = await Server.open(t);
    server.link.receive(m);
    assert.equal(server.ended.status, status);
  }
});

test('answers, items and credit that are nobody\'s are ignored', async (t) => {
  const server = await Server.open(t);
  server.reply(99n);
  server.item(99n, 'x');
  server.say({ kind: 'credit', id: 99n, limit: 1 });
  server.say({ kind: 'drain', reason: 0, spread: 0, grace: 0, endpoint: '' });
  server.say({ kind: 'gap', ref: 0, lost: 1, epoch: 0, offset: 0 });
  assert.equal(server.ended, undefined);
});
