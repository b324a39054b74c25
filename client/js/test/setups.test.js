// Set-ups that users have, with the real things: dev proxies, other runtimes, a cookie
// check, a content security policy. All options but times are the default.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import WebSocket from 'ws';
import { browserMissing, launch, serve } from './support/browser.js';
import { runtime } from './support/runtimes.js';
import { Server, build, goMissing } from './support/servers.js';

const root = fileURLToPath(new URL('..', import.meta.url));
// The time for an attempt is longer than the default, so that a busy machine does not look like
// a server that does not answer.
const times = { dialTimeout: 120_000, timeout: 240_000 };
const SOON = 60_000; // well below the time for an attempt that nobody answers
const runtimes = {
  Bun: [await runtime('bun/bin/bun.exe', '@oven', 'bin', 'bun'), ['run']],
  Deno: [await runtime('deno/deno', '@deno', 'deno'), ['run', '--allow-net', '--allow-read', '--no-config']],
};
const noBrowser = await browserMissing();

// echo is what each set-up must be able to do, in pages too.
async function echo({ module, url, WebSocket: Class, ...more }) {
  const { Client: Type } = await import(module);
  const began = performance.now();
  const errors = [];
  const options = { onconnecterror: ({ error }) => errors.push(error.message), storage: null, ...more };
  const client = new Type(url, Class ? { ...options, WebSocket: Class } : options);
  try {
    const text = (await client.request('echo', '😀')).text();
    return { text, ms: performance.now() - began, errors };
  } catch (error) {
    return { text: String(error), errors };
  } finally {
    client.close();
  }
}

const works = ({ text, ms, errors }) => {
  assert.equal(text, '😀', errors.join('\n'));
  assert.ok(ms < SOON, `it took ${ms} ms: ${errors.join('\n')}`);
};

describe('set-ups', { skip: await goMissing() }, () => {
  let binary;
  let server;
  let site;
  let browser;

  before(async () => {
    binary = await build();
    server = await Server.start(binary.path, '2.0');
    if (noBrowser) return;
    site = await serve();
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await site?.close();
    await server?.kill();
    await binary?.remove();
  });

  // open opens a page.
  async function open(t, url) {
    const page = await browser.context.newPage();
    t.after(() => page.close());
    await page.goto(url);
    return page;
  }

  describe('proxy of Vite', () => {
    let vite;
    let dir;
    let url;

    before(async () => {
      const { createServer } = await import('vite');
      dir = await mkdtemp(join(tmpdir(), 'webwire-vite-'));
      await writeFile(join(dir, 'index.html'), '<!doctype html><title>WebWire</title>');
      vite = await createServer({
        root: dir,
        configFile: false,
        logLevel: 'silent',
        optimizeDeps: { noDiscovery: true },
        server: {
          host: '127.0.0.1', port: 0, hmr: false, fs: { allow: [dir, root] }, proxy: { '/api': { target: `http://${server.addr}`, ws: true } },
        },
      });
      await vite.listen();
      url = `http://127.0.0.1:${vite.httpServer.address().port}`;
    });

    after(async () => {
      await vite?.close();
      await rm(dir, { recursive: true, force: true });
    });

    test('it rejects the method WEBWIRE', async () => {
      const { status } = await fetch(`${url}/api`, { method: 'WEBWIRE' });
      assert.ok(status >= 400, `${status}: this test shows nothing any more`);
    });

    test('a plain GET has the metadata', async () => {
      const response = await fetch(`${url}/api`, { headers: { Accept: 'application/webwire+json' } });
      assert.ok((await response.json()).versions.includes('2.0'));
    });

    test('Node', async () => {
      works(await echo({ module: '../src/index.js', url: `${url}/api`, WebSocket, ...times }));
    });

    test('Chromium', { skip: noBrowser }, async (t) => {
      const page = await open(t, url);
      works(await page.evaluate(echo, { module: `/@fs${root}src/index.js`, url: '/api', ...times }));
    });
  });

  for (const [name, [found, args]] of Object.entries(runtimes)) {
    test(`${name} ${found?.version ?? ''}`, { skip: found ? false : `npm has no ${name} for this platform` }, async (t) => {
      const dir = await mkdtemp(join(tmpdir(), 'webwire-runtime-'));
      t.after(() => rm(dir, { recursive: true, force: true }));
      const program = join(dir, 'main.mjs');
      const options = { module: new URL('../src/index.js', import.meta.url).href, url: `http://${server.addr}/`, ...times };
      await writeFile(program, `${echo}\nconsole.log(JSON.stringify(await echo(${JSON.stringify(options)})));\n`);
      const { stdout } = await promisify(execFile)(found.program, [...args, program], { timeout: 600_000 });
      works(JSON.parse(stdout));
    });
  }

  // guard lets only those in that have a cookie, as a proxy that signs people in does.
  async function guard(t) {
    const refuse = (request) => !request.headers.cookie?.includes('signed=in');
    const proxy = http.createServer((request, response) => {
      if (request.url === '/login') {
        response.writeHead(200, { 'Set-Cookie': 'signed=in; Path=/', 'Content-Type': 'text/html' });
        response.end('signed in');
        return;
      }
      response.writeHead(refuse(request) ? 302 : 404, { Location: '/login' });
      response.end();
    });
    const sockets = new Set();
    proxy.on('connection', (socket) => sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket))));
    proxy.on('upgrade', (request, socket) => {
      if (refuse(request)) {
        socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
        return;
      }
      const [host, port] = server.addr.split(':');
      const out = net.connect({ host, port });
      out.on('error', () => socket.destroy()).on('close', () => socket.destroy());
      const { rawHeaders } = request;
      const lines = rawHeaders.flatMap((value, i) => (i % 2 ? [] : [`${value}: ${rawHeaders[i + 1]}\r\n`]));
      out.write(`GET ${request.url} HTTP/1.1\r\n${lines.join('')}\r\n`);
      socket.pipe(out).pipe(socket);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    t.after(async () => {
      sockets.forEach((socket) => socket.destroy());
      proxy.close();
      await once(proxy, 'close');
    });
    return `http://127.0.0.1:${proxy.address().port}`;
  }

  test('another origin behind a cookie check', { skip: noBrowser, timeout: 600_000 }, async (t) => {
    const url = await guard(t);
    const page = await open(t, `${url}/login`);
    await page.goto(site.url);
    works(await page.evaluate(echo, { module: '/src/index.js', url: `${url}/api`, ...times }));
  });

  const policed = (t, policy) => open(t, `${site.url}?policy=${encodeURIComponent(policy)}`);

  test('a policy that lists ws: only', { skip: noBrowser, timeout: 600_000 }, async (t) => {
    const page = await policed(t, "default-src 'self'; connect-src ws:");
    works(await page.evaluate(echo, { module: '/src/index.js', url: `http://${server.addr}/`, ...times }));
  });

  test('a policy that forbids the socket', { skip: noBrowser, timeout: 600_000 }, async (t) => {
    const page = await policed(t, "default-src 'self'; connect-src 'self'");
    const took = await page.evaluate(async ([url, options]) => {
      const { Client: Type } = await import('/src/index.js');
      const began = performance.now();
      const client = new Type(url, { storage: null, autoconnect: false, ...options });
      await client.connect().catch(() => {});
      return { ms: performance.now() - began, status: client.status };
    }, [`http://${server.addr}/`, times]);
    assert.equal(took.status, 'disconnected');
    assert.ok(took.ms < SOON, `it took ${took.ms} ms`);
  });
});
