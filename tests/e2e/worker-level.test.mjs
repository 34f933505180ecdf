// worker-level.test.mjs - five hundred generations at once, and what is left of them afterwards.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { IS_SANITIZED, PATIENCE } from './lib/house.mjs';
import { descriptors, privateBytes } from './lib/observe.mjs';
import { ask, Asked, open, wholeAnswer } from './lib/worker.mjs';
import { until } from './lib/wait.mjs';

const COUNT = 500;
const WORDS = 10;
const SPARE_BYTES = 8 << 20;
const WAIT_MS = 180000;

// Each fiftieth meets one of these. Whole: what a retry or a fallback makes of it.
const FAULTS = {
  refused: { rules: [{ refuse: true, times: 1 }, { words: WORDS }], whole: true },
  broken: { rules: [{ mode: 'stream', cut_at: 5, words: WORDS }, { words: WORDS }], whole: true },
  silent: { rules: [{ mode: 'stream', eof_at: 5, words: WORDS }, { words: WORDS }], whole: true },
  denied: { rules: [{ status: 400 }], whole: false },
};
const KINDS = Object.keys(FAULTS);
const kindOf = (n) => (n % 50 === 49 ? KINDS[Math.floor(n / 50) % KINDS.length] : 'm');

const LINES = [`max-connections ${COUNT}`, 'keep-alive-ms 500', 'connect-timeout-ms 60000',
  'first-token-timeout-ms 120000', 'idle-timeout-ms 120000', 'breaker-failures 0'];

// Each of them is at work before the first of them has a word.
async function load(house, gate) {
  house.provider.forget();
  house.provider.script('m', { words: WORDS, gate });
  for (const [name, { rules }] of Object.entries(FAULTS)) house.provider.script(name, ...rules);
  const kinds = Array.from({ length: COUNT }, (_, n) => kindOf(n));
  const runs = await Promise.all(kinds.map((model) => Asked.start(house, { model })));
  const gated = kinds.filter((kind) => kind === 'm').length;
  await until(() => house.provider.callsOf('m').length === gated, () => `${house.provider.callsOf('m').length} of ${gated} calls`, WAIT_MS);
  assert.ok(house.provider.open >= gated, `${house.provider.open} connections`);
  house.provider.release(gate);
  for (const [n, run] of runs.entries()) {
    const end = await run.end(WAIT_MS * PATIENCE);
    if (kinds[n] === 'm' || FAULTS[kinds[n]].whole) assert.equal(end.told.text, wholeAnswer(run.task, WORDS), `${kinds[n]} ${end.code}`);
    else assert.equal(end.type, 'error', kinds[n]);
    run.reader.close();
  }
}

test(`R12 ${COUNT} generations at once, some of which fail: descriptors and memory are back afterwards`, async (t) => {
  const house = await open(t, { lines: LINES, broker: ['--retain-finished-ms', '1000'] });
  await ask(house, { model: 'first' });
  const processes = { worker: house.worker.pid, broker: house.broker.pid };
  const level = (pid) => ({ descriptors: descriptors(pid), bytes: privateBytes(pid) });
  const before = Object.fromEntries(Object.entries(processes).map(([name, pid]) => [name, level(pid)]));
  await load(house, 'one');
  await load(house, 'two');
  for (const [name, pid] of Object.entries(processes)) {
    // What was there before may have gone by itself: idle connections of the housekeeping.
    const spare = before[name].descriptors + 2;
    await until(() => descriptors(pid) <= spare, () => `${name}: ${descriptors(pid)} descriptors, ${before[name].descriptors} before`, WAIT_MS);
    if (IS_SANITIZED) continue; // its memory says nothing
    const growth = () => privateBytes(pid) - before[name].bytes;
    await until(() => growth() < SPARE_BYTES, () => `${name}: ${growth()} bytes more than before`, WAIT_MS);
    t.diagnostic(`${name}: ${growth() >> 10} KB more than before`);
  }
});
