// worker-time.test.mjs - time-outs of each phase, the circuit breaker, retries, and the words for each failure.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import test from 'node:test';
import { Provider } from '../provider/provider.mjs';
import { PATIENCE } from './lib/house.mjs';
import { ask, Asked, block, open, wholeAnswer } from './lib/worker.mjs';
import { delay, until } from './lib/wait.mjs';

const modes = (house, model = 'm') => house.provider.callsOf(model).map(({ mode }) => mode);
const TIMED_OUT = 'Request timed out. Please try again with a shorter message.';

function assertTimedOut(end) {
  assert.deepEqual([end.type, end.code, end.message], ['error', 'OPENAI_TIMEOUT', TIMED_OUT]);
}

// Accepts and says nothing, not even TLS.
async function silentServer(house) {
  const sockets = new Set();
  const server = net.createServer((socket) => sockets.add(socket.on('error', () => {}))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  house.own({ close: () => { server.close(); sockets.forEach((socket) => socket.destroy()); } });
  return server.address().port;
}

test('R7 no connection in time: the plain request is tried, and then the end is told', async (t) => {
  const house = await open(t);
  const port = await silentServer(house);
  const { Worker } = await import('./lib/worker.mjs');
  await house.worker.close();
  const worker = await new Worker(house, {
    providers: `default-model m\n${block(`https://127.0.0.1:${port}/v1`, { lines: ['connect-timeout-ms 200', 'plain-timeout-ms 300'] })}`,
  }).ready();
  const end = await ask(house);
  assertTimedOut(end);
  assert.ok(end.asked.took >= 350, `two calls of 200 ms, took ${end.asked.took}`);
  const lines = await worker.says('provider call failed', 2);
  assert.deepEqual(lines.map(({ mode }) => mode), ['stream', 'plain']);
});

const PHASES = {
  'first token': [{ silent_at: 0, ping_ms: 30 }, 0, 'first-token-timeout-ms 300'],
  'idle between tokens (N13)': [{ silent_at: 6, ping_ms: 30 }, 6, 'idle-timeout-ms 300'],
  'total': [{ words: 1000, pace_ms: 20 }, undefined, 'total-timeout-ms 400'],
};

for (const [name, [rule, told, line]] of Object.entries(PHASES)) {
  test(`R7 ${name}: pings keep no timer alive, the stream is closed upstream, the plain request completes it`, async (t) => {
    const house = await open(t, { lines: [line, 'plain-timeout-ms 3000'] });
    house.provider.script('m', { mode: 'stream', ...rule }, { words: rule.words });
    const end = await ask(house);
    assert.equal(end.text, wholeAnswer(end.asked.task, rule.words));
    assert.equal(end.told.text, end.text);
    assert.deepEqual(modes(house), ['stream', 'plain']);
    const [stream, plain] = house.provider.calls;
    await until(() => stream.closed_at, 'the stream to be closed upstream');
    assert.ok(stream.closed_at - plain.at < 250 * PATIENCE, 'closed when it was given up');
    if (told !== undefined) assert.equal(stream.pieces, told);
  });
}

test('R7 the plain fallback has a shorter time-out of its own', async (t) => {
  const house = await open(t, { lines: ['first-token-timeout-ms 300', 'plain-timeout-ms 400'] });
  house.provider.script('m', { silent_at: 0 });
  const end = await ask(house);
  assertTimedOut(end);
  assert.deepEqual(modes(house), ['stream', 'plain']);
  assert.ok(end.asked.took >= 650 && end.asked.took < 3000 * PATIENCE, `${end.asked.took} ms`);
});

test('R7 silence behind the finish is no failure: only usage and a mark are missing', async (t) => {
  const house = await open(t, { lines: ['idle-timeout-ms 300'] });
  house.provider.script('m', { hang_end: 1 }); // the chunk with the finish_reason
  const end = await ask(house);
  assert.equal(end.text, wholeAnswer(end.asked.task));
  assert.deepEqual(modes(house), ['stream']);
});

test('R7 a slow drip of bytes is an answer like any other', async (t) => {
  const house = await open(t);
  house.provider.script('m', { words: 4, reasoning: 2, drip_bytes: 7, drip_ms: 1 });
  const end = await ask(house);
  assert.equal(end.text, wholeAnswer(end.asked.task, 4));
  assert.deepEqual(modes(house), ['stream']);
});

const BREAKER = ['breaker-failures 5', 'breaker-cooldown-ms 700'];

test('R5 five failures open the breaker: rejected fast, uncalled; one probe closes it', async (t) => {
  const house = await open(t, { lines: BREAKER });
  house.provider.script('m', { status: 500, times: 10 });
  for (let n = 0; n < 5; n++) assert.equal((await ask(house)).code, 'SERVER_ERROR');
  const before = house.provider.calls.length;
  assert.equal(before, 10, 'a failure is one request, however many calls it took');
  const end = await ask(house);
  assert.deepEqual([end.code, end.message], ['BREAKER_OPEN', 'The model provider cannot be reached. Please try again later.']);
  assert.equal(house.provider.calls.length, before, 'nobody was called');
  await delay(750);
  assert.equal((await ask(house)).type, 'completion', 'the probe');
  for (let n = 0; n < 3; n++) assert.equal((await ask(house)).type, 'completion');
  // The count began anew: four more failures do not open it.
  house.provider.script('m', { status: 500, times: 8 });
  for (let n = 0; n < 4; n++) assert.equal((await ask(house)).code, 'SERVER_ERROR');
  assert.equal((await ask(house)).type, 'completion');
});

test('R5 a probe that needs its plain fallback is still the probe, and closes the breaker', async (t) => {
  const house = await open(t, { lines: ['breaker-failures 2', 'breaker-cooldown-ms 400'] });
  house.provider.script('m', { status: 500, times: 4 }, { mode: 'stream', status: 500, times: 1 });
  await ask(house);
  await ask(house);
  assert.equal((await ask(house)).code, 'BREAKER_OPEN');
  await delay(450);
  assert.equal((await ask(house)).type, 'completion', 'by its fallback');
  assert.deepEqual(modes(house).slice(-2), ['stream', 'plain']);
  assert.equal((await ask(house)).type, 'completion', 'the breaker is not stuck');
});

test('R5 bad requests, refused keys and limits of rate never open the breaker', async (t) => {
  const house = await open(t, { lines: ['breaker-failures 2'], args: ['--max-retries', '0'] });
  for (const status of [400, 401, 402, 404, 429]) {
    house.provider.script('m', { status });
    for (let n = 0; n < 3; n++) assert.notEqual((await ask(house)).code, 'BREAKER_OPEN', String(status));
  }
});

for (const around of [false, true]) {
  test(`R5 while the first choice is open its chain is ${around ? 'asked, with --route-around-open' : 'not asked'}`, async (t) => {
    const second = await Provider.start();
    const house = await open(t, {
      args: around ? ['--route-around-open', 'on'] : [],
      providers: (first) => ['default-model m', block(first, { name: 'first', lines: ['breaker-failures 1'] }),
        block(second, { name: 'second' }), ''].join('\n'),
    });
    house.own(second);
    house.provider.script('m', { status: 500 });
    assert.equal((await ask(house)).type, 'completion', 'by the second');
    const before = second.calls.length;
    const end = await ask(house);
    assert.equal(end.type, around ? 'completion' : 'error');
    assert.equal(second.calls.length - before, around ? 1 : 0);
    assert.equal(house.provider.calls.length, 1);
  });
}

test('C7 C20 each failure has its code and its words', async (t) => {
  const house = await open(t, { lines: ['first-token-timeout-ms 200', 'plain-timeout-ms 200'], args: ['--max-retries', '0'] });
  const rows = [
    [{ status: 429 }, 'RATE_LIMIT', 'Overloaded, please try again soon.'],
    [{ status: 500 }, 'SERVER_ERROR', 'Server error, please try again later.'],
    [{ status: 529 }, 'SERVER_ERROR', 'Server error, please try again later.'],
    [{ silent_at: 0 }, 'OPENAI_TIMEOUT', TIMED_OUT],
    [{ status: 401 }, 'PROVIDER_AUTH', "The model provider rejected the service's key."],
    [{ status: 402 }, 'PROVIDER_CREDIT', "The service's account at the model provider has no credit."],
    [{ status: 429, error: { type: 'insufficient_quota', code: 'insufficient_quota', message: 'x' } }, 'PROVIDER_CREDIT',
      "The service's account at the model provider has no credit."],
    [{ error_at: 0, error: { type: 'rate_limit_error', code: 'rate_limit_exceeded', message: 'x' } }, 'RATE_LIMIT',
      'Overloaded, please try again soon.'],
  ];
  for (const [n, [rule, code, message]] of rows.entries()) {
    house.provider.script(`m${n}`, rule);
    const end = await ask(house, { model: `m${n}` });
    assert.deepEqual([end.type, end.code, end.message], ['error', code, message]);
  }
});

test('C20 a refused key and a lack of credit are not tried again', async (t) => {
  const house = await open(t);
  house.provider.script('key', { status: 401 });
  house.provider.script('credit', { status: 402 });
  await ask(house, { model: 'key' });
  await ask(house, { model: 'credit' });
  assert.deepEqual([modes(house, 'key'), modes(house, 'credit')], [['stream'], ['stream']]);
});

test('C8 a limit of rate is waited out, longer each time, and Retry-After is never undercut', async (t) => {
  const house = await open(t, { args: ['--retry-backoff-ms', '100', '--retry-total-ms', '3000'] });
  house.provider.script('backoff', { status: 429, times: 2 });
  assert.equal((await ask(house, { model: 'backoff' })).type, 'completion');
  const [a, b, c] = house.provider.callsOf('backoff').map(({ at }) => at);
  assert.ok(b - a >= 74 && c - b >= 149, `${b - a} ms, ${c - b} ms`);
  house.provider.script('told', { status: 429, headers: { 'retry-after': '1' }, times: 1 });
  assert.equal((await ask(house, { model: 'told' })).type, 'completion');
  const [first, second] = house.provider.callsOf('told').map(({ at }) => at);
  assert.ok(second - first >= 995, `${second - first} ms`);
  house.provider.script('far', { status: 429, headers: { 'retry-after': '60' } });
  const end = await ask(house, { model: 'far' });
  assert.equal(end.code, 'RATE_LIMIT');
  assert.ok(end.asked.took < 1000 * PATIENCE, 'too long to wait is told at once');
  assert.equal(house.provider.callsOf('far').length, 1);
});

test('R10 with a live request every delta leaves at once: spacing at the reader is the spacing of the provider', async (t) => {
  const house = await open(t);
  house.provider.script('m', { words: 20, pace_ms: 50 });
  const run = await Asked.start(house, { live: true });
  const end = await run.end();
  assert.equal(end.types.filter((type) => type === 'text').length, 20, 'none was merged');
  const [call] = house.provider.calls;
  assert.ok(run.took <= (call.at - run.at) + 1.2 * 50 * 20 * PATIENCE, `${run.took} ms`);
});

test('C15 a fault that was asked for is played instead of calling anybody, and harms no breaker', async (t) => {
  const house = await open(t, { lines: ['breaker-failures 1', 'first-token-timeout-ms 300', 'plain-timeout-ms 300'], args: ['--max-retries', '0'] });
  const codes = { timeout: 'OPENAI_TIMEOUT', rate_limit: 'RATE_LIMIT', server_error: 'SERVER_ERROR' };
  for (const [scenario, code] of Object.entries(codes)) {
    const end = await ask(house, { scenario });
    assert.deepEqual([end.type, end.code], ['error', code]);
  }
  assert.equal(house.provider.calls.length, 0);
  assert.equal((await ask(house)).type, 'completion', 'the breaker is closed');
});

test('C15 an answer that is dropped in the middle is completed by the fallback; without one it is an error', async (t) => {
  const house = await open(t);
  const whole = await ask(house, { scenario: 'midstream_drop' });
  assert.equal(whole.type, 'completion');
  assert.equal(whole.told.text, whole.text);
  assert.equal(whole.text.match(/demonstration provider/g).length, 1, 'undoubled');
  const { Worker } = await import('./lib/worker.mjs');
  await house.worker.close();
  await new Worker(house, { providers: `default-model m\n${block(house.provider)}`, args: ['--fallback', 'off'] }).ready();
  const cut = await ask(house, { scenario: 'midstream_drop' });
  assert.deepEqual([cut.type, cut.code], ['error', 'PROVIDER_TRUNCATED']);
  assert.ok(cut.told.text.length > 0);
});
