// points.test.mjs - going back to any point where a task stopped or was continued (S11).
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { onEachBus } from './lib/buses.mjs';
import { House, PATIENCE } from './lib/house.mjs';
import { request } from './lib/publish.mjs';
import { WsReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';
import { Asked, open, wholeAnswer } from './lib/worker.mjs';

const ENDED = new Set(['completed', 'error', 'stopped']);

// What is said behind a point: a repeat would be trimmed.
const said = (n) => `Another end, number ${n}. `;

const post = (house, target, body = {}) => request(house, 'POST', target, { body: JSON.stringify(body) });
const task = async (house, id) => (await request(house, 'GET', `/v1/tasks/${id}`)).json;

async function points(house, id) {
  const answer = await request(house, 'GET', `/v1/tasks/${id}/points`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.points;
}

const ended = (house, id) => until(async () => {
  const found = await task(house, id);
  return ENDED.has(found.state) && found;
}, 'the run to end', 20000 * PATIENCE);

// Continues, and answers the text when that run is over.
async function goOn(house, id, body) {
  const answer = await post(house, `/v1/tasks/${id}/continue`, { ...body, stream: false });
  assert.equal(answer.status, 200, answer.text);
  return answer.json.text;
}

// Stops the open run when it has said more than `length` characters.
async function stopBehind(house, id, length) {
  await until(async () => (await task(house, id)).text.length > length, 'more text', 20000 * PATIENCE);
  assert.deepEqual((await post(house, `/v1/tasks/${id}/stop`)).json, { status: 'accepted' });
  return (await ended(house, id)).text;
}

// What a native reader has on its screen.
function shown(reader) {
  let text = '';
  for (const { name, data } of reader.items) {
    if (name === 'resync') text = '';
    if (name === 'ai_progress' && data.type === 'text' && data.partial) text += data.text;
  }
  return text;
}

onEachBus('S11 S4 every stop and continue is listed, and going back to any of them works', async (t, bus) => {
  const house = await open(t, { bus });
  const readers = [house.broker];
  if (bus === 'Redis') readers.push(await house.another());
  house.provider.script('m', { words: 400, pace_ms: 15 });
  house.provider.script('fast', { words: 400 });
  const watching = await Promise.all(readers.map(async (broker) => {
    const reader = new WsReader({ url: broker.url, broker, own: (thing) => house.own(thing) });
    await reader.subscribe('p');
    return reader;
  }));
  const seen = (text) => until(() => watching.every((reader) => shown(reader) === text), () => `${text} on ${watching.map(shown)}`);

  await Asked.start(house, { task: 'p' });
  const one = await stopBehind(house, 'p', 20);
  assert.equal((await post(house, '/v1/tasks/p/continue')).status, 202);
  const two = await stopBehind(house, 'p', one.length + 20);
  const three = await goOn(house, 'p', { model: 'fast' });
  await seen(three);
  const whole = wholeAnswer('p', 400);
  assert.equal(three, whole);
  assert.ok(whole.startsWith(two) && two.startsWith(one));

  const list = await points(house, 'p');
  assert.deepEqual(list.map(({ point, kind, length }) => [point, kind, length]), [
    [1, 'stopped', one.length], [2, 'continued', one.length], [3, 'stopped', two.length], [4, 'continued', two.length], [5, 'completed', three.length],
  ]);
  assert.ok(list.every(({ at }, i) => at <= Date.now() && (i === 0 || at >= list[i - 1].at)));
  assert.deepEqual(list.map(({ epoch }) => epoch === list[0].epoch), [true, false, false, false, false]);

  // Back, and back again to what was cut off by that, and to what was said after going back.
  const steps = [[1, one], [3, two], [4, two], [5, whole], [2, one], [7, `${one}${said(0)}`], [9, `${two}${said(1)}`], [13, `${whole}${said(3)}`]];
  for (const [step, [number, before]] of steps.entries()) {
    house.provider.script(`m${step}`, { text: said(step), reasoning: 'Hm. ' });
    const text = await goOn(house, 'p', { from_point: number, model: `m${step}` });
    assert.equal(text, before + said(step), `from point ${number}`);
    assert.equal((await task(house, 'p')).text, text);
    const { messages } = house.provider.callsOf(`m${step}`).at(-1).body;
    assert.equal(messages.at(-2).content, before, 'the prompt ends where the point is');
    const [began, end] = (await points(house, 'p')).slice(-2);
    assert.deepEqual([began.kind, began.from_point, began.length], ['continued', number, before.length]);
    assert.deepEqual([end.kind, end.length, end.epoch], ['completed', text.length, began.epoch]);
    await seen(text);
  }
  const all = await points(readers.at(-1), 'p');
  assert.deepEqual(all.map(({ point }) => point), Array.from({ length: 5 + 2 * steps.length }, (_, n) => n + 1));
});

onEachBus('S11 the continue endpoint goes on from a point, and tells what is new', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { words: 400, pace_ms: 15 });
  house.provider.script('fast', { words: 400 });
  house.provider.script('other', { text: 'But no.' });
  await Asked.start(house, { task: 'p' });
  const one = await stopBehind(house, 'p', 20);
  await goOn(house, 'p', { model: 'fast' });
  const answer = await post(house, '/api/v2/chat/streaming/continue', { task_id: 'p', from_point: 1, model: 'other' });
  const data = answer.text.split('\n\n').filter((block) => block.startsWith('data: {')).map((block) => JSON.parse(block.slice(6)));
  assert.deepEqual([data[0].type, data[0].continuation_from_length], ['continue_started', one.length]);
  assert.equal(data.map((chunk) => chunk.choices?.[0]?.delta?.content ?? '').join(''), 'But no.');
  assert.ok(answer.text.endsWith('data: [DONE]\n\n'));
  assert.equal((await task(house, 'p')).text, `${one}But no.`);
});

onEachBus('S11 of a partial answer that was posted, too', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { words: 60 });
  const partial = wholeAnswer('q', 3);
  const answer = await post(house, '/api/v2/chat/streaming/continue', { partial_response: partial, original_message: 'q' });
  const id = answer.headers['x-task-id'];
  const rest = (await ended(house, id)).text;
  assert.equal(partial + rest, wholeAnswer('q', 60));
  house.provider.script('other', { text: 'But no.' });
  assert.equal(await goOn(house, id, { from_point: 1, model: 'other' }), `${rest}But no.`);
  assert.equal(house.provider.callsOf('other').at(-1).body.messages.at(-2).content, partial + rest);
});

onEachBus('S11 what is no point is refused', async (t, bus) => {
  const house = await open(t, { bus });
  const refused = async (target, body, status, code, field) => {
    const answer = await post(house, target, body);
    assert.deepEqual([answer.status, answer.json.error.code, answer.json.error.field], [status, code, field], answer.text);
  };
  assert.equal((await request(house, 'GET', '/v1/tasks/none/points')).status, 404);
  assert.equal((await post(house, '/v1/tasks/none/points')).status, 405);
  house.provider.script('m', { first_ms: 60000 });
  await Asked.start(house, { task: 'e' });
  assert.deepEqual(await points(house, 'e'), []);
  await refused('/v1/tasks/e/continue', { from_point: 1 }, 409, 'TASK_OPEN');
  await post(house, '/v1/tasks/e/stop');
  await ended(house, 'e');
  assert.deepEqual((await points(house, 'e')).map(({ point, kind, length }) => [point, kind, length]), [[1, 'stopped', 0]]);
  await refused('/v1/tasks/e/continue', { from_point: 1 }, 422, 'NO_PARTIAL');
  await refused('/v1/tasks/e/continue', { from_point: 2 }, 422, 'UNKNOWN_POINT', 'from_point');
  for (const point of [0, -1, 1.5, '1']) await refused('/v1/tasks/e/continue', { from_point: point }, 422, 'INVALID_VALUE', 'from_point');
  await refused('/v1/tasks', { message: 'x', from_point: 1 }, 422, 'INVALID_VALUE', 'from_point');
  await refused('/api/v2/chat/streaming/stream', { message: 'x', from_point: 1 }, 422, 'INVALID_VALUE', 'from_point');
  await request(house, 'POST', '/v1/tasks/plain/events', { body: JSON.stringify({ type: 'completion', text: 'x', partial: false }) });
  assert.deepEqual(await points(house, 'plain'), [], 'no generation: nothing to go on with');
  assert.equal((await request(house, 'DELETE', '/v1/tasks/e')).status, 204);
  assert.equal((await request(house, 'GET', '/v1/tasks/e/points')).status, 404);
});

onEachBus('S11 a new question to a task begins its points anew, and there are never more than 64', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { text: 'Yes. ' });
  await (await Asked.start(house, { task: 'n' })).end();
  for (let n = 0; n < 40; n++) {
    house.provider.script(`m${n}`, { text: said(n) });
    await goOn(house, 'n', { from_point: 1 + 2 * (n % 3 ? n : Math.max(0, n - 10)), model: `m${n}` });
  }
  const list = await points(house, 'n');
  assert.deepEqual([list.length, list[0].point, list.at(-1).point], [64, 18, 81]);
  assert.equal((await post(house, '/v1/tasks/n/continue', { from_point: 17 })).json.error.code, 'UNKNOWN_POINT');
  house.provider.script('last', { text: 'The end.' });
  assert.equal((await goOn(house, 'n', { from_point: 18, model: 'last' })).length, list[0].length + 8);
  await post(house, '/v1/tasks', { task_id: 'n', message: 'n', stream: false });
  assert.deepEqual((await points(house, 'n')).map(({ point, kind }) => [point, kind]), [[1, 'completed']]);
});
test('S11 where keys are asked for, who has none sees no point', async (t) => {
  const house = await House.open(t, {
    redis: false,
    args: (folder) => {
      writeFileSync(path.join(folder, 'keys'), 'key-of-ada-0123456789 ada\n');
      return ['--auth', 'api-key', '--api-keys-file', path.join(folder, 'keys')];
    },
  });
  const ask = (headers) => request(house, 'GET', '/v1/tasks/x/points', { headers });
  assert.equal((await ask({})).status, 401);
  assert.equal((await ask({ 'x-api-key': 'key-of-ada-0123456789' })).status, 404);
});
