// The chatroom of examples/chatroom for tests in a browser: its server, as a process
// that can be killed, and its users.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PATIENCE, args, executablePath } from './browser.js';
import { Program, built } from './programs.js';

// launch starts a browser in which every user has a profile of their own.
export async function launch() {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({ executablePath, args, timeout: PATIENCE });
  const { newContext } = browser;
  browser.newContext = async (options) => {
    const context = await newContext.call(browser, options);
    context.setDefaultTimeout(PATIENCE);
    return context;
  };
  return browser;
}

// House is a server with files of its own.
export class House {
  #dir = mkdtempSync(join(tmpdir(), 'chatroom-'));
  #path = built(this.#dir, './examples/chatroom');
  #program;
  #port = 0;

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
    this.#program = await Program.start(this.#path, command, /http:\/\/[^ ]*:(\d+)/);
    this.#port = Number(this.#program.where);
  }

  // kill is kill -9 unless another signal is named; it resolves to the exit code.
  async kill(signal = 'SIGKILL') {
    const code = await this.#program.kill(signal);
    this.#program = undefined;
    return code;
  }

  async remove() {
    if (this.#program) await this.kill();
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

  // awaits returns a function that waits until a text was in an element, if only for a moment,
  // since awaits resolved. If inner selects elements in it the text must be that of one of them.
  async awaits(selector, text, inner = '') {
    const id = await this.page.evaluate(([where, what, part]) => {
      window.awaited ??= [];
      const n = window.awaited.push(false) - 1;
      const element = document.querySelector(where);
      const is = () => (part ? [...element.querySelectorAll(part)].some((e) => e.textContent === what) : element.textContent.includes(what));
      const look = () => { window.awaited[n] ||= is(); };
      new MutationObserver(look).observe(element, { childList: true, characterData: true, subtree: true });
      look();
      return n;
    }, [selector, text, inner]);
    return () => this.page.waitForFunction((n) => window.awaited[n], id, { polling: 50 });
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
