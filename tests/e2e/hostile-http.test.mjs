// hostile-http.test.mjs - requests no client should send: the right error, and nobody notices.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { House } from './lib/house.mjs';
import { request } from './lib/publish.mjs';
import { head, Raw } from './lib/raw.mjs';
import { Witness } from './lib/witness.mjs';

const POST = 'POST /v1/tasks/t/events';
const EVENT = '{"type":"text","text":"a","partial":true}';

// [what, lines of the head after Host, body, accepted statuses; 0 = closed without an answer]
const REQUESTS = [
  ['a chunked body', [POST, 'Transfer-Encoding: chunked'], `29\r\n${EVENT}\r\n0\r\n\r\n`, [411]],
  ['a body without a length', [POST], '', [411]],
  ['a length and chunks at once', [POST, 'Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n', [400, 411]],
  ['two lengths', [POST, 'Content-Length: 5', 'Content-Length: 6'], 'abcdef', [400, 411, 422]],
  ['a negative length', [POST, 'Content-Length: -5'], 'abcde', [400, 411]],
  ['a length that is no number', [POST, 'Content-Length: many'], 'abcde', [400, 411]],
  ['a length beyond 64 bits', [POST, 'Content-Length: 99999999999999999999999'], 'abcde', [400, 411, 413]],
  ['a body beyond the bound', [POST, 'Content-Length: 1073741824'], 'abcde', [413]],
  ['an upgrade to something else', ['GET /ws', 'Connection: Upgrade', 'Upgrade: foo'], '', [0, 400, 403, 426]],
  ['an upgrade to h2c', ['GET /healthz', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'], '', [0, 200, 400, 403]],
  ['an upgrade on no WebSocket path', ['GET /healthz', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='], '', [0, 400, 403, 404]],
  ['an upgrade without a key', ['GET /ws', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'], '', [0, 400, 403]],
  ['an old WebSocket version', ['GET /ws', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 8', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='], '', [0, 400, 426]],
  ['an unknown subprotocol', ['GET /ws', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Protocol: nonsense'], '', [0, 101, 400, 403]],
  ['a header beyond the bound', ['GET /healthz', `X-Long: ${'x'.repeat(200000)}`], '', [0, 400, 413, 431]],
  ['ten thousand headers', ['GET /healthz', ...Array(10000).fill('X-More: 1')], '', [0, 400, 413, 431]],
  ['a path beyond the bound', [`GET /${'x'.repeat(100000)}`], '', [0, 400, 404, 413, 414, 431]],
  ['a path up to somewhere else', ['GET /v1/tasks/../../../etc/passwd'], '', [400, 404, 422]],
  ['dots that are escaped', ['GET /v1/tasks/%2e%2e/%2e%2e/etc/passwd'], '', [400, 404, 422]],
  ['an escaped slash', ['GET /v1/tasks/a%2Fb'], '', [400, 404, 422]],
  ['an escaped NUL', ['GET /v1/tasks/a%00b'], '', [400, 404, 422]],
  ['an escape that is none', ['GET /v1/tasks/a%zz'], '', [400, 404, 422]],
  ['half an escape', ['GET /v1/tasks/a%'], '', [400, 404, 422]],
  ['bytes that are no UTF-8', ['GET /v1/tasks/%ff%fe'], '', [400, 404, 422]],
  ['a space in the path', ['GET /v1/tasks/a%20b'], '', [422]],
  ['a path without a slash', ['GET healthz'], '', [0, 400, 404]],
  ['an unknown path', ['GET /nothing/here'], '', [404]],
  ['an unknown method', ['BREW /healthz'], '', [0, 400, 404, 405, 501]],
  ['a method that does not fit', ['DELETE /healthz'], '', [405]],
  ['a PUT of events', ['PUT /v1/tasks/t/events', 'Content-Length: 2'], '{}', [405]],
  ['no Host at all', null, 'GET /healthz HTTP/1.1\r\n\r\n', [0, 200, 400]],
  ['the HTTP/2 preface', null, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00', [0, 400, 403, 404, 505]],
  ['a TLS hello', null, Buffer.from('16030100c8010000c40303', 'hex'), null],
  ['NUL bytes', null, Buffer.alloc(5000), null],
  ['line feeds', null, '\n'.repeat(5000), null],
  ['binary noise', null, Buffer.from(Array.from({ length: 5000 }, (_, n) => (n * 7919) % 256)), null],
];

for (const bus of ['memory', 'Redis']) {
  test(`requests out of shape get the right error and nobody notices (${bus} bus)`, async (t) => {
    const house = await House.open(t, { redis: bus === 'Redis' });
    const witness = await Witness.of(house);
    for (const [what, lines, body, statuses] of REQUESTS) {
      const raw = new Raw(house);
      raw.send(lines ? head(house, ...lines) : '');
      raw.send(body);
      if (statuses) {
        const status = await raw.status().catch((error) => assert.fail(`${what}: ${error.message}`));
        assert.ok(statuses.includes(status), `${what}: ${status}\n${raw.text.slice(0, 400)}`);
        if (status >= 400 && /"error"/.test(raw.text)) assert.match(raw.text, /"code":"[A-Z0-9_]+"/, what);
      }
      raw.close();
      await witness.isFine(what);
    }
  });
}

test('a chunked request cannot smuggle another one', async (t) => {
  const house = await House.open(t);
  const raw = new Raw(house);
  raw.send(head(house, POST, 'Content-Length: 4', 'Transfer-Encoding: chunked'));
  raw.send(`0\r\n\r\n${head(house, 'GET /healthz')}`);
  await raw.closed();
  assert.equal(raw.text.match(/HTTP\/1\.1/g).length, 1, raw.text);
});

test('pipelined upgrades to something else never harm the process', async (t) => {
  const house = await House.open(t);
  const witness = await Witness.of(house);
  for (let n = 1; n < 6; n++) {
    const raw = new Raw(house);
    raw.send(head(house, 'GET /healthz').repeat(n));
    raw.send(head(house, 'GET /ws', 'Connection: Upgrade', 'Upgrade: foo').repeat(n));
    raw.send(head(house, 'GET /healthz').repeat(n));
    await raw.status();
    raw.close();
  }
  await witness.isFine('pipelined upgrades');
});

test('requests cut off at every byte leave nothing behind', async (t) => {
  const house = await House.open(t);
  const witness = await Witness.of(house);
  const whole = head(house, POST, `Content-Length: ${EVENT.length}`) + EVENT;
  for (let cut = 1; cut < whole.length; cut += 3) {
    const raw = new Raw(house);
    raw.socket.end(whole.slice(0, cut));
    await raw.closed();
  }
  await witness.isFine('requests that were cut off');
  const { status } = await request(house, 'GET', '/v1/tasks/t');
  assert.equal(status, 404, 'no part of a request was published');
});

// [what, body, the field at fault or undefined]
const BODIES = [
  ['nothing', ''],
  ['half an object', '{"type":"text"'],
  ['null', 'null'],
  ['a list', '[]'],
  ['a number', '7'],
  ['a string', '"text"'],
  ['NaN', '{"type":"text","text":"a","partial":true,"n":NaN}'],
  ['Infinity', '{"type":"text","text":"a","partial":true,"n":Infinity}'],
  ['a trailing comma', '{"type":"text","text":"a","partial":true,}'],
  ['single quotes', "{'type':'text'}"],
  ['a raw newline in a string', '{"type":"text","text":"a\nb","partial":true}'],
  ['half a surrogate pair', '{"type":"text","text":"\\ud83d","partial":true}'],
  ['bytes that are no UTF-8', Buffer.concat([Buffer.from('{"type":"text","partial":true,"text":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')])],
  ['an overlong encoding', Buffer.concat([Buffer.from('{"type":"text","partial":true,"text":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')])],
  ['a NUL byte', '{"type":"text","text":"a\x00b","partial":true}'],
  ['no type', '{"text":"a","partial":true}', 'type'],
  ['a type that is no string', '{"type":7}', 'type'],
  ['text without text', '{"type":"text","partial":true}', 'text'],
  ['text that is no string', '{"type":"text","text":7,"partial":true}', 'text'],
  ['partial that is no boolean', '{"type":"text","text":"a","partial":"yes"}', 'partial'],
  ['another task', '{"type":"text","text":"a","partial":true,"task_id":"other"}', 'task_id'],
  ['a timestamp out of form', '{"type":"text","text":"a","partial":true,"timestamp":"yesterday"}', 'timestamp'],
  ['very deep JSON', `{"type":"status","a":${'['.repeat(5000)}${']'.repeat(5000)}}`],
  ['a good line and a bad one', `${EVENT}\n{"type":`],
];

test('bodies out of form are answered 422, name the field, and publish nothing', async (t) => {
  const house = await House.open(t);
  const witness = await Witness.of(house);
  for (const [what, body, field] of BODIES) {
    const { status, json } = await request(house, 'POST', '/v1/tasks/bodies/events', { body });
    assert.ok(status === 422 || status === 400, `${what}: ${status}`);
    assert.match(json.error.code, /^[A-Z_]+$/, what);
    if (field) assert.equal(json.error.field, field, what);
  }
  assert.equal((await request(house, 'GET', '/v1/tasks/bodies')).status, 404);
  const large = JSON.stringify({ type: 'text', text: 'x'.repeat(2 << 20), partial: true });
  const { status } = await request(house, 'POST', '/v1/tasks/bodies/events', { body: large });
  assert.ok(status === 413 || status === 422, `a large event: ${status}`);
  await witness.isFine('bodies out of form');
});

test('idempotency headers out of form are refused', async (t) => {
  const house = await House.open(t);
  const rows = [
    { 'thinkwire-producer': 'a b', 'thinkwire-epoch': '1', 'thinkwire-counter': '1' },
    { 'thinkwire-producer': 'p', 'thinkwire-epoch': 'x', 'thinkwire-counter': '1' },
    { 'thinkwire-producer': 'p', 'thinkwire-epoch': '1', 'thinkwire-counter': '0' },
    { 'thinkwire-epoch': '1', 'thinkwire-counter': '1' },
    { 'thinkwire-producer': 'p', 'thinkwire-epoch': '1' },
  ];
  for (const headers of rows) {
    const { status, json } = await request(house, 'POST', '/v1/tasks/t/events', { body: EVENT, headers });
    assert.equal(status, 422, JSON.stringify(headers));
    assert.match(json.error.code, /^[A-Z_]+$/);
  }
  const unknown = await request(house, 'POST', '/v1/tasks/t/events', {
    body: EVENT, headers: { 'thinkwire-producer': 'p', 'thinkwire-epoch': '5', 'thinkwire-counter': '1' },
  });
  assert.equal(unknown.status, 409);
  assert.equal(unknown.json.error.code, 'UNKNOWN_RUN');
});
