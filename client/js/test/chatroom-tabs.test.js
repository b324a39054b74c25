// Two tabs of one browser, and two users: whatever one of them wrote, nobody else says.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { browserMissing } from './support/browser.js';
import { House, User, launch } from './support/chatroom.js';
import { goMissing } from './support/servers.js';

const skip = await browserMissing() || await goMissing();

describe('tabs of the chatroom', { skip, timeout: 600_000 }, () => {
  let browser;
  let house;
  let bob;

  before(async () => {
    house = new House();
    await house.start();
    browser = await launch();
    bob = await User.enter(browser, house, 'Bob');
  });

  after(async () => {
    await browser?.close();
    await house?.remove();
  });

  // cut is a page whose connection can be cut, and made possible again.
  async function cut(page) {
    const sockets = new Set();
    let down = false;
    await page.routeWebSocket('**/ws', (socket) => {
      if (down) {
        socket.close();
        return;
      }
      socket.connectToServer();
      sockets.add(socket);
    });
    return (cutOff) => {
      down = cutOff;
      if (cutOff) for (const socket of sockets) socket.close();
      sockets.clear();
    };
  }

  test('a tab that was away while another user signed in', async () => {
    const context = await browser.newContext({ locale: 'en-GB' });
    const one = new User(await context.newPage(), 'Ada');
    const setDown = await cut(one.page);
    await one.page.goto(house.url);
    await one.signIn();
    await one.say('Ada is here');
    await bob.hears('Ada is here');

    const two = new User(await context.newPage(), 'Dora');
    await two.page.goto(house.url);
    await two.hears('Ada is here');
    setDown(true);
    await one.sees('No connection.');
    // What waits belongs to Ada, whoever is signed in when the tab is back.
    await one.say('of Ada, from the first tab');
    await two.page.getByRole('button', { name: 'Sign out' }).click();
    const question = two.page.getByRole('dialog', { name: 'Some messages are not sent yet' });
    await question.getByRole('button', { name: 'Stay' }).click();
    // Another tab has that long to send it: the second one does.
    await bob.hears('of Ada, from the first tab');
    await two.page.locator('#pending .message').waitFor({ state: 'detached' });
    await one.page.locator('#pending .message').waitFor({ state: 'detached' });
    await two.page.getByRole('button', { name: 'Sign out' }).click();
    await two.page.getByLabel('Your name').waitFor();
    await one.say('of Ada, too late');
    await two.signIn();
    await two.say('Dora is here');
    await bob.hears('Dora is here');
    setDown(false);
    await one.page.locator('#me', { hasText: 'Dora' }).waitFor();
    await one.hears('Dora is here');
    await one.say('of Dora, from the first tab');
    await bob.hears('of Dora, from the first tab');

    const said = await bob.page.locator('#messages .message').evaluateAll((all) => all.map((m) => `${m.dataset.name}: ${m.querySelector('.text').textContent}`));
    assert.deepEqual(said, [
      'Ada: Ada is here', 'Ada: of Ada, from the first tab', 'Dora: Dora is here', 'Dora: of Dora, from the first tab',
    ]);
    for (const user of [one, two]) {
      assert.deepEqual((await user.texts()).filter((text) => text === 'of Ada, too late'), []);
      assert.deepEqual(user.errors, []);
    }
    await context.close();
  });
});
