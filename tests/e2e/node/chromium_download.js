// chromium_download.js PORT NAME FILE ID: Chromium downloads /files/NAME by a link, through a proxy that cuts the first
// connection with the file after a megabyte; the page watches the progress by EventSource. The file goes to FILE; prints
// what was asked for and what was watched, as JSON.
import { copyFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { chromium } from "playwright-core";

const [port, name, file, id] = process.argv.slice(2);
const CUT_AFTER = 1_000_000;
const requests = [];

// One origin for all, and nothing of HTTP in it but the request heads that it notes.
const proxy = createServer((client) => {
  const server = connect(Number(port), "127.0.0.1");
  let asksForFile = false;
  let passed = 0;
  client.on("data", (bytes) => {
    const head = bytes.toString("latin1");
    const range = /^range: (.*)\r$/im.exec(head)?.[1];
    const ifRange = /^if-range: (.*)\r$/im.exec(head)?.[1];
    asksForFile = head.startsWith(`GET /files/${name}?`);
    if (asksForFile) requests.push({ range, ifRange });
    server.write(bytes);
  });
  server.on("data", (bytes) => {
    passed += bytes.length;
    if (asksForFile && requests.length === 1 && passed > CUT_AFTER) {
      client.end(); // as a server that has died
      server.destroy();
      return;
    }
    if (!client.write(bytes)) {
      server.pause();
      client.once("drain", () => server.resume());
    }
  });
  client.on("end", () => server.end());
  server.on("end", () => client.end());
  for (const socket of [client, server]) socket.on("error", () => (client.destroy(), server.destroy()));
});
await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${proxy.address().port}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
try {
  const page = await browser.newPage({ acceptDownloads: true });
  await page.goto(`${origin}/streams`); // any page of this origin
  await page.evaluate(([path, id]) => {
    window.watched = [];
    const events = new EventSource(`${path}/progress?id=${id}`);
    for (const name of ["progress", "end", "failed"]) {
      events.addEventListener(name, ({ data }) => window.watched.push(JSON.parse(data)));
    }
    events.addEventListener("end", () => events.close());
    const link = document.createElement("a");
    link.href = `${path}?progress=${id}`;
    link.download = "";
    document.body.append(link);
    return new Promise((resolve) => (events.onopen = resolve)).then(() => link.click());
  }, [`/files/${name}`, id]);
  const download = await page.waitForEvent("download", { timeout: 20000 });
  copyFileSync(await download.path(), file);
  await page.waitForFunction(() => window.watched.at(-1)?.event === "end", undefined, { timeout: 20000 });
  console.log(JSON.stringify({ requests, watched: await page.evaluate(() => window.watched) }));
} finally {
  await browser.close();
  proxy.close();
}
