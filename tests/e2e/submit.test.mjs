// submit.test.mjs - a request over HTTP becomes a run: on either bus, on any broker, with any worker.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { onEachBus } from './lib/buses.mjs';
import { assertIdsRise, fold } from './lib/fold.mjs';
import { House, PATIENCE } from './lib/house.mjs';
import { request } from './lib/publish.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';
import { Worker } from './lib/worker.mjs';

const DEMO = /^This is Thinkwire's demonstration provider\./;

const submit = (house, body, path = '') => request(house, 'POST', `/v1/tasks${path}`, {
  body: JSON.stringify(body), headers: { 'content-type': 'application/json' },
});

// The broker as something readers take: they ask for url and broker.host, and are ended with the house.
const at = (house, broker) => ({ url: broker.url, broker, own: (thing) => house.own(thing) });

async function readersOf(house, task) {
  const ws = new WsReader(house);
  const sio = await new SioReader(house).connected();
  const sse = new SseReader(house, eventsPath(task));
  const states = [
    (await ws.subscribe(task)).state,
    (await sio.subscribe({ task_id: task })).state,
    (await sse.item('subscribed')).data.state,
  ];
  return { readers: [ws, sio, sse], states };
}

// The embedded worker alone, or two brokers and two workers around one Redis.
async function places(t, bus, args = []) {
  if (bus === 'memory') {
    const house = await House.open(t, { redis: false, args: ['--worker', ...args] });
    return { house, brokers: [house] };
  }
  const house = await House.open(t, { args });
  const other = await house.another({ args });
  for (let i = 0; i < 2; i++) await new Worker(house, {}).ready();
  return { house, brokers: [house, at(house, other)] };
}

onEachBus('a request is watched from queued to its end, by every reader', async (t, bus) => {
  const { house, brokers } = await places(t, bus);
  const watching = [];
  for (const broker of brokers) {
    const { readers, states } = await readersOf(broker, 'asked');
    assert.deepEqual(states, ['unknown', 'unknown', 'unknown']);
    watching.push(...readers);
  }
  const answer = await submit(brokers.at(-1), { message: 'hello', task_id: 'asked' });
  assert.equal(answer.status, 202, answer.text);
  assert.equal(answer.headers['x-task-id'], 'asked');
  assert.equal(answer.json.task_id, 'asked');
  assert.equal(answer.json.state, 'queued');
  assert.equal(typeof answer.json.epoch, 'number');
  for (const reader of watching) {
    const end = await reader.end(30000 * PATIENCE);
    assert.equal(end.type, 'completion', reader.kind);
    assert.match(end.text, DEMO);
    assert.equal(fold(reader.items).text, end.text, reader.kind);
    assert.equal(reader.events[0].type, 'queued', reader.kind);
    assert.equal(reader.events[0].id, `${answer.json.epoch}-1`);
    assertIdsRise(reader.items);
  }
  assert.equal((await request(house, 'GET', '/v1/tasks/asked')).json.state, 'completed');
});

onEachBus('stream:false waits, and answers with everything', async (t, bus) => {
  const { brokers } = await places(t, bus);
  const answer = await submit(brokers[0], { messages: [{ role: 'user', content: 'hi' }], stream: false });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.task_id, answer.headers['x-task-id']);
  assert.match(answer.json.task_id, /^gen_[0-9a-f]{24}$/);
  assert.match(answer.json.text, DEMO);
  assert.ok(answer.json.reasoning.length > 0);
  assert.equal(answer.json.state, 'completed');
  assert.equal(answer.json.finish_reason, 'stop');
  assert.ok(answer.json.usage.tokens_out > 0);
});

onEachBus('S4 stopped and continued, and again: one text, no word twice or lost', async (t, bus) => {
  const { house, brokers } = await places(t, bus);
  const [first] = brokers;
  const last = brokers.at(-1);
  const whole = (await submit(first, { message: 'hi', stream: false })).json.text;
  const sse = new SseReader(first, eventsPath('chain'));
  await sse.item('subscribed');
  assert.equal((await submit(first, { message: 'hi', task_id: 'chain' })).status, 202);
  let length = 0;
  for (let round = 0; round < 2; round++) {
    const earlier = length;
    const text = async () => (await request(last, 'GET', '/v1/tasks/chain')).json.text;
    await until(async () => [...await text()].length > earlier + 40, 'more text', 20000 * PATIENCE);
    const stopped = await submit(last, {}, '/chain/stop');
    assert.deepEqual(stopped.json, { status: 'accepted' });
    await until(async () => (await request(first, 'GET', '/v1/tasks/chain')).json.state === 'stopped', 'the stop');
    length = [...await text()].length;
    const again = await submit(round ? first : last, {}, '/chain/continue');
    assert.equal(again.status, 202, again.text);
    assert.equal(again.headers['x-task-id'], 'chain');
    const watch = new SseReader(last, eventsPath('chain', { from: 'start' }));
    const started = await watch.wait(() => watch.events.find(({ type }) => type === 'continue_started'), 'the continue');
    assert.equal(started.continuation_from_length, length);
    watch.close();
  }
  const end = await until(async () => {
    const { json } = await request(first, 'GET', '/v1/tasks/chain');
    return json.state === 'completed' && json;
  }, 'the end', 30000 * PATIENCE);
  assert.equal(end.text, whole);
});

onEachBus('what cannot be continued is told so', async (t, bus) => {
  const { brokers } = await places(t, bus);
  const [house] = brokers;
  const refusal = async (path, body = {}) => {
    const { status, json } = await submit(house, body, path);
    return [status, json.error.code, json.error.field];
  };
  assert.deepEqual(await refusal('/nobody/continue'), [404, 'UNKNOWN_TASK', undefined]);
  assert.equal((await submit(house, { message: 'hi', task_id: 'busy' })).status, 202);
  assert.deepEqual(await refusal('/busy/continue'), [409, 'TASK_OPEN', undefined]);
  assert.deepEqual(await refusal('', { message: 'hi', task_id: 'busy' }), [409, 'TASK_OPEN', undefined]);
  await submit(house, {}, '/busy/stop');
  await until(async () => (await request(house, 'GET', '/v1/tasks/busy')).json.state === 'stopped', 'the stop');
  const { status, json } = await submit(house, {}, '/busy/continue');
  assert.deepEqual([status, json.error.message], [422, 'No partial response to continue from']);
  assert.deepEqual(await refusal('/busy/continue', { max_tokens: 40000 }), [422, 'INVALID_VALUE', 'max_tokens']);
  assert.deepEqual(await refusal('/busy/continue', { temperature: 2.1 }), [422, 'INVALID_VALUE', 'temperature']);
  await request(house, 'POST', '/v1/tasks/told/events', {
    body: '{"type":"completion","text":"by hand","partial":false}',
  });
  assert.deepEqual(await refusal('/told/continue'), [422, 'NOT_A_GENERATION', undefined]);
});

onEachBus('without a worker a request is queued for whoever looks, and ends with QUEUE_TIMEOUT', async (t, bus) => {
  const house = await House.open(t, { redis: bus === 'Redis', args: ['--queue-timeout-ms', '2000'] });
  assert.equal((await submit(house, { message: 'hi', task_id: 'lonely' })).status, 202);
  const { readers, states } = await readersOf(house, 'lonely');
  assert.deepEqual(states, ['queued', 'queued', 'queued'], 'a refresh before the first token');
  const { data } = readers[2].items[0];
  assert.ok(data.thinking_since > 0 && data.now >= data.thinking_since, JSON.stringify(data));
  for (const reader of readers) assert.equal((await reader.end()).code, 'QUEUE_TIMEOUT', reader.kind);
  const late = await submit(house, { message: 'hi', stream: false });
  assert.equal(late.status, 503, late.text);
  assert.equal(late.json.error.code, 'QUEUE_TIMEOUT');
});

test('a queued request is taken up by a worker that comes later', async (t) => {
  const house = await House.open(t);
  assert.equal((await submit(house, { message: 'hi', task_id: 'early' })).status, 202);
  const sse = new SseReader(house, eventsPath('early'));
  assert.equal((await sse.item('subscribed')).data.state, 'queued');
  await new Worker(house, {}).ready();
  assert.equal((await sse.end(30000 * PATIENCE)).type, 'completion');
});

test('a queued request that is stopped never begins', async (t) => {
  const house = await House.open(t);
  await submit(house, { message: 'hi', task_id: 'never' });
  assert.deepEqual((await submit(house, {}, '/never/stop')).json, { status: 'accepted' });
  const worker = await new Worker(house, {}).ready();
  assert.equal((await submit(house, { message: 'hi', stream: false })).status, 200);
  const { json } = await request(house, 'GET', '/v1/tasks/never');
  assert.deepEqual([json.state, json.text], ['stopped', '']);
  assert.equal((await worker.says('generation finished')).length, 1);
});

test('while Redis is away a request is answered 503, and later ones are served', async (t) => {
  const house = await House.open(t);
  await new Worker(house, {}).ready();
  await house.redis.kill();
  const answer = await submit(house, { message: 'hi' });
  assert.deepEqual([answer.status, answer.json.error.code], [503, 'UNAVAILABLE']);
  await house.redis.start();
  await until(async () => (await submit(house, { message: 'hi' })).status === 202, 'Redis', 20000);
});
