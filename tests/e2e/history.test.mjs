// history.test.mjs - a broker that never saw a run tells all of it that Redis retains.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { seqOf } from './lib/fold.mjs';
import { House } from './lib/house.mjs';
import { post, request } from './lib/publish.mjs';
import { EventSourceReader, eventsPath, SIO_TRANSPORTS, SioReader, SseReader, WsReader } from './lib/readers.mjs';

const EVENTS = 3000;

// Each joins with {since} or {from} and resolves when that is confirmed.
const JOIN = {
  SSE: (house, params) => new SseReader(house, eventsPath('old', params)),
  EventSource: (house, params) => new EventSourceReader(house, eventsPath('old', params)),
  WebSocket: async (house, params) => {
    const reader = new WsReader(house);
    await reader.subscribe('old', params);
    return reader;
  },
  ...Object.fromEntries(Object.keys(SIO_TRANSPORTS).map((mode) => [
    `Socket.IO ${mode}`, async (house, params) => {
      const reader = await new SioReader(house, { mode }).connected();
      const { ok, ...state } = await reader.subscribe({ task_id: 'old', ...params });
      assert.equal(ok, true, JSON.stringify(state));
      return reader;
    },
  ])),
};

// Events that are never merged, so that each can be counted; then a broker without memory.
async function coldHouse(t, events = EVENTS) {
  const house = await House.open(t);
  const ids = await post(house, { task: 'old' },
    Array.from({ length: events }, (_, n) => ({ type: 'status', message: `${n + 1}` })), { lines: 500 });
  await house.broker.close();
  await house.broker.start();
  await house.broker.ready();
  return { house, ids };
}

async function assertAllFrom(reader, first, last) {
  await reader.count(last - first + 1);
  const seqs = reader.events.map(({ id }) => seqOf(id));
  assert.deepEqual(seqs, Array.from({ length: last - first + 1 }, (_, n) => first + n));
  for (const { id, message } of reader.events) {
    if (message !== undefined) assert.equal(Number(message), seqOf(id));
  }
  assert.ok(reader.items.every(({ name }) => name !== 'resync'), 'it was resynchronised');
}

for (const [kind, join] of Object.entries(JOIN)) {
  test(`${kind}: since an old id, a cold broker tells every event once and in order`, async (t) => {
    const { house, ids } = await coldHouse(t);
    const reader = await join(house, { since: ids[9] });
    await assertAllFrom(reader, 11, EVENTS);
    await post(house, { task: 'old' }, [{ type: 'completion', text: 'all', partial: false }]);
    await assertAllFrom(reader, 11, EVENTS + 1);
  });

  test(`${kind}: from the start, a cold broker tells every event once and in order`, async (t) => {
    const { house } = await coldHouse(t);
    const [one, two] = await Promise.all([join(house, { from: 'start' }), join(house, { from: 'start' })]);
    await assertAllFrom(one, 1, EVENTS);
    await assertAllFrom(two, 1, EVENTS);
  });
}

test('long polls since an old id walk through everything', async (t) => {
  const { house, ids } = await coldHouse(t);
  const got = [];
  for (let since = ids[9]; got.length < EVENTS - 10;) {
    const answer = await request(house, 'GET', eventsPath('old', { since }), { headers: { accept: 'application/json' } });
    assert.equal(answer.status, 200);
    assert.equal(answer.json.resync, undefined);
    assert.ok(answer.json.events.length > 0);
    got.push(...answer.json.events.map(({ id }) => seqOf(id)));
    since = answer.json.id;
  }
  assert.deepEqual(got, Array.from({ length: EVENTS - 10 }, (_, n) => 11 + n));
});

test('events go on being published while the past is told: no seam', async (t) => {
  const { house, ids } = await coldHouse(t);
  const more = Array.from({ length: 200 }, (_, n) => ({ type: 'status', message: `${EVENTS + n + 1}` }));
  const published = post(house, { task: 'old' }, more);
  const readers = await Promise.all(Object.values(JOIN).map((join) => join(house, { since: ids[99] })));
  await published;
  for (const reader of readers) await assertAllFrom(reader, 101, EVENTS + 200);
});

test('of a run past its bound a cold broker tells what is retained', async (t) => {
  const house = await House.open(t, { args: ['--retain-events', '1000'] });
  await post(house, { task: 'old' },
    Array.from({ length: 2500 }, (_, n) => ({ type: 'status', message: `${n + 1}` })), { lines: 500 });
  await house.broker.close();
  await house.broker.start();
  await house.broker.ready();
  const reader = new WsReader(house);
  await reader.subscribe('old', { from: 'start' });
  await assertAllFrom(reader, 1501, 2500);
});
