// redis-refuses.test.mjs - a Redis that is there but will not: it is told why, readers stay, and it heals.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { assertIdsRise, fold, isTerminal, script } from './lib/fold.mjs';
import { Child, House, PATIENCE } from './lib/house.mjs';
import { metric } from './lib/observe.mjs';
import { post, request } from './lib/publish.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';

// What is done to a Redis, what of it must be told everywhere, and how it is put right again.
// `reason`: of the counter redis_refusals_total, where the links stay and reading goes on.
const FAULTS = {
  'it cannot save to its disk (MISCONF)': {
    reason: 'disk',
    words: /cannot save to its disk/,
    async hurt({ client }, house) {
      // A folder in the place of its file: saving fails, whoever runs it.
      this.file = path.join(house.folder, 'dump.rdb');
      mkdirSync(this.file);
      await client.config('SET', 'save', '3600 1000000');
      await client.bgsave();
      await until(async () => /last_bgsave_status:err/.test(await client.info('persistence')), 'the save to fail');
    },
    async heal({ client }) {
      rmdirSync(this.file);
      await until(async () => client.bgsave().then(() => true, () => false), 'a save to begin');
      await until(async () => /last_bgsave_status:ok/.test(await client.info('persistence')), 'the save');
    },
  },
  'its memory is full (OOM)': {
    reason: 'full',
    words: /maxmemory/,
    hurt: ({ client }) => client.config('SET', 'maxmemory', '1'),
    heal: ({ client }) => client.config('SET', 'maxmemory', '0'),
  },
  'its user may not run scripts (NOPERM)': {
    reason: 'denied',
    words: /does not allow this user/,
    hurt: ({ client }) => client.acl('SETUSER', 'worker', '-eval', '-evalsha'),
    heal: ({ client }) => client.acl('SETUSER', 'worker', '+@all'),
  },
  'its user may not do what scripts do (NOPERM)': {
    reason: 'denied',
    words: /does not allow this user/,
    hurt: ({ client }) => client.acl('SETUSER', 'worker', '-xadd'),
    heal: ({ client }) => client.acl('SETUSER', 'worker', '+@all'),
  },
  'its user may not touch the keys (NOPERM)': {
    reason: 'denied',
    isUnread: true,
    words: /does not allow this user/,
    hurt: ({ client }) => client.acl('SETUSER', 'worker', 'resetkeys', '~other:*'),
    heal: ({ client }) => client.acl('SETUSER', 'worker', 'allkeys'),
  },
  'it is a read-only replica (READONLY)': {
    words: /read-only replica/,
    hurt: ({ client }) => client.call('REPLICAOF', '127.0.0.1', '1'),
    heal: ({ client }) => client.call('REPLICAOF', 'NO', 'ONE'),
  },
  'its password is another one now (WRONGPASS)': {
    words: /WRONGPASS/,
    async hurt({ client }) {
      await client.acl('SETUSER', 'worker', 'resetpass', '>another');
      await client.client('KILL', 'USER', 'worker');
    },
    heal: ({ client }) => client.acl('SETUSER', 'worker', 'resetpass', '>secret'),
  },
  'it is loading its data (LOADING)': {
    words: /LOADING/,
    isAnybodys: true, // the users are not kept over a restart
    async hurt(redis) {
      await redis.client.config('SET', 'rdbcompression', 'no');
      for (let n = 0; n < 300; n++) await redis.client.set(`ballast-${n}`, 'x'.repeat(2000));
      await redis.client.save();
      await redis.kill();
      // A key in 60 ms; between two of them it answers.
      redis.start(['--appendonly', 'no', '--key-load-delay', '60000',
        '--loading-process-events-interval-bytes', '1024']).catch(() => {});
    },
    async heal(redis) {
      await new Child('redis-cli', ['-p', `${redis.port}`, 'CONFIG', 'SET', 'key-load-delay', '0']).ended;
      await until(() => redis.child.output.includes('Ready to accept connections'), 'all of it');
    },
  },
};

async function readersOf(house) {
  const sio = await new SioReader(house).connected();
  await sio.subscribe({ task_id: 'run' });
  const ws = new WsReader(house);
  await ws.subscribe('run');
  const sse = new SseReader(house, eventsPath('run'));
  await sse.item('subscribed');
  return [sio, ws, sse];
}

async function assertWhole(readers, told) {
  for (const reader of readers) {
    await reader.end(30000 * PATIENCE);
    const { reasoning, text, end } = fold(reader.items);
    assert.deepEqual({ reasoning, text }, told, reader.kind);
    assert.equal(end.type, 'completion', reader.kind);
    assert.equal(reader.events.filter(isTerminal).length, 1, reader.kind);
    assertIdsRise(reader.items);
    assert.deepEqual(reader.disconnects ?? [], [], reader.kind);
    assert.equal(reader.closeCode, undefined, reader.kind);
  }
}

// A broker, and runs told by an emitter over Redis and by one over HTTP, as one user of Redis.
async function scene(t, fault) {
  const outer = await House.open(t);
  const { redis } = outer;
  await redis.client.acl('SETUSER', 'worker', 'on', '>secret', 'allkeys', 'allchannels', '+@all');
  const url = fault.isAnybodys ? redis.url : `redis://worker:secret@127.0.0.1:${redis.port}`;
  const house = await House.open(t, { redis: false, args: ['--bus', url] });
  const emit = (...args) => house.tool('emit', '--redis', url, ...args);
  const emitHttp = (...args) => house.tool('emit', '--http', house.url, ...args);
  return { outer, redis, house, emit, emitHttp };
}

async function write(tool, events) {
  await tool.write(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
}

async function assertToldAll({ house, emit, emitHttp }, fault) {
  const publish = () => request(house, 'POST', '/v1/tasks/other/events', { body: '{"type":"status"}' });
  await until(async () => fault.words.test((await publish()).json.error.message), 'the words to who publishes');
  const refused = await publish();
  assert.equal(refused.status, 503);
  assert.equal(refused.json.error.code, 'UNAVAILABLE');
  await until(async () => fault.words.test((await request(house, 'GET', '/readyz')).text), 'the words in /readyz');
  assert.equal((await request(house, 'GET', '/readyz')).status, 503);
  assert.equal((await request(house, 'GET', '/healthz')).status, 200);
  assert.match(house.broker.child.output, fault.words, 'the words in the log');
  if (fault.reason) assert.ok(await metric(house.url, new RegExp(`redis_refusals_total.*${fault.reason}`)) >= 1);
  // Over HTTP the task is looked at first, which takes its time where it cannot be read.
  const patience = fault.reason && !fault.isUnread ? '1500' : '7000';
  const few = ['--type', 'status', '--timeout-ms', patience, '--connect-timeout-ms', '1000', 'hi'];
  await Promise.all([emit('--task', 'a', ...few), emitHttp('--task', 'b', ...few)].map(async (tool) => {
    const { code } = await tool.ended;
    assert.equal(code, 4, tool.output);
    assert.match(tool.output, fault.words, 'the words of the emitter');
  }));
}

async function ride(t, fault) {
  const it = await scene(t, fault);
  const { house, redis } = it;
  const { events, told } = script('r', 80);
  const readers = await readersOf(house);
  const run = it.emit('--task', 'run', '--json-lines', '--timeout-ms', '40000');
  const beside = it.emitHttp('--task', 'beside', '--json-lines', '--timeout-ms', '40000');
  for (const tool of [run, beside]) await write(tool, events.slice(0, 40));
  for (const reader of readers) await reader.wait(() => fold(reader.items).text.includes(':39]'), 'half of the run');
  await fault.hurt(redis, it.outer);
  for (const tool of [run, beside]) await write(tool, events.slice(40, 60));
  await assertToldAll(it, fault);
  // Where Redis can be read, who comes is served.
  if (fault.reason && !fault.isUnread) readers.push(...await readersOf(house));
  await fault.heal(redis);
  for (const tool of [run, beside]) {
    await write(tool, events.slice(60));
    tool.end();
    const { code } = await tool.ended;
    assert.equal(code, 0, tool.output);
  }
  await assertWhole(readers, told);
  assert.equal((await request(house, 'GET', '/v1/tasks/beside')).json.text, told.text);
  await house.broker.ready(20000 * PATIENCE);
}

// Most of their time is waiting.
describe('Redis is there and will not', { concurrency: 3 }, () => {
  for (const [name, fault] of Object.entries(FAULTS)) {
    test(`${name}: all say so, readers stay, and it heals`, (t) => ride(t, fault));
  }
});

test('a Redis that cannot save refuses even PING: links come up all the same, and stay', async (t) => {
  const fault = Object.values(FAULTS)[0];
  const { outer, redis, house } = await scene(t, fault);
  await post(outer, { task: 'run' }, [{ type: 'text', text: 'all', partial: true }]);
  await fault.hurt(redis, outer);
  await redis.client.client('KILL', 'USER', 'worker');
  const readers = await readersOf(house);
  const losses = await metric(house.url, /redis_link_losses_total/);
  const refused = async () => Number(/cmdstat_ping:.*rejected_calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1] ?? 0);
  const before = await refused();
  await until(async () => await refused() >= before + 3, 'PING to be refused on links that are idle', 15000);
  await fault.heal(redis);
  await post(outer, { task: 'run' }, [{ type: 'completion', text: 'all', reasoning: '', partial: false }]);
  await assertWhole(readers, { reasoning: '', text: 'all' });
  assert.equal(await metric(house.url, /redis_link_losses_total/), losses, 'no link was lost');
});
