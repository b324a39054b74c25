// The client in a real browser: the contract, and what only happens to pages.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { browserMissing, launch, serve } from './support/browser.js';
import { names, slow } from './support/contract.js';
import { Relay, Server, build, goMissing } from './support/servers.js';

const VERSIONS = ['1.2', '2.0', '3.0'];
const skip = await browserMissing() || await goMissing();

describe('browser', { skip }, () => {
  const servers = {};
  let binary;
  let site;
  let browser;

  before(async () => {
    binary = await build();
    for (const version of VERSIONS) servers[version] = await Server.start(binary.path, version);
    site = await serve();
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await site?.close();
    await Promise.all(Object.values(servers).map((server) => server.kill()));
    await binary?.remove();
  });

  // open opens a tab.
  async function open(t) {
    const page = await browser.context.newPage();
    await page.goto(site.url);
    t.after(async () => {
      await page.evaluate(() => localStorage.clear());
      await page.close();
    });
    return page;
  }

  // connect connects a client in the page, which has the name `client` there, and
  // lets `events` be what happened to it. The session is kept in localStorage.
  async function connect(page, addr, version) {
    await page.evaluate(async ({ addr: where, version: v }) => {
      const { Client } = await import('/src/index.js');
      window.events = [];
      window.client = new Client(`http://${where}/`, { versions: [v], minBackoff: 20, maxBackoff: 200 });
      for (const type of ['sessioncreated', 'sessionclosed', 'connected', 'disconnected', 'resumed']) {
        window.client.addEventListener(type, () => window.events.push(type));
      }
      await window.client.connect();
    }, { addr, version });
  }

  const ask = (page, name, payload = ' ') => page.evaluate(async (message) => (
    (await window.client.request(message.name, message.payload)).text()
  ), { name, payload });
  const sessionKey = (page) => page.evaluate(() => window.client.session?.key);
  const serverKey = async (page) => JSON.parse(await ask(page, 'session'))?.key;
  const happened = (page, type, times = 1) => page.waitForFunction(
    (want) => window.events.filter((e) => e === want.type).length >= want.times,
    { type, times },
    { polling: 50 }, // frames are not drawn in hidden tabs
  );

  const away = (page) => page.waitForFunction(() => window.client.status !== 'connected', undefined, { polling: 50 });

  // Tabs learn a little later what others write to localStorage.
  const keptKeyIs = (page, key) => page.waitForFunction((want) => Object.values(localStorage).includes(want), key, { polling: 50 });

  for (const version of VERSIONS) {
    for (const negotiate of ['metadata', 'none']) {
      test(`contract in ${version}, ${negotiate}`, { timeout: 600_000, concurrency: slow.length + 1 }, async (t) => {
        const page = await open(t);
        const { addr } = servers[version];
        const run = (name) => t.test(name, async () => {
          assert.equal(await page.evaluate(async ({ name: step, ...options }) => {
            const { tryStep } = await import('/test/support/contract.js');
            return tryStep(step, options);
          }, { name, addr, version, negotiate }), '');
        });
        const waiting = slow.map(run); // while the others run
        for (const name of names) if (!slow.includes(name)) await run(name);
        await Promise.all(waiting);
      });
    }

    const scenario = (what, run) => test(`${version}: ${what}`, { timeout: 600_000 }, run);
    const resumes = version === '3.0';
    // back waits until the client is connected for the nth time.
    const back = (page, n) => (resumes ? happened(page, 'resumed', n - 1) : happened(page, 'connected', n));
    const relay = async (t, target) => {
      const r = await Relay.start(target);
      t.after(() => r.down());
      return r;
    };

    scenario('the session survives the page', async (t) => {
      const page = await open(t);
      const { addr } = servers[version];
      await connect(page, addr, version);
      const key = await ask(page, 'login');
      await page.reload();
      await connect(page, addr, version);
      assert.equal(await sessionKey(page), key);
      assert.equal(await serverKey(page), key);
      await page.evaluate(() => window.client.closeSession());
      await page.reload();
      await connect(page, addr, version);
      assert.equal(await sessionKey(page), undefined);
    });

    scenario('a server that goes away and comes back', async (t) => {
      const way = await relay(t, servers[version].addr);
      const page = await open(t);
      await connect(page, way.addr, version);
      const key = await ask(page, 'login');
      // Where the connection cannot be resumed the reply must not come before it ends.
      const ms = resumes ? 1000 : 60_000;
      const pending = page.evaluate((lasts) => (
        window.client.request('sleep', lasts).then((reply) => reply.text(), ({ name, sent }) => `${name} ${sent}`)
      ), ms);
      await ask(page, 'echo', 'so the request before is on its way');
      await way.down();
      if (resumes) await away(page);
      else assert.equal(await pending, 'DisconnectedError true');
      const waiting = ask(page, 'session');
      await way.up();
      assert.equal(JSON.parse(await waiting).key, key);
      if (resumes) assert.equal(await pending, `slept ${ms}`);
      const ended = resumes ? ['resumed'] : ['disconnected', 'connected'];
      assert.deepEqual(await page.evaluate(() => window.events), ['connected', 'sessioncreated', ...ended]);
    });

    scenario('a server that is killed and forgets', async (t) => {
      let server = await Server.start(binary.path, version);
      t.after(() => server.kill());
      const page = await open(t);
      await connect(page, server.addr, version);
      await ask(page, 'login');
      await server.kill();
      await away(page);
      server = await Server.start(binary.path, version, server.addr);
      await happened(page, 'connected', 2);
      assert.equal(await sessionKey(page), undefined);
      assert.deepEqual(await page.evaluate(() => window.events), ['connected', 'sessioncreated', 'disconnected', 'sessionclosed', 'connected']);
      assert.ok(await ask(page, 'login'));
    });

    scenario('offline and online again', async (t) => {
      const way = await relay(t, servers[version].addr);
      const page = await open(t);
      t.after(() => browser.context.setOffline(false));
      await connect(page, way.addr, version);
      const key = await ask(page, 'login');
      await browser.context.setOffline(true);
      await way.down();
      await away(page);
      await way.up();
      assert.equal(await page.evaluate(() => navigator.onLine), false);
      const waiting = ask(page, 'session');
      await browser.context.setOffline(false);
      assert.equal(JSON.parse(await waiting).key, key);
    });

    scenario('a network that changed without a word', async (t) => {
      const way = await relay(t, servers[version].addr);
      const page = await open(t);
      t.after(() => browser.context.setOffline(false));
      await connect(page, way.addr, version);
      const key = await ask(page, 'login');
      way.swallow(); // before the page asks: it knows that it is offline
      await browser.context.setOffline(true);
      await browser.context.setOffline(false);
      await back(page, 2);
      assert.equal(await serverKey(page), key);
    });

    scenario('a network that is still the same', async (t) => {
      const page = await open(t);
      t.after(() => browser.context.setOffline(false));
      await connect(page, servers[version].addr, version);
      const key = await ask(page, 'login');
      for (let i = 0; i < 6; i++) { // more than failed restores are borne
        await browser.context.setOffline(true);
        await browser.context.setOffline(false);
        await ask(page, 'echo', 'behind the probe');
      }
      assert.equal(await serverKey(page), key);
      assert.equal(await ask(page, 'session-conns', key), '1');
      assert.deepEqual(await page.evaluate(() => window.events), ['connected', 'sessioncreated']);
    });

    scenario('a tab that was frozen', async (t) => {
      const page = await open(t);
      const devtools = await browser.context.newCDPSession(page);
      await connect(page, servers[version].addr, version);
      const key = await ask(page, 'login');
      await open(t); // in front of the other: only hidden tabs are frozen
      for (let i = 2; i <= 3; i++) {
        await devtools.send('Page.setWebLifecycleState', { state: 'frozen' });
        await devtools.send('Page.setWebLifecycleState', { state: 'active' });
        await back(page, i); // Chromium cut the connection, and said so only now
        assert.equal(await serverKey(page), key);
      }
    });

    scenario('two tabs', async (t) => {
      const { addr } = servers[version];
      const [one, two] = [await open(t), await open(t)];
      await connect(one, addr, version);
      const key = await ask(one, 'login');
      await keptKeyIs(two, key);
      await connect(two, addr, version);
      assert.equal(await serverKey(two), key, 'the second tab has the session of the first');
      assert.equal(await ask(two, 'session-conns', key), '2');

      await one.evaluate(() => window.client.closeSession());
      await happened(two, 'sessionclosed');
      assert.equal(await sessionKey(two), undefined);

      const next = await ask(one, 'login');
      assert.equal(await sessionKey(two), undefined, 'a tab adopts a session on its next connection');
      await keptKeyIs(two, next);
      await ask(two, 'kill').catch(() => {});
      await happened(two, 'connected', 2);
      assert.equal(await serverKey(two), next);

      await ask(two, 'logout');
      await happened(one, 'sessionclosed');
      assert.equal(await sessionKey(one), undefined);
    });
  }

  test('two tabs, two users: what the page of one asked for is not done as the other', { timeout: 600_000 }, async (t) => {
    const { addr } = servers['2.0'];
    const way = await Relay.start(addr);
    t.after(() => way.down());
    const [one, two] = [await open(t), await open(t)];
    await connect(one, way.addr, '2.0');
    const ada = await ask(one, 'login', '{"name":"Ada"}');
    // Both pages mean the same endpoint: this one does not go by the relay.
    await two.evaluate(async ({ where, there }) => {
      const { Client } = await import('/src/index.js');
      window.client = new Client(`http://${where}/`, { storageKey: `webwire:ws://${there}/` });
      await window.client.connect();
    }, { where: addr, there: way.addr });
    assert.equal(await sessionKey(two), ada);

    await way.down();
    await happened(one, 'disconnected');
    const waiting = one.evaluate(() => window.client.request('session', ' ').catch(({ name, sent }) => `${name} ${sent}`));
    await two.evaluate(() => window.client.closeSession());
    const dora = await ask(two, 'login', '{"name":"Dora"}');
    await keptKeyIs(one, dora);
    await way.up();
    assert.equal(await waiting, 'DisconnectedError false');
    await happened(one, 'connected', 2);
    assert.equal(await serverKey(one), dora);
  });

  test('a page that only listens, on a network that died', { timeout: 600_000 }, async (t) => {
    const page = await open(t);
    await connect(page, servers['2.0'].addr, '2.0');
    const addr = await ask(page, 'spawn', JSON.stringify({ sessions: true, readTimeoutMs: 2000 }));
    await page.evaluate(() => window.client.close());
    const way = await Relay.start(addr);
    t.after(() => way.down());
    await connect(page, way.addr, '2.0');
    way.swallow();
    await happened(page, 'disconnected');
    await happened(page, 'connected', 2);
  });

  test('a server of another origin that has no metadata', { timeout: 600_000 }, async (t) => {
    // The page may not see the answer of its preflight, which a published server of
    // 2.0 rejects.
    const page = await open(t);
    await page.route(`http://${servers['2.0'].addr}/`, (route) => route.abort());
    await connect(page, servers['2.0'].addr, '2.0');
    assert.equal(await ask(page, 'echo', '😀'), '😀');
  });
});
