// ws.js URL COUNT: the first messages of a WebSocket as a JSON array.
import WebSocket from "ws";

const [url, count] = process.argv.slice(2);
const messages = [];
const ws = new WebSocket(url, ["headgate.v1.json"]);
ws.on("message", (data, isBinary) => {
  if (isBinary) throw new Error("a binary message");
  messages.push(data.toString());
  if (messages.length === Number(count)) {
    console.log(JSON.stringify(messages));
    ws.close(1000);
  }
});
ws.on("close", (code) => process.exit(code === 1000 ? 0 : 1));
