// worker-time.test.mjs - time-outs of each phase, the circuit breaker, retries, and the words for each failure.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { Provider } from '../provider/provider.mjs';
import { onEachBus } from './lib/buses.mjs';
import { PATIENCE } from './lib/house.mjs';
import { ask, block, open, telemetryRows, wholeAnswer } from './lib/worker.mjs';
import { delay, until } from './lib/wait.mjs';

const modes = (house, model = 'm') => house.provider.callsOf(model).map(({ mode }) => mode);
const TIMED_OUT = 'Request timed out. Please try again with a shorter message.';

function assertTimedOut(end) {
  assert.deepEqual([end.type, end.code, end.message], ['error', 'OPENAI_TIMEOUT', TIMED_OUT]);
}

// Accepts and says nothing, not even TLS.
async function silentServer(t) {
  const sockets = new Set();
  const server = net.createServer((socket) => sockets.add(socket.on('error', () => {}))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.close(); sockets.forEach((socket) => socket.destroy()); });
  return server.address().port;
}

onEachBus('R7 no connection in time: the plain request is tried, and then the end is told', async (t, bus) => {
  const port = await silentServer(t);
  const lines = ['connect-timeout-ms 200', 'plain-timeout-ms 3000'];
  const house = await open(t, { bus, providers: () => `default-model m\n${block(`https://127.0.0.1:${port}/v1`, { lines })}` });
  const end = await ask(house);
  assertTimedOut(end);
  assert.ok(end.asked.took >= 350, `two calls of 200 ms, took ${end.asked.took}`);
  const failed = await house.worker.says('provider call failed', 2);
  assert.deepEqual(failed.map(({ mode }) => mode), ['stream', 'plain']);
});

const PHASES = {
  'first token': [{ silent_at: 0, ping_ms: 30 }, 0, 'first-token-timeout-ms 300'],
  'idle between tokens (N13)': [{ silent_at: 6, ping_ms: 30 }, 6, 'idle-timeout-ms 600'],
  'total': [{ words: 1000, pace_ms: 20 }, undefined, 'total-timeout-ms 400'],
};

for (const [name, [rule, told, line]] of Object.entries(PHASES)) {
  onEachBus(`R7 ${name}: pings keep no timer alive, the stream is closed upstream, the plain request completes it`, async (t, bus) => {
    const house = await open(t, { bus, lines: [line, 'plain-timeout-ms 3000'] });
    house.provider.script('m', { mode: 'stream', ...rule }, { words: rule.words });
    const end = await ask(house);
    assert.equal(end.text, wholeAnswer(end.asked.task, rule.words));
    assert.equal(end.told.text, end.text);
    assert.deepEqual(modes(house), ['stream', 'plain']);
    const [stream, plain] = house.provider.calls;
    await until(() => stream.closed_at, 'the stream to be closed upstream');
    assert.ok(stream.closed_at - plain.at < 2000 * PATIENCE, 'closed when it was given up');
    if (told !== undefined) assert.equal(stream.pieces, told);
  });
}

onEachBus('R7 the plain fallback has a shorter time-out of its own', async (t, bus) => {
  const house = await open(t, { bus, lines: ['first-token-timeout-ms 300', 'plain-timeout-ms 400'] });
  house.provider.script('m', { silent_at: 0 });
  const end = await ask(house);
  assertTimedOut(end);
  assert.deepEqual(modes(house), ['stream', 'plain']);
  assert.ok(end.asked.took >= 650 && end.asked.took < 3000 * PATIENCE, `${end.asked.took} ms`);
});

onEachBus('R7 silence behind the finish is no failure: only usage and a mark are missing', async (t, bus) => {
  const house = await open(t, { bus, lines: ['idle-timeout-ms 1000'] });
  house.provider.script('m', { hang_end: 1 }); // the chunk with the finish_reason
  const end = await ask(house);
  assert.equal(end.text, wholeAnswer(end.asked.task));
  assert.deepEqual(modes(house), ['stream']);
});

onEachBus('R7 a slow drip of bytes is an answer like any other', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { words: 4, reasoning: 2, drip_bytes: 7, drip_ms: 1 });
  const end = await ask(house);
  assert.equal(end.text, wholeAnswer(end.asked.task, 4));
  assert.deepEqual(modes(house), ['stream']);
});

const BREAKER = ['breaker-failures 5', 'breaker-cooldown-ms 2000'];

onEachBus('R5 five failures open the breaker: rejected fast, uncalled; one probe closes it', async (t, bus) => {
  const house = await open(t, { bus, lines: BREAKER });
  house.provider.script('m', { status: 500, times: 10 });
  for (let n = 0; n < 5; n++) assert.equal((await ask(house)).code, 'SERVER_ERROR');
  const before = house.provider.calls.length;
  assert.equal(before, 10, 'a failure is one request, however many calls it took');
  const end = await ask(house);
  assert.deepEqual([end.code, end.message], ['BREAKER_OPEN', 'The model provider cannot be reached. Please try again later.']);
  assert.equal(house.provider.calls.length, before, 'nobody was called');
  await delay(2050);
  assert.equal((await ask(house)).type, 'completion', 'the probe');
  for (let n = 0; n < 3; n++) assert.equal((await ask(house)).type, 'completion');
  // The count began anew: four more failures do not open it.
  house.provider.script('m', { status: 500, times: 8 });
  for (let n = 0; n < 4; n++) assert.equal((await ask(house)).code, 'SERVER_ERROR');
  assert.equal((await ask(house)).type, 'completion');
});

onEachBus('R5 a probe that needs its plain fallback is still the probe, and closes the breaker', async (t, bus) => {
  const house = await open(t, { bus, lines: ['breaker-failures 2', 'breaker-cooldown-ms 1500'] });
  house.provider.script('m', { status: 500, times: 4 }, { mode: 'stream', status: 500, times: 1 });
  await ask(house);
  await ask(house);
  assert.equal((await ask(house)).code, 'BREAKER_OPEN');
  await delay(1550);
  assert.equal((await ask(house)).type, 'completion', 'by its fallback');
  assert.deepEqual(modes(house).slice(-2), ['stream', 'plain']);
  assert.equal((await ask(house)).type, 'completion', 'the breaker is not stuck');
});

onEachBus('R5 bad requests, refused keys and limits of rate never open the breaker', async (t, bus) => {
  const house = await open(t, { bus, lines: ['breaker-failures 2'], args: ['--max-retries', '0'] });
  for (const status of [400, 401, 402, 404, 429]) {
    house.provider.script('m', { status });
    for (let n = 0; n < 3; n++) assert.notEqual((await ask(house)).code, 'BREAKER_OPEN', String(status));
  }
});

for (const around of [false, true]) {
  onEachBus(`R5 while the first choice is open its chain is ${around ? 'asked, with --route-around-open' : 'not asked'}`, async (t, bus) => {
    const second = await Provider.start();
    const house = await open(t, {
    bus,
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

onEachBus('C7 C20 each failure has its code and its words', async (t, bus) => {
  const house = await open(t, { bus, lines: ['first-token-timeout-ms 800', 'plain-timeout-ms 800'], args: ['--max-retries', '0'] });
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

onEachBus('C20 a refused key and a lack of credit are not tried again', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('key', { status: 401 });
  house.provider.script('credit', { status: 402 });
  await ask(house, { model: 'key' });
  await ask(house, { model: 'credit' });
  assert.deepEqual([modes(house, 'key'), modes(house, 'credit')], [['stream'], ['stream']]);
});

onEachBus('C8 a limit of rate is waited out, longer each time, and Retry-After is never undercut', async (t, bus) => {
  const house = await open(t, { bus, args: ['--retry-backoff-ms', '100', '--retry-total-ms', '3000'] });
  house.provider.script('backoff', { status: 429, times: 2 });
  assert.equal((await ask(house, { model: 'backoff' })).type, 'completion');
  const [a, b, c] = house.provider.callsOf('backoff').map(({ at }) => at);
  assert.ok(b - a >= 74 && c - b >= 149, `${b - a} ms, ${c - b} ms`);
  const [row] = await telemetryRows(house, 1);
  assert.deepEqual([row.type, row.payload_json.provider_retry_count], ['openai_call', 2]);
  house.provider.script('told', { status: 429, headers: { 'retry-after': '1' }, times: 1 });
  assert.equal((await ask(house, { model: 'told' })).type, 'completion');
  const [first, second] = house.provider.callsOf('told').map(({ at }) => at);
  assert.ok(second - first >= 995, `${second - first} ms`);
  house.provider.script('far', { status: 429, headers: { 'retry-after': '60' } });
  const end = await ask(house, { model: 'far' });
  assert.equal(end.code, 'RATE_LIMIT');
  assert.ok(end.asked.took < 10000, 'too long to wait is told at once');
  assert.equal(house.provider.callsOf('far').length, 1);
});

const PLAYS = ['--test-scenarios', 'on'];

onEachBus('C15 a fault that was asked for is played instead of calling anybody, and harms no breaker', async (t, bus) => {
  const lines = ['breaker-failures 1', 'first-token-timeout-ms 800', 'plain-timeout-ms 800'];
  const house = await open(t, { bus, lines, args: ['--max-retries', '0'], broker: PLAYS });
  const codes = { timeout: 'OPENAI_TIMEOUT', rate_limit: 'RATE_LIMIT', server_error: 'SERVER_ERROR' };
  for (const [scenario, code] of Object.entries(codes)) {
    const end = await ask(house, { scenario });
    assert.deepEqual([end.type, end.code], ['error', code]);
  }
  assert.equal(house.provider.calls.length, 0);
  assert.equal((await ask(house)).type, 'completion', 'the breaker is closed');
});

for (const fallback of ['on', 'off']) {
  const what = fallback === 'on' ? 'completed by the fallback' : 'an error without one';
  onEachBus(`C15 an answer that is dropped in the middle is ${what}`, async (t, bus) => {
    const house = await open(t, { bus, args: ['--fallback', fallback], broker: PLAYS });
    const end = await ask(house, { scenario: 'midstream_drop' });
    assert.ok(end.told.text.length > 0);
    if (fallback === 'off') {
      assert.deepEqual([end.type, end.code], ['error', 'PROVIDER_TRUNCATED']);
      return;
    }
    assert.equal(end.type, 'completion');
    assert.equal(end.told.text, end.text);
    assert.equal(end.text.match(/demonstration provider/g).length, 1, 'undoubled');
  });
}
