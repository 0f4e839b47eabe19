// The test's browser: opens the page in Chromium, then does what each line of standard input says, and says "done".
//   browse.mjs NODE_MODULES URL
//   ask TEXT | wait TEXT | state TEXT | reload | tab | stop      tab: go on in a second one, by the link
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [modules, url] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, 'x.js'))('playwright-core');
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const limit = { timeout: 60000 };

async function shows(page, id, text) {
  await page.waitForFunction(([where, want]) => document.getElementById(where).textContent === want, [id, text], limit);
}

try {
  const context = await browser.newContext();
  let page = await context.newPage();
  await page.goto(url);
  const actions = {
    ask: async (text) => { await page.fill('#question', text); await page.press('#question', 'Enter'); },
    wait: (text) => shows(page, 'answer', text),
    state: (text) => shows(page, 'state', text),
    reload: () => page.reload(),
    tab: async () => {
      const [next] = await Promise.all([context.waitForEvent('page', limit), page.click('#share')]);
      page = next;
    },
    stop: () => page.click('#stop'),
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const [, verb, text] = /^(\w+) ?(.*)$/.exec(line);
    await actions[verb](text);
    console.log('done');
  }
} finally {
  await browser.close();
}
