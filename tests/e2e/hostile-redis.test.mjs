// hostile-redis.test.mjs - what must not be on the Redis channels: skipped, counted, and no more.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { House } from './lib/house.mjs';
import { metrics } from './lib/observe.mjs';
import { frappeModern, post, request } from './lib/publish.mjs';
import { eventsPath, SioReader, SseReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';
import { Witness } from './lib/witness.mjs';

const SITE = 'witness.local';
const ROOM = `"room":"task_progress:witness","namespace":"${SITE}"`;

// Everything here goes to the witness's own room, so it would be the one to suffer.
const SKIPPED = [
  ['nothing', ''],
  ['white space', '  \n'],
  ['half an object', '{"event":"ai_progress"'],
  ['null', 'null'],
  ['true', 'true'],
  ['a number', '7'],
  ['a string', '"ai_progress"'],
  ['a list', '[]'],
  ['no event', `{"message":{},${ROOM}}`],
  ['an event that is null', `{"event":null,"message":{},${ROOM}}`],
  ['an event that is a number', `{"event":5,"message":{},${ROOM}}`],
  ['an event that is an object', `{"event":{},"message":{},${ROOM}}`],
  ['an event that is a list', `{"event":["x"],"message":{},${ROOM}}`],
  ['NaN in the message', `{"event":"ai_progress","message":{"n":NaN},${ROOM}}`],
  ['Infinity in the message', `{"event":"ai_progress","message":{"n":-Infinity},${ROOM}}`],
  ...['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']
    .map((name) => [`the reserved name ${name}`, `{"event":"${name}","message":{},${ROOM}}`]),
  ['a room that is an object', `{"event":"ai_progress","message":{},"room":{},"namespace":"${SITE}"}`],
  ['a namespace that is a number', '{"event":"ai_progress","message":{},"room":"task_progress:witness","namespace":7}'],
  ['trailing text', `{"event":"ai_progress","message":{},${ROOM}} and more`],
  ['a NUL byte', `{"event":"ai_progress","message":"a\x00b",${ROOM}}`],
  ['very deep JSON', `{"event":"ai_progress","message":${'['.repeat(100000)}${']'.repeat(100000)},${ROOM}}`],
  ['bytes that are no JSON', Buffer.from(Array.from({ length: 3000 }, (_, n) => (n * 131) % 256))],
];

function sum(values, pattern) {
  return Object.entries(values).reduce((all, [name, n]) => all + (pattern.test(name) ? n : 0), 0);
}
const FAULTS = /^thinkwire_.*(skipped|malformed|invalid|bad|refused).*$/;

test('what is no event on the events channel is skipped and counted, and nobody notices', async (t) => {
  const house = await House.open(t);
  const witness = await Witness.of(house);
  for (const [what, bytes] of SKIPPED) {
    const before = sum(await metrics(house.url), FAULTS);
    await house.redis.client.publish('events', bytes);
    await witness.isFine(what);
    const after = sum(await metrics(house.url), FAULTS);
    assert.equal(after - before, 1, `${what} was counted`);
  }
});

test('odd but good messages arrive as they are', async (t) => {
  const house = await House.open(t);
  const reader = await new SioReader(house, { nsp: `/${SITE}` }).connected();
  await reader.subscribe('odd');
  const messages = [
    'Failed', ['a', 1, null], null, 7, true, {}, { _placeholder: true, num: 0 },
    { __proto__x: 1, 10: 'b', 2: 'a' }, 'x'.repeat(1500000), '\u2028\u2029\u007f',
  ];
  for (const message of messages) {
    await house.redis.client.publish('events', JSON.stringify({
      event: 'ai_progress', message, room: 'task_progress:odd', namespace: SITE,
    }));
  }
  await reader.count(messages.length);
  assert.deepEqual(reader.items.map(({ data }) => data), messages);
  await house.redis.client.publish('events', `{"event":"bare","room":"task_progress:odd","namespace":"${SITE}"}`);
  assert.deepEqual((await reader.item('bare')).args, [null], 'a missing message is null');
});

test('invalid UTF-8 on the events channel never reaches a client as such', async (t) => {
  const house = await House.open(t);
  const witness = await Witness.of(house);
  const reader = await new SioReader(house, { nsp: `/${SITE}` }).connected();
  await reader.subscribe('bytes');
  await house.redis.client.publish('events', Buffer.concat([
    Buffer.from('{"event":"ai_progress","message":{"text":"a'), Buffer.from([0xff, 0xc0, 0x80]),
    Buffer.from(`b"},"room":"task_progress:bytes","namespace":"${SITE}"}`),
  ]));
  await frappeModern(house, { site: SITE, task: 'bytes' }, [{ type: 'text', text: 'good', partial: true }]);
  await reader.wait(() => reader.events.at(-1)?.text === 'good', 'the good event');
  for (const event of reader.events.slice(0, -1)) assert.match(event.text, /^a\ufffd+b$/);
  await witness.isFine('invalid UTF-8');
});

test('rooms and namespaces nobody joined cost nothing', async (t) => {
  const house = await House.open(t);
  const witness = await Witness.of(house);
  const before = (await metrics(house.url)).thinkwire_topics;
  for (let n = 0; n < 500; n++) {
    await house.redis.client.publish('events', JSON.stringify({
      event: 'ai_progress', message: {}, room: `doc:ToDo/${n}`, namespace: `nobody-${n}.local`,
    }));
  }
  await witness.isFine('rooms nobody joined');
  const after = (await metrics(house.url)).thinkwire_topics;
  assert.ok(after - before < 600, `${after - before} topics`);
});

test('junk on a live channel heals from the stream: readers see the run as it was', async (t) => {
  const house = await House.open(t);
  const witness = await Witness.of(house);
  const reader = new SseReader(house, eventsPath('live'));
  await reader.item('subscribed');
  const delta = (text) => ({ type: 'text', text, partial: true });
  const [id] = await post(house, { task: 'live' }, [delta('a')]);
  await reader.count(1);
  const [epoch] = id.split('-');
  const channel = 'tw:{/live}:live';
  const junk = [
    '', ' ', 'hello', '{}', '1', '1-1', `${epoch}-2`, `${epoch}-2 `, `${epoch}-2 {`, `${epoch}-2 null`,
    `${epoch}-x {}`, `-1--1 {}`, `99999999999999999999999-1 {}`, `${epoch}-1 {"type":"text","text":"twice"}`,
    `~${epoch}-2 {}`, `${epoch}-2 {"type":NaN}`, 'x'.repeat(100000),
  ];
  for (const bytes of junk) await house.redis.client.publish(channel, bytes);
  await post(house, { task: 'live' }, [delta('b'), delta('c')]);
  await post(house, { task: 'live' }, [{ type: 'completion', text: 'abc', reasoning: '', partial: false }]);
  await reader.end();
  assert.equal(reader.events.filter((e) => e.type === 'text').map((e) => e.text).join(''), 'abc');
  await witness.isFine('junk on a live channel');
});

test('a hint that skips ahead makes the broker read what it missed', async (t) => {
  const house = await House.open(t);
  const reader = new SseReader(house, eventsPath('gap'));
  await reader.item('subscribed');
  const delta = (text) => ({ type: 'text', text, partial: true });
  await post(house, { task: 'gap' }, [delta('a')]);
  await reader.count(1);
  // The subscriber connection dies and misses the next events.
  await house.redis.client.client('KILL', 'TYPE', 'pubsub');
  await post(house, { task: 'gap' }, [delta('b'), delta('c'), { type: 'completion', text: 'abc', reasoning: '', partial: false }]);
  await reader.end();
  assert.equal(reader.events.filter((e) => e.type === 'text').map((e) => e.text).join(''), 'abc');
});

test('keys of another kind under a task are an error for that task alone', async (t) => {
  const house = await House.open(t);
  const witness = await Witness.of(house);
  await house.redis.client.set('tw:{/broken}:log', 'no stream');
  await house.redis.client.set('tw:{/broken}:run', 'no hash');
  const { status, json } = await request(house, 'POST', '/v1/tasks/broken/events', {
    body: '{"type":"text","text":"a","partial":true}',
  });
  assert.ok(status >= 500, `${status}`);
  assert.match(json.error.code, /^[A-Z_]+$/);
  const reader = new SseReader(house, eventsPath('broken'));
  await until(() => reader.status, 'an answer');
  await witness.isFine('keys of another kind');
});
