// frappe-log.test.mjs - what stands in a bench's logs/socketio.log, and what never does.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import io2 from 'socket.io-client-2';
import { BROWSER, FrappeHouse, SITE, sid, token } from './lib/frappe-house.mjs';
import { head, Raw } from './lib/raw.mjs';
import { Proxy } from './lib/proxy.mjs';
import { eventsPath, SseReader, WsReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';

// The lines that begin with a phrase, as objects.
function lines(frappe, phrase) {
  return frappe.house.broker.child.output.split('\n').filter((line) => line.includes(` ${phrase} `)).map((line) => {
    const found = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\w+) /.exec(line);
    assert.ok(found, line);
    const pairs = [...line.matchAll(/(\w+)=("(?:[^"\\]|\\.)*"|\S+)/g)];
    return { time: found[1], level: found[2], ...Object.fromEntries(pairs.map(([, key, value]) => [key, value[0] === '"' ? JSON.parse(value) : value])) };
  });
}

async function line(frappe, phrase, socket) {
  return until(() => lines(frappe, phrase).find((one) => one.socket === socket), () => `${phrase} ${socket}:\n${frappe.house.broker.child.output}`);
}

// ---- one line per connect and disconnect ----

// Whether a client is let in before or after its upgrade is the machine's affair.
for (const [mode, first, last] of [['websocket', /^websocket$/, 'websocket'], ['polling', /^polling$/, 'polling'], ['upgraded', /^(polling|websocket)$/, 'websocket']]) {
  test(`${mode}: one line per connect and one per disconnect, with all there is to know`, async (t) => {
    const frappe = await FrappeHouse.open(t);
    const began = Date.now();
    const seat = await frappe.connect({ mode });
    const { id } = seat.socket;
    const connected = await line(frappe, 'socket connected', id);
    assert.match(connected.transport, first);
    const { time, transport, ...rest } = connected;
    assert.deepEqual(rest, { level: 'info', socket: id, nsp: `/${SITE}`, recovered: 'no' });
    await new Promise((resolve) => setTimeout(resolve, 120));
    seat.socket.disconnect();
    const gone = await line(frappe, 'socket disconnected', id);
    assert.deepEqual({ ...gone, time: 0, duration_ms: 0 },
      { time: 0, level: 'info', socket: id, transport: last, nsp: `/${SITE}`, reason: 'client namespace disconnect', duration_ms: 0 });
    const took = Number(gone.duration_ms);
    assert.ok(took >= 100 && took <= Date.now() - began, gone.duration_ms);
    assert.ok(Date.parse(connected.time) >= began - 1000 && Date.parse(gone.time) >= Date.parse(connected.time));
    for (const phrase of ['socket connected', 'socket disconnected']) assert.equal(lines(frappe, phrase).length, 1);
  });
}

test('the reason is that of the end, and a recovered client says so under its old id', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const proxy = await Proxy.open(frappe.house);
  const seat = await frappe.connect({ agent: BROWSER, port: proxy.port });
  const { id } = seat.socket;
  proxy.cut();
  assert.match((await line(frappe, 'socket disconnected', id)).reason, /^transport (close|error)$/);
  proxy.mend();
  await until(() => lines(frappe, 'socket connected').some((one) => one.socket === id && one.recovered === 'yes'),
    () => `the return:\n${frappe.house.broker.child.output}`);
});

test('who answers no ping is gone for that reason', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--ping-interval-ms', '1000', '--ping-timeout-ms', '1000'] });
  const mute = await frappe.bare(); // a stock client that hears nothing leaves by itself, at the same moment
  mute.message(`40/${SITE},`);
  const [{ socket }] = await until(() => lines(frappe, 'socket connected').length && lines(frappe, 'socket connected'), 'the line');
  assert.equal((await line(frappe, 'socket disconnected', socket)).reason, 'ping timeout');
});

test('a refusal is one line, with its reason, and what was compared with what', async (t) => {
  const frappe = await FrappeHouse.open(t);
  await frappe.seat({ who: null }).refused();
  await frappe.seat({ nsp: '/other.local' }).refused();
  await frappe.seat({ origin: 'http://evil.local', headers: { 'X-Frappe-Site-Name': SITE } }).refused();
  const only = (phrase) => until(() => lines(frappe, phrase)[0], phrase);
  const refused = await only('socket refused');
  assert.deepEqual([refused.nsp, refused.reason], [`/${SITE}`, 'No cookie transmitted.']);
  const site = await only('namespace is not the site');
  assert.deepEqual([site.level, site.nsp, site.site, site.host, site.origin], ['warn', '/other.local', SITE, SITE, `http://${SITE}`]);
  const origin = await only('origin is not the host');
  assert.deepEqual([origin.level, origin.origin, origin.host], ['warn', 'http://evil.local', SITE]);
});

test('--log-format json says the same, one object a line', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--log-format', 'json'] });
  const seat = await frappe.connect();
  const { id } = seat.socket;
  seat.socket.disconnect();
  const all = () => frappe.house.broker.child.output.trim().split('\n').map((text) => JSON.parse(text));
  const gone = await until(() => all().find((one) => one.message === 'socket disconnected'), 'the line');
  assert.deepEqual(Object.keys(gone), ['time', 'level', 'message', 'socket', 'transport', 'nsp', 'reason', 'duration_ms']);
  assert.deepEqual([gone.level, gone.socket, gone.nsp, typeof gone.duration_ms], ['info', id, `/${SITE}`, 'number']);
});

// ---- what never stands there: FrappeHouse looks for every id that was used ----

const WRONG_PLACES = [
  ['GET', `/socket.io/?EIO=4&transport=polling&sid=${sid('ann')}`],
  ['GET', `/socket.io/?EIO=9&transport=${sid('ann')}`],
  ['GET', `/?sid=${sid('ann')}`],
  ['GET', `/${sid('ann')}`],
  ['GET', `/v1/tasks/${sid('ann')}%20/events`],
  ['GET', `/ws?site=${sid('ann')}%20`],
  ['POST', `/socket.io/?EIO=4&transport=polling&sid=${sid('ann')}`],
  [`${sid('ann')}`, '/'],
];

async function showEverywhere(frappe) {
  const { house } = frappe;
  for (const [method, path] of WRONG_PLACES) {
    for (const more of [[], ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${sid('ann')}`]]) {
      const raw = new Raw(house);
      raw.send(head(house, `${method} ${path}`, `Cookie: sid=${sid('ann')}`, `Authorization: ${token('ann')}`, 'Content-Length: 0', ...more));
      await raw.status();
      raw.close();
    }
  }
  for (const line_ of [`Cookie sid=${sid('ann')}`, `Cookie: sid=${sid('ann')}\u0001`, `Origin: ${sid('ann')}\u0001`]) {
    const raw = new Raw(house);
    raw.send(head(house, 'GET /socket.io/?EIO=4&transport=polling', line_));
    await raw.status();
    raw.close();
  }
}

for (const format of ['text', 'json']) {
  for (const version of [13, 15, 17]) {
    test(`v${version}, ${format}: no session id at the chattiest level, whatever goes wrong`, async (t) => {
      const frappe = await FrappeHouse.open(t, { version, args: ['--log-format', format, '--auth-timeout-ms', '400', '--recovery', 'on'] });
      const nsp = version < 15 ? '/' : `/${SITE}`;
      for (const mode of ['websocket', 'polling', 'upgraded']) {
        const seat = await frappe.connect({ nsp, mode });
        seat.socket.emit('doctype_subscribe', 'ToDo');
        seat.socket.emit('task_subscribe', { task_id: 'x', since: 'nonsense' });
        await seat.heard();
        const old = await frappe.connect({ nsp: '/', mode, library: io2 });
        await old.heard();
        old.socket.disconnect();
        // A pid that is another's, and an offset of nobody.
        frappe.seat({ nsp, mode, who: 'bob', options: { auth: { pid: seat.socket._pid, offset: sid('ann') } } });
        // Whoever knows the id of a connection and uses it wrongly.
        for (const query of [`EIO=3&transport=polling&sid=${seat.socket.io.engine.id}`, `EIO=4&transport=nonsense&sid=${seat.socket.io.engine.id}`]) {
          await fetch(`${frappe.house.url}/socket.io/?${query}`, { method: 'POST', body: '9' });
        }
        seat.socket.io.engine.close();
      }
      for (const fault of ['forbidden', 'unauthorized', 'error', 'moved', 'garbage', 'empty', 'cut', 'hang', 'stranger']) {
        frappe.web.fault = fault;
        await frappe.seat({ nsp }).refused();
        if (version >= 15) await frappe.seat({ nsp, who: null, headers: { Authorization: token('bob') } }).refused();
      }
      frappe.web.fault = null;
      await frappe.web.down();
      await frappe.seat({ nsp }).refused();
      await frappe.seat({ nsp: `/x?sid=${sid('ann')}` }).refused();
      await showEverywhere(frappe);
      const stream = new SseReader(frappe.house, eventsPath('x', { site: SITE }), { headers: FrappeHouse.headersOf('ann') });
      await stream.answered();
      const ws = new WsReader(frappe.house, { site: SITE }, { headers: FrappeHouse.headersOf('ann') });
      await ws.ask({ op: 'subscribe', task_id: sid('ann'), since: sid('ann') }, 'error');
      // Not an empty log, and not an empty list of what may not be in it.
      assert.match(frappe.house.broker.child.output, /socket connected/);
      assert.ok(frappe.secrets.size >= 9, `${frappe.secrets.size} ids`);
      frappe.isDiscreet();
    });
  }
}
