// Other runtimes of JavaScript, from npm. Their packages fetch the programs for the
// platform as optional dependencies: there may be none.

import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const modules = fileURLToPath(new URL('../../node_modules/', import.meta.url));

// runtime returns the program of a package of npm that runs here, and its version,
// undefined if there is none: that which the package's install script has put in place,
// or, where such scripts are not run, that of the scope with a package per platform.
export async function runtime(installed, scope, ...path) {
  const dir = join(modules, scope);
  const platforms = existsSync(dir) ? readdirSync(dir) : [];
  for (const program of [join(modules, installed), ...platforms.map((platform) => join(dir, platform, ...path))]) {
    try {
      const { stdout } = await promisify(execFile)(program, ['--version']);
      return { program, version: stdout.trim().split('\n')[0] };
    } catch {
      // it is for another platform
    }
  }
  return undefined;
}
