// chromium.js SSE_URL WS_URL COUNT: what a page in Chromium receives of both; as JSON. The page has an
// origin of its own, so the gateway's CORS headers are needed.
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const [sseUrl, wsUrl, count] = process.argv.slice(2);
const server = createServer((_, answer) => {
  answer.setHeader("Content-Type", "text/html; charset=utf-8");
  answer.end("<!doctype html><title>t</title>");
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const received = await page.evaluate(
    ([sse, ws, wanted]) => {
      const collect = (subscribe) =>
        new Promise((resolve, reject) => {
          const messages = [];
          setTimeout(() => reject(new Error(`only ${messages.length} messages`)), 20000);
          subscribe((text) => {
            messages.push(text);
            if (messages.length === wanted) resolve(messages);
          }, reject);
        });
      const overSse = collect((take, fail) => {
        const source = new EventSource(sse);
        source.onmessage = (event) => take(event.data);
        source.addEventListener("forged", () => fail(new Error("a forged event")));
      });
      const overWs = collect((take) => {
        const socket = new WebSocket(ws);
        socket.onmessage = (event) => {
          if (JSON.parse(event.data).event === undefined) take(event.data);
        };
      });
      return Promise.all([overSse, overWs]);
    },
    [sseUrl, wsUrl, Number(count)],
  );
  console.log(JSON.stringify({ sse: received[0], ws: received[1] }));
} finally {
  await browser.close();
  server.close();
}
