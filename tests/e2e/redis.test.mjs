// redis.test.mjs - Redis stops, restarts and falls silent under connected readers.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { fold, script } from './lib/fold.mjs';
import { House } from './lib/house.mjs';
import { frappeModern, post, request } from './lib/publish.mjs';
import { eventsPath, SIO_TRANSPORTS, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { delay, until } from './lib/wait.mjs';

const SITE = 'site1.local';
const text = (words) => ({ type: 'text', text: words, partial: true });

async function everyReader(house, task) {
  const readers = await Promise.all(Object.keys(SIO_TRANSPORTS).flatMap((mode) => [task, { task_id: task }]
    .map(async (what) => {
      const reader = await new SioReader(house, { mode, nsp: `/${SITE}` }).connected();
      await reader.subscribe(what);
      reader.isString = typeof what === 'string';
      return reader;
    })));
  const ws = new WsReader(house, { site: SITE });
  await ws.subscribe(task);
  const sse = new SseReader(house, eventsPath(task, { site: SITE }));
  await sse.item('subscribed');
  return [...readers, ws, sse];
}

function assertAllStayed(readers) {
  for (const reader of readers) {
    assert.deepEqual(reader.disconnects ?? [], [], reader.kind);
    assert.equal(reader.closeCode, undefined, reader.kind);
    assert.equal(reader.isEnded, undefined, reader.kind);
  }
}

test('Redis is killed and comes back: readers stay, and events flow again within 2 s', async (t) => {
  const house = await House.open(t);
  const readers = await everyReader(house, 'back');
  await frappeModern(house, { site: SITE, task: 'back' }, [text('before')]);
  for (const reader of readers) await reader.count(1);
  await house.redis.kill();
  await until(async () => (await request(house, 'GET', '/readyz')).status === 503, '/readyz to say so');
  assert.equal((await request(house, 'GET', '/healthz')).status, 200, 'health answers while Redis is away');
  const refused = await request(house, 'POST', '/v1/tasks/other/events', { body: JSON.stringify(text('a')) });
  assert.equal(refused.status, 503);
  assert.equal(refused.json.error.code, 'UNAVAILABLE');
  await house.redis.start();
  const began = Date.now();
  await house.broker.ready();
  assert.ok(Date.now() - began < 2000, `${Date.now() - began} ms`);
  await frappeModern(house, { site: SITE, task: 'back' }, [text('after')]);
  for (const reader of readers) {
    await reader.wait(() => reader.events.at(-1).text === 'after', () => `the event at ${reader.kind}`);
  }
  await post(house, { site: SITE, task: 'native' }, [text('new')]);
  assertAllStayed(readers);
});

test('Redis restarts with its data: a run goes on without a seam', async (t) => {
  const house = await House.open(t);
  await house.redis.client.config('SET', 'appendonly', 'yes');
  await house.redis.client.config('SET', 'appendfsync', 'always');
  const { events, told } = script('durable', 40);
  const readers = (await everyReader(house, 'durable')).filter((reader) => !reader.isString);
  await post(house, { site: SITE, task: 'durable' }, events.slice(0, 20));
  for (const reader of readers) await reader.count(20);
  await house.redis.restart();
  await house.broker.ready();
  await post(house, { site: SITE, task: 'durable' }, events.slice(20));
  for (const reader of readers) {
    await reader.end();
    const { reasoning, text: all } = fold(reader.items);
    assert.deepEqual({ reasoning, text: all }, told, reader.kind);
    assert.ok(reader.items.every(({ name }) => name !== 'resync'), `${reader.kind} was resynchronised`);
  }
  assertAllStayed(readers.filter(({ kind }) => kind !== 'SSE'));
});

test('Redis loses everything: native readers are told, never silently appended to', async (t) => {
  const house = await House.open(t);
  const readers = [new WsReader(house), new SseReader(house, eventsPath('lost'))];
  await readers[0].subscribe('lost');
  await readers[1].item('subscribed');
  await post(house, { task: 'lost' }, [text('old')]);
  for (const reader of readers) await reader.count(1);
  await house.redis.kill();
  await house.redis.start();
  await house.broker.ready();
  await post(house, { task: 'lost' }, [text('new')]);
  await post(house, { task: 'lost' }, [{ type: 'completion', text: 'new', reasoning: '', partial: false }]);
  for (const reader of readers) {
    const end = await reader.end();
    assert.equal(end.text, 'new');
    assert.ok(reader.items.some(({ name }) => name === 'resync'), `${reader.kind} was told`);
    assert.equal(fold(reader.items).text, 'new', reader.kind);
  }
});

test('Redis is silent for two seconds: what was published meanwhile arrives, in order', async (t) => {
  const house = await House.open(t);
  const { events, told } = script('silent', 40);
  const readers = await everyReader(house, 'silent');
  await post(house, { site: SITE, task: 'silent' }, events.slice(0, 20));
  for (const reader of readers) await reader.count(20);
  house.redis.child.process.kill('SIGSTOP');
  const published = post(house, { site: SITE, task: 'silent' }, events.slice(20));
  await delay(2000); // the silence itself
  house.redis.child.process.kill('SIGCONT');
  await published;
  for (const reader of readers) {
    await reader.end();
    const { reasoning, text: all } = fold(reader.items);
    assert.deepEqual({ reasoning, text: all }, told, reader.kind);
  }
});

test('a broker that starts before its Redis serves as soon as that is there', async (t) => {
  const house = await House.open(t);
  await house.broker.close();
  await house.redis.kill();
  await house.broker.start();
  assert.equal((await request(house, 'GET', '/readyz')).status, 503);
  const reader = new WsReader(house);
  await reader.opened();
  reader.send({ op: 'subscribe', task_id: 'early' });
  await house.redis.start();
  await house.broker.ready();
  await reader.item('subscribed');
  await post(house, { task: 'early' }, [text('there')]);
  await reader.count(1);
});
