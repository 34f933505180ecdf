// worker-http2.test.mjs - a provider that offers HTTP/2, over TLS.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onEachBus } from './lib/buses.mjs';
import { PATIENCE } from './lib/house.mjs';
import { ask, Asked, open, wholeAnswer } from './lib/worker.mjs';
import { until } from './lib/wait.mjs';

// A provider that speaks TLS; `trusts`: whether its certificate is the worker's authority.
async function openTls(t, bus, { lines = [], trusts = true } = {}) {
  const folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-tls-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(folder, name));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=stand-in', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const tls = { key: readFileSync(key), cert: readFileSync(cert) };
  return open(t, { bus, tls, lines: [...(trusts ? [`ca-file ${cert}`] : []), ...lines] });
}

onEachBus('C9 HTTP/2 is used where the provider offers it: many streams on few connections', async (t, bus) => {
  const house = await openTls(t, bus, { lines: ['max-connections 2'] });
  house.provider.script('m', { words: 20, pace_ms: 20 });
  const ends = await Promise.all(Array.from({ length: 20 }, () => ask(house)));
  for (const end of ends) assert.equal(end.told.text, wholeAnswer(end.asked.task), end.code);
  assert.ok(house.provider.calls.every((call) => call.http === '2.0'));
  assert.ok(house.provider.most <= 2, `${house.provider.most} connections`);
});

onEachBus('C4 R3 over HTTP/2 a stop closes its own stream only, and a stream that breaks off is completed', async (t, bus) => {
  const house = await openTls(t, bus, { lines: ['max-connections 1'] });
  house.provider.script('long', { words: 500, pace_ms: 10 });
  house.provider.script('m', { words: 60, pace_ms: 10 });
  house.provider.script('cut', { mode: 'stream', cut_at: 7 });
  const long = await Asked.start(house, { model: 'long' });
  await long.firstText();
  const beside = ask(house);
  const cut = ask(house, { model: 'cut' });
  await until(() => house.provider.calls.length >= 3, 'the calls');
  const at = performance.timeOrigin + performance.now();
  await fetch(`${house.url}/v1/tasks/${long.task}/stop`, { method: 'POST' });
  assert.equal((await long.end()).type, 'stopped');
  const [call] = house.provider.callsOf('long');
  await until(() => call.closed_at, 'the close upstream');
  assert.ok(call.closed_at - at < 2000 * PATIENCE, `after ${call.closed_at - at} ms`); // 250, with room
  const end = await beside;
  assert.equal(end.told.text, wholeAnswer(end.asked.task, 60));
  const repaired = await cut;
  assert.equal(repaired.told.text, wholeAnswer(repaired.asked.task));
});

onEachBus('C9 with http2 off it is HTTP/1.1, and a certificate nobody vouches for is refused', async (t, bus) => {
  const house = await openTls(t, bus, { lines: ['http2 off'] });
  const end = await ask(house);
  assert.equal(end.told.text, wholeAnswer(end.asked.task));
  assert.equal(house.provider.calls[0].http, '1.1');
  const doubting = await openTls(t, bus, { trusts: false });
  assert.equal((await ask(doubting)).code, 'PROVIDER_UNREACHABLE');
});
