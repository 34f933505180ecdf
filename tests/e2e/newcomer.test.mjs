// newcomer.test.mjs - the newcomer's minute: ./run, and then the README's own lines.
// SPDX-License-Identifier: MIT
//
// The lines are taken out of the README and done as they stand, but for the two ports. What
// ./run would build is there already: a `cmake` that does nothing stands before the real one.
import assert from 'node:assert/strict';
import {
  chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { EventSource } from 'eventsource';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { BIN, Child, freePort, PATIENCE, ROOT } from './lib/house.mjs';
import { metric } from './lib/observe.mjs';
import { SIO_TRANSPORTS } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';

const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
const [, CHAPTER] = /\n## Sixty seconds\n([\s\S]*?)\n## /.exec(README);
const BLOCKS = [...CHAPTER.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language, text]) => ({ language, text }));
const MS = 20000 * PATIENCE;

function blockWith(words) {
  const found = BLOCKS.filter(({ text }) => text.includes(words));
  assert.equal(found.length, 1, `${found.length} blocks with ${words}`);
  return found[0].text;
}

// A checkout whose programs are those under test, and a terminal in it.
class Newcomer {
  static async open(t) {
    const it = new Newcomer();
    it.folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-readme-'));
    t.after(() => rmSync(it.folder, { recursive: true, force: true }));
    for (const name of ['redis', 'emitters']) symlinkSync(path.join(ROOT, name), path.join(it.folder, name));
    mkdirSync(path.join(it.folder, 'build/release'), { recursive: true });
    symlinkSync(BIN, path.join(it.folder, 'build/release/bin'));
    mkdirSync(path.join(it.folder, 'tests/setup'), { recursive: true });
    for (const name of ['run', 'tests/setup/deps.sh']) copyFileSync(path.join(ROOT, name), path.join(it.folder, name));
    mkdirSync(path.join(it.folder, 'tools'));
    writeFileSync(path.join(it.folder, 'tools/cmake'), '#!/bin/sh\n[ "$1" != --version ] || echo cmake version 3.25.1\n');
    chmodSync(path.join(it.folder, 'tools/cmake'), 0o755);
    const { OPENAI_API_KEY, LLM_URL, LLM_MODEL, THINKWIRE_URL, ...clean } = process.env;
    it.env = { ...clean, PATH: `${path.join(it.folder, 'tools')}:${clean.PATH}` };
    it.port = await freePort();
    it.redisPort = await freePort();
    it.t = t;
    return it;
  }

  // The README's ports are those that ./run prefers; here it has others.
  own(text) {
    return text.replaceAll('7379', String(this.redisPort)).replaceAll('127.0.0.1:9000', `127.0.0.1:${this.port}`);
  }

  // `thinkwire tail` asks the broker at its usual place unless it is told another.
  get terminal() {
    return { cwd: this.folder, env: { ...this.env, THINKWIRE_URL: `http://127.0.0.1:${this.port}` } };
  }

  type(text) {
    const child = new Child('/bin/bash', ['-ec', this.own(text)], this.terminal);
    child.end();
    this.t.after(() => child.stop());
    return child;
  }

  async done(text) {
    const child = this.type(text);
    assert.equal((await child.ended).code, 0, `${text}\n${child.output}`);
    return child.stdout;
  }

  // ./run in the first terminal, until it says that it is ready.
  async run(...args) {
    const [command] = blockWith('./run').trim().split('\n');
    const child = new Child(path.join(this.folder, command), args, { cwd: this.folder, env: this.env, detached: true });
    this.t.after(() => child.stop('SIGINT'));
    await until(() => /Ctrl-C stops it/.test(child.output) || !child.isRunning, () => child.output, MS);
    assert.ok(child.isRunning, child.output);
    return child;
  }

  started() {
    return this.run('--port', String(this.port), '--redis-port', String(this.redisPort));
  }

  // So many readers are there.
  watched(kind, count) {
    return until(async () => await metric(`http://127.0.0.1:${this.port}`, new RegExp(`^thinkwire_sessions\\{[^}]*"${kind}"`)) === count,
      () => `${count} readers by ${kind}`, MS);
  }
}

// The README's readers, each with a console of its own.
function readers(it, site) {
  const source = it.own(blockWith('new EventSource'))
    .replace(`io("http://127.0.0.1:${it.port}")`, `io("http://127.0.0.1:${it.port}${site ? `/${site}` : ''}")`)
    .replace('/events"', `/events${site ? `?site=${site}` : ''}"`)
    .replace('/ws"', `/ws${site ? `?site=${site}` : ''}"`)
    .replaceAll('demo', site ? 'chat-1' : 'demo');
  const told = { sse: [], ws: [] };
  const open = [];
  const opened = (thing) => {
    open.push(thing);
    return thing;
  };
  const parts = source.split(/^\/\/.*\n/m).slice(1);
  assert.equal(parts.length, 3, 'Socket.IO, EventSource, WebSocket');
  const heard = (list) => ({ log: (...words) => list.push(words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))).join(' ')) });
  const evaluate = (text, names) => new Function(...Object.keys(names), text)(...Object.values(names));
  for (const [mode, transports] of Object.entries(SIO_TRANSPORTS)) {
    told[mode] = [];
    evaluate(parts[0], {
      io: (url) => opened(io(url, { transports, forceNew: true })), console: heard(told[mode]),
    });
  }
  evaluate(parts[1], { EventSource: function Source(url) { return opened(new EventSource(url)); }, console: heard(told.sse) });
  evaluate(parts[2], { WebSocket: function Socket(url) { return opened(new WebSocket(url)); }, console: heard(told.ws) });
  it.t.after(() => open.forEach((one) => one.close()));
  return told;
}

async function allHear(told, words) {
  for (const [kind, lines] of Object.entries(told)) {
    await until(() => lines.join('\n').includes(words), () => `${words} at ${kind}, which has ${JSON.stringify(lines)}`, MS);
  }
}

test('asked as the README says, the demonstration thinks and answers in `thinkwire tail`', async (t) => {
  const it = await Newcomer.open(t);
  const run = await it.started();
  const [ask, tail] = blockWith('"task_id":"hello"').trim().split('\n');
  assert.equal(JSON.parse(await it.done(ask)).task_id, 'hello');
  assert.match(await it.done(tail), /\S/);
  // What ./run itself proposes is the same, with its ports.
  assert.ok(run.output.includes(it.own(ask)), run.output);
  assert.ok(run.output.includes(it.own(tail)), run.output);
});

test('every way to publish of the README arrives at every reader of the README', async (t) => {
  const it = await Newcomer.open(t);
  await it.started();
  const told = readers(it);
  const tail = it.type(blockWith('thinkwire tail demo\n'));
  await it.watched('sse', 2);
  await it.watched('ws', 1);
  await it.watched('sio', 3);
  const lines = blockWith('export THINKWIRE_URL').trim().split('\n');
  const [before, ...publish] = lines;
  assert.equal(publish.length, 3);
  for (const line of publish) {
    await it.done(`${before}\n${line}`);
    await allHear(told, /"text":"([^"]*)"/.exec(line)?.[1] ?? /"([^"]*)"$/.exec(line)[1]);
  }
  assert.equal((await tail.ended).code, 0, tail.output);
  assert.match(tail.stdout, /Hello from curl\./);

  const [, piped] = /`some-model \| ([^`]+)`/.exec(CHAPTER);
  await it.done(`${before}\nprintf 'a whole stream' | ${piped}`);
  const whole = await (await fetch(`http://127.0.0.1:${it.port}/v1/tasks/demo2`)).json();
  assert.deepEqual([whole.state, whole.text], ['completed', 'a whole stream']);
});

test("what a Frappe backend and the Python helper publish, by the README's lines, arrives at its site", async (t) => {
  const it = await Newcomer.open(t);
  await it.started();
  const told = readers(it, 'site1.local');
  const tail = it.type(`build/release/bin/${/`(thinkwire tail chat-1 [^`]*)`/.exec(CHAPTER)[1]}`);
  await it.watched('sse', 2);
  await it.watched('ws', 1);
  await it.watched('sio', 3);
  const [byRedis, byPython] = blockWith('redis-cli').split(/^# .*\n/m);
  await it.done(byRedis);
  await allHear(told, 'Hello from Frappe.');
  await it.done(byPython);
  for (const words of ['Thinking in Python...', 'Hello from Python.']) await allHear(told, words);
  assert.equal((await tail.ended).code, 0, tail.output);
  for (const words of ['Hello from Frappe.', 'Hello from Python.']) assert.ok(tail.stdout.includes(words), tail.stdout);
});

test('./run takes the next port where one is taken, and Ctrl-C leaves nothing running', async (t) => {
  const it = await Newcomer.open(t);
  const first = await it.started();
  const second = await it.run('--port', String(it.port), '--redis-port', String(it.redisPort));
  const address = (run) => /Thinkwire is ready: {2}(http:\S+)/.exec(run.output)[1];
  assert.equal(address(first), `http://127.0.0.1:${it.port}`);
  assert.notEqual(address(second), address(first));
  assert.ok((await fetch(`${address(second)}/readyz`)).ok);
  assert.match(second.output, new RegExp(`emit --redis redis://127\\.0\\.0\\.1:(?!${it.redisPort} )\\d+ `));
  // As a terminal's Ctrl-C: the whole group of the foreground hears it.
  process.kill(-second.pid, 'SIGINT');
  assert.equal((await second.ended).code, 0, second.output);
  await assert.rejects(fetch(`${address(second)}/healthz`));
  assert.ok((await fetch(`${address(first)}/readyz`)).ok, 'the other one goes on');
});
