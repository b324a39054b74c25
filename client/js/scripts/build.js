// Bundles and minifies the client into dist/webwire.min.js, and fails if that has
// become too big.

import { build } from 'esbuild';
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { minify } from 'terser';

const LIMIT = 13490; // bytes, minified and compressed

// Properties that nobody outside of this package sees, and that have no namesake in
// the platform.
const INTERNAL = [
  'ack', 'acknowledge', 'again', 'answer', 'answered', 'attempt', 'awaits', 'away', 'beat', 'begun', 'call', 'change',
  'changes', 'closeBegins', 'closedByServer', 'compose', 'configure', 'cost', 'count', 'createdByServer', 'critical',
  'current', 'deadline', 'doubt', 'drop', 'due', 'during', 'end', 'ended', 'epoch', 'explicit', 'fail', 'failed',
  'flush', 'free', 'gap', 'giveUp', 'grace', 'guessed', 'handler', 'head', 'heard', 'held', 'hello', 'holding', 'hopeless', 'idle',
  'keep', 'keptKey', 'last', 'lasted', 'lasts', 'late', 'left', 'load', 'longest', 'major', 'minor', 'modern', 'most',
  'negotiated', 'nudge', 'offset', 'open', 'order', 'outcome', 'over', 'owner', 'pause', 'probeKey', 'proof', 'queued', 'quiet',
  'raise', 'read', 'readTimeout', 'received', 'ref', 'release', 'renewed', 'renounce', 'repeat', 'repeated',
  'requests', 'restore', 'restored', 'resumable', 'resume', 'resumed', 'save', 'say', 'settle', 'signals', 'silence',
  'silent', 'skip', 'skipPause', 'spread', 'start', 'stop', 'stopped', 'suspend', 'take', 'tokens', 'uncounted',
  'unsubscribe', 'until', 'usable', 'used', 'verify', 'version', 'waived', 'wanted', 'watch', 'wrote',
];

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

// esbuild bundles, and renames the properties; terser is better at the rest.
const { outputFiles: [bundle] } = await build({
  entryPoints: [at('src/index.js')],
  write: false,
  bundle: true,
  minify: true,
  mangleProps: new RegExp(`^(${INTERNAL.join('|')})$`),
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
});
const { code } = await minify(bundle.text, {
  module: true,
  ecma: 2020,
  compress: {
    passes: 3, inline: 1, hoist_funs: true, sequences: false, unsafe_arrows: true, keep_fargs: false, pure_getters: true,
  },
});
await mkdir(at('dist'), { recursive: true });
await writeFile(at('dist/webwire.min.js'), code);
const size = gzipSync(code, { level: 9 }).length;
console.log(`${code.length} bytes minified, ${size} of ${LIMIT} bytes compressed`);
if (size > LIMIT) process.exitCode = 1;
