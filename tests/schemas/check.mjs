// Validates with ajv and the AsyncAPI parser, from the folder of node_modules in the first argument.
//   check.mjs MODULES values FILE     each {"schema", "value", "valid"} of the array in FILE; prints one JSON array of verdicts
//   check.mjs MODULES asyncapi FILE   prints the diagnostics, exit 1 when there is an error
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [modules, what, file] = process.argv.slice(2);
const require = createRequire(join(modules, 'package.json'));
const schemas = join(dirname(fileURLToPath(import.meta.url)), '../../schemas');

function values(path) {
  const Ajv = require('ajv');
  const ajv = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true });
  for (const name of ['record', 'control', 'problem']) {
    ajv.addSchema(JSON.parse(readFileSync(join(schemas, `${name}.schema.json`), 'utf8')));
  }
  const verdicts = JSON.parse(readFileSync(path, 'utf8')).map(({ schema, value }) => {
    const validate = typeof schema === 'string' ? ajv.getSchema(schema) : ajv.compile(schema);
    if (!validate) throw new Error(`no such schema: ${schema}`);
    return validate(value) ? '' : ajv.errorsText(validate.errors);
  });
  console.log(JSON.stringify(verdicts));
}

async function asyncapi(path) {
  const { Parser, fromFile } = require('@asyncapi/parser');
  const { document, diagnostics } = await fromFile(new Parser(), path).parse();
  for (const d of diagnostics) console.log(d.severity, d.code, d.message, d.path.join('.'));
  if (!document || diagnostics.some((d) => d.severity <= 1)) process.exit(1);
}

if (what === 'values') values(file);
else if (what === 'asyncapi') await asyncapi(file);
else throw new Error(`usage: check.mjs MODULES values|asyncapi FILE`);
