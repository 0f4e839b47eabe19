// eventsource.js URL COUNT: the first events, as the eventsource package dispatches them.
import { EventSource } from "eventsource";

const [url, count] = process.argv.slice(2);
const events = [];
const source = new EventSource(url);
const take = (event) => {
  events.push({ event: event.type, id: event.lastEventId, data: event.data });
  if (events.length === Number(count)) {
    console.log(JSON.stringify(events));
    source.close();
    process.exit(0);
  }
};
source.addEventListener("hello", take);
source.addEventListener("gap", take);
source.addEventListener("forged", take);
source.onmessage = take;
source.onerror = (error) => {
  console.error(error);
  process.exit(1);
};
