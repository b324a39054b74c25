// The chatroom of examples/chatroom, in a browser: the client of this package in a
// page that people use, through everything that happens to connections.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { browserMissing } from './support/browser.js';
import { House, User, launch } from './support/chatroom.js';
import { goMissing } from './support/servers.js';

const skip = await browserMissing() || await goMissing();

describe('chatroom', { skip, timeout: 600_000 }, () => {
  let browser;
  let house;
  let ada;
  let bob;

  before(async () => {
    house = new House();
    const noon = new Date().setHours(-12, 0, 0, 0); // yesterday's
    house.write('old', Array.from({ length: 130 }, (_, i) => ['Grace', `old ${i + 1}`]), noon);
    await house.start();
    browser = await launch();
    ada = await User.enter(browser, house, 'Ada');
    bob = await User.enter(browser, house, 'Bob');
  });

  after(async () => {
    await browser?.close();
    await house?.remove();
  });

  test('two users talk', async () => {
    await ada.sees('Bob joined');
    await ada.sees('2 people here');
    await ada.say('Hello from Ada');
    await bob.hears('Hello from Ada');
    await bob.say('Hello from Bob\nin two lines');
    await ada.page.locator('#messages .text', { hasText: 'in two lines' }).waitFor();
    assert.deepEqual(await ada.texts(), ['Hello from Ada', 'Hello from Bob\nin two lines']);
    assert.equal(await bob.page.locator('.mine .text').textContent(), 'Hello from Bob\nin two lines');
  });

  test('HTML is text', async () => {
    await ada.say('<img src=x onerror=alert(1)> https://example.com/?a=1&b=2.');
    await bob.hears('<img src=x onerror=alert(1)> https://example.com/?a=1&b=2.');
    const link = bob.page.locator('#messages a');
    assert.equal(await link.getAttribute('href'), 'https://example.com/?a=1&b=2');
    assert.equal(await bob.page.locator('#messages img').count(), 0);
  });

  test('typing is announced', async () => {
    const typing = await bob.awaits('#typing-text', 'Ada is typing');
    await ada.field.pressSequentially('Let me think');
    await typing();
    await ada.field.press('Enter');
    await bob.hears('Let me think');
    await bob.page.locator('#typing.active').waitFor({ state: 'detached' });
  });

  test('a name belongs to one', async () => {
    const context = await browser.newContext();
    const eve = new User(await context.newPage(), 'Eve');
    await eve.page.goto(house.url);
    await eve.page.getByLabel('Your name').fill('ada');
    await eve.page.getByRole('button', { name: 'Sign in' }).click();
    await eve.page.getByRole('alert').getByText('Somebody else has this name.').waitFor();
    assert.equal(await eve.page.evaluate(() => document.activeElement.id), 'name');
    await context.close();
  });

  test('a reload keeps who is signed in, and what was typed', async () => {
    await ada.field.fill('not finished');
    await ada.page.reload();
    await ada.hears('Hello from Ada');
    assert.equal(await ada.page.locator('#me').textContent(), 'Ada');
    assert.equal(await ada.field.inputValue(), 'not finished');
    await ada.field.fill('');
    assert.equal(await bob.page.getByText('Ada left').count(), 0);
  });

  test('rooms', async () => {
    await ada.page.getByLabel('Join or open a room').fill('tea');
    await ada.page.getByLabel('Join or open a room').press('Enter');
    await ada.page.getByRole('heading', { name: 'tea', level: 1 }).waitFor();
    await ada.say('Only for who likes tea');
    await ada.hears('Only for who likes tea');
    await ada.page.goBack();
    await ada.say('This is for the lobby');
    await bob.hears('This is for the lobby');
    assert.ok(!(await bob.texts()).includes('Only for who likes tea'));
    await ada.enter('tea');
    await bob.enter('tea');
    await bob.hears('Only for who likes tea');
    await bob.say('I do');
    await ada.hears('I do');

    await ada.enter('lobby');
    await ada.hears('Hello from Ada');
    await bob.say('Are you there?');
    await ada.page.getByRole('link', { name: /tea.*1 unread/ }).waitFor();
    await ada.page.goBack();
    await ada.hears('Are you there?');
    await ada.page.getByRole('button', { name: 'Leave this room' }).click();
    await ada.page.getByRole('heading', { name: 'lobby', level: 1 }).waitFor();
    await bob.sees('Ada left');
    await bob.enter('lobby');

    await ada.page.getByLabel('Join or open a room').fill('<no room>');
    await ada.page.getByLabel('Join or open a room').press('Enter');
    await ada.sees('Up to 24 letters');
  });

  test('earlier messages', async () => {
    await ada.enter('old');
    await ada.hears('old 130');
    assert.equal((await ada.texts()).length, 100);
    await ada.page.getByRole('button', { name: 'Show earlier messages' }).waitFor();
    await ada.page.locator('#scroller').evaluate((scroller) => { scroller.scrollTop = 0; });
    await ada.hears('old 1');
    assert.deepEqual(await ada.texts(), Array.from({ length: 130 }, (_, i) => `old ${i + 1}`));
    assert.equal(await ada.page.locator('#messages .day').count(), 1);
    await ada.page.locator('#earlier').waitFor({ state: 'hidden' });
    await ada.page.getByRole('button', { name: 'Leave this room' }).click();
    await ada.enter('lobby');
  });

  test('kill -9: nothing is lost or doubled', async () => {
    await ada.say('before');
    await bob.hears('before');
    await house.kill();
    await ada.sees('No connection.');
    await bob.sees('No connection.');
    for (let i = 1; i <= 5; i++) await ada.say(`while it was down ${i}`);
    await ada.page.locator('#pending .message').nth(4).waitFor();
    assert.equal(await ada.page.locator('#pending .message').count(), 5);
    await bob.say('so did I');
    await ada.page.goto('about:blank'); // the page is closed before anything could be sent
    const back = await bob.awaits('#banner', 'Connected again.');
    await house.start();
    await ada.page.goto(house.url);
    await bob.hears('while it was down 5');
    await ada.hears('so did I');
    await ada.hears('while it was down 5');
    await bob.hears('so did I');
    await ada.page.locator('#pending .message').first().waitFor({ state: 'detached' });
    await bob.page.locator('#pending .message').first().waitFor({ state: 'detached' });

    const wanted = ['before', ...[1, 2, 3, 4, 5].map((i) => `while it was down ${i}`)];
    for (const user of [ada, bob]) {
      const texts = await user.texts();
      assert.deepEqual(texts.filter((text) => wanted.includes(text)), wanted, `${user.name} has ${texts}`);
      assert.equal(texts.filter((text) => text === 'so did I').length, 1);
      assert.equal(await user.page.locator('#me').textContent(), user.name);
    }
    await back();
  });

  test('a message whose answer is lost is there once', async () => {
    // What the server has stored when it is killed is sent again: it cannot be known.
    await ada.page.evaluate(() => {
      const { send } = WebSocket.prototype;
      WebSocket.prototype.send = function (...args) {
        this.onmessage = null; // the answer does not arrive
        send.apply(this, args);
        WebSocket.prototype.send = send;
      };
    });
    await ada.say('once');
    await bob.hears('once');
    await ada.page.locator('#pending .message').waitFor();
    await house.kill();
    await house.start();
    await ada.hears('once');
    await ada.page.locator('#pending .message').waitFor({ state: 'detached' });
    await ada.say('after once');
    await bob.hears('after once');
    for (const user of [ada, bob]) assert.equal((await user.texts()).filter((text) => text === 'once').length, 1);
  });

  test('two tabs are one user', async () => {
    const tab = new User(await ada.page.context().newPage(), 'Ada');
    await tab.page.goto(house.url);
    await tab.hears('after once');
    await tab.say('from another tab');
    await ada.hears('from another tab');
    await bob.hears('from another tab');
    assert.equal((await bob.texts()).filter((text) => text === 'from another tab').length, 1);
    await tab.page.close();
    assert.deepEqual(tab.errors, []);
  });

  test('too long a text cannot be sent, and is not cut', async () => {
    await ada.field.fill('x'.repeat(2003));
    await ada.sees('3 characters too many');
    await ada.field.press('Enter');
    assert.equal((await ada.field.inputValue()).length, 2003);
    await ada.field.fill('');
  });

  test('a small screen, and the keyboard', async () => {
    await ada.page.setViewportSize({ width: 390, height: 780 });
    const menu = ada.page.getByRole('button', { name: /^Rooms and people/ });
    await menu.click();
    assert.equal(await menu.getAttribute('aria-expanded'), 'true');
    assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'sidebar-close');
    await ada.page.keyboard.press('Escape');
    await ada.page.locator('#sidebar').waitFor({ state: 'hidden' });
    assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'sidebar-open');
    await ada.page.getByRole('link', { name: 'Skip to the message field' }).focus();
    await ada.page.keyboard.press('Enter');
    assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'text');
    assert.equal(await ada.page.getByRole('heading', { level: 1 }).textContent(), 'lobby');
    assert.ok(await ada.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it scrolls sideways');
    await ada.page.setViewportSize({ width: 1100, height: 720 });
  });

  test('signing out throws nothing away without a question', async () => {
    await bob.page.evaluate(() => {
      const item = { id: 'refused-before', name: 'Bob', room: 'lobby', text: 'refused', order: 1, time: new Date().toISOString(), failed: 'no reason' };
      localStorage.setItem(`chatroom.unsent.${item.id}`, JSON.stringify(item));
    });
    await bob.page.reload();
    await bob.sees('Not sent: no reason');
    await bob.page.getByRole('button', { name: 'Sign out' }).click();
    const question = bob.page.getByRole('dialog', { name: 'Some messages are not sent yet' });
    await question.getByRole('button', { name: 'Stay' }).click();
    await question.waitFor({ state: 'hidden' });
    await bob.page.getByRole('button', { name: 'Try again' }).click();
    await ada.hears('refused');
    await bob.page.locator('#pending .message').waitFor({ state: 'detached' });
  });

  test('signing out', async () => {
    await bob.page.getByRole('button', { name: 'Sign out' }).click();
    await bob.page.getByLabel('Your name').waitFor();
    await ada.sees('Bob left');
    await bob.page.reload();
    await bob.page.getByLabel('Your name').waitFor();
    await bob.signIn('Bobby');
    await bob.hears('after once');
    await ada.sees('Bobby joined');
  });

  test('a page that is left open over midnight', async () => {
    const night = new Date().setHours(24, -1, 30, 0);
    await house.kill();
    house.write('night', [['Grace', 'Good night']], night);
    await house.start();
    await ada.page.clock.setFixedTime(night + 10_000);
    await ada.page.reload();
    await ada.enter('night');
    await ada.hears('Good night');
    const days = () => ada.page.locator('#messages .day').allTextContents();
    assert.deepEqual(await days(), ['Today']);

    await house.kill();
    house.write('night', [['Grace', 'Good night'], ['Grace', 'Good morning']], night);
    await ada.page.clock.setFixedTime(night + 70_000);
    await house.start();
    await ada.hears('Good morning');
    assert.deepEqual(await days(), ['Yesterday', 'Today']);
  });

  test('ctrl-C ends the server in good order', async () => {
    assert.equal(await house.kill('SIGINT'), 0);
    await ada.sees('No connection.');
  });

  test('no page had an error', () => {
    assert.deepEqual(ada.errors, []);
    assert.deepEqual(bob.errors, []);
  });
});
