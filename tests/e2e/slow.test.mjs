// slow.test.mjs - slow readers: native ones stay and end level, opaque ones are closed and counted.
// SPDX-License-Identifier: MIT
//
// The profile of the design is 1 KB/s for 60 s (THINKWIRE_SLOW=full); the suite's is shorter,
// with the same 20 000 deltas and the same 4 KB receive buffer.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import path from 'node:path';
import test from 'node:test';
import { script } from './lib/fold.mjs';
import { Child, House, IS_SANITIZED, PATIENCE, PYTHON, ROOT } from './lib/house.mjs';
import { metric, watchMemory } from './lib/observe.mjs';
import { post } from './lib/publish.mjs';
import { SioReader, WsReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';

const IS_FULL = process.env.THINKWIRE_SLOW === 'full';
const RATE = 1024;
const SECONDS = IS_FULL ? 60 : 6 * PATIENCE;
const DELTAS = 20000;
const LONG = (SECONDS + 60) * 1000;
const MB = 1 << 20;

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

async function slowReader(house, kind, task) {
  const child = house.own(new Child(PYTHON, [
    '-B', path.join(ROOT, 'tests/e2e/lib/slow_reader.py'), kind,
    '127.0.0.1', String(house.broker.port), task, String(RATE), String(SECONDS),
  ]));
  child.close = () => child.stop('SIGKILL');
  await until(() => child.stdout.includes('joined') || !child.isRunning, 'the slow reader to join');
  assert.ok(child.isRunning, child.output);
  return child;
}

async function reportOf(child) {
  const { code } = await child.ended;
  assert.equal(code, 0, child.output);
  return JSON.parse(child.stdout.trim().split('\n').at(-1));
}

function assertWhole(report, told, kind) {
  assert.equal(report.closed, null, `${kind} was closed: ${report.closed}`);
  assert.equal(report.end, 'completion', kind);
  assert.equal(report.text, sha256(told.text), `text of ${kind}`);
  assert.equal(report.reasoning, sha256(told.reasoning), `reasoning of ${kind}`);
  assert.ok(report.idsRise, `ids of ${kind}`);
}

test('slow native readers stay connected, cost bounded memory, and end with identical text', async (t) => {
  const house = await House.open(t);
  const { events, told } = script('slow', DELTAS);
  // The same run without slow readers first: what the log itself costs is then paid.
  await post(house, { task: 'control' }, events, { lines: 200 });
  const kinds = ['sse', 'ws', 'sio-object'];
  const slow = [];
  for (const kind of [...kinds, ...kinds, ...kinds]) {
    slow.push({ kind, child: await slowReader(house, kind, 'slow') });
  }
  const fast = new WsReader(house);
  await fast.subscribe('slow');
  const logBefore = await metric(house.url, /^thinkwire_log_bytes/);
  const memory = watchMemory(house.broker.pid);

  await post(house, { task: 'slow' }, events, { lines: 200 });
  await fast.end(LONG);
  // However long that took: all of it was published while the slow ones were slow.
  for (const { child } of slow) child.end();

  for (const { kind, child } of slow) {
    const report = await reportOf(child);
    assertWhole(report, told, kind);
    assert.ok(report.events < DELTAS, `${kind} was told merged or resynchronised`);
  }
  const grown = memory.stop();
  const log = await metric(house.url, /^thinkwire_log_bytes/) - logBefore;
  t.diagnostic(`private memory grew by ${(grown / MB).toFixed(1)} MB, the log by ${(log / MB).toFixed(1)} MB`);
  // Each reader may cost its socket's bound and what it is just being sent.
  if (!IS_SANITIZED) assert.ok(grown < log + 4 * MB + slow.length * MB / 4, `${grown} bytes`);
  assert.equal(await metric(house.url, /^thinkwire_slow_readers_closed_total/), 0);
});

test('a slow string-form reader is closed and counted; a fast one gets every event', async (t) => {
  const house = await House.open(t);
  const { events } = script('opaque', DELTAS, { task_id: 'opaque', padding: 'x'.repeat(300) });
  const fast = await new SioReader(house).connected();
  await fast.subscribe('opaque');
  const slow = await slowReader(house, 'sio-string', 'opaque');
  const native = await slowReader(house, 'sio-object', 'opaque');
  await post(house, { task: 'opaque' }, events, { lines: 100 });
  await fast.end(LONG);
  assert.deepEqual(fast.events, events);
  assert.deepEqual(fast.disconnects, []);
  for (const child of [slow, native]) child.end();
  const report = await reportOf(slow);
  assert.notEqual(report.closed, null, 'the slow one was closed');
  assert.equal(report.end, null);
  assert.equal(await metric(house.url, /^thinkwire_slow_readers_closed_total/), 1);
  assert.equal((await reportOf(native)).closed, null, 'the native one beside it stays');
});

test('a string-form reader that was cut reconnects by itself and reads on', async (t) => {
  const house = await House.open(t);
  const { events } = script('later', 200, { task_id: 'later' });
  const reader = await new SioReader(house).connected();
  reader.socket.on('connect', () => reader.socket.emit('task_subscribe', 'later'));
  await reader.subscribe('later');
  // As a cut by the broker looks to the client.
  reader.socket.io.engine.transport.ws.terminate();
  await reader.wait(() => reader.disconnects.length === 1 && reader.socket.connected, 'the reconnect');
  reader.socket.emit('ping');
  await reader.item('pong');
  await post(house, { task: 'later' }, events, { lines: 20 });
  await reader.end();
  assert.deepEqual(reader.events, events);
});
