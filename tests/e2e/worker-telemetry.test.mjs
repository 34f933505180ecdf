// worker-telemetry.test.mjs - rows for those who count, and old names of settings.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { House } from './lib/house.mjs';
import { Provider } from '../provider/provider.mjs';
import { ask, block, open, telemetryRows, wholeAnswer, Worker } from './lib/worker.mjs';

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
  assert.ok(first.ttft_ms > 0 && first.ttft_ms < first.total_ms, JSON.stringify(first));
  assert.ok(Math.abs(first.tokens_per_sec - 30000 / (first.total_ms - first.ttft_ms)) < 0.01, JSON.stringify(first));
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
