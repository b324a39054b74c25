// The dashboard of examples/dashboard, in a browser: a page with many subscriptions, through
// what happens to pages and connections.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { browserMissing } from './support/browser.js';
import { launch } from './support/chatroom.js';
import { Dashboard, grown, points } from './support/dashboard.js';
import { Relay, goMissing } from './support/servers.js';

const skip = await browserMissing() || await goMissing();
const LATENCY = 'web.latency';

describe('dashboard', { skip, timeout: 600_000 }, () => {
  let browser;
  let server;
  let relay;
  let page;
  const errors = [];

  async function open(context) {
    const tab = await context.newPage();
    tab.on('pageerror', (error) => errors.push(String(error)));
    await tab.goto(`http://${relay.addr}/`);
    await grown(tab, LATENCY, 0);
    return tab;
  }

  const status = (tab, want) => tab.locator(`#status[data-status="${want}"]`).waitFor();
  const last = async (tab, name = LATENCY) => (await points(tab, name)).at(-1);

  before(async () => {
    server = new Dashboard();
    await server.start();
    relay = await Relay.start(server.host);
    browser = await launch();
    page = await open(await browser.newContext({ viewport: { width: 1200, height: 800 } }));
  });

  after(async () => {
    await browser?.close();
    await relay?.down();
    await server?.remove();
  });

  test('it plots what the user picks', async () => {
    await status(page, 'connected');
    assert.equal(await page.locator('#picker input').count(), 40);
    assert.equal(await page.locator('.card').count(), 6);
    const queue = page.locator('fieldset[data-service="queue"]');
    await queue.getByLabel('Memory').check();
    await grown(page, 'queue.memory', 0);
    await page.locator('.card[data-metric="queue.memory"] output').filter({ hasText: /\d/ }).waitFor();
    await page.locator('.card[data-metric="queue.memory"] button').click();
    assert.equal(await queue.getByLabel('Memory').isChecked(), false);
    assert.equal(await page.locator('.card').count(), 6);
    const painted = await page.locator(`.card[data-metric="${LATENCY}"] canvas`).evaluate((canvas) => (
      canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte)
    ));
    assert.ok(painted);
  });

  test('a reload goes on where the page was, without a gap', async () => {
    await page.getByLabel('Errors').first().check();
    await grown(page, 'web.errors', 0);
    const before = await points(page, LATENCY);
    const seen = before.at(-1);
    await page.reload();
    await grown(page, LATENCY, seen);
    await grown(page, 'web.errors', seen);
    const all = await points(page, LATENCY);
    assert.ok(all.includes(seen));
    assert.deepEqual(all.filter((t) => t <= seen), before.filter((t) => t >= all[0]), 'it has the points of before');
    assert.ok(!all.includes(null));
    assert.deepEqual(all, [...new Set(all)].sort((a, b) => a - b), 'each once, in order');
    assert.equal(await page.locator('.card').count(), 7, 'and what was picked');
  });

  test('offline and back', async () => {
    const seen = await last(page);
    await relay.down();
    await status(page, 'resuming');
    const away = await last(page);
    await relay.up();
    await status(page, 'connected');
    await grown(page, LATENCY, away);
    const all = await points(page, LATENCY);
    assert.ok(all.includes(seen) && !all.includes(null), 'nothing is lost');
    assert.deepEqual(all, [...new Set(all)].sort((a, b) => a - b));
  });

  test('two tabs get the same', async () => {
    const other = await open(page.context());
    assert.equal(await other.locator('.card').count(), 7, 'it has what was picked');
    const from = await last(other);
    // Ten points, however long the server takes to make them.
    const next = async (tab) => (await points(tab, LATENCY)).filter((t) => t > from).slice(0, 10);
    const [a, b] = await Promise.all([page, other].map(async (tab) => {
      await grown(tab, LATENCY, from, 10);
      return next(tab);
    }));
    assert.equal(a.length, 10);
    assert.deepEqual(a, b);
    await other.close();
    await grown(page, LATENCY, await last(page));
  });

  test('a server that is killed is a gap, and the page goes on', async () => {
    const seen = await last(page);
    await server.kill();
    await status(page, 'resuming');
    await server.start();
    await status(page, 'connected');
    await grown(page, LATENCY, Math.max(seen, await last(page) ?? 0));
    const all = await points(page, LATENCY);
    assert.ok(all.includes(seen));
    assert.equal(all.filter((t) => t === null).length, 1);
  });

  test('it fits a phone, in the dark too', async () => {
    await page.setViewportSize({ width: 390, height: 780 });
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.equal(await page.locator('#picker').isVisible(), false);
    await page.getByRole('button', { name: 'Metrics' }).click();
    await page.getByLabel('Disk').first().check();
    await grown(page, 'web.disk', 0);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(16, 20, 27)');
  });

  test('nothing failed in the page', () => assert.deepEqual(errors, []));
});
