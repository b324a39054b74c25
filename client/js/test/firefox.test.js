// The client in Firefox: the contract, and what only happens to pages. browser.test.js has more
// of it, in Chromium.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PATIENCE, serve } from './support/browser.js';
import { names, slow } from './support/contract.js';
import { firefoxMissing, launchFirefox } from './support/firefox.js';
import { Relay, Server, build, goMissing } from './support/servers.js';

const VERSION = '3.0';

describe('Firefox', { skip: firefoxMissing() || await goMissing() }, () => {
  let server;
  let binary;
  let site;
  let browser;

  before(async () => {
    binary = await build();
    server = await Server.start(binary.path, VERSION);
    site = await serve();
    browser = await launchFirefox();
  });

  after(async () => {
    await browser?.close();
    await site?.close();
    await server?.kill();
    await binary?.remove();
  });

  async function open(t) {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE);
    await page.goto(site.url);
    t.after(async () => {
      await page.evaluate(() => localStorage.clear());
      await page.close();
    });
    return page;
  }

  // connect connects a client in the page, which has the name `client` there.
  async function connect(page, addr) {
    await page.evaluate(async (where, version) => {
      const { Client } = await import('/src/index.js');
      window.events = [];
      window.client = new Client(`http://${where}/`, { versions: [version], minBackoff: 20, maxBackoff: 200 });
      for (const type of ['connected', 'disconnected', 'resumed']) {
        window.client.addEventListener(type, () => window.events.push(type));
      }
      await window.client.connect();
    }, addr, VERSION);
  }

  const ask = (page, name, payload = ' ') => page.evaluate(async (what, data) => (
    (await window.client.request(what, data)).text()
  ), name, payload);
  const away = (page) => page.waitForFunction(() => window.client.status !== 'connected', { polling: 50 });

  test('contract', { timeout: 600_000 }, async (t) => {
    const page = await open(t);
    for (const name of names.filter((each) => !slow.includes(each))) { // those depend on no browser
      await t.test(name, async () => {
        assert.equal(await page.evaluate(async (step, addr, version) => {
          const { tryStep } = await import('/test/support/contract.js');
          return tryStep(step, { addr, version, negotiate: 'metadata' });
        }, name, server.addr, VERSION), '');
      });
    }
  });

  test('the session survives the page', { timeout: 600_000 }, async (t) => {
    const page = await open(t);
    await connect(page, server.addr);
    const key = await ask(page, 'login');
    await page.reload();
    await connect(page, server.addr);
    assert.equal(JSON.parse(await ask(page, 'session')).key, key);
  });

  test('a server that is away while a request is in flight', { timeout: 600_000 }, async (t) => {
    const way = await Relay.start(server.addr);
    t.after(() => way.down());
    const page = await open(t);
    await connect(page, way.addr);
    const key = await ask(page, 'login');
    const pending = page.evaluate(async () => (await window.client.request('sleep', 1000)).text());
    await ask(page, 'echo', 'so the request before is on its way');
    await way.down();
    await away(page);
    await way.up();
    assert.equal(await pending, 'slept 1000');
    assert.equal(JSON.parse(await ask(page, 'session')).key, key);
    assert.deepEqual(await page.evaluate(() => window.events), ['connected', 'resumed']);
  });

  test('offline and online again', { timeout: 600_000 }, async (t) => {
    const way = await Relay.start(server.addr);
    t.after(() => way.down());
    const page = await open(t);
    await connect(page, way.addr);
    const key = await ask(page, 'login');
    await page.setOfflineMode(true);
    await way.down();
    await away(page);
    await way.up();
    assert.equal(await page.evaluate(() => navigator.onLine), false);
    const waiting = ask(page, 'session');
    await page.setOfflineMode(false);
    assert.equal(JSON.parse(await waiting).key, key);
  });
});
