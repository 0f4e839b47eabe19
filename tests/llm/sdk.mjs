// The official SDKs, as a program that a test asks: one JSON array of jobs on stdin, one of results on
// stdout. A job: {sdk, baseURL, call, body, ...}; a result: {events, final, error, status}.
import fs from "node:fs";

const openai = new Set(["openai", "openai-6"]);

async function load(name) {
  return (await import(name)).default;
}

const all = async (stream) => {
  const events = [];
  for await (const event of stream) events.push(event);
  return { events };
};

const calls = {
  chat: async (client, job) => ({ final: await client.chat.completions.create(job.body) }),
  chat_stream: async (client, job, out) => {
    for await (const event of await client.chat.completions.create({ ...job.body, stream: true }))
      out.events.push(event);
    return {};
  },
  chat_helper: async (client, job) => ({
    final: await client.chat.completions.stream(job.body).finalChatCompletion(),
  }),
  responses: async (client, job) => ({ final: await client.responses.create(job.body) }),
  responses_stream: async (client, job, out) => {
    const stream = await client.responses.create({ ...job.body, stream: true });
    for await (const event of stream) {
      out.events.push(event);
      if (out.events.length === job.leave_after) {
        stream.controller.abort();
        break;
      }
    }
    return {};
  },
  responses_helper: async (client, job) => ({
    final: await client.responses.stream(job.body).finalResponse(),
  }),
  // Leave after so many events, and come back for the rest; at each of them, and at each base_url of
  // job.at: with the gateway's own name for the answer, which all of its replicas know.
  responses_resume: async (client, job) => {
    const asked = await client.responses.create({ ...job.body, stream: true });
    const whole = (await all(asked)).events;
    const id = whole[0].response.id;
    const differing = [];
    for (const baseURL of job.at ?? [job.baseURL]) {
      const there = client.withOptions({ baseURL });
      for (let cut = 0; cut < whole.length; cut++) {
        const after = whole[cut].sequence_number;
        const rest = await all(
          await there.responses.retrieve(id, { stream: true, starting_after: after }));
        if (JSON.stringify(rest.events) !== JSON.stringify(whole.slice(cut + 1)))
          differing.push([baseURL, after]);
      }
    }
    return { events: whole, final: differing };
  },
  responses_cancel: async (client, job, out) => {
    const stream = await client.responses.create({ ...job.body, stream: true });
    let told = null;
    for await (const event of stream) {
      out.events.push(event);
      if (told === null && event.type === job.cancel_at) {
        told = await client.responses.cancel(out.events[0].response.id);
        out.final = told;
      }
    }
    return {};
  },
  responses_retrieve: async (client, job, out) => {
    const query = { stream: true, ...(job.after == null ? {} : { starting_after: job.after }) };
    for await (const event of await client.responses.retrieve(job.id, query)) out.events.push(event);
    return {};
  },
  responses_stop: async (client, job) => ({ final: await client.responses.cancel(job.id) }),
  messages: async (client, job) => ({ final: await client.messages.create(job.body) }),
  messages_stream: async (client, job, out) => {
    for await (const event of await client.messages.create({ ...job.body, stream: true }))
      out.events.push(event);
    return {};
  },
  messages_helper: async (client, job) => ({
    final: await client.messages.stream(job.body).finalMessage(),
  }),
  models: async (client) => all(await client.models.list()),
};

async function run(job) {
  const out = { events: [], final: null, error: null };
  const SDK = await load(job.sdk);
  const client = new SDK({
    apiKey: "sk-of-the-client",
    baseURL: job.baseURL,
    maxRetries: job.maxRetries ?? 0,
    timeout: 60000,
    logLevel: "off",
    ...(openai.has(job.sdk) ? { organization: null, project: null } : {}),
  });
  try {
    Object.assign(out, await calls[job.call](client, job, out));
  } catch (error) {
    out.error = {
      name: error.constructor.name,
      message: String(error.message),
      status: error.status ?? null,
      type: error.type ?? null,
      retryAfter: error.headers?.get("retry-after") ?? null,
      retryAfterMs: error.headers?.get("retry-after-ms") ?? null,
    };
  }
  return out;
}

const jobs = JSON.parse(fs.readFileSync(0, "utf8"));
const results = new Array(jobs.length);
let next = 0;
const work = async () => {
  for (let i = next++; i < jobs.length; i = next++) results[i] = await run(jobs[i]);
};
await Promise.all(Array.from({ length: 8 }, work));
process.stdout.write(JSON.stringify(results));
