// runs.test.mjs - every run ends once, and no text is lost in silence, whatever Redis forgets.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { fold, isTerminal } from './lib/fold.mjs';
import { House } from './lib/house.mjs';
import { post, request } from './lib/publish.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { delay, until } from './lib/wait.mjs';

// A producer in the middle of its run: JSON lines to `thinkwire emit`, one by one.
class Producer {
  told = { reasoning: '', text: '' };

  constructor(house, task) {
    this.child = house.tool('emit', '--redis', house.redis.url, '--task', task, '--json-lines');
  }

  async say(type, count) {
    for (let i = 0; i < count; i++) {
      const text = `<${type} ${this.told[type].length}>`;
      this.told[type] += text;
      await this.child.write(`${JSON.stringify({ type, text, partial: true })}\n`);
    }
  }

  async complete() {
    this.child.end(); // which is the completion
    const end = await this.child.ended;
    assert.deepEqual(end, { code: 0, signal: null }, this.child.output);
  }
}

async function nativeReaders(house, task) {
  const ws = new WsReader(house);
  await ws.subscribe(task);
  const sse = new SseReader(house, eventsPath(task));
  await sse.item('subscribed');
  const sio = await new SioReader(house).connected();
  await sio.subscribe({ task_id: task });
  return [ws, sse, sio];
}

const LOSSES = {
  'FLUSHALL': (house) => house.redis.client.flushall(),
  'a restart without its data': async (house) => {
    await house.redis.kill();
    await delay(300); // what is said meanwhile waits in the producer
    await house.redis.start();
  },
};

for (const [name, lose] of Object.entries(LOSSES)) {
  test(`${name} in the middle of a run: everything is said again, and readers are told`, async (t) => {
    const house = await House.open(t);
    const producer = new Producer(house, 'loss');
    await producer.say('reasoning', 20);
    await producer.say('text', 20);
    await until(async () => (await request(house, 'GET', '/v1/tasks/loss')).json?.text?.length > 0, 'the run');
    const readers = await nativeReaders(house, 'loss');
    for (const reader of readers) await reader.wait(() => fold(reader.items).text !== '', 'text');
    const lost = lose(house);
    await producer.say('text', 20);
    await lost;
    await producer.say('text', 20);
    await until(async () => (await request(house, 'GET', '/v1/tasks/loss')).json?.text?.includes('<text 0>'),
      'the text to be there again', 30000);
    const late = await nativeReaders(house, 'loss');
    await producer.complete();
    for (const reader of [...readers, ...late]) {
      const end = await reader.end();
      const { reasoning, text } = fold(reader.items);
      assert.deepEqual({ reasoning, text }, producer.told, reader.kind);
      assert.equal(end.type, 'completion');
      assert.equal(reader.events.filter(isTerminal).length, 1, reader.kind);
    }
    for (const reader of readers) {
      assert.ok(reader.items.some(({ name: what }) => what === 'resync'), `${reader.kind} was told`);
    }
    const epochs = new Set(readers[0].events.filter(({ id }) => id).map(({ id }) => id.split('-')[0]));
    assert.equal(epochs.size, 2, 'a new epoch');
  });
}

test('a producer that is killed: its run ends once, as PRODUCER_LOST, on every broker', async (t) => {
  const house = await House.open(t);
  const other = await House.open(t, { args: ['--bus', house.redis.url], redis: false });
  const producer = new Producer(house, 'killed');
  await producer.say('text', 10);
  await until(async () => (await request(house, 'GET', '/v1/tasks/killed')).json?.text?.length > 0, 'the run');
  const readers = [...await nativeReaders(house, 'killed'), ...await nativeReaders(other, 'killed')];
  await producer.child.stop('SIGKILL');
  for (const reader of readers) {
    const end = await reader.end(40000);
    assert.equal(end.code, 'PRODUCER_LOST');
  }
  await delay(1500); // another sweep of either broker
  for (const reader of readers) assert.equal(reader.events.filter(isTerminal).length, 1, reader.kind);
});

test('a silence of Redis longer than a lease ends no run', async (t) => {
  const house = await House.open(t);
  const producer = new Producer(house, 'silent');
  await producer.say('text', 10);
  await until(async () => (await request(house, 'GET', '/v1/tasks/silent')).json?.text?.length > 0, 'the run');
  const [reader] = await nativeReaders(house, 'silent');
  await delay(3000); // the brokers have seen it answer for a while
  house.redis.child.process.kill('SIGSTOP');
  await producer.say('text', 10);
  await delay(12000); // the lease is 10 s
  house.redis.child.process.kill('SIGCONT');
  await producer.say('text', 10);
  await producer.complete();
  const end = await reader.end(30000);
  assert.equal(end.type, 'completion');
  assert.equal(fold(reader.items).text, producer.told.text);
});

for (const redis of [true, false]) {
  test(`the first batch of a producer that got no answer is no second run (${redis ? 'Redis' : 'memory'})`, async (t) => {
    const house = await House.open(t, { redis });
    const send = (body, more = {}) => request(house, 'POST', '/v1/tasks/first/events', {
      body: JSON.stringify(body), headers: { 'thinkwire-producer': 'p', ...more },
    });
    const hello = { type: 'text', text: 'hello', partial: true };
    const first = await send(hello);
    const again = await send(hello);
    assert.deepEqual(again.json, first.json);
    const next = await send({ type: 'completion', text: 'hello', partial: false },
      { 'thinkwire-epoch': String(first.json.epoch), 'thinkwire-counter': '2' });
    assert.equal(next.status, 200, next.text);
    assert.equal((await request(house, 'GET', '/v1/tasks/first')).json.text, 'hello');
    const other = await send({ ...hello, text: 'another run' });
    assert.notEqual(other.json.epoch, first.json.epoch);
  });
}

test('a task id that is used again has a new epoch, and readers are told', async (t) => {
  const house = await House.open(t);
  const [first] = await post(house, { task: 'again' }, [{ type: 'text', text: 'old', partial: true }]);
  await post(house, { task: 'again' }, [{ type: 'completion', text: 'old', partial: false }]);
  const readers = (await nativeReaders(house, 'again')).filter(({ kind }) => kind !== 'SSE');
  for (const reader of readers) await reader.end();
  const [second] = await post(house, { task: 'again' }, [{ type: 'text', text: 'new', partial: true }]);
  assert.notEqual(second.split('-')[0], first.split('-')[0]);
  const since = new WsReader(house);
  await since.subscribe('again', { since: first });
  for (const reader of [...readers, since]) {
    await reader.wait(() => reader.events.at(-1)?.text === 'new', 'the new run');
    const at = reader.items.findIndex(({ name }) => name === 'resync');
    assert.ok(at >= 0, `${reader.kind} was told`);
    assert.deepEqual(reader.items.slice(at).filter(({ name }) => name === 'ai_progress').map(({ data }) => data.text), ['new']);
  }
});
