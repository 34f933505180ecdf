// redis-faults.test.mjs - a Redis that dies, fills up, falls silent or cuts: nothing is lost in silence.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Provider } from '../provider/provider.mjs';
import { fold, isTerminal, script } from './lib/fold.mjs';
import { BIN, Child, freePort, House } from './lib/house.mjs';
import { metric } from './lib/observe.mjs';
import { post, request } from './lib/publish.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { Replicated } from './lib/replicated.mjs';
import { delay, until } from './lib/wait.mjs';
import { ask, block } from './lib/worker.mjs';

async function readersOf(house, task) {
  const sio = await new SioReader(house).connected();
  await sio.subscribe({ task_id: task });
  const ws = new WsReader(house);
  await ws.subscribe(task);
  const sse = new SseReader(house, eventsPath(task));
  await sse.item('subscribed');
  return [sio, ws, sse];
}

// A run on the tool's standard input, written slowly so that a fault falls into its middle.
class Run {
  constructor(house, url, task, count) {
    Object.assign(this, script(task, count));
    this.tool = house.tool('emit', '--redis', url, '--task', task, '--json-lines', '--timeout-ms', '40000');
  }

  async write(from, to, everyMs = 10) {
    for (const event of this.events.slice(from, to)) {
      await this.tool.write(`${JSON.stringify(event)}\n`);
      if (everyMs) await delay(everyMs);
    }
  }

  async ended() {
    this.tool.end();
    const { code } = await this.tool.ended;
    assert.equal(code, 0, this.tool.output);
  }
}

async function assertAllTold(readers, told, ms = 30000) {
  for (const reader of readers) {
    await reader.end(ms);
    const { reasoning, text, end } = fold(reader.items);
    assert.deepEqual({ reasoning, text }, told, reader.kind);
    assert.equal(end.type, 'completion', reader.kind);
    assert.equal(reader.events.filter(isTerminal).length, 1, reader.kind);
  }
}

async function readiness(house) {
  const answer = await request(house, 'GET', '/readyz');
  return { status: answer.status, text: answer.text };
}

// A broker, readers, and a run of which half is written.
async function halfway(t, task) {
  const redis = await Replicated.open();
  t.after(() => redis.close());
  const house = await House.open(t, { redis: false, args: ['--bus', redis.url] });
  const readers = await readersOf(house, task);
  const run = new Run(house, redis.url, task, 200);
  await run.write(0, 100);
  for (const reader of readers) await reader.wait(() => fold(reader.items).text.includes(`:90]`), 'half of the run');
  return { redis, house, readers, run };
}

test('the master is killed: a run streams on through the failover', async (t) => {
  const { redis, house, readers, run } = await halfway(t, 'failover');
  await redis.master.kill();
  await run.write(100, 201);
  await run.ended();
  await assertAllTold(readers, run.told);
  await house.broker.ready();
  assert.match(await redis.replica.client.info('replication'), /role:master/);
  const late = await readersOf(house, 'failover');
  for (const reader of late) assert.equal((await reader.end()).text, run.told.text, reader.kind);
});

test('a failover on command: the old master turns read-only, and is left', async (t) => {
  const { redis, house, readers, run } = await halfway(t, 'handover');
  await redis.sentinels[0].client.call('SENTINEL', 'FAILOVER', 'main');
  await run.write(100, 201);
  await run.ended();
  await assertAllTold(readers, run.told);
  await until(async () => /role:slave/.test(await redis.master.client.info('replication')), 'the old master to follow', 40000);
  await house.broker.ready();
});

test('what the replica had not got yet when the master died is published again', async (t) => {
  const { redis, readers, run } = await halfway(t, 'forgotten');
  redis.replica.child.process.kill('SIGSTOP');
  await run.write(100, 150);
  for (const reader of readers) await reader.wait(() => fold(reader.items).text.includes(':140]'), 'more of the run');
  await redis.master.kill();
  redis.replica.child.process.kill('SIGCONT');
  await run.write(150, 201);
  await run.ended();
  await assertAllTold(readers, run.told);
});

test('sentinels die one after the other: the last one still tells of the new master', async (t) => {
  const redis = await Replicated.open();
  t.after(() => redis.close());
  const house = await House.open(t, { redis: false, args: ['--bus', redis.url] });
  await redis.sentinels[0].client.call('SENTINEL', 'FAILOVER', 'main');
  await until(async () => (await redis.sentinels[2].client
    .call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'main'))[1] === String(redis.replica.port), 'the failover', 20000);
  await redis.sentinels[0].kill();
  await redis.sentinels[1].kill();
  // Until then the old master, which nobody has told yet, may still take events.
  await until(async () => /name=thinkwired /.test(await redis.replica.client.client('LIST')), 'the broker to follow', 20000);
  await until(async () => (await request(house, 'POST', '/v1/tasks/late/events',
    { body: '{"type":"status"}' })).status === 200, 'publishing');
  assert.equal(await redis.replica.client.exists('tw:{/late}:log'), 1);
});

test('the end of a run is confirmed by a replica', async (t) => {
  const redis = await Replicated.open({ sentinels: 1 });
  t.after(() => redis.close());
  const house = await House.open(t, { redis: false, args: ['--bus', redis.url] });
  await post(house, { task: 'safe' }, [{ type: 'completion', partial: false, text: '' }]);
  assert.equal(await metric(house.url, /redis_confirms_total\{outcome="done"\}/), 1);
  redis.replica.child.process.kill('SIGSTOP');
  const began = Date.now();
  await post(house, { task: 'alone' }, [{ type: 'status' }]);
  assert.ok(Date.now() - began < 900, 'what does not end a run waits for nobody');
  await post(house, { task: 'alone' }, [{ type: 'completion', partial: false, text: '' }]);
  assert.equal(await metric(house.url, /redis_confirms_total\{outcome="late"\}/), 1);
  assert.match(house.broker.child.output, /replicas are late/);
  redis.replica.child.process.kill('SIGCONT');
});

// A worker on a master with a replica, hosted as asked, and one generation at a time.
async function generating(t, inside, waitMs) {
  const provider = await Provider.start();
  t.after(() => provider.close());
  const redis = await Replicated.open({ sentinels: 1 });
  t.after(() => redis.close());
  const folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-e2e-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'providers.conf');
  const settings = ['--bus', redis.url, '--redis-wait-ms', String(waitMs), '--providers', file, '--telemetry', 'off'];
  writeFileSync(file, `default-model m\n${block(provider)}`);
  const house = await House.open(t, { redis: false, args: inside ? ['--worker', ...settings] : ['--bus', redis.url] });
  if (!inside) {
    house.worker = house.own(new Child(path.join(BIN, 'thinkwire-worker'), ['--finish-ms', '0', ...settings]));
    house.worker.close = () => house.worker.stop();
  }
  const speaker = inside ? house.broker.child : house.worker;
  await until(() => speaker.output.includes('worker ready'), () => speaker.output);
  return { house, redis, speaker };
}

for (const inside of [true, false]) {
  const where = inside ? 'inside a broker' : 'of its own';
  test(`a worker ${where} takes a run for ended when a replica has its end`, async (t) => {
    const { house, redis, speaker } = await generating(t, inside, 4000);
    const finished = () => [...speaker.output.matchAll(/generation finished.* total_ms=(\d+)/g)].map(([, ms]) => Number(ms));
    assert.equal((await ask(house)).type, 'completion');
    await until(() => finished().length === 1, () => speaker.output);
    assert.doesNotMatch(speaker.output, /replicas are late/);
    // One was the test's own.
    assert.match(await redis.master.client.info('commandstats'), /cmdstat_wait:calls=(?!1,)/);
    redis.replica.child.process.kill('SIGSTOP');
    const end = await ask(house);
    assert.equal(end.type, 'completion', 'readers wait for no replica');
    assert.equal(finished().length, 1, 'the worker does');
    await until(() => finished().length === 2, () => speaker.output);
    assert.ok(finished()[1] >= 4000, speaker.output);
    assert.match(speaker.output, /replicas are late/);
    redis.replica.child.process.kill('SIGCONT');
  });
}

test('a worker that is told so waits for no replica', async (t) => {
  const { house, redis, speaker } = await generating(t, false, 0);
  redis.replica.child.process.kill('SIGSTOP');
  assert.equal((await ask(house)).type, 'completion');
  await until(() => speaker.output.includes('generation finished'), () => speaker.output);
  assert.doesNotMatch(speaker.output, /replicas are late/);
  assert.doesNotMatch(await redis.master.client.info('commandstats'), /cmdstat_wait:calls=(?!1,)/);
  redis.replica.child.process.kill('SIGCONT');
});

test('a Redis that evicts is refused at the start, with the remedy', async (t) => {
  const house = await House.open(t);
  await house.redis.client.config('SET', 'maxmemory', '100mb');
  await house.redis.client.config('SET', 'maxmemory-policy', 'allkeys-lru');
  const second = house.own(new Child(path.join(BIN, 'thinkwired'),
    ['--listen', `127.0.0.1:${await freePort()}`, '--bus', house.redis.url]));
  second.close = () => second.stop();
  const { code } = await second.ended;
  assert.equal(code, 1);
  assert.match(second.output, /CONFIG SET maxmemory-policy noeviction/);
  // The one that runs already says so, and serves on.
  await until(async () => (await readiness(house)).status === 503, '/readyz to say so', 15000);
  assert.match((await readiness(house)).text, /noeviction/);
  await post(house, { task: 'on' }, [{ type: 'status' }]);
  await house.redis.client.config('SET', 'maxmemory-policy', 'noeviction');
  await house.broker.ready(15000);
});

test('Redis is full: publishing is refused, emitters hold on, readers stay, and it goes on', async (t) => {
  const house = await House.open(t);
  const readers = await readersOf(house, 'full');
  const run = new Run(house, house.redis.url, 'full', 200);
  await run.write(0, 100);
  for (const reader of readers) await reader.wait(() => fold(reader.items).text.includes(':90]'), 'half of the run');
  await house.redis.client.config('SET', 'maxmemory', '1');
  await run.write(100, 150);
  const refused = await request(house, 'POST', '/v1/tasks/other/events', { body: '{"type":"status"}' });
  assert.equal(refused.status, 503, refused.text);
  const ready = await readiness(house);
  assert.equal(ready.status, 503);
  assert.match(ready.text, /maxmemory/);
  assert.ok(await metric(house.url, /redis_refusals_total\{reason="full"\}/) >= 1);
  assert.match(house.broker.child.output, /redis refuses writes/);
  const late = await readersOf(house, 'full');
  await house.redis.client.config('SET', 'maxmemory', '0');
  await run.write(150, 201);
  await run.ended();
  await assertAllTold([...readers, ...late], run.told);
  await house.broker.ready(15000);
});

test('the subscriber is cut for its output buffer: nothing is lost or doubled', async (t) => {
  const house = await House.open(t);
  const readers = await readersOf(house, 'cut');
  const { events, told } = script('cut', 400, { filler: 'x'.repeat(20000) });
  await post(house, { task: 'cut' }, events.slice(0, 20));
  await house.redis.client.config('SET', 'client-output-buffer-limit', 'pubsub 256kb 0 0');
  const losses = await metric(house.url, /redis_link_losses_total/);
  const run = house.tool('emit', '--redis', house.redis.url, '--task', 'cut', '--json-lines', '--no-completion');
  house.broker.child.process.kill('SIGSTOP');
  // No faster than Redis takes it: the tool has a bound, too.
  for (let at = 20; at < 400; at += 20) {
    await run.write(events.slice(at, at + 20).map((event) => `${JSON.stringify(event)}\n`).join(''));
    const bytes = Buffer.byteLength(events.slice(0, at + 20).map((event) => event.text).join(''));
    await until(async () => (await house.redis.client.hmget('tw:{/cut}:run', 'text_len', 'reasoning_len'))
      .reduce((sum, len) => sum + Number(len), 0) >= bytes, 'Redis to have it');
  }
  run.end();
  const { code } = await run.ended;
  assert.equal(code, 0, run.output);
  house.broker.child.process.kill('SIGCONT');
  await house.broker.ready();
  await post(house, { task: 'cut' }, events.slice(-1));
  await assertAllTold(readers, told);
  assert.ok(await metric(house.url, /redis_link_losses_total/) > losses, 'the subscriber was cut');
});

test('Redis is silent for twelve seconds: it is noticed, no run is killed, all heals', async (t) => {
  const house = await House.open(t);
  const readers = await readersOf(house, 'silence');
  const run = new Run(house, house.redis.url, 'silence', 200);
  await run.write(0, 100);
  for (const reader of readers) await reader.wait(() => fold(reader.items).text.includes(':90]'), 'half of the run');
  house.redis.child.process.kill('SIGSTOP');
  const silence = delay(12000); // the silence itself
  await run.write(100, 150);
  await until(async () => (await readiness(house)).status === 503, '/readyz to notice', 14000);
  await silence;
  house.redis.child.process.kill('SIGCONT');
  await run.write(150, 201);
  await run.ended();
  await assertAllTold(readers, run.told);
});

test('a last message that never came over the channel is found by looking', async (t) => {
  const house = await House.open(t);
  const readers = await readersOf(house, 'mute');
  const ids = await post(house, { task: 'mute' }, [{ type: 'text', text: 'all', partial: true }]);
  for (const reader of readers) await reader.count(1);
  const [epoch] = ids[0].split('-');
  const end = { type: 'completion', task_id: 'mute', text: 'all', reasoning: '', partial: false };
  await house.redis.client.xadd('tw:{/mute}:log', `${epoch}-2`, 'e', JSON.stringify(end));
  await house.redis.client.hset('tw:{/mute}:run', { seq: 2, counter: 2, state: 'completed' });
  await assertAllTold(readers, { reasoning: '', text: 'all' });
});
