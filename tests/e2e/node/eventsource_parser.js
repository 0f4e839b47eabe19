// eventsource_parser.js URL COUNT: the first events of the body, as eventsource-parser sees them.
import { createParser } from "eventsource-parser";

const [url, count] = process.argv.slice(2);
const events = [];
const parser = createParser({
  onEvent: (event) =>
    events.push({ event: event.event ?? "message", id: event.id, data: event.data }),
  onError: (error) => {
    throw error;
  },
});
const answer = await fetch(url, { headers: { Accept: "text/event-stream" } });
const decoder = new TextDecoder();
for await (const part of answer.body) {
  parser.feed(decoder.decode(part, { stream: true }));
  if (events.length >= Number(count)) break;
}
console.log(JSON.stringify(events.slice(0, Number(count))));
process.exit(0);
