// Scenarios of sessions and connecting, which the Go client runs as well: see
// client/testdata/README.md.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { settled } from './support/clock.js';
import { FakeServer, session, storage, text } from './support/fakes.js';

const data = new URL('../../testdata/', import.meta.url);
const skip = !existsSync(data) && 'the scenarios are not here: this is not a checkout of the repository';
const read = (name) => (skip ? [] : JSON.parse(readFileSync(new URL(name, data), 'utf8')));

const ITEM = 'webwire:ws://example.com/api';
const CANCEL = 9;
const EVENTS = [
  'signal', 'sessioncreated', 'sessionupdated', 'sessionclosed', 'sessionerror', 'sessionrestored', 'connected', 'disconnected',
  'connecterror', 'connectfailed',
];
const RESULTS = {
  SessionNotFoundError: 'not found', SessionFullError: 'full', SessionsDisabledError: 'disabled', InternalError: 'internal',
  ShutdownError: 'shutdown', MalformedError: 'malformed', AbortError: 'cancelled', TimeoutError: 'timeout', ClosedError: 'closed',
};

function result(error) {
  if (error.name === 'ErrorReply') return `error ${error.code}`;
  if (error.name === 'DisconnectedError') return error.sent ? 'sent' : 'not sent';
  return RESULTS[error.name] ?? 'failed';
}

// Play is a scenario that runs.
class Play {
  #server;
  #client;
  #storage;
  #version;
  #in;
  #calls = {};
  #requests = {};
  #events = [];
  #attempt; // decides about the question for the metadata that is being asked

  constructor(t, { options = {}, in: inside = {} }) {
    const { version = '2.0', kept, storage: kind = true, minBackoff = 1_000, maxBackoff = 1_000, ...rest } = options;
    this.#server = new FakeServer(t);
    this.#storage = storage(kept ? { [ITEM]: kept } : {});
    this.#version = version;
    this.#in = inside;
    this.#server.ask = () => new Promise((resolve) => { this.#attempt = resolve; });
    this.#client = this.#server.client({ versions: [version], storage: kind ? this.#storage : null, minBackoff, maxBackoff, ...rest });
    for (const type of EVENTS) {
      this.#client.addEventListener(type, (event) => {
        const what = event.session?.key ?? (type === 'signal' && event.name) ?? '';
        this.#events.push([type, type === 'sessionerror' ? result(event.error) : what].filter(Boolean).join(' '));
        for (const call of this.#in[type] ?? []) this.#call(call);
      });
    }
  }

  get #socket() {
    return this.#server.socket;
  }

  #call({ call, as, name, key, timeout }) {
    const controller = new AbortController();
    const options = { signal: controller.signal, timeout };
    const begin = {
      connect: () => this.#client.connect(options),
      request: () => this.#client.request(name, 'x', options),
      signal: async () => this.#client.signal(name, 'x'),
      restore: () => this.#client.restoreSession(key, options),
      'close session': () => this.#client.closeSession(options),
      close: async () => this.#client.close(),
    };
    const entry = { outcome: 'pending', controller };
    this.#calls[as] = entry;
    begin[call]().then(() => { entry.outcome = 'ok'; }, (error) => { entry.outcome = result(error); });
  }

  get #modern() {
    return this.#version === '3.0';
  }

  get #head() {
    return this.#modern ? [0, 0] : [];
  }

  get #dialling() {
    return Boolean(this.#attempt) || this.#socket?.readyState === 0;
  }

  async #open() {
    assert.ok(this.#dialling, 'an attempt to connect');
    this.#attempt?.({ 'protocol-version': '1.2', versions: ['3.0', '2.0', '1.2'] });
    this.#attempt = undefined;
    await settled();
    await this.#socket.open(`webwire-${this.#version}`);
  }

  #take() {
    let message;
    do message = this.#socket?.take(); while (message?.type === CANCEL);
    if (!message) return [undefined, 'nothing'];
    const { type, name, payload } = message;
    const what = type === 31 ? 'close session' : type === 32 ? `restore ${text(payload)}` : type < 127 ? `signal ${name}` : `request ${name}`;
    return [message, what];
  }

  steps = {
    call: (_, step) => this.#call(step),
    cancel: (as) => this.#calls[as].controller.abort(),
    outcome: (as, { is }) => assert.equal(this.#calls[as].outcome, is),
    accept: () => this.#open(),
    fail: (failure) => this.fail(failure),
    dialling: (want) => assert.equal(this.#dialling, want),
    sent: (want, { as }) => {
      const [message, what] = this.#take();
      assert.equal(what, want);
      if (as) this.#requests[as] = message;
    },
    reply: (as, { with: what }) => {
      const { id } = this.#requests[as];
      const [kind, ...rest] = what.split(' ');
      const word = rest.join(' ');
      const special = { shutdown: 1, internal: 2, not: 3, full: 4, disabled: 5 };
      const say = (...message) => this.#socket.say(...message);
      const head = this.#head;
      if (kind in special && this.#modern) say(13, id, special[kind], 0);
      else if (kind in special) say(special[kind], id);
      else if (kind === 'session') say(192, id, head, session(word));
      else if (kind === 'nonsense') say(192, id, head, '{}');
      else if (kind === 'error') say(0, id, word.length, word);
      else say(191, id, head);
    },
    say: (what) => {
      const [kind, word] = what.split(' ');
      const say = (...message) => this.#socket.say(...message);
      if (kind === 'closed') say(22);
      else if (kind === 'signal') say(64, this.#head, word.length, word, 'x');
      else say(21, word === 'nonsense' ? '{}' : session(word));
    },
    drop: (status) => this.#socket.drop(status === 'network' ? 1006 : status),
    ended: (want) => {
      assert.equal(this.#socket.closedWith !== undefined, want);
      this.#socket.sent.length = 0;
    },
    pass: (ms) => {
      // What only asks whether the server is there is no part of a scenario.
      const probe = ({ type, payload }) => type === 31 || text(payload) === this.#client.session?.key;
      if (this.#socket) this.#socket.alive = probe;
      return this.#server.clock.pass(ms);
    },
    events: (want) => assert.deepEqual(this.#events.splice(0), want),
    session: (key) => assert.equal(this.#client.session?.key ?? null, key),
    stored: (key) => assert.equal(this.#storage.items[ITEM] ?? null, key),
    status: (want) => assert.equal(this.#client.status, want),
  };

  // fail lets an attempt fail, in one of the ways of failures.json.
  async fail(name) {
    assert.ok(this.#dialling, 'an attempt to connect');
    const { http, close, kind } = read('failures.json').find((failure) => failure.name === name);
    const answer = (what) => {
      this.#attempt?.(what);
      this.#attempt = undefined;
      return settled();
    };
    if (kind === 'config') {
      this.#server.refusal = new DOMException('no such URL', 'SyntaxError');
      await answer({ versions: [this.#version] });
      this.#server.refusal = undefined;
    } else if (!this.#attempt && !close) {
      this.#socket.drop(); // with what it knows the client does not ask again: it only sees that
    } else if (http) {
      await answer(new Response('', { status: http }));
      if (this.#attempt) await answer(new Response('', { status: http })); // to the GET
    } else if (kind === 'version') {
      await answer({ 'protocol-version': '1.4' });
    } else if (kind === 'timeout') {
      await this.#server.clock.pass(10_000);
      this.#attempt = undefined;
    } else if (close) {
      await answer({ versions: [this.#version] });
      await this.#socket.open('webwire-2.0');
      await settled();
      this.#events.splice(0);
      this.#socket.drop(close);
    } else {
      await answer(new TypeError('Failed to fetch'));
      await answer(new TypeError('Failed to fetch'));
      this.#socket.drop();
    }
  }

  async run(steps) {
    for (const step of steps) {
      const [[key, value]] = Object.entries(step);
      try {
        await this.steps[key](value, step);
      } catch (error) {
        error.message = `${JSON.stringify(step)}: ${error.message}`;
        throw error;
      }
      await settled();
    }
    assert.deepEqual(this.#events, [], 'nobody expected these events');
    assert.equal(this.#take()[1], 'nothing');
  }

  get client() {
    return this.#client;
  }

  get dialling() {
    return this.#dialling;
  }

  get events() {
    return this.#events;
  }

  pass(ms) {
    return this.#server.clock.pass(ms);
  }
}

for (const file of ['session.json', 'connect.json']) {
  describe(file, { skip }, () => {
    for (const scenario of read(file)) {
      test(scenario.name, (t) => new Play(t, scenario).run(scenario.steps));
      if (scenario.options?.version) continue; // it is about that one
      const options = { ...scenario.options, version: '3.0' };
      test(`${scenario.name} (3.0)`, (t) => new Play(t, { ...scenario, options }).run(scenario.steps));
    }
  });
}

describe('failures.json', { skip }, () => {
  for (const failure of read('failures.json')) {
    if (failure.js === false) continue;
    test(`${failure.name} is ${failure.class}`, async (t) => {
      const play = new Play(t, {});
      play.client.connect();
      await settled();
      for (const last of [failure.class === 'final', failure.class !== 'passing', false]) {
        await play.fail(failure.name);
        await settled();
        assert.equal(play.events.includes('connectfailed'), last, 'gives up');
        if (last) {
          await play.pass(60_000);
          assert.equal(play.dialling, false);
          return;
        }
        await play.pass(1_001);
      }
    });
  }
});
