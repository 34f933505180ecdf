// ws.test.mjs - the plain WebSocket: every op, every refusal.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import WebSocket from 'ws';
import { House } from './lib/house.mjs';
import { post } from './lib/publish.mjs';
import { WsReader } from './lib/readers.mjs';

const text = (words) => ({ type: 'text', text: words, partial: true });

test('several tasks share one connection, and unsubscribing ends one of them', async (t) => {
  const house = await House.open(t);
  const reader = new WsReader(house);
  await reader.subscribe('w1');
  await reader.subscribe('w2');
  await post(house, { task: 'w1' }, [text('one')]);
  await post(house, { task: 'w2' }, [text('two')]);
  await reader.count(2);
  reader.send({ op: 'unsubscribe', task_id: 'w1' });
  await reader.ask({ op: 'ping' }, 'pong');
  await post(house, { task: 'w1' }, [text('unheard')]);
  await post(house, { task: 'w2' }, [text('heard')]);
  await reader.count(3);
  assert.deepEqual(reader.events.map((event) => event.text), ['one', 'two', 'heard']);
});

test('subscribing twice to one task gives each event once', async (t) => {
  const house = await House.open(t);
  const reader = new WsReader(house);
  await reader.subscribe('twice');
  await reader.subscribe('twice');
  await post(house, { task: 'twice' }, [text('a'), text('b')]);
  await reader.wait(() => reader.events.at(-1)?.text.endsWith('b'), 'both events');
  assert.equal(reader.events.map((event) => event.text).join(''), 'ab');
});

test('`stop` answers what became of it', async (t) => {
  const house = await House.open(t);
  const reader = new WsReader(house);
  await reader.subscribe('stop');
  await post(house, { task: 'stop' }, [text('so far')]);
  await reader.count(1);
  reader.send({ op: 'stop', task_id: 'stop' });
  const end = await reader.end();
  assert.equal(end.type, 'stopped');
});

const REFUSED = {
  'text that is no JSON': 'so long',
  'half a message': '{"op":"subscribe","task_id":',
  'null': 'null',
  'NaN': '{"op":"subscribe","task_id":NaN}',
  'a list': '["subscribe","t"]',
  'no op': '{"task_id":"t"}',
  'an unknown op': '{"op":"reboot"}',
  'an op that is no string': '{"op":7}',
  'no task id': '{"op":"subscribe"}',
  'a task id that is no string': '{"op":"subscribe","task_id":7}',
  'a task id out of form': '{"op":"subscribe","task_id":"a b"}',
  'an empty task id': '{"op":"subscribe","task_id":""}',
  'a long task id': JSON.stringify({ op: 'subscribe', task_id: 'x'.repeat(129) }),
  'a malformed since': '{"op":"subscribe","task_id":"t","since":"x"}',
  'a since that is no string': '{"op":"subscribe","task_id":"t","since":5}',
  'an unknown from': '{"op":"subscribe","task_id":"t","from":"end"}',
  'very deep JSON': `{"op":${'['.repeat(2000)}${']'.repeat(2000)}}`,
};

test('each malformed message is refused with its code, and the connection goes on', async (t) => {
  const house = await House.open(t);
  const reader = new WsReader(house);
  await reader.opened();
  for (const [what, message] of Object.entries(REFUSED)) {
    const from = reader.items.length;
    reader.send(message);
    const { data } = await reader.item('error', { from });
    assert.match(data.code, /^[A-Z_]+$/, what);
    assert.equal(typeof data.message, 'string', what);
    if (/"op":"subscribe"/.test(message) && what !== 'half a message' && what !== 'NaN') {
      assert.equal(data.re, 'subscribe', what);
    }
  }
  await reader.subscribe('after');
  await post(house, { task: 'after' }, [text('fine')]);
  await reader.count(1);
});

test('frames no client should send close the connection with the right code', async (t) => {
  const house = await House.open(t);
  const rows = [
    ['a message beyond the bound', (socket) => socket.send('x'.repeat(3 << 20)), [1009]],
    ['invalid UTF-8', (socket) => socket.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false }), [1007]],
  ];
  for (const [what, send, codes] of rows) {
    const reader = new WsReader(house);
    await reader.opened();
    send(reader.socket);
    assert.ok(codes.includes(await reader.closed()), `${what}: ${reader.closeCode}`);
  }
  const binary = new WsReader(house);
  await binary.opened();
  binary.socket.send(Buffer.from('{"op":"ping"}'));
  await binary.wait(() => binary.closeCode || binary.items.some(({ name }) => name === 'error'),
    'a binary frame to be refused');
  assert.ok(binary.closeCode === undefined || binary.closeCode === 1003, `code ${binary.closeCode}`);
});

test('an upgrade with a malformed site or on an unknown path is refused over HTTP', async (t) => {
  const house = await House.open(t);
  for (const [path, statuses] of [['/ws?site=a%20b', [400, 422]], ['/elsewhere', [404]]]) {
    const socket = new WebSocket(`ws://${house.broker.host}${path}`);
    const status = await new Promise((resolve, reject) => {
      socket.on('unexpected-response', (request, answer) => resolve(answer.statusCode));
      socket.on('open', () => reject(new Error(`${path} was opened`)));
      socket.on('error', reject);
    });
    socket.on('error', () => {});
    socket.terminate();
    assert.ok(statuses.includes(status), `${path}: ${status}`);
  }
});

test('the broker pings an idle connection', async (t) => {
  const house = await House.open(t, { args: ['--heartbeat-ms', '200'] });
  const good = new WsReader(house);
  await good.opened();
  const pinged = new Promise((resolve) => good.socket.on('ping', resolve));
  await pinged;
  await good.ask({ op: 'ping' }, 'pong');
  assert.equal(good.closeCode, undefined);
});
