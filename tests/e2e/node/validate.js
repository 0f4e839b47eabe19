// validate.js RECORD_SCHEMA CONTROL_SCHEMA < MESSAGES: each line is a message; it must be valid by
// the schema of its kind (a control message has "event" first). Exit 1 and what is wrong, else the count.
import { readFileSync } from "node:fs";
import Ajv from "ajv";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const compile = (path) => {
  const schema = JSON.parse(readFileSync(path, "utf8"));
  const Kind = (schema.$schema ?? "").includes("2020-12") ? Ajv2020 : Ajv;
  const ajv = new Kind.default({ allErrors: true, strict: true, strictTypes: false, strictRequired: false });
  addFormats.default(ajv);
  return ajv.compile(schema);
};
const [recordPath, controlPath] = process.argv.slice(2);
const record = compile(recordPath);
const control = compile(controlPath);

let wrong = 0;
const lines = readFileSync(0, "utf8").split("\n").filter((line) => line !== "");
for (const line of lines) {
  const validate = line.startsWith('{"event":') ? control : record;
  if (!validate(JSON.parse(line))) {
    console.error(line, JSON.stringify(validate.errors));
    wrong++;
  }
}
if (wrong > 0) process.exit(1);
console.log(lines.length);
