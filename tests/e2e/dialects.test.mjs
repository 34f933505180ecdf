// dialects.test.mjs - ?format=: real client libraries read a run, from any point of it.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { ai, ai5, READERS, readMessage } from './lib/dialects.mjs';
import { House } from './lib/house.mjs';
import { post, request } from './lib/publish.mjs';
import { until } from './lib/wait.mjs';

const TEXT = 'becausé "it" 🎉\nis';
const REASONING = 'why so';
const delta = (type, text) => ({ type, text, partial: true });
const BODY = [
  delta('reasoning', 'why '), delta('reasoning', 'so'), delta('text', 'becausé "i'),
  delta('text', 't" 🎉\n'), delta('text', 'is'),
];
const ENDS = {
  completion: {
    type: 'completion', text: TEXT, reasoning: REASONING, partial: false, finish_reason: 'stop',
    tokens_in: 5, tokens_out: 15,
  },
  error: { type: 'error', code: 'SERVER_ERROR', message: 'boom' },
  stopped: { type: 'stopped', text_length: 5 },
};

const retold = async (house) => {
  const { text } = await request(house, 'GET', '/metrics');
  return Number(/sessions\{kind="retold"\} (\d+)/.exec(text)[1]);
};

// A reader that comes when `before` events have been published, and reads to the end.
async function readFrom(house, reader, task, end, before) {
  const script = [...BODY, ENDS[end]];
  const url = `${house.url}/v1/tasks/${task}/events?from=snapshot&format=${reader.format}`;
  if (before) await post(house, { task }, script.slice(0, before), { lines: 10 });
  const reading = reader.read(url);
  if (before < script.length) {
    await until(async () => await retold(house) > 0, () => 'the reader to be there');
    await post(house, { task }, script.slice(before));
  }
  const seen = await reading;
  await until(async () => await retold(house) === 0, () => 'the reader to be gone');
  return seen;
}

function judge(seen, { tells, format }, end) {
  // The chat endpoint's form tells a failure as text (C7).
  const words = end === 'error' && format === 'chat' ? `${TEXT}boom` : TEXT;
  assert.equal(seen.text, words);
  if (tells.reasoning) assert.equal(seen.reasoning, REASONING);
  if (end === 'error' && format !== 'chat') assert.match(seen.error ?? '', /boom/);
  else assert.equal(seen.error, undefined);
  if (end === 'completion') assert.equal(seen.end, 'stop');
  if (end === 'error' && format === 'chat') assert.equal(seen.end, 'error');
  if (end === 'stopped') assert.ok(seen.end, 'it ended');
}

for (const [name, reader] of Object.entries(READERS)) {
  test(`${name} reads ?format=${reader.format}, joined at any point, to each end`, async (t) => {
    const house = await House.open(t, { redis: false, args: ['--retry-ms', '50'] });
    for (const end of Object.keys(ENDS)) {
      for (let before = 0; before <= BODY.length + 1; before++) {
        const seen = await readFrom(house, reader, `${end}-${before}`, end, before);
        await t.test(`${end}, joined after ${before} events`, () => judge(seen, reader, end));
      }
    }
  });
}

test('the same through Redis, read at a broker that never saw the run', async (t) => {
  const house = await House.open(t, { args: ['--retry-ms', '50'] });
  const other = await house.another({ args: ['--retry-ms', '50'] });
  for (const [name, reader] of Object.entries(READERS)) {
    const task = `far-${name.replace(/\W/g, '_')}`;
    await post(house, { task }, [...BODY, ENDS.completion], { lines: 10 });
    const seen = await readFrom({ url: other.url }, reader, task, 'completion', BODY.length + 1)
      .catch((error) => ({ error: error.message }));
    judge(seen, reader, 'completion');
  }
});

test('an EventSource that has read the end reconnects once, and stops', async (t) => {
  const house = await House.open(t, { redis: false, args: ['--retry-ms', '50'] });
  const seen = await readFrom(house, READERS['a stock EventSource'], 'once', 'completion', 3);
  assert.equal(seen.connections, 2, 'the stream, and the 204');
  assert.equal(seen.text, TEXT, 'nothing twice');
  assert.deepEqual(seen.usage && Object.keys(seen.usage).slice(0, 2), ['tokens_in', 'tokens_out']);
});

for (const [name, library] of [['ai', ai], ['ai 5', ai5]]) {
  test(`npm ${name} resumes what is under way, and is told 204 when nothing is`, async (t) => {
    const house = await House.open(t, { redis: false });
    const transport = new library.DefaultChatTransport({
      prepareReconnectToStreamRequest: ({ id }) => ({
        api: `${house.url}/v1/tasks/${id}/events?format=ai-sdk`,
      }),
    });
    assert.equal(await transport.reconnectToStream({ chatId: 'nobody' }), null);
    await post(house, { task: 'resume' }, BODY.slice(0, 3));
    const stream = await transport.reconnectToStream({ chatId: 'resume' });
    await post(house, { task: 'resume' }, [...BODY.slice(3), ENDS.completion]);
    const seen = await readMessage(library, stream);
    assert.deepEqual([seen.text, seen.reasoning, seen.error], [TEXT, REASONING, undefined]);
    assert.equal(await transport.reconnectToStream({ chatId: 'resume' }), null);
  });
}

test('each form has its own headers; what is no form, or several tasks, is refused', async (t) => {
  const house = await House.open(t, { redis: false });
  await post(house, { task: 'h' }, [...BODY, ENDS.completion], { lines: 10 });
  for (const format of ['native', 'openai', 'chat', 'ai-sdk', 'ag-ui']) {
    const path = `/v1/tasks/h/events?from=snapshot&format=${format}`;
    const { status, headers } = await request(house, 'GET', path, { headers: { accept: 'text/event-stream' } });
    assert.equal(status, 200, format);
    assert.match(headers['content-type'], /^text\/event-stream/);
    assert.equal(headers['x-accel-buffering'], 'no');
    assert.equal(headers['x-vercel-ai-ui-message-stream'], format === 'ai-sdk' ? 'v1' : undefined);
  }
  for (const path of ['/v1/tasks/h/events?format=xml', '/v1/events?task_id=h,i&format=chat']) {
    const { status, json } = await request(house, 'GET', path);
    assert.deepEqual([status, json.error.field], [422, 'format'], path);
  }
});

test('a task that never comes ends each form with an error of its own', async (t) => {
  const house = await House.open(t, {
    redis: false, args: ['--wait-unknown-ms', '50', '--retry-ms', '50'],
  });
  for (const [name, reader] of Object.entries(READERS)) {
    const url = `${house.url}/v1/tasks/never/events?from=snapshot&format=${reader.format}`;
    const seen = await reader.read(url);
    if (reader.format === 'chat') assert.equal(seen.end, 'error', name);
    else assert.ok(seen.error, name);
  }
});
