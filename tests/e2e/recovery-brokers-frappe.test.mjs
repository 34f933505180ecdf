// recovery-brokers-frappe.test.mjs - a bench's clients at another broker: rooms that were quiet, and rooms that were not.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { BROWSER, FrappeHouse, user } from './lib/frappe-house.mjs';
import { PATIENCE } from './lib/house.mjs';
import { Proxy } from './lib/proxy.mjs';
import { delay, until } from './lib/wait.mjs';

const ROOM = `user:${user('ann')}`;
const told = (seat) => seat.told('news');

// Two brokers for one bench, and a proxy that leads to the first until `front.broker` is changed.
async function open(t, { args = [] } = {}) {
  const frappe = await FrappeHouse.open(t, { args });
  const { house } = frappe;
  const first = house.broker;
  const second = await house.another({ args: first.args.slice(2) });
  const front = { broker: first, own: (thing) => house.own(thing) };
  const proxy = await Proxy.open(front);
  const seat = await frappe.connect({ agent: BROWSER, port: proxy.port });
  await seat.heard();
  return { frappe, first, second, front, proxy, seat };
}

const rooms = async (frappe) => {
  const { client } = frappe.house.redis;
  const [key] = await client.keys('tw:session:*');
  return key ? JSON.parse((await client.get(key)).slice(16) || '{}') : {};
};

// The connection breaks, the first broker notices; then the client is put to the second.
async function move(scene, meanwhile = async () => {}) {
  const { frappe, front, proxy, seat } = scene;
  proxy.cut();
  await seat.wait(() => !seat.socket.connected, 'the cut');
  await until(async () => (await rooms(frappe)).cut > 0, 'the first broker to notice');
  await meanwhile();
  front.broker = scene.second;
  proxy.mend();
  await seat.connected();
}

test('whose rooms were quiet goes on at the other broker, by the same id', async (t) => {
  const scene = await open(t);
  const { frappe, seat } = scene;
  const { id } = seat.socket;
  await frappe.publish(ROOM, 1);
  await seat.item('news');
  // Clocks of two brokers are trusted to a second.
  await delay(1500);
  await move(scene);
  assert.equal(seat.socket.recovered, true);
  assert.equal(seat.socket.id, id);
  await frappe.publish(ROOM, 2);
  await frappe.publish('all', 3);
  await frappe.flushed(seat);
  assert.deepEqual(told(seat), [1, 2, 3]);
});

for (const room of [ROOM, 'all', 'website', null]) {
  test(`something was said meanwhile in ${room ?? 'the room of all'}: the client is told that it was not recovered`, async (t) => {
    const scene = await open(t);
    await delay(1500);
    await move(scene, async () => {
      await scene.frappe.publish(room, 1);
      await delay(100);
    });
    assert.equal(scene.seat.socket.recovered, false);
    await scene.frappe.publish(ROOM, 2);
    await scene.frappe.flushed(scene.seat);
    assert.deepEqual(told(scene.seat), [2]);
  });
}

test('a broker that has only just begun to listen knows nothing of what was missed', async (t) => {
  const scene = await open(t);
  await delay(1500);
  await move(scene, async () => {
    scene.second = await scene.frappe.house.another({ args: scene.first.args.slice(2) });
  });
  assert.equal(scene.seat.socket.recovered, false);
});

for (const isSpoken of [false, true]) {
  test(`after SIGKILL, rooms in which something was said of late${isSpoken ? '' : ', or nothing,'} are judged by the other broker`, async (t) => {
    const scene = await open(t, { args: ['--recovery-ms', '3000', '--ping-interval-ms', '300', '--ping-timeout-ms', '300'] });
    const { frappe, first, second, front, proxy, seat } = scene;
    await delay(5200);
    if (isSpoken) {
      await frappe.publish('website', 1);
      await seat.item('news');
    }
    first.child.process.kill('SIGKILL');
    await first.child.ended;
    frappe.house.broker = { child: first.child, close: async () => {} };
    front.broker = second;
    await seat.wait(() => seat.disconnects.length > 0, 'the cut');
    await seat.wait(() => seat.socket.connected, 'the way back', 10000 * PATIENCE);
    assert.equal(seat.socket.recovered, !isSpoken);
    proxy.mend();
  });
}

test('another user does not get the session, at the other broker either', async (t) => {
  const scene = await open(t);
  const { frappe, second, seat } = scene;
  await delay(1500);
  const auth = { pid: seat.socket._pid, recovery: true };
  const thief = await frappe.connect({ who: 'bob', port: second.port, agent: BROWSER, options: { auth } });
  assert.equal(thief.socket.recovered, false);
  assert.notEqual(thief.socket._pid, auth.pid);
  await frappe.publish(ROOM, 1);
  await frappe.flushed(thief);
  assert.deepEqual(told(thief), []);
  await seat.item('news');
});
