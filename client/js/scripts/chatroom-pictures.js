// Pictures of the chatroom for the documentation: a scene with real users against a
// real server, in docs/ of the repository.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { browserMissing } from '../test/support/browser.js';
import { House, User, launch } from '../test/support/chatroom.js';

const docs = fileURLToPath(new URL('../../../docs', import.meta.url));
const DESKTOP = { viewport: { width: 1120, height: 720 }, deviceScaleFactor: 2 };
const PHONE = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

const why = await browserMissing();
if (why) {
  console.error(`no pictures: ${why}`);
  process.exit(1);
}

async function look(user, scheme, size, file) {
  await user.page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
  await user.page.setViewportSize(size.viewport);
  await user.page.locator('#typing.active').waitFor();
  await user.page.screenshot({ path: join(docs, file) });
  console.log(`docs/${file}`);
}

const house = new House();
house.write('lobby', [
  ['Margaret', 'The staging cluster survived the restart drill. Every client came back with its session.'],
  ['Grace', 'Even the ones on the train?'],
  ['Margaret', 'Especially those.'],
], new Date(Date.now() - 86_400_000).setHours(17, 41, 0, 0));
await house.start();
const browser = await launch();
try {
  mkdirSync(docs, { recursive: true });
  const grace = await User.enter(browser, house, 'Grace');
  const margaret = await User.enter(browser, house, 'Margaret');
  const ada = await User.enter(browser, house, 'Ada', DESKTOP);
  const phone = new User(await (await browser.newContext({ ...PHONE, locale: 'en-GB', storageState: await ada.page.context().storageState() })).newPage(), 'Ada');
  await phone.page.goto(house.url);
  await phone.hears('Especially those.');

  const talk = async (user, text) => {
    await user.say(text);
    await ada.hears(text);
  };
  await talk(grace, 'I pulled the plug of the chat server just now.');
  await talk(ada, 'I saw the banner, kept typing, and everything went out when it was back.');
  await talk(ada, 'Nothing lost, nothing doubled.');
  await talk(grace, 'That is what the message ids are for.\nThe server stores a message before anybody sees it, and knows what it has.');
  await talk(margaret, 'And the history is just a file per room. Have a look: https://github.com/webwire-go/webwire');
  await talk(ada, 'Lovely. Lunch in #tea?');

  await margaret.page.getByLabel('Join or open a room').fill('tea');
  await margaret.page.getByLabel('Join or open a room').press('Enter');
  await ada.enter('tea');
  await ada.enter('lobby');
  for (const text of ['The kettle is on.', 'There is cake, too.']) await margaret.say(text);
  await ada.page.getByRole('link', { name: /tea.*2 unread/ }).waitFor();

  await phone.hears('Lovely. Lunch in #tea?');
  const typing = async () => {
    await grace.page.reload(); // a typing notice is due at once
    await grace.field.pressSequentially('Yes');
    await grace.field.fill('');
  };
  for (const [user, scheme, size, file] of [
    [ada, 'light', DESKTOP, 'chatroom.png'],
    [ada, 'dark', DESKTOP, 'chatroom-dark.png'],
    [phone, 'light', PHONE, 'chatroom-phone.png'],
    [phone, 'dark', PHONE, 'chatroom-phone-dark.png'],
  ]) {
    await typing();
    await look(user, scheme, size, file);
  }
} finally {
  await browser.close();
  await house.remove();
}
