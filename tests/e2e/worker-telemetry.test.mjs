// worker-telemetry.test.mjs - rows for those who count, the memory service, prices, and old names of settings.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';
import { House, PATIENCE } from './lib/house.mjs';
import { Provider } from '../provider/provider.mjs';
import { ask, Asked, block, open, telemetryRows, wholeAnswer, Worker } from './lib/worker.mjs';
import { delay, until } from './lib/wait.mjs';

test('T1 T9 each run leaves a row {type, created_at, payload_json}, and each error one with its code', async (t) => {
  const house = await open(t, { args: ['--retry-backoff-ms', '10'] });
  house.provider.script('again', { status: 429, times: 1 }, { words: 30, pace_ms: 5 });
  house.provider.script('bad', { status: 500 });
  const whole = await ask(house, { model: 'again', request_id: 'req_1', conversation_id: 'c1' });
  await ask(house, { model: 'bad', request_id: 'req_2' });
  const partial = wholeAnswer('old', 3);
  await ask(house, { task: 'old', partial });
  const all = await telemetryRows(house, 4);
  assert.match(readdirSync(path.join(house.folder, 'telemetry'))[0], /^telemetry-\d{4}-\d\d-\d\d\.jsonl$/);
  assert.deepEqual(all.map(({ type }) => type), ['openai_call', 'openai_call', 'error', 'openai_call']);
  for (const row of all) {
    assert.deepEqual(Object.keys(row), ['type', 'created_at', 'payload_json']);
    assert.ok(Math.abs(Date.parse(row.created_at) - Date.now()) < 60000);
    assert.ok(!JSON.stringify(row).includes('old:1'), 'nothing that was said');
  }
  const [first, second, error, third] = all.map(({ payload_json: payload }) => payload);
  assert.deepEqual([first.request_id, first.conversation_id, first.task_id], ['req_1', 'c1', whole.asked.task]);
  assert.deepEqual([first.provider_retry_count, first.fallbacks, first.outcome, first.finish_reason], [1, 0, 'completed', 'stop']);
  assert.deepEqual([first.provider, first.model, first.breaker, first.tokens_in, first.tokens_out], ['stand-in', 'again', 'closed', 5, 30]);
  assert.ok(first.ttft_ms > 0 && first.ttft_ms <= first.total_ms && first.tokens_per_sec > 30 && first.tokens_per_sec < 250, JSON.stringify(first));
  assert.deepEqual([second.outcome, second.code, second.fallbacks], ['error', 'SERVER_ERROR', 1]);
  assert.deepEqual([error.code, error.status, error.request_id], ['SERVER_ERROR', 500, 'req_2']);
  assert.deepEqual([third.partial_length, third.continuation_tokens > 0], [partial.length, true]);
});

test('T1 a folder that cannot be written disturbs nothing: said once, at debug level only', async (t) => {
  const house = await House.open(t);
  house.provider = house.own(await Provider.start());
  const place = path.join(house.folder, 'a-file');
  writeFileSync(place, '');
  chmodSync(place, 0o400);
  const worker = await new Worker(house, {
    providers: `default-model m\n${block(house.provider)}`, args: ['--log-level', 'debug'], env: { TELEMETRY_DIR: place },
  }).ready();
  for (let n = 0; n < 4; n++) {
    const end = await ask(house);
    assert.equal(end.text, wholeAnswer(end.asked.task));
  }
  const lines = await worker.says('telemetry cannot be written');
  assert.deepEqual(lines.map(({ level }) => level), ['debug']);
});

test('T1 T7 ENABLE_TELEMETRY=0 keeps no row', async (t) => {
  const house = await open(t, { env: { ENABLE_TELEMETRY: '0' } });
  assert.equal((await ask(house)).type, 'completion');
  await house.worker.says('generation finished');
  await house.worker.close();
  assert.ok(!existsSync(path.join(house.folder, 'telemetry')));
});

test('T7 a worker runs from OPENAI_API_KEY, LLM_MODEL and LLM_URL alone', async (t) => {
  const house = await House.open(t);
  house.provider = house.own(await Provider.start());
  await new Worker(house, {
    env: { OPENAI_API_KEY: 'sk-test-of-nobody', LLM_MODEL: 'llama-9', LLM_URL: `${house.provider.url}/chat/completions` },
  }).ready();
  const end = await ask(house);
  assert.equal(end.text, wholeAnswer(end.asked.task));
  const [call] = house.provider.calls;
  assert.deepEqual([call.model, call.api, call.headers.authorization], ['llama-9', 'chat', 'Bearer sk-test-of-nobody']);
});

test('C17 the price table gives the cost of a run, exactly', async (t) => {
  const house = await open(t, {
    providers: (provider) => `default-model gpt-4o-mini\n${block(provider)}\nmodel gpt-4o-mini\n`
      + 'input-cost-per-1k 0.00015\noutput-cost-per-1k 0.0006\n',
  });
  house.provider.script('gpt-4o-mini', { usage: { tokens_in: 5, tokens_out: 15 } });
  const run = await Asked.start(house);
  const end = await run.end();
  assert.deepEqual([end.tokens_in, end.tokens_out, end.model], [5, 15, 'gpt-4o-mini']);
  assert.ok(run.reader.lines.some((line) => line.includes('"cost_usd":0.00000975')), 'as a decimal, not as 9.75e-06');
  const usage = run.reader.events.find(({ type }) => type === 'usage');
  assert.deepEqual([usage.tokens_in, usage.tokens_out, usage.cost_usd], [5, 15, 0.00000975]);
});

// A memory service that answers as it is told.
async function memoryService(house, answer) {
  const asked = [];
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    asked.push({ body: JSON.parse(body), headers: request.headers });
    await answer(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  house.own({ close: () => { server.closeAllConnections(); server.close(); } });
  return { url: `http://127.0.0.1:${server.address().port}/search`, asked };
}

async function withMemory(t, answer, args = []) {
  const house = await House.open(t);
  house.provider = house.own(await Provider.start());
  house.memory = await memoryService(house, answer);
  house.worker = await new Worker(house, {
    providers: `default-model m\n${block(house.provider)}`,
    args: ['--memory-url', house.memory.url, '--memory-key-env', 'MEMORY_KEY', '--system-prompt', 'Be kind.', ...args],
    env: { MEMORY_KEY: 'key-of-memory' },
  }).ready();
  return house;
}

const RESULTS = { results: [
  { text: 'Likes green. Owns a boat. Has three sisters.', score: 0.95 },
  { text: 'Too far away.', score: 0.5 },
  { text: 'Lives in Bremen.', score: 0.7 },
] };

test('C10 what the memory service knows stands before the conversation, within its bounds', async (t) => {
  const house = await withMemory(t, (response) => response.end(JSON.stringify(RESULTS)));
  const end = await ask(house, { memory: true, user: 'u1', request_id: 'req_m' });
  assert.equal(end.type, 'completion');
  const [{ body, headers }] = house.memory.asked;
  assert.deepEqual(body, {
    query: end.asked.task, user: 'u1', conversation_id: '', top_k: 10, memory_token_budget: 1500, clip_sentences: 2,
    min_relevance_score: 0.7,
  });
  assert.equal(headers.authorization, 'Bearer key-of-memory');
  const { messages } = house.provider.calls[0].body;
  assert.deepEqual(messages.map(({ role }) => role), ['system', 'system', 'user']);
  assert.equal(messages[0].content, 'Be kind.');
  assert.match(messages[1].content, /- Likes green\. Owns a boat\.\n- Lives in Bremen\.\n$/);
  const [line] = await house.worker.says('Memory retrieval completed');
  assert.deepEqual([line.request_id, Number(line.results_count)], ['req_m', 2]);
  assert.ok(Number(line.total_tokens) > 0);
  const [row] = await telemetryRows(house, 1);
  assert.equal(row.payload_json.memory_results, 2);
  await ask(house);
  assert.equal(house.memory.asked.length, 1, 'who does not ask for memory gets none');
});

const TROUBLES = {
  'is late': [() => delay(20000, undefined, { ref: false }), ['--memory-timeout-ms', '250'], 240],
  'refuses': [(response) => { response.statusCode = 500; response.end('{}'); }, [], 0],
  'breaks off': [(response) => response.socket.destroy(), [], 0],
  'says what nobody can read': [(response) => response.end('<html>'), [], 0],
};

for (const [name, [answer, args, atLeast]] of Object.entries(TROUBLES)) {
  test(`C10 a memory service that ${name} is gone on without`, async (t) => {
    const house = await withMemory(t, answer, args);
    const end = await ask(house, { memory: true });
    assert.equal(end.text, wholeAnswer(end.asked.task));
    assert.deepEqual(house.provider.calls[0].body.messages.map(({ role }) => role), ['system', 'user']);
    const [line] = await house.worker.says('Memory retrieval completed');
    assert.notEqual(line.trouble, '');
    assert.ok(Number(line.memory_ms) >= atLeast && Number(line.memory_ms) < 1000 * PATIENCE, `${line.memory_ms} ms`);
  });
}

test('C10 a stop while the memory service is waited for ends the run at once', async (t) => {
  const house = await withMemory(t, () => delay(20000, undefined, { ref: false }), ['--memory-timeout-ms', '20000']);
  const run = await Asked.start(house, { memory: true });
  await until(() => house.memory.asked.length, 'the question');
  await fetch(`${house.url}/v1/tasks/${run.task}/stop`, { method: 'POST' });
  assert.equal((await run.end()).type, 'stopped');
  assert.equal(house.provider.calls.length, 0);
});
