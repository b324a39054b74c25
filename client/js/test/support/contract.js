// The interop contract, step by step: what a client and the contract server must be
// able to do with each other. Runs in Node and in browsers.

import {
  Client, CloseError, DisconnectedError, ErrorReply, InternalError, MalformedError, Payload, SessionFullError,
  SessionNotFoundError, SessionsDisabledError, ShutdownError, TooLongError,
} from '../../src/index.js';

const SAMPLE = 'aä€😀 Привет, мир';
const INFO = { user: 'alice', n: 42, deep: { list: [1, '😀', null] } };
const LIMIT = 8192; // of the contract server's messages in 2.0; in the others there is none of interest
const ENCODINGS = ['binary', 'utf8', 'utf16'];

const samples = () => [new Payload(Uint8Array.of(0, 1, 2, 127, 128, 254, 255)), Payload.from(SAMPLE), Payload.utf16(SAMPLE)];

const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
const describe = (name, { bytes, encoding }) => ({ name, encoding, hex: hex(bytes) });

function equal(got, want, what = 'value') {
  const [a, b] = [got, want].map((v) => JSON.stringify(v) ?? String(v));
  if (a !== b) throw new Error(`${what}: got ${a.slice(0, 300)}, want ${b.slice(0, 300)}`);
}

async function rejects(promise, Class, check = () => true) {
  let error;
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  if (!(error instanceof Class) || !check(error)) throw new Error(`got ${error ?? 'no error'}, want ${Class.name}`);
}

// patiently returns a step that is tried with a longer unit of time, in milliseconds,
// after a failure: on a busy machine a unit may be too short.
function patiently(step) {
  return async (run) => {
    for (let unit = 1000; ; unit *= 3) {
      try {
        return await step(run, unit);
      } catch (error) {
        if (unit > 8000) throw error;
      }
    }
  };
}

// A peer is a client that remembers its events.
class Peer extends Client {
  #events = [];
  #waiting = [];

  constructor(url, options) {
    super(url, options);
    for (const type of ['signal', 'sessioncreated', 'sessionclosed', 'connected', 'disconnected']) {
      this.addEventListener(type, (event) => {
        this.#events.push(event);
        this.#waiting.splice(0).forEach((resolve) => resolve());
      });
    }
  }

  // next returns the first event of a type that was not returned before.
  async next(type) {
    for (;;) {
      const i = this.#events.findIndex((event) => event.type === type);
      if (i >= 0) return this.#events.splice(i, 1)[0];
      await new Promise((resolve) => { this.#waiting.push(resolve); });
    }
  }

  count(type) {
    return this.#events.filter((event) => event.type === type).length;
  }

  // A space is as good as nothing where 1.2 wants a payload.
  async ask(name, payload = ' ') {
    return (await this.request(name, payload)).text();
  }

  async expect(name, payload, want) {
    equal(await this.ask(name, payload), want, `request ${name}`);
  }

  async alive() {
    await this.expect('echo', 'still there', 'still there');
  }

  async echoed(name, payload) {
    const reply = await this.request(name, payload);
    equal(describe(name, reply), describe(name, payload), 'echo');
  }

  async login(info) {
    const key = await this.ask('login', info);
    equal(this.session?.key, key, 'key of the client');
    return key;
  }

  async expectSession(key, info = null) {
    equal(JSON.parse(await this.ask('session')), key ? { key, info } : null, 'session on the server');
    equal(this.session && { key: this.session.key, info: this.session.info }, key ? { key, info } : null, 'session of the client');
  }

  async awaitConns(key, n) {
    for (;;) {
      const got = await this.ask('session-conns', key);
      if (Number(got) === n) return;
    }
  }

  async kill() {
    await rejects(this.request('kill', ' '), DisconnectedError, (e) => e.sent && e.cause instanceof CloseError);
    await this.next('disconnected');
  }
}

// A Run is one step under way, against the server at addr.
export class Run {
  #peers = [];

  constructor({ addr, version, negotiate, WebSocket }) {
    this.addr = addr;
    this.version = version;
    this.options = { versions: [version], negotiate, storage: null, minBackoff: 20, maxBackoff: 200 };
    if (WebSocket) this.options.WebSocket = WebSocket;
  }

  get is12() {
    return this.version === '1.2';
  }

  get is20() {
    return this.version === '2.0';
  }

  async peer(addr = this.addr, options = {}) {
    const peer = new Peer(`ws://${addr}/`, { ...this.options, ...options });
    this.#peers.push(peer);
    await peer.connect();
    return peer;
  }

  async spawn(options) {
    return (await this.peer()).ask('spawn', { sessions: true, ...options });
  }

  end() {
    this.#peers.forEach((peer) => peer.close());
  }
}

const steps = {
  async 'echo in every encoding'(run) {
    const p = await run.peer();
    for (const payload of samples()) {
      for (const name of ['', 'echo']) await p.echoed(name, payload);
    }
    await p.echoed('echo', new Payload(Uint8Array.of(1)));
    await p.echoed('echo', Payload.from('x'));
    await p.echoed('echo', Payload.utf16('x'));
  },

  async 'echo of names of every length'(run) {
    const p = await run.peer();
    const all = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 32 + i));
    for (const name of ['', 'echo', 'echo1', 'echo12', `echo${all}`, 'echo'.padEnd(254, 'n'), 'echo'.padEnd(255, 'n')]) {
      for (const payload of samples()) await p.echoed(name, payload);
    }
    for (const name of ['x', ' ', '~']) await rejects(p.ask(name), ErrorReply, (e) => e.code === 'UNKNOWN_REQUEST');
  },

  async 'echo of odd and invalid text'(run) {
    const p = await run.peer();
    await p.echoed('echo', new Payload(Uint8Array.of(0xff, 0xc0, 97, 0), 'utf8'));
    await p.echoed('echo', Payload.utf16('\ud800a'));
    await p.echoed('echo', Payload.utf16('\ufeff\0'));
    await p.echoed('echo', Payload.from('<script>&"quoted"\\'));
  },

  async 'echo of large payloads'(run) {
    const p = await run.peer();
    const header = 1 + 8 + 1 + 'echo'.length;
    const sizes = run.is20 ? [125, 126, 4096, LIMIT - header] : [125, 126, 4096, 65535, 65536, 1 << 20, (5 << 20) + 1];
    for (const n of sizes) {
      const data = Uint8Array.from({ length: n }, (_, i) => 32 + (i % 90));
      for (const encoding of ENCODINGS) {
        const payload = new Payload(encoding === 'utf16' ? data.subarray(0, n & ~1) : data, encoding);
        const reply = await p.request('echo', payload);
        equal([reply.encoding, reply.bytes.length], [encoding, payload.bytes.length]);
        if (reply.bytes.some((b, i) => b !== payload.bytes[i])) throw new Error(`${n} bytes came back as others`);
      }
    }
    if (run.is20) {
      await rejects(p.request('echo', new Uint8Array(LIMIT - header + 1)), TooLongError);
      await p.alive();
    }
  },

  async 'echo of a name alone'(run) {
    const p = await run.peer();
    for (const name of ['echo', 'echo1', 'echo'.padEnd(255, 'n')]) {
      for (const encoding of ENCODINGS) {
        const payload = new Payload(new Uint8Array(), encoding);
        if (run.is12) await rejects(p.request(name, payload), MalformedError);
        else await p.echoed(name, payload);
      }
    }
  },

  async 'payloads that the version forbids are refused locally'(run) {
    const p = await run.peer();
    for (const [name, payload] of [
      ['', undefined], ['echo\n', 'x'], ['ächo', 'x'], ['n'.repeat(256), 'x'], ['odd', new Payload(Uint8Array.of(1), 'utf16')],
    ]) {
      await rejects(p.request(name, payload), MalformedError);
      await rejects((async () => p.signal(name, payload))(), MalformedError);
    }
    await p.alive();
  },

  async inspect(run) {
    const p = await run.peer();
    for (const name of ['inspect', 'inspect1', 'inspect'.padEnd(255, '~')]) {
      for (const payload of samples()) {
        const reply = await p.request(name, payload);
        equal(reply.encoding, 'utf8');
        equal(reply.json(), { ...describe(name, payload), len: payload.bytes.length });
      }
    }
  },

  async 'empty replies'(run) {
    const p = await run.peer();
    for (const [name, encoding] of [['empty', 'binary'], ['empty-utf8', 'utf8'], ['empty-utf16', 'utf16']]) {
      equal(describe('', await p.request(name, 'ignored')), { name: '', encoding, hex: '' });
    }
  },

  async 'error replies'(run) {
    const p = await run.peer();
    for (const [text, code, message] of [
      ['CODE', 'CODE', ''], ['CODE|', 'CODE', ''], ['CODE|message', 'CODE', 'message'], [`CODE|${SAMPLE}`, 'CODE', SAMPLE],
      ['C O~D!E|<a>&"b"|\\c\n', 'C O~D!E', '<a>&"b"|\\c\n'],
    ]) {
      await rejects(p.ask('error', text), ErrorReply, (e) => e.code === code && e.message === message);
    }
    await p.alive();
  },

  async 'internal error'(run) {
    const p = await run.peer();
    await rejects(p.ask('internal'), InternalError);
    await p.alive();
  },

  async 'unknown request'(run) {
    const p = await run.peer();
    for (const name of ['no-such-request', 'Echo']) await rejects(p.ask(name), ErrorReply, (e) => e.code === 'UNKNOWN_REQUEST');
  },

  async '64 requests in flight'(run) {
    const p = await run.peer();
    await Promise.all(Array.from({ length: 64 }, async (_, i) => {
      const ms = (64 - i) >> 2; // the last ones sleep the shortest
      await p.expect('sleep', ms, `slept ${ms}`);
      await p.expect('echo', `request ${i}`, `request ${i}`);
    }));
  },

  async 'big replies'(run) {
    const p = await run.peer();
    for (const n of run.is20 ? [0, 1, 4096, LIMIT - 9] : [0, 1, 65536, 1 << 20, 6 << 20]) {
      const { bytes, encoding } = await p.request('big', n);
      equal([encoding, bytes.length, bytes.every((b) => b === 97)], ['binary', n, true]);
    }
    if (!run.is20) return;
    // Without a token it might be a published client of 2.0, which does not take more.
    const more = p.request('big', LIMIT - 8);
    if (run.options.negotiate === 'none') await rejects(more, ErrorReply);
    else equal((await more).bytes.length, LIMIT - 8);
    await p.alive();
  },

  async 'signals of the server'(run) {
    const p = await run.peer();
    for (const name of ['', 's', 'even', 'n'.repeat(254), 'n'.repeat(255)]) {
      for (const payload of samples()) {
        const want = describe(name, payload);
        equal(describe('', await p.request('signal-me', want)), { name: '', encoding: 'binary', hex: '' });
        equal(p.count('signal'), 1, 'signals that came before the reply');
        const got = await p.next('signal');
        equal(describe(got.name, got.payload), want, 'signal');
        if (payload.encoding !== 'binary') equal(got.payload.text(), SAMPLE);
      }
    }
  },

  async 'signals to the server'(run) {
    const p = await run.peer();
    await p.expect('last-signals', ' ', '[]');
    const want = [];
    for (const name of ['', 's', 'even', 'n'.repeat(254), 'n'.repeat(255)]) {
      for (const payload of samples()) {
        p.signal(name, payload);
        want.push(describe(name, payload));
      }
    }
    equal((await p.request('last-signals', ' ')).json(), want);
  },

  async 'signals with a name alone'(run) {
    const p = await run.peer();
    for (const encoding of ENCODINGS) {
      const payload = new Payload(new Uint8Array(), encoding);
      if (run.is12 || (run.is20 && encoding === 'utf16')) {
        await rejects((async () => p.signal('name', payload))(), MalformedError);
      } else {
        p.signal('name', payload);
        await p.request('signal-me', describe('name', payload));
        const got = await p.next('signal');
        equal(describe(got.name, got.payload), describe('name', payload));
      }
    }
    await p.alive();
  },

  async 'signals are kept in order'(run) {
    const p = await run.peer();
    const want = [];
    for (let i = 0; i < 100; i++) {
      const payload = Payload.from(`signal ${i}`);
      p.signal('n', payload);
      want.push(describe('n', payload));
      if (i % 10 === 0) await p.alive();
    }
    equal((await p.request('last-signals', ' ')).json(), want);
  },

  async login(run) {
    const p = await run.peer();
    await p.expectSession(null);
    const key = await p.login(INFO);
    equal(p.count('sessioncreated'), 1);
    await p.expectSession(key, INFO);
    await rejects(p.ask('login', { n: 2 }), ErrorReply, (e) => e.code === 'LOGIN_FAILED');
    await p.expectSession(key, INFO);
    const q = await run.peer();
    await q.expectSession(await q.login(), null);
  },

  async 'logout by the server'(run) {
    const p = await run.peer();
    await p.expect('logout', ' ', 'closed');
    const key = await p.login(INFO);
    await p.expect('logout', ' ', 'closed');
    equal(p.count('sessionclosed'), 1);
    await p.expectSession(null);
    await rejects(p.restoreSession(key), SessionNotFoundError);
    await p.expectSession(await p.login(INFO), INFO);
  },

  async 'close by the client'(run) {
    const p = await run.peer();
    await p.closeSession(); // there is none
    const key = await p.login(INFO);
    await p.closeSession();
    await p.expectSession(null);
    equal(p.count('sessionclosed'), 0);
    await rejects(p.restoreSession(key), SessionNotFoundError);
    await p.login();
  },

  async 'restore by key'(run) {
    const p = await run.peer();
    const key = await p.login(INFO);
    const q = await run.peer();
    await q.restoreSession(key);
    await q.expectSession(key, INFO);
    await q.restoreSession(key); // once more
    await q.expect('session-conns', key, '2');
    p.close();
    q.close();
    const last = await run.peer();
    await last.awaitConns(key, 0);
    await last.restoreSession(key);
    await last.expectSession(key, INFO);
  },

  async 'restore of unknown keys'(run) {
    const p = await run.peer();
    for (const key of ['unknown', 'ü', '0123456789'.repeat(6)]) await rejects(p.restoreSession(key), SessionNotFoundError);
    await p.login();
  },

  async 'all who have a session are told of its end'(run) {
    for (const how of ['logout', 'client']) {
      const p = await run.peer();
      const key = await p.login(INFO);
      const q = await run.peer();
      await q.restoreSession(key);
      if (how === 'logout') await p.expect('logout', ' ', 'closed');
      else await p.closeSession();
      await q.next('sessionclosed');
      await q.expectSession(null);
      await rejects(q.restoreSession(key), SessionNotFoundError);
    }
  },

  async 'connections per session'(run) {
    const addr = await run.spawn({ maxSessionConns: 2 });
    const [p, q, third] = [await run.peer(addr), await run.peer(addr), await run.peer(addr)];
    const key = await p.login(INFO);
    await q.restoreSession(key);
    await rejects(third.restoreSession(key), SessionFullError);
    await third.expectSession(null);
    p.close();
    await third.awaitConns(key, 1);
    await third.restoreSession(key);
    await third.expectSession(key, INFO);
  },

  async 'sessions disabled'(run) {
    const p = await run.peer(await run.spawn({ sessions: false }));
    await rejects(p.ask('login'), ErrorReply, (e) => e.code === 'SESSIONS_DISABLED');
    await rejects(p.restoreSession('some key'), SessionsDisabledError);
    await p.expectSession(null);
    await p.alive();
  },

  async kill(run) {
    const p = await run.peer();
    p.signal('n', 'before');
    await p.kill();
    await p.expect('last-signals', ' ', '[]');
  },

  async 'session restored after kill'(run) {
    // One connection per session: the lost one must not take its place.
    const p = await run.peer(await run.spawn({ maxSessionConns: 1 }));
    const key = await p.login(INFO);
    for (let i = 0; i < 3; i++) {
      await p.kill();
      await p.expectSession(key, INFO);
    }
    equal(p.count('sessioncreated'), 1);
    equal(p.count('sessionclosed'), 0);
  },

  'idle connection outlives the read timeout': patiently(async (run, readTimeout) => {
    const p = await run.peer(await run.spawn({ readTimeoutMs: readTimeout }));
    const clock = await run.peer();
    await clock.expect('sleep', 3 * readTimeout, `slept ${3 * readTimeout}`);
    await p.alive();
    equal([p.count('connected'), p.count('disconnected')], [1, 0]);
  }),

  shutdown: patiently(async (run, unit) => {
    const addr = await run.spawn();
    // Clients of 3.0 have five seconds to leave, until which their requests are handled.
    const busyFor = unit + (run.version === '3.0' ? 5000 : 0);
    // Peers that connect again send what was refused to the next server.
    const once = { autoconnect: false };
    const [busy, other] = [await run.peer(addr, once), await run.peer(addr, once)];
    const key = await other.login();
    const slept = busy.expect('sleep', busyFor, `slept ${busyFor}`);
    slept.catch(() => {}); // it may fail before it is waited for
    await busy.alive(); // so it is being handled
    await other.expect('shutdown', ' ', 'ok');
    for (;;) {
      try {
        await other.alive(); // it begins a little later
      } catch (error) {
        equal(error.name, 'ShutdownError');
        break;
      }
    }
    await rejects(busy.ask('echo'), ShutdownError);
    await rejects(other.closeSession(), ShutdownError);
    await rejects(busy.restoreSession(key), ShutdownError);
    await slept;
    for (const p of [busy, other]) {
      const { reason } = await p.next('disconnected');
      equal([reason.name, reason.code], ['CloseError', 1001]);
      equal(p.status, 'disconnected');
    }
    equal(other.session.key, key, 'the session is kept');
  }),
};

export const names = Object.keys(steps);

// These take seconds, for which they wait.
export const slow = ['shutdown', 'idle connection outlives the read timeout'];

// tryStep runs one step. The result is text, so that it can leave a browser: empty,
// or what went wrong.
export async function tryStep(name, options) {
  const run = new Run(options);
  try {
    await steps[name](run);
    return '';
  } catch (error) {
    return error.stack;
  } finally {
    run.end();
  }
}
