// worker-answers.test.mjs - a request becomes a run: three protocols, real HTTP, on either bus.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { onEachBus } from './lib/buses.mjs';
import { request } from './lib/publish.mjs';
import { ask, Asked, open, telemetryRows, wholeAnswer } from './lib/worker.mjs';

for (const api of ['chat', 'responses', 'anthropic']) {
  onEachBus(`R1 ${api}: reasoning and text arrive in order, whole, with usage and one end`, async (t, bus) => {
    const house = await open(t, { bus, api });
    house.provider.script('m', { reasoning: 5, words: 10, pace_ms: 5 });
    const end = await ask(house);
    assert.equal(end.type, 'completion');
    assert.equal(end.text, wholeAnswer(end.asked.task, 10));
    assert.equal(end.told.text, end.text);
    assert.equal(end.finish_reason, 'stop');
    assert.deepEqual([house.provider.calls[0].api, house.provider.calls[0].mode], [api, 'stream']);
  });
}

const SPELLINGS = { reasoning_content: 'reasoning_content', reasoning: 'reasoning', inline: '<think> in the text' };

for (const name of ['max_tokens', 'max_completion_tokens']) {
  onEachBus(`the longest answer is called ${name} where the provider wants it so`, async (t, bus) => {
    const house = await open(t, { bus, lines: [`max-tokens-name ${name}`] });
    assert.equal((await ask(house, { max_tokens: 77 })).type, 'completion');
    const [{ body }] = house.provider.calls;
    assert.deepEqual([body.max_tokens, body.max_completion_tokens], name === 'max_tokens' ? [77, undefined] : [undefined, 77]);
  });
}

for (const [think, name] of Object.entries(SPELLINGS)) {
  onEachBus(`R2 reasoning spelled ${name} is told as reasoning`, async (t, bus) => {
    const house = await open(t, { bus });
    house.provider.script('m', { think, reasoning: 'First this, then that.', text: 'So be it.', chunk: 3 });
    const end = await ask(house);
    assert.deepEqual([end.told.reasoning, end.told.text], ['First this, then that.', 'So be it.']);
    assert.deepEqual([end.reasoning, end.text], ['First this, then that.', 'So be it.']);
  });
}

onEachBus('R19 an autonomous run: a plan, then the answer, each step visible', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { times: 1, text: 'One. Two.' }, {});
  const end = await ask(house, { mode: 'autonomous' });
  assert.equal(end.text, wholeAnswer(end.asked.task));
  assert.equal(end.told.reasoning, 'One. Two.', 'the plan is thinking');
  const steps = end.asked.reader.events.filter(({ type }) => type === 'status').map(({ step, name }) => [step, name]);
  assert.deepEqual(steps, [[1, 'plan'], [2, 'answer']]);
  const [, second] = house.provider.calls;
  assert.deepEqual(second.body.messages.map(({ role }) => role), ['user', 'assistant', 'system']);
});

onEachBus('R3 a plan that breaks off is made anew, and not mixed with its beginning', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { mode: 'stream', times: 1, text: 'One. Two. Three.', cut_at: 2 },
    { mode: 'plain', times: 1, text: 'Uno. Due.' }, {});
  const end = await ask(house, { mode: 'autonomous' });
  assert.equal(end.text, wholeAnswer(end.asked.task));
  const last = house.provider.calls.at(-1).body.messages;
  assert.equal(last.find(({ role }) => role === 'assistant').content, 'Uno. Due.');
});

onEachBus('R3 a stream cut in the middle is completed plainly', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { mode: 'stream', cut_at: 7 });
  const end = await ask(house);
  assert.equal(end.text, wholeAnswer(end.asked.task));
  assert.equal(end.told.text, end.text);
});

// ---- going on from a partial answer ----

onEachBus('S2 who continues asks with system prompt, question, partial answer and instruction, in this order', async (t, bus) => {
  for (const api of ['chat', 'responses', 'anthropic']) {
    const house = await open(t, { bus, api, args: ['--system-prompt', 'Be kind.'] });
    const partial = wholeAnswer('s2', 4);
    const run = await Asked.start(house, { messages: [{ role: 'user', content: 's2' }], partial });
    const end = await run.end();
    assert.equal(end.told.text, wholeAnswer('s2').slice(partial.length));
    const started = run.reader.events.find(({ type }) => type === 'continue_started');
    assert.equal(started.continuation_from_length, partial.length);
    const { body } = house.provider.calls[0];
    const messages = body.messages ?? body.input;
    const before = api === 'anthropic' ? [body.system] : [messages[0].content];
    const rest = api === 'anthropic' ? messages : messages.slice(1);
    assert.deepEqual(before, ['Be kind.']);
    assert.deepEqual(rest.map(({ role }) => role), ['user', 'assistant', api === 'anthropic' ? 'user' : 'system']);
    assert.deepEqual([rest[0].content, rest[1].content], ['s2', partial]);
    assert.match(rest[2].content, /do not repeat/i);
  }
});

onEachBus('S7 a continuation that repeats the last words is trimmed, and that is counted', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { repeat: 17 });
  const partial = wholeAnswer('s7', 6);
  const end = await ask(house, { messages: [{ role: 'user', content: 's7' }], partial });
  assert.equal(end.told.text, wholeAnswer('s7').slice(partial.length));
  await house.worker.says('Chat completion finished');
  const [row] = await telemetryRows(house, 1);
  assert.equal(row.payload_json.trimmed_bytes, 17);
  if (bus === 'memory') assert.match((await request(house, 'GET', '/metrics')).text, /worker_trimmed_total 1\n/);
});

onEachBus('S10 a partial answer beyond the budget is shortened in the prompt only: its end is kept', async (t, bus) => {
  const house = await open(t, { bus, lines: ['context-chars 50'] });
  house.provider.script('m', { text: 'behind it.' });
  const partial = `${'é'.repeat(3000)} and so on until here`;
  const end = await ask(house, { messages: [{ role: 'user', content: 's10' }], partial });
  assert.equal(end.told.text, 'behind it.');
  const told = house.provider.calls[0].body.messages.find(({ role }) => role === 'assistant').content;
  assert.ok([...told].length <= 50 && partial.endsWith(told), told);
  const [row] = await telemetryRows(house, 1);
  assert.deepEqual([row.payload_json.partial_shortened, row.payload_json.partial_length], [true, [...partial].length]);
  if (bus === 'memory') assert.match((await request(house, 'GET', '/metrics')).text, /worker_shortened_total 1\n/);
});
