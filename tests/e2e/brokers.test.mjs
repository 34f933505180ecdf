// brokers.test.mjs - several brokers on one Redis: any reader, any broker, the same run.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { isTerminal, script, seqOf } from './lib/fold.mjs';
import { House, PATIENCE } from './lib/house.mjs';
import { post, request } from './lib/publish.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { delay } from './lib/wait.mjs';

async function fleet(t, count) {
  const houses = [await House.open(t)];
  for (let i = 1; i < count; i++) {
    houses.push(await House.open(t, { args: ['--bus', houses[0].redis.url], redis: false }));
  }
  return houses;
}

// A repeatable choice, so that a failure can be seen again.
function dice(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

// How each native kind of client joins, with the id behind which it wants to go on.
const KINDS = {
  SSE: async (house, task, since) => {
    const reader = new SseReader(house, eventsPath(task), since ? { headers: { 'Last-Event-ID': since } } : {});
    await reader.answered();
    return reader;
  },
  '/ws': async (house, task, since) => {
    const reader = new WsReader(house);
    await reader.opened();
    reader.send({ op: 'subscribe', task_id: task, since });
    return reader;
  },
  'Socket.IO': async (house, task, since) => {
    const reader = await new SioReader(house).connected();
    reader.socket.emit('task_subscribe', { task_id: task, since });
    return reader;
  },
  'Socket.IO polling': async (house, task, since) => {
    const reader = await new SioReader(house, { mode: 'polling' }).connected();
    reader.socket.emit('task_subscribe', { task_id: task, since });
    return reader;
  },
};

// A client that moves to another broker every now and then, and knows only its last id.
class Wanderer {
  told = { reasoning: '', text: '' };

  resyncs = 0;

  hops = 0;

  ids = new Map();

  constructor(kind, houses, task, roll) {
    Object.assign(this, { kind, houses, task, roll });
  }

  #take({ name, data, id }) {
    if (name === 'resync') {
      this.resyncs += 1;
      this.told = { reasoning: '', text: '' };
      this.last = undefined;
    }
    if (name !== 'ai_progress') return;
    const own = data.id ?? (id === '-' ? undefined : id);
    if (own !== undefined) {
      if (this.last) assert.ok(seqOf(own) > seqOf(this.last), `${this.kind}: ${own} after ${this.last}`);
      this.last = own;
      if (!data.merged) this.ids.set(own, data.text);
    }
    if (data.partial) this.told[data.type] += data.text;
    if (isTerminal(data)) this.end = data;
  }

  async wander() {
    while (!this.end) {
      const house = this.houses[this.roll(this.houses.length)];
      // Who has no place begins anew.
      if (!this.last) this.told = { reasoning: '', text: '' };
      const reader = await KINDS[this.kind](house, this.task, this.last);
      await reader.end(50 + this.roll(350)).catch(() => {}); // moves on before the end
      if (reader.fault) throw reader.fault;
      reader.close();
      reader.items.forEach((item) => this.#take(item));
      this.hops += 1;
    }
  }
}

test('readers that hop between brokers during a run miss nothing and get nothing twice', async (t) => {
  const houses = await fleet(t, 3);
  const { events, told } = script('hop', 4000);
  const roll = dice(4711);
  const wanderers = Object.keys(KINDS).flatMap((kind) => Array.from({ length: 4 },
    (_, i) => new Wanderer(kind, houses, 'hop', dice(i * 7919 + kind.length))));
  await post(houses[0], { task: 'hop' }, events.slice(0, 10));
  const done = Promise.all(wanderers.map((one) => one.wander()));
  for (let at = 10; at < events.length; at += 20) {
    await post(houses[roll(3)], { task: 'hop' }, events.slice(at, at + 20), { lines: 20 });
    await delay(10);
  }
  await done;
  const ids = new Map();
  for (const one of wanderers) {
    assert.deepEqual(one.told, told, one.kind);
    assert.equal(one.resyncs, 0, `${one.kind} lost its place`);
    assert.equal(one.end.text, told.text);
    for (const [id, text] of one.ids) {
      assert.equal(ids.get(id) ?? text, text, `${id} is another event elsewhere`);
      ids.set(id, text);
    }
  }
  t.diagnostic(`${wanderers.length} readers, ${wanderers.reduce((sum, { hops }) => sum + hops, 0)} hops, ${ids.size} ids`);
});

async function commands(house) {
  const info = await house.redis.client.info('stats');
  return Number(/total_commands_processed:(\d+)/.exec(info)[1]);
}

async function metric(house, line) {
  const { text } = await request(house, 'GET', '/metrics');
  return Number(text.split('\n').find((one) => one.startsWith(`thinkwire_${line} `)).split(' ').at(-1));
}

for (const isOver of [false, true]) {
  test(`500 joins on one cold ${isOver ? 'finished' : 'running'} task read Redis once`, async (t) => {
    const houses = await fleet(t, 2);
    const { events, told } = script('cold', 2000);
    if (!isOver) events.pop();
    await post(houses[0], { task: 'cold' }, events, { lines: 500 });
    const loads = await metric(houses[1], 'redis_loads_total');
    const before = await commands(houses[0]);
    const readers = Array.from({ length: 500 }, () => new WsReader(houses[1]));
    const began = Date.now();
    await Promise.all(readers.map(async (reader) => {
      await reader.opened();
      reader.send({ op: 'subscribe', task_id: 'cold' });
      await reader.wait(() => reader.events.find(({ type }) => type === (isOver ? 'completion' : 'text')),
        'its snapshot', 30000 * PATIENCE);
    }));
    // What the brokers ask by the clock (sweeps, pings) comes on top, whoever joins.
    const clock = 2 * 12 * (2 + (Date.now() - began) / 1000);
    const asked = await commands(houses[0]) - before;
    assert.equal(await metric(houses[1], 'redis_loads_total') - loads, 1);
    assert.ok(asked < 20 + clock, `${asked} commands, ${clock} allowed for the clock`);
    for (const reader of readers) {
      const text = reader.events.find(({ type, partial }) => type === 'text' && partial).text;
      assert.equal(text, told.text);
    }
    t.diagnostic(`${asked} commands in ${Date.now() - began} ms`);
  });
}
