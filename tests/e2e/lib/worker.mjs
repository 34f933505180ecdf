// worker.mjs - a stand-in provider, generation workers, and requests for them.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Provider } from '../../provider/provider.mjs';
import { BIN, Child, House, PATIENCE, told } from './house.mjs';
import { fold } from './fold.mjs';
import { eventsPath, SseReader } from './readers.mjs';
import { until } from './wait.mjs';

const REPORT = /ERROR: (Address|Leak)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer/;

const FROM_OUTSIDE = ['OPENAI_API_KEY', 'LLM_URL', 'LLM_MODEL', 'http_proxy', 'HTTP_PROXY'];

function environment(folder, more) {
  const clean = { ...process.env };
  for (const name of FROM_OUTSIDE) delete clean[name];
  return { ...clean, TELEMETRY_DIR: path.join(folder, 'telemetry'), ...more };
}

// A process that generates: what it says, and what it holds.
class Generating {
  get pid() {
    return this.child.pid;
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
}

// A broker that hosts the worker; it is ended with its house.
class Host extends Generating {
  constructor(broker) {
    super();
    this.child = broker.child;
  }
}

// thinkwire-worker.
export class Worker extends Generating {
  constructor(house, { providers, args = [], env = {} }) {
    super();
    const file = path.join(house.folder, `providers-${Worker.#count++}.conf`);
    const own = providers === undefined ? [] : ['--providers', file];
    if (providers !== undefined) writeFileSync(file, providers);
    this.child = new Child(path.join(BIN, 'thinkwire-worker'),
      ['--bus', house.redis.url, '--log-format', 'json', '--finish-ms', '0', ...own, ...args],
      { env: environment(house.folder, env), cwd: house.folder });
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

// How a request gets there: POST /v1/tasks, or the chat endpoint that knows how to say what is asked. Whose
// stream is closed has its run stopped, so it is read until the house is closed.
async function submit(house, task, request) {
  const { messages, partial, live, scenario, memory, request_id: id, key, ...rest } = request;
  const isChat = partial !== undefined || live || scenario;
  const target = partial !== undefined ? '/api/v2/chat/streaming/continue' : '/api/v2/chat/streaming/stream';
  const said = partial === undefined ? { messages } : { partial_response: partial, original_message: messages.at(-1).content };
  const headers = { 'content-type': 'application/json' };
  if (id) headers['x-request-id'] = id;
  if (key) headers['x-api-key'] = key;
  if (scenario) headers['x-test-scenario'] = scenario;
  const abort = new AbortController();
  house.own({ close: () => abort.abort() });
  const answer = await fetch(house.url + (isChat ? target : '/v1/tasks'), {
    method: 'POST', headers, signal: abort.signal,
    body: JSON.stringify({ task_id: task, ...said, ...rest, ...(memory && { useMemory: true }) }),
  });
  if (answer.status !== (isChat ? 200 : 202)) assert.fail(`${answer.status} ${await answer.text()}`);
  answer.text().catch(() => {});
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
    asked.reader = new SseReader(house, eventsPath(asked.task, { from: 'start' }),
      { headers: request.key && { 'x-api-key': request.key } });
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

// A stand-in provider, a worker that asks it, and a broker before it. With Redis each is a process, on the
// memory bus the broker hosts the worker. `args` and `env` are the worker's,
// `broker` are arguments of the broker, or a function of its house's folder.
export async function open(t, { bus = 'Redis', api = 'chat', lines = [], args = [], broker = [], env, providers, tls, ...unknown } = {}) {
  assert.deepEqual(unknown, {}, 'an option that nobody reads');
  const provider = await Provider.start({ tls });
  t.after(() => provider.close());
  const conf = providers ? providers(provider) : `default-model m\n${block(provider, { api, lines })}`;
  const inBroker = bus === 'memory';
  const house = await House.open(t, {
    redis: !inBroker,
    env: (folder) => environment(folder, env),
    args: (folder) => {
      const file = path.join(folder, 'providers.conf');
      writeFileSync(file, conf);
      const hosted = inBroker ? ['--worker', '--log-format', 'json', '--finish-ms', '0', ...args] : [];
      return ['--providers', file, ...hosted, ...told(broker, folder)];
    },
  });
  house.provider = provider;
  house.worker = inBroker ? new Host(house.broker) : await new Worker(house, { providers: conf, args, env }).ready();
  return house;
}

// The rows of telemetry, once there are `count`.
export async function telemetryRows(house, count, rows) {
  const folder = rows ?? path.join(house.folder, 'telemetry');
  const read = () => (existsSync(folder) ? readdirSync(folder) : []).sort()
    .flatMap((name) => readFileSync(path.join(folder, name), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)));
  return until(() => (read().length >= count ? read() : null), () => `${count} rows, there are ${JSON.stringify(read())}`);
}
