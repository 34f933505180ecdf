// chat-scenarios.test.mjs - C15: faults by X-Test-Scenario, through each chat endpoint, where the broker allows them.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { onEachBus } from './lib/buses.mjs';
import { eventsPath, SseReader } from './lib/readers.mjs';
import { open as openHouse } from './lib/worker.mjs';

const ALL = ['timeout', 'rate_limit', 'server_error', 'midstream_drop', 'slow'];

// With a stand-in that nobody should ask.
const open = (t, bus, { allowed = true, args } = {}) => openHouse(t, {
  bus, args, lines: ['breaker-failures 1'], broker: allowed ? ['--test-scenarios', 'on'] : [],
});

// Each endpoint: how it is asked, and what its answer says in words all share.
const openai = ({ status, text, isJson }) => {
  if (isJson) {
    const { choices, error } = JSON.parse(text);
    return { status, text: choices?.[0].message.content ?? '', code: error?.code, isWhole: choices !== undefined };
  }
  const data = text.split('\n\n').filter((one) => one.startsWith('data: ')).map((one) => one.slice(6));
  const chunks = data.filter((one) => one !== '[DONE]').map((one) => JSON.parse(one));
  return {
    status, isWhole: data.at(-1) === '[DONE]', code: chunks.find(({ error }) => error)?.error.code,
    text: chunks.map((chunk) => chunk.choices?.[0]?.delta?.content ?? '').join(''),
  };
};
const WORDS = {
  'Request timed out. Please try again with a shorter message.': 'OPENAI_TIMEOUT',
  'Overloaded, please try again soon.': 'RATE_LIMIT',
  'Server error, please try again later.': 'SERVER_ERROR',
};
const tokens = ({ status, text }) => {
  const events = text.split('\n\n').filter((one) => one.startsWith('event: ')).map((one) => one.slice(7).split('\ndata: '));
  const told = events.filter(([name]) => name === 'token').map(([, data]) => JSON.parse(data).text);
  const reason = JSON.parse(events.find(([name]) => name === 'done')[1]).finish_reason;
  const isFailed = reason === 'error'; // the last token is the friendly word
  const words = isFailed ? told.pop() : undefined;
  return { status, isWhole: !isFailed, text: told.join(''), code: isFailed ? WORDS[words] ?? 'another' : undefined };
};
const message = { message: 'k' };
const messages = [{ role: 'user', content: 'k' }];
const ENDPOINTS = [
  { target: '/api/v1/chat', body: message, read: tokens },
  { target: '/api/v2/chat/streaming/stream', body: message, read: openai },
  { target: '/api/streaming/stream', body: message, read: openai },
  { target: '/api/v2/chat/streaming/continue', body: { partial_response: 'x', original_message: 'k' }, read: openai },
  { target: '/v1/chat/completions', body: { messages, stream: true }, read: openai },
  { target: '/v1/chat/completions', body: { messages }, read: openai, isPlain: true },
];
const named = ({ target, isPlain }) => `${target}${isPlain ? ', plain' : ''}`;

async function say(house, { target, body, read }, scenario) {
  const answer = await fetch(house.url + target, {
    method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', 'x-test-scenario': scenario },
  });
  const isJson = /json/.test(answer.headers.get('content-type'));
  return read({ status: answer.status, text: await answer.text(), isJson });
}

const atEach = (act) => Promise.all(ENDPOINTS.map(act));

onEachBus('C15 timeout, rate_limit, server_error: each endpoint tells the failure, nobody is asked', async (t, bus) => {
  const house = await open(t, bus, { args: ['--max-retries', '0'] });
  const codes = { timeout: 'OPENAI_TIMEOUT', rate_limit: 'RATE_LIMIT', server_error: 'SERVER_ERROR' };
  for (const [scenario, code] of Object.entries(codes)) {
    await atEach(async (endpoint) => {
      const told = await say(house, endpoint, scenario);
      assert.deepEqual([told.code, told.text, told.isWhole], [code, '', false], `${scenario} ${named(endpoint)}`);
      const isBefore = endpoint.target === '/v1/chat/completions'; // committed by the first word only
      const status = !isBefore ? 200 : code === 'RATE_LIMIT' ? 429 : 500;
      assert.equal(told.status, status, `${scenario} ${named(endpoint)}`);
    });
  }
  assert.equal(house.provider.calls.length, 0);
  const real = await say(house, ENDPOINTS[1], '');
  assert.match(real.text, /^k:0 /, 'no breaker was harmed');
});

onEachBus('C15 midstream_drop: the fallback completes the answer, once and undoubled', async (t, bus) => {
  const house = await open(t, bus);
  await atEach(async (endpoint) => {
    const told = await say(house, endpoint, 'midstream_drop');
    assert.deepEqual([told.status, told.isWhole, told.code], [200, true, undefined], named(endpoint));
    assert.equal(told.text.match(/demonstration provider/g).length, 1, named(endpoint));
    assert.match(told.text, /start again\.$/);
  });
  assert.equal(house.provider.calls.length, 0);
});

onEachBus('C15 midstream_drop without fallback: what came is told, and then the error', async (t, bus) => {
  const house = await open(t, bus, { args: ['--fallback', 'off', '--max-retries', '0'] });
  await Promise.all(ENDPOINTS.filter(({ isPlain }) => !isPlain).map(async (endpoint) => {
    const told = await say(house, endpoint, 'midstream_drop');
    assert.equal(told.isWhole, false, named(endpoint));
    assert.equal(told.code, endpoint.read === tokens ? 'another' : 'PROVIDER_TRUNCATED', named(endpoint));
    assert.match(told.text, /^This is Thinkwire's demonstration provider\./, named(endpoint));
    assert.doesNotMatch(told.text, /start again/);
  }));
});

onEachBus('C15 slow: words come half a second apart', async (t, bus) => {
  const house = await open(t, bus);
  await Promise.all(ENDPOINTS.filter(({ target, isPlain }) => !isPlain && target !== '/v1/chat/completions').map(async (endpoint) => {
    const abort = new AbortController();
    const answer = await fetch(house.url + endpoint.target, {
      method: 'POST', body: JSON.stringify(endpoint.body), signal: abort.signal,
      headers: { 'content-type': 'application/json', 'x-test-scenario': 'slow' },
    });
    const reader = new SseReader(house, eventsPath(answer.headers.get('x-task-id'), { from: 'start' }));
    await reader.wait(() => reader.events.filter(({ type }) => type === 'reasoning').length >= 2, 'two words');
    const [first, second] = reader.events.filter(({ type }) => type === 'reasoning').map(({ timestamp }) => Date.parse(timestamp));
    assert.ok(second - first >= 300, `${second - first} ms, ${named(endpoint)}`);
    abort.abort();
  }));
  assert.equal(house.provider.calls.length, 0);
});

onEachBus('C15 without --test-scenarios the header does nothing, on any endpoint', async (t, bus) => {
  const house = await open(t, bus, { allowed: false });
  for (const scenario of ALL) {
    await atEach(async (endpoint) => {
      const told = await say(house, endpoint, scenario);
      assert.deepEqual([told.status, told.isWhole, told.code], [200, true, undefined], `${scenario} ${named(endpoint)}`);
      assert.match(told.text, /k:19 $/, `${scenario} ${named(endpoint)}`);
    });
  }
  assert.equal(house.provider.calls.length, ALL.length * ENDPOINTS.length, 'each was really asked, once');
});
