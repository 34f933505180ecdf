// run.mjs - runs the test files one after the other; arguments pick files by a part of their name.
// SPDX-License-Identifier: MIT
//
// One file at a time on purpose: several of them measure memory or time.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';

const here = path.dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here)
  .filter((name) => name.endsWith('.test.mjs'))
  .filter((name) => !wanted.length || wanted.some((part) => name.includes(part)))
  .sort();

let code = files.length ? 0 : 1;
for (const file of files) {
  console.log(`--- ${file}`);
  const run = spawnSync(process.execPath, ['--test', '--test-reporter=spec', path.join(here, file)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (run.status !== 0) code = 1;
}
process.exit(code);
