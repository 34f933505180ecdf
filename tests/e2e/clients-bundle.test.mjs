// clients-bundle.test.mjs - the browser client that the broker carries.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { House, ROOT } from './lib/house.mjs';
import { request } from './lib/publish.mjs';

const NPM = path.join(ROOT, 'tests/e2e/node_modules/socket.io-client');
const { version } = JSON.parse(readFileSync(path.join(NPM, 'package.json')));
const FILES = ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js'];

test('the bundle is that of the npm package, byte for byte, and says its version', async (t) => {
  const house = await House.open(t, { redis: false });
  for (const file of FILES) {
    const answer = await request(house, 'GET', `/socket.io/${file}?v=1`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'application/javascript; charset=utf-8');
    assert.equal(answer.headers['cache-control'], 'public, max-age=0');
    assert.equal(answer.headers.etag, `"${version}"`);
    assert.ok(answer.text === readFileSync(path.join(NPM, 'dist', file), 'utf8'), file);
  }
});

test('a browser that has the bundle is told so, another method is refused', async (t) => {
  const house = await House.open(t, { redis: false });
  for (const tag of [`"${version}"`, `W/"${version}"`]) {
    const answer = await request(house, 'GET', '/socket.io/socket.io.js', { headers: { 'if-none-match': tag } });
    assert.equal(answer.status, 304, tag);
    assert.equal(answer.text, '');
    assert.equal(answer.headers.etag, `"${version}"`);
  }
  for (const tag of ['"4.0.0"', version, 'W/', '']) {
    const answer = await request(house, 'GET', '/socket.io/socket.io.js', { headers: { 'if-none-match': tag } });
    assert.equal(answer.status, 200, tag);
  }
  const head = await request(house, 'HEAD', '/socket.io/socket.io.js');
  assert.equal(head.status, 200);
  assert.ok(Number(head.headers['content-length']) > 100_000);
  assert.equal(head.text, '');
  assert.equal((await request(house, 'POST', '/socket.io/socket.io.js', { body: 'x' })).status, 405);
});

test('beside the bundle the path still belongs to the engine', async (t) => {
  const house = await House.open(t, { redis: false });
  for (const file of ['', 'socket.io.msgpack.min.js', 'socket.io.js/x', 'socket.io.js.map']) {
    const answer = await request(house, 'GET', `/socket.io/${file}`);
    assert.equal(answer.status, 400, file);
    assert.deepEqual(answer.json, { code: 0, message: 'Transport unknown' });
  }
});
