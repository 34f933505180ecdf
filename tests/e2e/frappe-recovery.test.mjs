// frappe-recovery.test.mjs - connection state recovery of stock clients, in the rooms of a bench.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { BROWSER, FrappeHouse, SITE, sid, user } from './lib/frappe-house.mjs';
import { metric } from './lib/observe.mjs';
import { Proxy } from './lib/proxy.mjs';
import { until } from './lib/wait.mjs';

const ROOM = `user:${user('ann')}`;

// A bench, and a browser of ann's behind a proxy.
async function open(t, { args = [], version = 15, ...options } = {}) {
  const frappe = await FrappeHouse.open(t, { args, version });
  const proxy = await Proxy.open(frappe.house);
  const connect = (more = {}) => frappe.connect({ agent: BROWSER, port: proxy.port, ...options, ...more });
  return { frappe, proxy, connect, seat: await connect() };
}

const disconnects = (frappe) => frappe.house.broker.child.output.match(/socket disconnected/g)?.length ?? 0;

// Cuts the connection, lets `meanwhile` happen, and answers once the client is back.
async function cutAnd(frappe, proxy, seat, meanwhile = async () => {}) {
  const before = disconnects(frappe);
  proxy.cut();
  await seat.wait(() => !seat.socket.connected, 'the cut');
  // Between two polls nobody notices.
  if (seat.mode !== 'polling') await until(() => disconnects(frappe) > before, 'the broker to notice');
  await meanwhile();
  proxy.mend();
  await seat.connected();
}

const told = (seat) => seat.told('news');

test('what was missed is replayed in order, the id stays, and live goes on', async (t) => {
  const { frappe, proxy, seat } = await open(t);
  const { id } = seat.socket;
  seat.socket.emit('task_subscribe', 't');
  await seat.heard();
  await frappe.publish(ROOM, 1);
  await seat.item('news');
  await cutAnd(frappe, proxy, seat, async () => {
    for (const [room, n] of [['task_progress:t', 2], ['all', 3], ['website', 4], [ROOM, 5]]) await frappe.publish(room, n);
    await frappe.publishRaw('{"event":"news","message":6}');
  });
  assert.equal(seat.socket.recovered, true);
  assert.equal(seat.socket.id, id);
  await frappe.publish('task_progress:t', 7);
  await frappe.flushed(seat);
  assert.deepEqual(told(seat), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(seat.disconnects, ['transport close']);
  assert.ok(await metric(frappe.house.url, /recoveries_total\{outcome="recovered"\}/) >= 1);
});

test('what was sent but did not arrive is sent again, be it one event or many', async (t) => {
  const { frappe, proxy, seat } = await open(t);
  seat.socket.emit('task_subscribe', 't');
  await seat.heard();
  const expected = [];
  let n = 0;
  const say = async (room) => {
    expected.push(++n);
    await frappe.publish(room, n);
  };
  const witness = await frappe.connect({ who: 'bob' });
  for (const rooms of [[ROOM], ['task_progress:t'], [ROOM, 'task_progress:t', 'all'], [ROOM, ROOM, ROOM, ROOM], []]) {
    await say(ROOM);
    await seat.wait(() => told(seat).at(-1) === n, 'the last before the cut');
    proxy.deafen();
    for (const room of rooms) await say(room);
    await frappe.flushed(witness);
    await cutAnd(frappe, proxy, seat);
    assert.equal(seat.socket.recovered, true);
    await frappe.flushed(seat);
    assert.deepEqual(told(seat), expected);
  }
});

test('an event to several rooms of a client is replayed once', async (t) => {
  const { frappe, proxy, seat } = await open(t);
  const witness = await frappe.connect({ who: 'bob' });
  const list = (message) => frappe.publishRaw(JSON.stringify({ event: 'news', message, namespace: SITE, room: ['all', ROOM, 'website'] }));
  await list(1);
  await seat.item('news');
  proxy.deafen();
  await list(2);
  await frappe.flushed(witness);
  await cutAnd(frappe, proxy, seat, () => list(3));
  assert.equal(seat.socket.recovered, true);
  await frappe.flushed(seat);
  assert.deepEqual(told(seat), [1, 2, 3]);
});

test('it works before the first event, also for events that got lost', async (t) => {
  for (const isDeaf of [false, true]) {
    const { frappe, proxy, seat } = await open(t);
    const witness = await frappe.connect({ who: 'bob' });
    if (isDeaf) {
      proxy.deafen();
      await frappe.publish(ROOM, 'lost');
      await frappe.flushed(witness);
    }
    await cutAnd(frappe, proxy, seat, () => frappe.publish(ROOM, 'missed'));
    assert.equal(seat.socket.recovered, true);
    await frappe.flushed(seat);
    assert.deepEqual(told(seat), isDeaf ? ['lost', 'missed'] : ['missed']);
  }
});

test('an idle client recovers although its last offset is old and the window has moved on', async (t) => {
  const { frappe, proxy, seat } = await open(t, { args: ['--retain-events', '10'] });
  await frappe.publish(ROOM, 'old');
  await seat.item('news');
  const others = await frappe.connect({ who: 'bob' });
  others.socket.emit('task_subscribe', 'busy');
  await others.heard();
  for (let n = 0; n < 200; n++) await frappe.publish('task_progress:busy', n);
  await frappe.flushed(others);
  for (let round = 0; round < 3; round++) {
    await cutAnd(frappe, proxy, seat);
    assert.equal(seat.socket.recovered, true, `round ${round}`);
  }
  await frappe.flushed(seat);
  assert.deepEqual(told(seat), ['old']);
});

test('pong and acknowledgements between events do not lose the place', async (t) => {
  const { frappe, proxy, seat } = await open(t);
  await frappe.publish(ROOM, 1);
  await seat.item('news');
  seat.socket.emit('ping');
  await seat.item('pong');
  await cutAnd(frappe, proxy, seat, () => frappe.publish(ROOM, 2));
  assert.equal(seat.socket.recovered, true);
  await frappe.publish(ROOM, 'a message that is a text');
  await frappe.flushed(seat);
  await cutAnd(frappe, proxy, seat, () => frappe.publish(ROOM, 3));
  assert.equal(seat.socket.recovered, true);
  await frappe.flushed(seat);
  assert.deepEqual(told(seat), [1, 2, 'a message that is a text', 3]);
});

test('a native subscription loses and doubles nothing beside the rooms', async (t) => {
  const { frappe, proxy, seat } = await open(t);
  const say = (n) => frappe.publish('task_progress:t', { task_id: 't', type: 'text', partial: true, text: `${n},` }, 'ai_progress');
  for (let n = 0; n < 5; n++) await say(n);
  await frappe.publish(ROOM, 'before');
  await seat.item('news');
  assert.equal((await seat.subscribe({ task_id: 't', from: 'start' })).ok, true);
  await cutAnd(frappe, proxy, seat, async () => {
    for (let n = 5; n < 8; n++) await say(n);
    await frappe.publish(ROOM, 'after');
  });
  assert.equal(seat.socket.recovered, true);
  await frappe.flushed(seat);
  assert.deepEqual(told(seat), ['before', 'after']);
  // Whatever follows the last resync is the whole; without one, all of it.
  const from = seat.items.findLastIndex(({ name }) => name === 'resync') + 1;
  const texts = seat.items.slice(from).filter(({ name }) => name === 'ai_progress').map(({ data }) => data.text);
  assert.equal(texts.join(''), '0,1,2,3,4,5,6,7,');
});

test('polling, and what was upgraded, recover too', async (t) => {
  for (const mode of ['polling', 'upgraded']) {
    const { frappe, proxy, seat } = await open(t, { mode });
    const { id } = seat.socket;
    await frappe.publish(ROOM, 1);
    await seat.item('news');
    await cutAnd(frappe, proxy, seat, () => frappe.publish(ROOM, 2));
    assert.equal(seat.socket.recovered, true, mode);
    assert.equal(seat.socket.id, id);
    await frappe.flushed(seat);
    assert.deepEqual(told(seat), [1, 2], mode);
  }
});

test('a client that is back before its old connection is known to be dead goes on', async (t) => {
  const { frappe, seat, connect } = await open(t);
  seat.socket.io.reconnection(false); // or both would take the session from each other
  await frappe.publish(ROOM, 1);
  await seat.item('news');
  const auth = { pid: seat.socket._pid, offset: seat.items.at(-1).args.at(-1) };
  const { id } = seat.socket; // it is forgotten as soon as the old connection ends
  await frappe.publish(ROOM, 2);
  await seat.wait(() => told(seat).length === 2, 'the second');
  const again = await connect({ options: { auth, reconnection: false } });
  await again.item('news');
  assert.equal(again.socket.id, id);
  assert.deepEqual(told(again), [2]);
  await seat.wait(() => seat.disconnects.length, 'the end of the old connection');
});

// ---- honest refusals ----

async function isFresh(frappe, seat, id) {
  assert.ok(!seat.socket.recovered);
  assert.notEqual(seat.socket.id, id);
  const from = told(seat).length;
  await frappe.publish(ROOM, 'fresh');
  await frappe.flushed(seat);
  assert.deepEqual(told(seat).slice(from), ['fresh'], 'nothing is replayed and rooms are joined');
}

const WRONG = {
  'a pid nobody has': (socket) => { socket._pid = 'f'.repeat(24); },
  'a pid that is garbage': (socket) => { socket._pid = '"\\\u0000'.repeat(9); },
  'a pid far too long': (socket) => { socket._pid = 'x'.repeat(3000); },
  'a pid that is no text': (socket) => { socket._pid = { a: 1 }; },
  'an offset that is garbage': (socket) => { socket._lastOffset = 'garbage'; },
  'an offset with more behind it': (socket) => { socket._lastOffset += '0000000000000000000x'; },
  'an offset of the future': (socket) => { socket._lastOffset = socket._lastOffset.replace(/[^-]+$/, 'ffff'); },
  'an offset that is no text': (socket) => { socket._lastOffset = [1]; },
  'an empty offset': (socket) => { socket._lastOffset = ''; },
};

for (const [what, change] of Object.entries(WRONG)) {
  test(`${what} is a fresh session`, async (t) => {
    const { frappe, proxy, seat } = await open(t);
    const { id } = seat.socket;
    await frappe.publish(ROOM, 1);
    await seat.item('news');
    await cutAnd(frappe, proxy, seat, async () => {
      await frappe.publish(ROOM, 'missed');
      change(seat.socket);
    });
    await isFresh(frappe, seat, id);
  });
}

test('the pid of another user is worth nothing, and its owner can still use it', async (t) => {
  const { frappe, proxy, seat, connect } = await open(t);
  await frappe.publish(ROOM, 1);
  await seat.item('news');
  const thief = await connect({ who: 'bob' });
  await cutAnd(frappe, proxy, seat, async () => {
    await frappe.publish(ROOM, 2);
    const [pid, offset] = [seat.socket._pid, seat.items.at(-1).args.at(-1)];
    const other = await frappe.connect({ who: 'bob', options: { auth: { pid, offset } } });
    assert.equal(other.socket.recovered, false);
    await frappe.flushed(other);
    assert.deepEqual(told(other), []);
  });
  assert.equal(seat.socket.recovered, true);
  await frappe.flushed(seat);
  assert.deepEqual(told(seat), [1, 2]);
  thief.close();
});

test('a user who logged out, or is no system user any more, gets a fresh session', async (t) => {
  for (const [change, rooms] of [
    [(web) => web.logout(sid('ann')), ['website']],
    [(web) => web.login(sid('ann'), user('ann'), 'Website User'), [ROOM, 'website']],
  ]) {
    const { frappe, proxy, seat } = await open(t);
    await frappe.publish(ROOM, 1);
    await seat.item('news');
    await cutAnd(frappe, proxy, seat, async () => {
      change(frappe.web);
      await frappe.publish(ROOM, 'missed');
    });
    assert.equal(seat.socket.recovered, false);
    for (const room of ['all', ROOM, 'website']) await frappe.publish(room, room, 'room');
    await seat.wait(() => seat.told('room').includes('website'), 'website');
    assert.deepEqual(seat.told('room'), rooms);
  }
});

test('past --recovery-ms it is a fresh session', async (t) => {
  const { frappe, proxy, seat } = await open(t, { args: ['--recovery-ms', '100'] });
  const { id } = seat.socket;
  await frappe.publish(ROOM, 1);
  await seat.item('news');
  await cutAnd(frappe, proxy, seat, () => until(
    async () => await metric(frappe.house.url, /sessions\{kind="sio"\}/) === 0, 'the session to be forgotten'));
  await isFresh(frappe, seat, id);
});

test('when what was missed is more than is kept it is a fresh session', async (t) => {
  const { frappe, proxy, seat } = await open(t, { args: ['--retain-events', '10'] });
  const { id } = seat.socket;
  await frappe.publish(ROOM, 1);
  await seat.item('news');
  const witness = await frappe.connect();
  await cutAnd(frappe, proxy, seat, async () => {
    for (let n = 0; n < 50; n++) await frappe.publish(ROOM, n);
    await frappe.flushed(witness);
  });
  await isFresh(frappe, seat, id);
});

test('a client that says goodbye is not kept', async (t) => {
  const { frappe, seat } = await open(t);
  await frappe.publish(ROOM, 1);
  await seat.item('news');
  const { id } = seat.socket;
  seat.socket.disconnect();
  await until(async () => await metric(frappe.house.url, /sessions\{kind="sio"\}/) === 0, 'no session');
  seat.socket.connect();
  await seat.connected();
  await isFresh(frappe, seat, id);
});

test('after a restart of the broker it is a fresh session, and the next cut is recovered', async (t) => {
  const { frappe, proxy, seat } = await open(t);
  const { id } = seat.socket;
  await frappe.publish(ROOM, 1);
  await seat.item('news');
  await cutAnd(frappe, proxy, seat, async () => {
    await frappe.house.broker.close();
    await frappe.house.broker.start();
    await frappe.house.broker.ready();
  });
  assert.equal(seat.socket.recovered, false);
  assert.notEqual(seat.socket.id, id);
  // Its last offset is still one of the other process.
  await cutAnd(frappe, proxy, seat, () => frappe.publish(ROOM, 2));
  assert.equal(seat.socket.recovered, true);
  await frappe.flushed(seat);
  assert.deepEqual(told(seat), [1, 2]);
});

// ---- rights are asked again ----

test('documents and doctypes are asked about again; what is refused is dropped, unheard', async (t) => {
  for (const version of [15, 17]) {
    const { frappe, proxy, seat } = await open(t, { version });
    for (const doctype of ['ToDo', 'Note']) {
      frappe.web.allow(user('ann'), doctype);
      seat.socket.emit('doctype_subscribe', doctype);
      seat.socket.emit('doc_subscribe', doctype, 'X-1');
    }
    await seat.heard();
    await frappe.settled();
    const rooms = ['doctype:ToDo', 'doc:ToDo/X-1', 'doctype:Note', 'doc:Note/X-1', ROOM];
    const allowed = rooms.filter((room) => !room.includes('Note'));
    const say = async () => {
      for (const room of rooms) await frappe.publish(room, room);
    };
    await cutAnd(frappe, proxy, seat, async () => {
      frappe.web.deny(user('ann'), 'Note');
      frappe.web.slowMs = 500;
      frappe.web.fault = { can_subscribe_doc: 'slow', can_subscribe_doctype: 'slow', has_permission: 'slow' };
      await say();
    });
    assert.equal(seat.socket.recovered, true);
    await seat.item('news');
    assert.deepEqual(told(seat), [ROOM], 'nothing before the answer but what needs none');
    await frappe.settled();
    await say();
    await frappe.flushed(seat);
    assert.deepEqual(told(seat).toSorted(), [...allowed, ...allowed].toSorted());
    // What was refused stays so.
    frappe.web.fault = null;
    frappe.web.allow(user('ann'), 'Note');
    const count = told(seat).length;
    await cutAnd(frappe, proxy, seat, say);
    await frappe.settled();
    await frappe.flushed(seat);
    assert.deepEqual(told(seat).slice(count).toSorted(), allowed.toSorted());
  }
});

test('guarded tasks are asked about again', async (t) => {
  const { frappe, proxy, seat } = await open(t, { args: ['--task-guard', 'backend', '--task-guard-method', 'app.api.may_watch'] });
  for (const task of ['a', 'b']) frappe.web.allowTask(user('ann'), task);
  assert.equal((await seat.subscribe('a')).ok, true);
  assert.equal((await seat.subscribe({ task_id: 'b' })).ok, true);
  await cutAnd(frappe, proxy, seat, async () => {
    frappe.web.fault = { may_watch: 'forbidden' };
    for (const task of ['a', 'b']) await frappe.publish(`task_progress:${task}`, { task_id: task }, 'ai_progress');
  });
  assert.equal(seat.socket.recovered, true);
  await frappe.web.wait('may_watch', 4);
  await frappe.settled();
  await frappe.flushed(seat);
  assert.deepEqual(seat.events, []);
  // The native form is told; the string form, as ever, is not.
  const { data } = await seat.item('task_error');
  assert.deepEqual([data.task_id, data.code], ['b', 'DENIED']);
});

test('a refusal that is known already drops what it must, at once', async (t) => {
  const { frappe, proxy, seat } = await open(t, {
    args: ['--task-guard', 'backend', '--task-guard-method', 'app.api.may_watch', '--auth-cache-ms', '60000'],
  });
  const tasks = ['a', 'b', 'c'];
  for (const task of tasks) {
    frappe.web.allowTask(user('ann'), task);
    assert.equal((await seat.subscribe({ task_id: task })).ok, true);
  }
  // Another session of the same person, which has been told no.
  const other = `${sid('ann')}-2`;
  frappe.web.login(other, user('ann'));
  const second = await frappe.connect({ cookie: `sid=${other}` });
  frappe.web.fault = { may_watch: 'forbidden' };
  for (const task of tasks) assert.equal((await second.subscribe(task)).error.code, 'DENIED');
  await cutAnd(frappe, proxy, seat, async () => {
    seat.socket.io.opts.extraHeaders.Cookie = `sid=${other}`;
  });
  assert.equal(seat.socket.recovered, true);
  await seat.wait(() => seat.told('task_error').length === 3, 'three refusals');
  for (const task of tasks) await frappe.publish(`task_progress:${task}`, { task_id: task }, 'ai_progress');
  await frappe.flushed(seat);
  assert.deepEqual(seat.events, []);
});

test('who has a document open is told of the cut and of the return', async (t) => {
  const { frappe, proxy, seat } = await open(t);
  for (const who of ['ann', 'bob']) frappe.web.allow(user(who), 'Note');
  const bob = await frappe.connect({ who: 'bob' });
  for (const one of [bob, seat]) {
    one.socket.emit('doc_open', 'Note', 'N-1');
    await one.heard();
    await frappe.settled();
  }
  const users = (who) => who.told('doc_viewers').at(-1)?.users.length;
  await bob.wait(() => users(bob) === 2, 'ann');
  await cutAnd(frappe, proxy, seat, () => bob.wait(() => users(bob) === 1, 'ann gone'));
  await bob.wait(() => users(bob) === 2, 'ann back');
  await seat.wait(() => users(seat) === 2, 'both at ann');
});

// ---- to whom it is offered ----

// Whether events carry an offset; the pid tells the same.
async function isOffered(frappe, options) {
  const seat = await frappe.connect(options);
  await frappe.publish('website', 1);
  const { args } = await seat.item('news');
  assert.equal(args.length, seat.socket._pid ? 2 : 1);
  seat.close();
  return args.length === 2;
}

const CLIENTS = {
  'a browser': [{ agent: BROWSER }, true],
  'a browser without Origin': [{ agent: BROWSER, origin: null }, false],
  'a page\'s origin, but no browser': [{ agent: 'python-requests/2' }, false],
  'no user agent': [{}, false],
  'who asks in auth': [{ options: { auth: { recovery: true } } }, true],
  'who asks in the query': [{ options: { query: { recovery: '1' } } }, true],
  'who asks for something else': [{ options: { auth: { recovery: 'yes' }, query: { recovery: '0' } } }, false],
};

test('--recovery auto offers it to browsers and to who asks; on to all; off to nobody', async (t) => {
  for (const setting of ['auto', 'on', 'off']) {
    const frappe = await FrappeHouse.open(t, { args: ['--recovery', setting] });
    for (const [what, [options, inAuto]] of Object.entries(CLIENTS)) {
      const expected = setting === 'auto' ? inAuto : setting === 'on';
      assert.equal(await isOffered(frappe, options), expected, `${setting}: ${what}`);
    }
  }
});

test('without recovery a cut is a new socket in its rooms, and nothing is replayed', async (t) => {
  const { frappe, proxy, seat } = await open(t, { args: ['--recovery', 'off'] });
  const { id } = seat.socket;
  await frappe.publish(ROOM, 1);
  await seat.item('news');
  await cutAnd(frappe, proxy, seat, () => frappe.publish(ROOM, 'missed'));
  await isFresh(frappe, seat, id);
});

test('no more than --max-saved-sessions are kept: the oldest goes', async (t) => {
  const { frappe, proxy, seat, connect } = await open(t, { args: ['--max-saved-sessions', '1'] });
  await frappe.publish('website', 0);
  await seat.item('news');
  const second = await connect({ who: 'bob' });
  await frappe.publish('website', 1);
  await second.item('news');
  proxy.cut();
  for (const one of [seat, second]) await one.wait(() => !one.socket.connected, 'the cut');
  await until(() => disconnects(frappe) === 2, 'both to be noticed');
  proxy.mend();
  for (const one of [seat, second]) await one.connected();
  assert.deepEqual([seat, second].filter((one) => one.socket.recovered).length, 1);
});
