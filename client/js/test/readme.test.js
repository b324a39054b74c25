// The code of the README does what its comments say, and what is for frameworks works
// in them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { compileScript, parse } from 'vue/compiler-sfc';
import { browserMissing, launch } from './support/browser.js';
import { Program } from './support/programs.js';
import { goMissing } from './support/servers.js';

const run = promisify(execFile);
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const readme = await readFile(at('../README.md'), 'utf8');
const blocks = (language) => [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, code]) => code);
const noBrowser = await browserMissing();

// LISTEN is what the server of the README does in its test: it listens at any port, and tells it.
const LISTEN = `package main

import (
	"fmt"
	"net"
	"net/http"
)

func listenAndServe(_ string, handler http.Handler) error {
	ln, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr().(*net.TCPAddr).Port)
	return http.Serve(ln, handler)
}
`;

test('it is installed as the README says', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'webwire-install-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'package.json'), '{}');
  const [install] = blocks('sh');
  const [npm, ...args] = install.trim().split(' ').map((word) => word.replace('<clone>', at('../../..')));
  await run(npm, [...args, '--offline', '--no-audit', '--no-fund'], { cwd: dir });
  const program = "import { Client } from 'webwire'; console.log(Client.name);";
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: dir });
  assert.equal(stdout, 'Client\n');
});

describe('README', { skip: await goMissing(), timeout: 600_000 }, () => {
  let dir;
  let server;
  let addr;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'webwire-readme-'));
    const [code] = blocks('go');
    const call = 'http.ListenAndServe("localhost:8080", ';
    assert.ok(code.includes(call));
    await writeFile(join(dir, 'main.go'), code.replace(call, 'listenAndServe("", '));
    await writeFile(join(dir, 'listen.go'), LISTEN);
    await run('go', ['build', '-o', join(dir, 'server'), join(dir, 'main.go'), join(dir, 'listen.go')], { cwd: at('../../../') });
    server = await Program.start(join(dir, 'server'), [], /^(\d+)$/, { stdio: ['ignore', 'pipe', 'ignore'], cwd: dir });
    addr = `localhost:${server.where}`;
  });

  after(async () => {
    await server?.kill();
    await rm(dir, { recursive: true, force: true });
  });

  // Files that have a name are parts of something else.
  for (const [i, code] of blocks('js').filter((block) => !block.startsWith('// ')).entries()) {
    test(`block ${i + 1}`, async () => {
      const global = 'import WS from "ws"; globalThis.WebSocket ??= WS;\n'; // for Node 20
      const storage = `import { FakeStorage } from ${JSON.stringify(new URL('support/storage.js', import.meta.url))};
        Object.defineProperty(globalThis, 'localStorage', { value: new FakeStorage() });\n`;
      const program = global + (code.includes('Outbox') ? storage : '') + code.replaceAll('localhost:8080', addr);
      const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: at('..') });
      const wanted = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text);
      assert.ok(wanted.length);
      assert.equal(stdout, wanted.map((text) => `${text}\n`).join(''));
    });
  }

  describe('frameworks', { skip: noBrowser }, () => {
    let browser;

    before(async () => {
      browser = await launch();
      for (const name of ['client.js', 'status.js']) {
        await writeFile(join(dir, name), blocks('js').find((code) => code.startsWith(`// ${name}`)));
      }
    });

    after(() => browser?.close());

    // open opens a page of the server of the README that runs a program of these files.
    // The program defines mount and mountOther, which define unmount and unmountOther; the page has all statuses of the client.
    // Each page has a URL of its own: the server tells the age of a file to the second, so
    // a browser that asks whether its copy is old would be told that it is not.
    async function open(t, files) {
      for (const [name, code] of Object.entries(files)) await writeFile(join(dir, name), code);
      const [entry] = Object.keys(files);
      const name = entry.replace('.', '-');
      await writeFile(join(dir, `${name}.jsx`), `
        import { client } from './client.js';
        import * as program from './${entry}';
        const statuses = [];
        client.addEventListener('statuschange', ({ status }) => statuses.push(status));
        Object.assign(globalThis, program, { client, statuses });
        mount(document.querySelector('main'));
      `);
      await build({
        entryPoints: [join(dir, `${name}.jsx`)],
        outfile: join(dir, `${name}.js`),
        bundle: true,
        format: 'esm',
        jsx: 'automatic',
        nodePaths: [at('../node_modules')],
        alias: { webwire: at('../src/index.js') },
        define: {
          'process.env.NODE_ENV': '"development"', // StrictMode does nothing in production
          __VUE_OPTIONS_API__: 'false', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
        },
      });
      await writeFile(join(dir, `${name}.html`), `<!doctype html><title>WebWire</title><main></main><script type="module" src="${name}.js"></script>`);
      const page = await browser.context.newPage();
      t.after(() => page.close());
      page.on('pageerror', (error) => assert.fail(error));
      await page.goto(`http://${addr}/${name}.html`);
      return page;
    }

    const shows = (page, status) => page.waitForFunction((want) => document.querySelector('output')?.textContent === want, status);
    const statuses = (page) => page.evaluate(() => globalThis.statuses.splice(0));

    // lives mounts and unmounts two components that use one client.
    async function lives(page) {
      const greets = async () => {
        const text = await page.evaluate(async () => (await globalThis.client.request('greet', 'Ada')).text());
        assert.equal(text, 'hello, Ada');
      };
      const moment = () => page.evaluate(() => new Promise((resolve) => { setTimeout(resolve, 50); }));
      for (let i = 0; i < 2; i++) {
        await shows(page, 'connected');
        await greets();
        await page.evaluate(() => globalThis.mountOther());
        await moment();
        await page.evaluate(() => globalThis.unmountOther());
        await moment();
        await greets();
        assert.deepEqual(await statuses(page), ['connecting', 'connected'], 'the other component uses the connection');
        await page.evaluate(() => globalThis.unmount());
        await page.waitForFunction(() => globalThis.client.status === 'disconnected');
        assert.deepEqual(await statuses(page), ['disconnected']);
        await page.evaluate(() => globalThis.mount(document.querySelector('main')));
      }
    }

    test('React, in StrictMode', async (t) => {
      const [code] = blocks('jsx');
      await lives(await open(t, {
        'react.jsx': `
          import { StrictMode } from 'react';
          import { createRoot } from 'react-dom/client';
          import { useStatus } from './hook.jsx';
          const App = () => <output>{useStatus()}</output>;
          const draw = (at) => {
            const root = createRoot(at);
            root.render(<StrictMode><App /></StrictMode>);
            return () => root.unmount();
          };
          export const mount = (at) => { globalThis.unmount = draw(at); };
          export const mountOther = () => { globalThis.unmountOther = draw(document.createElement('div')); };
        `,
        'hook.jsx': code,
      }));
    });

    test('Vue', async (t) => {
      const [code] = blocks('html');
      const { descriptor } = parse(`${code}<template><output>{{ shown }}</output></template>`);
      await lives(await open(t, {
        'vue.js': `
          import { createApp } from 'vue';
          import App from './component.js';
          const draw = (at) => {
            const app = createApp(App);
            app.mount(at);
            return () => app.unmount();
          };
          export const mount = (at) => { globalThis.unmount = draw(at); };
          export const mountOther = () => { globalThis.unmountOther = draw(document.createElement('div')); };
        `,
        'component.js': compileScript(descriptor, { id: 'status', inlineTemplate: true }).content,
      }));
    });
  });
});
