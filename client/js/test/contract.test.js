// The interop contract against the server of this repository, in Node.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { names, tryStep } from './support/contract.js';
import { Server, build, goMissing } from './support/servers.js';

const skip = await goMissing();

describe('contract', { skip, concurrency: 4 }, () => {
  const servers = {};
  let binary;

  before(async () => {
    binary = await build();
    for (const version of ['1.2', '2.0', '3.0']) servers[version] = await Server.start(binary.path, version);
  });

  after(async () => {
    await Promise.all(Object.values(servers).map((server) => server.kill()));
    await binary.remove();
  });

  for (const version of ['1.2', '2.0', '3.0']) {
    // metadata and token negotiate, none speaks what the endpoint does.
    for (const negotiate of ['metadata', 'token', 'none']) {
      for (const name of names) {
        test(`${version}, ${negotiate}: ${name}`, { timeout: 600_000 }, async () => {
          const { addr } = servers[version];
          assert.equal(await tryStep(name, { addr, version, negotiate, WebSocket }), '');
        });
      }
    }
  }
});
