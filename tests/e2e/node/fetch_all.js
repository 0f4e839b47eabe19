// fetch_all.js URL...: what Node's fetch makes of each, one after the other: {"text":...}, or {"error":...}.
const answers = [];
for (const url of process.argv.slice(2)) {
  try {
    answers.push({ text: await (await fetch(url)).text() });
  } catch (error) {
    answers.push({ error: String(error.cause ?? error) });
  }
}
console.log(JSON.stringify(answers));
