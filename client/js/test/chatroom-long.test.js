// The chatroom with much in it: long messages, long queues, and rooms that cannot be
// entered.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { browserMissing } from './support/browser.js';
import { House, User, launch } from './support/chatroom.js';
import { goMissing } from './support/servers.js';

const skip = await browserMissing() || await goMissing();

const COUNT = 1000;
const SOAK = Boolean(process.env.WEBWIRE_SOAK);
// The server allows 200 requests at once, then 20 a second, so the queue takes 5 s, and 40 s
// in the long form. At two messages a second it would take 490 s.
const QUEUED = SOAK ? 1000 : 300;
const SENDING = 240_000;
const BUSY = 4000; // milliseconds that a page may be busy at a time, in the long form

// long is one of many messages of the greatest length: 2000 characters, with those
// that take most room in JSON, and in UTF-8.
const long = (what, i) => `${what} ${i} ${'<ü\u2028語🦄'.repeat(400)}`.slice(0, 2400).trim();
const fit = (text) => [...text].slice(0, 2000).join('').trim();

describe('a chatroom with much in it', { skip, timeout: 900_000 }, () => {
  let browser;
  let house;
  let ada;
  let bob;

  before(async () => {
    house = new House();
    house.write('lobby', Array.from({ length: COUNT }, (_, i) => ['Grace', fit(long('old', i + 1))]));
    await house.start();
    browser = await launch();
    ada = await User.enter(browser, house, 'Ada');
  });

  after(async () => {
    await browser?.close();
    await house?.remove();
  });

  // numbers are those of the messages in the room, as they follow one another.
  const numbers = (user, what) => user.page.locator('#messages .text').evaluateAll(
    (texts, word) => texts.map(({ textContent }) => textContent.split(' ')).filter(([first]) => first === word).map(([, number]) => Number(number)),
    what,
  );
  const newest = (user) => user.page.locator('#messages .text', { hasText: `old ${COUNT} ` }).waitFor();
  // inView waits until the last message is in view.
  const inView = (user) => user.page.waitForFunction(() => (
    [...document.querySelectorAll('#messages .message')].at(-1).getBoundingClientRect().bottom <= innerHeight
  ), undefined, { polling: 50 });

  test('1,000 long messages: a newcomer, and a reload', async () => {
    await newest(ada);
    await ada.page.reload();
    await newest(ada);
    bob = await User.enter(browser, house, 'Bob');
    await newest(bob);
    for (const user of [ada, bob]) {
      await user.page.waitForFunction(() => document.getElementById('scroller').scrollTop >= document.getElementById('scroller').clientHeight);
      await inView(user);
      const shown = await numbers(user, 'old');
      assert.deepEqual(shown, Array.from(shown, (_, i) => COUNT - shown.length + 1 + i));
      assert.ok(await user.page.locator('#problem').isHidden());
    }
    assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'text');
    await bob.say('I can read it');
    await ada.hears('I can read it');
  });

  test('scrolling up shows what was said before, and moves nothing', async () => {
    for (let before = 0; before < 40;) {
      const top = await ada.page.evaluate(async () => {
        const scroller = document.getElementById('scroller');
        const first = document.querySelector('#messages .message');
        scroller.scrollTop = 50;
        const there = first.getBoundingClientRect().top;
        await new Promise((done) => new MutationObserver(done).observe(document.getElementById('messages'), { childList: true }));
        await new Promise(requestAnimationFrame);
        return first.getBoundingClientRect().top - there;
      });
      assert.ok(Math.abs(top) < 60, `what was in view moved by ${top} pixels`);
      before = (await numbers(ada, 'old')).length;
    }
    const shown = await numbers(ada, 'old');
    assert.deepEqual(shown, Array.from(shown, (_, i) => COUNT - shown.length + 1 + i));
  });

  test(`${QUEUED} messages in the queue do not block the page, and arrive once, in order`, async (t) => {
    const busy = async (what) => {
      const ms = await ada.page.evaluate(() => window.busy);
      t.diagnostic(`figure: the page was busy for ${ms} ms at most while messages were ${what}`);
      if (SOAK) assert.ok(ms < BUSY, `${ms} ms`);
    };
    await house.kill();
    await ada.sees('No connection.');
    const watch = () => {
      window.busy = 0;
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) window.busy = Math.max(window.busy, duration);
      }).observe({ entryTypes: ['longtask'] });
    };
    await ada.page.evaluate(watch);
    await ada.page.evaluate(async (count) => {
      const field = document.getElementById('text');
      for (let i = 1; i <= count; i++) {
        field.value = `queued ${i} ${'Grüße aus Köln, '.repeat(120)}`;
        field.dispatchEvent(new Event('input'));
        document.getElementById('composer').requestSubmit();
        await new Promise((resolve) => setTimeout(resolve));
      }
    }, QUEUED);
    await ada.sees(`${QUEUED - 50} more messages wait to be sent`);
    assert.equal(await ada.page.locator('#pending .message').count(), 50);
    await busy('written');

    const pending = (count) => ada.page.waitForFunction(
      (n) => Object.keys(localStorage).filter((key) => key.startsWith('chatroom.unsent.')).length <= n, count, { timeout: SENDING, polling: 50 });
    house.silence();
    await house.start();
    await pending(QUEUED - 50);
    await ada.page.reload(); // in the middle of it
    await ada.page.locator('#chat').waitFor();
    await ada.page.evaluate(watch);
    await ada.enter('help'); // meanwhile the page can be used
    await ada.sees('1 person here');
    await ada.enter('lobby');
    await pending(0);
    await busy('sent');
    const wanted = Array.from({ length: QUEUED }, (_, i) => i + 1);
    for (const user of [ada, bob]) {
      await user.page.locator('#messages .text', { hasText: `queued ${QUEUED} ` }).waitFor();
      const heard = await numbers(user, 'queued');
      assert.deepEqual(heard, wanted.slice(-heard.length));
    }
    await inView(bob);
  });

  test('a room that cannot be entered says so', async () => {
    const unblock = house.block('broken');
    await ada.page.goto(`${house.url}#broken`);
    await ada.page.getByRole('alert').getByText('You are not in broken: the server failed').waitFor();
    await ada.say('kept until it can be');
    await ada.page.locator('#pending .message').waitFor();
    await ada.page.getByRole('link', { name: 'lobby' }).click();
    await ada.say('other rooms do not wait for that');
    await bob.hears('other rooms do not wait for that');
    await ada.page.goBack();
    await ada.page.getByRole('alert').getByText('You are not in broken: the server failed').waitFor();
    unblock();
    await ada.page.locator('#problem').getByRole('button', { name: 'Try again' }).press('Enter');
    await ada.page.locator('#problem').waitFor({ state: 'hidden' });
    await ada.sees('1 person here');
    await ada.hears('kept until it can be');
  });

  test('no page had an error', () => {
    assert.deepEqual(ada.errors, []);
    assert.deepEqual(bob.errors, []);
  });
});
