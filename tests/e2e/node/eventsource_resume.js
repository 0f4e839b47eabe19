// eventsource_resume.js URL COUNT: an EventSource that reconnects by itself; the members n of COUNT
// records, repeats included.
import { EventSource } from "eventsource";

const [url, count] = process.argv.slice(2);
const seen = [];
const source = new EventSource(url);
source.onmessage = (event) => {
  seen.push(JSON.parse(event.data).data.n);
  if (seen.length === Number(count)) {
    console.log(JSON.stringify(seen));
    process.exit(0);
  }
};
