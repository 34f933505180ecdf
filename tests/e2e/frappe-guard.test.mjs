// frappe-guard.test.mjs - who may watch a task: progress sent to a user's room, and --task-guard.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { BROWSER, FrappeHouse, SITE, sid, user } from './lib/frappe-house.mjs';
import { BIN, Child } from './lib/house.mjs';
import { Proxy } from './lib/proxy.mjs';
import { post } from './lib/publish.mjs';
import { eventsPath, SseReader, WsReader } from './lib/readers.mjs';

const OWN = `user:${user('ann')}`;
const ROOM = 'task_progress:mine';
const delta = (text) => ({ task_id: 'mine', type: 'text', text, partial: true });
const END = { task_id: 'mine', type: 'completion', text: 'end', partial: false };
const headersOf = FrappeHouse.headersOf;

const own = (frappe, message) => frappe.publish(OWN, message, 'ai_progress');
const toRoom = (frappe, message) => frappe.publish(ROOM, message, 'ai_progress');
const texts = (reader) => reader.events.map(({ text }) => text);

// Every native way of watching `mine`, as somebody (null: without a session).
const WAYS = {
  async ws(frappe, who) {
    const reader = new WsReader(frappe.house, { site: SITE }, { headers: headersOf(who) });
    await reader.opened();
    reader.send({ op: 'subscribe', task_id: 'mine' });
    return reader;
  },
  async sse(frappe, who) {
    return new SseReader(frappe.house, eventsPath('mine', { site: SITE }), { headers: headersOf(who) });
  },
  async 'sse of several'(frappe, who) {
    return new SseReader(frappe.house, `/v1/events?task_id=mine&task_id=other&site=${SITE}`, { headers: headersOf(who) });
  },
  async 'Socket.IO, object'(frappe, who) {
    const seat = await frappe.connect({ who });
    seat.ask('task_subscribe', { task_id: 'mine' }).then((data) => seat.take({ name: data.ok ? 'subscribed' : 'error', data }), () => {});
    return seat;
  },
};

async function get(frappe, path_, who, init = {}) {
  const answer = await fetch(`${frappe.house.url}${path_}${path_.includes('?') ? '&' : '?'}site=${SITE}`,
    { ...init, headers: { ...headersOf(who), ...init.headers } });
  return { status: answer.status, body: await answer.json() };
}

const poll = (frappe, who) => get(frappe, '/v1/tasks/mine/events?wait_ms=50', who, { headers: { accept: 'application/json' } });

// ---- progress that was sent to a user's own room ----

for (const version of [13, 15, 17]) {
  test(`v${version}: what a user's room was told of a task is readable by its id, by that user and nobody else`, async (t) => {
    const frappe = await FrappeHouse.open(t, { version, args: ['--wait-unknown-ms', '600'] });
    await own(frappe, delta('one'));
    const readers = [];
    for (const who of ['ann', 'bob', null]) {
      for (const way of ['ws', 'sse', 'sse of several']) readers.push({ who, way, reader: await WAYS[way](frappe, who) });
    }
    for (const { reader } of readers) await reader.item('subscribed');
    assert.deepEqual((await poll(frappe, 'ann')).body.events.map(({ text }) => text), ['one']);
    for (const who of ['bob', null]) assert.deepEqual((await poll(frappe, who)).body.events, []);
    await own(frappe, delta('two'));
    await own(frappe, END);
    for (const { who, way, reader } of readers) {
      if (who === 'ann') await reader.end();
      else assert.equal((await reader.item('error')).data.code, 'UNKNOWN_TASK', way);
      assert.deepEqual(texts(reader), who === 'ann' ? ['one', 'two', 'end'] : [], `${who} over ${way}`);
    }
  });
}

test('the same id in the rooms of two users are two tasks', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const readers = {};
  for (const who of ['ann', 'bob']) readers[who] = await WAYS.ws(frappe, who);
  for (const reader of Object.values(readers)) await reader.item('subscribed');
  for (const who of ['ann', 'bob']) await frappe.publish(`user:${user(who)}`, { ...END, text: who }, 'ai_progress');
  for (const [who, reader] of Object.entries(readers)) {
    await reader.end();
    assert.deepEqual(texts(reader), [who]);
  }
});

// ---- --task-guard own ----

const guardOwn = (t, ...args) => FrappeHouse.open(t, { args: ['--task-guard', 'own', '--wait-unknown-ms', '800', ...args] });

test('own: a task of somebody else is one that nobody knows, on every transport', async (t) => {
  const frappe = await guardOwn(t);
  await own(frappe, delta('own'));
  await toRoom(frappe, delta('room'));
  const text = await frappe.connect({ who: 'bob' });
  const answer = await text.subscribe('mine');
  assert.deepEqual([answer.ok, answer.state, answer.id], [true, 'unknown', null]);
  const readers = [];
  for (const way of Object.keys(WAYS)) readers.push(await WAYS[way](frappe, 'bob'));
  for (const reader of readers) assert.equal((await reader.item('subscribed')).data.state, 'unknown');
  assert.deepEqual((await poll(frappe, 'bob')).body, { events: [], id: null, state: 'unknown' });
  assert.equal((await get(frappe, '/v1/tasks/mine', 'bob')).status, 403);
  assert.equal((await get(frappe, '/v1/tasks/mine/stop', 'bob', { method: 'POST' })).status, 403);
  assert.equal((await get(frappe, '/v1/tasks', 'bob')).status, 403);
  assert.equal((await text.ask('task_stop', 'mine')).status, 'unknown_task');
  assert.equal((await readers[0].ask({ op: 'stop', task_id: 'mine' }, 'stop')).status, 'unknown_task');
  await own(frappe, delta('own 2'));
  await toRoom(frappe, delta('room 2'));
  for (const reader of readers) {
    await reader.wait(() => reader.items.find(({ data }) => data?.code === 'UNKNOWN_TASK'), 'the end of the wait');
    assert.deepEqual(texts(reader), []);
  }
  await frappe.flushed(text);
  assert.deepEqual(texts(text), []);
});

test('own: who has no session has no tasks, and is told so', async (t) => {
  const frappe = await guardOwn(t);
  await frappe.publish('user:Guest', delta('own'), 'ai_progress');
  await toRoom(frappe, delta('room'));
  const guest = await frappe.connect({ who: 'stranger' });
  for (const form of ['mine', { task_id: 'mine' }]) {
    const { ok, error } = await guest.subscribe(form);
    assert.deepEqual([ok, error.code], [false, 'DENIED']);
  }
  for (const who of [null, 'stranger']) {
    assert.equal((await (await WAYS.ws(frappe, who)).item('error')).data.code, 'DENIED');
    for (const way of ['sse', 'sse of several']) {
      const reader = await WAYS[way](frappe, who);
      await reader.answered();
      assert.equal(reader.status, 403);
    }
    assert.equal((await poll(frappe, who)).status, 403);
    assert.equal((await get(frappe, '/v1/tasks/mine', who)).status, 403);
  }
});

test('own: a name that no event can carry belongs to nobody', async (t) => {
  const frappe = await guardOwn(t);
  const seat = await frappe.connect();
  const { ok, error } = await seat.subscribe('free text');
  assert.deepEqual([ok, error.code], [false, 'DENIED']);
  await frappe.publish('task_progress:free text', 'heard', 'news');
  await frappe.flushed(seat);
  assert.deepEqual(seat.told('news'), []);
});

test('own: its user reads all of a task, whatever room it was sent to', async (t) => {
  const frappe = await guardOwn(t);
  await own(frappe, delta('own'));
  const text = await frappe.connect();
  assert.equal((await text.subscribe('mine')).ok, true);
  const readers = [];
  for (const way of Object.keys(WAYS)) readers.push(await WAYS[way](frappe, 'ann'));
  for (const reader of readers) await reader.count(1);
  await toRoom(frappe, delta('room'));
  for (const reader of [text, ...readers]) await reader.wait(() => texts(reader).includes('room'), () => `room at ${reader.kind}, which has ${texts(reader)}`);
  assert.equal((await get(frappe, '/v1/tasks/mine', 'ann')).status, 200);
  await own(frappe, END);
  for (const reader of readers) {
    await reader.end();
    assert.deepEqual(texts(reader), ['own', 'room', 'end'], reader.kind);
  }
  await text.wait(() => texts(text).length === 2, 'both rooms, each once');
  assert.deepEqual(texts(text), ['room', 'end']);
  // Who comes now, too; and another user still does not.
  const late = await WAYS.ws(frappe, 'ann');
  await late.wait(() => texts(late).includes('room'), 'what the task\'s room was told');
  assert.equal((await poll(frappe, 'bob')).body.state, 'unknown');
});

test('own: a subscription before the first event is answered, and waits for the task to be its own', async (t) => {
  const frappe = await guardOwn(t, '--wait-unknown-ms', '30000');
  const text = await frappe.connect();
  assert.equal((await text.subscribe('mine')).state, 'unknown');
  const readers = [];
  for (const way of Object.keys(WAYS)) readers.push(await WAYS[way](frappe, 'ann'));
  for (const reader of readers) assert.equal((await reader.item('subscribed')).data.state, 'unknown');
  await toRoom(frappe, delta('before'));
  await frappe.flushed(text);
  for (const reader of [text, ...readers]) assert.deepEqual(texts(reader), []);
  await own(frappe, delta('own'));
  // In one go with it, and later.
  await toRoom(frappe, delta('after'));
  await toRoom(frappe, END);
  for (const reader of [text, ...readers]) {
    await reader.end();
    await reader.wait(() => texts(reader).includes('own'), () => `own at ${reader.kind}, which has ${texts(reader)}`);
    assert.deepEqual(texts(reader).filter((one) => one !== 'before'), ['own', 'after', 'end'], reader.kind);
  }
  // What was told before is the reader's as well, where it asked for what was.
  assert.deepEqual(texts(text), ['own', 'after', 'end']);
});

test('own: unsubscribing ends both rooms of a task', async (t) => {
  const frappe = await guardOwn(t);
  const seat = await frappe.connect();
  await own(frappe, delta('own'));
  for (const form of ['mine', { task_id: 'mine' }]) {
    assert.equal((await seat.subscribe(form)).ok, true);
    await toRoom(frappe, delta('room'));
    await seat.wait(() => texts(seat).at(-1) === 'room', 'the room');
    await seat.ask('task_unsubscribe', 'mine');
    const before = seat.events.length;
    await toRoom(frappe, delta('unheard'));
    await frappe.flushed(seat);
    assert.equal(seat.events.length, before);
  }
});

test('own: after a cut the tasks are still its own, without a question', async (t) => {
  const frappe = await guardOwn(t);
  const proxy = await Proxy.open(frappe.house);
  const seat = await frappe.connect({ agent: BROWSER, port: proxy.port });
  await own(frappe, delta('own'));
  await seat.subscribe('mine');
  await toRoom(frappe, delta('room'));
  await seat.count(2);
  proxy.cut();
  await seat.wait(() => !seat.socket.connected, 'the cut');
  await toRoom(frappe, delta('missed'));
  proxy.mend();
  await seat.connected();
  assert.equal(seat.socket.recovered, true);
  await toRoom(frappe, delta('live'));
  await seat.count(4);
  assert.deepEqual(texts(seat), ['own', 'room', 'missed', 'live']);
  assert.deepEqual(frappe.web.requests.filter(({ method }) => method !== 'get_user_info'), []);
});

// ---- --task-guard backend, where no Socket.IO is spoken ----

test('backend: /ws, streams, polls and requests are asked about as well', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--task-guard', 'backend', '--task-guard-method', 'app.api.may_watch'] });
  frappe.web.allowTask(user('ann'), 'mine');
  frappe.web.allowTask(user('ann'), 'other');
  await toRoom(frappe, delta('room'));
  for (const who of ['bob', null]) {
    const ws = await WAYS.ws(frappe, who);
    assert.equal((await ws.item('error')).data.code, 'DENIED');
    assert.equal((await ws.ask({ op: 'stop', task_id: 'mine' }, 'stop')).status, 'denied');
    for (const way of ['sse', 'sse of several']) {
      const reader = await WAYS[way](frappe, who);
      await reader.answered();
      assert.equal(reader.status, 403, way);
    }
    for (const { status } of [await poll(frappe, who), await get(frappe, '/v1/tasks/mine', who), await get(frappe, '/v1/tasks', who),
      await get(frappe, '/v1/tasks/mine/stop', who, { method: 'POST' })]) assert.equal(status, 403);
  }
  const readers = [];
  for (const way of Object.keys(WAYS)) readers.push(await WAYS[way](frappe, 'ann'));
  for (const reader of readers) await reader.count(1);
  assert.equal((await poll(frappe, 'ann')).body.events.length, 1);
  assert.equal((await get(frappe, '/v1/tasks/mine', 'ann')).status, 200);
  // One that may not be watched shuts a stream of several.
  frappe.web.allowTask(user('bob'), 'mine');
  const several = await WAYS['sse of several'](frappe, 'bob');
  await several.answered();
  assert.equal(several.status, 403);
  frappe.web.fault = { may_watch: 'error' };
  assert.equal((await poll(frappe, 'ann')).status, 403);
  await toRoom(frappe, END);
  for (const reader of readers) await reader.end();
  for (const reader of readers) assert.deepEqual(texts(reader), ['room', 'end'], reader.kind);
});

test('backend: who leaves while the backend thinks disturbs nobody', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--task-guard', 'backend', '--task-guard-method', 'app.api.may_watch'] });
  frappe.web.allowTask(user('ann'), 'mine');
  frappe.web.fault = { may_watch: 'slow' };
  const leaving = [];
  for (const way of Object.keys(WAYS)) leaving.push(await WAYS[way](frappe, 'ann'));
  const gone = assert.rejects(get(frappe, '/v1/tasks/mine', 'ann', { signal: AbortSignal.timeout(100) }));
  await frappe.web.wait('may_watch');
  for (const reader of leaving) reader.close();
  await gone;
  await frappe.settled();
  frappe.web.fault = null;
  const seat = await frappe.connect();
  assert.equal((await seat.subscribe('mine')).ok, true);
});

test('v13: progress_subscribe has its answer also where the backend is asked first', async (t) => {
  const frappe = await FrappeHouse.open(t, { version: 13, args: ['--task-guard', 'backend', '--task-guard-method', 'app.api.may_watch'] });
  frappe.web.allowTask(user('ann'), 'mine');
  const seat = await frappe.connect({ nsp: '/' });
  seat.socket.emit('progress_subscribe', 'mine');
  assert.deepEqual((await seat.item('task_progress')).data, { task_id: 'mine', message: {} });
});

test('a guard that cannot know who somebody is does not start', async (t) => {
  for (const args of [['--task-guard', 'own'], ['--task-guard', 'backend', '--frappe', 'on', '--auth', 'none']]) {
    const child = new Child(path.join(BIN, 'thinkwired'), ['--listen', '127.0.0.1:0', ...args]);
    t.after(() => child.stop());
    assert.notEqual((await child.ended).code, 0);
    assert.match(child.output, /--task-guard has to know who somebody is/);
  }
});

// ---- who may stop ----

const stopsOf = (frappe, who) => ({
  async ws() {
    const reader = new WsReader(frappe.house, { site: SITE }, { headers: headersOf(who) });
    await reader.opened();
    return (await reader.ask({ op: 'stop', task_id: 'native' }, 'stop')).status;
  },
  async 'Socket.IO'() {
    const seat = await frappe.connect({ who });
    return (await seat.ask('task_stop', 'native')).status;
  },
});

for (const [writes, strangers] of [['auto', 'denied'], ['local', 'denied'], ['on', 'no_producer']]) {
  test(`--native-writes ${writes}: a stop over a socket by a guest or a stranger is ${strangers}`, async (t) => {
    const frappe = await FrappeHouse.open(t, { args: ['--native-writes', writes] });
    // Nobody comes without a session over Socket.IO; one that has expired is a guest's.
    frappe.web.logout(sid('bob'));
    for (const [who, status] of [[null, strangers], ['bob', strangers], ['ann', 'no_producer']]) {
      for (const [kind, stop] of Object.entries(stopsOf(frappe, who))) {
        if (who === null && kind !== 'ws') continue;
        await post(frappe.house, { site: SITE, task: 'native' }, [{ type: 'text', text: 'a', partial: true }]);
        assert.equal(await stop(), status, `${who} over ${kind}`);
      }
    }
  });
}
