// chat-log.test.mjs - C16: what the log says of a chat request, by its request id, and what it never says.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { onEachBus } from './lib/buses.mjs';
import { until } from './lib/wait.mjs';
import { open as openHouse } from './lib/worker.mjs';

const ASKED = 'zebraquestion';
const REMEMBERED = 'walrusmemory';
const MEMORY_MS = 40;
const FIRST_MS = 60;

async function memoryService(t) {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => setTimeout(() => {
      response.end(JSON.stringify({ results: [{ text: `${REMEMBERED}.`, score: 0.9 }] }));
    }, MEMORY_MS));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}/search`;
}

// `output()` is all that broker and worker have logged, at the finest level.
async function open(t, bus) {
  const log = ['--log-format', 'json', '--log-level', 'debug'];
  const house = await openHouse(t, {
    bus, broker: log,
    args: ['--log-level', 'debug', '--memory-url', await memoryService(t), '--memory-timeout-ms', '20000',
      '--fallback', 'off', '--max-retries', '0'],
  });
  house.output = () => [...new Set([house.broker.child, house.worker.child])].map(({ output }) => output).join('');
  return house;
}

// The lines of one request, once `last` is among them, by their message.
async function linesOf(house, id, last) {
  const read = () => Object.fromEntries(house.output().split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line)).filter((line) => line.request_id === id).map((line) => [line.message, line]));
  return until(() => read()[last] && read(), () => `${last} of ${id} in\n${house.output()}`);
}

async function chat(house, target, body, signal) {
  const answer = await fetch(house.url + target, {
    method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' }, signal,
  });
  return { id: answer.headers.get('x-request-id'), task: answer.headers.get('x-task-id'), answer };
}

const numbers = (line, ...names) => names.map((name) => Number(line[name]));

onEachBus('C16 a chat request leaves its lines with request id and timings, and no word of what was said', async (t, bus) => {
  const house = await open(t, bus);
  house.provider.script('m', { first_ms: FIRST_MS });
  for (const target of ['/api/v1/chat', '/api/v2/chat/streaming/stream', '/api/streaming/stream', '/v1/chat/completions']) {
    const said = { role: 'user', content: ASKED };
    const body = target.startsWith('/v1') ? { messages: [said], stream: true } : { message: ASKED };
    const { id, task, answer } = await chat(house, target, { ...body, useMemory: true });
    assert.match(await answer.text(), new RegExp(`${ASKED}:19`));
    const lines = await linesOf(house, id, 'Chat completion finished');
    const received = lines['Chat request received'];
    assert.deepEqual([received.path, received.stream, received.memory], [target, 'yes', 'yes']);
    assert.equal(lines['Retrieving memory context'].task, task);
    const found = lines['Memory retrieval completed'];
    assert.ok(Number(found.memory_ms) >= MEMORY_MS - 5 && Number(found.results_count) === 1, JSON.stringify(found));
    const finished = lines['Chat completion finished'];
    assert.deepEqual([finished.task, finished.outcome], [task, 'completed']);
    const [total, first, memory] = numbers(finished, 'total_ms', 'ttft_ms', 'memory_ms');
    assert.ok(first >= FIRST_MS - 5 && total >= first, JSON.stringify(finished));
    assert.equal(memory, Number(found.memory_ms));
    assert.equal(lines['SSE stream error'], undefined);
  }
  assert.doesNotMatch(house.output(), new RegExp(`${ASKED}|${REMEMBERED}`));
});

onEachBus('C16 a stream that ends with an error says SSE stream error, with its code and timings', async (t, bus) => {
  const house = await open(t, bus);
  for (const [rule, code, target] of [
    [{ status: 429 }, 'RATE_LIMIT', '/api/v1/chat'],
    [{ status: 500 }, 'SERVER_ERROR', '/api/streaming/stream'],
    [{ first_ms: FIRST_MS, cut_at: 3 }, 'PROVIDER_TRUNCATED', '/api/v2/chat/streaming/stream'],
  ]) {
    house.provider.script('m', rule);
    const { id, task, answer } = await chat(house, target, { message: ASKED });
    await answer.text();
    const finished = (await linesOf(house, id, 'Chat completion finished'))['Chat completion finished'];
    assert.deepEqual([finished.outcome, finished.code, finished.level], ['error', code, 'warn']);
    const failed = (await linesOf(house, id, 'SSE stream error'))['SSE stream error'];
    assert.deepEqual([failed.task, failed.code, failed.level], [task, code, 'warn']);
    const [total, first] = numbers(failed, 'total_ms', 'ttft_ms');
    assert.ok(rule.cut_at ? first >= FIRST_MS - 5 && total >= first : first === 0 && total >= 0, JSON.stringify(failed));
  }
  assert.doesNotMatch(house.output(), new RegExp(ASKED));
});

onEachBus('C16 a client that goes before the end is told as that, and is no error', async (t, bus) => {
  const house = await open(t, bus);
  house.provider.script('m', { words: 500, pace_ms: 20 });
  const abort = new AbortController();
  const { id, task, answer } = await chat(house, '/api/v1/chat', { message: ASKED }, abort.signal);
  const reader = answer.body.getReader();
  let text = '';
  while (!text.includes('event: token')) text += Buffer.from((await reader.read()).value).toString();
  abort.abort();
  const lines = await linesOf(house, id, 'Chat client left');
  const left = lines['Chat client left'];
  assert.deepEqual([left.task, left.level], [task, 'info']);
  assert.ok(Number(left.ttft_ms) >= 0 && Number(left.total_ms) >= Number(left.ttft_ms), JSON.stringify(left));
  const { 'Chat completion finished': finished, ...rest } = await linesOf(house, id, 'Chat completion finished');
  assert.equal(finished.outcome, 'stopped');
  assert.equal(rest['SSE stream error'], undefined);
});
