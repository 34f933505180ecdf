// frappe-wire.test.mjs - the bytes of a bench's Socket.IO server: HTTP, handshakes, refusals.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { FrappeHouse, SITE, sid } from './lib/frappe-house.mjs';
import { RawWs } from './lib/raw.mjs';

const ORIGIN = `http://${SITE}`;
const OPEN = '/socket.io/?EIO=4&transport=polling';

// fetch() lets nobody set Host: the site is named as nginx names it.
function ask(frappe, path, { who = 'ann', origin = null, ...init } = {}) {
  const headers = { 'X-Frappe-Site-Name': SITE, ...FrappeHouse.headersOf(who), ...init.headers };
  if (origin) headers.origin = origin;
  return fetch(frappe.house.url + path, { ...init, headers });
}

// ---- 2.2: what HTTP says ----

test('the handshake and its answers have the headers of the original', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const open = await ask(frappe, OPEN, { origin: ORIGIN });
  assert.equal(open.status, 200);
  assert.match(open.headers.get('content-type'), /^text\/plain/);
  assert.equal(open.headers.get('cache-control'), 'no-store');
  const cors = (answer) => ['access-control-allow-origin', 'access-control-allow-credentials', 'vary'].map((name) => answer.headers.get(name));
  assert.deepEqual(cors(open), [ORIGIN, 'true', 'Origin']);
  assert.equal(open.headers.get('set-cookie'), null);
  const text = await open.text();
  const packet = JSON.parse(text.slice(1));
  assert.equal(text[0], '0');
  assert.deepEqual({ ...packet, sid: packet.sid.length }, { sid: 20, upgrades: ['websocket'], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000 });
  const posted = await ask(frappe, `${OPEN}&sid=${packet.sid}`, { method: 'POST', body: `40/${SITE},`, origin: ORIGIN });
  assert.deepEqual([posted.status, posted.headers.get('content-type'), await posted.text()], [200, 'text/html', 'ok']);
  assert.deepEqual(cors(posted), [ORIGIN, 'true', 'Origin']);
  const preflight = await ask(frappe, OPEN, { method: 'OPTIONS', origin: ORIGIN, who: null,
    headers: { 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization,x-y' } });
  assert.equal(preflight.status, 204);
  assert.match(preflight.headers.get('access-control-allow-headers'), /(^|,)authorization,x-y$/);
  assert.deepEqual(cors(preflight).slice(0, 2), [ORIGIN, 'true']);
});

test('errors of the engine have the codes of the original, and no path hangs', async (t) => {
  const frappe = await FrappeHouse.open(t);
  for (const [path, status, body] of [
    ['/socket.io/?EIO=4&transport=polling&sid=unknown', 400, { code: 1, message: 'Session ID unknown' }],
    ['/socket.io/?EIO=4&transport=pigeon', 400, { code: 0, message: 'Transport unknown' }],
    ['/socket.io/?EIO=9&transport=polling', 400, { code: 5, message: 'Unsupported protocol version' }],
  ]) {
    const answer = await ask(frappe, path);
    assert.deepEqual([answer.status, await answer.json()], [status, body], path);
  }
  for (const [path, status] of [['/', 200], ['/healthz', 200], ['/readyz', 200], ['/nothing/here', 404], ['/socket.io/socket.io.js', 200]]) {
    const answer = await ask(frappe, path, { signal: AbortSignal.timeout(5000) });
    await answer.arrayBuffer();
    assert.equal(answer.status, status, path);
  }
});

test('packets of one answer are joined by 0x1e, and the client of v12 and v13 gets lengths', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const packet = JSON.parse((await (await ask(frappe, OPEN)).text()).slice(1));
  const at = `${OPEN}&sid=${packet.sid}`;
  await ask(frappe, at, { method: 'POST', body: `40/${SITE},` });
  assert.match(await (await ask(frappe, at)).text(), /^40\/site1\.local,\{"sid":"[\w-]{20}"\}$/);
  await ask(frappe, at, { method: 'POST', body: `42/${SITE},["ping"]\x1e42/${SITE},["ping"]` });
  assert.equal(await (await ask(frappe, at)).text(), `42/${SITE},["pong"]\x1e42/${SITE},["pong"]`);
  const old = await (await ask(frappe, '/socket.io/?EIO=3&transport=polling&b64=1')).text();
  const found = /^(\d+):0(\{.*\})$/.exec(old);
  assert.equal(Number(found[1]), found[2].length + 1);
  const again = `/socket.io/?EIO=3&transport=polling&b64=1&sid=${JSON.parse(found[2]).sid}`;
  assert.equal(await (await ask(frappe, again)).text(), '2:40');
});

// ---- 2.4: the wire form of a refusal, and that it is the last word ----

async function frames(frappe, eio, said, ...lines) {
  const ws = await new RawWs(frappe.house, `/socket.io/?EIO=${eio}&transport=websocket`, `Host: ${SITE}`, ...lines).opened();
  for (const packet of said) ws.message(packet);
  // Whatever was said before is answered before this.
  ws.message(eio === 4 ? '40/last.local,' : '40/last.local');
  await ws.wait(() => ws.text.includes('44/last.local,'), () => ws.text);
  ws.close();
  const heard = [];
  for (let at = ws.received.indexOf('\r\n\r\n') + 4; at < ws.received.length;) {
    const size = ws.received[at + 1];
    const skip = size === 126 ? 4 : 2;
    const length = size === 126 ? ws.received.readUInt16BE(at + 2) : size;
    heard.push(ws.received.toString('utf8', at + skip, at + skip + length));
    at += skip + length;
  }
  return heard.filter((packet) => packet[0] === '4' && !packet.includes('last.local'));
}

test('Engine.IO 4: a refusal is one CONNECT_ERROR with a message, and nothing follows it', async (t) => {
  const frappe = await FrappeHouse.open(t);
  const cookie = `Cookie: sid=${sid('ann')}`;
  const evil = ['Origin: http://evil.local', `X-Frappe-Site-Name: ${SITE}`];
  for (const [said, lines, heard] of [
    [[`40/${SITE},`], [cookie, ...evil], `44/${SITE},{"message":"Invalid origin"}`],
    [['40'], [cookie, ...evil], '44{"message":"Invalid origin"}'],
    [['40/other,'], [cookie], '44/other,{"message":"Invalid namespace"}'],
    [[`40/${SITE},`], [], `44/${SITE},{"message":"No cookie transmitted."}`],
    [[`40/${SITE},{"sid":"${sid('ann')}"}`], [], `44/${SITE},{"message":"No cookie transmitted."}`],
  ]) assert.deepEqual(await frames(frappe, 4, said, ...lines), [heard]);
});

test('Engine.IO 3: a refusal is the bare text', async (t) => {
  const frappe = await FrappeHouse.open(t, { version: 13 });
  assert.deepEqual(await frames(frappe, 3, [], 'Origin: http://evil.local', `X-Frappe-Site-Name: ${SITE}`), ['44"Invalid origin"']);
  assert.deepEqual(await frames(frappe, 3, []), ['44"No cookie transmitted."']);
});
