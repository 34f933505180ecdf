// sse.test.mjs - server-sent events: resuming, ends, heartbeats, many tasks, long polls.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { fold, script } from './lib/fold.mjs';
import { House } from './lib/house.mjs';
import { post, request } from './lib/publish.mjs';
import { EventSourceReader, eventsPath, SseReader } from './lib/readers.mjs';
import { delay } from './lib/wait.mjs';

const END = { type: 'completion', text: 'ab', reasoning: '', partial: false };
const text = (words) => ({ type: 'text', text: words, partial: true });

test('a stream says at once what it is, and that no proxy may hold it back', async (t) => {
  const house = await House.open(t);
  const reader = new SseReader(house, eventsPath('head'));
  assert.equal(await reader.answered(), 200);
  assert.match(reader.headers['content-type'], /^text\/event-stream/);
  assert.match(reader.headers['cache-control'], /no-(cache|store)/);
  assert.equal(reader.headers['x-accel-buffering'], 'no');
  assert.ok(reader.headers['x-request-id']);
  assert.equal((await reader.item('subscribed')).data.state, 'unknown');
  await reader.wait(() => reader.retry > 0, 'a retry line');
});

test('Last-Event-ID, last_event_id and since resume exactly; the header wins', async (t) => {
  const house = await House.open(t);
  const ids = await post(house, { task: 'resume' }, ['a', 'b', 'c', 'd'].map(text), { lines: 4 });
  const forms = [
    [eventsPath('resume'), { 'last-event-id': ids[1] }],
    [eventsPath('resume', { last_event_id: ids[1] }), {}],
    [eventsPath('resume', { since: ids[1] }), {}],
    [eventsPath('resume', { last_event_id: ids[0] }), { 'last-event-id': ids[1] }],
  ];
  for (const [path, headers] of forms) {
    const reader = new SseReader(house, path, { headers });
    await reader.wait(() => reader.events.at(-1)?.id === ids[3], 'the last event');
    assert.equal(fold(reader.items).text, 'cd', path);
    assert.equal(reader.items.at(-1).id, ids[3], 'the id line');
  }
});

test('the stream ends with the run, and a reconnect at the end is answered 204', async (t) => {
  const house = await House.open(t);
  const reader = new SseReader(house, eventsPath('end'));
  await reader.item('subscribed');
  const ids = await post(house, { task: 'end' }, [text('ab'), END]);
  await reader.streamEnd();
  assert.equal(reader.events.at(-1).type, 'completion');
  assert.equal(reader.items.at(-1).id, ids[1]);
  assert.equal(reader.rest, '', 'the last event is whole');
  for (const headers of [{ 'last-event-id': ids[1] }, {}]) {
    const path = headers['last-event-id'] ? eventsPath('end') : eventsPath('end', { since: ids[1] });
    assert.equal((await request(house, 'GET', path, { headers })).status, 204);
  }
  // Somebody who has not seen the end still gets it.
  const late = new SseReader(house, eventsPath('end', { since: ids[0] }));
  await late.streamEnd();
  assert.deepEqual(late.events.map((event) => event.type), ['completion']);
});

test('a newer run is streamed, not answered 204', async (t) => {
  const house = await House.open(t);
  const ids = await post(house, { task: 'newer' }, [text('ab'), END]);
  await post(house, { task: 'newer' }, [text('new')]);
  const reader = new SseReader(house, eventsPath('newer'), { headers: { 'last-event-id': ids[1] } });
  await reader.wait(() => reader.events.some((event) => event.text === 'new'), 'the newer run');
  assert.equal(reader.status, 200);
});

test('a stock EventSource closes by itself once the run has ended', async (t) => {
  const house = await House.open(t);
  const reader = new EventSourceReader(house, eventsPath('stock'));
  await reader.item('subscribed');
  await post(house, { task: 'stock' }, [text('ab'), END]);
  await reader.end();
  await reader.wait(() => reader.isClosed, '204 to close it');
  assert.equal(reader.events.length, 2, 'nothing twice');
});

test('a stock EventSource goes on where it was when the broker was restarted', async (t) => {
  const house = await House.open(t);
  const { events, told } = script('restart', 40);
  const reader = new EventSourceReader(house, eventsPath('restart'));
  await reader.item('subscribed');
  await post(house, { task: 'restart' }, events.slice(0, 20));
  await reader.count(20);
  await house.broker.close();
  await house.broker.start();
  await house.broker.ready();
  await post(house, { task: 'restart' }, events.slice(20));
  await reader.end();
  const { reasoning, text: told2 } = fold(reader.items);
  assert.deepEqual({ reasoning, text: told2 }, told);
  assert.ok(reader.items.every(({ name }) => name !== 'resync'));
});

test('heartbeats are comments, and nothing else comes while nothing happens', async (t) => {
  const house = await House.open(t, { args: ['--heartbeat-ms', '150'] });
  const reader = new SseReader(house, eventsPath('beat'));
  await reader.item('subscribed');
  const before = reader.comments.length;
  await reader.wait(() => reader.comments.length >= before + 3, 'three heartbeats');
  assert.equal(reader.items.length, 1);
});

test('a task nobody knows is waited for, then ended with UNKNOWN_TASK', async (t) => {
  const house = await House.open(t, { args: ['--wait-unknown-ms', '300'] });
  const reader = new SseReader(house, eventsPath('nobody'));
  assert.equal((await reader.item('subscribed')).data.state, 'unknown');
  const { data } = await reader.item('error');
  assert.equal(data.code, 'UNKNOWN_TASK');
  assert.equal(data.task_id, 'nobody');
  await reader.streamEnd();
  const patient = new SseReader(house, eventsPath('somebody'));
  await patient.item('subscribed');
  await post(house, { task: 'somebody' }, [text('a')]);
  await patient.count(1);
});

test('an erased task tells its readers GONE', async (t) => {
  const house = await House.open(t);
  await post(house, { task: 'erased' }, [text('a')]);
  const reader = new SseReader(house, eventsPath('erased'));
  await reader.count(1);
  assert.equal((await request(house, 'DELETE', '/v1/tasks/erased')).status, 204);
  assert.equal((await reader.item('error')).data.code, 'GONE');
  await reader.streamEnd();
  assert.equal((await request(house, 'GET', '/v1/tasks/erased')).status, 410);
});

test('several tasks share one stream; its id is a cursor over all of them', async (t) => {
  const house = await House.open(t);
  const path = '/v1/events?task_id=m1&task_id=m2&task_id=m3';
  const reader = new SseReader(house, path);
  await reader.wait(() => reader.items.filter(({ name }) => name === 'subscribed').length === 3, 'three joins');
  for (const round of ['a', 'b']) {
    for (const task of ['m1', 'm2', 'm3']) await post(house, { task }, [text(`${task}${round}`)]);
  }
  await reader.count(6);
  const by = (items, task) => items.filter(({ name, data }) => name === 'ai_progress' && data.task_id === task);
  for (const task of ['m1', 'm2', 'm3']) {
    assert.deepEqual(by(reader.items, task).map(({ data }) => data.text), [`${task}a`, `${task}b`]);
    assert.match(by(reader.items, task)[0].data.id, /^\d+-1$/);
  }
  // Resumed at every point: nothing lost, nothing twice.
  const told = reader.items.filter(({ name }) => name === 'ai_progress');
  for (let at = 0; at < told.length; at++) {
    const again = new SseReader(house, path, { headers: { 'last-event-id': told[at].id } });
    await again.wait(() => again.items.filter(({ name }) => name === 'subscribed').length === 3, 'three joins');
    for (const task of ['m1', 'm2', 'm3']) {
      const wanted = fold(by(told.slice(at + 1), task)).text;
      await again.wait(() => fold(by(again.items, task)).text.length >= wanted.length, `${task} after event ${at}`);
      assert.equal(fold(by(again.items, task)).text, wanted, `${task} resumed after event ${at}`);
    }
    again.close();
  }
  for (const task of ['m1', 'm2']) await post(house, { task }, [END]);
  await reader.count(8);
  assert.equal(reader.isEnded, undefined, 'one task still runs');
  await post(house, { task: 'm3' }, [END]);
  await reader.streamEnd();
  const cursor = reader.items.at(-1).id;
  assert.equal((await request(house, 'GET', path, { headers: { 'last-event-id': cursor } })).status, 204);
});

test('one stream of several tasks resumes under a stock EventSource across a broker restart', async (t) => {
  const house = await House.open(t);
  const reader = new EventSourceReader(house, '/v1/events?task_id=r1&task_id=r2');
  await reader.wait(() => reader.items.length === 2, 'two joins');
  await post(house, { task: 'r1' }, [text('a')]);
  await post(house, { task: 'r2' }, [text('b')]);
  await reader.count(2);
  await house.broker.close();
  await house.broker.start();
  await house.broker.ready();
  await post(house, { task: 'r1' }, [{ ...END, text: 'a' }]);
  await post(house, { task: 'r2' }, [{ ...END, text: 'b' }]);
  await reader.count(4);
  await reader.wait(() => reader.isClosed, '204 to close it');
  assert.equal(reader.events.length, 4);
});

const JSON_ONLY = { accept: 'application/json' };

test('a long poll answers what there is, where to go on, and the state', async (t) => {
  const house = await House.open(t);
  const ids = await post(house, { task: 'poll' }, [text('a'), text('b')], { lines: 2 });
  const first = await request(house, 'GET', eventsPath('poll', { from: 'start' }), { headers: JSON_ONLY });
  assert.equal(first.status, 200);
  assert.equal(first.json.events.map((event) => event.text).join(''), 'ab');
  assert.equal(first.json.id, ids[1]);
  assert.equal(first.json.state, 'running');
  // Nothing new: the answer waits for the next event.
  const waiting = request(house, 'GET', eventsPath('poll', { since: first.json.id }), { headers: JSON_ONLY });
  await post(house, { task: 'poll' }, [{ ...END }]);
  const second = (await waiting).json;
  assert.deepEqual(second.events.map((event) => event.type), ['completion']);
  assert.equal(second.state, 'completed');
});

test('polling from the beginning to the end gives the same text as a stream', async (t) => {
  const house = await House.open(t);
  const { events, told } = script('polled', 100);
  const publishing = post(house, { task: 'polled' }, events);
  const items = [];
  let since;
  for (let state = 'unknown'; state !== 'completed';) {
    const { json } = await request(house, 'GET', eventsPath('polled', { since }), { headers: JSON_ONLY });
    items.push(...json.events.map((data) => ({ name: 'ai_progress', data })));
    since = json.id ?? undefined;
    state = json.state;
  }
  await publishing;
  const { reasoning, text: all, end } = fold(items);
  assert.deepEqual({ reasoning, text: all }, told);
  assert.equal(end.text, told.text);
});

test('malformed parameters are answered 422 and the field is named', async (t) => {
  const house = await House.open(t);
  const rows = [
    [eventsPath('t', { since: 'x' }), 'since'],
    [eventsPath('t', { since: '5' }), 'since'],
    [eventsPath('t', { from: 'end' }), 'from'],
    [eventsPath('t', { site: 'a b' }), 'site'],
    [eventsPath('t', { site: 'x'.repeat(129) }), 'site'],
    [eventsPath('a b'), 'task_id'],
    [eventsPath('x'.repeat(129)), 'task_id'],
    [eventsPath('é'), 'task_id'],
    ['/v1/events', 'task_id'],
    ['/v1/events?task_id=ok&task_id=n%20o', 'task_id'],
    ['/v1/tasks?limit=0', 'limit'],
  ];
  for (const [path, field] of rows) {
    const { status, json } = await request(house, 'GET', path);
    assert.equal(status, 422, path);
    assert.equal(json.error.field, field, path);
    assert.match(json.error.code, /^[A-Z_]+$/);
    assert.equal(typeof json.error.message, 'string');
  }
});

test('tasks are listed newest first, with their state, on their own site only', async (t) => {
  const house = await House.open(t);
  await post(house, { site: 'one', task: 'first' }, [text('a')]);
  await delay(5); // times are in milliseconds
  await post(house, { site: 'one', task: 'second' }, [text('ab'), END]);
  await post(house, { site: 'two', task: 'other' }, [text('a')]);
  const { json } = await request(house, 'GET', '/v1/tasks?site=one');
  assert.deepEqual(json.tasks.map(({ task_id: id, state }) => [id, state]),
    [['second', 'completed'], ['first', 'running']]);
  const one = await request(house, 'GET', '/v1/tasks/second?site=one');
  assert.equal(one.json.text, 'ab');
  assert.equal(one.json.state, 'completed');
  assert.equal((await request(house, 'GET', '/v1/tasks/other?site=one')).status, 404);
});
