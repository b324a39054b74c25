// The chatroom of examples/chatroom for tests in a browser: its server, as a process
// that can be killed, and its users.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { args, executablePath } from './browser.js';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

// launch starts a browser in which every user has a profile of their own.
export async function launch() {
  const { chromium } = await import('playwright-core');
  return chromium.launch({ executablePath, args });
}

// House is a server with files of its own.
export class House {
  #dir = mkdtempSync(join(tmpdir(), 'chatroom-'));
  #process;
  #port = 0;

  constructor() {
    execFileSync('go', ['build', '-o', join(this.#dir, 'chatroom'), './examples/chatroom'], { cwd: ROOT, stdio: 'inherit' });
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/`;
  }

  // write makes the history of a room, as the server keeps it: names and texts, from
  // a minute to the next. The server must not run.
  write(room, said, since = Date.now() - said.length * 60_000) {
    const dir = join(this.#data, 'rooms');
    mkdirSync(dir, { recursive: true });
    const lines = said.map(([name, text], i) => JSON.stringify({
      room, seq: i + 1, id: `${room}-message-${i}`, name, text, time: new Date(since + i * 60_000).toISOString(),
    }));
    writeFileSync(join(dir, `${room}.jsonl`), `${lines.join('\n')}\n`);
  }

  // block makes a room one that cannot be opened, until the function it returns is
  // called. The room must be new.
  block(room) {
    const file = join(this.#data, 'rooms', `${room}.jsonl`);
    mkdirSync(file);
    return () => rmSync(file, { recursive: true });
  }

  // forget signs everybody out. The server must not run.
  forget() {
    for (const name of ['sessions', 'names.json']) rmSync(join(this.#data, name), { recursive: true });
  }

  // silence lets an hour pass in which nobody said anything. The server must not run.
  silence() {
    const file = join(this.#data, 'names.json');
    const names = JSON.parse(readFileSync(file, 'utf8'));
    const before = (time) => new Date(new Date(time) - 3_600_000).toISOString();
    writeFileSync(file, JSON.stringify(names.map((name) => ({ ...name, empty: before(name.empty) }))));
  }

  get #data() {
    return join(this.#dir, 'data');
  }

  // start resolves when the server listens, at the port it had before.
  async start() {
    const command = ['server', '-addr', `127.0.0.1:${this.#port}`, '-data', this.#data];
    this.#process = spawn(join(this.#dir, 'chatroom'), command, { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: this.#process.stdout })) {
      this.#port = Number(/http:\/\/[^ ]*:(\d+)/.exec(line)?.[1]);
      if (this.#port) return;
    }
    throw new Error('the chatroom does not start');
  }

  // kill is kill -9 unless another signal is named; it resolves to the exit code.
  async kill(signal = 'SIGKILL') {
    const exit = once(this.#process, 'exit');
    this.#process.kill(signal);
    const [code] = await exit;
    this.#process = undefined;
    return code;
  }

  async remove() {
    if (this.#process) await this.kill();
    rmSync(this.#dir, { recursive: true });
  }
}

// User is somebody with a browser.
export class User {
  static async enter(browser, house, name, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1100, height: 720 }, locale: 'en-GB', ...options });
    const user = new User(await context.newPage(), name);
    await user.page.goto(house.url);
    await user.signIn();
    return user;
  }

  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.errors = [];
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('console', (message) => {
      // The browser itself reports connections that fail.
      const expected = /WebSocket connection|Failed to load resource/.test(message.text());
      if (message.type() === 'error' && !expected) this.errors.push(message.text());
    });
  }

  async signIn(name = this.name) {
    await this.page.getByLabel('Your name').fill(name);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.page.locator('#chat').waitFor();
  }

  get field() {
    return this.page.getByRole('textbox', { name: /^Message to/ });
  }

  async say(text) {
    await this.field.fill(text);
    await this.field.press('Enter');
  }

  // hears waits until the message is there, confirmed by the server.
  async hears(text) {
    await this.page.locator('#messages .text').getByText(text, { exact: true }).first().waitFor();
  }

  async sees(text) {
    await this.page.getByText(text).filter({ visible: true }).first().waitFor();
  }

  // texts are all messages, those not sent yet too.
  async texts() {
    return this.page.locator('.message .text').allTextContents();
  }

  async enter(room) {
    await this.page.getByRole('navigation', { name: 'Rooms' }).getByRole('link', { name: room }).click();
    await this.page.getByRole('heading', { name: room, level: 1 }).waitFor();
  }
}
