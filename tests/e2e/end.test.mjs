// end.test.mjs - a broker that is told to end ends, whatever its Redis is doing.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { House, PATIENCE } from './lib/house.mjs';
import { delay } from './lib/wait.mjs';

const BROKERS = 12;

test('brokers that end while their links look for a Redis that has gone end with code 0', async (t) => {
  const house = await House.open(t);
  const brokers = [];
  for (let n = 0; n < BROKERS; n++) brokers.push(await house.another({ args: ['--worker'] }));
  await house.redis.kill();
  // Each at another moment of its links' new attempts.
  const ends = await Promise.all(brokers.map(async ({ child }, n) => {
    await delay(n * 15);
    return child.stop('SIGTERM', 15000 * PATIENCE);
  }));
  for (const [n, end] of ends.entries()) assert.deepEqual(end, { code: 0, signal: null }, brokers[n].child.output);
});
