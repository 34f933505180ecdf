// run.mjs - runs the test files one after the other; arguments pick files by a part of their name.
// SPDX-License-Identifier: MIT
//
// One file at a time on purpose: several of them measure memory or time.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here)
  .filter((name) => name.endsWith('.test.mjs'))
  .filter((name) => !wanted.length || wanted.some((part) => name.includes(part)))
  .sort()
  .map((name) => path.join(here, name));

if (!files.length) throw new Error('no such test file');
const stream = run({ files, concurrency: false, timeout: 15 * 60 * 1000 });
stream.on('test:fail', () => {
  process.exitCode = 1;
});
stream.compose(new spec()).pipe(process.stdout);
