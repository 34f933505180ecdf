// storm.test.mjs - all readers of a task come at once: Redis is read once, not once for each.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { Cable } from './lib/cable.mjs';
import { fold, script } from './lib/fold.mjs';
import { House, PATIENCE } from './lib/house.mjs';
import { metric, metrics } from './lib/observe.mjs';
import { post } from './lib/publish.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';

const LONG = 60000 * PATIENCE;

// Commands that read a task's data, as Redis counts them.
async function reads(house) {
  const text = await house.redis.client.info('commandstats');
  return [...text.matchAll(/^cmdstat_(xrange|xrevrange|get|hgetall|hmget|getrange|subscribe):calls=(\d+)/gm)]
    .reduce((all, [, name, calls]) => ({ ...all, [name]: Number(calls) }), {});
}

async function readsDuring(house, act) {
  const before = await reads(house);
  await act();
  const after = await reads(house);
  return Object.fromEntries(Object.entries(after).map(([name, n]) => [name, n - (before[name] ?? 0)]));
}

function assertFew(counts, most) {
  for (const [name, n] of Object.entries(counts)) assert.ok(n <= most, `${n} ${name}: ${JSON.stringify(counts)}`);
}

test('a broker that starts anew and is stormed by the readers of one task reads it once', async (t) => {
  const house = await House.open(t);
  const { events, told } = script('storm', 40);
  const ids = await post(house, { task: 'storm' }, events.slice(0, 20), { lines: 20 });
  await house.broker.close();
  await house.broker.start();
  await house.broker.ready();
  const readers = [];
  const counts = await readsDuring(house, async () => {
    for (let n = 0; n < 120; n++) {
      // Half of them were there before and go on, the others are new.
      const since = n % 2 ? ids[n % 20] : undefined;
      const ws = new WsReader(house);
      ws.socket.on('open', () => ws.send({ op: 'subscribe', task_id: 'storm', since }));
      readers.push(ws, new SseReader(house, eventsPath('storm', { since })));
    }
    await Promise.all(readers.map((reader) => reader.item('subscribed', { ms: LONG })));
  });
  t.diagnostic(JSON.stringify(counts));
  assert.equal(await metric(house.url, /^thinkwire_redis_loads_total/), 1);
  assertFew(counts, 12);
  await post(house, { task: 'storm' }, events.slice(20), { lines: 50 });
  for (const [n, reader] of readers.entries()) {
    const end = await reader.end(LONG);
    assert.equal(end.type, 'completion');
    const got = fold(reader.items);
    const isWhole = n % 4 < 2; // those that went on have the rest only
    if (isWhole) assert.deepEqual([got.text, got.reasoning], [told.text, told.reasoning], `reader ${n}`);
  }
});

test('a cut that hits all readers at once makes no reads, and everybody goes on', async (t) => {
  const house = await House.open(t);
  const cable = await Cable.open(house);
  const { events, told } = script('cut', 40);
  await post(house, { task: 'cut' }, events.slice(0, 20), { lines: 20 });
  const readers = [];
  for (let n = 0; n < 60; n++) {
    const reader = new SioReader(cable);
    reader.socket.on('connect', () => reader.socket.emit('task_subscribe', { task_id: 'cut', since: reader.events.at(-1)?.id }));
    readers.push(reader);
  }
  await Promise.all(readers.map((reader) => reader.count(1, LONG)));
  const counts = await readsDuring(house, async () => {
    cable.pull();
    await Promise.all(readers.map((reader) => reader.wait(() => reader.disconnects.length === 1, 'the cut', LONG)));
    cable.plug();
    await Promise.all(readers.map((reader) => reader.wait(() => reader.socket.connected, 'the way back', LONG)));
  });
  assertFew(counts, 6);
  await post(house, { task: 'cut' }, events.slice(20), { lines: 50 });
  for (const reader of readers) {
    await reader.end(LONG);
    const got = fold(reader.items);
    assert.deepEqual([got.text, got.reasoning], [told.text, told.reasoning]);
  }
});

test('thousands join one finished task: one load, snapshots encoded once, all of them whole', async (t) => {
  const house = await House.open(t);
  const { events, told } = script('late', 2000);
  await post(house, { task: 'late' }, events, { lines: 500 });
  await house.broker.close();
  await house.broker.start();
  await house.broker.ready();
  const JOINS = 3000;
  const AT_ONCE = 100;
  let joined = 0;
  const counts = await readsDuring(house, () => Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (joined < JOINS) {
      const number = joined++;
      const reader = number % 2 ? new WsReader(house) : new SseReader(house, eventsPath('late'));
      if (number % 2) await reader.subscribe('late');
      await reader.end(LONG);
      const got = fold(reader.items);
      assert.equal(got.text, told.text, `reader ${number}`);
      assert.equal(got.reasoning, told.reasoning, `reader ${number}`);
      assert.ok(reader.events.length <= 3, 'one snapshot event for each kind, and the end');
      reader.close();
    }
  })));
  house.forget();
  t.diagnostic(JSON.stringify(counts));
  assert.equal(await metric(house.url, /^thinkwire_redis_loads_total/), 1);
  assertFew(counts, 40);
  await until(async () => Object.entries(await metrics(house.url))
    .every(([name, n]) => !name.startsWith('thinkwire_sessions') || n === 0), 'all readers to be gone', LONG);
});
