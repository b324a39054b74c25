// The list of examples/list in Chromium: two tabs of one user, another user, and edits that are
// made offline.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { browserMissing } from './support/browser.js';
import { launch } from './support/chatroom.js';
import { Program, built } from './support/programs.js';
import { Relay, goMissing } from './support/servers.js';

const skip = await browserMissing() || await goMissing();

describe('list', { skip, timeout: 600_000 }, () => {
  let dir;
  let program;
  let browser;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'webwire-list-'));
    program = await Program.start(built(dir, './examples/list'), ['-addr', '127.0.0.1:0', '-password', 'secret'], /http:\/\/([^/]+)/);
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await program?.kill();
    await rm(dir, { recursive: true, force: true });
  });

  async function open(context, where) {
    const page = await context.newPage();
    page.on('pageerror', (error) => assert.fail(error));
    await page.goto(`http://${where}/`);
    return page;
  }

  async function signIn(page, name, password = 'secret') {
    await page.fill('[name=name]', name);
    await page.fill('[name=password]', password);
    await page.click('#login button');
  }

  async function add(page, text) {
    await page.fill('#add input', text);
    await page.press('#add input', 'Enter');
  }

  async function change(page, text, to) {
    const input = page.locator('#items li').nth((await texts(page)).indexOf(text)).locator('input[type=text]');
    await input.fill(to);
    await input.press('Enter');
    await input.blur();
  }

  const row = async (page, text) => page.locator('#items li').nth((await texts(page)).indexOf(text));
  const texts = (page) => page.$$eval('#items input[type=text]', (inputs) => inputs.map(({ value }) => value));
  const shows = (page, ...want) => page.waitForFunction((list) => (
    JSON.stringify([...document.querySelectorAll('#items input[type=text]')].map(({ value }) => value)) === list
  ), JSON.stringify(want), { polling: 50 });
  const waiting = (page, n) => page.waitForFunction((want) => document.querySelectorAll('#items .waiting').length === want, n, { polling: 50 });

  test('two tabs and edits made offline', async (t) => {
    const way = await Relay.start(program.where); // of the tabs of Ann
    t.after(() => way.down());
    const [annsBrowser, bobsBrowser] = [await browser.newContext(), await browser.newContext()];
    const one = await open(annsBrowser, way.addr);
    await signIn(one, 'Ann', 'wrong');
    await one.waitForFunction(() => document.getElementById('wrong').textContent === 'wrong name or password');
    await signIn(one, 'Ann');
    await one.waitForSelector('#add');
    const two = await open(annsBrowser, way.addr); // it has the session
    await two.waitForSelector('#add input:visible');
    const bob = await open(bobsBrowser, program.where);
    await signIn(bob, 'Bob');
    await bob.waitForSelector('#add input:visible');

    await add(one, 'tea');
    await add(bob, 'milk');
    await shows(bob, 'tea', 'milk');
    await add(two, 'bread');
    for (const page of [one, two, bob]) await shows(page, 'tea', 'milk', 'bread');

    await way.down();
    for (const page of [one, two]) await page.waitForFunction(() => document.getElementById('status').textContent.startsWith('offline'));
    await change(one, 'tea', 'green tea');
    await shows(two, 'green tea', 'milk', 'bread'); // tabs see what the other one keeps
    await add(two, 'eggs');
    await (await row(one, 'bread')).locator('input[type=checkbox]').check();
    await (await row(two, 'milk')).locator('button').click();
    await shows(one, 'green tea', 'bread', 'eggs');
    await waiting(one, 3);
    if (process.env.PICTURES) await one.screenshot({ path: `${process.env.PICTURES}/list-offline.png` });
    // Meanwhile Bob edits too: what nobody else has touched stays as he makes it.
    await change(bob, 'bread', 'brown bread');
    await add(bob, 'jam');
    await shows(bob, 'tea', 'milk', 'brown bread', 'jam');

    await way.up();
    for (const page of [one, two, bob]) {
      await shows(page, 'green tea', 'brown bread', 'jam', 'eggs');
      await waiting(page, 0);
      // Two tabs sent the edits, in whatever order.
      await page.waitForFunction((i) => document.querySelectorAll('#items li input[type=checkbox]')[i].checked, 1, { polling: 50 });
    }
    await one.waitForFunction(() => !Object.keys(localStorage).some((key) => key.startsWith('list:')), undefined, { polling: 50 });
    if (process.env.PICTURES) await bob.screenshot({ path: `${process.env.PICTURES}/list.png` });

    // An edit outlives its page.
    await way.down();
    await add(one, 'soap');
    await waiting(one, 1);
    await one.close();
    await way.up();
    await shows(bob, 'green tea', 'brown bread', 'jam', 'eggs', 'soap'); // the other tab sends it

    await two.click('#leave');
    await two.waitForSelector('#login:not([hidden])');
    await two.reload();
    await two.waitForSelector('#login:not([hidden])');
    await annsBrowser.close();
    await bobsBrowser.close();
  });
});
