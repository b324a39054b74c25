// Packs the client as npm would publish it, and fails unless the package has what it
// should: no more and no fewer files, exports that exist, and types that programs find with
// the module resolutions "bundler" and "node16".

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'webwire-pack-'));
const fail = (text) => {
  console.error(text);
  process.exitCode = 1;
};
const run = (command, args, cwd) => {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (err) {
    fail(`${command} ${args.join(' ')}:\n${err.stdout}${err.stderr}`);
    return '';
  }
};

try {
  run('npm', ['run', 'build'], root);
  const [packed] = JSON.parse(run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', dir], root));
  const files = packed.files.map(({ path }) => path);
  const expected = /^(package\.json|README\.md|LICENSE|(src|testing)\/[a-z]+\.(js|d\.ts)|dist\/webwire\.min\.js)$/;
  for (const file of files) if (!expected.test(file)) fail(`the package contains ${file}`);
  for (const file of ['package.json', 'README.md', 'LICENSE', 'src/index.js', 'src/index.d.ts', 'testing/index.js', 'testing/index.d.ts', 'dist/webwire.min.js']) {
    if (!files.includes(file)) fail(`the package lacks ${file}`);
  }

  const home = join(dir, 'node_modules', 'webwire');
  mkdirSync(home, { recursive: true });
  run('tar', ['-xzf', join(dir, packed.filename), '-C', home, '--strip-components', '1'], dir);
  const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  if (manifest.private || Object.keys(manifest.dependencies ?? {}).length) fail('the package is private, or has dependencies');
  for (const [name, value] of Object.entries(manifest.exports)) {
    for (const file of typeof value === 'string' ? [value] : Object.values(value)) {
      if (!existsSync(join(home, file))) fail(`the export ${name} leads to ${file}, which does not exist`);
    }
  }

  // A program of somebody else.
  const lines = ["import * as all from 'webwire';", "import * as min from 'webwire/min';"];
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(dir, 'names.js'), `${lines.join('\n')}
if (Object.keys(all).sort().join() !== Object.keys(min).sort().join() || !('Client' in all)) throw new Error('the exports differ');
import 'webwire/outbox';
import { FakeServer } from 'webwire/testing';
if (!(new FakeServer().client() instanceof all.Client)) throw new Error('a fake server has clients of its own');
`);
  run('node', ['names.js'], dir);
  writeFileSync(join(dir, 'program.ts'), `${lines.join('\n')}
const client: all.Client = new all.Client('ws://localhost:8080');
const other: min.Client = client;
void other.request('greet', 'gopher').then((reply) => reply.text);
// @ts-expect-error: types are found, and not any
client.nothing();

import { FakeServer } from 'webwire/testing';
const server = new FakeServer({ greet: (payload) => 'hello, ' + payload.text() });
const faked: all.Client = server.client({ timeout: 1000 });
server.signals.map(({ name, payload }) => name + payload.text());
server.onsubscribe = async (topic, { away }) => { if (away) throw new Error(topic); };
const position: string | undefined = server.topic('news').publish('item', { n: 1 });
server.topic('news').subscribers.forEach((connection) => connection.gap(1));
void position;

import { Outbox } from 'webwire/outbox';
new Outbox(client, 'edits').addEventListener('refused', ({ error, name }) => name + error.message);
// @ts-expect-error: as above
new Outbox(client, 'edits').nothing();
// @ts-expect-error: as above
server.nothing();
void faked;
`);
  for (const [module, resolution] of [['esnext', 'bundler'], ['node16', 'node16']]) {
    run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '--noEmit', '--strict', '--target', 'es2022',
      '--lib', 'es2022,dom', '--module', module, '--moduleResolution', resolution, 'program.ts'], dir);
  }
  if (!process.exitCode) console.log(`${packed.filename}: ${files.length} files, ${packed.size} bytes; exports and types are found`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
