// What a client of 3.0 and a real server do with each other. Runs in Node and in browsers.

import { Client, ErrorReply, TimeoutError } from '../../src/index.js';

function equal(got, want) {
  const [a, b] = [got, want].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`got ${a}, want ${b}`);
}

// use runs something with a client of the server.
async function use(url, WebSocket, run, options) {
  const client = new Client(url, { WebSocket, storage: null, ...options });
  try {
    await run(client, async (name, payload = 'x', more = {}) => (await client.request(name, payload, more)).text());
  } finally {
    client.close();
  }
}

async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('no error');
}

export const cancel = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  await client.connect();
  const abort = new AbortController();
  const waiting = client.request('wait', 'x', { signal: abort.signal });
  await ask('echo'); // the request before is on its way
  abort.abort();
  equal((await errorOf(waiting)).name, 'AbortError');
  equal(await ask('ended'), 'webwire: the requester gave up');
});

export const deadline = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  await client.connect();
  equal((await errorOf(client.request('wait', 'x', { timeout: 100 }))) instanceof TimeoutError, true);
  const why = await ask('ended');
  equal(/deadline/.test(why) || why, true); // whichever comes first
});

export const metadata = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  equal(await ask('meta', 'x', { meta: [['k', 'v'], ['k', 'ä']], timeout: 5000 }), 'k=v,k=ä true');
  equal(await ask('meta', 'x', { timeout: Infinity }), ' false');
});

export const traces = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  const trace = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', tracestate: 'vendor=1' };
  let seen;
  client.handle('traced', (payload, request) => { seen = request.trace; });
  equal(await ask('trace', 'x', { trace }), `${trace.traceparent} ${trace.tracestate}`);
  equal(seen, trace);
  equal(await ask('trace', 'x'), ' ');
  equal(seen, {});
});

export const payloads = (url, WebSocket) => use(url, WebSocket, async (client) => {
  for (const payload of ['text', Uint8Array.of(0, 255), new Uint8Array(300_000), '']) {
    const reply = await client.request('echo', payload);
    equal([reply.encoding, reply.bytes.length], [typeof payload === 'string' ? 'utf8' : 'binary', payload.length]);
  }
});

export const crowd = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  const numbers = Array.from({ length: 500 }, (_, i) => String(i));
  equal(await Promise.all(numbers.map((n) => ask('echo', n))), numbers);
});

export const asked = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  let aborted;
  client.handle('back', async (payload, { name, meta }) => `${name} ${meta} ${await ask('echo', 'back')}`);
  client.handle('refuse', () => { throw new ErrorReply('NO', 'not now'); });
  client.handle('wait', (payload, { signal }) => new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      aborted = true;
      reject(signal.reason);
    });
  }));
  equal(await ask('ask', 'back'), 'back from,server back');
  equal(/NO|not now/.test(await ask('ask', 'refuse')), true);
  equal(/no handler/.test(await ask('ask', 'nobody')), true);
  equal(await ask('ask briefly', 'wait'), 'true');
  await ask('echo');
  equal(aborted, true);
});

export const stream = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  let n = 0;
  for await (const item of client.stream('count', '20000')) {
    equal(item.text(), String(n++));
    if (n % 5000 === 0) await ask('echo'); // others go on
  }
  equal(n, 20_000);
});

export const stalled = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  for await (const item of client.stream('count', '1000000')) {
    await new Promise((resolve) => { setTimeout(resolve, 100); }); // the server could send all meanwhile
    equal(item.text(), '0');
    break;
  }
  equal(await ask('ended'), 'stopped after true');
});

export const failing = (url, WebSocket) => use(url, WebSocket, async (client) => {
  const got = [];
  const error = await errorOf((async () => {
    for await (const item of client.stream('count', '3')) got.push(item.text());
  })());
  equal([got, error.name, error.code], [['0', '1', '2'], 'ErrorReply', 'THREE']);
  equal((await errorOf(client.stream('nobody').next())).code, 'NOT_FOUND');
});

export const session = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  await ask('login');
  const { key } = client.session;
  client.disconnect();
  await client.connect();
  equal(client.session.key, key);
  await client.closeSession();
  equal(client.session, null);
});

export const credentials = async (url, WebSocket) => {
  let made = 0;
  await use(url, WebSocket, async (client, ask) => {
    equal(await ask('who'), 'user 1');
    client.disconnect();
    equal(await ask('who'), 'user 2');
  }, { credentials: async () => `user ${++made}` });
  await use(url, WebSocket, async (client) => {
    const failed = new Promise((resolve) => { client.addEventListener('connectfailed', ({ error }) => resolve(error.code)); });
    const request = await errorOf(client.request('echo', 'x'));
    equal([request.name, await failed], ['DisconnectedError', 4500]);
    equal(client.status, 'disconnected');
  }, { credentials: () => 'wrong' });
};
