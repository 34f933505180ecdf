// churn.test.mjs - a thousand connects and disconnects on each transport leave nothing behind.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { House, IS_SANITIZED, PATIENCE } from './lib/house.mjs';
import { descriptors, metrics, privateBytes } from './lib/observe.mjs';
import { post, request } from './lib/publish.mjs';
import { Raw, RawWs, head } from './lib/raw.mjs';
import { eventsPath, SIO_TRANSPORTS, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';

const WARM_UP = 200;
const TIMES = 1000;
const AT_ONCE = 40;
const ROUNDS = 4;
const LEAK = 512 * 1024;

// Each comes, subscribes, hears something, and goes: in order, or by falling silent.
const VISITS = {
  SSE: async (house) => {
    const reader = new SseReader(house, eventsPath('churn'));
    await reader.count(1);
    reader.close();
  },
  'long poll, left while held': async (house) => {
    const raw = new Raw(house);
    raw.socket.end(head(house, 'GET /v1/tasks/silent/events', 'Accept: application/json'));
    await raw.closed();
  },
  WebSocket: async (house) => {
    const reader = new WsReader(house);
    await reader.subscribe('churn');
    await reader.count(1);
    reader.socket.close();
    await reader.closed();
  },
  'WebSocket, cut': async (house) => {
    const ws = await new RawWs(house, '/ws').opened();
    ws.message('{"op":"subscribe","task_id":"churn"}');
    await ws.wait(() => ws.text.includes('subscribed'), 'subscribed');
    ws.socket.resetAndDestroy();
  },
  ...Object.fromEntries(Object.keys(SIO_TRANSPORTS).map((mode) => [
    `Socket.IO ${mode}`, async (house) => {
      const reader = await new SioReader(house, { mode, options: { reconnection: false } }).connected();
      await reader.subscribe({ task_id: 'churn' });
      await reader.count(1);
      reader.close();
    },
  ])),
  'Socket.IO polling, abandoned': async (house) => {
    const open = await request(house, 'GET', '/socket.io/?EIO=4&transport=polling');
    const { sid } = JSON.parse(open.text.slice(1));
    const path = `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    await request(house, 'POST', path, { body: '40' });
    await request(house, 'POST', path, { body: '42["task_subscribe","churn"]' });
    const raw = new Raw(house);
    raw.send(head(house, `GET ${path}`));
    await raw.wait(() => raw.text.includes('40{'), 'the connect answer');
    raw.socket.end(head(house, `GET ${path}`));
    await raw.closed();
  },
};

async function visit(house, act, times) {
  for (let n = 0; n < times; n += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, times - n) }, () => act(house)));
    house.forget();
  }
}

// All sessions are gone; only then may memory and descriptors be compared.
async function settled(house) {
  await until(async () => {
    const values = await metrics(house.url);
    return Object.entries(values).every(([name, n]) => !/^thinkwire_(sessions|engine_sessions)/.test(name) || n === 0);
  }, 'all sessions to be gone', 20000 * PATIENCE);
}

async function growth(house, act) {
  const before = privateBytes(house.broker.pid);
  await visit(house, act, TIMES);
  await settled(house);
  return privateBytes(house.broker.pid) - before;
}

for (const [kind, act] of Object.entries(VISITS)) {
  test(`${TIMES} connects and disconnects leave nothing behind: ${kind}`, async (t) => {
    // A session nobody polls for is found by its ping timeout.
    const house = await House.open(t, { args: ['--ping-interval-ms', '2000', '--ping-timeout-ms', '2000'] });
    await post(house, { task: 'churn' }, [{ type: 'text', text: 'hello', partial: true }]);
    await visit(house, act, WARM_UP);
    await settled(house);
    const files = descriptors(house.broker.pid);
    // A busy machine lets more of them overlap than the warm-up did, and the heap grows once
    // for it. What leaks grows in every round.
    const rounds = [];
    do {
      rounds.push(await growth(house, act));
      await until(() => descriptors(house.broker.pid) <= files,
        () => `${files} descriptors, now ${descriptors(house.broker.pid)}`);
    } while (!IS_SANITIZED && rounds.at(-1) >= LEAK && rounds.length < ROUNDS);
    t.diagnostic(`private memory changed by ${rounds.join(', ')} bytes`);
    // A sanitizer keeps freed memory on purpose; its own leak check speaks at the broker's end.
    if (!IS_SANITIZED) assert.ok(rounds.at(-1) < LEAK, `memory grew by ${rounds.join(', ')} bytes`);
  });
}
