// worker-answers.test.mjs - a request becomes a run: three protocols, real HTTP, real Redis.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { ask, open, wholeAnswer } from './lib/worker.mjs';

for (const api of ['chat', 'responses', 'anthropic']) {
  test(`R1 ${api}: reasoning and text arrive in order, whole, with usage and one end`, async (t) => {
    const house = await open(t, { api });
    house.provider.script('m', { reasoning: 5, words: 10, pace_ms: 5 });
    const end = await ask(house);
    assert.equal(end.type, 'completion');
    assert.equal(end.text, wholeAnswer(end.asked.task, 10));
    assert.equal(end.told.text, end.text);
    assert.equal(end.finish_reason, 'stop');
    assert.deepEqual([house.provider.calls[0].api, house.provider.calls[0].mode], [api, 'stream']);
  });
}
