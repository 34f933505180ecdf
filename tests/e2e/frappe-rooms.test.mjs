// frappe-rooms.test.mjs - which rooms a client of a bench is in, and what it hears there.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { io as io40 } from 'socket.io-client-40';
import io2 from 'socket.io-client-2';
import { FrappeHouse, SITE, user } from './lib/frappe-house.mjs';
import { metric } from './lib/observe.mjs';
import { SIO_TRANSPORTS } from './lib/readers.mjs';

const VERSIONS = [13, 14, 15, 16, 17];

// What each version's pages are served with: their library, and where it connects to.
const PAGES = {
  12: { version: 13, library: io2, nsp: '/' },
  13: { version: 13, library: io2, nsp: '/' },
  14: { version: 14, nsp: '/' },
  15: { version: 15, nsp: `/${SITE}` },
  16: { version: 16, nsp: `/${SITE}` },
  17: { version: 17, nsp: `/${SITE}` },
};

// ---- rooms by being connected ----

for (const [page, { version, ...options }] of Object.entries(PAGES)) {
  for (const mode of Object.keys(SIO_TRANSPORTS)) {
    test(`v${page} page over ${mode}: the user's room, \`website\` and, for system users, \`all\``, async (t) => {
      const frappe = await FrappeHouse.open(t, { version });
      const [ann, wes] = await Promise.all(['ann', 'wes'].map((who) => frappe.connect({ who, mode, ...options })));
      await frappe.publish(`user:${user('ann')}`, 'ann');
      await frappe.publish(`user:${user('wes')}`, 'wes');
      await frappe.publish('website', 'website');
      await frappe.publish('all', 'all');
      await frappe.flushed(ann, wes);
      assert.deepEqual(ann.told('news'), ['ann', 'website', 'all']);
      assert.deepEqual(wes.told('news'), ['wes', 'website']);
    });
  }

  test(`v${page} page: 200 events to a task come in order and exactly as published`, async (t) => {
    const frappe = await FrappeHouse.open(t, { version });
    const seat = await frappe.connect(options);
    seat.socket.emit('task_subscribe', 'task_1');
    await seat.heard();
    const messages = Array.from({ length: 200 }, (_, n) => ({
      task_id: 'task_1', type: n % 3 ? 'text' : 'reasoning', text: `wörd ${n} \u{1f600}`, partial: true, n,
    }));
    for (const message of messages) await frappe.publish('task_progress:task_1', message, 'ai_progress');
    await seat.count(200);
    assert.deepEqual(seat.events, messages);
  });
}

test('both names of a site, /<site> and the root, hear the same, each in its namespace', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const seats = await Promise.all(['/', `/${SITE}`].map((nsp) => frappe.connect({ nsp })));
  await frappe.publish('all', 1);
  await frappe.flushed(...seats);
  for (const seat of seats) assert.deepEqual(seat.told('news'), [1]);
});

test('sites are apart: rooms of the same name, documents and broadcasts to one of them', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const here = await frappe.connect();
  const there = await frappe.connect({ nsp: '/b.local', host: 'b.local', origin: 'http://b.local' });
  for (const seat of [here, there]) seat.socket.emit('task_subscribe', 't');
  await Promise.all([here.heard(), there.heard()]);
  for (const room of ['all', `user:${user('ann')}`, 'task_progress:t']) {
    await frappe.publish(room, 'here');
    await frappe.publish(room, 'there', 'news', 'b.local');
    await frappe.publish(room, 'nowhere', 'news', 'c.local');
  }
  await frappe.publish('all', 'end', 'news', 'b.local');
  await there.count(0);
  await there.wait(() => there.told('news').includes('end'), 'the end');
  await frappe.flushed(here);
  assert.deepEqual(here.told('news'), ['here', 'here', 'here']);
  assert.deepEqual(there.told('news'), ['there', 'there', 'there', 'end']);
});

// ---- publications: 2.5 ----

test('without a room an event goes to everybody on every site, also as esbuild writes it', async (t) => {
  for (const version of [13, 15]) {
    const frappe = await FrappeHouse.open(t, { version });
    const nsp = version === 13 ? '/' : undefined;
    const seats = [
      await frappe.connect({ nsp }),
      await frappe.connect({ nsp, who: 'wes' }),
      await frappe.connect({ nsp: nsp ?? '/b.local', who: 'bob', host: 'b.local', origin: 'http://b.local' }),
    ];
    await frappe.publishRaw('{"event":"build_event","message":{"success":true}}');
    await frappe.publish(null, 'to all', 'version-update');
    await frappe.publishRaw('{"event":"last","message":1,"room":null}');
    for (const seat of seats) {
      await seat.item('last');
      assert.deepEqual(seat.items.map(({ name, data }) => [name, data]),
        [['build_event', { success: true }], ['version-update', 'to all'], ['last', 1]]);
    }
  }
});

test('a list of rooms is one delivery to whoever is in several of them', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const [ann, wes] = await Promise.all(['ann', 'wes'].map((who) => frappe.connect({ who })));
  ann.socket.emit('task_subscribe', 't');
  await ann.heard();
  for (let n = 0; n < 3; n++) {
    await frappe.publishRaw(JSON.stringify({
      event: 'news', message: n, namespace: SITE,
      room: ['task_progress:t', `user:${user('ann')}`, 'website', 'all', 'nobody', 'all'],
    }));
  }
  await frappe.flushed(ann, wes);
  assert.deepEqual(ann.told('news'), [0, 1, 2]);
  assert.deepEqual(wes.told('news'), [0, 1, 2]);
});

test('any message is delivered as what it is in JSON', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const ann = await frappe.connect();
  const room = `user:${user('ann')}`;
  const messages = ['text', '', null, 0, -1.5, true, [], [1, [2]], {}, { _placeholder: true, num: 0 }, { 2: 1, 10: 2, b: null }, 'é \u{1f600} \u2028 "\\'];
  for (const message of messages) await frappe.publish(room, message);
  await frappe.publishRaw(`{"event":"news","room":"${room}","namespace":"${SITE}"}`);
  await frappe.flushed(ann);
  assert.deepEqual(ann.told('news'), [...messages, null]);
  const exact = `{ "big": 12345678901234567890, "one": 1.0 }`;
  await frappe.publishRaw(`{"event":"n","message":${exact},"room":"${room}","namespace":"${SITE}"}`);
  assert.deepEqual((await ann.item('n')).data, JSON.parse(exact));
  await frappe.publish(room, 'x'.repeat(1500000), 'large');
  assert.equal((await ann.item('large')).data.length, 1500000);
});

test('what kills the original passes: skipped and counted, and everybody stays', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const ann = await frappe.connect();
  const pid = frappe.house.broker.pid;
  const room = `"room":"user:${user('ann')}","namespace":"${SITE}"`;
  const poison = [
    '', 'null', 'nonsense', '{', '[]', '"text"', '7', '{}', '\u0000',
    `{"event":"news","message":NaN,${room}}`, `{"event":"news","message":{"a":-Infinity},${room}}`,
    `{"message":1,${room}}`, `{"event":7,"message":1,${room}}`, `{"event":["news"],"message":1,${room}}`,
    `{"event":{},"message":1,${room}}`, `{"event":null,"message":1,${room}}`,
    ...['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']
      .map((name) => `{"event":"${name}","message":1,${room}}`),
    `{"event":"news","message":1,"room":7,"namespace":"${SITE}"}`,
    `{"event":"news","message":1,"room":{},"namespace":"${SITE}"}`,
    `{"event":"news","message":1,"room":[7],"namespace":"${SITE}"}`,
    `{"event":"news","message":1,"room":"all","namespace":7}`,
    `{"event":"news","message":1,"room":"all","namespace":"no such site"}`,
    `{"event":"news","message":1,"room":"all","namespace":"../${SITE}"}`,
    `{"event":"news","message":${'['.repeat(5000)}${']'.repeat(5000)},${room}}`,
  ];
  for (const bytes of poison) await frappe.publishRaw(bytes);
  await frappe.publishRaw(Buffer.from(`{"event":"odd","message":"\xff\xfe",${room}}`, 'latin1'));
  assert.equal((await ann.item('odd')).data, '\ufffd\ufffd');
  await frappe.flushed(ann);
  assert.deepEqual(ann.told('news'), []);
  assert.deepEqual(ann.disconnects, []);
  assert.ok(await metric(frappe.house.url, /frappe_skipped_total/) >= poison.length - 3);
  assert.equal(frappe.house.broker.pid, pid);
  assert.ok(frappe.house.broker.child.isRunning);
});

// ---- older benches: rooms with the site before them, everybody in the root ----

test('site-prefixed rooms of v12 to v14 reach clients in the root and in /<site>', async (t) => {
  const frappe = await FrappeHouse.open(t, { version: 14 });
  const seats = [
    await frappe.connect({ nsp: '/', library: io2 }),
    await frappe.connect({ nsp: '/', library: io40 }),
    await frappe.connect({ nsp: `/${SITE}` }),
  ];
  const other = await frappe.connect({ nsp: '/', host: 'b.local', origin: 'http://b.local', who: 'bob' });
  for (const seat of seats) seat.socket.emit('task_subscribe', 'task_1');
  await Promise.all(seats.map((seat) => seat.heard()));
  for (const room of ['all', 'website', `user:${user('ann')}`, 'task_progress:task_1']) await frappe.publish(room, room);
  await frappe.publish(`user:${user('bob')}`, 'end', 'news', 'b.local');
  await other.item('news');
  await frappe.flushed(seats[0]);
  for (const seat of seats) {
    await seat.item('flush');
    assert.deepEqual(seat.told('news'), ['all', 'website', `user:${user('ann')}`, 'task_progress:task_1']);
  }
  assert.deepEqual(other.told('news'), ['end']);
});

test('a bench in the middle of an upgrade may publish in both forms', async (t) => {
  for (const version of [14, 15]) {
    const frappe = await FrappeHouse.open(t, { version });
    const seat = await frappe.connect({ nsp: '/' });
    await frappe.publishRaw(`{"event":"news","message":"old","room":"${SITE}:all"}`);
    await frappe.publishRaw(`{"event":"news","message":"new","room":"all","namespace":"${SITE}"}`);
    await frappe.flushed(seat);
    assert.deepEqual(seat.told('news'), ['old', 'new']);
  }
});

// ---- a Socket.IO 2 connection sends 42 with nothing before it, a newer one names its site ----

test('the frames of an event are those of the original, byte for byte', async (t) => {
  for (const version of VERSIONS) {
    const frappe = await FrappeHouse.open(t, { version });
    const seat = await frappe.connect({ nsp: version < 15 ? '/' : `/${SITE}`, mode: 'polling' });
    const packets = [];
    seat.socket.io.engine.on('packet', ({ type, data }) => {
      if (type === 'message') packets.push(data);
    });
    await frappe.publish(`user:${user('ann')}`, { partial: true, task_id: 't1', text: 'hi', type: 'text' }, 'ai_progress');
    await seat.item('ai_progress');
    seat.socket.emit('ping');
    await seat.item('pong');
    const nsp = version < 15 ? '' : `/${SITE},`;
    assert.deepEqual(packets, [
      `2${nsp}["ai_progress",{"partial":true,"task_id":"t1","text":"hi","type":"text"}]`,
      `2${nsp}["pong"]`,
    ]);
  }
});
