// chat-endpoints.test.mjs - the chat endpoints over real HTTP, on either bus.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { onEachBus } from './lib/buses.mjs';
import { fetchReader } from './lib/dialects.mjs';
import { House, PATIENCE } from './lib/house.mjs';
import { request } from './lib/publish.mjs';
import { eventsPath, SseReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';
import { block, open as openWorker, telemetryRows, wholeAnswer as words } from './lib/worker.mjs';

const json = (body) => ({ method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
const post = (house, target, body, headers = {}) => request(house, 'POST', target, { body: typeof body === 'string' ? body : JSON.stringify(body), headers });

const MODEL = 'model m\ndescription A model\nmax-tokens 4096\ninput-cost-per-1k 0.00015\noutput-cost-per-1k 0.0006\n';

function open(t, bus, { lines, ...more } = {}) {
  return openWorker(t, { bus, providers: (provider) => `default-model m\n${block(provider, { lines })}\n${MODEL}`, ...more });
}

// data lines of an OpenAI form, parsed; comments and the rest apart.
async function chunks(url, init) {
  const answer = await fetch(url, init);
  const text = await answer.text();
  const data = text.split('\n\n').filter((block) => block.startsWith('data: ')).map((block) => block.slice(6));
  return { answer, text, done: data.at(-1) === '[DONE]', data: data.filter((d) => d !== '[DONE]').map((d) => JSON.parse(d)) };
}
const said = (data) => data.map((chunk) => chunk.choices?.[0]?.delta?.content ?? '').join('');

onEachBus('C1 /api/v1/chat says it is connected, then token, usage, done', async (t, bus) => {
  const house = await open(t, bus);
  house.provider.script('m', { usage: { tokens_in: 5, tokens_out: 15 } });
  const seen = await fetchReader(`${house.url}/api/v1/chat`, json({ message: 'k', sessionId: 'session-20250101-120000-ab12' }));
  assert.equal(seen.comments[0], 'Connected to chat stream');
  assert.equal(seen.text, words('k'));
  assert.deepEqual([...new Set(seen.names)], ['token', 'usage', 'done']);
  assert.deepEqual(seen.usage, { tokens_in: 5, tokens_out: 15, cost_usd: 0.00000975, model: 'm' });
  assert.equal(seen.end, 'stop');
});

onEachBus('R2 /api/v2/chat/streaming/stream and its alias: acknowledgement, chunks, final_response, [DONE]', async (t, bus) => {
  const house = await open(t, bus);
  for (const target of ['/api/v2/chat/streaming/stream', '/api/streaming/stream']) {
    const { data, done, answer } = await chunks(house.url + target, json({ message: 'k' }));
    assert.equal(answer.headers.get('transfer-encoding'), 'chunked');
    assert.equal(data[0].type, 'acknowledgement');
    assert.deepEqual(data[0].choices, []);
    assert.equal(data[0].task_id, answer.headers.get('x-task-id'));
    assert.deepEqual(data.filter((chunk) => chunk.choices[0]?.delta?.role).length, 1, 'the role, once');
    assert.equal(said(data), words('k'));
    assert.deepEqual([data.at(-1).type, data.at(-1).text, data.at(-1).choices], ['final_response', words('k'), []]);
    assert.equal(data.at(-2).choices[0].finish_reason, 'stop');
    assert.ok(done);
  }
});

onEachBus('R15 R18 npm openai reads /v1/chat/completions and /v1/models as it would the original', async (t, bus) => {
  const house = await open(t, bus);
  const client = new OpenAI({ apiKey: 'x', baseURL: `${house.url}/v1`, maxRetries: 0 });
  const messages = [{ role: 'user', content: 'k' }];
  const stream = await client.chat.completions.create({
    model: 'm', messages, stream: true, stream_options: { include_usage: true },
  });
  const seen = [];
  for await (const chunk of stream) seen.push(chunk);
  assert.equal(said(seen), words('k'));
  assert.equal(seen[0].choices[0].delta.role, 'assistant');
  assert.ok(seen.at(-1).usage.total_tokens > 0);
  assert.equal(seen.find((chunk) => chunk.choices[0]?.finish_reason).choices[0].finish_reason, 'stop');
  const whole = await client.chat.completions.create({ model: 'm', messages });
  assert.equal(whole.choices[0].message.content, words('k'));
  assert.equal(whole.object, 'chat.completion');
  const { data: [model] } = await client.models.list();
  assert.ok(Math.abs(model.created - Date.now() / 1000) < 600, 'seconds');
  assert.deepEqual({ ...model, created: 0 }, {
    id: 'm', object: 'model', created: 0, owned_by: 'stand-in', description: 'A model', max_tokens: 4096,
    input_cost_per_1k: 0.00015, output_cost_per_1k: 0.0006,
  });
});

onEachBus('S1 S4 continue by the posted partial, and by the task alone', async (t, bus) => {
  const house = await open(t, bus);
  const partial = words('k', 7);
  const posted = await chunks(`${house.url}/api/v2/chat/streaming/continue`, json({ partial_response: partial, original_message: 'k' }));
  assert.deepEqual(posted.data[0], { type: 'continue_started', continuation_from_length: partial.length });
  assert.equal(partial + said(posted.data), words('k'));
  assert.ok(posted.done);
  house.provider.script('m', { times: 1, words: 20, pace_ms: 30 }, {});
  const asked = await post(house, '/v1/tasks', { message: 'k' });
  const task = asked.json.task_id;
  const now = async () => (await request(house, 'GET', `/v1/tasks/${task}`)).json;
  await until(async () => (await now()).text?.length > 8, () => 'some text');
  await post(house, `/v1/tasks/${task}/stop`, '');
  const { text } = await until(async () => { const one = await now(); return one.state === 'stopped' && one; }, () => 'it to stop');
  const more = await chunks(`${house.url}/api/v2/chat/streaming/continue`, json({ task_id: task }));
  assert.equal(more.data[0].type, 'continue_started');
  assert.equal(text + said(more.data), words('k'), 'only what is new');
  assert.ok(more.done);
});

const FAILURES = {
  'a limit of rate': [{ status: 429 }, 'RATE_LIMIT', 'Overloaded, please try again soon.'],
  'an error of the server': [{ status: 503 }, 'SERVER_ERROR', 'Server error, please try again later.'],
  'a time-out': [{ silent_at: 0 }, 'OPENAI_TIMEOUT', 'Request timed out. Please try again with a shorter message.'],
};

onEachBus('C7 a failure is one token with friendly words, then done with error; its code goes to telemetry', async (t, bus) => {
  const house = await open(t, bus, { args: ['--max-retries', '0'], lines: ['first-token-timeout-ms 800', 'plain-timeout-ms 800'] });
  for (const [name, [rule, , friendly]] of Object.entries(FAILURES)) {
    house.provider.script('m', rule);
    const seen = await fetchReader(`${house.url}/api/v1/chat`, json({ message: 'k' }));
    assert.deepEqual([seen.names, seen.text, seen.end], [['token', 'done'], friendly, 'error'], name);
  }
  const rows = (await telemetryRows(house, 6)).filter(({ type }) => type === 'error');
  assert.deepEqual(rows.map(({ payload_json: { code } }) => code), Object.values(FAILURES).map(([, code]) => code));
});

onEachBus('R15 on /v1/chat/completions every line is a chunk: the role in the first, why it ended in the last, then [DONE]', async (t, bus) => {
  const house = await open(t, bus);
  house.provider.script('m', { reasoning: 3 });
  const { text, data, done } = await chunks(`${house.url}/v1/chat/completions`, json({ model: 'm', messages: [{ role: 'user', content: 'k' }], stream: true }));
  assert.ok(done && text.split('\n\n').every((line) => line === '' || line.startsWith('data: ') || line.startsWith(':')), text);
  for (const chunk of data) {
    assert.deepEqual([chunk.object, chunk.id, chunk.model, chunk.choices.length], ['chat.completion.chunk', data[0].id, 'm', 1]);
    assert.ok(Number.isInteger(chunk.created));
  }
  assert.deepEqual(data.map(({ choices: [{ delta }] }) => delta.role), ['assistant', ...Array(data.length - 1).fill(undefined)]);
  assert.deepEqual(data.map(({ choices: [choice] }) => choice.finish_reason ?? null), [...Array(data.length - 1).fill(null), 'stop']);
  assert.equal(said(data), words('k'));
});

onEachBus(`C7 R6 R16 a provider's failure is told in each endpoint's words`, async (t, bus) => {
  const house = await open(t, bus, { args: ['--fallback', 'off', '--max-retries', '0'] });
  house.provider.script('m', { status: 429, error: { type: 'rate_limit', code: 'x', message: 'slow down' } });
  const chat = await fetchReader(`${house.url}/api/v1/chat`, json({ message: 'k' }));
  assert.deepEqual([chat.text, chat.end], ['Overloaded, please try again soon.', 'error']);
  const agent = await chunks(`${house.url}/api/v2/chat/streaming/stream`, json({ message: 'k' }));
  assert.equal(agent.data.at(-1).error.code, 'RATE_LIMIT');
  assert.equal(agent.done, false, 'no [DONE]');
  const messages = [{ role: 'user', content: 'k' }];
  for (const stream of [true, false]) {
    house.provider.script('m', { status: 500 });
    const answer = await post(house, '/v1/chat/completions', { messages, stream });
    assert.deepEqual([answer.status, answer.json.error.code], [500, 'SERVER_ERROR']);
    assert.match(answer.headers['x-task-id'], /./);
  }
  house.provider.script('m', { cut_at: 3 });
  const cut = await chunks(`${house.url}/v1/chat/completions`, json({ messages, stream: true }));
  assert.equal(cut.answer.status, 200);
  assert.ok(cut.data.at(-1).error && !cut.done);
  assert.equal(said(cut.data).length > 0, true, 'what came is delivered');
});

onEachBus('R16 a stream that fails before its first byte becomes one JSON answer', async (t, bus) => {
  const house = await open(t, bus);
  house.provider.script('m', { mode: 'stream', status: 500 }, { mode: 'plain' });
  const messages = [{ role: 'user', content: 'k' }];
  const answer = await post(house, '/v1/chat/completions', { messages, stream: true });
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.equal(answer.json.choices[0].message.content, words('k'));
  // R3: elsewhere the client sees one complete answer, and is not told.
  const agent = await chunks(`${house.url}/api/v2/chat/streaming/stream`, json({ message: 'k' }));
  assert.equal(said(agent.data), words('k'));
  assert.ok(agent.done);
});

onEachBus('C2 C11 headers come before the answer, and tell proxies and browsers what they need', async (t, bus) => {
  const house = await open(t, bus, { broker: ['--origins', 'https://app.example'] });
  house.provider.script('m', { silent_at: 0 }); // no token ever comes
  const abort = new AbortController();
  const answer = await fetch(`${house.url}/api/v1/chat`, {
    ...json({ message: 'k' }), signal: abort.signal,
    headers: { origin: 'https://app.example', 'content-type': 'application/json' },
  });
  const header = (name) => answer.headers.get(name);
  assert.match(header('content-type'), /^text\/event-stream/);
  assert.match(header('cache-control'), /^no-cache, no-store, must-revalidate/);
  assert.equal(header('connection'), 'keep-alive');
  assert.equal(header('x-accel-buffering'), 'no');
  assert.equal(header('proxy-buffering'), 'off');
  assert.match(header('x-request-id'), /^req_/);
  assert.equal(header('access-control-allow-origin'), 'https://app.example');
  assert.equal(header('access-control-allow-credentials'), 'true');
  assert.match(header('access-control-expose-headers'), /X-Request-Id/);
  abort.abort();
  const ask = (origin) => request(house, 'OPTIONS', '/api/v1/chat', { headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,x-api-key' } });
  const allowed = await ask('https://app.example');
  assert.match(allowed.headers['access-control-allow-methods'], /POST/);
  for (const name of ['Authorization', 'Content-Type', 'X-API-Key', 'Last-Event-ID']) {
    assert.match(allowed.headers['access-control-allow-headers'], new RegExp(name, 'i'));
  }
  assert.equal((await ask('https://evil.example')).headers['access-control-allow-origin'], undefined);
});

onEachBus('C3 heartbeats come while the provider is silent', async (t, bus) => {
  const house = await open(t, bus, { broker: ['--heartbeat-ms', '100'] });
  house.provider.script('m', { first_ms: 1500 });
  const seen = await fetchReader(`${house.url}/api/v1/chat`, json({ message: 'k' }));
  const beats = seen.comments.filter((comment) => /^heartbeat \d{13}$/.test(comment));
  assert.ok(beats.length >= 2, `${beats.length}`);
  assert.equal(seen.text, words('k'));
});

onEachBus('C20 a key that is rejected and an account without credit are told by their own codes, and not tried again', async (t, bus) => {
  const house = await open(t, bus);
  const rows = [
    ['key', { status: 401 }, 'PROVIDER_AUTH', "The model provider rejected the service's key."],
    ['credit', { status: 402 }, 'PROVIDER_CREDIT', "The service's account at the model provider has no credit."],
    ['quota', { status: 429, error: { type: 'insufficient_quota', code: 'insufficient_quota', message: 'x' } },
      'PROVIDER_CREDIT', "The service's account at the model provider has no credit."],
  ];
  for (const [model, rule, code, words_] of rows) {
    house.provider.script(model, rule);
    const agent = await chunks(`${house.url}/api/v2/chat/streaming/stream`, json({ message: 'k', model }));
    assert.deepEqual([agent.data.at(-1).error.code, agent.data.at(-1).error.message, agent.done], [code, words_, false]);
    const chat = await fetchReader(`${house.url}/api/v1/chat`, json({ message: 'k', model }));
    assert.deepEqual([chat.text, chat.end], [words_, 'error']);
    const plain = await post(house, '/v1/chat/completions', { model, messages: [{ role: 'user', content: 'k' }] });
    assert.deepEqual([plain.status, plain.json.error.code], [500, code]);
    assert.deepEqual(house.provider.callsOf(model).map(({ mode }) => mode), ['stream', 'stream', 'stream'], 'once each');
  }
  const finished = await house.worker.says('Chat completion finished', 9);
  assert.deepEqual(new Set(finished.map(({ code }) => code)), new Set(['PROVIDER_AUTH', 'PROVIDER_CREDIT']));
});

// Every endpoint that streams, with what it is asked; its answer is the same text.
const STREAMS = {
  '/api/v1/chat': { message: 'k' },
  '/api/v2/chat/streaming/stream': { message: 'k' },
  '/api/streaming/stream': { message: 'k' },
  '/api/v2/chat/streaming/continue': { partial_response: 'k:0 ', original_message: 'k' },
  '/v1/chat/completions': { messages: [{ role: 'user', content: 'k' }], stream: true },
};

onEachBus('R10 no chat endpoint buffers: all of it takes 1.2 times what the provider takes, at the most', async (t, bus) => {
  const house = await open(t, bus);
  const chunk = { words: 31, pace_ms: 120 }; // 3.7 s: a fifth of it is room for what else the machine does
  await post(house, '/v1/chat/completions', { messages: [{ role: 'user', content: 'k' }] }); // all is warm
  await Promise.all(Object.entries(STREAMS).map(async ([target, body], n) => {
    const model = `m${n}`;
    house.provider.script(model, chunk);
    const before = performance.now();
    const answer = await fetch(house.url + target, json({ ...body, model }));
    const arrivals = [];
    for await (const bytes of answer.body) if (/k:\d+ /.test(Buffer.from(bytes).toString())) arrivals.push(performance.now());
    const took = performance.now() - before;
    const [call] = house.provider.callsOf(model);
    const paced = Math.max(call.closed_at - call.at, 120 * call.pieces); // the stand-in may itself be late
    t.diagnostic(`${target}: ${took.toFixed(0)} ms for ${paced.toFixed(0)} ms, ${arrivals.length} arrivals of ${call.pieces} chunks`);
    assert.ok(took <= paced * (1 + 0.2 * PATIENCE), `${target}: ${took} ms for ${paced} ms`);
    assert.ok(arrivals.length > call.pieces / 2, `${target}: ${arrivals.length} arrivals of ${call.pieces} chunks`);
  }));
});

onEachBus('R13 stream:false gets one JSON answer from every endpoint', async (t, bus) => {
  const house = await open(t, bus);
  house.provider.script('m', { usage: { tokens_in: 5, tokens_out: 15 } });
  for (const [target, body] of Object.entries(STREAMS)) {
    const { status, headers, json: answer } = await post(house, target, { ...body, stream: false });
    assert.equal(status, 200, target);
    assert.match(headers['content-type'], /^application\/json/);
    assert.equal(answer.object, 'chat.completion');
    assert.equal((body.partial_response ?? '') + answer.choices[0].message.content, words('k'), target);
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [5, 15]);
  }
  const task = (await post(house, '/v1/tasks', { message: 'k', stream: false })).json;
  assert.deepEqual([task.state, task.text, task.usage.tokens_out], ['completed', words('k'), 15]);
});

onEachBus('R19 every mode ends with a final_response that is not empty, streaming and not', async (t, bus) => {
  const house = await open(t, bus);
  const steps = { chat: [], agent: [], autonomous: [[1, 2, 'plan'], [2, 2, 'answer']] };
  for (const mode of Object.keys(steps)) {
    const plain = await post(house, '/api/v2/chat/streaming/stream', { message: 'k', mode, stream: false });
    assert.equal(plain.status, 200);
    assert.ok(plain.json.choices[0].message.content.length > 0, mode);
    const { data, done } = await chunks(`${house.url}/api/v2/chat/streaming/stream`, json({ message: 'k', mode }));
    assert.ok(data.at(-1).text.length > 0 && done, mode);
    assert.equal(data.at(-1).type, 'final_response');
    const watched = new SseReader(house, eventsPath(data[0].task_id, { from: 'start' }));
    await watched.end();
    const told = watched.events.filter(({ type }) => type === 'status').map(({ step, steps: of, name }) => [step, of, name]);
    assert.deepEqual(told, steps[mode], `the steps of ${mode} are told as status`);
  }
});

test('without a key the demo provider answers on every endpoint', async (t) => {
  const house = await House.open(t, { redis: false, args: ['--worker', '--telemetry', 'off', '--finish-ms', '0'] });
  const [seen, { data, done }] = await Promise.all([
    fetchReader(`${house.url}/api/v1/chat`, json({ message: 'hello' })),
    chunks(`${house.url}/api/v2/chat/streaming/stream`, json({ message: 'hello' })),
  ]);
  assert.equal(seen.end, 'stop');
  assert.ok(seen.text.length > 0);
  assert.ok(data.at(-1).text.length > 0 && done);
});
