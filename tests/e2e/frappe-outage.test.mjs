// frappe-outage.test.mjs - a bench whose Redis or web process is away, and what a client costs.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { FrappeHouse, SITE, sid, user } from './lib/frappe-house.mjs';
import { IS_SANITIZED, PATIENCE } from './lib/house.mjs';
import { delay, until } from './lib/wait.mjs';

const CLIENTS = 500;

async function status(frappe, path) {
  return (await fetch(frappe.house.url + path)).status;
}

// Many at once, a few dozen at a time.
async function crowd(frappe, count, options = () => ({})) {
  const seats = [];
  while (seats.length < count) {
    const part = Array.from({ length: Math.min(50, count - seats.length) }, (_, n) => frappe.seat(options(seats.length + n)));
    seats.push(...await Promise.all(part.map((seat) => seat.connected())));
  }
  return seats;
}

test(`Redis stops and starts under ${CLIENTS} clients: all stay, events flow again within 2 s`, async (t) => {
  const frappe = await FrappeHouse.open(t);
  const seats = await crowd(frappe, CLIENTS, (n) => ({
    who: ['ann', 'bob', 'wes'][n % 3], mode: n % 10 ? 'websocket' : 'polling',
  }));
  for (const seat of seats) seat.socket.emit('task_subscribe', 't');
  await Promise.all(seats.map((seat) => seat.heard()));
  for (const [round, stop, awayMs] of [[1, 'SIGTERM', 500], [2, 'SIGKILL', 6000]]) {
    await frappe.publish('website', round);
    await Promise.all(seats.map((seat) => seat.wait(() => seat.told('news').at(-1) === round, `round ${round}`)));
    await frappe.house.redis.child.stop(stop);
    await until(async () => await status(frappe, '/readyz') === 503, '/readyz to tell');
    assert.equal(await status(frappe, '/healthz'), 200);
    // Who comes meanwhile gets in, and what needs no Redis goes on.
    const late = await frappe.connect({ who: 'bob' });
    assert.equal((await late.heard()).ok, true);
    late.close();
    await delay(awayMs); // the broker is at the beginning, and at the end of its back-off
    await frappe.house.redis.start();
    const back = performance.now();
    const probe = setInterval(() => frappe.publish('task_progress:t', { round }, 'probe').catch(() => {}), 50);
    await Promise.all(seats.map((seat) => seat.wait(
      () => seat.told('probe').some((message) => message.round === round), () => `an event after the restart at ${seat.mode}`)));
    clearInterval(probe);
    const took = performance.now() - back;
    console.log(`events flowed again ${Math.round(took)} ms after Redis was back (${stop})`);
    assert.ok(took < 2000 * PATIENCE, `${took} ms`);
    await frappe.house.broker.ready();
  }
  assert.deepEqual(seats.flatMap(({ disconnects }) => disconnects), []);
  assert.ok(seats.every(({ socket }) => socket.connected));
});

test('health answers and sockets stay while the web process hangs, is down, and Redis is away', async (t) => {
  const frappe = await FrappeHouse.open(t, { version: 17, args: ['--auth-timeout-ms', '1000'] });
  const seat = await frappe.connect();
  frappe.web.fault = 'hang';
  const hanging = Array.from({ length: 20 }, (_, n) => frappe.seat({ who: ['ann', 'bob', 'wes'][n % 3] }));
  await frappe.web.wait('get_user_info', 2);
  const began = performance.now();
  assert.equal(await status(frappe, '/healthz'), 200);
  assert.equal(await status(frappe, '/readyz'), 200);
  assert.ok(performance.now() - began < 500 * PATIENCE);
  await frappe.publish(`user:${user('ann')}`, 'meanwhile');
  await seat.item('news');
  for (const one of hanging) assert.match(await one.refused(), /^Unauthorized/);
  frappe.web.fault = null;
  await frappe.web.down();
  assert.match(await frappe.seat({ who: 'bob' }).refused(), /^Unauthorized/);
  await frappe.house.redis.child.stop('SIGKILL');
  await until(async () => await status(frappe, '/readyz') === 503, '/readyz to tell');
  assert.equal(await status(frappe, '/healthz'), 200);
  assert.match(await frappe.seat({ who: 'bob' }).refused(), /^Unauthorized/);
  await frappe.web.up();
  // v17 without Redis has no secret to show, so nobody new gets in; who is in stays.
  assert.match(await frappe.seat({ who: 'bob' }).refused(), /^Unauthorized/);
  await frappe.house.redis.start();
  await frappe.house.redis.client.set('socketio_auth_secret', 'shared');
  await frappe.house.broker.ready();
  await frappe.connect({ who: 'bob' });
  await frappe.publish(`user:${user('ann')}`, 'again');
  await seat.wait(() => seat.told('news').length === 2, 'an event after it all');
  assert.deepEqual(seat.disconnects, []);
});

test('v17: who comes while Redis is away waits for the secret, and gets in when it is back', async (t) => {
  const frappe = await FrappeHouse.open(t, { version: 17, web: { secret: null } });
  frappe.web.onSecret = (secret) => frappe.house.redis.client.set('socketio_auth_secret', secret);
  await frappe.house.redis.child.stop('SIGKILL');
  await until(async () => await status(frappe, '/readyz') === 503, '/readyz to tell');
  const seat = frappe.seat({ options: { reconnection: false } });
  await delay(1000);
  assert.equal(frappe.web.asked('get_user_info').length, 0);
  assert.equal(seat.refusal, undefined);
  await frappe.house.redis.start();
  await seat.connected();
});

test('it starts while Redis and the web process are away, and works once they are there', async (t) => {
  const frappe = await FrappeHouse.open(t);
  await frappe.house.broker.close();
  await frappe.house.redis.child.stop();
  await frappe.web.down();
  await frappe.house.broker.start();
  assert.equal(await status(frappe, '/healthz'), 200);
  assert.equal(await status(frappe, '/readyz'), 503);
  assert.match(await frappe.seat().refused(), /^Unauthorized/);
  await frappe.web.up();
  const seat = await frappe.connect();
  await frappe.house.redis.start();
  await frappe.house.broker.ready();
  await frappe.publish('all', 'hello');
  await seat.item('news');
});

// ---- frames that no client library sends ----

const HOSTILE = {
  'a malformed packet': ['4x'],
  'an unknown Engine.IO packet': ['9'],
  'an event for a namespace that was not joined': ['42/other.local,["ping"]'],
  'a reserved event name': [`40/${SITE},`, `42/${SITE},["disconnecting"]`],
  'an event without a name': [`40/${SITE},`, `42/${SITE},[]`, `42/${SITE},[{}]`],
  'an event that is no array': [`40/${SITE},`, `42/${SITE},{"a":1}`],
  'JSON cut short': [`40/${SITE},`, `42/${SITE},["task_subscribe","`],
  'deep JSON': [`40/${SITE},`, `42/${SITE},["task_subscribe",${'['.repeat(20000)}`],
  'a binary event without its attachments': [`40/${SITE},`, `451-/${SITE},["task_subscribe",{"_placeholder":true,"num":7}]`, `42/${SITE},["ping"]`],
  'CONNECT with what is no object': [`40/${SITE},[1]`],
  'CONNECT twice': [`40/${SITE},`, `40/${SITE},`],
  'half a surrogate': [`40/${SITE},`, `42/${SITE},["task_subscribe","\\ud83d"]`],
  'a query in the namespace': [`40/${SITE}?sid=${sid('ann')},`, `42/${SITE},["ping"]`],
  'a frame above a million bytes': [`40/${SITE},`, `42/${SITE},["task_subscribe","${'x'.repeat(1000001)}"]`],
};

test('whatever one connection sends, the others and the process go on', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--developer-mode'] });
  const seat = await frappe.connect({ who: 'bob' });
  const { pid } = frappe.house.broker;
  let round = 0;
  for (const [what, frames] of Object.entries(HOSTILE)) {
    const socket = await frappe.bare();
    for (const frame of frames) socket.message(frame);
    // A close, or an answer to a question behind it all: it has been read.
    socket.message(`40/${SITE},`);
    socket.message(`421/${SITE},["task_unsubscribe","x"]`);
    await socket.wait(() => socket.isClosed || /43\/site1\.local,1\[|44\//.test(socket.text), () => `${what}: ${socket.text.slice(-300)}`);
    socket.close();
    round += 1;
    await frappe.publish('all', round);
    await seat.wait(() => seat.told('news').at(-1) === round, what);
  }
  assert.deepEqual(seat.disconnects, []);
  assert.equal(frappe.house.broker.pid, pid);
  assert.ok(frappe.house.broker.child.isRunning);
});

// ---- what it costs ----

function pss(pid) {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]) * 1024;
}

// Sockets without a client library behind them: a thousand of those need a machine of their
// own. Each is somebody else's, with a room of its own.
async function plainSockets(frappe, count) {
  const sockets = [];
  for (let n = 0; n < count; n++) {
    const who = `u${n}`;
    frappe.web.login(sid(who), user(who));
    const socket = await frappe.bare(who);
    socket.message(`40/${SITE},`);
    sockets.push(socket);
  }
  await Promise.all(sockets.map((socket) => socket.wait(() => /40\/site1\.local,\{"sid"/.test(socket.text), () => `CONNECT: ${socket.text}`)));
  return sockets;
}

const MIB = 1024 * 1024;

test('idle it takes less than 12 MB PSS, and 1000 connected clients less than 8 KB each', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--ping-interval-ms', '300000'] });
  const { pid } = frappe.house.broker;
  const idle = pss(pid);
  const first = await plainSockets(frappe, 10);
  const before = pss(pid);
  const sockets = await plainSockets(frappe, 1000);
  const each = (pss(pid) - before) / sockets.length;
  console.log(`idle PSS ${(idle / MIB).toFixed(1)} MB, ${Math.round(each)} bytes for each of 1000 connected clients`);
  await frappe.publish('all', 'to everyone');
  for (const socket of [...first, ...sockets]) await socket.wait(() => socket.text.includes('to everyone'), 'the event');
  if (!IS_SANITIZED) {
    assert.ok(idle < 12 * MIB, `${idle} bytes`);
    assert.ok(each < 8192, `${each} bytes`);
  }
});
