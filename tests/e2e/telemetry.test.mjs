// telemetry.test.mjs - rows of runs and of clients on both buses; files that do not grow for ever.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Provider } from '../provider/provider.mjs';
import { onEachBus } from './lib/buses.mjs';
import { House } from './lib/house.mjs';
import { metrics } from './lib/observe.mjs';
import { request } from './lib/publish.mjs';
import { until } from './lib/wait.mjs';
import { ask, Asked, open, telemetryRows, wholeAnswer } from './lib/worker.mjs';

const metadata = { ux_schema: 'v1', conversation_id: 'c1' };
const CONTINUED = { event: 'gen.continue_clicked', data: { continuation_length: 120 }, metadata };
const STOPPED = { event: 'gen.stop_clicked', data: { partial_length: 7 }, metadata };

const leave = (house, event, headers = {}) =>
  request(house, 'POST', '/v1/telemetry', { body: typeof event === 'string' ? event : JSON.stringify(event), headers });

function folder(t) {
  const rows = path.join(mkdtempSync(path.join(tmpdir(), 'thinkwire-rows-')), 'rows');
  t.after(() => rmSync(path.dirname(rows), { recursive: true, force: true }));
  return rows;
}

const dayFile = (daysAgo) => `telemetry-${new Date(Date.now() - daysAgo * 86400000).toISOString().slice(0, 10)}.jsonl`;

onEachBus("S6 what clients leave stands as rows beside the worker's", async (t, bus) => {
  const rows = folder(t);
  const house = await open(t, { bus, env: { TELEMETRY_DIR: rows } });
  for (const event of [STOPPED, CONTINUED]) {
    const answer = await leave(house, event);
    assert.deepEqual([answer.status, answer.text], [204, '']);
  }
  await telemetryRows(house, 2, rows);
  await ask(house, { conversation_id: 'c1' });
  const all = await telemetryRows(house, 3, rows);
  assert.deepEqual(all.map(({ type }) => type).sort(), ['gen.continue_clicked', 'gen.stop_clicked', 'openai_call']);
  for (const row of all) {
    assert.deepEqual(Object.keys(row), ['type', 'created_at', 'payload_json']);
    assert.ok(Math.abs(Date.parse(row.created_at) - Date.now()) < 60000);
  }
  const { request_id: id, ...payload } = all.find(({ type }) => type === 'gen.continue_clicked').payload_json;
  assert.deepEqual(payload, { data: CONTINUED.data, metadata });
  assert.ok(id.length > 0);
  const counted = await metrics(house.url);
  assert.equal(counted['thinkwire_client_events_total{event="gen.stop_clicked"}'], 1);
  assert.equal(counted['thinkwire_client_events_total{event="gen.continue_clicked"}'], 1);
});

onEachBus('S6 T9 the row of a continuation has partial_length, continuation_tokens, tokens_per_sec and ttft_ms', async (t, bus) => {
  const rows = folder(t);
  const house = await open(t, { bus, env: { TELEMETRY_DIR: rows } });
  house.provider.script('m', { words: 400, pace_ms: 15 });
  house.provider.script('fast', { words: 400, first_ms: 30, pace_ms: 1 });
  const run = await Asked.start(house, { task: 'on' });
  await run.firstText();
  await request(house, 'POST', '/v1/tasks/on/stop', { body: '{}' });
  const stopped = await run.end();
  assert.equal(stopped.type, 'stopped');
  assert.equal((await request(house, 'POST', '/v1/tasks/on/continue', { body: '{"model":"fast"}' })).status, 202);
  const [first, second] = (await telemetryRows(house, 2, rows)).map(({ type, payload_json: payload }) => ({ type, ...payload }));
  assert.deepEqual([first.type, first.outcome, first.partial_length, first.continuation_tokens], ['openai_call', 'stopped', 0, 0]);
  assert.deepEqual([second.type, second.outcome, second.partial_length], ['openai_call', 'completed', stopped.length]);
  assert.ok(second.continuation_tokens > 0 && second.tokens_per_sec > 0 && second.ttft_ms > 0, JSON.stringify(second));
  const { text } = (await request(house, 'GET', '/v1/tasks/on')).json;
  assert.equal(text, wholeAnswer('on', 400));
});

onEachBus('T9 retries stand in the row of a run, and an error leaves a row with its code', async (t, bus) => {
  const rows = folder(t);
  const house = await open(t, { bus, env: { TELEMETRY_DIR: rows }, args: ['--retry-backoff-ms', '10'] });
  house.provider.script('again', { status: 429, times: 1 }, { words: 30, pace_ms: 5 });
  house.provider.script('bad', { status: 500 });
  await ask(house, { model: 'again', conversation_id: 'c1' });
  await ask(house, { model: 'bad' });
  const all = await telemetryRows(house, 3, rows);
  assert.deepEqual(all.map(({ type }) => type), ['openai_call', 'openai_call', 'error']);
  for (const row of all) assert.deepEqual(Object.keys(row), ['type', 'created_at', 'payload_json']);
  const [good, bad, error] = all.map(({ payload_json: payload }) => payload);
  assert.deepEqual([good.provider_retry_count, good.outcome, good.conversation_id], [1, 'completed', 'c1']);
  assert.deepEqual([bad.outcome, bad.code, error.code, error.status], ['error', 'SERVER_ERROR', 'SERVER_ERROR', 500]);
});

onEachBus('T1 a folder that cannot be written disturbs neither runs nor clients', async (t, bus) => {
  const rows = folder(t);
  writeFileSync(rows, ''); // a file stands in its place
  const house = await open(t, { bus, env: { TELEMETRY_DIR: rows } });
  for (let n = 0; n < 3; n++) {
    assert.equal((await leave(house, STOPPED)).status, 204);
    const end = await ask(house);
    assert.equal(end.text, wholeAnswer(end.asked.task));
  }
  await until(async () => {
    await leave(house, STOPPED);
    return (await metrics(house.url)).thinkwire_telemetry_lost_total > 0;
  }, 'the losses to be counted');
});

onEachBus('T1 files of days that are over go, those of other names stay', async (t, bus) => {
  const rows = folder(t);
  mkdirSync(rows);
  for (const name of [dayFile(40), dayFile(4), dayFile(1), 'notes.jsonl', 'telemetry-2020-01-01.jsonl.gz']) writeFileSync(path.join(rows, name), '');
  const house = await open(t, { bus, env: { TELEMETRY_DIR: rows, THINKWIRE_TELEMETRY_KEEP_DAYS: '2' } });
  await until(() => !existsSync(path.join(rows, dayFile(40))) && !existsSync(path.join(rows, dayFile(4))), 'the old days to go');
  await ask(house);
  await telemetryRows({ ...house }, 1, rows);
  assert.deepEqual(readdirSync(rows).sort(), ['notes.jsonl', dayFile(1), dayFile(0), 'telemetry-2020-01-01.jsonl.gz'].sort());
});

onEachBus('T1 T7 ENABLE_TELEMETRY=0 keeps no row, and clients are answered all the same', async (t, bus) => {
  const rows = folder(t);
  const house = await open(t, { bus, env: { TELEMETRY_DIR: rows, ENABLE_TELEMETRY: '0' } });
  assert.equal((await leave(house, STOPPED)).status, 204);
  assert.equal((await ask(house)).type, 'completion');
  assert.ok(!existsSync(rows));
});

test('T7 thinkwired --worker runs from OPENAI_API_KEY, LLM_MODEL, LLM_URL and TELEMETRY_DIR alone', async (t) => {
  const provider = await Provider.start();
  t.after(() => provider.close());
  const rows = folder(t);
  const given = {
    OPENAI_API_KEY: 'sk-test-of-nobody', LLM_MODEL: 'llama-9', LLM_URL: `${provider.url}/chat/completions`, TELEMETRY_DIR: rows,
  };
  const before = Object.fromEntries(Object.keys(given).map((name) => [name, process.env[name]]));
  const restore = () => Object.entries(before).forEach(([name, value]) => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  });
  t.after(restore);
  Object.assign(process.env, given);
  const house = await House.open(t, { redis: false, args: ['--worker'] });
  restore();
  const end = await ask(house);
  assert.equal(end.text, wholeAnswer(end.asked.task));
  const [call] = provider.calls;
  assert.deepEqual([call.model, call.api, call.headers.authorization], ['llama-9', 'chat', 'Bearer sk-test-of-nobody']);
  const [row] = await telemetryRows(house, 1, rows);
  assert.equal(row.payload_json.model, 'llama-9');
});

test('S6 what the schema does not have is refused with its field, and what is no JSON with 400', async (t) => {
  const house = await House.open(t, { redis: false, args: ['--telemetry', 'off'] });
  const refused = [
    ['{', 400, 'body'],
    [{ ...CONTINUED, event: 'gen.other' }, 422, 'event'],
    [{ ...CONTINUED, text: 'hello' }, 422, 'body'],
    [{ ...CONTINUED, data: { continuation_length: -1 } }, 422, 'data.continuation_length'],
    [{ ...CONTINUED, data: {} }, 422, 'data.continuation_length'],
    [{ ...CONTINUED, data: { continuation_length: 1, text: 'hello' } }, 422, 'data'],
    [{ ...CONTINUED, metadata: { ...metadata, ux_schema: 'v2' } }, 422, 'metadata.ux_schema'],
    [{ ...CONTINUED, metadata: { ...metadata, conversation_id: 'x'.repeat(129) } }, 422, 'metadata.conversation_id'],
  ];
  for (const [event, status, field] of refused) {
    const answer = await leave(house, event);
    assert.deepEqual([answer.status, answer.json.error.field], [status, field], answer.text);
  }
  assert.equal((await metrics(house.url))['thinkwire_client_events_refused_total{reason="malformed"}'], refused.length);
  assert.equal((await request(house, 'GET', '/v1/telemetry')).status, 405);
});

test('S6 where keys are asked for, who has none leaves nothing', async (t) => {
  const keys = folder(t);
  writeFileSync(keys, 'key-of-ada-0123456789 ada\n');
  const house = await House.open(t, { redis: false, args: ['--auth', 'api-key', '--api-keys-file', keys, '--telemetry', 'off'] });
  assert.equal((await leave(house, STOPPED)).status, 401);
  assert.equal((await leave(house, STOPPED, { 'x-api-key': 'key-of-ada-0123456789' })).status, 204);
});
