// The dashboard of examples/dashboard for tests in a browser: its server, as a process.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program, built } from './programs.js';

export class Dashboard {
  #dir = mkdtempSync(join(tmpdir(), 'dashboard-'));
  #path = built(this.#dir, './examples/dashboard');
  #program;
  host = '127.0.0.1:0';

  // start resolves when the server listens, at the port it had before.
  async start() {
    this.#program = await Program.start(this.#path, ['-addr', this.host], /http:\/\/([^/\s]+)/);
    this.host = this.#program.where;
  }

  async kill() {
    await this.#program.kill();
    this.#program = undefined;
  }

  async remove() {
    if (this.#program) await this.kill();
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
