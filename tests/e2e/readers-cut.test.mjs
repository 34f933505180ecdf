// readers-cut.test.mjs - the wire breaks at any byte, or goes dead: nothing is lost or doubled, nobody is kept for ever.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { FaultyWire } from './lib/faulty-wire.mjs';
import { assertIdsRise, fold, isTerminal, script } from './lib/fold.mjs';
import { House, PATIENCE } from './lib/house.mjs';
import { metrics } from './lib/observe.mjs';
import { post } from './lib/publish.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';

const AT_ONCE = 10;
// A fresh beginning replaces what the reader has, as a resync does.
const ANEW = { name: 'resync', data: { reason: 'a fresh beginning' } };

const ended = (items) => items.some(({ name, data }) => name === 'ai_progress' && isTerminal(data));

// The id after which a reader of `items` asks for more; undefined: from the beginning.
function placeOf(items) {
  let place;
  for (const { name, data } of items) {
    if (name === 'resync') place = undefined;
    else if (name === 'ai_progress') place = data.id;
  }
  return place;
}

// Each answers all that a reader on this wire was told until the run had ended.
const READERS = {
  async SSE(wire, task, from) {
    const items = [];
    for (let place; !ended(items);) {
      const headers = place === undefined ? {} : { 'last-event-id': place };
      const reader = new SseReader(wire, eventsPath(task, { from }), { headers });
      await reader.wait(() => reader.isOver || reader.failure, 'the end of a stream');
      if (reader.items.length && place === undefined) items.push(ANEW);
      items.push(...reader.items);
      place = reader.lastId ?? place;
      reader.close();
    }
    return items;
  },

  async WebSocket(wire, task, from) {
    const items = [];
    while (!ended(items)) {
      const since = placeOf(items);
      const reader = new WsReader(wire);
      reader.socket.on('open', () => reader.send({ op: 'subscribe', task_id: task, from, since }));
      await reader.wait(() => ended(reader.items) || reader.closeCode !== undefined || reader.failure, 'the end of /ws');
      if (reader.items.length && since === undefined) items.push(ANEW);
      items.push(...reader.items);
      reader.close();
    }
    return items;
  },
};

for (const mode of ['websocket', 'polling']) {
  for (const recovery of [true, false]) {
    READERS[`Socket.IO ${mode}${recovery ? ', recovered' : ''}`] = async (wire, task, from) => {
      const reader = new SioReader(wire, {
        mode, options: { reconnectionDelay: 10, reconnectionDelayMax: 20, timeout: 1000, auth: { recovery } },
      });
      const subscribe = () => {
        const since = placeOf(reader.items);
        reader.socket.emit('task_subscribe', { task_id: task, from, since }, () => {
          reader.isJoined = true;
          if (since === undefined) reader.take(ANEW);
        });
      };
      reader.socket.on('connect', () => {
        if (!reader.socket.recovered) subscribe();
        // The broker may have heard the request whose answer was cut off: then missed events
        // come first, and only behind them it is known where to go on.
        else if (!reader.isJoined) reader.socket.emit('task_unsubscribe', task, subscribe);
      });
      try {
        await reader.wait(() => ended(reader.items), () => `the end, got ${JSON.stringify(reader.items)}`, 30000 * PATIENCE);
      } finally {
        reader.close();
      }
      return reader.items;
    };
  }
}

// Half of the run is there before the reader comes, half comes while it reads.
async function session(house, kind, from, cutAt) {
  const task = `cut-${kind.replace(/[^A-Za-z]/g, '')}-${from}-${cutAt}`;
  const { events, told } = script('c', 8);
  await post(house, { task }, events.slice(0, 4), { lines: 4 });
  const wire = await FaultyWire.open(house, { cutAt });
  try {
    const reading = READERS[kind](wire, task, from);
    reading.catch(() => {});
    // With its first bytes, so that the rest is live for some and history for others.
    await until(() => wire.carried > 0, 'the first bytes');
    await post(house, { task }, events.slice(4), { lines: 8 });
    const items = await reading;
    const got = fold(items);
    assert.equal(got.text, told.text, 'text');
    assert.equal(got.reasoning, told.reasoning, 'reasoning');
    assert.equal(got.end.type, 'completion');
    assertIdsRise(items);
  } catch (error) {
    error.message = `cut at ${cutAt}: ${error.message}`;
    throw error;
  } finally {
    wire.close();
  }
  return wire;
}

// Bytes between two cuts; every byte with THINKWIRE_CUT=full. Stock Socket.IO clients take
// their time to come back.
const STRIDE = process.env.THINKWIRE_CUT === 'full' ? 1 : null;
const STRIDES = { SSE: 3, WebSocket: 3 };

for (const kind of Object.keys(READERS)) {
  for (const from of ['snapshot', 'start']) {
    test(`cut at any byte, ${kind} from ${from}: every text is whole, nothing comes twice`, async (t) => {
      const house = await House.open(t, { redis: false });
      const whole = await session(house, kind, from, Infinity);
      const stride = STRIDE ?? STRIDES[kind] ?? 13;
      const places = Array.from({ length: Math.ceil(whole.carried / stride) }, (_, n) => n * stride + 1);
      let cuts = 0;
      await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        while (places.length) {
          const wire = await session(house, kind, from, places.shift());
          cuts += wire.cuts;
        }
      }));
      t.diagnostic(`${cuts} cuts in ${whole.carried} bytes`);
      // Sessions differ in length: where the last part comes in one piece, it is shorter.
      assert.ok(cuts >= (0.5 * whole.carried) / stride, `only ${cuts} cuts happened`);
    });
  }
}

// ---- the peer is gone and nobody says so ----

const BOUNDS = [
  '--heartbeat-ms', '300', '--silence-ms', '1000', '--ping-interval-ms', '500', '--ping-timeout-ms', '500',
  '--poll-wait-ms', '1500', '--close-timeout-ms', '300', '--keepalive-ms', '1000', '--body-timeout-ms', '1000',
];

// [kind, whether the far end still takes bytes, who comes, the counter that tells]
const VANISHING = [
  ['WebSocket, behind a proxy that reads on', true, async (wire) => {
    await new WsReader(wire).subscribe('t');
  }, /^thinkwire_silent_readers_closed_total\{kind="ws"\}/],
  ['WebSocket, on a network that is gone', false, async (wire) => {
    await new WsReader(wire).subscribe('t');
  }, /^thinkwire_silent_readers_closed_total\{kind="ws"\}/],
  ['SSE, on a network that is gone', false, async (wire) => {
    await new SseReader(wire, eventsPath('t')).item('subscribed');
  }, /^thinkwire_silent_readers_closed_total\{kind="sse"\}/],
  ['Socket.IO websocket', true, async (wire) => {
    const reader = await new SioReader(wire, { options: { reconnection: false } }).connected();
    await reader.subscribe({ task_id: 't' });
  }, /^thinkwire_engine_ping_timeouts_total/],
  ['Socket.IO polling', true, async (wire) => {
    const reader = await new SioReader(wire, { mode: 'polling', options: { reconnection: false } }).connected();
    await reader.subscribe({ task_id: 't' });
  }, /^thinkwire_engine_ping_timeouts_total/],
  ['long poll', true, async (wire) => {
    const reader = new SseReader(wire, eventsPath('t'), { headers: { accept: 'application/json' } });
    await until(async () => (await metrics(wire.house.url))['thinkwire_sessions{kind="poll"}'] === 1, 'the poll');
    assert.equal(reader.status, undefined);
  }, null],
];

for (const [kind, reads, come, counter] of VANISHING) {
  test(`a peer that vanishes without a word is let go and counted: ${kind}`, async (t) => {
    const house = await House.open(t, { redis: false, args: [...BOUNDS, '--recovery', 'off'] });
    const wire = house.own(await FaultyWire.open(house));
    await come(wire);
    wire.die({ reads });
    // The kernel on the way takes some megabytes before anything stands still.
    if (!reads) {
      for (let n = 0; n < 24; n++) await post(house, { task: 't' }, [{ type: 'status', x: 'x'.repeat(900000) }]);
    }
    await until(async () => {
      const values = await metrics(house.url);
      const left = Object.entries(values).filter(([name]) => /^thinkwire_(sessions\{|engine_sessions|pipes\{)/.test(name));
      // The one that asks for the metrics is a connection too.
      return left.every(([, n]) => n === 0) && values.thinkwire_connections <= 2;
    }, async () => `everything to be let go: ${JSON.stringify(await metrics(house.url))}`, 20000 * PATIENCE);
    if (counter) {
      const values = await metrics(house.url);
      assert.equal(values[Object.keys(values).find((name) => counter.test(name))], 1);
    }
  });
}
