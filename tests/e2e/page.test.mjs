// The demo page in Chromium, served by `headgate demo`. Screenshots go to build/page/.
// Run by `make page`; HEADGATE names the program.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const PROGRAM = process.env.HEADGATE || join(ROOT, "build", "headgate");
const SHOTS = join(ROOT, "build", "page");
const CHROMIUM = process.env.CHROMIUM || "/usr/bin/chromium";
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

let demo, url, browser;

// A running demo: its process, what it said, the page's address.
function startDemo() {
  const child = spawn(PROGRAM, ["demo", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "ignore", "pipe"] });
  const started = { child, said: "", exit: new Promise((resolve) => child.on("exit", resolve)) };
  started.ready = new Promise((resolve, reject) => {
    child.stderr.setEncoding("utf8").on("data", (text) => {
      started.said += text;
      const page = /The page +(http:\S+)/.exec(started.said);
      if (page && started.said.includes("Ctrl-C")) resolve(page[1]);
    });
    child.on("exit", () => reject(new Error("headgate demo ended: " + started.said)));
  });
  return started;
}

async function openPage(t, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  page.complaints = [];
  page.on("console", (message) => message.type() !== "log" && page.complaints.push(message.text()));
  page.on("pageerror", (error) => page.complaints.push(error.message));
  await page.goto(url);
  return page;
}

const count = async (page, selector) => Number((await page.textContent(selector)).replaceAll(",", ""));
const atLeast = (page, selector, least) => page.waitForFunction(
  ([where, n]) => Number(document.querySelector(where).textContent.replaceAll(",", "")) >= n, [selector, least]);
const says = (page, selector, text) => page.waitForFunction(
  ([where, what]) => document.querySelector(where).textContent.includes(what), [selector, text]);

async function startSlow(page, policy, queue, rate) {
  await page.selectOption("#slow-policy", policy);
  await page.selectOption("#slow-queue", queue);
  await page.selectOption("#slow-rate", rate);
  await page.click("#slow-go");
}

// Received, missed and produced, read in one go.
const sums = (page) => page.evaluate(() => ["received", "missed", "produced"]
  .map((name) => Number(document.getElementById("slow-" + name).textContent.replaceAll(",", ""))));

before(async () => {
  if (!existsSync(CHROMIUM)) throw new Error(`no ${CHROMIUM}: install the package chromium`);
  const { chromium } = await import("playwright-core");
  mkdirSync(SHOTS, { recursive: true });
  demo = startDemo();
  url = await demo.ready;
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});

after(async () => {
  await browser?.close();
  if (demo?.child.exitCode === null) demo.child.kill("SIGKILL");
});

test("the terminal names the page, the streams, the broker and the metrics", async () => {
  for (const word of ["/streams/orders", "text/event-stream", "websocat ws://", "headgate tail", "kcat -b 127.0.0.1:", "/metrics"]) {
    assert.ok(demo.said.includes(word), `${word} in ${demo.said}`);
  }
  const metrics = await fetch(/http:\S+\/metrics/.exec(demo.said)[0]);
  assert.match(await metrics.text(), /headgate_records_in_total\{stream="orders"\}/);
});

test("records arrive over SSE and over WebSocket", async (t) => {
  const page = await openPage(t);
  for (const feed of ["sse", "ws"]) {
    const root = `[data-feed=${feed}] `;
    await says(page, root + ".state", "live");
    await atLeast(page, root + ".total", 30);
    await atLeast(page, root + ".rate", 5);
    assert.match(await page.textContent(root + ".id"), /^[\w…-]{8,}$/);
    const row = await page.textContent(root + "tbody tr:first-child");
    assert.match(row, /^(eu|us|apac|latam)c-\d+[\d.]+ [A-Z]{3}\d\d:\d\d:\d\d\.\d{3}$/);
    assert.equal(await count(page, root + ".missed"), 0);
  }
  assert.deepEqual(page.complaints, []);
});

test("a strict Content-Security-Policy is sent, and nothing outside is loaded", async (t) => {
  const page = await openPage(t);
  const answer = await fetch(url);
  assert.match(answer.headers.get("content-security-policy"), /default-src '(none|self)'/);
  const outside = await page.evaluate(() => performance.getEntriesByType("resource")
    .map((entry) => entry.name).filter((name) => !name.startsWith(location.origin)));
  assert.deepEqual(outside, []);
});

test("a transport is disconnected and comes back where it was", async (t) => {
  const page = await openPage(t);
  for (const feed of ["sse", "ws"]) {
    const root = `[data-feed=${feed}] `;
    await atLeast(page, root + ".total", 5);
    await page.click(root + ".toggle");
    await says(page, root + ".state", "disconnected");
    const total = await count(page, root + ".total");
    await page.waitForTimeout(300);
    assert.equal(await count(page, root + ".total"), total);
    await page.click(root + ".toggle");
    await says(page, root + ".log", "resumed where it was");
    await atLeast(page, root + ".total", total + 5);
  }
});

for (const feed of ["sse", "ws"]) {
  test(`leaving and returning over ${feed} misses nothing`, async (t) => {
    const page = await openPage(t);
    await atLeast(page, `[data-feed=${feed}] .total`, 5);
    await page.selectOption("#resume-feed", feed);
    await page.selectOption("#resume-seconds", "3");
    await page.click("#resume-go");
    await says(page, "#resume-steps", "Kafka's offsets moved");
    const steps = await page.textContent("#resume-steps");
    assert.match(steps, /resumed: true/);
    assert.match(steps, /nothing is missing/);
    assert.ok(Number(/(\d+) records?produced/.exec(steps)[1]) > 20, steps);
  });
}

for (const policy of ["drop_oldest", "drop_newest"]) {
  test(`a slow subscriber with ${policy}: received and missed make up what was produced`, async (t) => {
    const page = await openPage(t);
    await startSlow(page, policy, "8", "5");
    await atLeast(page, "#slow-missed", 20);
    await says(page, "#slow-log", "skipped (slow)");
    const [received, missed, produced] = await sums(page);
    assert.ok(received > 0);
    assert.equal(received + missed, produced);
    assert.match(await page.textContent("#slow-verdict"), /✓/);
    await page.click("#slow-go");
    await says(page, "#slow-state", "stopped");
  });
}

test("a slow subscriber with disconnect is told why it is ended", async (t) => {
  const page = await openPage(t);
  await startSlow(page, "disconnect", "8", "1");
  await says(page, "#slow-state", "ended by the gateway");
  assert.match(await page.textContent("#slow-log"), /too slow/);
});

test("a slow subscriber with pause slows everyone down and loses nothing", async (t) => {
  const page = await openPage(t);
  await startSlow(page, "pause", "8", "5");
  await atLeast(page, "#slow-received", 20);
  const rate = () => count(page, "[data-feed=ws] .rate");
  await page.waitForFunction(() => Number(document.querySelector("[data-feed=ws] .rate").textContent) <= 12);
  const [received, missed, produced] = await sums(page);
  assert.equal(missed, 0);
  assert.equal(received, produced);
  await page.click("#slow-go");
  await page.waitForFunction(() => Number(document.querySelector("[data-feed=ws] .rate").textContent) >= 15);
  assert.ok((await rate()) > 0);
});

for (const [name, width, height] of [["desktop", 1280, 900], ["phone", 390, 844], ["narrow", 320, 640]]) {
  test(`the page fits a ${name} screen, light and dark`, async (t) => {
    for (const colorScheme of ["light", "dark"]) {
      const page = await openPage(t, { viewport: { width, height }, colorScheme });
      await startSlow(page, "drop_oldest", "8", "5");
      await atLeast(page, "#slow-missed", 5);
      await atLeast(page, "[data-feed=sse] .total", 20);
      await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}.png`), fullPage: true });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
      await page.close();
    }
  });
}

test("the demo ends with 0 on SIGTERM while the page is open", async (t) => {
  const page = await openPage(t);
  await atLeast(page, "[data-feed=ws] .total", 5);
  demo.child.kill("SIGTERM");
  assert.equal(await demo.exit, 0);
  await says(page, "[data-feed=ws] .state", "again in");
});
