// chat-auth.test.mjs - API keys and bearer tokens: who may read, publish, submit and stop (C5).
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';
import { House } from './lib/house.mjs';
import { request } from './lib/publish.mjs';
import { until } from './lib/wait.mjs';

const KEY = 'key-of-ada-0123456789';
const SECRET = '0123456789abcdef0123456789abcdef';
const EVENT = JSON.stringify({ type: 'text', text: 'x', partial: true });

// A broker that asks who somebody is; answers the house, and the headers of each way.
export async function guarded(t, args = []) {
  const folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-auth-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const keys = path.join(folder, 'keys');
  const secret = path.join(folder, 'secret');
  writeFileSync(keys, `${KEY} ada\n`);
  writeFileSync(secret, `${SECRET}\n`);
  const house = await House.open(t, {
    redis: false,
    args: ['--auth', 'api-key,jwt', '--api-keys-file', keys, '--jwt-secret-file', secret, ...args],
  });
  const mint = async (...more) => {
    const tool = house.tool('token', '--secret-file', secret, '--sub', 'bob', ...more);
    assert.equal((await tool.ended).code, 0, tool.output);
    return tool.stdout.trim();
  };
  return { house, keys, mint, byKey: { 'x-api-key': KEY }, bearer: (token) => ({ authorization: `Bearer ${token}` }) };
}

test('C5 /api/v1/auth/ping answers 200 to a key or a token that thinkwire token minted, else 401', async (t) => {
  const { house, mint, byKey, bearer } = await guarded(t);
  const ping = (headers) => request(house, 'GET', '/api/v1/auth/ping', { headers });
  assert.deepEqual([(await ping(byKey)).status, (await ping(byKey)).json.user], [200, 'ada']);
  assert.equal((await ping(bearer(await mint()))).json.user, 'bob');
  for (const headers of [{}, { 'x-api-key': `${KEY}x` }, bearer('a.b.c'), bearer(await mint('--aud', 'others'))]) {
    const answer = await ping(headers);
    assert.equal(answer.status, 401);
    assert.equal(answer.json.error.code, 'UNAUTHORIZED');
    assert.match(answer.headers['www-authenticate'], /^Bearer/);
  }
  const short = await mint('--ttl-s', '1');
  await until(async () => (await ping(bearer(short))).status === 401, () => 'it to expire');
  assert.doesNotMatch(house.broker.child.output, new RegExp(`${KEY}|${short}`), 'nothing is logged');
});

test('C5 a secret of fewer than 32 characters is refused by the broker and by the tool', async (t) => {
  const { house, keys } = await guarded(t);
  writeFileSync(keys, 'too short');
  const tool = house.tool('token', '--secret-file', keys, '--sub', 'x');
  assert.equal((await tool.ended).code, 2);
  const { Child, BIN } = await import('./lib/house.mjs');
  const broker = new Child(path.join(BIN, 'thinkwired'), [
    '--listen', '127.0.0.1:0', '--auth', 'jwt', '--jwt-secret-file', keys,
  ]);
  assert.notEqual((await broker.ended).code, 0);
  assert.match(broker.output, /fewer than 32/);
});

test('S5 nothing native is read, published, submitted or stopped without an identity', async (t) => {
  const { house, byKey } = await guarded(t);
  const asks = [
    ['POST', '/v1/tasks/t/events', EVENT], ['GET', '/v1/tasks/t'], ['GET', '/v1/tasks'],
    ['GET', '/v1/events?task_id=t'], ['POST', '/v1/tasks', '{"message":"hi"}'],
    ['POST', '/v1/tasks/t/stop'], ['DELETE', '/v1/tasks/t'],
    ['POST', '/api/v1/chat', '{"message":"hi"}'], ['POST', '/api/v2/chat/streaming/stream', '{"message":"hi"}'],
    ['POST', '/api/v2/chat/streaming/continue', '{"partial_response":"a","original_message":"b"}'],
    ['POST', '/v1/chat/completions', '{"messages":[]}'], ['GET', '/v1/models'],
  ];
  for (const [method, target, body] of asks) {
    assert.equal((await request(house, method, target, { body })).status, 401, `${method} ${target}`);
  }
  assert.equal((await request(house, 'POST', '/v1/tasks/t/events', { body: EVENT, headers: byKey })).status, 200);
  assert.equal((await request(house, 'GET', '/v1/tasks/t', { headers: byKey })).json.text, 'x');
  for (const free of ['/healthz', '/readyz', '/metrics']) {
    assert.equal((await request(house, 'GET', free)).status, 200, free);
  }
});

test("a token's site is the site of what it asks for", async (t) => {
  const { house, mint, bearer, byKey } = await guarded(t);
  const headers = bearer(await mint('--site', 's1'));
  await request(house, 'POST', '/v1/tasks/t/events?site=s2', { body: EVENT, headers });
  assert.equal((await request(house, 'GET', '/v1/tasks/t?site=s1', { headers: byKey })).json.text, 'x');
  assert.equal((await request(house, 'GET', '/v1/tasks/t?site=s2', { headers: byKey })).status, 404);
});

test('/ws and Socket.IO need a valid identity too', async (t) => {
  const { house, mint, byKey } = await guarded(t);
  const dial = (headers) => new Promise((resolve) => {
    const socket = new WebSocket(`${house.url.replace('http', 'ws')}/ws`, { headers });
    socket.on('open', () => { resolve(101); socket.close(); });
    socket.on('unexpected-response', (_, answer) => { resolve(answer.statusCode); socket.terminate(); });
    socket.on('error', () => {});
  });
  assert.equal(await dial({}), 401);
  assert.equal(await dial({ 'x-api-key': 'key-of-eve-0123456789' }), 401);
  assert.equal(await dial(byKey), 101);
  const connect = (auth) => new Promise((resolve) => {
    const socket = io(house.url, { auth, reconnection: false, forceNew: true });
    socket.on('connect', () => { resolve('connected'); socket.close(); });
    socket.on('connect_error', (error) => { resolve(error.message); socket.close(); });
  });
  assert.equal(await connect({}), 'Unauthorized');
  assert.equal(await connect({ token: 'a.b.c' }), 'Unauthorized');
  assert.equal(await connect({ token: await mint() }), 'connected');
  assert.equal(await connect({ token: KEY }), 'connected');
});

test('SIGHUP reads the keys again', async (t) => {
  const { house, keys, byKey } = await guarded(t);
  const status = async () => (await request(house, 'GET', '/api/v1/auth/ping', { headers: byKey })).status;
  assert.equal(await status(), 200);
  writeFileSync(keys, 'key-of-eve-0123456789 eve\n');
  house.broker.child.process.kill('SIGHUP');
  await until(async () => await status() === 401, () => 'the key to be gone');
});
