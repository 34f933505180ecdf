// frappe-connect.test.mjs - who gets in to which site, and the words of a refusal.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import io2 from 'socket.io-client-2';
import { FrappeHouse, SITE, sid, token, user } from './lib/frappe-house.mjs';
import { metric } from './lib/observe.mjs';

const VERSIONS = [13, 14, 15, 16, 17];

// The user that a client came in as: it is in the rooms of that user and of no other.
async function nameOf(frappe, seat) {
  for (const name of ['ann@x.y', 'bob@x.y', 'wes@x.y', 'Guest']) {
    await frappe.publish(`user:${name}`, name, 'who');
  }
  const told = await seat.item('who');
  return told.data;
}

// ---- 2.3: the site ----

test('the site is the header, else the default for localhost, else Origin\'s host, else Host\'s', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--default-site', 'home.local'] });
  const { port } = frappe.house.broker;
  const rows = [
    ['X-Frappe-Site-Name wins', 'told.local', { headers: { 'X-Frappe-Site-Name': 'told.local' } }],
    ['its scheme and port are stripped', 'told.local', { headers: { 'x-frappe-site-name': 'https://told.local:8000/x' } }],
    ['it wins over the default', 'told.local', { host: 'localhost', origin: 'http://localhost', headers: { 'X-Frappe-Site-Name': 'told.local' } }],
    ['localhost is the default site', 'home.local', { host: 'localhost', origin: 'http://localhost:8000' }],
    ['with a port, too', 'home.local', { host: `localhost:${port}`, origin: `http://localhost:${port}` }],
    ['127.0.0.1 is the default site', 'home.local', { host: `127.0.0.1:${port}`, origin: `http://127.0.0.1:${port}` }],
    ['Origin names it', 'a.local', { host: 'a.local:9000', origin: 'https://a.local:8443' }],
    ['Host names it where Origin is absent', 'b.local', { host: 'b.local:9000', origin: null }],
    ['a name in upper case is the same host', 'c.local', { host: 'C.local', origin: 'http://c.LOCAL' }],
  ];
  for (const [what, site, options] of rows) {
    const seat = await frappe.connect({ nsp: `/${site}`, ...options });
    assert.equal(frappe.web.requests.at(-1).site, site, what);
    await frappe.publish(`user:${user('ann')}`, what, 'news', site);
    assert.equal((await seat.item('news')).data, what);
    assert.equal(await frappe.seat({ nsp: '/other.local', ...options }).refused(), 'Invalid namespace', what);
  }
});

test('without a default site localhost is a site like any other', async (t) => {
  const frappe = await FrappeHouse.open(t);
  await frappe.connect({ nsp: '/localhost', host: 'localhost:9000', origin: 'http://localhost:8000' });
});

test('a namespace that is not the site is refused once, over either transport', async (t) => {
  for (const version of VERSIONS) {
    const frappe = await FrappeHouse.open(t, { version });
    for (const mode of ['websocket', 'polling']) {
      for (const nsp of ['/other.local', '/SITE1.local', '/site1.local/x', '/site1.local.']) {
        const seat = frappe.seat({ mode, nsp });
        assert.equal(await seat.refused(), 'Invalid namespace', nsp);
        assert.equal(seat.refusal.data, undefined);
      }
    }
    assert.equal(frappe.web.requests.length, 0, 'the backend was asked about a stranger');
  }
});

test('with --sites a site that is not listed does not exist', async (t) => {
  const frappe = await FrappeHouse.open(t, { sites: [SITE] });
  await frappe.connect();
  assert.equal(await frappe.seat({ nsp: '/b.local', host: 'b.local', origin: 'http://b.local' }).refused(), 'Invalid namespace');
  assert.equal(await frappe.seat({ nsp: '/', host: 'b.local', origin: 'http://b.local' }).refused(), 'Invalid namespace');
});

test('the root namespace is mapped to the site that the headers tell', async (t) => {
  for (const version of VERSIONS) {
    const frappe = await FrappeHouse.open(t, { version });
    const seat = await frappe.connect({ nsp: '/' });
    await frappe.publish(`user:${user('ann')}`, { n: version });
    assert.deepEqual((await seat.item('news')).data, { n: version });
    await frappe.publish(`user:${user('ann')}`, 'of another site', 'news', 'b.local');
    await frappe.flushed(seat);
    assert.equal(seat.told('news').length, 1);
  }
});

// ---- 2.4: origin ----

test('an Origin of another host than Host is refused', async (t) => {
  for (const version of VERSIONS) {
    const frappe = await FrappeHouse.open(t, { version });
    const named = { headers: { 'X-Frappe-Site-Name': SITE } };
    for (const origin of ['http://evil.local', 'http://site1.local.evil.local', 'null', 'http://evil.local/site1.local', 'http://site1.local@evil.local']) {
      assert.equal(await frappe.seat({ origin, ...named }).refused(), 'Invalid origin', origin);
      assert.equal(await frappe.seat({ origin, nsp: '/', ...named }).refused(), 'Invalid origin', origin);
    }
    for (const origin of ['http://site1.local:8000', 'https://site1.local', 'http://SITE1.local']) {
      await frappe.connect({ origin });
    }
  }
});

test('an absent Origin is let in, unless --frappe-needs-origin', async (t) => {
  const open = await FrappeHouse.open(t);
  await open.connect({ origin: null });
  const strict = await FrappeHouse.open(t, { args: ['--frappe-needs-origin'] });
  assert.equal(await strict.seat({ origin: null }).refused(), 'Invalid origin');
  await strict.connect();
});

// ---- 2.4: credentials ----

const NO_METHOD = 'No authentication method used. Use cookie or authorization header.';
const NOTHING = {
  13: ['No cookie transmitted.', 'No sid transmitted.'],
  14: ['No cookie transmitted.', 'No sid transmitted.'],
  15: ['No cookie transmitted.', NO_METHOD],
  16: ['No cookie transmitted.', NO_METHOD],
  17: ['Missing cookie and authorization header. Either one needed for authentication.', NO_METHOD],
};

for (const version of VERSIONS) {
  test(`v${version}: who shows nothing is told so in the words of that version`, async (t) => {
    const frappe = await FrappeHouse.open(t, { version });
    const [noHeader, noSid] = NOTHING[version];
    for (const nsp of ['/', `/${SITE}`]) {
      const bare = frappe.seat({ nsp, who: null });
      assert.equal(await bare.refused(), noHeader);
      assert.equal(bare.refusal.data, undefined);
      assert.equal(await frappe.seat({ nsp, cookie: 'full_name=x' }).refused(), noSid);
      assert.equal(await frappe.seat({ nsp, cookie: 'sid=' }).refused(), noSid);
      assert.equal(await frappe.seat({ nsp, cookie: 'xsid=1; sidx=2' }).refused(), noSid);
      // `auth` in CONNECT is no credential, in no version.
      assert.equal(await frappe.seat({ nsp, who: null, options: { auth: { sid: sid('ann') } } }).refused(), noHeader);
    }
    assert.equal(frappe.web.requests.length, 0);
  });

  test(`v${version}: a session is asked about in the form of that version, and what it says holds`, async (t) => {
    const frappe = await FrappeHouse.open(t, { version });
    const seat = await frappe.connect();
    const asked = frappe.web.requests.at(-1);
    assert.equal(asked.path, '/api/method/frappe.realtime.get_user_info');
    assert.equal(asked.query.sid, version <= 15 ? sid('ann') : undefined);
    assert.equal(asked.headers.cookie, version <= 15 ? undefined : `sid=${sid('ann')}`);
    assert.equal(asked.headers['x-frappe-site-name'], SITE);
    assert.equal(asked.headers['x-frappe-socket-secret'], version === 17 ? 'shared' : undefined);
    assert.equal(await nameOf(frappe, seat), 'ann@x.y');
  });

  test(`v${version}: an Authorization header, alone and beside a session`, async (t) => {
    const frappe = await FrappeHouse.open(t, { version });
    const headers = { Authorization: token('bob') };
    if (version <= 14) {
      assert.equal(await frappe.seat({ who: null, headers }).refused(), 'No cookie transmitted.');
    } else {
      assert.equal(await nameOf(frappe, await frappe.connect({ who: null, headers })), 'bob@x.y');
      const other = frappe.seat({ who: null, headers: { Authorization: 'token x:y' } });
      assert.match(await other.refused(), /^Unauthorized/);
    }
    const both = await frappe.connect({ headers });
    assert.equal(await nameOf(frappe, both), version <= 15 ? 'ann@x.y' : 'bob@x.y');
  });
}

test('an expired session is let in as Guest, to the rooms of a guest', async (t) => {
  for (const version of VERSIONS) {
    const frappe = await FrappeHouse.open(t, { version });
    frappe.web.logout(sid('ann'));
    const seat = await frappe.connect();
    for (const room of ['all', `user:${user('ann')}`, 'website', 'user:Guest']) await frappe.publish(room, room);
    await seat.wait(() => seat.told('news').length >= 2, 'two rooms');
    assert.deepEqual(seat.told('news'), ['website', 'user:Guest']);
  }
});

test('a refusal is the bare text for socket.io-client 2', async (t) => {
  const frappe = await FrappeHouse.open(t, { version: 13 });
  const seat = frappe.seat({ library: io2, nsp: '/', who: null });
  seat.socket.on('error', (error) => {
    seat.refusal = error;
    seat.changed();
  });
  await seat.wait(() => seat.refusal, 'a refusal');
  assert.equal(seat.refusal, 'No cookie transmitted.');
});

// ---- 2.4: the web call ----

test('a backend that refuses, fails or talks nonsense lets nobody in, and the next one gets in', async (t) => {
  for (const version of VERSIONS) {
    const frappe = await FrappeHouse.open(t, { version });
    for (const fault of ['forbidden', 'unauthorized', 'error', 'unavailable', 'moved', 'garbage', 'empty', 'stranger', 'cut']) {
      frappe.web.fault = fault;
      for (const nsp of ['/', `/${SITE}`]) assert.match(await frappe.seat({ nsp }).refused(), /^Unauthorized/, fault);
    }
    frappe.web.fault = null;
    await frappe.web.down();
    assert.match(await frappe.seat().refused(), /^Unauthorized/, 'down');
    await frappe.web.up();
    await frappe.connect();
    assert.equal((await fetch(`${frappe.house.url}/healthz`)).status, 200);
  }
});

test('a slow backend delays one client and no other; past --auth-timeout-ms it is refused', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--auth-timeout-ms', '1500'] });
  const bystander = await frappe.connect({ who: 'bob' });
  frappe.web.fault = 'slow';
  const seat = frappe.seat();
  await frappe.web.wait('get_user_info', 2);
  await frappe.publish(`user:${user('bob')}`, 'meanwhile');
  await bystander.item('news');
  assert.equal(seat.socket.connected, false);
  await seat.connected();
  frappe.web.fault = 'hang';
  const began = performance.now();
  assert.match(await frappe.seat({ who: 'wes' }).refused(), /^Unauthorized/);
  assert.ok(performance.now() - began >= 1400);
});

test('equal questions share one flight, and a client that leaves meanwhile disturbs nobody', async (t) => {
  const frappe = await FrappeHouse.open(t);
  frappe.web.fault = 'slow';
  const seats = Array.from({ length: 20 }, () => frappe.seat());
  await frappe.web.wait('get_user_info');
  seats[3].close();
  for (const seat of seats.filter((_, n) => n !== 3)) await seat.connected();
  assert.equal(frappe.web.asked('get_user_info').length, 1);
});

test('without --frappe-web-base the client\'s own Origin is asked', async (t) => {
  const frappe = await FrappeHouse.open(t, { args: ['--frappe-web-base', ''] });
  const { port } = frappe.web;
  const headers = { 'X-Frappe-Site-Name': SITE };
  await frappe.connect({ host: '127.0.0.1', origin: `http://127.0.0.1:${port}`, headers });
  assert.equal(frappe.web.requests.at(-1).site, SITE);
  // Without an Origin the address that was called, which is this one.
  await frappe.connect({ host: `127.0.0.1:${port}`, origin: null, headers });
  assert.equal(frappe.web.asked('get_user_info').length, 2);
});

test('from v16 on developer mode asks the web server at its own port', async (t) => {
  for (const [version, isSwapped] of [[15, false], [16, true]]) {
    const web = await FrappeHouse.open(t, { version });
    const frappe = await FrappeHouse.open(t, {
      version, args: ['--frappe-web-base', '', '--developer-mode', '--webserver-port', String(web.web.port)],
    });
    const origin = `http://127.0.0.1:${frappe.web.port}`;
    await frappe.connect({ host: '127.0.0.1', origin, headers: { 'X-Frappe-Site-Name': SITE } });
    assert.equal(web.web.requests.length, isSwapped ? 1 : 0);
    assert.equal(frappe.web.requests.length, isSwapped ? 0 : 1);
  }
});

// ---- v17: the shared secret ----

test('v17: the secret is made at the first question, read from Redis, and may change', async (t) => {
  const frappe = await FrappeHouse.open(t, { version: 17, web: { secret: null } });
  const { client } = frappe.house.redis;
  frappe.web.onSecret = (secret) => client.set('socketio_auth_secret', secret);
  assert.equal(await nameOf(frappe, await frappe.connect()), 'ann@x.y', 'there was none before');
  frappe.web.secret = 'rotated';
  await client.set('socketio_auth_secret', 'rotated');
  assert.equal(await nameOf(frappe, await frappe.connect({ who: 'bob' })), 'bob@x.y');
  assert.equal(frappe.web.requests.at(-1).headers['x-frappe-socket-secret'], 'rotated');
  await client.set('socketio_auth_secret', 'stale');
  assert.match(await frappe.seat().refused(), /^Unauthorized/);
  assert.match(frappe.house.broker.child.output, /reason=secret/);
  assert.doesNotMatch(frappe.house.broker.child.output, /rotated|stale/);
  assert.ok(await metric(frappe.house.url, /auth_refused_total\{reason="secret"\}/) >= 1);
});
