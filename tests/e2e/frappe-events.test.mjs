// frappe-events.test.mjs - every event that Frappe's pages and apps send, and who may.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import io2 from 'socket.io-client-2';
import { FrappeHouse, SITE, sid, token, user } from './lib/frappe-house.mjs';
import { metric } from './lib/observe.mjs';
import { Waiters } from './lib/wait.mjs';

const VERSIONS = [13, 14, 15, 16, 17];
const nspOf = (version) => (version < 15 ? '/' : `/${SITE}`);

// Publishes to each room its own name, and answers which of them the seat has heard.
async function heardOf(frappe, seat, rooms) {
  const from = seat.told('room').length;
  for (const room of rooms) await frappe.publish(room, room, 'room');
  await frappe.flushed(seat);
  return seat.told('room').slice(from);
}

// ---- tasks ----

for (const version of VERSIONS) {
  test(`v${version}: task_subscribe, task_unsubscribe and progress_subscribe, for guests too`, async (t) => {
    const frappe = await FrappeHouse.open(t, { version });
    const seat = await frappe.connect({ nsp: nspOf(version) });
    frappe.web.logout(sid('wes'));
    const guest = await frappe.connect({ nsp: nspOf(version), who: 'wes' });
    const asked = frappe.web.requests.length;
    for (const one of [seat, guest]) {
      one.socket.emit('task_subscribe', 'a');
      one.socket.emit('task_subscribe', 'a');
      one.socket.emit('progress_subscribe', 'b');
      await one.heard();
    }
    for (const task of ['a', 'b', 'c']) await frappe.publish(`task_progress:${task}`, task, 'ai_progress');
    await frappe.flushed(seat);
    await guest.count(2);
    assert.deepEqual([seat.events, guest.events], [['a', 'b'], ['a', 'b']]);
    assert.equal(frappe.web.requests.length, asked, 'a task id is the only secret');
    seat.socket.emit('task_unsubscribe', 'a');
    await seat.heard();
    assert.deepEqual(await heardOf(frappe, seat, ['task_progress:a', 'task_progress:b']), ['task_progress:b']);
    const answer = version === 13 ? [{ task_id: 'b', message: {} }] : [];
    assert.deepEqual(seat.told('task_progress'), answer);
    assert.deepEqual(guest.told('task_progress'), answer);
  });
}

test('an argument becomes a room as JavaScript joins it to a text', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const seat = await frappe.connect();
  const rooms = { 42: [42], undefined: [], null: [null], true: [true], 'a b/c:d': ['a b/c:d'], 'é\n': ['é\n'], '': [''] };
  for (const args of Object.values(rooms)) seat.socket.emit('task_subscribe', ...args);
  await seat.heard();
  const names = Object.keys(rooms).map((name) => `task_progress:${name}`);
  assert.deepEqual(await heardOf(frappe, seat, [...names, 'task_progress:43']), names);
});

test('an event of a task carries the task in its name, too', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const seat = await frappe.connect();
  seat.socket.emit('task_subscribe', 'export-1');
  await seat.heard();
  await frappe.publish('task_progress:export-1', { percent: 50 }, 'progress');
  await frappe.publish('task_progress:export-1', { file_url: '/x' }, 'task_complete:export-1');
  assert.deepEqual((await seat.item('task_complete:export-1')).data, { file_url: '/x' });
});

test('--task-guard backend asks before a task is watched', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--task-guard', 'backend', '--task-guard-method', 'app.api.may_watch'] });
  frappe.web.allowTask(user('ann'), 'mine');
  const [ann, bob] = await Promise.all(['ann', 'bob'].map((who) => frappe.connect({ who })));
  for (const seat of [ann, bob]) seat.socket.emit('task_subscribe', 'mine');
  await frappe.web.wait('may_watch', 2);
  await frappe.settled();
  assert.deepEqual(await heardOf(frappe, ann, ['task_progress:mine']), ['task_progress:mine']);
  assert.deepEqual(await heardOf(frappe, bob, ['task_progress:mine']), []);
  const denied = await bob.subscribe({ task_id: 'mine' });
  assert.deepEqual([denied.ok, denied.error.code], [false, 'DENIED']);
  assert.equal((await ann.subscribe({ task_id: 'mine' })).ok, true);
  frappe.web.fault = 'error';
  assert.equal((await ann.subscribe('mine')).ok, false);
});

test('a guard without a method to ask keeps shut', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--task-guard', 'backend'] });
  const seat = await frappe.connect();
  assert.equal((await seat.subscribe('mine')).ok, false);
});

// ---- doctypes and documents ----

for (const version of VERSIONS) {
  test(`v${version}: doctype_subscribe and doc_subscribe ask; a refusal is silent`, async (t) => {
    const frappe = await FrappeHouse.open(t, { version });
    frappe.web.allow(user('ann'), 'ToDo');
    frappe.web.allow(user('ann'), 'Note', 'N/1 ü');
    const seat = await frappe.connect({ nsp: nspOf(version) });
    const before = seat.items.length;
    const acks = [];
    for (const [event, ...args] of [
      ['doctype_subscribe', 'ToDo'], ['doctype_subscribe', 'Note'],
      ['doc_subscribe', 'Note', 'N/1 ü'], ['doc_subscribe', 'Note', 'N-2'], ['doc_subscribe', 'ToDo', 'T-1'],
    ]) seat.socket.emit(event, ...args, () => acks.push(event));
    const old = version < 16;
    await frappe.web.wait(old ? 'can_subscribe_doc' : 'has_permission', old ? 3 : 5);
    await frappe.settled();
    assert.deepEqual(seat.items.slice(before), [], 'nothing is told back');
    assert.deepEqual(acks, [], 'no acknowledgement, as ever');
    const rooms = ['doctype:ToDo', 'doctype:Note', 'doc:Note/N/1 ü', 'doc:Note/N-2', 'doc:ToDo/T-1', 'doc:ToDo/T-2'];
    assert.deepEqual(await heardOf(frappe, seat, rooms), ['doctype:ToDo', 'doc:Note/N/1 ü', 'doc:ToDo/T-1']);
    const asked = frappe.web.requests.find(({ query }) => Object.values(query).includes('N/1 ü'));
    assert.equal(asked.method, old ? 'can_subscribe_doc' : 'has_permission');
    assert.deepEqual(asked.query, old
      ? { sid: sid('ann'), doctype: 'Note', docname: 'N/1 ü' } : { doctype: 'Note', name: 'N/1 ü' });
    assert.equal(asked.headers['x-frappe-site-name'], SITE);

    for (const [event, ...args] of [['doctype_unsubscribe', 'ToDo'], ['doc_unsubscribe', 'ToDo', 'T-1'], ['doc_unsubscribe', 'Note', 'never']]) {
      seat.socket.emit(event, ...args);
    }
    await seat.heard();
    assert.deepEqual(await heardOf(frappe, seat, rooms), ['doc:Note/N/1 ü']);
  });

  test(`v${version}: a document without a name`, async (t) => {
    const frappe = await FrappeHouse.open(t, { version });
    frappe.web.allow(user('ann'), 'ToDo');
    const seat = await frappe.connect({ nsp: nspOf(version) });
    for (const event of ['doc_subscribe', 'doc_open']) seat.socket.emit(event, 'ToDo');
    await seat.heard();
    if (version >= 16) assert.deepEqual((await frappe.web.wait('has_permission'))[0].query, { doctype: 'ToDo', name: '' });
    else assert.equal(frappe.web.requests.filter(({ method }) => method !== 'get_user_info').length, 0);
    await frappe.settled();
    assert.deepEqual(await heardOf(frappe, seat, ['doc:ToDo/undefined', 'doc:ToDo/']), version >= 16 ? ['doc:ToDo/undefined'] : []);
  });
}

test('a permission is asked with the credential the client came with', async (t) => {
  const frappe = await FrappeHouse.open(t, { version: 17 });
  frappe.web.allow(user('bob'), 'ToDo');
  const seat = await frappe.connect({ who: 'bob', cookie: null, headers: { Authorization: token('bob') } });
  seat.socket.emit('doctype_subscribe', 'ToDo');
  const [asked] = await frappe.web.wait('has_permission');
  assert.equal(asked.headers.authorization, token('bob'));
  assert.equal(asked.headers['x-frappe-socket-secret'], 'shared');
  await frappe.settled();
  assert.deepEqual(await heardOf(frappe, seat, ['doctype:ToDo']), ['doctype:ToDo']);
});

test('a backend in trouble says no, and is asked anew the next time', async (t) => {
  for (const version of [15, 17]) {
    const frappe = await FrappeHouse.open(t, { version, args: ['--auth-timeout-ms', '1000'] });
    frappe.web.allow(user('ann'), 'ToDo');
    const seat = await frappe.connect();
    let asked = 0;
    for (const fault of ['forbidden', 'unauthorized', 'error', 'moved', 'cut', 'hang', ...(version > 15 ? ['garbage', 'empty', 'stranger'] : [])]) {
      frappe.web.fault = fault;
      seat.socket.emit('doctype_subscribe', 'ToDo');
      seat.socket.emit('doc_subscribe', 'ToDo', 'T-1');
      await seat.heard();
      await frappe.settled();
      assert.ok(frappe.web.requests.length > asked, fault);
      asked = frappe.web.requests.length;
      assert.deepEqual(await heardOf(frappe, seat, ['doctype:ToDo', 'doc:ToDo/T-1']), [], fault);
    }
    frappe.web.fault = null;
    seat.socket.emit('doctype_subscribe', 'ToDo');
    await seat.heard();
    await frappe.settled();
    assert.deepEqual(await heardOf(frappe, seat, ['doctype:ToDo']), ['doctype:ToDo']);
    assert.deepEqual(seat.disconnects, []);
  }
});

test('list_update, doc_update and docinfo_update arrive in their rooms', async (t) => {
  const frappe = await FrappeHouse.open(t);
  frappe.web.allow(user('ann'), 'ToDo');
  const seat = await frappe.connect();
  seat.socket.emit('doctype_subscribe', 'ToDo');
  seat.socket.emit('doc_subscribe', 'ToDo', 'T-1');
  await frappe.web.wait('can_subscribe_doc');
  await frappe.settled();
  const list = { doctype: 'ToDo', name: 'T-1', user: user('bob') };
  const doc = { doctype: 'ToDo', modified: '2025-02-05 10:00:00.123456', name: 'T-1' };
  await frappe.publish('doctype:ToDo', list, 'list_update');
  await frappe.publish('doc:ToDo/T-1', doc, 'doc_update');
  await frappe.publish('doc:ToDo/T-1', { key: 'comments' }, 'docinfo_update');
  await seat.item('docinfo_update');
  assert.deepEqual(seat.items.map(({ name, data }) => [name, data]),
    [['list_update', list], ['doc_update', doc], ['docinfo_update', { key: 'comments' }]]);
});

// ---- who has it open ----

const viewers = (...names) => ({ doctype: 'Note', docname: 'N-1', users: names.map(user) });

async function open(frappe, seat, event = 'doc_open') {
  seat.socket.emit(event, 'Note', 'N-1');
  await seat.heard();
  await frappe.settled();
}

function last(seat, event, users) {
  return seat.wait(() => JSON.stringify(seat.told(event).at(-1)) === JSON.stringify(viewers(...users)),
    () => `${event} with ${users} at ${seat.who}, which has ${JSON.stringify(seat.told(event))}`);
}

for (const version of VERSIONS) {
  test(`v${version}: doc_viewers tells who has a document open, each once`, async (t) => {
    const frappe = await FrappeHouse.open(t, { version });
    for (const who of ['ann', 'bob']) frappe.web.allow(user(who), 'Note', 'N-1');
    const nsp = nspOf(version);
    const library = version === 13 ? { library: io2 } : {};
    const ann = await frappe.connect({ nsp, ...library });
    await open(frappe, ann);
    await frappe.flushed(ann);
    const isOld = version < 15;
    // Alone: v15 and later say nothing.
    assert.deepEqual(ann.told('doc_viewers'), isOld ? [viewers('ann')] : []);
    const second = await frappe.connect({ nsp, ...library });
    await open(frappe, second);
    const bob = await frappe.connect({ nsp, who: 'bob' });
    await open(frappe, bob);
    for (const seat of [ann, second, bob]) await last(seat, 'doc_viewers', ['ann', 'bob']);
    // Who may not open it neither counts nor hears.
    const wes = await frappe.connect({ nsp, who: 'wes' });
    await open(frappe, wes);
    await frappe.flushed(ann, wes);
    assert.deepEqual(ann.told('doc_viewers').at(-1), viewers('ann', 'bob'));
    assert.deepEqual(wes.told('doc_viewers'), []);
    bob.socket.emit('doc_close', 'Note', 'N-1');
    await last(ann, 'doc_viewers', ['ann']);
    await bob.heard();
    const heard = bob.told('doc_viewers').length;
    await open(frappe, bob);
    await last(ann, 'doc_viewers', ['ann', 'bob']);
    assert.equal(bob.told('doc_viewers').length, heard + 1, 'what came while it was closed was not for it');
    // A lost connection is told as well, for every document that was open.
    bob.socket.disconnect();
    await last(ann, 'doc_viewers', ['ann']);
    assert.deepEqual(ann.told('doc_typers'), isOld ? ann.told('doc_typers').map(() => viewers()) : []);
  });
}

test('a socket that goes leaves all its documents, also after it has closed one', async (t) => {
  const frappe = await FrappeHouse.open(t);
  for (const who of ['ann', 'bob']) frappe.web.allow(user(who), 'Note');
  const [ann, bob] = await Promise.all(['ann', 'bob'].map((who) => frappe.connect({ who })));
  for (const seat of [ann, bob]) {
    for (const name of ['N-1', 'N-2', 'N-3']) seat.socket.emit('doc_open', 'Note', name);
    await seat.heard();
    await frappe.settled();
  }
  const left = (name) => ann.told('doc_viewers').findLast(({ docname }) => docname === name)?.users.length === 1;
  await ann.wait(() => ann.told('doc_viewers').length === 3, 'bob in three documents');
  bob.socket.emit('doc_close', 'Note', 'N-1');
  await ann.wait(() => left('N-1'), 'one closed');
  bob.socket.disconnect();
  await ann.wait(() => left('N-2') && left('N-3'), 'the other two');
});

test('v13, v14: doc_typers tells those who have it open who types; later versions do not', async (t) => {
  for (const version of VERSIONS) {
    const frappe = await FrappeHouse.open(t, { version });
    for (const who of ['ann', 'bob']) frappe.web.allow(user(who), 'Note', 'N-1');
    const nsp = nspOf(version);
    const ann = await frappe.connect({ nsp });
    const bob = await frappe.connect({ nsp, who: 'bob' });
    for (const seat of [ann, bob]) await open(frappe, seat);
    bob.socket.emit('doc_typing', 'Note', 'N-1');
    bob.socket.emit('doc_typing', 'Note', 'N-1');
    await bob.heard();
    if (version >= 15) {
      await frappe.flushed(ann, bob);
      assert.deepEqual(ann.told('doc_typers'), []);
      continue;
    }
    for (const seat of [ann, bob]) await last(seat, 'doc_typers', ['bob']);
    bob.socket.emit('doc_typing_stopped', 'Note', 'N-1');
    for (const seat of [ann, bob]) await last(seat, 'doc_typers', []);
    bob.socket.emit('doc_typing', 'Note', 'N-1');
    await last(ann, 'doc_typers', ['bob']);
    bob.socket.disconnect();
    await last(ann, 'doc_typers', []);
  }
});

// ---- ping, open_in_editor ----

test('ping is answered with pong without arguments', async (t) => {
  for (const version of [14, 15, 16, 17]) {
    const frappe = await FrappeHouse.open(t, { version });
    const seat = await frappe.connect({ nsp: nspOf(version) });
    seat.socket.emit('ping');
    assert.deepEqual((await seat.item('pong')).args, []);
  }
});

// What has been published for the editor. The secret of v17 is read over the connection that
// publishes: who gets in afterwards shows that it has.
async function editor(frappe, t) {
  const channel = frappe.house.redis.client.duplicate();
  t.after(() => channel.disconnect());
  const heard = [];
  const waiting = new Waiters();
  channel.on('message', (_, text) => {
    heard.push(text);
    waiting.changed();
  });
  await channel.subscribe('open_in_editor');
  return async (seat) => {
    await seat.heard();
    await frappe.connect({ who: 'bob' });
    await frappe.house.redis.client.publish('open_in_editor', 'end');
    await waiting.wait(() => heard.includes('end'), 'the end');
    return heard.splice(0).filter((text) => text !== 'end').map((text) => JSON.parse(text));
  };
}

test('open_in_editor is passed on in developer mode only, and for system users only', async (t) => {
  const place = { file: 'apps/x/y.js', line: 3, column: 7 };
  const open = await FrappeHouse.open(t, { version: 17, args: ['--developer-mode'] });
  const published = await editor(open, t);
  const [ann, wes] = await Promise.all(['ann', 'wes'].map((who) => open.connect({ who })));
  ann.socket.emit('open_in_editor', place);
  assert.deepEqual(await published(ann), [place]);
  for (const args of [[], ['text'], [null], [[1]], [7]]) {
    ann.socket.emit('open_in_editor', ...args);
    wes.socket.emit('open_in_editor', ...args);
  }
  wes.socket.emit('open_in_editor', place);
  await wes.heard();
  assert.deepEqual(await published(ann), []);

  const closed = await FrappeHouse.open(t, { version: 17 });
  const seat = await closed.connect();
  const unheard = await editor(closed, t);
  seat.socket.emit('open_in_editor', place);
  assert.deepEqual(await unheard(seat), []);
});

// ---- nothing a client sends harms anybody ----

test('odd events and arguments leave everybody connected', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--developer-mode'] });
  const [bad, good] = await Promise.all(['ann', 'bob'].map((who) => frappe.connect({ who })));
  const events = ['task_subscribe', 'task_unsubscribe', 'progress_subscribe', 'doctype_subscribe', 'doctype_unsubscribe',
    'doc_subscribe', 'doc_unsubscribe', 'doc_open', 'doc_close', 'doc_typing', 'doc_typing_stopped', 'open_in_editor',
    'ping', 'task_stop', 'custom', 'frappe.chat.room:subscribe', '', '__proto__', 'x'.repeat(300)];
  const odd = [undefined, null, 0, -1e300, true, '', '\u0000', 'x'.repeat(5000), '/', '%2F', [], [[[]]], {}, { task_id: {} }, { x: 1 },
    { __proto__: 1, constructor: 2 }, Buffer.from([1, 2, 3])];
  for (const event of events) {
    for (const a of odd) {
      bad.socket.emit(event, a);
      bad.socket.emit(event, a, a, a);
    }
    bad.socket.emit(event);
  }
  await bad.heard();
  await frappe.settled();
  await frappe.flushed(good, bad);
  assert.deepEqual([bad.disconnects, good.disconnects], [[], []]);
});

test('a client that names thousands of rooms takes nothing from the others', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--max-tasks', '500', '--max-subscriptions', '50'] });
  const [bad, good] = await Promise.all(['ann', 'bob'].map((who) => frappe.connect({ who })));
  for (let n = 0; n < 2000; n++) {
    bad.socket.emit('task_subscribe', `t${n}`);
    bad.socket.emit('task_subscribe', `free text ${n}`);
    bad.socket.emit('task_unsubscribe', `other${n}`);
    for (const event of ['doc_unsubscribe', 'doc_close', 'doctype_unsubscribe', 'doc_typing_stopped']) bad.socket.emit(event, 'T', `n${n}`);
  }
  const last = await bad.ask('task_subscribe', 'one more');
  assert.equal(last.error.code, 'TOO_MANY');
  assert.equal((await good.subscribe('mine')).ok, true);
  const third = await frappe.connect({ who: 'wes' });
  assert.deepEqual(await heardOf(frappe, third, ['website']), ['website']);
  assert.ok(await metric(frappe.house.url, /topics$/) < 100);
});
