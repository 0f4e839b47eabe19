// The test's browser: opens the page in Chromium, says "live" once it is, and at each line of standard input waits
// for the rows that the line is, as JSON.
//   browse.mjs NODE_MODULES URL
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [modules, url] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, 'x.js'))('playwright-core');
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById('state').textContent === 'live', null, { timeout: 30000 });
  console.log('live');
  for await (const line of createInterface({ input: process.stdin })) {
    await page.waitForFunction((want) => {
      const rows = [...document.getElementById('rows').rows].map((row) => [...row.cells].map((cell) => cell.textContent));
      return JSON.stringify(Object.fromEntries(rows.sort())) === want;
    }, line, { timeout: 30000 });
    console.log('seen');
  }
} finally {
  await browser.close();
}
