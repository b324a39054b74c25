// The programs in Go that tests talk to.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

// SHARED are the packages of the programs that npm test builds once for all test files, into
// the directory that WEBWIRE_PROGRAMS names.
export const SHARED = ['./internal/check/interop/contractserver', './examples/chatroom', './examples/dashboard', './examples/list'];

// build builds programs into a directory, each under the last name of its package.
export function build(dir, ...packages) {
  execFileSync('go', ['build', '-o', `${dir}/`, ...packages], { cwd: ROOT, stdio: 'inherit' });
}

// built returns the program of a package: a shared one, or one that it builds into dir.
export function built(dir, name) {
  const shared = process.env.WEBWIRE_PROGRAMS;
  if (shared && SHARED.includes(name)) return join(shared, basename(name));
  build(dir, name);
  return join(dir, basename(name));
}

// A Program is a process that tells where it listens.
export class Program {
  // start resolves when a line of the output matches the pattern, whose first group is
  // where. It fails if the program ends before.
  static async start(command, args, pattern, options) {
    const program = new Program();
    program.process = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], ...options });
    program.exited = once(program.process, 'exit');
    program.where = await Promise.race([
      // The rest of the output is read too: a program blocks when the pipe is full.
      new Promise((resolve) => {
        createInterface(program.process.stdout).on('line', (line) => {
          const found = pattern.exec(line);
          if (found) resolve(found[1]);
        });
      }),
      program.exited.then(([code, signal]) => { throw new Error(`${command} ended before it listened: ${code ?? signal}`); }),
    ]);
    return program;
  }

  // kill resolves to the exit code of the program.
  async kill(signal = 'SIGKILL') {
    this.process.kill(signal);
    const [code] = await this.exited;
    return code;
  }
}
