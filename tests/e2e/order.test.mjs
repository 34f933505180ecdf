// order.test.mjs - 200 events each on 50 tasks at once: in order, none lost, doubled or astray.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { assertIdsRise, fold, script } from './lib/fold.mjs';
import { House, PATIENCE } from './lib/house.mjs';
import { emit, frappeModern, post, python } from './lib/publish.mjs';
import {
  EventSourceReader, eventsPath, SIO_TRANSPORTS, SioReader, WsReader,
} from './lib/readers.mjs';

const EVENTS = 200;
const PER_SITE = 25;
const SITES = ['a.local', 'b.local'];
const LONG = 60000 * PATIENCE;

// 50 tasks: the same 25 ids on two sites, so that a mix-up of sites would show.
function tasks() {
  return SITES.flatMap((site) => Array.from({ length: PER_SITE }, (_, n) => {
    const task = `task-${n}`;
    return { site, task, ...script(`${site}/${task}`, EVENTS, { task_id: task }) };
  }));
}

// Each kind joins every task; one connection per task and kind.
const KINDS = {
  ...Object.fromEntries(Object.keys(SIO_TRANSPORTS).flatMap((mode) => [
    [`Socket.IO ${mode}, string form`, (house, one) => socketIo(house, one, mode, one.task)],
    [`Socket.IO ${mode}, object form`, (house, one) => socketIo(house, one, mode, { task_id: one.task })],
  ])),
  EventSource: async (house, { site, task }) => {
    const reader = new EventSourceReader(house, eventsPath(task, { site }));
    await reader.item('subscribed', { ms: LONG });
    return reader;
  },
  WebSocket: async (house, { site, task }) => {
    const reader = new WsReader(house, { site });
    await reader.subscribe(task);
    return reader;
  },
};

async function socketIo(house, { site }, mode, what) {
  const reader = await new SioReader(house, { mode, nsp: `/${site}` }).connected();
  assert.equal((await reader.subscribe(what)).ok, true);
  return reader;
}

async function readersOf(house, list, kinds = KINDS) {
  const readers = [];
  for (const [kind, join] of Object.entries(kinds)) {
    readers.push(...await Promise.all(list.map(async (one) => {
      const reader = await join(house, one);
      return { kind: `${kind} on ${one.site}/${one.task}`, reader, one };
    })));
  }
  return readers;
}

// `told` names every delta with its task: equality means order, no loss, no double, no stray.
async function assertAllTold(readers) {
  for (const { kind, reader, one } of readers) {
    const end = await reader.end(LONG).catch((error) => assert.fail(`${kind}: ${error.message}`));
    const { reasoning, text } = fold(reader.items);
    assert.equal(reasoning, one.told.reasoning, `reasoning of ${kind}`);
    assert.equal(text, one.told.text, `text of ${kind}`);
    assert.equal(end.text, one.told.text, `the completion's text of ${kind}`);
    assertIdsRise(reader.items);
    assert.ok(reader.items.every(({ name }) => name !== 'resync'), `${kind} was resynchronised`);
  }
}

async function publishToAll(house, list, publish, options) {
  await Promise.all(list.map((one) => publish(house, one, one.events, options)));
}

test('published over HTTP, 200 events on each of 50 tasks reach every kind of client in order', async (t) => {
  const house = await House.open(t);
  const list = tasks();
  const readers = await readersOf(house, list);
  await publishToAll(house, list, post);
  await assertAllTold(readers);
});

test("published in Frappe's form, 200 events on each of 50 tasks reach every kind of client as they were", async (t) => {
  const house = await House.open(t);
  const list = tasks();
  const readers = await readersOf(house, list);
  // All tasks take turns on the one channel.
  for (let n = 0; n <= EVENTS; n++) {
    await Promise.all(list.map((one) => frappeModern(house, one, [one.events[n]])));
  }
  await assertAllTold(readers);
  for (const { kind, reader, one } of readers) {
    assert.equal(reader.events.length, one.events.length, kind);
    if (/string form/.test(kind)) assert.deepEqual(reader.events, one.events, kind);
  }
});

const FEW_KINDS = {
  'Socket.IO websocket, string form': KINDS['Socket.IO websocket, string form'],
  EventSource: KINDS.EventSource,
  WebSocket: KINDS.WebSocket,
};

test('published by 50 `thinkwire emit` at once, 200 events each arrive in order', async (t) => {
  const house = await House.open(t);
  const list = tasks();
  const readers = await readersOf(house, list, FEW_KINDS);
  await publishToAll(house, list, emit);
  await assertAllTold(readers);
});

test('published by the Python helper on 10 tasks at once, 200 events each arrive in order', async (t) => {
  const house = await House.open(t);
  const list = tasks().filter((one, n) => n % 5 === 0);
  const readers = await readersOf(house, list, FEW_KINDS);
  await publishToAll(house, list, python);
  await assertAllTold(readers);
});

test('`thinkwire tail` on 10 tasks shows each text whole, in order, and ends with the run', async (t) => {
  const house = await House.open(t);
  const list = tasks().filter((one, n) => n % 5 === 0);
  const tails = list.map(({ site, task }) => house.tool('tail', task, '--site', site, '--url', house.url));
  await publishToAll(house, list, post, { lines: 10 });
  for (const [n, tail] of tails.entries()) {
    const { code } = await tail.ended;
    assert.equal(code, 0, tail.output);
    const marks = [...tail.stdout.matchAll(/\[([^[\]]+:\d+)\]/g)].map(([, mark]) => mark);
    const wanted = [...list[n].told.text.matchAll(/\[([^[\]]+:\d+)\]/g)].map(([, mark]) => mark);
    assert.deepEqual(marks.filter((mark) => wanted.includes(mark)), wanted, tail.output.slice(-500));
    assert.ok(marks.every((mark) => mark.startsWith(`${list[n].site}/${list[n].task}:`)), 'a stray mark');
  }
});
