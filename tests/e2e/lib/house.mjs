// house.mjs - private Redis servers, brokers and tools for one test, ended with it.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { until } from './wait.mjs';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const BIN = path.resolve(process.env.THINKWIRE_BIN ?? path.join(ROOT, 'build/dev/bin'));
export const PYTHON = process.env.PYTHON ?? '/usr/bin/python3';

// A sanitizer build is several times slower and its memory says nothing.
export const IS_SANITIZED = readFileSync(path.join(BIN, 'thinkwired')).includes('__asan_init');
export const PATIENCE = IS_SANITIZED ? 4 : 1;

const REPORT = /ERROR: (Address|Leak)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer/;
const KEPT_OUTPUT = 1 << 20;

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

// A child process whose output is kept and whose end can be awaited.
export class Child {
  constructor(command, args, options = {}) {
    this.output = '';
    this.stdout = '';
    this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    this.pid = this.process.pid;
    const keep = (text) => {
      this.output = (this.output + text).slice(-KEPT_OUTPUT);
    };
    this.process.stdout.setEncoding('utf8').on('data', (text) => {
      this.stdout += text;
      keep(text);
    });
    this.process.stderr.setEncoding('utf8').on('data', keep);
    this.process.stdin.on('error', () => {});
    this.ended = new Promise((resolve) => {
      this.process.on('error', (error) => keep(`${error}\n`));
      this.process.on('close', (code, signal) => resolve({ code, signal }));
    });
  }

  get isRunning() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  write(text) {
    return new Promise((resolve) => this.process.stdin.write(text, resolve));
  }

  end(text = '') {
    this.process.stdin.end(text);
  }

  async stop(signal = 'SIGTERM', ms = 10000) {
    if (!this.isRunning) return this.ended;
    this.process.kill(signal);
    const timer = setTimeout(() => this.process.kill('SIGKILL'), ms);
    const end = await this.ended;
    clearTimeout(timer);
    return end;
  }
}

class RedisServer {
  constructor(port, folder) {
    this.port = port;
    this.folder = folder;
    this.url = `redis://127.0.0.1:${port}`;
  }

  async start(more = ['--appendonly', 'no']) {
    this.child = new Child('redis-server', [
      '--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder,
      '--save', '', '--maxmemory-policy', 'noeviction', ...more,
    ]);
    this.client ??= new Redis({ port: this.port, host: '127.0.0.1', retryStrategy: () => 50 })
      .on('error', () => {});
    await until(() => this.child.output.includes('Ready to accept connections'),
      () => `Redis:\n${this.child.output}`);
    await this.client.ping();
  }

  // As a crash would: nothing is said goodbye to, nothing is saved.
  kill() {
    return this.child.stop('SIGKILL');
  }

  // An orderly stop and start: what was written to disk is kept.
  async restart() {
    await this.child.stop('SIGTERM');
    await this.start(['--appendonly', 'yes', '--appendfsync', 'always']);
  }

  async close() {
    this.client?.disconnect();
    await this.child?.stop();
  }
}

class Broker {
  constructor(port, args, env) {
    this.port = port;
    this.env = env;
    this.host = `127.0.0.1:${port}`;
    this.url = `http://${this.host}`;
    // What is still open when a test ends need not be let go gently.
    const drain = args.includes('--drain-ms') ? [] : ['--drain-ms', '0'];
    this.args = ['--listen', this.host, ...drain, ...args];
  }

  async start() {
    this.child = new Child(path.join(BIN, 'thinkwired'), this.args, this.env && { env: this.env });
    this.pid = this.child.pid;
    await until(async () => {
      if (!this.child.isRunning) throw new Error(`the broker ended:\n${this.child.output}`);
      return fetch(`${this.url}/healthz`).then((answer) => answer.ok, () => false);
    }, () => `the broker's /healthz:\n${this.child.output}`, 10000 * PATIENCE);
  }

  // Its bus is there.
  ready(ms = 10000 * PATIENCE) {
    return until(() => fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false),
      () => `/readyz:\n${this.child.output}`, ms);
  }

  // It must end by itself, with code 0, and without a sanitizer's complaint.
  async close() {
    const end = await this.child.stop('SIGTERM', 15000 * PATIENCE);
    assert.doesNotMatch(this.child.output, REPORT, 'a sanitizer complained');
    assert.deepEqual(end, { code: 0, signal: null }, `the broker's end:\n${this.child.output}`);
  }
}

export const told = (value, folder) => (typeof value === 'function' ? value(folder) : value);

// What one test needs: `await House.open(t, {args, redis})`, ended with the test. `args` and `env` of
// the broker may be functions of the house's folder, for what names a file in it.
export class House {
  static async open(t, { args = [], env, redis = true } = {}) {
    const house = new House();
    t.after(() => house.close());
    house.folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-e2e-'));
    const given = told(args, house.folder);
    // Connections that clients keep are no reason to wait at the end of each test.
    const all = [...given, ...(given.includes('--drain-ms') ? [] : ['--drain-ms', '0'])];
    if (redis) {
      house.redis = new RedisServer(await freePort(), house.folder);
      await house.redis.start();
      all.push('--bus', house.redis.url);
    }
    await house.#startBroker(all, told(env, house.folder));
    house.url = house.broker.url;
    await house.broker.ready();
    return house;
  }

  // A further broker on the same bus; `port` may be one that another has just left.
  async another({ port, args = [] } = {}) {
    const bus = this.redis ? ['--bus', this.redis.url] : [];
    const broker = this.own(new Broker(port ?? await freePort(), [...args, ...bus]));
    await broker.start();
    await broker.ready();
    return broker;
  }

  // A port that was free may have been taken since, by a client's end of another connection.
  async #startBroker(args, env, attempts = 5) {
    this.broker = new Broker(await freePort(), args, env);
    await this.broker.start().catch((error) => {
      if (attempts === 1 || !/Address already in use/.test(this.broker.child.output)) throw error;
      return this.#startBroker(args, env, attempts - 1);
    });
  }

  #toClose = [];

  // Anything with close(); closed before the servers, newest first.
  own(thing) {
    this.#toClose.push(thing);
    return thing;
  }

  // What is owned so far has ended by itself.
  forget() {
    this.#toClose.length = 0;
  }

  // The `thinkwire` tool.
  tool(...args) {
    const child = new Child(path.join(BIN, 'thinkwire'), args);
    child.close = () => child.stop();
    return this.own(child);
  }

  async close() {
    const faults = [];
    const attempt = (thing) => Promise.resolve(thing?.close?.()).catch((e) => faults.push(e));
    for (const thing of this.#toClose.reverse()) await attempt(thing);
    await attempt(this.broker?.child && this.broker);
    await attempt(this.redis);
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
    if (faults.length) throw faults[0];
  }
}
