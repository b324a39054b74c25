// Who is signed in to the chatroom of examples/chatroom, and in which rooms: when
// sessions end, cannot be restored, or change hands.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { browserMissing } from './support/browser.js';
import { House, User, launch } from './support/chatroom.js';
import { goMissing } from './support/servers.js';

const skip = await browserMissing() || await goMissing();

describe('users of the chatroom', { skip, timeout: 600_000 }, () => {
  let browser;
  let house;
  let ada;
  let bob;

  before(async () => {
    house = new House();
    await house.start();
    browser = await launch();
    ada = await User.enter(browser, house, 'Ada');
    bob = await User.enter(browser, house, 'Bob');
  });

  after(async () => {
    await browser?.close();
    await house?.remove();
  });

  const invalid = (user, label) => user.page.getByLabel(label).getAttribute('aria-invalid');

  // leave closes the page of a user, and ends all sessions.
  async function leave(user) {
    await user.page.goto('about:blank');
    house.forget();
    await house.start();
    await user.page.goto(house.url);
  }

  test('a link to a room that there cannot be', async () => {
    await ada.say('before');
    await ada.hears('before');
    for (const room of ['Kitchen%20Sink', 'Tea!']) {
      await ada.page.goto('about:blank');
      await ada.page.goto(`${house.url}#${room}`);
      await ada.sees('the name of a room has 1 to 24 letters (a to z)');
      await ada.page.getByRole('heading', { name: 'lobby', level: 1 }).waitFor();
      await ada.hears('before');
      assert.equal(await ada.page.evaluate(() => location.hash), '#lobby');
      assert.deepEqual(await ada.page.locator('#rooms .room-name').allTextContents(), ['lobby', 'help', 'random']);
      assert.deepEqual(await ada.page.evaluate(() => JSON.parse(localStorage.getItem('chatroom.rooms'))), ['lobby']);
      await ada.page.locator('#banner:empty').waitFor({ state: 'attached' }); // connecting may have taken a while
      assert.equal(await invalid(ada, 'Join or open a room'), 'true');
    }
    await ada.say('still here');
    await bob.hears('still here');
  });

  test('fields say whether they are invalid', async () => {
    const color = () => ada.page.locator('#room-name').evaluate((field) => getComputedStyle(field).borderTopColor);
    await ada.enter('help');
    await ada.enter('lobby');
    assert.equal(await invalid(ada, 'Join or open a room'), 'false');
    const valid = await color();
    await ada.page.getByLabel('Join or open a room').fill('!');
    await ada.page.getByLabel('Join or open a room').press('Enter');
    assert.equal(await invalid(ada, 'Join or open a room'), 'true');
    await ada.field.focus();
    assert.notEqual(await color(), valid);
    await ada.enter('help');
    await ada.enter('lobby');
  });

  test('signed out while away', async () => {
    await house.kill();
    await ada.sees('No connection.');
    await bob.sees('No connection.');
    await ada.say('of Ada, and nobody else');
    await ada.field.fill('draft of Ada');
    await leave(ada);

    await ada.page.getByLabel('Your name').waitFor();
    await ada.sees('You were signed out.');
    assert.equal(await invalid(ada, 'Your name'), 'true');
    await bob.sees('You were signed out.');
    await bob.signIn();
    await ada.signIn('Eve');
    await ada.hears('still here');
    assert.equal(await ada.field.inputValue(), '');
    await ada.say('of Eve');
    await bob.hears('of Eve');
    assert.ok(!(await ada.texts()).includes('of Ada, and nobody else'));
    assert.ok(!(await bob.texts()).includes('of Ada, and nobody else'));

    await ada.field.fill('draft of Eve');
    await ada.page.getByRole('button', { name: 'Sign out' }).click(); // without a question
    await ada.page.getByLabel('Your name').waitFor();
    await ada.signIn();
    await bob.hears('of Ada, and nobody else');
    assert.equal(await ada.field.inputValue(), '');
    assert.equal(await bob.page.locator('.message', { hasText: 'of Ada, and' }).getAttribute('data-name'), 'Ada');
  });

  test('more tabs than a session may have', async () => {
    await ada.page.evaluate(async () => {
      const { Client } = await import('./webwire/index.js');
      window.others = Array.from({ length: 15 }, () => new Client('/ws'));
      await Promise.all(window.others.map((client) => client.connect()));
    });
    const tab = new User(await ada.page.context().newPage(), 'Ada');
    await tab.page.goto(house.url);
    await tab.sees('You cannot be signed in at the moment');
    assert.equal(await tab.page.locator('#me').textContent(), 'Ada');
    assert.ok(await tab.page.getByRole('button', { name: 'Sign out' }).isDisabled());
    await tab.say('from one tab too many');
    await tab.page.locator('#pending .message').waitFor();
    const back = await tab.awaits('#banner', 'Connected again.');
    await ada.page.evaluate(() => window.others.pop().close());
    await bob.hears('from one tab too many');
    await tab.hears('from one tab too many');
    await back();
    await tab.page.locator('#banner:empty').waitFor({ state: 'attached' });
    assert.ok(await tab.page.getByRole('button', { name: 'Sign out' }).isEnabled());
    await tab.page.close();
    assert.deepEqual(tab.errors, []);
  });

  test('no page had an error', () => {
    assert.deepEqual(ada.errors, []);
    assert.deepEqual(bob.errors, []);
  });
});
