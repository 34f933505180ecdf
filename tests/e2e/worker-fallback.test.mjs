// worker-fallback.test.mjs - what follows when a call fails: another API, plainly, the next provider, or the end.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { Provider } from '../provider/provider.mjs';
import { onEachBus } from './lib/buses.mjs';
import { freePort, PATIENCE } from './lib/house.mjs';
import { request } from './lib/publish.mjs';
import { ask, Asked, block, open, telemetryRows, wholeAnswer } from './lib/worker.mjs';

const asked = (house, model = 'm') => house.provider.callsOf(model).map(({ api, mode }) => `${api} ${mode}`);

function assertWhole(end) {
  assert.equal(end.type, 'completion', `${end.code} ${end.message}`);
  assert.equal(end.text, wholeAnswer(end.asked.task));
  assert.equal(end.told.text, end.text, 'what was told piece by piece is what the end says');
}

const REFUSALS = {
  '400': { status: 400, error: { type: 'invalid_request_error', code: null, message: 'Unknown parameter: input' } },
  '404 of an unknown path': { status: 404, error: { type: 'invalid_request_error', code: null, message: 'Invalid URL' } },
  '501': { status: 501, error: { type: 'not_implemented', code: null, message: 'Not here' } },
};

for (const [name, rule] of Object.entries(REFUSALS)) {
  onEachBus(`R1 Responses refused with ${name}: Chat Completions answers, and that is remembered`, async (t, bus) => {
    const house = await open(t, { bus, api: 'responses' });
    house.provider.script('m', { api: 'responses', ...rule });
    assertWhole(await ask(house));
    assertWhole(await ask(house));
    assert.deepEqual(asked(house), ['responses stream', 'chat stream', 'chat stream']);
    // Another model at the same address is asked anew.
    house.provider.script('other', {});
    assertWhole(await ask(house, { model: 'other' }));
    assert.deepEqual(asked(house, 'other'), ['responses stream']);
  });
}

onEachBus('N15 a refused key, an exceeded rate or a missing model on Responses is no reason to try Chat Completions', async (t, bus) => {
  const house = await open(t, { bus, api: 'responses' });
  const codes = { 401: 'PROVIDER_AUTH', 429: 'RATE_LIMIT', 404: 'MODEL_NOT_FOUND' };
  for (const [status, code] of Object.entries(codes)) {
    house.provider.script(`m${status}`, { status: Number(status), headers: { 'retry-after': '60' } });
    const end = await ask(house, { model: `m${status}` });
    assert.deepEqual([end.type, end.code], ['error', code]);
    assert.deepEqual(asked(house, `m${status}`), ['responses stream']);
  }
});

const MIDDLE = {
  'before the first token: 500': { status: 500 },
  'before the first token: connection closed': { refuse: true },
  'before the first token: error inside the 200': { error_at: 0 },
  'in the middle: cut': { cut_at: 7 },
  'in the middle: cut within a character': { text: Array.from({ length: 80 }, (_, n) => `é${n}😀`).join(''), chunk: 7, cut_byte: 1901 },
  'in the middle: end without the end (N12)': { eof_at: 7 },
  'in the middle: [DONE] without a finish (N12)': { done_at: 7 },
  'in the middle: error inside the 200': { error_at: 7 },
};

for (const [name, rule] of Object.entries(MIDDLE)) {
  onEachBus(`R3 R16 a stream that fails ${name}: one plain request completes the answer, undoubled`, async (t, bus) => {
    const house = await open(t, { bus });
    house.provider.script('m', { mode: 'stream', ...rule }, { mode: 'plain', text: rule.text });
    const end = await ask(house);
    assert.equal(end.type, 'completion', `${end.code} ${end.message}`);
    assert.equal(end.text, rule.text ?? wholeAnswer(end.asked.task));
    assert.equal(end.told.text, end.text);
    assert.deepEqual(asked(house), ['chat stream', 'chat plain']);
    assert.ok(!end.types.includes('error') && !end.types.includes('status'), 'nobody is told of the fallback');
  });
}

onEachBus('R3 a plain fallback that begins anew, or repeats the last words, is trimmed to what is new (N14)', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('anew', { mode: 'stream', cut_at: 7 }, { mode: 'plain', restart: true });
  house.provider.script('again', { mode: 'stream', cut_at: 7 }, { mode: 'plain', repeat: 15 });
  assertWhole(await ask(house, { model: 'anew' }));
  assertWhole(await ask(house, { model: 'again' }));
});

onEachBus('R3 R17 primary and fallback fail: each was called once, both are logged, the last error is told', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { mode: 'stream', status: 500 }, { mode: 'plain', status: 503 });
  const end = await ask(house, { request_id: 'req_both' });
  assert.deepEqual([end.type, end.code], ['error', 'SERVER_ERROR']);
  assert.deepEqual(asked(house), ['chat stream', 'chat plain']);
  const lines = await house.worker.says('provider call failed', 2);
  assert.deepEqual(lines.map(({ request_id: id, status }) => [id, Number(status)]), [['req_both', 500], ['req_both', 503]]);
});

onEachBus('R17 a provider and its fallback agent fail: each was called once, both are logged, the last error is told', async (t, bus) => {
  const { house, second } = await chainOfThree(t, bus);
  house.provider.script('two', { status: 500 });
  second.script('two', { status: 429 });
  const end = await ask(house, { model: 'two', request_id: 'req_chain', live: true });
  assert.deepEqual([end.type, end.code], ['error', 'RATE_LIMIT']);
  assert.deepEqual([house.provider, second].map(({ calls }) => calls.length), [1, 1]);
  const lines = await house.worker.says('provider call failed', 2);
  assert.deepEqual(lines.map(({ request_id: id, provider, status }) => [id, provider, status]),
    [['req_chain', 'first', 500], ['req_chain', 'second', 429]]);
});

onEachBus('R4 with fallback off a failure is an error at once, with its reason, and nothing is called again', async (t, bus) => {
  const house = await open(t, { bus, env: { AGENT_FALLBACK_ENABLED: 'false' } });
  house.provider.script('m', { status: 503 });
  const end = await ask(house);
  assert.deepEqual([end.type, end.code, end.message], ['error', 'SERVER_ERROR', 'Server error, please try again later.']);
  assert.deepEqual(asked(house), ['chat stream']);
});

onEachBus('R6 with fallback off a stream cut in the middle: what came is told, then an error with its reason, logged', async (t, bus) => {
  const house = await open(t, { bus, args: ['--fallback', 'off'] });
  house.provider.script('m', { cut_at: 7 });
  const end = await ask(house, { request_id: 'req_cut' });
  assert.deepEqual([end.type, end.code], ['error', 'PROVIDER_TRUNCATED']);
  assert.equal(end.told.text, wholeAnswer(end.asked.task, 7));
  assert.deepEqual(asked(house), ['chat stream']);
  const [line] = await house.worker.says('generation finished');
  assert.deepEqual([line.request_id, line.outcome, line.code], ['req_cut', 'error', 'PROVIDER_TRUNCATED']);
});

async function chainOfThree(t, bus) {
  const second = await Provider.start();
  const third = await Provider.start();
  const dead = `http://127.0.0.1:${await freePort()}/v1`;
  const house = await open(t, {
    bus,
    providers: (first) => ['default-model m', block(first, { name: 'first' }), block(second, { name: 'second' }),
      block(third, { name: 'third' }), block(dead, { name: 'dead' }),
      'model m', 'chain first, second, third', 'model lost', 'chain dead', 'model d', 'chain dead, second', 'model two', 'chain first, second', ''].join('\n'),
  });
  house.own(second);
  house.own(third);
  return { house, second, third };
}

onEachBus('R8 a chain: the next provider answers where one is down, and none left is a clear error', async (t, bus) => {
  const { house, second } = await chainOfThree(t, bus);
  assertWhole(await ask(house, { model: 'd' }));
  assert.equal(second.calls.length, 1);
  const end = await ask(house, { model: 'lost' });
  assert.deepEqual([end.code, end.message],
    ['PROVIDER_UNREACHABLE', 'The model provider cannot be reached. Please try again later.']);
});

onEachBus('R8 what was told before the first provider broke off is not told again by the second', async (t, bus) => {
  const { house, second, third } = await chainOfThree(t, bus);
  house.provider.script('m', { cut_at: 9 });
  const end = await ask(house);
  assertWhole(end);
  assert.deepEqual(second.calls.map(({ mode }) => mode), ['plain']);
  assert.equal(third.calls.length, 0);
});

onEachBus('R14 an answer without a word is a failure: asked again plainly, then a clear error; counted by mode', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { mode: 'stream', empty: true });
  assertWhole(await ask(house));
  assert.deepEqual(asked(house), ['chat stream', 'chat plain']);
  house.provider.script('never', { empty: true });
  const end = await ask(house, { model: 'never' });
  assert.deepEqual([end.type, end.code], ['error', 'EMPTY_RESPONSE']);
  assert.deepEqual(asked(house, 'never'), ['chat stream', 'chat plain']);
  const agent = await ask(house, { model: 'never', mode: 'agent', request_id: 'req_empty', live: true });
  assert.deepEqual([agent.code, agent.message], ['EMPTY_RESPONSE', end.message]);
  const logged = (await house.worker.says('provider call failed', 5)).slice(3);
  assert.deepEqual(logged.map(({ request_id: id, code }) => [id, code]), Array(2).fill(['req_empty', 'EMPTY_RESPONSE']));
  const rows = (await telemetryRows(house, 5)).filter(({ type }) => type === 'openai_call').map(({ payload_json: row }) => row);
  assert.deepEqual(rows.map(({ mode, empty_answers: empty }) => [mode, empty]), [['chat', 1], ['chat', 2], ['agent', 2]]);
  if (bus === 'Redis') return; // a worker of its own has no /metrics: its rows are the count
  const { text } = await request(house, 'GET', '/metrics');
  const counts = ['chat', 'agent', 'autonomous'].map((mode) => new RegExp(`worker_empty_answers_total\\{mode="${mode}"\\} (\\d+)`).exec(text)[1]);
  assert.deepEqual(counts, ['3', '2', '0']);
});

onEachBus('R11 every failure that is no time-out is told within a second', async (t, bus) => {
  const house = await open(t, {
    bus,
    providers: (provider) => `default-model m\n${block(provider)}\n`
      + `${block(`http://127.0.0.1:1/v1`, { name: 'gone' })}\nmodel gone\nchain gone\nmodel m\nchain stand-in\n`,
  });
  const rules = {
    400: { status: 400 }, 401: { status: 401 }, 402: { status: 402 }, 404: { status: 404 }, 500: { status: 500 },
    429: { status: 429, headers: { 'retry-after': '3' } }, reset: { refuse: true }, empty: { empty: true }, gone: {},
  };
  for (const [name, rule] of Object.entries(rules)) {
    house.provider.script(name, rule);
    const model = name === 'gone' ? 'gone' : name;
    const end = await ask(house, { model });
    assert.equal(end.type, 'error', name);
    // The promise is 1 s; what is asserted leaves room for a machine that does other things.
    assert.ok(end.asked.took < 2500 * PATIENCE, `${name}: ${end.asked.took} ms`);
  }
});

// The two take turns, and the best of each counts: what a machine does besides makes an answer later, never earlier.
onEachBus('R20 having fallback enabled adds nothing to the way of success', async (t, bus) => {
  const houses = { on: await open(t, { bus }), off: await open(t, { bus, args: ['--fallback', 'off'] }) };
  const best = { on: Infinity, off: Infinity };
  for (let n = 0; n < 16; n++) {
    for (const which of n % 2 ? ['on', 'off'] : ['off', 'on']) {
      const run = await Asked.start(houses[which]);
      await run.firstText();
      best[which] = Math.min(best[which], performance.timeOrigin + performance.now() - run.at);
      await run.end();
      run.reader.close();
    }
  }
  t.diagnostic(`first text after ${best.on.toFixed(1)} ms with fallback, ${best.off.toFixed(1)} ms without`);
  assert.ok(best.on < best.off * 2 + 20, `${best.on} ms with, ${best.off} ms without`);
  for (const house of Object.values(houses)) assert.deepEqual(asked(house), Array(16).fill('chat stream'), 'one call each');
  const told = (house) => house.provider.calls.map(({ body }) => ({ ...body, messages: body.messages.length }));
  assert.deepEqual(told(houses.on), told(houses.off), 'the same is asked');
});
