// lift.test.mjs - Frappe's progress in the durable log (--lift), and beside native runs.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';
import { seqOf } from './lib/fold.mjs';
import { BIN, House } from './lib/house.mjs';
import { frappeModern, post, request } from './lib/publish.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { delay, until } from './lib/wait.mjs';

const SITE = 'site1.local';
const nsp = `/${SITE}`;

async function metric(house, line) {
  const { text } = await request(house, 'GET', '/metrics');
  return Number(text.split('\n').find((one) => one.startsWith(`thinkwire_${line} `))?.split(' ').at(-1));
}

// The broker that lifts; there is never more than one.
async function elected(houses) {
  let found;
  await until(async () => {
    const lifts = await Promise.all(houses.map((house) => metric(house, 'lift_elected')));
    assert.ok(lifts.reduce((sum, n) => sum + n, 0) <= 1, 'two brokers lift');
    found = houses[lifts.indexOf(1)];
    return found;
  }, 'a broker that lifts');
  return found;
}

// Several brokers on one Redis, all of which lift.
async function fleet(t, count, args = ['--lift', 'on']) {
  const houses = [await House.open(t, { args })];
  const bus = ['--bus', houses[0].redis.url];
  for (let i = 1; i < count; i++) {
    houses.push(await House.open(t, { args: [...args, ...bus], redis: false }));
  }
  return houses;
}

async function stringReader(house, task) {
  const reader = await new SioReader(house, { nsp }).connected();
  await reader.subscribe(task);
  return reader;
}

const event = (task, n, more = {}) => ({ task_id: task, type: 'text', text: `n${n}`, n, ...more });
const numbers = (reader) => reader.events.map(({ n }) => n);
const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

test('a lifted event reaches readers of every broker once, as published, under one id', async (t) => {
  const houses = await fleet(t, 3);
  await elected(houses);
  const strings = await Promise.all(houses.map((house) => stringReader(house, 'all')));
  const streams = houses.map((house) => new SseReader(house, eventsPath('all', { site: SITE })));
  const sockets = houses.map((house) => new WsReader(house, { site: SITE }));
  for (const stream of streams) await stream.item('subscribed');
  for (const socket of sockets) await socket.subscribe('all');
  const sent = [...range(0, 100).map((n) => event('all', n, n % 7 ? {} : { id: `mine-${n}`, deep: [{ 'é': null }] })),
    { task_id: 'all', type: 'completion', n: 100 }];
  await frappeModern(houses[0], { site: SITE, task: 'all' }, sent);
  for (const reader of [...strings, ...streams, ...sockets]) await reader.count(101);
  for (const reader of strings) assert.deepEqual(reader.events, sent);
  const ids = streams[0].items.filter(({ name }) => name === 'ai_progress').map(({ id }) => id);
  assert.deepEqual(ids.map(seqOf), range(1, 102));
  assert.ok(!ids[0].startsWith('~'), 'ids are durable');
  for (const stream of streams) {
    await stream.streamEnd();
    assert.deepEqual(stream.items.filter(({ name }) => name === 'ai_progress').map(({ id }) => id), ids);
  }
  for (const reader of [...streams, ...sockets]) assert.deepEqual(numbers(reader), range(0, 101));
});

test('a stream of a lifted run goes on at another broker exactly where it was cut', async (t) => {
  const houses = await fleet(t, 3);
  await elected(houses);
  let n = 0;
  const say = (count) => frappeModern(houses[0], { site: SITE, task: 'hop' },
    range(n, n += count).map((i) => event('hop', i)));
  await say(300);
  const told = [];
  let last;
  for (let hop = 0; hop < 8; hop++) {
    const reader = new SseReader(houses[hop % 3], eventsPath('hop', { site: SITE }),
      last ? { headers: { 'Last-Event-ID': last } } : {});
    await reader.item('subscribed');
    await say(20);
    await reader.count(n - told.length);
    assert.equal(reader.items.find(({ name }) => name === 'resync'), undefined);
    told.push(...numbers(reader));
    last = reader.items.at(-1).id;
    reader.close();
  }
  assert.deepEqual(told, range(0, n));
});

test('the broker that lifts is killed: nothing twice, one hole, and native readers are told', async (t) => {
  const houses = await fleet(t, 3);
  const leader = await elected(houses);
  const others = houses.filter((house) => house !== leader);
  const strings = await Promise.all(others.map((house) => stringReader(house, 'kill')));
  const sockets = others.map((house) => new WsReader(house, { site: SITE }));
  for (const socket of sockets) await socket.subscribe('kill');
  let n = 0;
  let isOver = false;
  const said = (async () => {
    for (; !isOver; n++) {
      await frappeModern(houses[0], { site: SITE, task: 'kill' }, [event('kill', n)]);
      await delay(5);
    }
  })();
  await strings[0].count(50);
  leader.broker.child.process.kill('SIGKILL');
  await leader.broker.child.ended;
  leader.broker.child = undefined;
  await elected(others);
  const before = strings[0].events.length;
  await strings[0].count(before + 50);
  isOver = true;
  await said;
  await frappeModern(houses[0], { site: SITE, task: 'kill' }, [{ task_id: 'kill', type: 'completion', n }]);
  for (const reader of [...strings, ...sockets]) await reader.end();
  for (const reader of strings) {
    const told = numbers(reader);
    const holes = told.filter((one, i) => i > 0 && one !== told[i - 1] + 1);
    assert.ok(told.every((one, i) => i === 0 || one > told[i - 1]), 'nothing twice, in order');
    assert.ok(holes.length <= 1, `holes before ${holes}`);
    assert.deepEqual(told, numbers(strings[0]), 'the same at every broker');
    assert.deepEqual(reader.disconnects, []);
    t.diagnostic(`${n + 1 - told.length} of ${n + 1} events were lost`);
  }
  for (const socket of sockets) {
    const at = socket.items.findIndex(({ name }) => name === 'resync');
    assert.ok(at > 0, 'told of the hole');
    const epochs = new Set(socket.events.map(({ id }) => id.split('-')[0]));
    assert.equal(epochs.size, 2, 'marked by a new epoch');
  }
});

test('a broker that is told to end hands over at once', async (t) => {
  const houses = await fleet(t, 2);
  const leader = await elected(houses);
  const other = houses.find((house) => house !== leader);
  const began = Date.now();
  leader.broker.child.process.kill('SIGTERM');
  await until(async () => (await metric(other, 'lift_elected')) === 1, 'the other to lift');
  assert.ok(Date.now() - began < 3000, `${Date.now() - began} ms`);
  assert.deepEqual(await leader.broker.child.ended, { code: 0, signal: null });
});

for (const args of [[], ['--lift', 'on']]) {
  test(`a native run is not replaced by what Frappe says beside it ${args.join(' ')}`, async (t) => {
    const [house] = await fleet(t, 1, args);
    if (args.length) await elected([house]);
    const at = { site: SITE, task: 'both' };
    await post(house, at, [{ type: 'text', text: 'a', partial: true }]);
    const early = await stringReader(house, 'both');
    const object = await new SioReader(house, { nsp }).connected();
    await object.subscribe({ task_id: 'both' });
    await object.count(1);
    for (let i = 0; i < 5; i++) {
      await frappeModern(house, at, [event('both', i)]);
      await early.count(i * 2 + 1);
      await post(house, at, [{ type: 'text', text: 'b', partial: true }]);
      await early.count(i * 2 + 2);
    }
    const late = await stringReader(house, 'both');
    await frappeModern(house, at, [event('both', 5)]);
    await late.count(1);
    await post(house, at, [{ type: 'completion', text: 'abbbbb', partial: false }]);
    for (const reader of [early, late, object]) await reader.end();
    assert.deepEqual(early.events.map((one) => one.n ?? one.type),
      [...range(0, 5).flatMap((n) => [n, 'text']), 5, 'completion']);
    assert.deepEqual(late.events.map((one) => one.n ?? one.type), [5, 'completion']);
    assert.deepEqual(object.events.map(({ type }) => type), [...Array(6).fill('text'), 'completion']);
    assert.equal(object.items.find(({ name }) => name === 'resync'), undefined);
  });
}

test('--lift without a Redis to lift into is refused', () => {
  const { status, stderr } = spawnSync(path.join(BIN, 'thinkwired'), ['--lift', 'on'], { timeout: 10000 });
  assert.notEqual(status, 0);
  assert.match(String(stderr), /--lift .* needs --bus redis:/);
});
