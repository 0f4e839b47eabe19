// json_array.js URL: what a client that asks for JSON makes of the body: {"whole":N}, or {"error":...}.
const [url] = process.argv.slice(2);
try {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  console.log(JSON.stringify({ whole: (await answer.json()).length }));
} catch (error) {
  console.log(JSON.stringify({ error: String(error) }));
}
