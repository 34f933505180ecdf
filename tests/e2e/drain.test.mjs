// drain.test.mjs - SIGTERM: clients are sent elsewhere, a second instance takes over, nothing is lost.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import test from 'node:test';
import { assertIdsRise, fold, isTerminal, script } from './lib/fold.mjs';
import { House } from './lib/house.mjs';
import { post, request } from './lib/publish.mjs';
import { EventSourceReader, eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { delay, until } from './lib/wait.mjs';

const refuses = (port) => new Promise((resolve) => {
  const probe = net.connect(port, '127.0.0.1');
  probe.on('connect', () => {
    probe.destroy();
    resolve(false);
  });
  probe.on('error', () => resolve(true));
});

// SIGTERM; answers once nobody new is let in.
async function beginDrain(broker) {
  broker.child.process.kill('SIGTERM');
  await until(() => refuses(broker.port), 'the listener to close');
}

async function drained(broker, ms = 10000) {
  const timer = setTimeout(() => broker.child.process.kill('SIGKILL'), ms);
  const end = await broker.child.ended;
  clearTimeout(timer);
  assert.deepEqual(end, { code: 0, signal: null }, broker.child.output);
}

const lastId = (reader) => reader.events.findLast(({ id }) => id)?.id;

// A native Socket.IO reader as a page would write it: asks for what it lacks when it is back.
function sioReader(house, task, mode) {
  const reader = new SioReader(house, { mode });
  reader.socket.on('connect', () => {
    if (reader.socket.recovered) return;
    const since = lastId(reader);
    reader.socket.emit('task_subscribe', { task_id: task, ...(since ? { since } : { from: 'start' }) });
  });
  return reader;
}

// /ws has no client that reconnects by itself: a page's few lines.
function wsReader(house, task) {
  const parts = [];
  const codes = [];
  const it = {
    kind: '/ws',
    codes,
    close: () => { it.isOver = true; },
    get items() { return parts.flatMap((part) => part.items); },
    get events() { return parts.flatMap((part) => part.events); },
  };
  const connect = () => {
    if (it.isOver) return;
    const since = lastId(it);
    const ws = new WsReader(house, {});
    parts.push(ws);
    ws.socket.on('open', () => ws.send({ op: 'subscribe', task_id: task, ...(since ? { since } : { from: 'start' }) }));
    ws.socket.on('close', (code) => {
      codes.push(code);
      setTimeout(connect, 50);
    });
  };
  connect();
  house.own(it);
  return it;
}

// Long polls one after the other.
function pollReader(house, task) {
  const it = { kind: 'long poll', items: [], get events() { return it.items.map(({ data }) => data); } };
  const agent = new http.Agent({ keepAlive: true });
  house.own({ close: () => { it.isOver = true; agent.destroy(); } });
  const ask = (since) => new Promise((resolve, reject) => {
    http.get(`${house.url}${eventsPath(task, since ? { since } : { from: 'start' })}`, {
      agent, headers: { accept: 'application/json' },
    }, (answer) => {
      let text = '';
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => resolve({ status: answer.statusCode, text }));
      answer.on('error', reject);
    }).on('error', reject);
  });
  (async () => {
    let since;
    while (!it.isOver && !it.events.some(isTerminal)) {
      try {
        const { status, text } = await ask(since);
        assert.equal(status, 200, text);
        const { events, id } = JSON.parse(text);
        for (const data of events) it.items.push({ name: 'ai_progress', data });
        since = id ?? since;
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        await delay(50);
      }
    }
  })().catch((error) => { it.fault = error; });
  return it;
}

test('a rolling restart: clients of all transports go over to the second instance, nothing is lost or doubled', async (t) => {
  const house = await House.open(t, { args: ['--drain-ms', '1000', '--retry-ms', '100'] });
  const { broker } = house;
  const { events, told } = script('roll', 120);
  const child = house.tool('emit', '--task', 'r', '--redis', house.redis.url, '--json-lines');
  const readers = [];
  for (let i = 0; i < 3; i++) {
    readers.push(sioReader(house, 'r', 'websocket'), sioReader(house, 'r', 'polling'), sioReader(house, 'r', 'upgraded'));
    readers.push(wsReader(house, 'r'), pollReader(house, 'r'));
    readers.push(new EventSourceReader(house, eventsPath('r', { from: 'start' })));
  }
  let sent = 0;
  const say = async (count) => {
    for (const event of events.slice(sent, sent + count)) {
      await child.write(`${JSON.stringify(event)}\n`);
      await delay(20);
    }
    sent += count;
  };
  await say(20);
  for (const reader of readers) {
    await until(() => reader.events.length >= 1, () => `the first event at ${reader.kind}`);
  }
  const saying = say(60);
  await beginDrain(broker);
  await house.another({ port: broker.port });
  await drained(broker);
  await saying;
  await say(events.length);
  child.end();
  for (const reader of readers) {
    await until(() => reader.events.some(isTerminal), () => `the end at ${reader.kind}, ${reader.fault}, which has ${reader.events.length}`);
    assert.deepEqual(fold(reader.items.filter(({ name }) => name !== 'resync' || assert.fail('a resync'))), {
      ...told, end: reader.events.at(-1),
    }, reader.kind);
    assertIdsRise(reader.items);
  }
  for (const reader of readers.filter((one) => one instanceof SioReader)) {
    for (const reason of reader.disconnects) assert.match(reason, /^transport (close|error)$/);
    assert.ok(reader.disconnects.length >= 1);
  }
  for (const { codes } of readers.filter(({ codes }) => codes)) assert.equal(codes[0], 1012);
});

test('clients that know how to recover go on with their session at the second instance', async (t) => {
  const house = await House.open(t, { args: ['--drain-ms', '500'] });
  const readers = ['websocket', 'polling', 'upgraded'].flatMap((mode) => ['t', { task_id: 't', from: 'start' }].map((form) => {
    const reader = new SioReader(house, { mode, options: { auth: { recovery: true } } });
    return Object.assign(reader, { form });
  }));
  for (const reader of readers) {
    await reader.connected();
    await reader.subscribe(reader.form);
  }
  const ids = readers.map(({ socket }) => socket.id);
  const { events, told } = script('go', 40);
  const child = house.tool('emit', '--task', 't', '--redis', house.redis.url, '--json-lines');
  const say = (from, to) => child.write(events.slice(from, to).map((event) => `${JSON.stringify(event)}\n`).join(''));
  await say(0, 10);
  for (const reader of readers) await reader.count(1);
  await beginDrain(house.broker);
  await say(10, 30);
  await house.another({ port: house.broker.port });
  await drained(house.broker);
  for (const reader of readers) await reader.wait(() => reader.disconnects.length && reader.socket.connected, 'the way back');
  await say(30, events.length);
  child.end();
  for (const [n, reader] of readers.entries()) {
    assert.equal(reader.socket.recovered, true, `${reader.kind}, ${typeof reader.form}`);
    assert.equal(reader.socket.id, ids[n]);
    const end = await reader.end();
    assert.deepEqual(fold(reader.items), { ...told, end });
  }
});

test('while it drains, a connection that is kept hears 503 and is closed; a publish under way is answered', async (t) => {
  const house = await House.open(t, { redis: false, args: ['--drain-ms', '3600000'] });
  const { broker } = house;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const kept = (path) => new Promise((resolve, reject) => {
    http.get(house.url + path, { agent }, (answer) => {
      let text = '';
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
    }).on('error', reject);
  });
  assert.equal((await kept('/readyz')).status, 200);
  const body = JSON.stringify({ type: 'text', text: 'x', partial: true });
  const publish = net.connect(broker.port, '127.0.0.1');
  let heard = '';
  publish.setEncoding('utf8').on('data', (text) => { heard += text; }).on('error', () => {});
  publish.write(`POST /v1/tasks/t/events HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`);
  await delay(50);
  await beginDrain(broker);
  const told = await kept('/readyz');
  assert.equal(told.status, 503);
  assert.match(told.text, /"draining"/);
  assert.equal(told.headers.connection, 'close');
  publish.write(body.slice(5));
  await once(publish, 'end');
  publish.end();
  assert.match(heard, /^HTTP\/1\.1 200 /);
  assert.match(heard, /\r\nConnection: close\r\n/i);
  agent.destroy();
  await drained(broker);
});

test('a stream ends cleanly, after a delay of its own to come back; a held poll is answered', async (t) => {
  const house = await House.open(t, { redis: false, args: ['--drain-ms', '0', '--retry-ms', '1000'] });
  await post(house, { task: 't' }, [{ type: 'text', text: 'x', partial: true }]);
  const streams = Array.from({ length: 12 }, () => new SseReader(house, eventsPath('t')));
  for (const stream of streams) await stream.item('ai_progress');
  const waiting = new SseReader(house, eventsPath('t', { from: 'now' }));
  await waiting.answered();
  const [id] = streams[0].items.map((item) => item.id).filter(Boolean).slice(-1);
  const poll = request(house, 'GET', eventsPath('t', { since: id }), { headers: { accept: 'application/json' } });
  await delay(50);
  house.broker.child.process.kill('SIGTERM');
  for (const stream of [...streams, waiting]) {
    await stream.streamEnd();
    assert.equal(stream.failure, undefined);
    assert.ok(stream.retry >= 500 && stream.retry <= 1500, `retry ${stream.retry}`);
  }
  assert.ok(new Set(streams.map(({ retry }) => retry)).size > 1, 'all the same delay');
  const answer = await poll;
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json.events, []);
  assert.equal(answer.json.id, id);
  await drained(house.broker);
});

test('who does not go is cut when the time is over, and the exit is still 0', async (t) => {
  const house = await House.open(t, { redis: false, args: ['--drain-ms', '0', '--close-timeout-ms', '300'] });
  const deaf = net.connect({ port: house.broker.port, host: '127.0.0.1', allowHalfOpen: true });
  deaf.on('error', () => {}).resume();
  deaf.write('GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n');
  await once(deaf, 'connect');
  await until(() => deaf.bytesRead > 0, 'an answer');
  house.own({ close: () => deaf.destroy() });
  house.broker.child.process.kill('SIGTERM');
  await drained(house.broker);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`a second signal, ${signal}, ends it at once`, async (t) => {
    const house = await House.open(t, { redis: false, args: ['--drain-ms', '600000'] });
    const readers = await Promise.all(Array.from({ length: 5 }, () => new SioReader(house, { options: { reconnection: false } }).connected()));
    await beginDrain(house.broker);
    assert.ok(readers.some(({ socket }) => socket.connected));
    house.broker.child.process.kill(signal);
    await drained(house.broker);
  });
}
