// The JavaScript of docs/topics.md runs, and that of docs/web.md is that of the apps in
// examples/web, which have tests of their own. That of docs/testing.md runs in fakeserver.test.js.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ClosedError } from '../src/index.js';
import { FakeServer } from '../testing/index.js';
import { FakeStorage } from './support/storage.js';

const read = (path) => readFile(new URL(`../../../${path}`, import.meta.url), 'utf8');
const blocks = (text, language) => [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, code]) => code);

test('docs/topics.md', async (t) => {
  const programs = blocks(await read('docs/topics.md'), 'js');
  assert.ok(programs.length >= 4);
  for (const [i, program] of programs.entries()) {
    await t.test(`block ${i + 1}`, async () => {
      const server = new FakeServer();
      const client = server.client();
      const called = [];
      // What the blocks use without saying where it comes from.
      const names = {
        client,
        sessionStorage: new FakeStorage(),
        console: { log: (...args) => called.push(['log', ...args]) },
      };
      for (const name of ['handle', 'show', 'reload']) names[name] = (...args) => called.push([name, ...args]);
      const { constructor: AsyncFunction } = Object.getPrototypeOf(async () => {});
      const running = new AsyncFunction(...Object.keys(names), program)(...Object.values(names));
      const until = async (condition) => {
        while (!condition()) await Promise.race([running, new Promise((resolve) => { setImmediate(resolve); })]);
      };
      const topic = server.topic(/subscribe\('(.*?)'/.exec(program)[1]);
      await until(() => topic.subscribers.length);
      const position = topic.publish('said', 'hello');
      topic.enter('a', 'Ada');
      topic.gap(program.includes('onGap') ? 1 : undefined);
      const wanted = [];
      if (program.includes('message.payload')) wanted.push(['log', 'said', 'hello']);
      if (program.includes('handle(')) wanted.push('handle');
      if (program.includes('show(')) wanted.push('show');
      if (program.includes('onGap')) wanted.push('reload');
      if (program.includes('presence')) wanted.push(['log', 'enter', 'a', 'Ada']);
      assert.ok(wanted.length);
      const has = (want) => called.some((call) => (Array.isArray(want) ? String(call) === String(want) : call[0] === want));
      if (program.includes('onGap')) {
        await until(() => wanted.every(has));
        client.close();
        await assert.rejects(running, ClosedError);
      } else {
        await assert.rejects(running, { name: 'GapError' }); // as the page says
        assert.ok(wanted.every(has), `${wanted} are not among ${called}`);
      }
      if (program.includes('sessionStorage.setItem')) assert.equal(names.sessionStorage.getItem('room.42'), position);
      server.close();
      assert.deepEqual(server.errors, []);
    });
  }
});

// Blanks and line ends do not count, nor do elements that a page leaves out.
const words = (code) => code.replace(/\s+/g, ' ').trim();

test('docs/web.md', async () => {
  const text = await read('docs/web.md');
  const [js, jsx, html] = ['js', 'jsx', 'html'].map((language) => {
    const found = blocks(text, language);
    assert.equal(found.length, 1, language);
    return found[0];
  });
  assert.ok(words(await read('examples/web/vue/App.vue')).includes(words(html)));
  const app = words(await read('examples/web/react/app.jsx'));
  for (const line of jsx.split('\n').filter((each) => each.trim() && !each.includes('<p>'))) assert.ok(app.includes(words(line)), line);
  const [, name, argument] = /(import \{ Client \} from 'webwire';)\s+export const client = (new Client\('\/api'\));/.exec(js);
  for (const code of [name, argument]) assert.ok((await read('examples/web/react/main.jsx')).includes(code));
});
