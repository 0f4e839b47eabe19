// fetch.js URL ACCEPT: what Node's fetch makes of an answer: its coding and text.
const [url, accept] = process.argv.slice(2);
const answer = await fetch(url, { headers: { Accept: accept } });
console.log(JSON.stringify({ coding: answer.headers.get("content-encoding"), text: await answer.text() }));
