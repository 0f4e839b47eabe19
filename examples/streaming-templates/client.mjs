#!/usr/bin/env node
// Reads every path of the example with fetch, and prints what came of it, one JSON object a path.  client.mjs [URL]
import { createHash } from "node:crypto";

const base = process.argv[2] ?? "http://127.0.0.1:8080";

async function get(path, accept) {
  const answer = await fetch(base + path, { headers: { Accept: accept } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

// The lines of a body as they come; empty ones are heartbeats, or end an event.
async function* lines(path, accept) {
  let rest = "";
  for await (const part of (await get(path, accept)).body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + part).split("\n");
    rest = whole.pop();
    yield* whole;
  }
}

// The rows alone. A failure cuts the body short, and is an error of fetch.
async function* readRows(path) {
  for await (const line of lines(path, "*/*")) if (line !== "") yield JSON.parse(line);
}

// Records; the control messages among them have "event".
async function* readNdjson(path) {
  for await (const line of lines(path, "application/x-ndjson")) {
    const message = line === "" ? { event: "heartbeat" } : JSON.parse(line);
    if (message.event === "failed") throw new Error(message.message);
    if (message.event === undefined) yield message.data;
  }
}

// A parser for what Headgate sends: one line of data an event. A browser has EventSource.
async function* readSse(path) {
  let name;
  for await (const line of lines(path, "text/event-stream")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (!line.startsWith("data: ")) continue;
    const message = JSON.parse(line.slice(6));
    if (name === "failed") throw new Error(message.message);
    if (name === undefined) yield message.data;
    name = undefined;
  }
}

async function all(records) {
  const found = [];
  for await (const record of records) found.push(record);
  return found;
}

async function readFile(path) {
  const digest = createHash("sha256");
  for await (const part of (await get(path, "*/*")).body) digest.update(part);
  return digest.digest("hex");
}

const say = (result) => console.log(JSON.stringify(result));
const rows = await all(readRows("/stream/data?after=10"));
say({ path: "/stream/data", rows: rows.length, first: rows[0] });
const events = await all(readSse("/stream/events?from=earliest&limit=3"));
say({ path: "/stream/events", texts: events.map((event) => event.text) });
const users = await all(readNdjson("/stream/users?country=fr"));
say({ path: "/stream/users", rows: users.length, first: users[0] });
say({ path: "/stream/file/report.csv", sha256: await readFile("/stream/file/report.csv") });
const points = await (await get("/stream/large-array", "application/json")).json();
say({ path: "/stream/large-array", rows: points.length, last: points.at(-1) });
const tokens = await all(readSse("/api/generate?answer=headgate&speed=4"));
say({ path: "/api/generate", text: tokens.map((token) => token.token).join("") });
