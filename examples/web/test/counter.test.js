// The object that the apps have in common, with the server of webwire/testing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeServer } from '../../../client/js/testing/index.js';
import { Counter } from '../counter.js';

test('after the last watcher has left nothing connects again', async (t) => {
  let asked = 0;
  const server = new FakeServer({ count: () => ++asked });
  t.after(() => server.close());
  const client = server.client();
  const next = (type) => new Promise((resolve) => { client.addEventListener(type, resolve, { once: true }); });
  const counter = new Counter(client, 0);
  const connected = next('connected');
  const unwatch = counter.watch(() => {});
  await connected;
  let gap = next('gap');
  server.connections[0].gap(1);
  await gap;
  await client.request('count');
  assert.equal(asked, 3, 'connected and gap asked as well');
  server.goOffline();
  await next('statuschange');
  gap = next('gap');
  unwatch();
  await gap;
  await new Promise((resolve) => { setImmediate(resolve); });
  assert.equal(client.status, 'disconnected');
});
