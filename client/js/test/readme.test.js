// The code of the README does what its comments say.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { goMissing } from './support/servers.js';

const run = promisify(execFile);
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const readme = await readFile(at('../README.md'), 'utf8');
const blocks = (language) => [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, code]) => code);

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function listening(port) {
  for (;;) {
    const socket = net.connect(port, 'localhost');
    try {
      await once(socket, 'connect');
      return;
    } catch {
      // not yet
    } finally {
      socket.destroy();
    }
  }
}

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

describe('README', { skip: await goMissing(), timeout: 120_000 }, () => {
  let dir;
  let server;
  let addr;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'webwire-readme-'));
    const port = await freePort();
    addr = `localhost:${port}`;
    const [code] = blocks('go');
    await writeFile(join(dir, 'main.go'), code.replaceAll('localhost:8080', addr));
    await run('go', ['build', '-o', join(dir, 'server'), join(dir, 'main.go')], { cwd: at('../../../') });
    server = spawn(join(dir, 'server'), { stdio: 'ignore', cwd: dir });
    await listening(port);
  });

  after(async () => {
    if (server?.kill('SIGKILL')) await once(server, 'exit');
    await rm(dir, { recursive: true, force: true });
  });

  // Files that have a name are parts of something else.
  for (const [i, code] of blocks('js').filter((block) => !block.startsWith('// ')).entries()) {
    test(`block ${i + 1}`, async () => {
      const global = 'import WS from "ws"; globalThis.WebSocket ??= WS;\n'; // for Node 20
      const program = global + code.replaceAll('localhost:8080', addr);
      const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: at('..') });
      const wanted = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text);
      assert.ok(wanted.length);
      assert.equal(stdout, wanted.map((text) => `${text}\n`).join(''));
    });
  }
});
