// fire.test.mjs - thinkwire fire (T6): what passes, what fails and how that is told, and its report.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { onEachBus } from './lib/buses.mjs';
import { BIN, Child, freePort } from './lib/house.mjs';
import { until } from './lib/wait.mjs';
import { open } from './lib/worker.mjs';

const PATHS = ['/api/v2/chat/streaming/stream', '/api/streaming/stream'];
const CASES = { basic_math_chat: 1, reasoning_short: 1, planning: 1, long_context: 4, autonomous_simple: 1, multi_step: 3 };
const KEY = 'key-of-ada-0123456789';
const SECRET = '0123456789abcdef0123456789abcdef';

function folderOf(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-fire-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

// `thinkwire fire`, begun.
function begin(t, { cwd, env = {}, args }) {
  const clean = { ...process.env };
  for (const name of ['THINKWIRE_URL', 'THINKWIRE_TOKEN', 'THINKWIRE_API_KEY', 'MAX_MESSAGE_LENGTH', 'http_proxy']) delete clean[name];
  const child = new Child(path.join(BIN, 'thinkwire'), ['fire', ...args], { cwd, env: { ...clean, ...env } });
  t.after(() => child.stop());
  return child;
}

const rowsOf = (child) => child.stdout.split('\n').map((line) => line.split(/\s{2,}/)).filter(([name]) => name in CASES)
  .map(([name, target, requests, tokens, events, first, time, result]) => ({
    case: name, path: target, requests: Number(requests), tokens: Number(tokens), events: Number(events), first, time, result,
  }));

function readReport(file) {
  const lines = readFileSync(file, 'utf8').split('\n');
  assert.equal(lines.pop(), '', 'each line is ended');
  return lines.map((line) => JSON.parse(line));
}

// To its end: {code, rows, failures, requests, summary}.
async function fire(t, house, ...more) {
  const env = typeof more[0] === 'object' ? more.shift() : {};
  const file = path.join(folderOf(t), 'report.jsonl');
  const child = begin(t, { env, args: ['--url', house.url, '--report', file, ...more] });
  const { code } = await child.ended;
  const failures = child.output.split('\n').filter((line) => line.startsWith('thinkwire fire: ')).map((line) => line.slice(16));
  const lines = existsSync(file) ? readReport(file) : [];
  const summary = lines.pop();
  return { code, child, rows: rowsOf(child), failures, requests: lines, summary, file };
}

onEachBus('T6 every case passes on both paths, counted in the table and in the report', async (t, bus) => {
  const house = await open(t, { bus });
  const { code, rows, failures, requests, summary, child, file } = await fire(t, house);
  assert.equal(code, 0, child.output);
  assert.deepEqual(failures, []);
  assert.deepEqual(rows.map((row) => [row.case, row.path, row.requests]),
    Object.entries(CASES).flatMap(([name, count]) => PATHS.map((target) => [name, target, count])));
  for (const row of rows) {
    assert.ok(row.tokens >= row.requests && row.events > row.tokens, JSON.stringify(row));
    assert.match(row.first, /^\d+ ms$/);
    assert.match(row.time, /^\d+ ms$/);
    assert.equal(row.result, 'ok');
  }
  assert.match(child.stdout, /22 of 22 requests passed; average time to the first token \d+ ms \(limit 2000 ms\)/);
  assert.ok(child.stdout.includes(`Report: ${file}\n`), 'it says where the report went');

  assert.equal(requests.length, 22);
  assert.deepEqual(Object.keys(requests[0]), ['type', 'at', 'case', 'path', 'step', 'mode', 'model', 'message_chars', 'status',
    'task_id', 'request_id', 'tokens', 'events', 'final_chars', 'ttft_ms', 'total_ms', 'ok', 'failure']);
  for (const one of requests) {
    assert.deepEqual([one.type, one.status, one.ok, one.failure], ['request', 200, true, '']);
    assert.match(one.at, /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/);
    assert.match(one.task_id, /^gen_\w+$/);
    assert.match(one.request_id, /^req_\w+$/);
    assert.ok(one.final_chars > 0 && one.ttft_ms <= one.total_ms);
  }
  const sizes = requests.filter((one) => one.case === 'long_context').map((one) => one.message_chars);
  assert.deepEqual(sizes, [4000, 8000, 12000, 16000, 4000, 8000, 12000, 16000]);
  assert.deepEqual(Object.keys(summary), ['type', 'at', 'url', 'version', 'requests', 'failed', 'not_made', 'tokens', 'events',
    'total_ms', 'average_ttft_ms', 'ttft_limit_ms', 'ok']);
  const sum = (name) => requests.reduce((all, one) => all + one[name], 0);
  assert.deepEqual([summary.requests, summary.failed, summary.not_made, summary.tokens, summary.events, summary.ok],
    [22, 0, 0, sum('tokens'), sum('events'), true]);
  assert.equal(summary.average_ttft_ms, Math.floor(sum('ttft_ms') / 22));
});

onEachBus('T6 what the provider was asked: whole messages, each mode, a conversation of steps', async (t, bus) => {
  const house = await open(t, { bus });
  const { code, child } = await fire(t, house, '--case', 'long_context,autonomous_simple', '--case', 'multi_step');
  assert.equal(code, 0, child.output);
  const asked = house.provider.calls.map(({ body }) => body.messages.filter(({ role }) => role !== 'system'));
  const lengths = asked.map((messages) => [...messages.at(-1).content].length);
  assert.deepEqual(lengths.slice(0, 8), [4000, 8000, 12000, 16000, 4000, 8000, 12000, 16000], 'in characters');
  assert.equal(asked.length, 8 + 2 * 2 + 6, 'an autonomous run plans first');
  const third = asked.at(-1);
  assert.deepEqual(third.map(({ role }) => role), ['user', 'assistant', 'user', 'assistant', 'user']);
  assert.match(third[1].content, /^Name:0 Name:1 /, 'the answer of the first step');
});

onEachBus('T6 a message that is refused below the limit fails its case by name; the others pass', async (t, bus) => {
  const house = await open(t, { bus, broker: ['--max-message-chars', '10000'] });
  const { code, failures, rows, requests } = await fire(t, house);
  assert.equal(code, 1);
  assert.deepEqual(failures, PATHS.flatMap((target) => [12000, 16000].map((size) => `long_context on ${target}, a message of ${size} `
    + `characters: answered 422 MESSAGE_TOO_LONG (message) "a message of ${size} characters; at most 10000 are taken"`)));
  assert.deepEqual(rows.filter(({ result }) => result === 'FAILED').map((row) => row.case), ['long_context', 'long_context']);
  assert.equal(requests.filter(({ ok }) => ok).length, 18);
  // The same limit on both sides, once as an option and once as existing deployments name it.
  assert.equal((await fire(t, house, '--max-message-chars', '10000', '--case', 'long_context')).code, 0);
  assert.equal((await fire(t, house, { MAX_MESSAGE_LENGTH: '10000' }, '--case', 'long_context')).code, 0);
});

onEachBus('T6 what a provider does wrong fails with its code: an empty answer, an error, a cut', async (t, bus) => {
  const house = await open(t, { bus, args: ['--fallback', 'off', '--max-retries', '0'] });
  for (const [rule, words] of [
    [{ empty: true }, /^basic_math_chat on \/api\/v2\/chat\/streaming\/stream: an error instead of an answer: EMPTY_RESPONSE "/],
    [{ status: 429 }, /: an error instead of an answer: RATE_LIMIT "Overloaded, please try again soon\."$/],
    [{ cut_at: 3 }, /: an error instead of an answer: PROVIDER_TRUNCATED "/],
  ]) {
    house.provider.script('bad', rule);
    const { code, failures, summary } = await fire(t, house, '--model', 'bad', '--case', 'basic_math_chat');
    assert.equal(code, 1);
    assert.equal(failures.length, 2, failures.join('\n'));
    assert.match(failures[0], words);
    assert.deepEqual([summary.failed, summary.ok], [2, false]);
  }
});

onEachBus('T6 a first token that is late on average fails, and the slowest case is named', async (t, bus) => {
  const house = await open(t, { bus });
  house.provider.script('m', { first_ms: 300 });
  const { code, failures, requests, summary } = await fire(t, house, '--case', 'planning', '--max-ttft-ms', '250');
  assert.equal(code, 1);
  assert.equal(failures.length, 1);
  assert.match(failures[0], /^the average time to the first token is \d+ ms, not below 250 ms; slowest: planning on \/api\/\S+, \d+ ms$/);
  assert.ok(requests.every(({ ok, ttft_ms: first }) => ok && first >= 300));
  assert.deepEqual([summary.failed, summary.ok, summary.ttft_limit_ms], [0, false, 250]);
});

// A server that answers every POST as `answer(response)` says.
async function liar(t, answer) {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => answer(response));
    response.on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}` };
}

const DELTA = { choices: [{ index: 0, delta: { content: 'x' }, finish_reason: null }] };
const final = (text) => ({ type: 'final_response', choices: [], text });
const frames = (...events) => (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of events) response.write(`data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`);
  response.end();
};

const LIES = {
  'no tokens': [frames(final('x'), '[DONE]'), 'no tokens'],
  'nothing at all': [frames(), 'no tokens'],
  'an empty final_response': [frames(DELTA, final(''), '[DONE]'), 'an empty final_response'],
  'no final_response': [frames(DELTA, '[DONE]'), 'no final_response'],
  'another final_response': [frames(DELTA, final('y'), '[DONE]'), 'final_response is not what the tokens said'],
  'no [DONE]': [frames(DELTA, final('x')), 'the stream ended without [DONE]'],
  'torn JSON': [frames(DELTA, '{"choices":', final('x'), '[DONE]'), 'an event is no JSON object'],
  'no stream': [(response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'), 'answered 200, but no event stream'],
  'a proxy\'s page': [(response) => response.writeHead(502).end('<html>'), 'answered 502'],
};

for (const [name, [answer, words]] of Object.entries(LIES)) {
  test(`T6 a server that answers with ${name} fails, each request in one line`, async (t) => {
    const house = await liar(t, answer);
    const { code, failures, requests } = await fire(t, house, '--case', 'basic_math_chat');
    assert.equal(code, 1);
    assert.deepEqual(failures, PATHS.map((target) => `basic_math_chat on ${target}: ${words}`));
    assert.deepEqual(requests.map(({ ok, failure }) => [ok, failure]), [[false, words], [false, words]]);
  });
}

test('T6 an answer that never ends is given up: by its time, by its size, by one event\'s size', async (t) => {
  const silent = await liar(t, (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`data: ${JSON.stringify(DELTA)}\n\n`);
  });
  const late = await fire(t, silent, '--case', 'planning', '--timeout-ms', '300');
  assert.equal(late.code, 1);
  assert.match(late.failures[0], /^planning on \S+: no end of the answer after \d+ ms \(--timeout-ms\)$/);

  // Writes until nobody reads.
  const flood = (chunk) => (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more);
    more();
  };
  const delta = Buffer.from(`data: ${JSON.stringify({ choices: [{ delta: { content: 'x'.repeat(65536) } }] })}\n\n`);
  for (const chunk of [delta, Buffer.alloc(65536, 'x')]) {
    const house = await liar(t, flood(chunk));
    const { code, failures } = await fire(t, house, '--case', 'planning', '--timeout-ms', '60000');
    assert.equal(code, 1);
    assert.deepEqual(failures, PATHS.map((target) => `planning on ${target}: an endless answer, or an event that is too large`));
  }
});

test('T6 what is behind [DONE] is no part of the answer: a server that does not hang up passes', async (t) => {
  const house = await liar(t, (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const event of [DELTA, final('x')]) response.write(`data: ${JSON.stringify(event)}\n\n`);
    response.write('data: [DONE]\n\n');
  });
  assert.equal((await fire(t, house, '--case', 'planning')).code, 0);
});

test('T6 words of a server cannot move the terminal', async (t) => {
  const house = await liar(t, frames({ error: { code: 'A\u001b[2J', message: '\u001b[2J\u009b2J\r\nPASSED' } }));
  const { code, child, failures } = await fire(t, house, '--case', 'planning');
  assert.equal(code, 1);
  assert.equal(failures.length, 2);
  assert.doesNotMatch(child.output, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});

test('T6 a server that is away ends it at once, code 4; so does one that goes away under it', async (t) => {
  const away = await fire(t, { url: `http://127.0.0.1:${await freePort()}` });
  assert.equal(away.code, 4);
  assert.equal(away.failures.length, 1);
  assert.match(away.failures[0], /^basic_math_chat on \S+: nothing answers \(.+\); start thinkwired with a worker, or name a broker with --url$/);
  assert.deepEqual([away.requests.length, away.summary.not_made, away.summary.ok], [1, 21, false]);
  assert.match(away.child.stdout, /0 of 1 requests passed, 21 were not made/);

  const house = await open(t, { bus: 'memory' });
  house.provider.script('m', { words: 1000, pace_ms: 20 });
  const going = fire(t, house, '--case', 'basic_math_chat,planning');
  await until(() => house.provider.calls.some(({ pieces }) => pieces > 0), 'an answer to begin');
  await house.broker.child.stop('SIGKILL');
  const { code, failures } = await going;
  house.broker.close = () => {}; // it has ended, and not by itself
  assert.equal(code, 4);
  assert.match(failures[0], /^basic_math_chat on \S+: the connection broke: /);
  assert.match(failures.at(-1), /: nothing answers /);
});

test('T6 a key or token says who asks, by option or environment, and is never shown; without one it ends with code 5', async (t) => {
  const keys = folderOf(t);
  writeFileSync(path.join(keys, 'keys'), `${KEY} ada\n`);
  writeFileSync(path.join(keys, 'secret'), `${SECRET}\n`);
  const house = await open(t, {
    bus: 'memory',
    broker: ['--auth', 'api-key,jwt', '--api-keys-file', path.join(keys, 'keys'), '--jwt-secret-file', path.join(keys, 'secret')],
  });
  const tool = house.tool('token', '--secret-file', path.join(keys, 'secret'), '--sub', 'bob');
  assert.equal((await tool.ended).code, 0, tool.output);
  const token = tool.stdout.trim();
  const only = ['--case', 'basic_math_chat'];
  for (const ways of [[{ THINKWIRE_API_KEY: KEY }], [{ THINKWIRE_TOKEN: token }], ['--api-key', KEY], ['--token', token]]) {
    const { code, child, file } = await fire(t, house, ...ways, ...only);
    assert.equal(code, 0, child.output);
    assert.doesNotMatch(child.output + readFileSync(file, 'utf8'), new RegExp(`${KEY}|${token}`));
  }
  for (const ways of [[], [{ THINKWIRE_API_KEY: `${KEY}x` }], ['--token', 'a.b.c']]) {
    const { code, child, failures, file } = await fire(t, house, ...ways, ...only);
    assert.equal(code, 5);
    assert.equal(failures.length, 1, 'the rest is not asked');
    assert.match(failures[0], /^basic_math_chat on \S+: answered 401 UNAUTHORIZED .*; --api-key or --token says who asks$/);
    assert.doesNotMatch(child.output + readFileSync(file, 'utf8'), new RegExp(`${KEY}x|a\\.b\\.c`));
  }
});

test('T6 the report goes into tests/e2e/_reports in a source tree, elsewhere into the current folder, or where it is told', async (t) => {
  const house = await liar(t, frames(DELTA, final('x'), '[DONE]'));
  const NAME = /^chat_fire_test_\d{8}T\d{6}\.\d{3}Z\.jsonl$/;
  const place = async (cwd, ...more) => {
    const child = begin(t, { cwd, args: ['--url', house.url, '--case', 'planning', ...more] });
    const { code } = await child.ended;
    return { code, child, told: /^Report: (.*)$/m.exec(child.stdout)?.[1] };
  };
  const elsewhere = folderOf(t);
  const here = await place(elsewhere);
  assert.deepEqual(readdirSync(elsewhere), [here.told]);
  assert.match(here.told, NAME);
  assert.equal(readReport(path.join(elsewhere, here.told)).length, 3);

  const tree = folderOf(t);
  mkdirSync(path.join(tree, 'tests/e2e'), { recursive: true });
  const [first, second] = [await place(tree), await place(tree)];
  assert.equal(path.dirname(first.told), 'tests/e2e/_reports', 'made when it is missing');
  assert.match(path.basename(first.told), NAME);
  assert.deepEqual(readdirSync(path.join(tree, 'tests/e2e/_reports')), [first, second].map(({ told }) => path.basename(told)));

  const folder = await place(elsewhere, '--report', 'a/b');
  assert.equal(path.dirname(folder.told), 'a/b');
  assert.equal((await place(elsewhere, '--report', 'c/mine.jsonl')).told, 'c/mine.jsonl');
  assert.equal(readReport(path.join(elsewhere, 'c/mine.jsonl')).at(-1).ok, true);
  const none = await place(folderOf(t), '--report', 'none');
  assert.deepEqual([none.code, none.told], [0, undefined]);
});

test('T6 a report that cannot be written is told before anything is asked', async (t) => {
  let asked = 0;
  const house = await liar(t, (response) => {
    asked += 1;
    frames(DELTA, final('x'), '[DONE]')(response);
  });
  const folder = folderOf(t);
  writeFileSync(path.join(folder, 'file'), '');
  chmodSync(path.join(folder, 'file'), 0o400);
  const { code, failures } = await fire(t, house, '--report', path.join(folder, 'file/below'));
  assert.equal(code, 2);
  assert.match(failures[0], /^the report \S+ cannot be written: Not a directory; --report names another folder or file, --report none does without$/);
  assert.equal(asked, 0);
});

test('T6 what is malformed is refused with code 2, and --help teaches', async (t) => {
  const house = { url: 'http://127.0.0.1:9' };
  for (const [args, words] of [
    [['--case', 'nonsense'], /^there is no case "nonsense"/],
    [['--url', 'redis://127.0.0.1:6379'], /^a broker is asked: --url http:\/\/host:port$/],
    [['--url', 'http://ada:secret@127.0.0.1:9'], /^basic_math_chat on \S+: cannot be asked: /],
    [['--site', 'a/b'], /^a site is at most 128/],
    [['--max-message-chars', '10'], /max-message-chars/],
    [['extra'], /extra/],
  ]) {
    const { code, failures, child } = await fire(t, house, ...args);
    assert.equal(code, 2, args.join(' '));
    assert.match(failures[0], words);
    assert.doesNotMatch(child.output, /secret/);
  }
  const help = begin(t, { args: ['--help'] });
  assert.equal((await help.ended).code, 0);
  for (const word of [...Object.keys(CASES), ...PATHS, '--report', 'THINKWIRE_API_KEY', 'THINKWIRE_TOKEN', 'chat_fire_test_', 'Exit codes']) {
    assert.ok(help.stdout.includes(word), word);
  }
});

test('T6 an interrupted test ends with code 130, and its report says what was not made', async (t) => {
  const house = await open(t, { bus: 'memory' });
  const file = path.join(folderOf(t), 'r.jsonl');
  house.provider.script('m', { words: 1000, pace_ms: 20 });
  const child = begin(t, { args: ['--url', house.url, '--report', file] });
  await until(() => house.provider.calls.some(({ pieces }) => pieces > 0), 'an answer to begin');
  child.process.kill('SIGINT');
  assert.equal((await child.ended).code, 130);
  const summary = readReport(file).at(-1);
  assert.deepEqual([summary.type, summary.requests, summary.not_made, summary.ok], ['summary', 0, 22, false]);
  assert.match(child.stdout, /22 were not made/);
});
