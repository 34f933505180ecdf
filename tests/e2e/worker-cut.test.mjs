// worker-cut.test.mjs - where an answer was cut is seen, a continue offered, and its prompt shaped by it (S12).
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { onEachBus } from './lib/buses.mjs';
import { request } from './lib/publish.mjs';
import { ask, Asked, open } from './lib/worker.mjs';

// cut -> an answer, its rest, what the model is told
const CUTS = {
  sentence: ['The cat sat on the mat. It was', ' tired.', /within a sentence/],
  list: ['To buy:\n- milk\n- eg', 'gs', /within a list/],
  code: ['Like this:\n```c\nint main(void)\n{\n', '    return 0;\n}\n```', /within a block of code/],
};

const post = (house, target, body) => request(house, 'POST', target, { body: JSON.stringify(body) });

onEachBus('S12 where the tokens ran out a continue is offered, and the cut shapes its prompt', async (t, bus) => {
  const house = await open(t, { bus });
  for (const [cut, [text, rest, instruction]] of Object.entries(CUTS)) {
    house.provider.script(cut, { text, finish: 'length' });
    house.provider.script(`${cut}-end`, { text: rest });
    const end = await ask(house, { task: cut, model: cut });
    assert.deepEqual([end.type, end.finish_reason, end.incomplete, end.cut], ['completion', 'length', true, cut]);
    const answer = await post(house, `/v1/tasks/${cut}/continue`, { model: `${cut}-end`, stream: false });
    assert.equal(answer.json.text, text + rest);
    const [before, last] = house.provider.callsOf(`${cut}-end`).at(-1).body.messages.slice(-2);
    assert.deepEqual([before.role, before.content, last.role], ['assistant', text, 'system']);
    assert.match(last.content, instruction);
    assert.match(last.content, /not repeat/);
    assert.equal(answer.json.incomplete, cut === 'list' ? true : undefined, 'a bare item is no end');
  }
});

onEachBus("S12 a model's own end that breaks off is seen, and a whole one is not called incomplete", async (t, bus) => {
  const house = await open(t, { bus });
  const texts = [
    ['All is well. Very well!', undefined], ['42', undefined], ['A title', undefined], ['```c\nint x;\n```', undefined],
    ['All is well. Very', 'sentence'], ['1. one\n2.', 'list'], ['```c\nint x;', 'code'],
  ];
  for (const [text, cut] of texts) {
    house.provider.script('m', { text });
    const end = await ask(house);
    assert.deepEqual([end.text, end.incomplete, end.cut], [text, cut && true, cut], text);
    const streamed = await post(house, '/api/v2/chat/streaming/stream', { message: 'x' });
    const last = JSON.parse(/^data: (\{.*"final_response".*\})$/m.exec(streamed.text)[1]);
    assert.deepEqual([last.text, last.incomplete, last.cut], [text, cut && true, cut], text);
    const whole = await post(house, '/v1/tasks', { message: 'x', stream: false });
    assert.deepEqual([whole.json.text, whole.json.incomplete, whole.json.cut], [text, cut && true, cut], text);
  }
});

onEachBus('S12 after a stop, and after a failure in the middle, a continue is offered', async (t, bus) => {
  const house = await open(t, { bus, args: ['--fallback', 'off'] });
  house.provider.script('slow', { words: 1000, pace_ms: 20 });
  const run = await Asked.start(house, { model: 'slow' });
  await run.firstText();
  await post(house, `/v1/tasks/${run.task}/stop`, {});
  const stopped = await run.end();
  assert.deepEqual([stopped.type, stopped.incomplete, stopped.cut], ['stopped', true, 'sentence']);
  house.provider.script('cut', { text: 'One. Two. Three. ', error_at: 2 });
  const failed = await ask(house, { model: 'cut' });
  assert.deepEqual([failed.type, failed.incomplete, failed.cut, failed.told.text], ['error', true, 'none', 'One. Two. ']);
  house.provider.script('none', { status: 500 });
  const nothing = await ask(house, { model: 'none' });
  assert.deepEqual([nothing.type, nothing.incomplete], ['error', undefined], 'nothing to go on from');
});
