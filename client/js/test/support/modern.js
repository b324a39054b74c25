// What a client of 3.0 and a real server do with each other. Runs in Node and in browsers.

import { Client, ErrorReply, TimeoutError } from '../../src/index.js';

function equal(got, want) {
  const [a, b] = [got, want].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`got ${a}, want ${b}`);
}

// use runs something with a client of the server.
async function use(url, WebSocket, run, options) {
  const client = new Client(url, { WebSocket, storage: null, minBackoff: 100, maxBackoff: 200, ...options });
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

// resumedTopic loses sockets by cut, but no connection.
export const resumedTopic = (url, WebSocket, cut) => use(url, WebSocket, async (client, ask) => {
  const ends = [];
  for (const type of ['resumed', 'disconnected']) client.addEventListener(type, () => ends.push(type));
  const name = `plain.${Math.random()}.${++topics}`; // each new subscription of it would be a gap
  const loop = client.subscribe(name);
  let first;
  const came = loop.next().then(({ value }) => { first = value.name; });
  let n = 0;
  while (!first) await ask('publish', { Topic: name, From: ++n, To: n });
  await came;
  for (let i = 0; i < 3; i++) {
    cut();
    await ask('publish', { Topic: name, From: n + 1, To: n + 5 });
    n += 5;
  }
  for (let next = Number(first) + 1; next <= n; next++) equal(await takes(loop, 1), String(next));
  equal(ends.every((type) => type === 'resumed') && ends.length > 0, true);
});

// takes returns the names of the next messages of a loop.
async function takes(loop, n) {
  const names = [];
  while (names.length < n) {
    const { value, done } = await loop.next();
    if (done) throw new Error(`the loop ended after ${names}`);
    names.push(value.name);
  }
  return names.join();
}

// cut lets the server end the connection.
async function cut(client, ask) {
  const gone = new Promise((resolve) => { client.addEventListener('disconnected', resolve, { once: true }); });
  await ask('cut');
  await gone;
}

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i).join();
let topics = 0; // that were used

export const topic = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  const name = `news.${Math.random()}.${++topics}`; // pages and Node share the server
  const publish = (from, to) => ask('publish', { Topic: name, From: from, To: to });
  await publish(1, 3);
  const loop = client.subscribe(name, { since: 0 });
  equal(await takes(loop, 2), '1,2');
  const { value: { position, payload } } = await loop.next();
  equal(payload.text(), 'said');
  await publish(4, 4);
  const other = client.subscribe(name, { since: JSON.parse(JSON.stringify(position)) });
  equal([await takes(loop, 1), await takes(other, 1)], ['4', '4']);
  for (let i = 0; i < 4; i++) {
    await cut(client, ask);
    await publish(5 * i + 5, 5 * i + 9);
  }
  equal([await takes(loop, 20), await takes(other, 20)], [range(5, 24), range(5, 24)]);
  await loop.return();
  await publish(25, 25);
  equal(await takes(other, 1), '25');

  // Of these the server keeps the last hundred, once it has delivered all.
  await publish(26, 300);
  equal(await takes(other, 275), range(26, 300));
  const late = await errorOf((async () => {
    for await (const m of client.subscribe(name, { since: position })) throw new Error(`got ${m.name}`);
  })());
  equal(late.name, 'GapError');
  let gaps = 0;
  const on = client.subscribe(name, { since: position, onGap: () => gaps++ });
  equal([await takes(on, 100), gaps], [range(201, 300), 1]);
  const after = client.subscribe(name, { since: late.position });
  equal(await takes(after, 1), '201');
});

// The server may cut a slow one off, and keeps a hundred messages: what is lost is told.
export const slowTopic = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  const name = `news.${Math.random()}.${++topics}`;
  const publish = (from, to) => ask('publish', { Topic: name, From: from, To: to });
  const gaps = [];
  const loop = client.subscribe(name, { since: 0, onGap: ({ lost }) => gaps.push(lost) });
  const first = loop.next();
  await publish(1, 1);
  await first;
  for (let n = 2; n < 900; n += 50) await publish(n, n + 49);
  let last = 1;
  let got = 1;
  while (last < 901) {
    const n = Number(await takes(loop, 1));
    equal(n > last, true);
    equal(n === last + 1 || gaps.length > 0, true);
    last = n;
    got++;
  }
  equal([got < 901, gaps.length > 0], [true, true]); // 256 wait here, 100 there
});

export const plainTopic = (url, WebSocket) => use(url, WebSocket, async (client, ask) => {
  const name = `plain.${Math.random()}.${++topics}`;
  const gaps = [];
  const got = [];
  const all = (async () => {
    for await (const m of client.subscribe(name, { onGap: (gap) => gaps.push([gap.lost, gap.position ?? null]) })) {
      equal([m.name, m.position ?? null], ['1', null]);
      got.push(m);
      if (gaps.length) break;
    }
  })();
  const until = async (happened) => {
    while (!happened()) await ask('publish', { Topic: name, From: 1, To: 1 }); // it may not have subscribed yet
  };
  await until(() => got.length);
  await cut(client, ask);
  let over = false;
  all.finally(() => { over = true; }).catch(() => {});
  await until(() => over);
  await all;
  equal(gaps, [[0, null]]);
});

export const refusedTopic = (url, WebSocket) => use(url, WebSocket, async (client) => {
  const error = await errorOf(client.subscribe('secret').next());
  equal([error.name, error.code, error.message], ['ErrorReply', 'FORBIDDEN', 'not for you']);
  const without = await errorOf(client.subscribe('news', { presence: () => {} }).next());
  equal([without.name, without.code], ['FailureError', 9]);
});

export const members = async (url, WebSocket) => {
  const name = `room.${Math.random()}.${++topics}`;
  await use(url, WebSocket, async (client) => {
    const seen = [];
    let wake = () => {};
    const loop = client.subscribe(name, {
      presence: ({ op, info }) => {
        seen.push(`${op} ${info ?? ''}`);
        wake();
      },
    });
    const next = loop.next().catch(() => {});
    const sees = async (want) => {
      while (seen.length < want.length) await new Promise((resolve) => { wake = resolve; });
      equal(seen.splice(0), want);
    };
    await sees(['enter Ada']);
    await use(url, WebSocket, async (other) => {
      const there = other.subscribe(name);
      const waits = there.next().catch(() => {});
      await sees(['enter Bob']);
      other.close();
      await waits;
    }, { credentials: () => 'Bob' });
    await sees(['leave ']);
    client.close();
    await next;
  }, { credentials: () => 'Ada' });
};
