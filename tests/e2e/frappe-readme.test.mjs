// frappe-readme.test.mjs - what the README tells the owner of a bench, done as it is told.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { FrappeHouse, Seat, SITE, user } from './lib/frappe-house.mjs';
import { BIN, Child, freePort, PATIENCE, ROOT } from './lib/house.mjs';
import { eventsPath, SseReader, WsReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';

const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
const BENCH = '/opt/frappe-bench';
const [, CHAPTER] = /\n## In place of a Frappe bench([\s\S]*?)\n## /.exec(README);

// The fenced blocks of the chapter, by language.
const blocks = (language) => [...CHAPTER.matchAll(/```(\w*)\n([\s\S]*?)```/g)].filter((one) => one[1] === language).map((one) => one[2]);
const COMMANDS = {
  'the line of the Procfile': /^socketio: (.*)$/m.exec(blocks('')[0])[1],
  'the line of supervisor': /^command=(.*)$/m.exec(blocks('ini')[0])[1],
};

// A bench of today, and its old Socket.IO process gone.
async function bench(t) {
  const frappe = await FrappeHouse.open(t);
  const folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-bench-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(path.join(folder, 'sites'));
  const port = await freePort();
  writeFileSync(path.join(folder, 'sites/common_site_config.json'), JSON.stringify({
    redis_queue: frappe.house.redis.url, socketio_port: port, default_site: SITE, webserver_port: frappe.web.port,
  }));
  return { frappe, folder, port };
}

// A line of the README, with this bench's places in it.
async function start(t, { frappe, folder, port }, command) {
  const [program, ...args] = command.replaceAll(BENCH, folder).replace('http://127.0.0.1:8000', frappe.web.url).split(' ');
  assert.equal(path.basename(program), 'thinkwired');
  const child = new Child(path.join(BIN, 'thinkwired'), args);
  t.after(() => child.stop());
  const [, address] = await until(() => /broker ready listen=(\S+)/.exec(child.output), () => child.output, 10000 * PATIENCE);
  assert.equal(address, `0.0.0.0:${port}`);
  return child;
}

const houseAt = (frappe, port) => ({
  url: `http://127.0.0.1:${port}`, broker: { port, host: `127.0.0.1:${port}` }, own: (thing) => frappe.house.own(thing),
});

for (const [what, command] of Object.entries(COMMANDS)) {
  test(`${what} starts it in the place of the original, and the checks say so`, async (t) => {
    const it = await bench(t);
    const child = await start(t, it, command);
    const [curl, expected] = /^(curl .*?)\s+# (.*)$/m.exec(blocks('sh')[0]).slice(1);
    const url = curl.split(' ').at(-1).replace('127.0.0.1:9000', `127.0.0.1:${it.port}`);
    await until(async () => (await fetch(url)).ok, () => child.output);
    assert.deepEqual(await (await fetch(url)).json(), JSON.parse(expected));
    const seat = await new Seat(houseAt(it.frappe, it.port), {}).connected();
    await it.frappe.publish(`user:${user('ann')}`, 'hello');
    assert.equal((await seat.item('news')).data, 'hello');
    const { id } = seat.socket;
    seat.socket.disconnect();
    await until(() => child.output.includes(`socket disconnected socket=${id}`), () => child.output);
    // The sample of the log has the fields that the log has.
    const fields = (line) => [...line.matchAll(/ (\w+)=/g)].map(([, key]) => key);
    const told = child.output.split('\n').filter((line) => line.includes(id));
    const sample = blocks('')[1].trim().split('\n');
    assert.equal(sample.length, 2);
    assert.deepEqual(sample.map(fields), told.map(fields));
  });
}

test('nginx with the blocks of the README: pages, readers by task id, and nobody publishes', async (t) => {
  const it = await bench(t);
  await start(t, it, COMMANDS['the line of supervisor']);
  const front = await freePort();
  const conf = path.join(it.folder, 'nginx.conf');
  writeFileSync(conf, `daemon off; master_process off; pid ${it.folder}/nginx.pid; error_log stderr;
events {} http { access_log off; client_body_temp_path ${it.folder}/b; proxy_temp_path ${it.folder}/p; fastcgi_temp_path ${it.folder}/f;
uwsgi_temp_path ${it.folder}/u; scgi_temp_path ${it.folder}/s; server { listen 127.0.0.1:${front};
${blocks('nginx').join('\n').replaceAll('127.0.0.1:9000', `127.0.0.1:${it.port}`)} } }`);
  const nginx = new Child('/usr/sbin/nginx', ['-p', it.folder, '-c', conf]);
  t.after(() => nginx.stop());
  const house = houseAt(it.frappe, front);
  await until(() => fetch(house.url).then(() => true, () => false), () => nginx.output);
  const task = { task_id: 'mine', type: 'completion', text: 'all', partial: false };
  const headers = FrappeHouse.headersOf('ann');
  for (const mode of ['websocket', 'polling', 'upgraded']) {
    // Whatever it says of itself: nginx says it better.
    const seat = await new Seat(house, { mode, origin: 'http://evil.local', headers: { 'X-Frappe-Site-Name': 'evil.local' } }).connected();
    await it.frappe.publish(`user:${user('ann')}`, mode);
    assert.equal((await seat.item('news')).data, mode);
  }
  const stream = new SseReader(house, eventsPath('mine', { site: SITE }), { headers });
  const ws = new WsReader(house, { site: SITE }, { headers });
  await stream.item('subscribed');
  await ws.subscribe('mine');
  await it.frappe.publish(`user:${user('ann')}`, task, 'ai_progress');
  for (const reader of [stream, ws]) assert.equal((await reader.end()).text, 'all');
  const body = JSON.stringify({ type: 'text', text: 'forged', partial: true });
  for (const at of ['/v1/tasks/mine/events', '/v1/events']) {
    assert.equal((await fetch(house.url + at, { method: 'POST', body })).status, 403);
  }
  for (const at of ['/v1/tasks', '/v1/tasks/mine', '/metrics']) assert.equal((await fetch(house.url + at)).status, 404);
});

test('without --frappe-web-base it warns; with it it does not', async (t) => {
  const it = await bench(t);
  const child = await start(t, it, COMMANDS['the line of the Procfile']);
  assert.doesNotMatch(child.output, /no --frappe-web-base/);
  await child.stop();
  const bare = await start(t, it, COMMANDS['the line of the Procfile'].replace(/ --frappe-web-base \S+/, ''));
  assert.match(bare.output, / warn no --frappe-web-base: /);
});
