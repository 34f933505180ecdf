// buses.mjs - one test, run on the memory bus and with Redis.
// SPDX-License-Identifier: MIT
import test from 'node:test';

// memory: a broker that hosts the worker and needs nothing else. Redis: broker, worker and Redis,
// each a process of its own.
export const BUSES = ['memory', 'Redis'];

// `act(t, bus)` on each bus. At the same time, since their houses share nothing and mostly wait; one
// after the other with `inTurn`, where the two would disturb what is measured.
export function onEachBus(name, act, { inTurn = false } = {}) {
  test(name, { concurrency: inTurn ? 1 : BUSES.length }, async (t) => {
    await Promise.all(BUSES.map((bus) => t.test(`bus: ${bus}`, (inner) => act(inner, bus))));
  });
}
