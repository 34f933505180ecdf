// redis-lost.test.mjs - single messages of a live channel never come: nothing is lost in silence.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { DeafWire } from './lib/deaf-wire.mjs';
import { assertIdsRise, fold, isTerminal, script } from './lib/fold.mjs';
import { House } from './lib/house.mjs';
import { metric } from './lib/observe.mjs';
import { post } from './lib/publish.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';

// A broker behind the wire, its readers of `task`, and a broker beside it that publishes.
async function behind(t, task, loses) {
  const beside = await House.open(t);
  const wire = await DeafWire.open(beside, loses);
  const house = await House.open(t, { redis: false, args: ['--bus', wire.url] });
  const sio = await new SioReader(house).connected();
  assert.equal((await sio.subscribe({ task_id: task })).state, 'unknown');
  const ws = new WsReader(house);
  await ws.subscribe(task);
  const sse = new SseReader(house, eventsPath(task));
  await sse.item('subscribed');
  return { beside, wire, house, readers: [sio, ws, sse] };
}

async function assertWhole(readers, told) {
  for (const reader of readers) {
    await reader.end();
    const { reasoning, text, end } = fold(reader.items);
    assert.deepEqual({ reasoning, text }, told, reader.kind);
    assert.equal(end.type, 'completion', reader.kind);
    assert.equal(reader.events.filter(isTerminal).length, 1, reader.kind);
    assertIdsRise(reader.items);
  }
}

test('the first message of a run never comes, and then there is silence: an idle probe finds it', async (t) => {
  const { beside, wire, house, readers } = await behind(t, 'first', () => wire.isDeaf);
  wire.isDeaf = true;
  const probes = await metric(house.url, /redis_probes_total/);
  await post(beside, { task: 'first' }, [{ type: 'reasoning', text: 'Hm', partial: true }]);
  for (const reader of readers) {
    await reader.count(1);
    assert.equal(reader.events[0].text, 'Hm', reader.kind);
  }
  assert.equal(wire.lost, 2, 'the opening of the run, and its first event');
  assert.ok(await metric(house.url, /redis_probes_total/) > probes, 'it was found by a probe');
  wire.isDeaf = false;
  await post(beside, { task: 'first' }, [{ type: 'completion', text: '', reasoning: 'Hm', partial: false }]);
  await assertWhole(readers, { reasoning: 'Hm', text: '' });
});

test('the last message of a run never comes: an idle probe finds it', async (t) => {
  const { beside, wire, readers } = await behind(t, 'last', (message) => message.includes('"completion"'));
  const { events, told } = script('last', 10);
  await post(beside, { task: 'last' }, events);
  await assertWhole(readers, told);
  assert.equal(wire.lost, 1);
});

test('every third message of a run never comes: what follows shows the gap, and it is read', async (t) => {
  let n = 0;
  const { beside, wire, house, readers } = await behind(t, 'third', () => n++ % 3 === 0);
  const { events, told } = script('third', 60);
  await post(beside, { task: 'third' }, events);
  await assertWhole(readers, told);
  assert.ok(wire.lost >= 20, `${wire.lost} were lost`);
  assert.ok(await metric(house.url, /redis_live_total\{outcome="gap"\}/) > 0, 'gaps were seen');
});

test('who was told more elsewhere than a broker has heard goes on there without a seam', async (t) => {
  const { beside, wire, house } = await behind(t, 'ahead', () => wire.isDeaf);
  const { events, told } = script('ahead', 40);
  await post(beside, { task: 'ahead' }, events.slice(0, 20));
  const before = new WsReader(house);
  await before.subscribe('ahead', { from: 'start' });
  await before.count(20);
  wire.isDeaf = true;
  const ids = await post(beside, { task: 'ahead' }, events.slice(20, 30));
  const since = ids.at(-1);
  const ws = new WsReader(house);
  await ws.subscribe('ahead', { since });
  const sse = new SseReader(house, eventsPath('ahead'), { headers: { 'Last-Event-ID': since } });
  await sse.item('subscribed');
  const sio = await new SioReader(house).connected();
  assert.equal((await sio.subscribe({ task_id: 'ahead', since })).replayed, 0);
  wire.isDeaf = false;
  await post(beside, { task: 'ahead' }, events.slice(30));
  for (const reader of [ws, sse, sio]) {
    await reader.end();
    assert.ok(reader.items.every(({ name }) => name !== 'resync'), `${reader.kind} was resynchronised`);
    assert.deepEqual(reader.events.map(({ text }) => text), events.slice(30).map(({ text }) => text), reader.kind);
  }
  await before.end();
  assert.equal(fold(before.items).text, told.text);
  // What nobody has ever told is no place to go on from.
  const [epoch] = since.split('-');
  const liar = new WsReader(house);
  await liar.subscribe('ahead', { since: `${epoch}-4000` });
  assert.equal((await liar.item('resync')).data.reason, 'unknown_id');
});
