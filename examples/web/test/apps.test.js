// Each app in Chromium: it connects once, though StrictMode mounts twice; it sees what others
// do; it connects again; it leaves nothing behind when it is unmounted.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { browserMissing, launch } from '../../../client/js/test/support/browser.js';
import { Program, built } from '../../../client/js/test/support/programs.js';

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

const start = (command, ...args) => Program.start(command, args, / at http:\/\/([^/\s]+)/, { cwd: at('.') });

describe('apps', { skip: await browserMissing(), timeout: 600_000 }, () => {
  let dir;
  let binary;
  let browser;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'webwire-web-'));
    binary = built(dir, './examples/web');
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await rm(dir, { recursive: true, force: true });
  });

  const serve = (where, ...args) => start(binary, '-addr', where, ...args);

  // open opens the page of a server and collects its sockets.
  async function open(t, url) {
    const page = await browser.context.newPage();
    t.after(() => page.close());
    page.sockets = [];
    page.questions = 0; // for the metadata with one of which a first attempt to connect begins
    page.on('request', (request) => { if (request.url().endsWith('/api')) page.questions++; });
    page.on('websocket', (socket) => page.sockets.push(socket));
    page.on('pageerror', (error) => assert.fail(error));
    await page.goto(url);
    return page;
  }

  const shows = (page, count, status = 'connected') => page.waitForFunction(([number, text]) => (
    document.querySelector('output')?.textContent === number && document.querySelector('[role=status]').textContent === text
  ), [String(count), status], { polling: 50 });

  const add = (page) => page.locator('button').dispatchEvent('click'); // hidden tabs draw no frames

  // lives is what each app can do. begin starts its server at an address.
  async function lives(t, begin) {
    let server = await begin('127.0.0.1:0');
    t.after(() => server.kill());
    const url = `http://${server.where}/`;
    const [one, two] = [await open(t, url), await open(t, url)];
    await Promise.all([shows(one, 0), shows(two, 0)]);
    await add(one);
    await Promise.all([shows(one, 1), shows(two, 1)]);
    for (const { sockets, questions } of [one, two]) assert.deepEqual([sockets.length, questions], [1, 1], 'it connects once');

    await one.evaluate(() => window.replace?.()); // React's
    await add(one);
    await Promise.all([shows(one, 2), shows(two, 2)]);
    assert.equal(one.sockets.length, 1, 'a component that replaces another uses its connection');

    await server.kill();
    await two.waitForFunction(() => document.querySelector('[role=status]').textContent !== 'connected', undefined, { polling: 50 });
    server = await begin(server.where);
    await Promise.all([shows(one, 0), shows(two, 0)]); // the server has forgotten
    await add(two);
    await Promise.all([shows(one, 1), shows(two, 1)]);

    const socket = one.sockets.at(-1);
    const closed = socket.isClosed() || socket.waitForEvent('close');
    await one.evaluate(() => window.unmount());
    await closed;
    const before = one.sockets.length;
    await add(two);
    await shows(two, 2);
    assert.equal(one.sockets.length, before, 'it connects no more');
    return server;
  }

  for (const name of ['react', 'vue']) {
    test(name, (t) => lives(t, (where) => serve(where, '-dir', at(`dist/${name}`))));
  }

  test('ssr', async (t) => {
    const first = await serve('127.0.0.1:0', '-dir', dir);
    const renderer = await start(process.execPath, 'ssr/server.js', `ws://${first.where}/api`, '0');
    t.after(() => renderer.kill());
    await first.kill();
    const { where } = first; // which the renderer knows
    const server = await lives(t, () => serve(where, '-pages', `http://${renderer.where}`));
    // The number is in the page before any script runs, once the renderer is connected again.
    let html;
    do html = await (await fetch(`http://${server.where}/`)).text(); while (!/<output>2<\/output>/.test(html));
    assert.match(html, /<script id="state" type="application\/json">{"count":2}<\/script>/);
  });
});
