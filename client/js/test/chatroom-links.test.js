// Web addresses in messages of the chatroom.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';

const source = new URL('../../../examples/chatroom/web/links.js', import.meta.url);
const skip = !existsSync(source) && 'the chatroom is not here: this is not a checkout of the repository';

test('web addresses in a text', { skip }, async () => {
  const { links } = await import(source);
  // Addresses are between angle brackets.
  const marked = (text) => links(text).map((part) => (part.href ? `<${part.href}>` : part)).join('');
  for (const want of [
    'nothing at all', '', 'http:// is none', 'https://', 'see <https://x.y/z>', '<https://x.y/z>, and <http://a.b>!',
    '(<https://x.y/z>)', '(see <https://x.y/z>).', '[<https://x.y/z>]', '"<https://x.y/z>"', '“<https://x.y/z>”',
    '<https://en.wikipedia.org/wiki/Foo_(bar)>', '(<https://en.wikipedia.org/wiki/Foo_(bar)>)', '(<https://x.y/(a)(b)>).',
    '<https://x.y/a(b>', '<https://x.y/?a[]=1&b={c}>}', '<http://[::1]:8080/>', 'wait… <https://x.y/z>…', '看<https://x.y/z>。',
    '<https://x.y/>))))', '<https://x.y/?q=1>?', 'two\n<https://x.y/a>\n<https://x.y/b>',
    '<https://münchen.example/straße>',
  ]) {
    assert.equal(marked(want.replaceAll(/[<>]/g, '')), want);
  }
});

test('a hostile text takes no time', { skip }, async () => {
  const { links } = await import(source);
  const started = performance.now();
  for (const text of ['https://x/'.repeat(200), `https://x/${')'.repeat(1990)}`, `https://x/${'('.repeat(1990)}`, `https://x/${'.'.repeat(1990)}`]) links(text);
  assert.ok(performance.now() - started < 1000);
});
