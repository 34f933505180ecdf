// socketio.test.mjs - what stock Socket.IO clients ask, and what they are answered.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { io as io40 } from 'socket.io-client-40';
import { io as io3 } from 'socket.io-client-3';
import { script } from './lib/fold.mjs';
import { House } from './lib/house.mjs';
import { frappeModern, post } from './lib/publish.mjs';
import { SIO_TRANSPORTS, SioReader } from './lib/readers.mjs';

const text = (words) => ({ type: 'text', text: words, partial: true });

for (const mode of Object.keys(SIO_TRANSPORTS)) {
  test(`${mode}: a socket has a 20-character id and both forms are acknowledged`, async (t) => {
    const house = await House.open(t);
    const reader = await new SioReader(house, { mode }).connected();
    assert.match(reader.socket.id, /^[\w-]{20}$/);
    const string = await reader.subscribe('forms');
    assert.equal(string.ok, true);
    assert.equal(string.task_id, 'forms');
    const object = await reader.subscribe({ task_id: 'forms2' });
    assert.equal(object.ok, true);
    assert.equal(object.state, 'unknown');
    assert.equal(object.replayed, 0);
  });

  test(`${mode}: the acknowledgement comes before any replay`, async (t) => {
    const house = await House.open(t);
    await post(house, { task: 'first' }, [text('a'), text('b')]);
    const reader = await new SioReader(house, { mode }).connected();
    const order = [];
    reader.socket.onAny((name) => order.push(name));
    reader.socket.emit('task_subscribe', { task_id: 'first' }, () => order.push('ack'));
    await reader.count(1);
    assert.equal(order[0], 'ack');
    assert.equal(reader.events.map((event) => event.text).join(''), 'ab');
  });

  test(`${mode}: task_unsubscribe ends the events of that task only`, async (t) => {
    const house = await House.open(t);
    const reader = await new SioReader(house, { mode }).connected();
    await reader.subscribe('u1');
    await reader.subscribe({ task_id: 'u2' });
    reader.socket.emit('task_unsubscribe', 'u1');
    reader.socket.emit('ping');
    await reader.item('pong');
    await post(house, { task: 'u1' }, [text('unheard')]);
    await post(house, { task: 'u2' }, [text('heard')]);
    await reader.count(1);
    assert.deepEqual(reader.events.map((event) => event.text), ['heard']);
  });

  test(`${mode}: \`ping\` is answered with \`pong\` without arguments`, async (t) => {
    const house = await House.open(t);
    const reader = await new SioReader(house, { mode }).connected();
    reader.socket.emit('ping');
    assert.deepEqual((await reader.item('pong')).args, []);
  });
}

test('subscribing again, or without an acknowledgement, gives each event once', async (t) => {
  const house = await House.open(t);
  const reader = await new SioReader(house).connected();
  reader.socket.emit('task_subscribe', 'again');
  await reader.subscribe('again');
  await reader.subscribe('again');
  await post(house, { task: 'again' }, [text('a'), text('b')]);
  await reader.count(2);
  reader.socket.emit('ping');
  await reader.item('pong');
  assert.deepEqual(reader.events.map((event) => event.text), ['a', 'b']);
});

test('a refused subscription is acknowledged with its code, and the socket lives', async (t) => {
  const house = await House.open(t);
  const reader = await new SioReader(house).connected();
  const refused = [
    { task_id: 'a b' }, { task_id: '' }, { task_id: 7 }, {},
    { task_id: 't', since: 'x' }, { task_id: 't', from: 'end' }, { task_id: 'x'.repeat(129) },
  ];
  for (const what of refused) {
    const answer = await reader.subscribe(what);
    assert.equal(answer.ok, false, JSON.stringify(what));
    assert.match(answer.error.code, /^[A-Z_]+$/, JSON.stringify(what));
    assert.equal(typeof answer.error.message, 'string');
  }
  assert.equal((await reader.subscribe('fine')).ok, true);
});

test('a task nobody knows gives `task_error` after a while', async (t) => {
  const house = await House.open(t, { args: ['--wait-unknown-ms', '200'] });
  const reader = await new SioReader(house).connected();
  await reader.subscribe({ task_id: 'nobody' });
  const { data } = await reader.item('task_error');
  assert.equal(data.task_id, 'nobody');
  assert.equal(data.code, 'UNKNOWN_TASK');
  assert.equal(typeof data.message, 'string');
});

test('task_stop ends the run for every reader', async (t) => {
  const house = await House.open(t);
  const reader = await new SioReader(house).connected();
  await reader.subscribe({ task_id: 'stop' });
  await post(house, { task: 'stop' }, [text('so far')]);
  await reader.count(1);
  const answer = await reader.ask('task_stop', 'stop');
  assert.equal(typeof answer, 'object');
  assert.equal((await reader.end()).type, 'stopped');
});

test('namespaces are sites: nothing crosses, and one connection may join several', async (t) => {
  const house = await House.open(t);
  const one = await new SioReader(house, { nsp: '/one.local' }).connected();
  const two = await new SioReader(house, { nsp: '/two.local' }).connected();
  const root = await new SioReader(house).connected();
  for (const reader of [one, two, root]) await reader.subscribe('same');
  await post(house, { site: 'one.local', task: 'same' }, [text('one')]);
  await frappeModern(house, { site: 'two.local', task: 'same' }, [text('two')]);
  await post(house, { task: 'same' }, [text('root')]);
  for (const [reader, words] of [[one, 'one'], [two, 'two'], [root, 'root']]) {
    await reader.count(1);
    reader.socket.emit('ping');
    await reader.item('pong');
    assert.deepEqual(reader.events.map((event) => event.text), [words]);
  }
  const both = new SioReader(house, { nsp: '/one.local', options: { forceNew: false } });
  await both.connected();
  const second = both.socket.io.socket('/two.local');
  await both.wait(() => second.connected || (second.once('connect', () => both.changed()), false), 'the second namespace');
  assert.notEqual(second.id, both.socket.id);
  second.disconnect();
});

test('only the sites of --sites exist', async (t) => {
  const house = await House.open(t, { args: ['--sites', 'one.local'] });
  await new SioReader(house, { nsp: '/one.local' }).connected();
  const other = new SioReader(house, { nsp: '/two.local' });
  await other.wait(() => other.refusal, 'a refusal');
  assert.equal(other.refusal.message, 'Invalid namespace');
});

test('nothing is lost or doubled while polling is upgraded under traffic', async (t) => {
  const house = await House.open(t);
  const { events } = script('upgrade', 300, { task_id: 'upgrade' });
  const reader = new SioReader(house, { mode: 'upgraded' });
  await reader.wait(() => reader.socket.connected, 'the first connect');
  await reader.subscribe('upgrade');
  await post(house, { task: 'upgrade' }, events);
  await reader.end();
  assert.equal(reader.socket.io.engine.transport.name, 'websocket');
  assert.deepEqual(reader.events, events);
});

for (const [version, library] of [['4.0', io40], ['3.1', io3]]) {
  for (const mode of Object.keys(SIO_TRANSPORTS)) {
    test(`socket.io-client ${version} over ${mode} subscribes and reads`, async (t) => {
      const house = await House.open(t);
      const { events } = script('old', 100, { task_id: 'old' });
      const reader = await new SioReader(house, { mode, library }).connected();
      assert.equal((await reader.subscribe('old')).ok, true);
      await post(house, { task: 'old' }, events, { lines: 5 });
      await reader.end();
      assert.deepEqual(reader.events, events);
    });
  }
}
