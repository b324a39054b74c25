// Runs test files, all of them if none is named. The Go programs that they talk to are built
// once, and two files run at a time: most of a test is waiting.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SHARED, build } from '../test/support/programs.js';
import { goMissing } from '../test/support/servers.js';

const cwd = fileURLToPath(new URL('..', import.meta.url));
const [, , ...named] = process.argv;
const files = named.length ? named : readdirSync(join(cwd, 'test')).filter((name) => name.endsWith('.test.js')).map((name) => join('test', name));
const env = { ...process.env };

const dir = mkdtempSync(join(tmpdir(), 'webwire-programs-'));
try {
  if (!await goMissing()) {
    build(dir, ...SHARED);
    env.WEBWIRE_PROGRAMS = dir;
  }
  const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', '--test-concurrency=2', ...files], { cwd, env, stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}
