// A real Firefox, by WebDriver BiDi.

import { existsSync } from 'node:fs';
import { PATIENCE } from './browser.js';

const executablePath = process.env.FIREFOX ?? ['/usr/bin/firefox-esr', '/usr/bin/firefox'].find((path) => existsSync(path)) ?? '/usr/bin/firefox';

// firefoxMissing says why there is no Firefox to test with, false if there is.
export function firefoxMissing() {
  if (!existsSync(executablePath)) return `there is no Firefox at ${executablePath} (FIREFOX names another place)`;
  return false;
}

// launchFirefox starts it with a profile of its own.
export async function launchFirefox() {
  const { default: puppeteer } = await import('puppeteer-core');
  return puppeteer.launch({ browser: 'firefox', executablePath, headless: true, timeout: PATIENCE, protocolTimeout: PATIENCE });
}
