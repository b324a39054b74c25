// The list of examples/list: what it makes of edits, with a server that is not real; and in
// Chromium two tabs of one user, another user, and edits that are made offline.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { ErrorReply } from '../src/index.js';
import { FakeServer } from '../testing/index.js';
import { browserMissing } from './support/browser.js';
import { launch } from './support/chatroom.js';
import { Program, built } from './support/programs.js';
import { FakeStorage } from './support/storage.js';
import { Relay, goMissing } from './support/servers.js';

const skip = await browserMissing() || await goMissing();

const example = fileURLToPath(new URL('../../../examples/list', import.meta.url));

// Its modules import the client by the path at which the example serves it.
async function load() {
  const client = { name: 'client', setup: ({ onResolve }) => onResolve({ filter: /^\.\/webwire\// }, ({ path }) => ({ path: new URL(path.replace('./webwire', '../src'), import.meta.url).href, external: true })) };
  const { outputFiles: [{ text }] } = await build({ entryPoints: [join(example, 'page', 'list.js')], bundle: true, format: 'esm', write: false, plugins: [client] });
  return import(`data:text/javascript,${encodeURIComponent(text)}`);
}

describe('edits', async () => {
  const { List } = await load();

  // start returns a server of lists, with the function open, which returns a list of a user.
  function start(t) {
    const storage = new FakeStorage();
    const server = new FakeServer({
      login: (payload, { connection }) => { connection.createSession({ Name: payload.text() }); },
      edit(payload, { connection }) {
        const edit = { ...payload.json(), By: connection.session.info.Name };
        if (edit.Set.Text === 'refused') throw new ErrorReply('NO', 'not this');
        server.topic('list').publish('edit', edit);
      },
    });
    t.after(() => {
      server.close();
      assert.deepEqual(server.errors, []);
    });
    const open = async (user) => {
      const client = server.client();
      const list = new List(client, () => {}, { storage });
      await client.request('login', user);
      return Object.assign(list, { client });
    };
    return { server, open };
  }

  const texts = ({ items }) => items.map(({ Text, Done, waiting }) => `${Text}${Done ? ', done' : ''}${waiting ? ', waiting' : ''}`);
  const shows = async (list, ...want) => {
    const deadline = Date.now() + 60_000;
    while (texts(list).join('|') !== want.join('|') && Date.now() < deadline) await new Promise((resolve) => { setTimeout(resolve, 1); });
    assert.deepEqual(texts(list), want);
  };

  for (const [name, edits, ...want] of [
    ['different items', [['a', { Text: 'tea' }], ['b', { Text: 'milk' }]], 'tea', 'milk'],
    ['different fields', [['a', { Text: 'tea' }], ['a', { Done: true }], ['a', { Text: 'green tea' }]], 'green tea, done'],
    ['the same field', [['a', { Text: 'tea' }], ['a', { Text: 'green tea' }], ['a', { Text: 'black tea' }]], 'black tea'],
    ['removed', [['a', { Text: 'tea' }], ['b', { Text: 'milk' }], ['a', {}, true]], 'milk'],
    ['done after it was removed', [['a', { Text: 'tea' }], ['a', {}, true], ['a', { Done: true }], ['b', { Text: 'milk' }]], 'milk'],
    ['a text after it was removed', [['a', { Text: 'tea' }], ['a', {}, true], ['a', { Text: 'green tea' }]], 'green tea'],
    ['one that the server refuses', [['a', { Text: 'tea' }], ['b', { Text: 'refused' }], ['c', { Text: 'milk' }]], 'tea', 'milk'],
  ]) {
    test(name, async (t) => {
      const { open } = start(t);
      const ann = await open('Ann');
      for (const edit of edits) ann.edit(...edit);
      await shows(ann, ...want);
      await shows(await open('Bob'), ...want);
    });
  }

  test('an edit that comes again', async (t) => {
    const { server, open } = start(t);
    const ann = await open('Ann');
    const edit = { ID: '1', Item: 'a', Set: { Text: 'tea' }, Gone: false, By: 'Ann' };
    for (const each of [edit, { ...edit, ID: '2', Set: { Text: 'green tea' } }, edit]) server.topic('list').publish('edit', each);
    await shows(ann, 'green tea');
  });

  test('edits made offline merge with those of others', async (t) => {
    const { server, open } = start(t);
    const [ann, bob] = [await open('Ann'), await open('Bob')];
    ann.edit('a', { Text: 'tea' });
    await shows(bob, 'tea');
    server.goOffline();
    ann.edit('a', { Text: 'green tea' });
    ann.edit('b', { Text: 'milk' });
    bob.edit('a', { Done: true });
    assert.deepEqual(texts(ann), ['green tea, waiting', 'milk, waiting']);
    server.goOnline();
    for (const list of [ann, bob]) await shows(list, 'green tea, done', 'milk');
    assert.deepEqual(ann.items.map(({ By }) => By).sort(), [ann.items[0].By, 'Ann'].sort());
  });

  test('a gap, and a server that is started anew', async (t) => {
    const { server, open } = start(t);
    const ann = await open('Ann');
    ann.edit('a', { Text: 'tea' });
    await shows(ann, 'tea');
    server.topic('list').gap(1);
    ann.edit('b', { Text: 'milk' });
    await shows(ann, 'tea', 'milk');
    server.restart(); // it has forgotten the list
    await shows(ann);
    ann.edit('c', { Text: 'jam' });
    await shows(ann, 'jam');
  });

  test('who has signed out is told nothing more', async (t) => {
    const { server, open } = start(t);
    const ann = await open('Ann');
    ann.edit('a', { Text: 'tea' });
    await shows(ann, 'tea');
    server.connections[0].closeSession(); // as another tab does
    await shows(ann);
    assert.equal(ann.user, undefined);
    assert.deepEqual(server.topic('list').subscribers, []);
  });
});

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
    await page.fill('[name=Name]', name);
    await page.fill('[name=Password]', password);
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
  const isDone = (page, text) => page.waitForFunction((want) => (
    [...document.querySelectorAll('#items li')].some(({ children: [done, { value }] }) => done.checked && value === want)
  ), text, { polling: 50 });
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
      await isDone(page, 'brown bread');
    }
    assert.deepEqual(await one.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('webwire:outbox:'))), []);
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
    assert.deepEqual(await texts(two), []);
    await annsBrowser.close();
    await bobsBrowser.close();
  });
});
