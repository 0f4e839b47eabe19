// The test's browser: opens the page in Chromium, waits for a count, prints what the page shows as JSON.
//   browse.mjs NODE_MODULES URL COUNT [SCREENSHOT]
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, url, count, screenshot] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, 'x.js'))('playwright-core');
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForFunction((n) => document.getElementById('count').textContent === n, count, { timeout: 30000 });
  if (screenshot) await page.screenshot({ path: screenshot });
  console.log(JSON.stringify(await page.evaluate(() => ({
    state: document.getElementById('state').textContent,
    skipped: document.getElementById('skipped').textContent,
    regions: [...document.getElementById('regions').rows].map((row) => [...row.cells].map((cell) => cell.textContent)),
    latest: document.getElementById('latest').firstChild.textContent,
  }))));
} finally {
  await browser.close();
}
