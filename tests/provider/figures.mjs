// figures.mjs - what a worker costs and adds: many generations at once, time to first token, spacing.
// SPDX-License-Identifier: MIT
//
//   THINKWIRE_BIN=build/release/bin node tests/provider/figures.mjs [generations]
//
// Private Redis, broker, worker; the stand-in provider runs in a process of its own. Every answer
// is compared with what was said; the command fails when one differs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { House } from '../e2e/lib/house.mjs';
import { Asked, block, wholeAnswer, Worker } from '../e2e/lib/worker.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const COUNT = Number(process.argv[2] ?? 500);
const WORDS = 50;
const PACE_MS = 100;
const BAD_EVERY = 50; // 2 % of all requests meet a fault

const now = () => performance.timeOrigin + performance.now();
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

function say(name, values) {
  const sorted = [...values].sort((a, b) => a - b);
  const text = [0.5, 0.9, 0.99].map((share) => `p${share * 100} ${at(sorted, share).toFixed(2)}`).join('  ');
  process.stdout.write(`${name.padEnd(54)} ${text}  max ${sorted.at(-1).toFixed(2)} ms  (n ${sorted.length})\n`);
}

async function startProvider() {
  const child = spawn(process.execPath, [path.join(here, 'provider.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data');
  const url = line.trim();
  const base = url.replace(/\/v1$/, '');
  return {
    url,
    script: (rules) => fetch(`${base}/scripts`, { method: 'POST', body: JSON.stringify(rules) }),
    calls: async () => (await fetch(`${base}/calls`)).json(),
    forget: () => fetch(`${base}/calls`, { method: 'DELETE' }),
    close: () => child.kill(),
  };
}

const cpuMs = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
};

const facts = (pid) => ({
  descriptors: readdirSync(`/proc/${pid}/fd`).length,
  kilobytes: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]),
});

// Many at once, some of which meet a fault that their fallback repairs or that ends them.
async function many(house, provider) {
  const rules = { m: [{ words: WORDS, pace_ms: PACE_MS }], cut: [{ mode: 'stream', words: WORDS, pace_ms: PACE_MS, cut_at: 20 }, { words: WORDS }],
    down: [{ status: 500 }] };
  await provider.script(rules);
  const began = now();
  const cpu = cpuMs(house.worker.pid);
  const runs = await Promise.all(Array.from({ length: COUNT }, async (_, n) => {
    const bad = n % BAD_EVERY === BAD_EVERY - 1;
    const model = !bad ? 'm' : n % (2 * BAD_EVERY) < BAD_EVERY ? 'cut' : 'down';
    const run = await Asked.start(house, { model });
    const end = await run.end(120000);
    run.reader.close();
    return { model, end, whole: end.type === 'completion' && end.told.text === wholeAnswer(run.task, WORDS), task: run.task };
  }));
  const wrong = runs.filter(({ model, whole, end }) => (model === 'down' ? end.type !== 'error' : !whole));
  const foreign = runs.filter(({ end, task }) => end.told.text.split(' ').some((word) => word && !word.startsWith(`${task}:`)));
  const tokens = runs.reduce((sum, { end }) => sum + end.told.text.split(' ').length - 1, 0);
  const spent = cpuMs(house.worker.pid) - cpu;
  process.stdout.write(`${COUNT} generations at once, ${runs.filter(({ model }) => model !== 'm').length} met a fault: `
    + `${wrong.length} beyond what the faults explain, ${foreign.length} with foreign text, ${((now() - began) / 1000).toFixed(1)} s, `
    + `worker ${spent} ms CPU = ${((spent * 1000) / tokens).toFixed(0)} us a token\n`);
  return wrong.length + foreign.length;
}

// Time to the first piece, asked directly over a kept-alive connection.
function direct(url, key, agent) {
  return new Promise((resolve, reject) => {
    const began = now();
    const request = http.request(`${url}/chat/completions`, { method: 'POST', agent, headers: { 'content-type': 'application/json' } }, (answer) => {
      answer.setEncoding('utf8').on('data', (text) => {
        if (text.includes(`${key}:0`)) resolve(now() - began);
      });
      answer.on('end', () => reject(new Error('no token')));
    });
    request.on('error', reject);
    request.end(JSON.stringify({ model: 'fast', stream: true, messages: [{ role: 'user', content: key }] }));
  });
}

// One after the other. The worker's own share: from taking the job to asking the provider, and from
// the provider's first piece to the reader, is in the two differences below.
async function firstToken(house, provider) {
  await provider.script({ fast: [{ words: 3, pace_ms: 5 }] });
  const agent = new http.Agent({ keepAlive: true });
  const straight = [];
  const through = [];
  const before = [];
  const behind = [];
  for (let n = 0; n < 220; n++) {
    straight.push(await direct(provider.url, `direct${n}`, agent));
    await provider.forget();
    const run = await Asked.start(house, { model: 'fast', task: `ttft${n}`, live: true });
    await run.firstText();
    const seen = now();
    await run.end();
    run.reader.close();
    const [call] = (await provider.calls()).calls;
    through.push(seen - run.at);
    before.push(call.at - run.at);
    behind.push(seen - call.first_at);
  }
  agent.destroy();
  say('first token, provider asked directly', straight.slice(20));
  say('first token, request by HTTP -> worker -> broker -> SSE', through.slice(20));
  say('  request by HTTP -> provider is asked', before.slice(20));
  say('  provider sends -> reader has it', behind.slice(20));
  const own = (await house.worker.says('generation finished')).map((line) => Number(line.ttft_ms));
  say('  of that, worker: job taken -> first token told (ms)', own.slice(-200));
}

async function spacing(house, provider) {
  await provider.script({ stamped: [{ words: 100, pace_ms: 30, stamp: true }] });
  const lags = [];
  const gaps = [];
  const sent = [];
  await Promise.all(Array.from({ length: 20 }, async () => {
    const run = await Asked.start(house, { model: 'stamped', live: true });
    let last;
    let lastSent;
    const take = run.reader.take.bind(run.reader);
    run.reader.take = (item) => {
      const stamp = item.data?.type === 'text' && /@([\d.]+)/.exec(item.data.text);
      if (stamp) {
        const seen = now();
        lags.push(seen - Number(stamp[1]));
        if (last) {
          gaps.push(seen - last);
          sent.push(Number(stamp[1]) - lastSent);
        }
        last = seen;
        lastSent = Number(stamp[1]);
      }
      take(item);
    };
    await run.end();
  }));
  say('20 streams, chunk every 30 ms: gap at the provider', sent);
  say('                               gap at the reader', gaps);
  say('                               provider -> reader', lags);
}

// Stopped at one broker, watched at another, generated in a third process.
async function stops(house, provider) {
  await provider.script({ endless: [{ words: 100000, pace_ms: 20 }] });
  const other = await house.another();
  const told = [];
  const cut = [];
  for (let n = 0; n < 200; n++) {
    await provider.forget();
    const run = await Asked.start(house, { model: 'endless', task: `stop${n}` });
    await run.firstText();
    const began = now();
    await fetch(`${other.url}/v1/tasks/${run.task}/stop`, { method: 'POST' });
    const end = await run.end();
    if (end.type !== 'stopped') throw new Error(`${run.task} ended with ${end.type}`);
    told.push(now() - began);
    run.reader.close();
    let call;
    do [call] = (await provider.calls()).calls; while (!call.closed_at);
    cut.push(call.closed_at - began);
  }
  say('200 stops, across two brokers: until stopped is read', told);
  say('                               until cut upstream', cut);
}

const closers = [];
const t = { after: (close) => closers.push(close) };
const provider = await startProvider();
let faults = 1;
try {
  const house = await House.open(t);
  house.worker = await new Worker(house, {
    providers: `default-model m\n${block(provider, { lines: [`max-connections ${COUNT}`, 'breaker-failures 0'] })}`,
  }).ready();
  await firstToken(house, provider);
  await spacing(house, provider);
  await stops(house, provider);
  await many(house, provider);
  const before = facts(house.worker.pid);
  faults = await many(house, provider);
  const after = facts(house.worker.pid);
  process.stdout.write(`worker after the first load ${JSON.stringify(before)}, after the second ${JSON.stringify(after)}\n`);
} finally {
  for (const close of closers.reverse()) await close();
  provider.close();
}
process.exitCode = faults ? 1 : 0;
