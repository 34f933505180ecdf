// clients-node.test.mjs - every stock Socket.IO client of Node.js over every transport.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { Cable } from './lib/cable.mjs';
import { ALL, ClientReader, MODES } from './lib/clients.mjs';
import { assertIdsRise, fold, script } from './lib/fold.mjs';
import { FrappeWeb } from './lib/frappe-web.mjs';
import { House } from './lib/house.mjs';
import { post } from './lib/publish.mjs';

const SITE = 'one.local';
const open = (t, ...args) => House.open(t, { redis: false, args });

for (const [version, mode] of ALL) {
  const name = `socket.io-client ${version}, ${mode}`;
  const client = (house, more) => new ClientReader(house, { version, mode, ...more });

  test(`${name}: 200 events in order, to both forms of subscription`, async (t) => {
    const house = await open(t);
    const { events, told } = script('all', 200, { task_id: 'all' });
    const reader = await client(house).connected();
    const native = await client(house, { nsp: `/${SITE}` }).connected();
    const answer = await reader.subscribe('all');
    assert.equal(answer.ok, true);
    assert.equal(answer.task_id, 'all');
    const state = await native.subscribe({ task_id: 'all' });
    assert.deepEqual([state.ok, state.state, state.replayed], [true, 'unknown', 0]);
    await post(house, { task: 'all' }, events, { lines: 50 });
    await post(house, { site: SITE, task: 'all' }, events, { lines: 50 });
    await reader.end();
    assert.deepEqual(reader.events, events);
    await native.end();
    const { end, ...heard } = fold(native.items);
    assert.deepEqual(heard, told);
    assert.equal(end.text, told.text);
    assertIdsRise(native.items);
  });

  test(`${name}: binary is acknowledged as an unknown event, and the socket lives`, async (t) => {
    const house = await open(t);
    const reader = await client(house).connected();
    for (const bytes of [Buffer.from([0, 0x1e, 0xff]), Buffer.alloc(70_000, 7)]) {
      const answer = await reader.ask('upload', { name: 'é', parts: [bytes, bytes] });
      assert.equal(answer.ok, false);
      assert.equal(answer.error.code, 'UNKNOWN_EVENT');
    }
    reader.socket.emit('upload', Buffer.from('nobody asks'));
    assert.equal((await reader.subscribe('after')).ok, true);
    await post(house, { task: 'after' }, [{ type: 'text', text: 'x', partial: true }]);
    await reader.count(1);
    assert.deepEqual(reader.disconnects, []);
  });

  test(`${name}: unsubscribes one task, then disconnects for good`, async (t) => {
    const house = await open(t);
    const reader = await client(house).connected();
    await reader.subscribe('u1');
    await reader.subscribe({ task_id: 'u2' });
    await reader.ask('task_unsubscribe', 'u1');
    await post(house, { task: 'u1' }, [{ type: 'text', text: 'unheard', partial: true }]);
    await post(house, { task: 'u2' }, [{ type: 'text', text: 'heard', partial: true }]);
    await reader.count(1);
    await reader.subscribe('u3');
    assert.deepEqual(reader.events.map(({ text }) => text), ['heard']);
    reader.close();
    await reader.disconnected();
    assert.deepEqual(reader.disconnects, ['io client disconnect']);
    await post(house, { task: 'u3' }, [{ type: 'text', text: 'gone', partial: true }]);
    assert.equal(reader.events.length, 1);
  });

  test(`${name}: cut, it comes back, subscribes from where it was and misses nothing`, async (t) => {
    const house = await open(t);
    const cable = await Cable.open(house);
    const { events, told } = script('cut', 200, { task_id: 'cut' });
    const reader = client(cable);
    reader.socket.on('connect', () => {
      const since = reader.events.at(-1)?.id;
      reader.socket.emit('task_subscribe', { task_id: 'cut', since });
    });
    await reader.connected();
    await reader.ask('task_subscribe', 'ready');
    const ids = await post(house, { task: 'cut' }, events.slice(0, 100), { lines: 20 });
    await reader.wait(() => reader.events.at(-1)?.id === ids.at(-1), 'the first half');
    cable.pull();
    await reader.disconnected();
    await post(house, { task: 'cut' }, events.slice(100, 150), { lines: 20 });
    cable.plug();
    await reader.wait(() => reader.socket.connected, 'the second connection');
    await post(house, { task: 'cut' }, events.slice(150), { lines: 20 });
    await reader.end();
    const { end, ...heard } = fold(reader.items);
    assert.deepEqual(heard, told);
    assert.equal(end.text, told.text);
    assertIdsRise(reader.items);
    assert.match(reader.disconnects.join(), /^transport (close|error)$/);
  });

  test(`${name}: a namespace that is no site is refused, the right one is not`, async (t) => {
    const house = await open(t, '--sites', SITE);
    const reader = client(house, { nsp: '/two.local' });
    assert.equal((await reader.refused()).message, 'Invalid namespace');
    assert.equal(reader.socket.connected, false);
    const right = await client(house, { nsp: `/${SITE}` }).connected();
    assert.equal((await right.subscribe('here')).ok, true);
  });

  test(`${name}: a Frappe bench lets in who it knows, and refuses others in words`, async (t) => {
    const web = await FrappeWeb.open({ version: 15 });
    t.after(() => web.close());
    web.login('good', 'ann@x.y');
    web.token('token a:b', 'bot@x.y');
    const house = await open(t, '--frappe', 'on',
      '--frappe-web-base', web.url, '--events-redis', 'none');
    const as = (headers) => client(house, {
      nsp: `/${SITE}`,
      options: { extraHeaders: { 'X-Frappe-Site-Name': SITE, ...headers } },
    });
    const refusals = [
      [{}, 'No cookie transmitted.'],
      [{ cookie: 'a=b' }, 'No authentication method used. Use cookie or authorization header.'],
      [{ cookie: 'a=b', authorization: 'token x:y' }, /^Unauthorized/],
      [{ cookie: 'sid=good', origin: 'http://elsewhere.example' }, 'Invalid origin'],
    ];
    for (const [headers, message] of refusals) {
      const refusal = await as(headers).refused();
      if (typeof message === 'string') assert.equal(refusal.message, message);
      else assert.match(refusal.message, message);
    }
    for (const headers of [{ cookie: 'sid=good' }, { cookie: 'a=b', authorization: 'token a:b' }]) {
      const reader = await as(headers).connected();
      assert.equal((await reader.subscribe({ task_id: 'mine' })).ok, true);
    }
  });
}

const RECOVERING = { version: '4.x', options: { auth: { recovery: true } } };

for (const mode of MODES) {
  test(`recovery, ${mode}: rooms, id and what was missed come back, again and again`, async (t) => {
    const house = await open(t);
    const cable = await Cable.open(house);
    const { events } = script('rec', 90, { task_id: 'rec' });
    const reader = await new ClientReader(cable, { mode, ...RECOVERING }).connected();
    await reader.subscribe('rec');
    const { id } = reader.socket;
    for (let round = 0; round < 3; round++) {
      const at = round * 30;
      // The first cut comes before any event.
      await reader.count(at);
      cable.pull();
      await reader.wait(() => reader.disconnects.length === round + 1, 'the cut');
      await post(house, { task: 'rec' }, events.slice(at, at + 10), { lines: 5 });
      cable.plug();
      await reader.wait(() => reader.socket.connected, 'to be back');
      assert.equal(reader.socket.recovered, true);
      assert.equal(reader.socket.id, id);
      await post(house, { task: 'rec' }, events.slice(at + 10, at + 30), { lines: 5 });
    }
    await post(house, { task: 'rec' }, events.slice(90));
    await reader.end();
    assert.deepEqual(reader.events, events);
  });

  test(`recovery, ${mode}: also when it is back before the broker has noticed the cut`, async (t) => {
    const house = await open(t);
    const cable = await Cable.open(house);
    const { events } = script('soon', 40, { task_id: 'soon' });
    const reader = await new ClientReader(cable, { mode, ...RECOVERING }).connected();
    await reader.subscribe('soon');
    await post(house, { task: 'soon' }, events.slice(0, 10));
    await reader.count(10);
    cable.pull({ quietly: true });
    await reader.disconnected();
    await post(house, { task: 'soon' }, events.slice(10, 20));
    cable.plug();
    await reader.wait(() => reader.socket.connected, 'to be back');
    assert.equal(reader.socket.recovered, true);
    await post(house, { task: 'soon' }, events.slice(20));
    await reader.end();
    assert.deepEqual(reader.events, events);
  });

  test(`recovery, ${mode}: what is unknown is a fresh session, and says so`, async (t) => {
    const house = await open(t);
    const cable = await Cable.open(house);
    const reader = await new ClientReader(cable, { mode, ...RECOVERING }).connected();
    const { id } = reader.socket;
    reader.socket._pid = 'f'.repeat(24);
    cable.pull();
    await reader.disconnected();
    cable.plug();
    await reader.wait(() => reader.socket.connected, 'to be back');
    assert.equal(reader.socket.recovered, false);
    assert.notEqual(reader.socket.id, id);
  });
}
