// A real Chromium, and pages that have the client.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

// browserMissing says why there is no browser to test with, false if there is.
export async function browserMissing() {
  if (!existsSync(executablePath)) return `there is no Chromium at ${executablePath} (CHROMIUM names another place)`;
  return false;
}

// PATIENCE is how long, in milliseconds, something in a browser is waited for: only what never
// happens takes that long, however busy the machine is.
export const PATIENCE = 120_000;

export const args = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

// launch starts a browser with a profile of its own. Playwright is only connected to
// it: what it launches itself takes every page for visible, and freezes none.
export async function launch() {
  const { chromium } = await import('playwright-core');
  const profile = await mkdtemp(join(tmpdir(), 'webwire-profile-'));
  const program = spawn(executablePath, [...args, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(program, 'exit');
  const endpoint = await Promise.race([
    new Promise((resolve) => {
      createInterface(program.stderr).on('line', (line) => { // all of them: it blocks when the pipe is full
        const [, url] = /^DevTools listening on (.*)/.exec(line) ?? [];
        if (url) resolve(url);
      });
    }),
    exited.then(() => { throw new Error('Chromium did not start'); }),
  ]);
  const browser = await chromium.connectOverCDP(endpoint, { noDefaults: true, timeout: PATIENCE });
  const [context] = browser.contexts();
  context.setDefaultTimeout(PATIENCE);
  return {
    context,
    async close() {
      const devtools = await browser.newBrowserCDPSession();
      await devtools.send('Browser.close').catch(() => program.kill('SIGKILL'));
      await exited;
      await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }); // its children write on for a moment
    },
  };
}

// serve serves this package to pages, and an empty page at /, with the content security
// policy of the query if it has one.
export async function serve() {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const server = http.createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    if (pathname === '/') {
      response.setHeader('Content-Type', 'text/html');
      const policy = searchParams.get('policy');
      if (policy) response.setHeader('Content-Security-Policy', policy);
      response.end('<!doctype html><title>WebWire</title>');
      return;
    }
    try {
      const file = await readFile(join(root, pathname));
      response.setHeader('Content-Type', 'text/javascript');
      response.end(file);
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
