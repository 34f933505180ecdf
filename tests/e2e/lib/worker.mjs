// worker.mjs - a stand-in provider, generation workers, and requests for them.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Provider } from '../../provider/provider.mjs';
import { BIN, Child, House, PATIENCE, ROOT } from './house.mjs';
import { fold } from './fold.mjs';
import { eventsPath, SseReader } from './readers.mjs';
import { until } from './wait.mjs';

const REPORT = /ERROR: (Address|Leak)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer/;

export class Worker {
  constructor(house, { providers, args = [], env = {} }) {
    const file = path.join(house.folder, `providers-${Worker.#count++}.conf`);
    const own = providers === undefined ? [] : ['--providers', file];
    if (providers !== undefined) writeFileSync(file, providers);
    const clean = { ...process.env };
    for (const name of ['OPENAI_API_KEY', 'LLM_URL', 'LLM_MODEL', 'http_proxy', 'HTTP_PROXY']) delete clean[name];
    this.child = new Child(path.join(BIN, 'thinkwire-worker'),
      ['--bus', house.redis.url, '--log-format', 'json', '--finish-ms', '0', ...own, ...args],
      { env: { ...clean, TELEMETRY_DIR: path.join(house.folder, 'telemetry'), ...env }, cwd: house.folder });
    this.pid = this.child.pid;
    house.own(this);
  }

  static #count = 0;

  async ready() {
    await until(() => {
      if (!this.child.isRunning) throw new Error(`the worker ended:\n${this.child.output}`);
      return this.child.output.includes('worker ready');
    }, () => `the worker:\n${this.child.output}`, 10000 * PATIENCE);
    return this;
  }

  // Its log lines that say `message`.
  logged(message) {
    return this.child.output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
      .filter((line) => line.message === message);
  }

  // When it has said that `count` times.
  async says(message, count = 1) {
    await until(() => this.logged(message).length >= count, () => `${message} in\n${this.child.output}`);
    return this.logged(message);
  }

  get descriptors() {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  get residentBytes() {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]) * 1024;
  }

  kill() {
    return this.child.stop('SIGKILL');
  }

  async close() {
    const wasKilled = this.child.process.signalCode === 'SIGKILL';
    const end = await this.child.stop('SIGTERM', 15000 * PATIENCE);
    assert.doesNotMatch(this.child.output, REPORT, 'a sanitizer complained');
    if (!wasKilled) assert.deepEqual(end, { code: 0, signal: null }, `the worker's end:\n${this.child.output}`);
  }
}

// One provider block of a provider file.
export function block(provider, { name = 'stand-in', api = 'chat', lines = [] } = {}) {
  const all = { 'connect-timeout-ms': 1000, 'first-token-timeout-ms': 5000, 'idle-timeout-ms': 5000 };
  for (const line of lines) delete all[line.split(' ')[0]];
  return [`provider ${name}`, `url ${provider.url ?? provider}`, `api ${api}`,
    ...Object.entries(all).map((pair) => pair.join(' ')), ...lines, ''].join('\n');
}

const script = ['common.lua', 'open.lua'].map((name) => readFileSync(path.join(ROOT, 'redis', name), 'utf8')).join('\n');

const SAID = { memory: 'useMemory' };
const BY_HTTP = new Set(['messages', 'model', 'mode', 'memory', 'conversation_id', 'max_tokens', 'temperature']);

async function submit(house, task, request) {
  if (!Object.keys(request).every((name) => BY_HTTP.has(name))) return submitByHand(house, task, request);
  const body = Object.entries(request).map(([name, value]) => [SAID[name] ?? name, value]);
  const answer = await fetch(`${house.url}/v1/tasks`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ task_id: task, ...Object.fromEntries(body) }),
  });
  assert.equal(answer.status, 202, await answer.text());
}

// What only the chat endpoints put into a request, as they do: a queued run that holds it, and a
// job that names the run.
async function submitByHand(house, task, request) {
  const keys = ['log', 'run', 'text', 'reasoning', 'lease'].map((kind) => `tw:{/${task}}:${kind}`);
  const [status, epoch] = await house.redis.client.eval(script, 5, ...keys,
    `tw:{/${task}}:live`, `tw:{/${task}}:ctl`, task, 10000, 4 << 20, 4 << 20, 600000, 3600000,
    'submitter', 'queued', 0, '0', JSON.stringify(request), 0);
  assert.equal(status, 'OK');
  await house.redis.client.zadd('tw:open', epoch, `/${task}`);
  await house.redis.client.xadd('tw:jobs', '*', 'site', '', 'task', task, 'epoch', epoch);
}

let tasks = 0;

// A generation that is watched from before it begins. What is asked is by default the task's name,
// so that answers name the task they belong to.
export class Asked {
  static async start(house, request = {}) {
    const asked = new Asked();
    tasks += 1;
    asked.task = request.task ?? `t${tasks}`;
    delete request.task;
    asked.reader = new SseReader(house, eventsPath(asked.task, { from: 'start' }));
    await asked.reader.item('subscribed');
    asked.at = performance.timeOrigin + performance.now();
    await submit(house, asked.task, { messages: [{ role: 'user', content: asked.task }], ...request });
    return asked;
  }

  // Its terminal event, with what was told until then.
  async end(ms = 20000 * PATIENCE) {
    const end = await this.reader.end(ms);
    this.took = performance.timeOrigin + performance.now() - this.at;
    return { ...end, told: fold(this.reader.items), types: this.reader.events.map(({ type }) => type) };
  }

  firstText(ms) {
    return this.reader.wait(() => this.reader.events.some(({ type }) => type === 'text'), 'the first text', ms);
  }
}

export async function ask(house, request, ms) {
  const asked = await Asked.start(house, request);
  return { ...await asked.end(ms), asked };
}

// What the stand-in says to `key` by default, whole.
export function wholeAnswer(key, count = 20) {
  return Array.from({ length: count }, (_, n) => `${key}:${n} `).join('');
}

// A broker with its Redis, a stand-in provider and a worker that asks it.
// With `inside` the broker hosts the worker itself, on the memory bus. `rows`: where both keep telemetry;
// the broker gets `args` then, too.
export async function open(t, { api = 'chat', lines = [], args = [], env, providers, inside = false, rows } = {}) {
  if (inside) return openInside(t, { api, lines, args, rows });
  const house = await House.open(t, rows ? { args: ['--telemetry-dir', rows, ...args] } : {});
  house.provider = house.own(await Provider.start());
  const file = providers ? providers(house.provider)
    : `default-model m\n${block(house.provider, { api, lines })}`;
  house.worker = await new Worker(house, { providers: file, args, env: { ...(rows && { TELEMETRY_DIR: rows }), ...env } }).ready();
  return house;
}

async function openInside(t, { api, lines, args, rows }) {
  const provider = await Provider.start();
  t.after(() => provider.close());
  const folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-e2e-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path.join(folder, 'providers.conf'), `default-model m\n${block(provider, { api, lines })}`);
  const house = await House.open(t, {
    redis: false,
    args: ['--worker', '--providers', path.join(folder, 'providers.conf'), ...(rows ? ['--telemetry-dir', rows] : ['--telemetry', 'off']), ...args],
  });
  house.provider = provider;
  return house;
}

// The rows of telemetry, once there are `count`.
export async function telemetryRows(house, count, rows) {
  const folder = rows ?? path.join(house.folder, 'telemetry');
  const read = () => (existsSync(folder) ? readdirSync(folder) : []).sort()
    .flatMap((name) => readFileSync(path.join(folder, name), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)));
  return until(() => (read().length >= count ? read() : null), () => `${count} rows, there are ${JSON.stringify(read())}`);
}
