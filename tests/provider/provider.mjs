// provider.mjs - a stand-in for a model provider: three APIs, scripted faults, counted calls.
// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { fileURLToPath } from 'node:url';
import { DIALECTS } from './dialects.mjs';
import { answerOf, Script } from './script.mjs';

const KEPT_CALLS = 20000;
const MAX_BODY_BYTES = 64 << 20;

const now = () => performance.timeOrigin + performance.now();

async function readBody(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > MAX_BODY_BYTES) throw new Error('the body is too large');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

const ERRORS = {
  400: { type: 'invalid_request_error', code: null, message: 'Bad request' },
  401: { type: 'invalid_request_error', code: 'invalid_api_key', message: 'Incorrect API key provided' },
  402: { type: 'insufficient_quota', code: 'insufficient_quota', message: 'You have no credit left' },
  404: { type: 'invalid_request_error', code: 'model_not_found', message: 'The model does not exist' },
  429: { type: 'rate_limit_error', code: 'rate_limit_exceeded', message: 'Rate limit reached' },
};

function errorOf(rule) {
  if (rule.error) return rule.error;
  return ERRORS[rule.status] ?? { type: 'server_error', code: 'server_error', message: 'The server had an error' };
}

// One answer on its way. All waits are held against the beginning, so that late timers do not add up.
class Answer {
  constructor(call, rule, response) {
    this.call = call;
    this.rule = rule;
    this.response = response;
    this.bytes = 0;
    this.began = now();
    this.due = 0; // ms after the beginning
    this.timers = new Set();
    response.on('close', () => this.#closed());
    response.on('error', () => {});
  }

  #closed() {
    this.call.closed_at ??= now();
    this.call.is_whole = this.response.writableFinished;
    for (const timer of this.timers) clearTimeout(timer);
    this.wake?.();
  }

  get isGone() { return this.call.closed_at !== undefined; }

  // `ms` behind the moment the last one was due.
  async pause(ms) {
    if (!ms || this.isGone) return;
    this.due += ms;
    const left = this.began + this.due - now();
    if (left <= 0) return;
    await new Promise((resolve) => {
      this.wake = resolve;
      this.timers.add(setTimeout(resolve, left));
    });
  }

  cut() {
    if (this.response.stream) this.response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    else this.response.socket?.destroy();
  }

  // False when nobody listens any more.
  async write(text) {
    const data = Buffer.from(text);
    const left = this.rule.cut_byte === undefined ? data.length : this.rule.cut_byte - this.bytes;
    const piece = data.subarray(0, left);
    const step = this.rule.drip_bytes ?? piece.length;
    for (let at = 0; at < piece.length && !this.isGone; at += step) {
      const part = piece.subarray(at, at + step);
      this.bytes += part.length;
      if (!this.response.write(part)) await Promise.race([once(this.response, 'drain'), once(this.response, 'close')]);
      await this.pause(this.rule.drip_ms);
    }
    if (left < data.length) {
      await new Promise((resolve) => setImmediate(resolve)); // what was written leaves first
      this.cut();
    }
    return !this.isGone && left >= data.length;
  }

  async all(events) {
    for (const event of events) if (!await this.write(event)) return false;
    return true;
  }

  async silence() {
    const { ping_ms: every } = this.rule;
    while (!this.isGone) {
      await this.pause(every ?? 60000);
      if (every && !this.isGone) await this.write(': ping\n\n');
    }
  }

  head(status, type) {
    this.response.writeHead(status, { 'content-type': type, 'x-request-id': `up-${this.call.n}`, ...this.rule.headers });
  }

  document(status, value) {
    this.head(status, 'application/json');
    this.response.end(JSON.stringify(value));
  }

  // What is to happen before piece `n`; true when it ends the answer.
  async #fault(n, dialect) {
    const { rule } = this;
    if (rule.silent_at === n) await this.silence();
    else if (rule.cut_at === n) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      this.cut();
    } else if (rule.eof_at === n) this.response.end();
    else if (rule.done_at === n) this.response.end(dialect.done().join(''));
    else if (rule.error_at === n) this.response.end(dialect.fault(errorOf(rule)).join(''));
    else return false;
    return true;
  }

  async stream(dialect, pieces) {
    this.head(200, 'text/event-stream; charset=utf-8');
    this.response.flushHeaders?.();
    if (!await this.all(dialect.begin())) return;
    await this.gate;
    await this.pause(this.rule.first_ms);
    for (let n = 0; n < pieces.length; n++) {
      if (await this.#fault(n, dialect)) return;
      if (n > 0) await this.pause(this.rule.pace_ms);
      const piece = this.rule.stamp ? { ...pieces[n], text: `${pieces[n].text.trim()}@${now().toFixed(3)} ` } : pieces[n];
      this.call.first_at ??= now();
      if (!await this.all(dialect.piece(piece))) return;
      this.call.pieces += 1;
    }
    if (await this.#fault(pieces.length, dialect)) return;
    const end = dialect.end(pieces);
    if (!await this.all(end.slice(0, this.rule.hang_end ?? end.length))) return;
    if (this.rule.hang_end !== undefined) await this.silence();
    else this.response.end();
  }

  async give(Dialect_, request) {
    const { rule } = this;
    const pieces = answerOf(rule, request);
    const dialect = new Dialect_(request, rule);
    await this.pause(rule.head_ms);
    if (this.isGone) return;
    if (rule.refuse) this.cut();
    else if (rule.status) this.document(rule.status, { error: errorOf(rule) });
    else if (request.mode === 'stream') await this.stream(dialect, pieces);
    else if (rule.silent_at !== undefined) await this.silence();
    else if (rule.cut_at !== undefined || rule.cut_byte !== undefined) this.cut();
    else if (rule.error_at !== undefined) this.document(200, { error: errorOf(rule) });
    else {
      await this.pause(rule.first_ms);
      if (!this.isGone) this.document(200, dialect.document(pieces));
    }
  }
}

export class Provider {
  calls = [];

  #scripts = new Map();

  #number = 0;

  #connections = new Map();

  #gates = new Map();

  // tls: {key, cert} makes it HTTP/2 (and 1.1) over TLS.
  static async start({ port = 0, host = '127.0.0.1', tls } = {}) {
    const provider = new Provider();
    const handle = (request, response) => provider.#serve(request, response).catch((error) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
    provider.server = tls ? http2.createSecureServer({ ...tls, allowHTTP1: true }, handle) : http.createServer(handle);
    provider.server.keepAliveTimeout = 60000;
    provider.server.on(tls ? 'secureConnection' : 'connection', (socket) => {
      provider.#connections.set(socket, provider.#connections.size);
      provider.open = (provider.open ?? 0) + 1;
      provider.most = Math.max(provider.most ?? 0, provider.open);
      socket.on('close', () => { provider.open -= 1; });
      socket.on('error', () => {});
    });
    provider.server.listen(port, host);
    await once(provider.server, 'listening');
    provider.port = provider.server.address().port;
    provider.url = `${tls ? 'https' : 'http'}://${host}:${provider.port}/v1`;
    return provider;
  }

  // What requests for `model` meet; '*' = those without a script of their own.
  script(model, ...rules) {
    this.#scripts.set(model, new Script(rules));
    return this;
  }

  #gate(name) {
    if (!this.#gates.has(name)) {
      const gate = {};
      gate.opened = new Promise((resolve) => { gate.open = resolve; });
      this.#gates.set(name, gate);
    }
    return this.#gates.get(name);
  }

  // The answers that wait at this gate, and those to come, go on.
  release(name) {
    this.#gate(name).open();
  }

  callsOf(model) {
    return this.calls.filter((call) => call.model === model);
  }

  forget() {
    this.calls.length = 0;
  }

  async close() {
    for (const socket of this.#connections.keys()) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  async #serve(request, response) {
    const body = await readBody(request);
    const path = request.url.split('?')[0];
    if (path === '/calls') return this.#tellCalls(request, response);
    if (path === '/scripts' && request.method === 'POST') {
      for (const [model, rules] of Object.entries(JSON.parse(body))) this.script(model, ...rules);
      return response.end('{}');
    }
    const api = Object.keys(DIALECTS).find((name) => DIALECTS[name].path.test(path));
    if (!api || request.method !== 'POST') {
      response.writeHead(404, { 'content-type': 'application/json' });
      return response.end('{"error":{"message":"no such path","type":"invalid_request_error","code":null}}');
    }
    return this.#answer(request, response, api, JSON.parse(body));
  }

  async #answer(request, response, api, body) {
    const mode = body.stream ? 'stream' : 'plain';
    const call = {
      n: this.#number, at: now(), api, mode, model: body.model, body, headers: { ...request.headers },
      http: request.httpVersion, connection: this.#connections.get(request.stream?.session?.socket ?? request.socket),
      pieces: 0,
    };
    this.#number += 1;
    this.calls.push(call);
    if (this.calls.length > KEPT_CALLS) this.calls.shift();
    const header = request.headers['x-provider-script'];
    const script = header ? new Script([JSON.parse(header)]) : this.#scripts.get(body.model) ?? this.#scripts.get('*');
    const rule = script?.pick({ api, mode }) ?? {};
    const answer = new Answer(call, rule, response);
    if (rule.gate) answer.gate = this.#gate(rule.gate).opened;
    await answer.give(DIALECTS[api], { n: call.n, mode, body, model: body.model, ...DIALECTS[api].read(body) });
  }

  #tellCalls(request, response) {
    if (request.method === 'DELETE') this.forget();
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ count: this.calls.length, open: this.open, most: this.most, calls: this.calls }));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--port');
  const provider = await Provider.start({ port: at < 0 ? 0 : Number(process.argv[at + 1]) });
  process.stdout.write(`${provider.url}\n`);
  process.on('SIGTERM', () => process.exit(0));
}
