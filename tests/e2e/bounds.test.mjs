// bounds.test.mjs - every bound of docs/limits.md, met by a real client: the answer and the counter.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';
import { BIN, House, PATIENCE, ROOT } from './lib/house.mjs';
import { metrics } from './lib/observe.mjs';
import { post, request } from './lib/publish.mjs';
import { Raw, RawWs, head } from './lib/raw.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './lib/readers.mjs';
import { until } from './lib/wait.mjs';

const TEXT = readFileSync(path.join(ROOT, 'docs/limits.md'), 'utf8');
const delta = (text) => ({ type: 'text', text, partial: true });
const ENGINE = '/socket.io/?EIO=4&transport=';

// Rows `| `setting` | default | told | `counter` |` and, without a counter, of the third table.
const ROWS = [...TEXT.matchAll(/^\| `([a-z-]+)` \| (\S+) \| (.+?) \|(?: `(.+)` \|)?$/gm)]
  .map(([, setting, value, told, counter]) => ({ setting, value, told, counter }));

async function raises(house, counter, act) {
  const read = async () => Object.entries(await metrics(house.url))
    .filter(([name]) => name === `thinkwire_${counter}` || name.startsWith(`thinkwire_${counter}{`))
    .reduce((sum, [, n]) => sum + n, 0);
  const before = await read();
  await act();
  await until(async () => await read() > before, `${counter} to count it`, 10000 * PATIENCE);
}

async function pollingSession(house) {
  const { text } = await request(house, 'GET', `${ENGINE}polling`);
  return `${ENGINE}polling&sid=${JSON.parse(text.slice(1)).sid}`;
}

// A reader of `kind` whose socket is never read from: it has joined, and then stands still.
async function stalled(house, first) {
  const ws = await new RawWs(house, '/ws').opened();
  ws.socket.pause();
  ws.message(first);
  return ws;
}

const big = (n) => 'x'.repeat(n);

// setting -> what provokes it. `args` make it small; `counter` where the row names a family.
const PROVOKED = {
  'max-connections': {
    args: ['--max-connections', '3'],
    async act(house) {
      const held = Array.from({ length: 3 }, () => new Raw(house));
      await until(() => held.every(({ socket }) => !socket.connecting), 'connections');
      await until(async () => {
        const one = new Raw(house);
        const status = await one.status().catch(() => 0);
        if (status === 503) assert.match(one.text, /^Retry-After: \d+\r$/m);
        one.close();
        return status === 503;
      }, 'the refusal');
      held.forEach((one) => one.close());
      await until(() => fetch(`${house.url}/healthz`).then(({ ok }) => ok, () => false), 'room again');
    },
  },
  'max-connections-per-ip': {
    args: ['--max-connections-per-ip', '3'],
    act: (house) => PROVOKED['max-connections'].act(house),
  },
  'header-timeout-ms': {
    args: ['--header-timeout-ms', '200'],
    async act(house) {
      const raw = new Raw(house);
      raw.send('GET / HTTP/1.1\r\nHost:');
      assert.equal(await raw.status(), 408);
      assert.match(raw.text, /"REQUEST_TIMEOUT"/);
      await raw.closed();
    },
  },
  'body-timeout-ms': {
    args: ['--body-timeout-ms', '200'],
    async act(house) {
      const raw = new Raw(house);
      raw.send(`${head(house, 'POST /v1/tasks/t/events', 'Content-Length: 100')}{`);
      assert.equal(await raw.status(), 408);
      assert.match(raw.text, /"REQUEST_TIMEOUT"/);
      await raw.closed();
    },
  },
  'keepalive-ms': {
    args: ['--keepalive-ms', '200'],
    async act(house) {
      const raw = new Raw(house);
      raw.send(head(house, 'GET /healthz'));
      assert.equal(await raw.status(), 200);
      await raw.closed();
    },
  },
  'keepalive-requests': {
    args: ['--keepalive-requests', '2'],
    async act(house) {
      const raw = new Raw(house);
      raw.send(head(house, 'GET /healthz').repeat(3));
      await raw.closed();
      assert.deepEqual(raw.text.match(/^Connection: .*$/gm).map((line) => line.trim()),
        ['Connection: keep-alive', 'Connection: close']);
    },
  },
  'close-timeout-ms': {
    args: ['--close-timeout-ms', '200'],
    async act(house) {
      // It breaks the protocol, and neither answers the close frame nor sees the end.
      const ws = await new RawWs(house, '/ws').opened();
      ws.socket.pause();
      ws.frame(0x81, Buffer.from([0xff, 0xfe]));
    },
  },
  'max-payload-bytes': {
    args: ['--max-payload-bytes', '2000'],
    async act(house) {
      const { status, json } = await request(house, 'POST', await pollingSession(house), { body: `4${big(2000)}` });
      assert.equal(status, 413);
      assert.equal(json.error.code, 'PAYLOAD_TOO_LARGE');
      const reader = await new SioReader(house, { options: { reconnection: false } }).connected();
      let code;
      reader.socket.io.engine.transport.ws.on('close', (given) => { code = given; });
      reader.socket.emit('x', big(2000));
      await until(() => code === 1009, () => `close 1009, not ${code}`);
    },
  },
  'max-message-bytes': {
    args: ['--max-message-bytes', '1024'],
    async act(house) {
      const reader = new WsReader(house);
      await reader.opened();
      reader.send(`{"op":"ping","x":"${big(1024)}"}`);
      assert.equal(await reader.closed(), 1009);
    },
  },
  'publish-max-bytes': {
    args: ['--publish-max-bytes', '1024'],
    async act(house) {
      const answer = await request(house, 'POST', '/v1/tasks/t/events', { body: JSON.stringify(delta(big(1024))) });
      assert.equal(answer.status, 413);
      assert.equal(answer.json.error.code, 'PAYLOAD_TOO_LARGE');
    },
  },
  'publish-max-events': {
    args: ['--publish-max-events', '2'],
    async act(house) {
      const body = `${JSON.stringify(delta('x'))}\n`.repeat(3);
      const answer = await request(house, 'POST', '/v1/tasks/t/events', { body });
      assert.equal(answer.status, 413);
      assert.equal(answer.json.error.code, 'INVALID_EVENT');
      assert.equal((await request(house, 'GET', '/v1/tasks/t')).status, 404, 'nothing was published');
    },
  },
  'submit-max-bytes': {
    args: ['--submit-max-bytes', '1024'],
    async act(house) {
      const answer = await request(house, 'POST', '/v1/tasks', { body: JSON.stringify({ message: 'x'.repeat(1024) }) });
      assert.equal(answer.status, 413);
      assert.equal(answer.json.error.code, 'PAYLOAD_TOO_LARGE');
    },
  },
  'max-message-chars': {
    args: ['--max-message-chars', '10'],
    async act(house) {
      const ask = (message) => request(house, 'POST', '/v1/tasks', { body: JSON.stringify({ message }) });
      const answer = await ask('😀'.repeat(11));
      assert.equal(answer.status, 422);
      assert.deepEqual([answer.json.error.code, answer.json.error.field], ['MESSAGE_TOO_LONG', 'message']);
      assert.equal((await ask('😀'.repeat(10))).status, 202);
    },
  },
  'telemetry-event-bytes': {
    args: ['--telemetry-event-bytes', '256', '--telemetry', 'off'],
    async act(house) {
      const answer = await request(house, 'POST', '/v1/telemetry', { body: JSON.stringify({ event: big(256) }) });
      assert.equal(answer.status, 413);
      assert.equal(answer.json.error.code, 'PAYLOAD_TOO_LARGE');
    },
  },
  'telemetry-per-minute': {
    args: ['--telemetry-per-minute', '2', '--telemetry', 'off'],
    async act(house) {
      const event = { event: 'gen.stop_clicked', data: {}, metadata: { ux_schema: 'v1' } };
      const answers = [];
      for (let n = 0; n < 9; n++) answers.push(await request(house, 'POST', '/v1/telemetry', { body: JSON.stringify(event) }));
      const away = answers.find(({ status }) => status === 429);
      assert.deepEqual([answers[0].status, away.json.error.code, away.headers['retry-after']], [204, 'TOO_MANY', '60']);
    },
  },
  'upgrade-timeout-ms': {
    args: ['--upgrade-timeout-ms', '200'],
    async act(house) {
      const polling = await pollingSession(house);
      const ws = await new RawWs(house, polling.replace('polling', 'websocket')).opened();
      ws.message('2probe');
      await ws.closed();
      assert.equal((await request(house, 'POST', polling, { body: '40' })).status, 200, 'polling goes on');
    },
  },
  'connect-timeout-ms': {
    args: ['--connect-timeout-ms', '200'],
    async act(house) {
      const ws = await new RawWs(house, `${ENGINE}websocket`).opened();
      await ws.wait(() => /\x88.[\s\S]*$/.test(ws.text) || ws.isClosed, 'the close');
      ws.close();
    },
  },
  'max-subscriptions': {
    args: ['--max-subscriptions', '2'],
    async act(house) {
      const ws = new WsReader(house);
      const sio = await new SioReader(house).connected();
      for (const task of ['a', 'b']) {
        await ws.subscribe(task);
        assert.equal((await sio.subscribe({ task_id: task })).ok, true);
      }
      assert.equal((await ws.ask({ op: 'subscribe', task_id: 'c' }, 'error')).code, 'TOO_MANY');
      const answer = await sio.subscribe({ task_id: 'c' });
      assert.equal(answer.error.code, 'TOO_MANY');
      const stream = await request(house, 'GET', '/v1/events?task_id=a,b,c');
      assert.equal(stream.status, 422);
    },
  },
  'max-namespaces': {
    args: ['--max-namespaces', '2'],
    async act(house) {
      const ws = await new RawWs(house, `${ENGINE}websocket`).opened();
      for (const nsp of ['', '/a,', '/b,']) ws.message(`40${nsp}`);
      await ws.wait(() => ws.text.includes('44/b,{"message":"Too many namespaces"}'), 'the refusal');
      ws.close();
    },
  },
  'max-tasks': {
    args: ['--max-tasks', '2'],
    async act(house) {
      for (const task of ['a', 'b']) await post(house, { task }, [delta('x')]);
      const ws = new WsReader(house);
      assert.equal((await ws.ask({ op: 'subscribe', task_id: 'c' }, 'error')).code, 'TOO_MANY');
      const stream = await request(house, 'GET', eventsPath('c'));
      assert.equal(stream.status, 503);
      assert.equal(stream.json.error.code, 'TOO_MANY');
      const publisher = await request(house, 'POST', '/v1/tasks/c/events', { body: JSON.stringify(delta('x')) });
      assert.equal(publisher.status, 503);
      assert.equal(publisher.json.error?.code ?? publisher.json.status, 'UNAVAILABLE');
    },
  },
  'retain-events': {
    args: ['--retain-events', '5'],
    async act(house) {
      const [first] = await post(house, { task: 't' }, Array.from({ length: 20 }, () => delta('x')));
      const ws = new WsReader(house);
      await ws.subscribe('t', { since: first });
      assert.equal((await ws.item('resync')).data.task_id, 't');
      await ws.count(1);
      assert.equal(ws.events[0].text, big(20));
    },
  },
  'retain-bytes': {
    args: ['--retain-bytes', '1024'],
    act: (house) => PROVOKED['retain-events'].act(house),
  },
  'retain-text-bytes': {
    args: ['--retain-text-bytes', '1024'],
    async act(house) {
      const ws = new WsReader(house);
      await ws.subscribe('t');
      await post(house, { task: 't' }, [delta(big(1000))]);
      const answer = await request(house, 'POST', '/v1/tasks/t/events', { body: JSON.stringify(delta(big(100))) });
      assert.equal(answer.status, 413);
      const end = await ws.end();
      assert.deepEqual([end.type, end.code], ['error', 'RUN_TOO_LARGE']);
    },
  },
  'retain-total-bytes': {
    args: ['--retain-total-bytes', '1m'],
    async act(house) {
      let answer;
      for (let n = 0; n < 100; n++) {
        answer = await request(house, 'POST', `/v1/tasks/t${n}/events`, { body: JSON.stringify(delta(big(50000))) });
        if (answer.status !== 200) break;
      }
      assert.equal(answer.status, 503);
      assert.equal(answer.json.error?.code ?? answer.json.status, 'UNAVAILABLE');
    },
  },
  'opaque-lag-bytes': {
    args: ['--opaque-lag-bytes', '1024', '--close-timeout-ms', '300'],
    async act(house) {
      const ws = await new RawWs(house, `${ENGINE}websocket`).opened();
      ws.message('40');
      ws.message('420["task_subscribe","t"]');
      await ws.wait(() => ws.text.includes('430['), 'the acknowledgement');
      ws.socket.pause();
      for (let n = 0; n < 120; n++) await post(house, { task: 't' }, [{ type: 'status', x: big(60000) }]);
    },
  },
  'control-bytes': {
    args: ['--control-bytes', '1024', '--close-timeout-ms', '300'],
    async act(house) {
      // The kernel takes some megabytes before the socket is full.
      const tasks = ['a', 'b', 'c'];
      for (const task of tasks) {
        await post(house, { task }, Array.from({ length: 4 }, () => ({ type: 'status', x: big(900000) })));
      }
      const ws = await stalled(house, '{"op":"ping"}');
      for (const task of tasks) ws.message(`{"op":"subscribe","task_id":"${task}","from":"start"}`);
      // Answers wait only once the socket is full, which takes its time.
      await until(async () => {
        for (let n = 0; n < 100; n++) ws.message('{"op":"ping"}');
        return (await metrics(house.url)).thinkwire_unread_answers_closed_total > 0;
      }, 'the close');
    },
  },
  'snapshot-total-bytes': {
    args: ['--snapshot-total-bytes', '65536'],
    async act(house) {
      const waiting = await snapshotsHeld(house);
      await until(async () => (await metrics(house.url)).thinkwire_snapshot_waits_total > 0, 'a joiner to wait');
      assert.equal(waiting.events.length, 0);
    },
  },
  'snapshot-hold-ms': {
    args: ['--snapshot-total-bytes', '65536', '--snapshot-hold-ms', '500', '--close-timeout-ms', '300'],
    async act(house) {
      const waiting = await snapshotsHeld(house);
      await waiting.count(1);
      assert.equal(waiting.events[0].text, 'hello');
    },
  },
  'silence-ms': {
    args: ['--silence-ms', '1000', '--heartbeat-ms', '200', '--close-timeout-ms', '300'],
    async act(house) {
      const silent = await new RawWs(house, '/ws').opened(); // never answers a ping
      const healthy = new WsReader(house);
      const stream = new SseReader(house, eventsPath('t'));
      await healthy.opened();
      await stream.item('subscribed');
      await silent.closed(20000 * PATIENCE);
      assert.match(silent.text, /\x88.\x03\xe9/s, 'close 1001');
      assert.equal(healthy.closeCode, undefined);
      assert.ok(!stream.isEnded);
    },
  },
  'ping-timeout-ms': {
    args: ['--ping-interval-ms', '200', '--ping-timeout-ms', '200', '--close-timeout-ms', '300'],
    async act(house) {
      const ws = await new RawWs(house, `${ENGINE}websocket`).opened();
      ws.message('40');
      await ws.closed();
    },
  },
  'max-saved-sessions': {
    args: ['--max-saved-sessions', '1', '--recovery', 'on'],
    async act(house) {
      const [one, two] = [new SioReader(house), new SioReader(house)];
      for (const reader of [one, two]) {
        reader.socket.io.reconnection(false);
        await reader.connected();
      }
      for (const reader of [one, two]) {
        reader.socket.io.engine.transport.ws.terminate();
        await reader.wait(() => reader.disconnects.length === 1, 'the cut');
        await until(async () => (await metrics(house.url)).thinkwire_engine_sessions === (reader === one ? 1 : 0), 'it to be noticed');
      }
      for (const reader of [two, one]) {
        reader.socket.connect();
        await reader.wait(() => reader.socket.connected, 'the way back');
        assert.equal(reader.socket.recovered, reader === two);
      }
    },
  },
  'wait-unknown-ms': {
    args: ['--wait-unknown-ms', '100'],
    async act(house) {
      const ws = new WsReader(house);
      await ws.subscribe('nobody');
      assert.equal((await ws.item('error')).data.code, 'UNKNOWN_TASK');
      const poll = await request(house, 'GET', eventsPath('nobody'), { headers: { accept: 'application/json' } });
      assert.equal(poll.json.error, 'UNKNOWN_TASK');
    },
  },
  'auth-max-questions': {
    redis: true,
    async before(own) {
      const backend = http.createServer(() => {}); // never answers
      backend.listen(0, '127.0.0.1');
      await once(backend, 'listening');
      own({
        close() {
          backend.closeAllConnections();
          backend.close();
        },
      });
      return ['--frappe', '--frappe-web-base', `http://127.0.0.1:${backend.address().port}`,
        '--auth-max-questions', '1'];
    },
    async act(house) {
      const visitor = async (sid) => {
        const ws = await new RawWs(house, `${ENGINE}websocket`, 'Host: site1.local', 'Origin: http://site1.local',
          `Cookie: sid=${sid}`).opened();
        ws.message('40/site1.local,');
        return ws;
      };
      const first = await visitor('a');
      await until(async () => (await metrics(house.url)).thinkwire_auth_questions === 1, 'the first question');
      const second = await visitor('b');
      await second.wait(() => second.text.includes('44/site1.local,{"message":'), 'the refusal');
      assert.ok(!first.text.includes('44/'), 'the first is still being asked about');
      first.close();
      second.close();
    },
  },
  'redis-max-waiting': {
    redis: true,
    args: ['--redis-max-waiting', '64'],
    async act(house) {
      // It stands still until the bound has been met, however long that takes.
      const redis = house.redis.child.process;
      redis.kill('SIGSTOP');
      const body = JSON.stringify(delta('x'));
      const asked = Array.from({ length: 200 }, (_, n) => {
        const raw = new Raw(house);
        raw.send(head(house, `POST /v1/tasks/t${n}/events`, `Content-Length: ${body.length}`) + body);
        return raw;
      });
      await Promise.any(asked.map(async (raw) => assert.equal(await raw.status(), 503)));
      redis.kill('SIGCONT');
      const statuses = await Promise.all(asked.map((raw) => raw.status()));
      assert.ok(statuses.includes(200), 'those within the bound are published');
      asked.forEach((raw) => raw.close());
    },
  },
};

// One reader takes up the memory of snapshots and does not read; another joins another task.
async function snapshotsHeld(house) {
  const text = Array.from({ length: 4 }, () => delta(big(900000)));
  await post(house, { task: 'large' }, text);
  await post(house, { task: 'small' }, [delta('hello')]);
  await stalled(house, '{"op":"subscribe","task_id":"large"}');
  await until(async () => (await metrics(house.url)).thinkwire_snapshots_total > 0, 'the first snapshot');
  const waiting = new WsReader(house);
  await waiting.subscribe('small');
  return waiting;
}

for (const { setting, told, counter } of ROWS.filter((row) => row.counter)) {
  test(`${setting}: ${told}`, async (t) => {
    const row = PROVOKED[setting];
    assert.ok(row, `no provocation of ${setting}`);
    const house = await openWith(t, row);
    await raises(house, counter, () => row.act(house));
    assert.ok(house.broker.child.isRunning);
  });
}

async function openWith(t, row) {
  const own = [];
  const more = await row.before?.((thing) => own.push(thing)) ?? [];
  const house = await House.open(t, { redis: row.redis ?? false, args: [...(row.args ?? []), ...more] });
  own.forEach((thing) => house.own(thing));
  return house;
}

test('every provocation belongs to a row of docs/limits.md', () => {
  assert.deepEqual(Object.keys(PROVOKED).sort(), ROWS.filter((row) => row.counter).map(({ setting }) => setting).sort());
});

test('the defaults of docs/limits.md are those of --help, and every bound of --help is in docs/limits.md', () => {
  const help = execFileSync(path.join(BIN, 'thinkwired'), ['--help'], { encoding: 'utf8' });
  const defaults = Object.fromEntries([...help.matchAll(/^ {2}--([a-z0-9-]+) \S+\n[\s\S]*?^ {6}default: (\S+?);/gm)]
    .map(([, name, value]) => [name, value]));
  for (const { setting, value } of ROWS) assert.equal(defaults[setting], value, setting);
  const bounds = /^Bounds\n([\s\S]*?)\n\n/m.exec(help)[1];
  const named = [...bounds.matchAll(/^ {2}--([a-z-]+)/gm)].map(([, name]) => name);
  const known = new Set(ROWS.map(({ setting }) => setting));
  assert.deepEqual(named.filter((name) => !known.has(name) && name !== 'drain-ms'), []);
});

test('every counter of docs/limits.md is in /metrics from the start', async (t) => {
  const house = await House.open(t, { args: ['--frappe', '--frappe-web-base', 'http://127.0.0.1:1'] });
  const names = Object.keys(await metrics(house.url));
  for (const { counter } of ROWS.filter((row) => row.counter)) {
    assert.ok(names.some((name) => name === `thinkwire_${counter}` || name.startsWith(`thinkwire_${counter}{`)), counter);
  }
});
