// The dashboard of examples/dashboard for tests in a browser: its server, as a process.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

export class Dashboard {
  #dir = mkdtempSync(join(tmpdir(), 'dashboard-'));
  #process;
  host = '127.0.0.1:0';

  constructor() {
    execFileSync('go', ['build', '-o', join(this.#dir, 'dashboard'), './examples/dashboard'], { cwd: ROOT, stdio: 'inherit' });
  }

  // start resolves when the server listens, at the port it had before.
  async start() {
    this.#process = spawn(join(this.#dir, 'dashboard'), ['-addr', this.host], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface(this.#process.stdout), 'line');
    [, this.host] = /http:\/\/(\S+)/.exec(line);
  }

  async kill() {
    const exit = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exit;
    this.#process = undefined;
  }

  async remove() {
    if (this.#process) await this.kill();
    rmSync(this.#dir, { recursive: true });
  }
}

// points returns the times of the points of a metric in a page, with null for each gap.
export const points = (page, name) => page.evaluate(async (metric) => {
  const { cards } = await import('/app.js');
  return cards.get(metric)?.points.map(({ T, V }) => (V === null ? null : T)) ?? [];
}, name);

// grown waits until a page has a point, or more, that are later than a time.
export async function grown(page, name, after, count = 1) {
  // Not waitForFunction: to that a promise, which is what a function that imports returns, is true.
  while ((await points(page, name)).filter((t) => t !== null && t > after).length < count) {
    await page.waitForTimeout(50);
  }
}
