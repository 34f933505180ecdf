// join.test.mjs - where a native reader begins, and that it never matters to its final text.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { assertIdsRise, fold, script, seqOf } from './lib/fold.mjs';
import { House } from './lib/house.mjs';
import { post, request } from './lib/publish.mjs';
import {
  EventSourceReader, eventsPath, SIO_TRANSPORTS, SioReader, SseReader, WsReader,
} from './lib/readers.mjs';

// Each joins a task with {since, from}; answers [reader, what `subscribed` told].
const NATIVE = {
  SSE: async (house, task, params = {}) => {
    const reader = new SseReader(house, eventsPath(task, params));
    return [reader, (await reader.item('subscribed')).data];
  },
  EventSource: async (house, task, params = {}) => {
    const reader = new EventSourceReader(house, eventsPath(task, params));
    return [reader, (await reader.item('subscribed')).data];
  },
  WebSocket: async (house, task, params = {}) => {
    const reader = new WsReader(house);
    return [reader, await reader.subscribe(task, params)];
  },
  ...Object.fromEntries(Object.keys(SIO_TRANSPORTS).map((mode) => [
    `Socket.IO ${mode}`, async (house, task, params = {}) => {
      const reader = await new SioReader(house, { mode }).connected();
      const { ok, ...state } = await reader.subscribe({ task_id: task, ...params });
      assert.equal(ok, true, JSON.stringify(state));
      return [reader, state];
    },
  ])),
};

function assertState(state, task) {
  assert.equal(state.task_id, task);
  assert.ok(Number.isInteger(state.now) && Math.abs(state.now - Date.now()) < 5000, `now ${state.now}`);
  assert.ok(Number.isInteger(state.replayed) && state.replayed >= 0, `replayed ${state.replayed}`);
  for (const name of ['started_at', 'thinking_since']) {
    assert.ok(state[name] === null || Number.isInteger(state[name]), `${name} ${state[name]}`);
  }
}

for (const [kind, join] of Object.entries(NATIVE)) {
  test(`${kind}: joining before, during and after a run ends with identical text`, async (t) => {
    const house = await House.open(t);
    const { events, told } = script('join', 400);
    const readers = [];
    const add = async () => {
      const [reader, state] = await join(house, 'join');
      assertState(state, 'join');
      readers.push(reader);
    };
    await add();
    for (let at = 0; at < events.length; at += 50) {
      // The join races with what is published at the same moment.
      await Promise.all([post(house, { task: 'join' }, events.slice(at, at + 50)), add()]);
    }
    await add();
    for (const reader of readers) {
      const end = await reader.end();
      const { reasoning, text } = fold(reader.items);
      assert.equal(reasoning, told.reasoning);
      assert.equal(text, told.text);
      assert.equal(end.text, told.text);
      assertIdsRise(reader.items);
    }
  });

  test(`${kind}: \`subscribed\` tells the state and the times of the run`, async (t) => {
    const house = await House.open(t);
    const [early, unknown] = await join(house, 'state');
    assert.equal(unknown.state, 'unknown');
    assert.equal(unknown.id, null);
    assert.equal(unknown.thinking_since, null);
    const before = Date.now();
    const [first] = await post(house, { task: 'state' }, [{ type: 'reasoning', text: 'hm', partial: true }]);
    await early.count(1);
    const [, thinking] = await join(house, 'state');
    assert.equal(thinking.state, 'running');
    assert.equal(thinking.id, first);
    assert.ok(Math.abs(thinking.started_at - before) < 3000, `started_at ${thinking.started_at}`);
    assert.equal(thinking.thinking_since, thinking.started_at);
    await post(house, { task: 'state' }, [{ type: 'text', text: 'a', partial: true }]);
    await early.count(2);
    const [, answering] = await join(house, 'state');
    assert.equal(answering.thinking_since, null, 'answer text has begun');
    const [last] = await post(house, { task: 'state' }, [
      { type: 'completion', text: 'a', reasoning: 'hm', partial: false },
    ]);
    await early.end();
    const [late, over] = await join(house, 'state');
    assert.equal(over.state, 'completed');
    assert.equal(over.id, last);
    await late.end();
  });

  test(`${kind}: a snapshot is one event per kind, and \`since\` its id goes on without a seam`, async (t) => {
    const house = await House.open(t);
    const { events, told } = script('snap', 40);
    const ids = await post(house, { task: 'snap' }, events.slice(0, 30), { lines: 10 });
    const [reader] = await join(house, 'snap');
    await reader.count(2);
    const [reasoning, text] = reader.events;
    assert.equal(reasoning.type, 'reasoning');
    assert.equal(reasoning.merged, 10);
    assert.equal(reasoning.text, told.reasoning);
    assert.equal(text.type, 'text');
    assert.equal(text.merged, 20);
    assert.equal(text.id, ids[29]);
    assert.equal(text.partial, true);
    assert.equal(text.task_id, 'snap');
    const [resumed] = await join(house, 'snap', { since: text.id });
    await post(house, { task: 'snap' }, events.slice(30));
    await Promise.all([reader.end(), resumed.end()]);
    assert.equal(fold(reader.items).text, told.text);
    assert.equal(text.text + fold(resumed.items).text, told.text);
    assertIdsRise(reader.items);
  });

  test(`${kind}: from=start tells every retained event, from=now none of them`, async (t) => {
    const house = await House.open(t);
    const { events } = script('from', 12);
    const ids = await post(house, { task: 'from' }, events.slice(0, 12), { lines: 12 });
    const [start] = await join(house, 'from', { from: 'start' });
    const [now, state] = await join(house, 'from', { from: 'now' });
    assert.equal(state.replayed, 0);
    ids.push(...await post(house, { task: 'from' }, events.slice(12)));
    await Promise.all([start.end(), now.end()]);
    assert.deepEqual(start.events.map((event) => event.id), ids);
    assert.deepEqual(start.events.slice(0, 12).map((event) => event.text), events.slice(0, 12).map((e) => e.text));
    assert.deepEqual(now.events.map((event) => event.id), [ids[12]]);
  });

  test(`${kind}: \`since\` an id tells exactly what came after it`, async (t) => {
    const house = await House.open(t);
    const { events } = script('since', 20);
    const ids = await post(house, { task: 'since' }, events.slice(0, 20), { lines: 20 });
    for (const at of [0, 7, 18]) {
      const [reader] = await join(house, 'since', { since: ids[at] });
      await reader.wait(() => reader.events.at(-1)?.id === ids[19], 'the last event');
      assert.equal(seqOf(reader.events[0].id) > at + 1, true);
      assert.equal(reader.events.map((event) => event.text).join(''),
        events.slice(at + 1, 20).map((event) => event.text).join(''));
    }
    const [level] = await join(house, 'since', { since: ids[19] });
    await post(house, { task: 'since' }, events.slice(20));
    await level.end();
    assert.equal(level.events.length, 1);
  });

  test(`${kind}: \`since\` an id of another epoch is answered with a resync and the whole text`, async (t) => {
    const house = await House.open(t);
    const { events, told } = script('epoch', 10);
    const ids = await post(house, { task: 'epoch' }, events.slice(0, 10), { lines: 10 });
    const [epoch] = ids[0].split('-');
    const [reader] = await join(house, 'epoch', { since: `${BigInt(epoch) - 5n}-3` });
    const { data } = await reader.item('resync');
    assert.equal(data.task_id, 'epoch');
    assert.equal(typeof data.reason, 'string');
    await post(house, { task: 'epoch' }, events.slice(10));
    await reader.end();
    const { reasoning, text } = fold(reader.items);
    assert.deepEqual({ reasoning, text }, told);
  });

  test(`${kind}: a second run of the task is told to a reader of the first as a new epoch`, async (t) => {
    const house = await House.open(t);
    const done = (text) => ({ type: 'completion', text, reasoning: '', partial: false });
    const [reader] = await join(house, 'again');
    const first = await post(house, { task: 'again' }, [{ type: 'text', text: 'one', partial: true }]);
    await reader.count(1);
    await post(house, { task: 'again' }, [done('one')]);
    await reader.end();
    const second = await post(house, { task: 'again' }, [{ type: 'text', text: 'two', partial: true }]);
    assert.notEqual(second[0].split('-')[0], first[0].split('-')[0]);
    const [late, state] = await join(house, 'again');
    assert.equal(state.state, 'running');
    await late.count(1);
    assert.equal(late.events[0].text, 'two', 'nothing of the first run');
    await post(house, { task: 'again' }, [done('two')]);
    await late.end();
    const { json } = await request(house, 'GET', '/v1/tasks/again');
    assert.equal(json.text, 'two');
  });
}
