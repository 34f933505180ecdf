// frappe-bench.test.mjs - a bench's own configuration is all that the broker needs.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { FrappeHouse, Seat, SITE, user } from './lib/frappe-house.mjs';
import { BIN, Child, freePort, PATIENCE } from './lib/house.mjs';
import { until } from './lib/wait.mjs';

const NAMES = ['FRAPPE_BENCH_ROOT', 'FRAPPE_SOCKETIO_PORT', 'FRAPPE_SOCKETIO_UDS', 'FRAPPE_REDIS_QUEUE', 'FRAPPE_SITE'];

// A bench's directory: files by name, an object is written as JSON.
function benchOf(t, files) {
  const folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-bench-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(path.join(folder, 'sites'));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(path.join(folder, name), typeof content === 'string' ? content : JSON.stringify(content, null, 1));
  }
  return folder;
}

const COMMON = 'sites/common_site_config.json';

// A broker that is told nothing but where the bench is.
function start(t, folder, { args = [], env = {} } = {}) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !NAMES.includes(name)));
  const child = new Child(path.join(BIN, 'thinkwired'), [...folder ? ['--frappe-bench', folder] : [], ...args], { env: { ...clean, ...env } });
  t.after(() => child.stop());
  return child;
}

async function listening(child) {
  const found = await until(() => /broker ready listen=(\S+)/.exec(child.output),
    () => `a broker that listens:\n${child.output}`, 10000 * PATIENCE);
  return found[1];
}

async function failed(child) {
  const { code } = await child.ended;
  assert.equal(code, 1, child.output);
  return child.output;
}

// Redis, a web process and people; its own broker stands aside.
async function around(t, version = 15) {
  const frappe = await FrappeHouse.open(t, { version });
  const port = await freePort();
  return {
    frappe,
    port,
    redis: frappe.house.redis.url,
    // A page that the web process has served, on this machine.
    async page(options = {}) {
      const house = { broker: { port: options.port ?? port }, own: (thing) => frappe.house.own(thing) };
      return new Seat(house, {
        nsp: version < 15 ? '/' : `/${SITE}`, host: `localhost:${port}`, origin: `http://localhost:${frappe.web.port}`, ...options,
      }).connected();
    },
  };
}

// It is up, knows the site and asks the web process who somebody is.
async function works({ frappe }, seat) {
  assert.ok(frappe.web.asked('get_user_info').length >= 1);
  await until(async () => {
    await frappe.publish(`user:${user('ann')}`, 'hello');
    return seat.told('news').length;
  }, 'an event of the bench');
  assert.equal(frappe.web.requests.at(-1).site, SITE);
}

test('a bench of v15: port on all interfaces, queue Redis, default site, sessions', async (t) => {
  const it = await around(t);
  const folder = benchOf(t, { [COMMON]: { redis_queue: it.redis, socketio_port: it.port, default_site: SITE, webserver_port: 8000 } });
  const child = start(t, folder);
  assert.equal(await listening(child), `0.0.0.0:${it.port}`);
  await works(it, await it.page());
  const seat = new Seat({ broker: { port: it.port }, own: (thing) => it.frappe.house.own(thing) },
    { who: null, host: `localhost:${it.port}`, origin: `http://localhost:${it.frappe.web.port}` });
  assert.equal(await seat.refused(), 'No cookie transmitted.');
  assert.deepEqual(await child.stop(), { code: 0, signal: null });
});

test('a bench of v13: its own Redis for Socket.IO, and the current site', async (t) => {
  const it = await around(t, 13);
  const folder = benchOf(t, {
    [COMMON]: { redis_socketio: it.redis, redis_queue: 'redis://127.0.0.1:1', socketio_port: String(it.port), default_site: 'other.local' },
    'sites/currentsite.txt': `${SITE}\n`,
  });
  const child = start(t, folder, { args: ['--frappe-version', '13'] });
  assert.equal(await listening(child), `0.0.0.0:${it.port}`);
  await works(it, await it.page());
});

test('common_site_config.json wins over config.json where it has a value that counts', async (t) => {
  const it = await around(t);
  const folder = benchOf(t, {
    'config.json': { socketio_port: 1, default_site: SITE, redis_queue: it.redis, developer_mode: 0 },
    [COMMON]: { socketio_port: it.port, default_site: '', redis_queue: null },
  });
  assert.equal(await listening(start(t, folder)), `0.0.0.0:${it.port}`);
  await works(it, await it.page());
});

test('the environment wins over both', async (t) => {
  const it = await around(t);
  const folder = benchOf(t, {
    'config.json': {}, [COMMON]: { socketio_port: 1, default_site: 'other.local', redis_queue: 'redis://127.0.0.1:1' },
  });
  const env = { FRAPPE_SOCKETIO_PORT: String(it.port), FRAPPE_SITE: SITE, FRAPPE_REDIS_QUEUE: it.redis };
  assert.equal(await listening(start(t, folder, { env })), `0.0.0.0:${it.port}`);
  await works(it, await it.page());
});

test('FRAPPE_BENCH_ROOT names the bench where nothing else does', async (t) => {
  const it = await around(t);
  const folder = benchOf(t, { [COMMON]: { redis_queue: it.redis, socketio_port: it.port, default_site: SITE } });
  assert.equal(await listening(start(t, null, { env: { FRAPPE_BENCH_ROOT: folder } })), `0.0.0.0:${it.port}`);
  await works(it, await it.page());
});

test('the command line wins over all', async (t) => {
  const it = await around(t);
  const folder = benchOf(t, { [COMMON]: { socketio_port: 1, default_site: 'other.local', redis_queue: 'redis://127.0.0.1:1' } });
  const child = start(t, folder, {
    args: ['--listen', `127.0.0.1:${it.port}`, '--default-site', SITE, '--events-redis', it.redis],
    env: { FRAPPE_SOCKETIO_PORT: '2', FRAPPE_SITE: 'third.local', FRAPPE_REDIS_QUEUE: 'redis://127.0.0.1:2' },
  });
  assert.equal(await listening(child), `127.0.0.1:${it.port}`);
  await works(it, await it.page());
});

test('developer mode of v16: the web server is asked at its own port, the editor is told', async (t) => {
  const it = await around(t, 16);
  const folder = benchOf(t, {
    [COMMON]: { redis_queue: it.redis, socketio_port: it.port, default_site: SITE, developer_mode: 1, webserver_port: it.frappe.web.port },
  });
  await listening(start(t, folder, { args: ['--frappe-version', '16'] }));
  // A page of the asset server: nobody answers at its port.
  const seat = await it.page({ origin: 'http://localhost:1' });
  await works(it, seat);
  const channel = it.frappe.house.redis.client.duplicate();
  t.after(() => channel.disconnect());
  const told = new Promise((resolve) => channel.on('message', (_, text) => resolve(JSON.parse(text))));
  await channel.subscribe('open_in_editor');
  seat.socket.emit('open_in_editor', { file: 'x.js' });
  assert.deepEqual(await told, { file: 'x.js' });
});

test('socketio_uds, or its environment name, is a socket file and wins over the port', async (t) => {
  const it = await around(t);
  const folder = benchOf(t, { [COMMON]: { redis_queue: it.redis, socketio_port: 1, socketio_uds: path.join(tmpdir(), 'never') } });
  const socketPath = path.join(folder, 'socketio.sock');
  for (const [env, common] of [[{ FRAPPE_SOCKETIO_UDS: socketPath }, null], [{}, { redis_queue: it.redis, socketio_port: 1, socketio_uds: socketPath }]]) {
    if (common) writeFileSync(path.join(folder, COMMON), JSON.stringify(common));
    const child = start(t, folder, { env });
    assert.equal(await listening(child), `unix:${socketPath}`);
    const answer = await new Promise((resolve, reject) => {
      http.get({ socketPath, path: '/socket.io/?EIO=4&transport=polling' }, resolve).on('error', reject);
    });
    assert.equal(answer.statusCode, 200);
    answer.resume();
    await child.stop();
  }
});

test('what a bench does not say is as its version has it', async (t) => {
  const folder = benchOf(t, { [COMMON]: {} });
  for (const [version, port] of [[13, 3000], [14, 3000], [15, 9000], [17, 9000]]) {
    const child = start(t, folder, { args: ['--frappe-version', String(version), '--log-level', 'debug'] });
    // Whether it is free or not: this is what it wants.
    await until(() => child.output.includes(`0.0.0.0:${port}`), () => `port ${port} of v${version}:\n${child.output}`, 10000 * PATIENCE);
    await child.stop();
  }
});

test('what is wrong is said, with the file or address, and it does not start', async (t) => {
  const nowhere = path.join(tmpdir(), 'thinkwire-no-such-bench');
  const missing = await failed(start(t, nowhere));
  assert.match(missing, /thinkwire-no-such-bench\/sites\/common_site_config\.json is not there/);
  assert.match(missing, /--frappe-bench/);
  assert.match(await failed(start(t, benchOf(t, { [COMMON]: '' }))), /common_site_config\.json is not there, or empty/);
  assert.match(await failed(start(t, benchOf(t, { [COMMON]: '{"a":' }))), /common_site_config\.json is not JSON/);
  assert.match(await failed(start(t, benchOf(t, { [COMMON]: '{}', 'config.json': '{a}' }))), /\/config\.json is not JSON/);
  assert.match(await failed(start(t, benchOf(t, { [COMMON]: { socketio_port: 'nine' } }))), /socketio_port of the bench is no port: nine/);
  assert.match(await failed(start(t, benchOf(t, { [COMMON]: { socketio_port: 99999 } }))), /socketio_port of the bench is no port: 99999/);
  assert.match(await failed(start(t, benchOf(t, { [COMMON]: { redis_queue: 'http://x', socketio_port: await freePort() } }))), /redis/i);
});

test('--check-config reads the bench and judges the whole, and listens nowhere', async (t) => {
  const folder = benchOf(t, { [COMMON]: { socketio_port: 9000, default_site: SITE, redis_queue: 'redis://127.0.0.1:1' } });
  const check = async (args, from = folder) => {
    const child = start(t, from, { args: ['--check-config', ...args] });
    const { code } = await child.ended;
    return { code, output: child.output };
  };
  assert.deepEqual(await check([]), { code: 0, output: 'configuration ok\n' });
  for (const [args, from, complaint] of [
    [['--auth', 'none'], folder, /--listen 0\.0\.0\.0:9000 can be reached by others/],
    [['--task-guard', 'own', '--auth', 'none', '--insecure'], folder, /--task-guard has to know/],
    [['--bus', 'http://x'], folder, /--bus is `memory` or a URL/],
    [['--listen', '0.0.0.0:1'], null, /--listen 0\.0\.0\.0:1 can be reached by others/],
    [[], path.join(tmpdir(), 'thinkwire-no-such-bench'), /is not there/],
  ]) {
    const { code, output } = await check(args, from);
    assert.equal(code, 1, output);
    assert.match(output, complaint);
  }
});

test('what strangers reach in the place of the original, only programs beside it write to', async (t) => {
  const it = await around(t);
  const folder = benchOf(t, { [COMMON]: { redis_queue: it.redis, socketio_port: it.port, default_site: SITE } });
  const events = `http://127.0.0.1:${it.port}/v1/tasks/mine/events`;
  const body = JSON.stringify({ type: 'text', text: 'forged', partial: true });
  const post = (headers = {}) => fetch(events, { method: 'POST', body, headers });
  let child = start(t, folder, { args: ['--bus', it.redis] });
  await listening(child);
  await until(async () => (await post()).status === 200, () => child.output);
  const refused = await post({ 'X-Forwarded-For': '192.0.2.1' });
  assert.equal(refused.status, 403);
  assert.equal((await refused.json()).error.code, 'WRITES_ARE_LOCAL');
  await child.stop();
  child = start(t, folder, { args: ['--bus', it.redis, '--native-writes', 'on'] });
  await listening(child);
  await until(async () => (await post({ 'X-Forwarded-For': '192.0.2.1' })).status === 200, () => child.output);
});

test('a port in use is said, with the port, and it does not start', async (t) => {
  const it = await around(t);
  const port = Number(new URL(it.frappe.house.url).port);
  const text = await failed(start(t, benchOf(t, { [COMMON]: { redis_queue: it.redis, socketio_port: port } })));
  assert.match(text, new RegExp(`0\\.0\\.0\\.0:${port}`));
  assert.match(text, /in use/);
});
