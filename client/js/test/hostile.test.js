// Servers that mean harm: they cost a client neither memory nor more than a connection a second,
// and it can be closed at any time. Each attacks for ten seconds: make soak-js.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import WebSocket from 'ws';
import { Client, ClosedError } from '../src/index.js';
import { Program } from './support/programs.js';

const skip = !process.env.WEBWIRE_SOAK && 'it takes minutes: WEBWIRE_SOAK=1';
const DURING = 10_000;
const PATIENCE = 60_000; // with a machine that has other work
const MEMORY = 16 << 20;
const ATTACKS = [
  'accept and close', 'open and close', 'never conf', 'never welcome', 'garbage', 'conf again and again', 'signals', 'sessions created',
  'another session each time', 'replies to nothing', 'items of nothing', 'publications of nothing', 'requests', 'requests, and reads no answer',
  'the same, and the connection can be resumed', 'cancels', 'drain over an hour in a loop', 'drain in a loop',
  'drain of each socket, and the connection can be resumed',
  'presence: members that enter', 'presence: a snapshot that does not end', 'presence: members without anything',
];

// within resolves or rejects as a promise does, and rejects with what was waited for if that takes too long.
async function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${PATIENCE / 1000} s`)), PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc');

// memory is what is in use. Buffers that were collected may be counted for a while: another thread
// frees them.
async function memory() {
  const seen = [];
  for (let i = 0; i < 3; i++) {
    if (i) await sleep(50);
    collect();
    const { heapUsed, external } = process.memoryUsage();
    seen.push(heapUsed + external);
  }
  return Math.min(...seen);
}

// watch subscribes with presence, again and again until the client is closed, and returns how
// often there were too many members.
async function watch(client) {
  for (let ended = 0; ; ended++) {
    const error = await endOf(client); // in a function of its own, which keeps nothing of it
    if (error instanceof ClosedError) return ended;
    assert.match(error.message, /too many members/);
  }
}

async function endOf(client) {
  try {
    for await (const m of client.subscribe('t', { presence() {}, onGap() {}, timeout: Infinity })) assert.fail(m.name);
  } catch (error) {
    return error;
  }
}

describe('hostile servers', { skip }, () => {
  let program;
  let port;

  before(async () => {
    const script = fileURLToPath(new URL('support/hostile.js', import.meta.url));
    program = await within('the start of the server', Program.start(process.execPath, [script], /^(.* at \d+)$/));
    const [, names, at] = /(.*) at (\d+)/.exec(program.where);
    assert.deepEqual(names.split('|'), ATTACKS);
    port = at;
  });

  after(() => program && within('the end of the server', program.kill()));

  const counts = async (name) => {
    const asked = fetch(`http://127.0.0.1:${port}/`).then((response) => response.json());
    return (await within('the counts of the server', asked))[name];
  };

  for (const name of ATTACKS) {
    test(name, async (t) => {
      const first = await memory();
      const client = new Client(`ws://127.0.0.1:${port}/${encodeURIComponent(name)}`, {
        WebSocket, negotiate: 'token', versions: ['3.0'], storage: null, maxQueue: 2 << 20,
      });
      let asking;
      t.after(() => { // else a test that fails leaves a client that connects for ever, and the process does not end
        clearInterval(asking);
        client.close();
      });
      client.handle('r', ({ bytes }) => bytes);
      let events = 0;
      for (const type of ['signal', 'sessioncreated', 'sessionclosed', 'gap']) client.addEventListener(type, () => events++);
      const began = performance.now();
      const pending = client.request('r', 'x', { timeout: Infinity });
      pending.catch(() => {});
      while (!(await counts(name)).connections) {
        assert.ok(performance.now() - began < PATIENCE, `no connection within ${PATIENCE / 1000} s`);
        await sleep(5);
      }
      const watching = name.startsWith('presence') && watch(client);
      asking = setInterval(() => client.request('r', 'x', { timeout: 1000 }).catch(() => {}), 20); // no answer comes
      let peak = 0;
      for (const end = performance.now() + DURING; performance.now() < end;) {
        await sleep(DURING / 5);
        peak = Math.max(peak, await memory() - first);
      }
      clearInterval(asking);
      const closing = performance.now();
      client.close();
      const last = client.request('r', 'x');
      await within('the last request', assert.rejects(last, ClosedError));
      await within('the pending request', assert.rejects(pending)); // before, if its connection had ended
      if (watching) assert.ok(await within('the last subscription', watching) > 0, 'no subscription ended');
      const took = performance.now() - closing;
      const lasted = (performance.now() - began) / 1000;
      const { connections, messages } = await counts(name);
      t.diagnostic(`figure: hostile server: ${name} | ${messages} messages, ${connections} connections in ${lasted.toFixed(1)} s; `
        + `+ ${Math.max(0, Math.round(peak / 1024))} KiB; close() took ${Math.round(took)} ms`);
      assert.equal(client.status, 'closed');
      assert.ok(peak < MEMORY, `${peak} bytes`);
      assert.ok(connections <= 6 + lasted, `${connections} connections in ${lasted} s`);
    });
  }
});
