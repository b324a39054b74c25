// What is published.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const cwd = fileURLToPath(new URL('..', import.meta.url));

test('the bundle is small, and has what the source and the types have', async (t) => {
  const { stdout } = await run(process.execPath, ['scripts/build.js'], { cwd });
  t.diagnostic(stdout.trim());
  const bundle = await import('../dist/webwire.min.js');
  const source = await import('../src/index.js');
  assert.deepEqual(Object.keys(bundle), Object.keys(source));
  const types = await readFile(new URL('../src/index.d.ts', import.meta.url), 'utf8');
  const declared = [...types.matchAll(/^export class (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(declared.sort(), Object.keys(source).sort());
  for (const [name, type] of Object.entries(bundle)) {
    if (name.endsWith('Error') || name === 'ErrorReply') assert.equal(type.prototype.name, name);
  }
});

test('the bundle behaves as the source does', async () => {
  const env = { ...process.env, WEBWIRE_MODULE: new URL('../dist/webwire.min.js', import.meta.url).href };
  delete env.NODE_TEST_CONTEXT; // it is a run of its own
  await run(process.execPath, ['--test', 'test/scenario.test.js', 'test/modern.test.js', 'test/resume.test.js', 'test/subscribe.test.js'], { cwd, env, maxBuffer: 1 << 26 });
});

test('the package has the files that its users need', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd });
  const files = Object.values(JSON.parse(stdout))[0].files.map(({ path }) => path);
  for (const wanted of ['package.json', 'README.md', 'LICENSE', 'src/index.js', 'src/index.d.ts', 'dist/webwire.min.js']) {
    assert.ok(files.includes(wanted), `${wanted} is missing`);
  }
  assert.deepEqual(files.filter((path) => !/^(src|dist|testing)\/|^(package\.json|README\.md|LICENSE)$/.test(path)), []);
});

test('the lock file names no host', async () => {
  const lock = await readFile(new URL('../package-lock.json', import.meta.url), 'utf8');
  assert.ok(!lock.includes('"resolved"'));
});
