// hostile-sockets.test.mjs - WebSocket frames and Engine.IO packets no client should send.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { House } from './lib/house.mjs';
import { request } from './lib/publish.mjs';
import { RawWs } from './lib/raw.mjs';
import { until } from './lib/wait.mjs';
import { Witness } from './lib/witness.mjs';

const ENGINE = '/socket.io/?EIO=4&transport=';
const CLOSES = true;

// Who breaks the protocol answers no close frame either: it is not waited for long.
const openHouse = (t) => House.open(t, { args: ['--close-timeout-ms', '200'] });

// [what, what is done to an open connection]; each must end that connection.
const FRAMES = [
  ['a reserved bit', (ws) => ws.frame(0xc1, 'hello')],
  ['an unknown opcode', (ws) => ws.frame(0x83, 'hello')],
  ['a control frame in pieces', (ws) => ws.frame(0x09, 'hello')],
  ['a long control frame', (ws) => ws.frame(0x89, 'x'.repeat(126))],
  ['a continuation of nothing', (ws) => ws.frame(0x80, 'hello')],
  ['a length of 2^63', (ws) => ws.frame(0x81, 'x', { length: 1n << 63n })],
  ['a length of 2^40', (ws) => ws.frame(0x81, 'x'.repeat(3 << 20), { length: 1n << 40n })],
  ['a close frame of one byte', (ws) => ws.frame(0x88, 'x')],
  ['text that is no UTF-8', (ws) => ws.frame(0x81, Buffer.from([0xff, 0xfe]))],
];

for (const path of ['/ws', `${ENGINE}websocket`]) {
  test(`broken WebSocket frames close that connection and nobody notices: ${path}`, async (t) => {
    const house = await openHouse(t);
    const witness = await Witness.of(house);
    for (const [what, act] of FRAMES) {
      const ws = await new RawWs(house, path).opened();
      act(ws);
      await ws.closed().catch((error) => assert.fail(`${what}: ${error.message}`));
      await witness.isFine(what);
    }
  });
}

// [what, text messages sent on a fresh connection, must it close?]; 40 joins the root namespace.
const PACKETS = [
  ['an empty packet', [''], CLOSES],
  ['an unknown Engine.IO type', ['9'], CLOSES],
  ['a letter', ['x'], CLOSES],
  ['a ping from the client', ['40', '2'], CLOSES],
  ['an upgrade without a probe', ['40', '5'], false],
  ['a message without a type', ['4'], CLOSES],
  ['an unknown Socket.IO type', ['47'], CLOSES],
  ['an event before the connect', ['42["x"]'], CLOSES],
  ['an event for a namespace not joined', ['40', '42/other,["x"]'], CLOSES],
  ['a second connect', ['40', '40'], CLOSES],
  ['a connect error from a client', ['40', '44{"message":"x"}'], CLOSES],
  ['an event that is no list', ['40', '42{"a":1}'], CLOSES],
  ['an empty event', ['40', '42[]'], CLOSES],
  ['an event named by an object', ['40', '42[{}]'], CLOSES],
  ['an event that is cut off', ['40', '42["x"'], CLOSES],
  ['an event with NaN', ['40', '42["x",NaN]'], CLOSES],
  ['an acknowledgement id that is none', ['40', '42-1["x"]'], CLOSES],
  ['an acknowledgement nobody asked for', ['40', '4399999999999999999999[1]'], false],
  ...['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']
    .map((name) => [`the reserved name ${name}`, ['40', `42["${name}"]`], CLOSES]),
  ['attachments that never come', ['40', '451-["x",{"_placeholder":true,"num":0}]', '42["x"]'], CLOSES],
  ['a placeholder out of range', ['40', '451-["x",{"_placeholder":true,"num":7}]'], false],
  ['a million attachments', ['40', '451000000-["x"]'], CLOSES],
  ['attachments without a number', ['40', '45-["x"]'], CLOSES],
  ['a connect with a payload that is no object', ['40["x"]'], CLOSES],
  ['a connect with broken JSON', ['40{"a":'], CLOSES],
  ['a disconnect with a payload', ['40', '41{}'], CLOSES],
  ['a very long namespace', [`40/${'n'.repeat(5000)},`], false],
  ['a hostile namespace', ['40/../../etc/passwd,'], false],
  ['very deep arguments', ['40', `42["task_subscribe",${'['.repeat(50000)}${']'.repeat(50000)}]`], false],
  ['very many arguments', ['40', `42["task_subscribe"${',1'.repeat(100000)}]`], false],
  ['a task id that is an object', ['40', '42["task_subscribe",{"task_id":{}}]'], false],
  ['a subscription to null', ['40', '42["task_subscribe",null]'], false],
  ['events nobody knows', ['40', '42["open_in_editor",{"file":"/etc/passwd"}]', '42["__proto__",{}]'], false],
  ['a message beyond the bound', ['40', `42["x","${'x'.repeat(1000001)}"]`], CLOSES],
];

test('broken packets over WebSocket close that connection at most, and nobody notices', async (t) => {
  const house = await openHouse(t);
  const witness = await Witness.of(house);
  for (const [what, messages, closes] of PACKETS) {
    const ws = await new RawWs(house, `${ENGINE}websocket`).opened();
    for (const message of messages) ws.message(message);
    if (closes) await ws.closed().catch((error) => assert.fail(`${what}: ${error.message}`));
    await witness.isFine(what);
    ws.close();
  }
});

async function handshake(house) {
  const { status, text } = await request(house, 'GET', `${ENGINE}polling`);
  assert.equal(status, 200, text);
  const open = JSON.parse(text.slice(1));
  return { ...open, url: `${ENGINE}polling&sid=${open.sid}` };
}

test('the handshake over polling has exactly its five keys', async (t) => {
  const house = await openHouse(t);
  const { url, ...open } = await handshake(house);
  assert.deepEqual(Object.keys(open).sort(), ['maxPayload', 'pingInterval', 'pingTimeout', 'sid', 'upgrades']);
  assert.match(open.sid, /^[\w-]{20,}$/);
  assert.deepEqual(open.upgrades, ['websocket']);
});

test('handshakes out of form are refused with the code of the protocol', async (t) => {
  const house = await openHouse(t);
  const witness = await Witness.of(house);
  const rows = [
    ['no transport', 'GET', '/socket.io/?EIO=4', 0],
    ['an unknown transport', 'GET', `${ENGINE}carrier-pigeon`, 0],
    ['a transport from the prototype', 'GET', `${ENGINE}__proto__`, 0],
    ['an unknown sid', 'GET', `${ENGINE}polling&sid=xxxxxxxxxxxxxxxxxxxx`, 1],
    ['a hostile sid', 'GET', `${ENGINE}polling&sid=${'%00'.repeat(50)}`, 1],
    ['a POST without a sid', 'POST', `${ENGINE}polling`, 2],
    ['a WebSocket without an upgrade', 'GET', `${ENGINE}websocket`, 3],
  ];
  for (const [what, method, path, code] of rows) {
    const { status, json } = await request(house, method, path, method === 'POST' ? { body: '40' } : {});
    assert.equal(status, 400, what);
    assert.equal(json.code, code, what);
    assert.equal(typeof json.message, 'string', what);
    await witness.isFine(what);
  }
});

// [what, headers, body, accepted statuses, does the session live on?]
const POLLED = [
  ['an empty body', {}, '', [400], false],
  ['an unknown type', {}, '9', [400], false],
  ['a letter', {}, 'hello', [400], false],
  ['an empty packet between others', {}, '40\x1e\x1e40', [400], false],
  ['binary that is no base64', {}, 'b!!!!', [200, 400], null],
  ['a body of bytes', { 'content-type': 'application/octet-stream' }, '40', [400], false],
  ['text that is no UTF-8', {}, Buffer.from([0x34, 0x32, 0xff, 0xfe]), [200, 400], null],
  ['a body beyond maxPayload', {}, `4${'x'.repeat(1000000)}`, [413], true],
];

test('broken payloads over polling end that session at most, and nobody notices', async (t) => {
  const house = await openHouse(t);
  const witness = await Witness.of(house);
  for (const [what, headers, body, statuses, lives] of POLLED) {
    const { url } = await handshake(house);
    const { status } = await request(house, 'POST', url, { body, headers });
    assert.ok(statuses.includes(status), `${what}: ${status}`);
    if (lives !== null) {
      const next = await request(house, 'POST', url, { body: '40' });
      assert.equal(next.status, lives ? 200 : 400, `${what}: the session ${lives ? 'lives' : 'ended'}`);
    }
    await witness.isFine(what);
  }
});

test('a second GET at once ends the session, with the reasons the protocol gives', async (t) => {
  const house = await openHouse(t);
  const witness = await Witness.of(house);
  const { url } = await handshake(house);
  await request(house, 'POST', url, { body: '40' });
  await request(house, 'GET', url);
  const first = request(house, 'GET', url);
  // The first is held from the moment the broker has counted it; only then may the second go.
  await until(async () => (await request(house, 'GET', '/healthz')).status === 200, 'a turn of the broker');
  const [held, second] = await Promise.all([first, request(house, 'GET', url)]);
  assert.deepEqual([held.status, second.status].sort(), [200, 400]);
  assert.equal([held, second].find(({ status }) => status === 200).text, '1');
  const after = await request(house, 'GET', url);
  assert.equal(after.json.code, 1);
  await witness.isFine('two GETs at once');
});
