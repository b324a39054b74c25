// The picture of the dashboard for the documentation, in docs/ of the repository. With an
// argument also others, in that directory: dark, and of a phone.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { browserMissing } from '../test/support/browser.js';
import { launch } from '../test/support/chatroom.js';
import { Dashboard, grown } from '../test/support/dashboard.js';

const docs = fileURLToPath(new URL('../../../docs', import.meta.url));
const [, , others] = process.argv;

const why = await browserMissing();
if (why) {
  console.error(`no pictures: ${why}`);
  process.exit(1);
}

const server = new Dashboard();
await server.start();
const browser = await launch();

async function look(path, scheme, viewport) {
  const page = await browser.newPage({ viewport, colorScheme: scheme, locale: 'en-GB' });
  await page.goto(`http://${server.host}/`);
  await grown(page, 'web.latency', 0);
  await page.waitForTimeout(2_000); // the scales glide
  await page.screenshot({ path });
  await page.close();
  console.log(path);
}

try {
  await new Promise((resolve) => { setTimeout(resolve, 60_000); }); // plots of a whole minute
  await look(join(docs, 'dashboard.png'), 'light', { width: 1400, height: 545 });
  if (others) {
    await look(join(others, 'dark.png'), 'dark', { width: 1400, height: 800 });
    await look(join(others, 'phone.png'), 'dark', { width: 390, height: 780 });
    await look(join(others, 'phone-light.png'), 'light', { width: 390, height: 780 });
  }
} finally {
  await browser.close();
  await server.remove();
}
