// worker-memory.test.mjs - what is known from earlier conversations, and what an answer costs.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { onEachBus } from './lib/buses.mjs';
import { PATIENCE } from './lib/house.mjs';
import { ask, Asked, block, open, telemetryRows, wholeAnswer } from './lib/worker.mjs';
import { delay, until } from './lib/wait.mjs';

onEachBus('C17 the price table gives the cost of a run, exactly', async (t, bus) => {
  const house = await open(t, {
    bus,
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
async function memoryService(t, answer) {
  const asked = [];
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    asked.push({ body: JSON.parse(body), headers: request.headers });
    await answer(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { url: `http://127.0.0.1:${server.address().port}/search`, asked };
}

async function withMemory(t, bus, answer, { args = [], ...more } = {}) {
  const memory = await memoryService(t, answer);
  const house = await open(t, {
    bus, env: { MEMORY_KEY: 'key-of-memory' }, ...more,
    args: ['--memory-url', memory.url, '--memory-key-env', 'MEMORY_KEY', '--system-prompt', 'Be kind.', ...args],
  });
  house.memory = memory;
  return house;
}

const RESULTS = { results: [
  { text: 'Likes green. Owns a boat. Has three sisters.', score: 0.95, tokens: 201 },
  { text: 'Too far away.', score: 0.5, tokens: 7 },
  { text: 'Lives in Bremen.', score: 0.7, tokens: 44 },
] };

const knows = (response) => response.end(JSON.stringify(RESULTS));
const isSilent = () => delay(20000, undefined, { ref: false });
const KEY = 'key-of-ada-0123456789';

// Who asks is known by a key.
function byKey(folder) {
  writeFileSync(path.join(folder, 'keys'), `${KEY} ada\n`);
  return ['--auth', 'api-key', '--api-keys-file', path.join(folder, 'keys')];
}

onEachBus('C10 what the memory service knows stands before the conversation, within its bounds', async (t, bus) => {
  const house = await withMemory(t, bus, knows, { broker: byKey });
  const end = await ask(house, { memory: true, live: true, key: KEY, conversation_id: 'c1', request_id: 'req_m' });
  assert.equal(end.type, 'completion');
  const [{ body, headers }] = house.memory.asked;
  assert.deepEqual(body, {
    query: end.asked.task, user: 'ada', conversation_id: 'c1', top_k: 10, memory_token_budget: 1500, clip_sentences: 2,
    min_relevance_score: 0.7,
  });
  assert.equal(headers.authorization, 'Bearer key-of-memory');
  const { messages } = house.provider.calls[0].body;
  assert.deepEqual(messages.map(({ role }) => role), ['system', 'system', 'user']);
  assert.equal(messages[0].content, 'Be kind.');
  assert.match(messages[1].content, /- Likes green\. Owns a boat\.\n- Lives in Bremen\.\n$/);
  const [line] = await house.worker.says('Memory retrieval completed');
  const { request_id: id, memory_ms: ms, results_count: count, total_tokens: tokens } = line;
  assert.deepEqual([id, typeof ms, count, tokens], ['req_m', 'number', 2, 245], JSON.stringify(line));
  const [row] = await telemetryRows(house, 1);
  assert.equal(row.payload_json.memory_results, 2);
  await ask(house, { key: KEY });
  assert.equal(house.memory.asked.length, 1, 'who does not ask for memory gets none');
});

onEachBus('C10 the fast profile: fewer results, a smaller budget, one sentence of each', async (t, bus) => {
  const args = ['--memory-top-k', '5', '--memory-token-budget', '230', '--memory-clip-sentences', '1', '--memory-min-score-percent', '80'];
  const house = await withMemory(t, bus, knows, { args });
  await ask(house, { memory: true });
  const { top_k: k, memory_token_budget: budget, clip_sentences: clip, min_relevance_score: score } = house.memory.asked[0].body;
  assert.deepEqual([k, budget, clip, score], [5, 230, 1, 0.8]);
  assert.match(house.provider.calls[0].body.messages[1].content, /:\n- Likes green\.\n$/);
});

const TROUBLES = {
  'is late': [isSilent, 990, 3000], // the limit is 1 s
  'refuses': [(response) => { response.statusCode = 500; response.end('{}'); }, 0, 1000],
  'breaks off': [(response) => response.socket.destroy(), 0, 1000],
  'says what nobody can read': [(response) => response.end('<html>'), 0, 1000],
};

for (const [name, [answer, atLeast, below]] of Object.entries(TROUBLES)) {
  onEachBus(`C10 a memory service that ${name} is gone on without`, async (t, bus) => {
    const house = await withMemory(t, bus, answer);
    const end = await ask(house, { memory: true });
    assert.equal(end.text, wholeAnswer(end.asked.task));
    assert.deepEqual(house.provider.calls[0].body.messages.map(({ role }) => role), ['system', 'user']);
    const [line] = await house.worker.says('Memory retrieval completed');
    assert.notEqual(line.trouble, '');
    assert.equal(line.results_count, 0);
    assert.ok(line.memory_ms >= atLeast && line.memory_ms < below * PATIENCE, `${line.memory_ms} ms`);
  });
}

onEachBus('C10 a stop while the memory service is waited for ends the run at once', async (t, bus) => {
  const house = await withMemory(t, bus, isSilent, { args: ['--memory-timeout-ms', '20000'] });
  const run = await Asked.start(house, { memory: true });
  await until(() => house.memory.asked.length, 'the question');
  await fetch(`${house.url}/v1/tasks/${run.task}/stop`, { method: 'POST' });
  assert.equal((await run.end()).type, 'stopped');
  assert.equal(house.provider.calls.length, 0);
});
