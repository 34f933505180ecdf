// chat-limits.test.mjs - what a request may say: each thing that is wrong is refused with its field.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { onEachBus } from './lib/buses.mjs';
import { request } from './lib/publish.mjs';
import { open } from './lib/worker.mjs';

const CHAT = '/api/v1/chat';
const STREAM = '/api/v2/chat/streaming/stream';
const CONTINUE = '/api/v2/chat/streaming/continue';
const COMPLETIONS = '/v1/chat/completions';

const send = (house, target, body, headers = {}) => request(house, 'POST', target, {
  body: typeof body === 'string' ? body : JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers },
});

// Each case is [target, body, status, field, code]; none of them may reach the provider.
async function assertRefused(house, cases) {
  for (const [target, body, status, field, code] of cases) {
    const answer = await send(house, target, body);
    const said = `${target} ${JSON.stringify(body).slice(0, 80)}: ${answer.text}`;
    assert.equal(answer.status, status, said);
    assert.match(answer.headers['content-type'], /^application\/json/, said);
    assert.equal(answer.json.error.field, field, said);
    assert.ok(answer.json.error.message, said);
    if (code) assert.equal(answer.json.error.code, code, said);
  }
  assert.deepEqual(house.provider.calls, [], 'nobody was asked');
}

onEachBus('C6 empty, malformed or without its message: a 4xx that names the field', async (t, bus) => {
  const house = await open(t, { bus });
  await assertRefused(house, [
    [CHAT, { message: '' }, 422, 'message'],
    [CHAT, { message: ' \n' }, 422, 'message'],
    [CHAT, {}, 422, 'message'],
    [CHAT, { message: 7 }, 422, 'message'],
    [CHAT, { message: 'k', sessionId: 'session-1' }, 422, 'sessionId'],
    [CHAT, { message: 'k', sessionId: 'session-20250101-120000-ab1' }, 422, 'sessionId'],
    [CHAT, { message: 'k', sessionId: 'session-2025x101-120000-ab12' }, 422, 'sessionId'],
    [CHAT, { message: 'k', useMemory: 'yes' }, 422, 'useMemory'],
    [CHAT, '{"message":', 400, 'body', 'MALFORMED_JSON'],
    [CHAT, '["message"]', 400, 'body', 'MALFORMED_JSON'],
    [STREAM, { message: '  ' }, 422, 'message'],
    [STREAM, { message: 'k', mode: 'x' }, 422, 'mode'],
    [STREAM, { message: 'k', max_tokens: 0 }, 422, 'max_tokens'],
    [STREAM, { message: 'k', temperature: 3 }, 422, 'temperature'],
  ]);
  for (const body of [{ model: 'm' }, { messages: [] }, { messages: [{ role: 'user', content: '' }] }]) {
    const answer = await send(house, COMPLETIONS, body);
    assert.deepEqual([answer.status, answer.json.error.type], [422, 'invalid_request_error']);
  }
  assert.equal((await request(house, 'GET', CHAT)).status, 405);
});

const LIMITS = { 16000: {}, 32000: { MAX_MESSAGE_LENGTH: '32000' } };

for (const [limit, env] of Object.entries(LIMITS)) {
  const named = limit === '16000' ? 'by default' : 'with MAX_MESSAGE_LENGTH=32000';
  onEachBus(`C6 ${named} a message of ${limit} code points is taken, and one more is 422`, async (t, bus) => {
    const house = await open(t, { bus, env });
    house.provider.script('m', { text: 'so be it' });
    const most = '😀'.repeat(limit); // four bytes, two UTF-16 units, one character each
    const long = `${most}é`;
    const user = (content) => [{ role: 'user', content }];
    await assertRefused(house, [
      [CHAT, { message: long }, 422, 'message', 'MESSAGE_TOO_LONG'],
      [STREAM, { message: long }, 422, 'message', 'MESSAGE_TOO_LONG'],
      [CONTINUE, { partial_response: 'k', original_message: long }, 422, 'original_message', 'MESSAGE_TOO_LONG'],
      ['/v1/tasks', { messages: user(long) }, 422, 'messages', 'MESSAGE_TOO_LONG'],
    ]);
    assert.equal((await send(house, COMPLETIONS, { messages: user(long) })).status, 422);
    const escaped = JSON.stringify({ message: most, stream: false }).replaceAll('😀', '\\ud83d\\ude00');
    for (const body of [escaped, JSON.stringify({ message: most, stream: false })]) {
      assert.equal((await send(house, CHAT, body)).status, 200);
      assert.equal(house.provider.calls.at(-1).body.messages.at(-1).content, most, 'whole');
    }
    const at = { model: 'm', messages: user(most) };
    assert.equal((await send(house, COMPLETIONS, at)).status, 200);
    assert.equal((await send(house, CONTINUE, { partial_response: 'k', original_message: most, stream: false })).status, 200);
  });
}

const KEY = 'key-of-ada-0123456789';

onEachBus('S5 a continue that is wrong is refused exactly: its status, its field, its words', async (t, bus) => {
  const house = await open(t, { bus });
  const good = { partial_response: 'k:0 ', original_message: 'k' };
  const { partial_response: partial, original_message: original } = good;
  await assertRefused(house, [
    [CONTINUE, { original_message: original }, 422, 'partial_response', 'NO_PARTIAL'],
    [CONTINUE, { ...good, partial_response: '' }, 422, 'partial_response', 'NO_PARTIAL'],
    [CONTINUE, { ...good, partial_response: 7 }, 422, 'partial_response'],
    [CONTINUE, { partial_response: partial }, 422, 'original_message'],
    [CONTINUE, { ...good, original_message: '' }, 422, 'original_message'],
    [CONTINUE, { ...good, original_message: '  ' }, 422, 'original_message'],
    ...[0, -1, 1.5, 32769, '5', 1e9].map((value) => [CONTINUE, { ...good, max_tokens: value }, 422, 'max_tokens']),
    ...[-0.1, 2.1, '1'].map((value) => [CONTINUE, { ...good, temperature: value }, 422, 'temperature']),
    ['/v1/tasks/nobody/continue', { max_tokens: 32769 }, 422, 'max_tokens'],
    ['/v1/tasks/nobody/continue', { temperature: 2.1 }, 422, 'temperature'],
  ]);
  const none = await send(house, CONTINUE, { original_message: original });
  assert.equal(none.json.error.message, 'No partial response to continue from');
  const bounds = [[1, 0], [32768, 2]];
  for (const [tokens, temperature] of bounds) {
    const answer = await send(house, CONTINUE, { ...good, max_tokens: tokens, temperature, stream: false });
    assert.equal(answer.status, 200, answer.text);
    const { body } = house.provider.calls.at(-1);
    assert.deepEqual([body.max_tokens ?? body.max_completion_tokens, body.temperature], [tokens, temperature]);
  }
  await send(house, CONTINUE, { ...good, stream: false });
  const { body } = house.provider.calls.at(-1);
  assert.deepEqual([body.max_tokens ?? body.max_completion_tokens, body.temperature], [1024, 0.7], 'the defaults');
});

onEachBus('S1 S5 a continue without a valid key is 401, and with X-API-Key it is served', async (t, bus) => {
  const house = await open(t, {
    bus,
    broker: (folder) => {
      writeFileSync(path.join(folder, 'keys'), `${KEY} ada\n`);
      return ['--auth', 'api-key', '--api-keys-file', path.join(folder, 'keys')];
    },
  });
  const good = { partial_response: 'k:0 ', original_message: 'k', stream: false };
  for (const target of [CONTINUE, '/v1/tasks/some/continue']) {
    for (const headers of [{}, { 'x-api-key': `${KEY}x` }, { authorization: 'Bearer a.b.c' }]) {
      const answer = await send(house, target, good, headers);
      assert.deepEqual([answer.status, answer.json.error.code], [401, 'UNAUTHORIZED'], target);
    }
  }
  assert.equal((await send(house, CONTINUE, good, { 'x-api-key': KEY })).status, 200);
});
