// agree.mjs - the C checker and the JSON Schema must say the same of every row of events.json.
// SPDX-License-Identifier: MIT
// Usage: node agree.mjs PATH_OF_schema_check
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const here = (name) => new URL(name, import.meta.url);
const schema = JSON.parse(readFileSync(here("../../schema/ai_progress.schema.json"), "utf8"));
const rows = JSON.parse(readFileSync(here("events.json"), "utf8"));

const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
addFormats(ajv);
const validate = ajv.compile(schema);

function bytesOf(row) {
  if (row.raw_base64 !== undefined) return Buffer.from(row.raw_base64, "base64");
  return Buffer.from(row.raw ?? JSON.stringify(row.event));
}

function verdictOfSchema(bytes) {
  try {
    return validate(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch {
    return false; // not JSON in UTF-8
  }
}

function verdictsOfC(program, lines) {
  const input = Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")]));
  const output = execFileSync(program, { input, encoding: "utf8" });
  return output.trimEnd().split("\n");
}

const program = process.argv[2];
if (!program) throw new Error("usage: node agree.mjs PATH_OF_schema_check");
const lines = rows.map(bytesOf);
const broken = lines.findIndex((line) => line.includes(0x0a));
if (broken >= 0) throw new Error(`row "${rows[broken].name}" is more than one line`);
const said = verdictsOfC(program, lines);
if (said.length !== rows.length)
  throw new Error(`schema_check answered ${said.length} lines for ${rows.length} rows`);

const names = new Set();
let failures = 0;
rows.forEach((row, i) => {
  if (names.has(row.name)) throw new Error(`two rows are called "${row.name}"`);
  names.add(row.name);
  const bySchema = verdictOfSchema(lines[i]);
  const byC = said[i] === "ok";
  // What JSON Schema cannot express it must let pass: else the mark is out of date.
  const wantedBySchema = row.beyond_schema ? true : row.good;
  if (byC === row.good && bySchema === wantedBySchema) return;
  failures++;
  console.error(`${row.name}: wanted ${row.good ? "good" : "bad"}, C says "${said[i]}", schema says ${bySchema}`);
});
for (const example of schema.examples)
  if (!validate(example)) throw new Error(`an example of the schema is bad: ${JSON.stringify(example)}`);

const good = rows.filter((row) => row.good).length;
console.log(`${rows.length} events (${good} good, ${rows.length - good} bad), ${failures} disagreements`);
process.exit(failures === 0 ? 0 : 1);
