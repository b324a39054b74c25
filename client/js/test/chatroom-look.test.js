// How the chatroom looks and reads: to assistive technology, without a mouse, without
// colours, on small screens, in other languages and offline.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import axe from 'axe-core';
import { browserMissing } from './support/browser.js';
import { House, User, launch } from './support/chatroom.js';
import { goMissing } from './support/servers.js';

const skip = await browserMissing() || await goMissing();
const WIDE = 'W'.repeat(24); // the longest name of a user and of a room

describe('looks of the chatroom', { skip, timeout: 600_000 }, () => {
  let browser;
  let house;
  let ada;
  let bob;

  before(async () => {
    house = new House();
    house.write('lobby', [
      ['Grace', 'A first message'], [WIDE, 'One of somebody with a wide name'], ['Grace', 'w'.repeat(300)],
      ['נועה', 'שלום עולם, מה שלומך? (https://example.com/a_(b))'], ['Grace', 'לא hello\nhello לא'],
    ], new Date().setHours(-10, 5, 0, 0));
    await house.start();
    browser = await launch();
    ada = await User.enter(browser, house, 'Ada');
    bob = await User.enter(browser, house, WIDE);
  });

  after(async () => {
    await browser?.close();
    await house?.remove();
  });

  // findings are what axe finds wrong with a page.
  async function findings({ page }) {
    await page.evaluate(axe.source); // which the content security policy does not concern
    const { violations } = await page.evaluate(() => window.axe.run());
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  }

  // sideways are the elements that are wider than their place.
  const sideways = ({ page }) => page.evaluate(() => ['html', '#scroller', '#sidebar', '#room']
    .filter((name) => document.querySelector(name).scrollWidth > document.querySelector(name).clientWidth));

  test('axe finds nothing, in any state', async () => {
    const eve = new User(await (await browser.newContext({ locale: 'en-GB' })).newPage(), 'Eve');
    await eve.page.goto(house.url);
    await eve.page.getByRole('button', { name: 'Sign in' }).click();
    await eve.sees('Please type a name.');
    for (const colorScheme of ['light', 'dark']) {
      await eve.page.emulateMedia({ colorScheme });
      assert.deepEqual(await findings(eve), [], `signing in, ${colorScheme}`);
    }
    await eve.page.context().close();

    const unblock = house.block('broken');
    await ada.say('Hello');
    await ada.page.goto(`${house.url}#broken`);
    await ada.page.locator('#problem').waitFor();
    for (const colorScheme of ['light', 'dark']) {
      await ada.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      assert.deepEqual(await findings(ada), [], `a room that cannot be entered, ${colorScheme}`);
    }
    unblock();
    await ada.page.getByRole('link', { name: 'lobby' }).click();
    await ada.hears('Hello');
    await ada.page.context().setOffline(true);
    await ada.sees('Your device is offline.');
    await ada.page.evaluate(() => {
      const item = { id: 'refused-before', name: 'Ada', room: 'lobby', text: 'refused', order: 1, time: new Date().toISOString(), failed: 'no reason' };
      localStorage.setItem(`chatroom.unsent.${item.id}`, JSON.stringify(item));
      dispatchEvent(new StorageEvent('storage', { key: `chatroom.unsent.${item.id}`, newValue: JSON.stringify(item) }));
    });
    await ada.sees('Not sent: no reason');
    for (const colorScheme of ['light', 'dark']) {
      await ada.page.emulateMedia({ colorScheme });
      for (const [width, height] of [[1100, 720], [320, 640]]) {
        await ada.page.setViewportSize({ width, height });
        assert.deepEqual(await findings(ada), [], `offline, ${colorScheme}, ${width} px`);
      }
      await ada.page.getByRole('button', { name: /^Rooms and people/ }).click();
      assert.deepEqual(await findings(ada), [], `the drawer, ${colorScheme}`);
      await ada.page.keyboard.press('Escape');
    }
    await ada.page.getByRole('button', { name: 'Delete' }).click();
    await ada.page.setViewportSize({ width: 1100, height: 720 });
    await ada.page.emulateMedia({ colorScheme: 'light', reducedMotion: null });
    await ada.page.context().setOffline(false);
    await ada.page.locator('#banner', { hasText: 'offline' }).waitFor({ state: 'detached' });
  });

  test('offline and back', async () => {
    await ada.page.context().setOffline(true);
    await ada.sees('Your device is offline.');
    await ada.say('written offline');
    await ada.page.locator('#pending .message').waitFor();
    assert.equal(await ada.page.locator('#pending .message').evaluate((item) => getComputedStyle(item).animationName), 'none', 'what is written is not seen at once');
    const back = await ada.awaits('#banner', 'Connected again.');
    await ada.page.context().setOffline(false);
    await bob.hears('written offline');
    await ada.hears('written offline');
    await back();
    await ada.page.evaluate(() => dispatchEvent(new Event('online'))); // this does not keep the banner
    await ada.page.locator('#banner:empty').waitFor({ state: 'attached' });
    assert.equal((await bob.texts()).filter((text) => text === 'written offline').length, 1);
  });

  test('the keyboard alone', async () => {
    const context = await browser.newContext({ locale: 'en-GB' });
    const { page } = new User(await context.newPage(), 'Kay');
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim());
    const tabTo = async (name) => {
      for (let i = 0; i < 30; i++) {
        if (name.test(await focused())) return;
        await page.keyboard.press('Tab');
      }
      assert.fail(`the tab key does not lead to ${name}`);
    };
    await page.goto(house.url);
    await page.locator('#name:focus').waitFor();
    await page.keyboard.type('Kay');
    await page.keyboard.press('Enter');
    await page.locator('#text:focus').waitFor();
    await page.keyboard.type('Typed, ');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('in two lines');
    await page.keyboard.press('Enter');
    await bob.page.locator('#messages .text', { hasText: 'in two lines' }).waitFor();

    await tabTo(/^Skip to the message field$/);
    assert.ok(await page.locator('.skip').evaluate((link) => link.getBoundingClientRect().height > 20), 'the link cannot be seen');
    await page.keyboard.press('Enter');
    await page.locator('#text:focus').waitFor();
    await tabTo(/^help/);
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'help', level: 1 }).waitFor();
    await page.locator('#text:focus').waitFor();
    await page.keyboard.type('In another room');
    await page.keyboard.press('Enter');
    await page.locator('#messages .text', { hasText: 'In another room' }).waitFor();
    await tabTo(/^Sign out$/);
    await page.keyboard.press('Enter');
    await page.locator('#name:focus').waitFor();
    await context.close();
  });

  test('forced colours', async () => {
    await ada.page.emulateMedia({ forcedColors: 'active' });
    const border = (locator) => locator.evaluate((e) => parseFloat(getComputedStyle(e).borderInlineStartWidth));
    assert.ok(await border(ada.page.locator('#rooms a[aria-current]')) > await border(ada.page.locator('#rooms a:not([aria-current])').first()));
    assert.ok(await border(ada.page.locator('#messages .bubble').first()) > 0);
    assert.deepEqual(await findings(ada), []);
    await ada.page.emulateMedia({ forcedColors: 'none' });
  });

  test('320 pixels, and names as long as they may be', async () => {
    await bob.page.getByLabel('Join or open a room').fill(WIDE);
    await bob.page.getByLabel('Join or open a room').press('Enter');
    await bob.page.getByRole('heading', { name: WIDE, level: 1 }).waitFor();
    await bob.page.setViewportSize({ width: 320, height: 640 });
    for (const room of [WIDE, 'lobby']) {
      await bob.page.getByRole('button', { name: /^Rooms and people/ }).click();
      assert.deepEqual(await sideways(bob), [], 'with the drawer');
      for (const place of ['#me', '#people bdi', '#rooms .room-name', '#room-title']) {
        for (const [title, text] of await bob.page.locator(place).evaluateAll((all) => all.map((e) => [e.title, e.textContent]))) assert.equal(title, text, place);
      }
      await bob.page.getByRole('link', { name: room }).click();
      if (await bob.page.evaluate(() => document.body.classList.contains('drawer'))) await bob.page.keyboard.press('Escape');
      await bob.page.getByRole('heading', { name: room, level: 1 }).waitFor();
      assert.deepEqual(await sideways(bob), [], room);
    }
    await bob.page.setViewportSize({ width: 1100, height: 720 });
  });

  test('case does not tell rooms apart', async () => {
    await ada.page.getByLabel('Join or open a room').fill(`#${WIDE.toLowerCase()}`);
    await ada.page.getByLabel('Join or open a room').press('Enter');
    await ada.page.getByRole('heading', { name: WIDE, level: 1 }).waitFor();
    await ada.sees('2 people here');
    assert.equal(await ada.page.locator('#rooms .room-name', { hasText: /^w+$/i }).count(), 1);
    await ada.page.goto(`${house.url}#LOBBY`);
    await ada.page.getByRole('heading', { name: 'lobby', level: 1 }).waitFor();
    await ada.page.goto(`${house.url}#${WIDE}`);
    await ada.page.getByRole('heading', { name: WIDE, level: 1 }).waitFor();
    await ada.page.getByRole('button', { name: 'Leave this room' }).click();
    await ada.page.getByRole('heading', { name: WIDE, level: 1 }).waitFor({ state: 'hidden' });
    await ada.enter('lobby');
  });

  test('right to left', async () => {
    const bubble = ada.page.locator('.bubble', { hasText: 'שלום' });
    const at = (locator) => locator.evaluate((e) => e.getBoundingClientRect().toJSON());
    assert.equal(await bubble.evaluate((e) => getComputedStyle(e).direction), 'rtl');
    const [frame, time, author] = [await at(bubble), await at(bubble.locator('time')), await at(bubble.locator('.author'))];
    assert.ok(time.x - frame.x < frame.right - time.right, 'the time is where the text begins');
    assert.ok(author.width > 0);
    assert.equal(await bubble.locator('a').getAttribute('href'), 'https://example.com/a_(b)');
    assert.equal(await ada.page.locator('.bubble', { hasText: 'A first message' }).evaluate((e) => getComputedStyle(e).direction), 'ltr');
    await ada.field.fill('שלום');
    assert.equal(await ada.field.evaluate((e) => getComputedStyle(e).direction), 'rtl');
    await ada.field.fill('');
    const noa = await User.enter(browser, house, 'נועה.');
    const typing = await ada.awaits('#typing-text', 'נועה. is typing');
    const isolated = await ada.awaits('#typing-text', 'נועה.', 'bdi');
    await noa.hears('A first message'); // so she is in the room
    const again = setInterval(() => noa.field.press('a').catch(() => {}), 1000); // somebody else may be typing still
    try {
      await typing();
    } finally {
      clearInterval(again);
    }
    await isolated();
    await noa.page.context().close();
  });

  test('times are those of the reader', async () => {
    for (const [locale, time, day] of [['en-US', /^\d+:\d\d\s[AP]M$/u, 'Yesterday'], ['de-DE', /^\d\d:\d\d$/, 'Gestern'], ['ar-EG', /[٠-٩]/, 'أمس']]) {
      const reader = await User.enter(browser, house, `Reader ${locale}`, { locale });
      await reader.hears('A first message');
      assert.match(await reader.page.locator('#messages time').first().textContent(), time, locale);
      assert.equal(await reader.page.locator('#messages .day').first().textContent(), day);
      await reader.page.context().close();
    }
  });

  test('no page had an error', () => {
    assert.deepEqual(ada.errors, []);
    assert.deepEqual(bob.errors, []);
  });
});
