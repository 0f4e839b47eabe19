// The demo page: two live subscriptions, a resume to try and a slow subscriber. No dependency.
"use strict";

const PATH = "/streams/orders";
const ROWS = 8;
const BUCKET_MS = 500;
const BUCKETS = 120; // one minute

const byId = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const clockTime = (ms) => new Date(ms).toTimeString().slice(0, 8) + "." + String(ms % 1000).padStart(3, "0");
const plural = (n, word) => `${number.format(n)} ${word}${n === 1 ? "" : "s"}`;
const shorten = (id) => (id.length > 44 ? id.slice(0, 30) + "…" + id.slice(-12) : id);

function element(tag, text, is) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (is) made.dataset.is = is;
  return made;
}

function setState(pill, text, is) {
  if (pill.textContent !== text) pill.textContent = text;
  pill.dataset.is = is || "";
}

function addLog(list, text, is, keep = 3) {
  list.append(element("li", text, is));
  while (list.children.length > keep) list.firstChild.remove();
}

// A gap a record would flood the list: gaps within a second are one line.
function addGap(list, message, keep) {
  const now = Date.now();
  let item = list.lastChild;
  if (!item || item.reason !== message.reason || now - item.since > 1000) {
    item = Object.assign(element("li", "", "gap"), { reason: message.reason, since: now, count: 0 });
    list.append(item);
    while (list.children.length > keep) list.firstChild.remove();
  }
  item.count += message.count;
  item.textContent = `${clockTime(item.since)} gap: ${plural(item.count, "record")} skipped (${message.reason})`;
}

// Jittered exponential back-off, 0.25 s to 10 s: a thousand pages must not come back in step.
class Backoff {
  constructor() { this.reset(); }
  reset() { this.bound = 500; }
  next() {
    const wait = 250 + Math.random() * (this.bound - 250);
    this.bound = Math.min(this.bound * 2, 10000);
    return wait;
  }
}

// A resume token is opaque to clients. This page opens it all the same, to check the gateway's
// counts against the one thing that it cannot make up: the distance between two Kafka positions.
function positions(token) {
  try {
    const text = atob(token.replace(/-/g, "+").replace(/_/g, "/"));
    let at = 1;
    const varint = () => {
      let value = 0;
      for (let scale = 1; ; scale *= 128) {
        if (at >= text.length) throw new RangeError("cut short");
        const byte = text.charCodeAt(at++);
        value += (byte & 127) * scale;
        if (byte < 128) return value;
      }
    };
    if (text.charCodeAt(0) !== 1) return null;
    const lanes = new Map();
    for (let topics = varint(); topics > 0; topics--) {
      const hash = text.slice(at, at + 4);
      at += 4;
      const partitions = varint();
      for (let p = 0; p < partitions; p++) {
        const next = varint();
        if (next > 0) lanes.set(hash + p, next - 1);
      }
    }
    return lanes;
  } catch {
    return null;
  }
}

// Records between two tokens; null when they cannot be compared.
function distance(from, to) {
  const a = from && positions(from), b = to && positions(to);
  if (!a || !b) return null;
  let sum = 0;
  for (const [lane, next] of b) {
    if (!a.has(lane)) return null;
    sum += next - a.get(lane);
  }
  return sum;
}

// One live subscription and its panel. A transport gives open(url, feed) and returns its close().
class Feed {
  constructor(name, title, open) {
    this.title = title;
    this.open = open;
    this.backoff = new Backoff();
    this.wanted = false;
    this.lastId = "";
    this.newest = [];
    this.total = 0;
    this.missed = 0;
    this.buckets = new Array(BUCKETS).fill(0);
    this.dirty = true;
    this.skew = Infinity; // least of arrival minus record time: clock difference plus latency
    this.watchers = new Set();
    this.build(document.querySelector(`[data-feed="${name}"]`), name);
  }

  build(root, name) {
    root.append(byId("feed-template").content.cloneNode(true));
    const part = (selector) => root.querySelector(selector);
    part(".title").id = name + "-title";
    part(".title").textContent = this.title;
    part(".log").setAttribute("aria-label", "What was told on " + this.title);
    this.parts = {};
    for (const key of ["state", "toggle", "rate", "total", "missed", "id", "log", "area", "line"]) {
      this.parts[key] = part("." + key);
    }
    this.rows = Array.from({ length: ROWS }, () => {
      const row = part("tbody").insertRow();
      const region = row.insertCell().appendChild(element("span", ""));
      const cells = [row.insertCell(), row.insertCell(), row.insertCell()];
      cells[1].className = cells[2].className = "num";
      return [region, ...cells];
    });
    this.parts.toggle.addEventListener("click", () => (this.wanted ? this.disconnect() : this.connect()));
  }

  connect() {
    this.wanted = true;
    this.parts.toggle.textContent = "Disconnect";
    this.parts.toggle.setAttribute("aria-label", "Disconnect " + this.title);
    clearTimeout(this.timer);
    this.state("connecting", "wait");
    const query = this.lastId ? "?from=" + encodeURIComponent(this.lastId) : "";
    this.close = this.open(PATH + query, this);
  }

  disconnect() {
    this.wanted = false;
    clearTimeout(this.timer);
    if (this.close) this.close();
    this.close = null;
    this.parts.toggle.textContent = "Connect";
    this.parts.toggle.setAttribute("aria-label", "Connect " + this.title);
    this.state("disconnected");
  }

  state(text, is) { setState(this.parts.state, text, is); }

  // The transport's connection ended. why is for a person; comesBack: try again.
  ended(why, comesBack) {
    this.close = null;
    if (!this.wanted) return;
    if (!comesBack) {
      this.disconnect();
      this.state(why, "bad");
      return;
    }
    const wait = this.backoff.next();
    this.state(`${why}, again in ${(wait / 1000).toFixed(1)} s`, "wait");
    this.timer = setTimeout(() => this.connect(), wait);
  }

  record(record) {
    const now = Date.now();
    this.lastId = record.id ?? this.lastId; // in a stream of many partitions most have none
    this.total++;
    this.buckets[BUCKETS - 1]++;
    this.newest.push(record);
    if (this.newest.length > ROWS) this.newest.shift();
    this.skew = Math.min(this.skew, now - Date.parse(record.time));
    this.backoff.reset();
    this.dirty = true;
    for (const watcher of this.watchers) watcher.record(record);
  }

  control(message) {
    if (message.event === "hello") {
      this.state("live", "live");
      const known = this.total > 0 && this.lastId !== "";
      if (message.resumed) addLog(this.parts.log, `${clockTime(Date.now())} resumed where it was`, "good");
      else if (known) addLog(this.parts.log, `${clockTime(Date.now())} not resumed: ${message.reason || "its place is not known here"}`, "bad");
      if (!message.resumed || !this.lastId) this.lastId = message.from;
    } else if (message.event === "gap") {
      this.missed += message.count;
      if (message.to) this.lastId = message.to;
      addGap(this.parts.log, message, 3);
    } else if (message.event === "failed") {
      addLog(this.parts.log, `${clockTime(Date.now())} failed: ${message.message || message.code}`, "bad");
    }
    this.dirty = true;
    for (const watcher of this.watchers) watcher.control(message);
  }

  rate() {
    const last = this.buckets.slice(BUCKETS - 5, BUCKETS - 1);
    return last.reduce((sum, n) => sum + n, 0) / (last.length * BUCKET_MS / 1000);
  }

  tick() {
    this.parts.rate.textContent = number.format(Math.round(this.rate()));
    const most = Math.max(10, ...this.buckets);
    const points = this.buckets.slice(0, BUCKETS - 1)
      .map((n, i, all) => { // three neighbours together: the eye wants the trend
        const near = (all[i - 1] ?? n) + n + (all[i + 1] ?? n);
        return `${i},${(38 - near / 3 / most * 36).toFixed(1)}`;
      }).join("L");
    this.parts.line.setAttribute("d", "M" + points);
    this.parts.area.setAttribute("d", `M0,40L${points}L${BUCKETS - 2},40Z`);
    this.buckets.push(0);
    this.buckets.shift();
  }

  draw() {
    if (!this.dirty) return;
    this.dirty = false;
    this.parts.total.textContent = number.format(this.total);
    this.parts.missed.textContent = number.format(this.missed);
    this.parts.missed.classList.toggle("some", this.missed > 0);
    this.parts.id.textContent = this.lastId ? shorten(this.lastId) : "–";
    this.parts.id.title = this.lastId;
    this.newest.forEach((record, i) => {
      const [region, key, amount, time] = this.rows[this.newest.length - 1 - i];
      const data = record.data || {};
      region.className = "region";
      region.dataset.region = region.textContent = data.region ?? "–";
      key.textContent = typeof record.key === "string" ? record.key : "–";
      amount.replaceChildren(typeof data.amount === "number" ? data.amount.toFixed(2) : "–",
        Object.assign(element("span", data.currency ? " " + data.currency : ""), { className: "currency" }));
      const text = clockTime(Date.parse(record.time));
      time.replaceChildren(text.slice(0, 8), Object.assign(element("span", text.slice(8)), { className: "ms" }));
    });
  }
}

const CONTROLS = ["hello", "gap", "failed", "closing", "end"];

// EventSource comes back by itself with Last-Event-ID; only an error answer ends it for good.
function openSse(url, feed) {
  const source = new EventSource(url);
  source.onmessage = (event) => feed.record(JSON.parse(event.data));
  for (const name of CONTROLS) {
    source.addEventListener(name, (event) => {
      const message = JSON.parse(event.data);
      feed.control(message);
      if (name === "end") { source.close(); feed.ended("the stream ended", false); }
    });
  }
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) feed.ended("refused", true);
    else feed.state("reconnecting", "wait");
  };
  return () => source.close();
}

function openWs(path, feed) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  let current = true;
  socket.onmessage = (event) => {
    if (!current) return;
    const message = JSON.parse(event.data);
    if (message.event !== undefined) feed.control(message);
    else feed.record(message);
  };
  socket.onclose = (event) => {
    if (!current) return;
    const final = event.code === 1000 || event.code === 1008 || (event.code >= 4500 && event.code <= 4999);
    feed.ended(event.reason || `closed (${event.code})`, !final);
  };
  return () => { current = false; socket.close(1000); };
}

const feeds = {
  sse: new Feed("sse", "Server-Sent Events", openSse),
  ws: new Feed("ws", "WebSocket", openWs),
};

// The furthest place that a live panel has reached.
function newestToken() {
  return Object.values(feeds).filter((feed) => feed.wanted && feed.lastId)
    .reduce((best, feed) => (best === "" || distance(best, feed.lastId) > 0 ? feed.lastId : best), "");
}

// ---- leave and come back ----

const resume = { steps: byId("resume-steps"), go: byId("resume-go"), progress: byId("resume-progress") };

function step(text, is, big) {
  const item = element("li", big ? "" : text, is);
  if (big) item.append(Object.assign(element("span", big), { className: "big" }), text);
  resume.steps.append(item);
}

async function stayAway(seconds) {
  const start = performance.now();
  for (let gone = 0; gone < seconds * 1000; gone = performance.now() - start) {
    resume.progress.value = gone / (seconds * 1000);
    await new Promise(requestAnimationFrame);
  }
  resume.progress.value = 1;
}

// Reads what the feed gets after it came back, until a record is newer than the return.
function watchReturn(feed) {
  return new Promise((resolve) => {
    const start = performance.now();
    const returned = Date.now() - (Number.isFinite(feed.skew) ? feed.skew : 0);
    const seen = { hello: null, replayed: 0, missed: 0, ms: 0, to: feed.lastId };
    const finish = () => { clearTimeout(timer); feed.watchers.delete(watcher); resolve(seen); };
    let timer = setTimeout(finish, 15000);
    const watcher = {
      control(message) {
        if (message.event === "gap") { seen.missed += message.count; seen.to = message.to; }
        if (message.event !== "hello") return;
        seen.hello = message;
        clearTimeout(timer);
        timer = setTimeout(finish, 3000);
      },
      record(record) {
        if (Date.parse(record.time) > returned) return finish();
        seen.replayed++;
        seen.to = record.id ?? seen.to;
        seen.ms = performance.now() - start;
      },
    };
    feed.watchers.add(watcher);
    feed.connect();
  });
}

async function leaveAndComeBack() {
  const feed = feeds[byId("resume-feed").value];
  const seconds = Number(byId("resume-seconds").value);
  resume.steps.replaceChildren();
  if (!feed.lastId) {
    step("This transport has received nothing yet: connect it first.", "bad");
    return;
  }
  resume.go.disabled = true;
  feed.disconnect();
  const token = feed.lastId;
  step(`Left ${feed.title} at ${shorten(token)}`, "on");
  await stayAway(seconds);
  step("Coming back with ?from= that token", "on");
  const seen = await watchReturn(feed);
  resume.go.disabled = false;
  if (!seen.hello) {
    step("The gateway did not answer yet.", "bad");
    return;
  }
  step(`hello: resumed: ${seen.hello.resumed}`, seen.hello.resumed ? "good" : "bad");
  const moved = distance(token, seen.to);
  const right = moved === null || moved === seen.replayed + seen.missed;
  let text = `produced while away, delivered in ${Math.round(seen.ms)} ms`;
  if (seen.missed) text += `, ${plural(seen.missed, "more record")} counted in gaps`;
  if (moved !== null) text += `. Kafka's offsets moved by ${number.format(moved)}: ${right ? "nothing is missing" : "that differs"}.`;
  step(text, right ? "good" : "bad", plural(seen.replayed, "record"));
}

resume.go.addEventListener("click", leaveAndComeBack);

// ---- a slow subscriber ----

const HINTS = {
  drop_oldest: "Keeps the newest records: the oldest waiting one makes room. Good for dashboards.",
  drop_newest: "Keeps what waits: what does not fit any more is skipped, and counted.",
  disconnect: "Ends the connection when the queue is full: the client comes back with its last id when it can.",
  pause: "Holds the Kafka source itself back, so nothing is lost and everyone waits: watch both live panels slow down.",
};

const slow = {
  running: null, received: 0, missed: 0, first: "", last: "", queue: 32, dirty: true,
  parts: Object.fromEntries(["policy", "queue", "rate", "go", "hint", "received", "missed", "equals", "produced", "verdict", "behind", "behind-text", "log", "state"]
    .map((name) => [name, byId("slow-" + name)])),
};

function slowLog(text, is) { addLog(slow.parts.log, `${clockTime(Date.now())} ${text}`, is, 4); }

function slowMessage(message) {
  slow.dirty = true;
  if (message.event === undefined) {
    slow.received++;
    slow.last = message.id ?? slow.last;
    return;
  }
  if (message.event === "hello") slow.first = slow.last = message.from;
  if (message.event === "gap") {
    slow.missed += message.count;
    slow.last = message.to;
    addGap(slow.parts.log, message, 4);
  }
  if (message.event === "failed" || message.event === "closing") {
    slow.farewell = message.message || message.reason || message.code || message.event;
  }
}

// Lines of a response body as objects.
async function* ndjson(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.trim()) yield JSON.parse(line);
  }
}

async function slowRequest(url, signal) {
  const response = await fetch(url, { headers: { Accept: "application/x-ndjson" }, cache: "no-store", signal });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Error(`${response.status} ${problem.detail || problem.title || response.statusText}`);
}

async function runSlow(abort) {
  const perSecond = Number(slow.parts.rate.value);
  // A browser takes in whatever comes, however slowly a script reads: max_rate makes the gateway
  // hand out no more than a slow program would take.
  const url = `${PATH}?format=ndjson&slow=${slow.parts.policy.value}&queue=${slow.queue}&max_rate=${perSecond}`;
  slow.farewell = "";
  setState(slow.parts.state, "connecting", "wait");
  try {
    const response = await slowRequest(url, abort.signal);
    setState(slow.parts.state, `taking ${perSecond} a second`, "live");
    for await (const message of ndjson(response)) slowMessage(message);
    slowLog(`the gateway ended it: ${slow.farewell || "no reason given"}`, "bad");
    setState(slow.parts.state, "ended by the gateway", "bad");
  } catch (error) {
    const mine = abort.signal.aborted;
    if (!mine) slowLog(slow.farewell ? `the gateway ended it: ${slow.farewell}` : error.message, "bad");
    setState(slow.parts.state, mine ? "stopped" : "ended", mine ? "" : "bad");
  }
  if (slow.running === abort) {
    slow.running = null;
    slow.parts.go.textContent = "Start";
  }
}

function toggleSlow() {
  if (slow.running) {
    slow.running.abort();
    return;
  }
  slow.queue = Number(slow.parts.queue.value);
  Object.assign(slow, { received: 0, missed: 0, first: "", last: "", dirty: true });
  slow.parts.log.replaceChildren();
  slow.parts.behind.max = slow.queue;
  slow.parts.go.textContent = "Stop";
  slow.running = new AbortController();
  runSlow(slow.running);
}

function drawSlow() {
  const behind = slow.running && slow.last ? distance(slow.last, newestToken()) : null;
  // What is on its way counts as neither here nor there.
  const waiting = behind === null ? null : Math.min(Math.max(behind, 0), slow.queue);
  slow.parts.behind.value = waiting ?? 0;
  slow.parts["behind-text"].textContent = `${waiting === null ? "–" : number.format(waiting)} of ${slow.queue}`;
  if (!slow.dirty) return;
  slow.dirty = false;
  const produced = distance(slow.first, slow.last);
  const counted = slow.received + slow.missed;
  slow.parts.received.textContent = number.format(slow.received);
  slow.parts.missed.textContent = number.format(slow.missed);
  slow.parts.produced.textContent = slow.first && produced === null ? "–" : number.format(produced ?? 0);
  const known = produced !== null && counted > 0;
  slow.parts.equals.textContent = !known || produced === counted ? "=" : "≠";
  slow.parts.verdict.textContent = !known ? "" : produced === counted
    ? "✓ agrees with how far Kafka's offsets moved" : "does not agree with how far Kafka's offsets moved";
  slow.parts.verdict.dataset.is = !known ? "" : produced === counted ? "good" : "bad";
}

slow.parts.go.addEventListener("click", toggleSlow);
slow.parts.policy.addEventListener("change", () => { slow.parts.hint.textContent = HINTS[slow.parts.policy.value]; });
slow.parts.hint.textContent = HINTS.drop_oldest;

// ---- commands ----

const origin = location.origin, wsOrigin = origin.replace("http", "ws");
const COMMANDS = [
  ["NDJSON, one record a line", `curl -N ${origin}${PATH}`],
  ["Server-Sent Events", `curl -N -H 'Accept: text/event-stream' ${origin}${PATH}`],
  ["A read that ends: the first five records", `curl '${origin}${PATH}?from=earliest&limit=5'`],
  ["A slow subscriber", `curl -N '${origin}${PATH}?max_rate=2&slow=drop_oldest&queue=10'`],
  ["A terminal subscriber that reconnects and resumes", `build/headgate tail --stats ${origin}${PATH}`],
  ["WebSocket", `websocat ${wsOrigin}${PATH}`],
];

async function copy(button, code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch { // no clipboard without https: select it, for the keyboard
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

for (const [what, command] of COMMANDS) {
  const item = document.createElement("li");
  const code = element("code", command);
  const button = element("button", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", "Copy: " + what);
  code.tabIndex = 0;
  button.addEventListener("click", () => copy(button, code));
  item.append(element("span", what), code, button);
  byId("commands").append(item);
}

// ---- the clockwork ----

function frame() {
  for (const feed of Object.values(feeds)) feed.draw();
  drawSlow();
  requestAnimationFrame(frame);
}

setInterval(() => { for (const feed of Object.values(feeds)) feed.tick(); }, BUCKET_MS);
for (const feed of Object.values(feeds)) feed.connect();
frame();
