// Bundles and minifies the client into dist/webwire.min.js, and fails if that has
// become too big.

import { build } from 'esbuild';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const LIMIT = 8.5 * 1024; // bytes, minified and compressed

// Properties that nobody outside of this package sees, and that have no namesake in
// the platform.
const INTERNAL = [
  'answered', 'attempt', 'awaits', 'closeBegins', 'closedByServer', 'current', 'drop', 'end', 'ended', 'explicit', 'guessed', 'holding',
  'keptKey', 'load', 'lost', 'major', 'minor', 'negotiated', 'owner', 'prepare', 'queued', 'quiet', 'readTimeout', 'release',
  'renounce', 'restore', 'restored', 'save', 'settle', 'silence', 'silent', 'skipPause', 'start', 'stopped', 'tokens', 'usable', 'verify', 'version', 'waived',
];

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const outfile = at('dist/webwire.min.js');

await build({
  entryPoints: [at('src/index.js')],
  outfile,
  bundle: true,
  minify: true,
  mangleProps: new RegExp(`^(${INTERNAL.join('|')})$`),
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
});
const code = await readFile(outfile);
const size = gzipSync(code, { level: 9 }).length;
console.log(`${code.length} bytes minified, ${size} of ${LIMIT} bytes compressed`);
if (size > LIMIT) process.exitCode = 1;
