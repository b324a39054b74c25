// The interop contract against the server of this repository, in Node.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { names, slow, tryStep } from './support/contract.js';
import { Server, build, goMissing } from './support/servers.js';

const skip = await goMissing();

const VERSIONS = ['1.2', '2.0', '3.0'];
const NEGOTIATE = ['metadata', 'token', 'none']; // none speaks what the endpoint does

describe('contract', { skip }, () => {
  const servers = {};
  let binary;

  before(async () => {
    binary = await build();
    for (const version of VERSIONS) servers[version] = await Server.start(binary.path, version);
  });

  after(async () => {
    await Promise.all(Object.values(servers).map((server) => server.kill()));
    await binary.remove();
  });

  // What only waits does so all at once, and on a machine that does nothing else.
  for (const [what, steps, concurrency] of [
    ['slow steps', slow, slow.length * VERSIONS.length * NEGOTIATE.length], ['others', names.filter((name) => !slow.includes(name)), 4],
  ]) {
    describe(what, { concurrency }, () => {
      for (const version of VERSIONS) {
        for (const negotiate of NEGOTIATE) {
          for (const name of steps) {
            test(`${version}, ${negotiate}: ${name}`, { timeout: 600_000 }, async () => {
              const { addr } = servers[version];
              assert.equal(await tryStep(name, { addr, version, negotiate, WebSocket }), '');
            });
          }
        }
      }
    });
  }
});
