// recovery-brokers.test.mjs - connection state recovery of stock clients on another broker.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { Cable } from './lib/cable.mjs';
import { assertIdsRise, fold, script } from './lib/fold.mjs';
import { House, PATIENCE } from './lib/house.mjs';
import { metric } from './lib/observe.mjs';
import { SioReader } from './lib/readers.mjs';
import { delay, until } from './lib/wait.mjs';

// Two brokers on one Redis, and a cable that leads to the first until switch() is called.
class Pair {
  static async open(t, { args = [] } = {}) {
    const pair = new Pair();
    pair.house = await House.open(t, { args });
    pair.first = pair.house.broker;
    pair.second = await pair.house.another({ args });
    pair.front = { broker: pair.first, own: (thing) => pair.house.own(thing) };
    pair.cable = await Cable.open(pair.front);
    return pair;
  }

  reader(options = {}) {
    const { auth = { recovery: true }, ...rest } = options;
    return new SioReader(this.cable, { ...rest, options: { auth, randomizationFactor: 0.2 } });
  }

  // Clients that come (back) from now on come to the second.
  switch(to = this.second) {
    this.front.broker = to;
  }

  // SIGKILL: nothing is said goodbye to.
  async kill(broker = this.first) {
    broker.child.process.kill('SIGKILL');
    await broker.child.ended;
    // The house closes what has ended itself, but not with code 0.
    if (broker === this.house.broker) this.house.broker = undefined;
    else broker.close = () => {};
  }

  // A task that is fed as long as the test wants.
  task(name) {
    const child = this.house.tool('emit', '--task', name, '--redis', this.house.redis.url, '--json-lines');
    return { say: (...events) => child.write(events.map((event) => `${JSON.stringify(event)}\n`).join('')), end: () => child.end() };
  }
}

const recoveries = (broker, outcome) => metric(broker.url, new RegExp(`recoveries_total\\{outcome="${outcome}"\\}`));
const text = (reader) => reader.events.filter(({ type }) => type === 'text').map((event) => event.text).join('');
// The record of every reader is written, and tells of as many tasks.
async function recorded(pair, readers, tasks) {
  const { client } = pair.house.redis;
  await until(async () => {
    const keys = await client.keys('tw:session:*');
    const records = await Promise.all(keys.map((key) => client.get(key)));
    return records.filter((record) => JSON.parse((record ?? '').slice(16) || '{}').tasks?.length === tasks).length >= readers;
  }, 'the records');
}

async function back(reader) {
  await reader.wait(() => reader.disconnects.length, () => `${reader.kind} to be cut`);
  await reader.wait(() => reader.socket.connected, () => `${reader.kind} to be back: ${reader.refusal}`, 20000 * PATIENCE);
}

const FORMS = {
  string: (task) => task,
  object: (task) => ({ task_id: task, from: 'start' }),
};

test('the first broker is killed in the middle of a run: every client goes on at the second, nothing is lost or doubled', async (t) => {
  const pair = await Pair.open(t);
  const readers = [];
  for (const mode of ['websocket', 'polling', 'upgraded']) {
    for (const form of Object.keys(FORMS)) {
      for (let i = 0; i < 4; i++) readers.push(Object.assign(pair.reader({ mode }), { form }));
    }
  }
  const idle = ['websocket', 'polling'].map((mode) => pair.reader({ mode }));
  const all = [...readers, ...idle];
  for (const reader of all) await reader.connected();
  const ids = all.map(({ socket }) => socket.id);
  for (const reader of readers) assert.equal((await reader.subscribe(FORMS[reader.form]('r'))).ok, true);
  for (const [n, reader] of idle.entries()) await reader.subscribe(Object.values(FORMS)[n]('later'));
  await recorded(pair, all.length, 1);
  const { events, told } = script('kill', 160);
  const run = pair.task('r');
  let isOver = false;
  const saying = (async () => {
    for (const event of events) {
      await run.say(event);
      await delay(15);
    }
    isOver = true;
  })();
  for (const reader of readers) await reader.count(15);
  await pair.kill();
  pair.switch();
  assert.equal(isOver, false);
  for (const reader of all) await back(reader);
  await saying;
  run.end();
  for (const [n, reader] of all.entries()) {
    assert.equal(reader.socket.recovered, true, reader.kind);
    assert.equal(reader.socket.id, ids[n]);
  }
  for (const reader of readers) {
    const end = await reader.end(30000);
    assert.deepEqual(fold(reader.items), { ...told, end }, `${reader.kind} ${reader.form}`);
    assert.equal(reader.items.some(({ name }) => name === 'resync'), false);
    assertIdsRise(reader.items);
  }
  const later = pair.task('later');
  await later.say({ type: 'text', text: 'now', partial: true });
  for (const reader of idle) {
    await reader.count(1);
    assert.equal(text(reader), 'now');
  }
  later.end();
  assert.equal(await recoveries(pair.second, 'recovered'), all.length);
  assert.equal(await metric(pair.second.url, /sessions_taken_over_total/), all.length);
});

test('a session that Redis has no room for is recovered nowhere else, and is kept as soon as there is room', async (t) => {
  const pair = await Pair.open(t);
  const { client } = pair.house.redis;
  const reader = await pair.reader().connected();
  await reader.subscribe(FORMS.object('r'));
  await recorded(pair, 1, 1);
  await client.config('SET', 'maxmemory', '1');
  assert.equal((await reader.subscribe(FORMS.object('later'))).ok, true);
  // The record that is there does not tell of it: a client that went on with that would lack it.
  await until(async () => (await client.keys('tw:session:*')).length === 0, 'the old record to go');
  assert.ok(await metric(pair.first.url, /session_records_refused_total/) >= 1);
  await client.config('SET', 'maxmemory', '0');
  await recorded(pair, 1, 2);
  await pair.kill();
  pair.switch();
  await back(reader);
  assert.equal(reader.socket.recovered, true);
  const later = pair.task('later');
  await later.say({ type: 'text', text: 'now', partial: true });
  await reader.count(1);
  assert.equal(text(reader), 'now');
  later.end();
});

// One client in each form, cut from the first broker after `count` events and put to the second.
async function moveOne(t, { args, form = 'string', tasks = ['r'], before = 5, meanwhile = async () => {}, tamper = () => {}, options = {} } = {}) {
  const pair = await Pair.open(t, { args });
  const reader = await pair.reader(options).connected();
  for (const task of tasks) await reader.subscribe(FORMS[form](task));
  const run = pair.task(tasks[0]);
  t.after(() => run.end());
  let n = 0;
  const say = async (count) => {
    for (let i = 0; i < count; i++) await run.say({ type: 'status', text: `${n++}` });
  };
  await say(before);
  await reader.count(before);
  if (tasks.length <= 16) await recorded(pair, 1, tasks.length);
  pair.cable.pull();
  await pair.kill();
  await reader.wait(() => !reader.socket.connected, 'the cut');
  await meanwhile({ pair, say });
  tamper(reader.socket, pair);
  pair.switch();
  pair.cable.plug();
  await back(reader);
  return { pair, reader, say, numbers: () => reader.events.map((event) => Number(event.text)) };
}

const upTo = (count) => Array.from({ length: count }, (_, n) => n);

for (const form of Object.keys(FORMS)) {
  test(`what was missed meanwhile is replayed in order, then live goes on: ${form} form`, async (t) => {
    const { reader, say, numbers } = await moveOne(t, { form, meanwhile: ({ say: more }) => more(20) });
    assert.equal(reader.socket.recovered, true);
    await reader.count(25);
    await say(5);
    await reader.count(30);
    assert.deepEqual(numbers(), upTo(30));
    assert.deepEqual(reader.items.filter(({ name }) => name !== 'ai_progress'), []);
  });
}

test('sixteen tasks come along; with one more the client is told that it was not recovered', async (t) => {
  for (const count of [16, 17]) {
    await t.test(`${count} tasks`, async (sub) => {
      const tasks = Array.from({ length: count }, (_, n) => `task-${n}`);
      const { reader, say, numbers } = await moveOne(sub, { tasks, meanwhile: ({ say: more }) => more(3) });
      assert.equal(reader.socket.recovered, count === 16);
      if (count === 17) return;
      await reader.count(8);
      await say(1);
      await reader.count(9);
      assert.deepEqual(numbers(), upTo(9));
    });
  }
});

const REFUSED = {
  'a pid that nobody has': { tamper: (socket) => { socket._pid = '0123456789abcdef01234567'; } },
  'a pid that is garbage': { tamper: (socket) => { socket._pid = '*'; } },
  'an offset that is garbage': { tamper: (socket) => { socket._lastOffset = 'garbage'; } },
  'an offset of places without end': {
    tamper: (socket) => { socket._lastOffset += Array.from({ length: 40 }, (_, n) => `.${n.toString(16)}:1-1`).join(''); },
  },
  'an offset of another epoch': { tamper: (socket) => { socket._lastOffset = socket._lastOffset.replace(/:\d+-/, ':7-'); } },
  'an offset of the future': { tamper: (socket) => { socket._lastOffset = socket._lastOffset.replace(/-\d+$/, '-999'); } },
  'an event that has left retention': { args: ['--retain-events', '10'], meanwhile: ({ say }) => say(400) },
  'a record that has expired': { args: ['--recovery-ms', '600'], meanwhile: () => delay(900) },
  'another namespace': { tamper: (socket) => { socket.nsp = '/elsewhere'; socket.io.nsps = { '/elsewhere': socket }; } },
};

for (const [what, { args, meanwhile, tamper }] of Object.entries(REFUSED)) {
  test(`honest non-recovery: ${what}`, async (t) => {
    const { pair, reader } = await moveOne(t, { args, meanwhile, tamper });
    assert.equal(reader.socket.recovered, false);
    await reader.ask('ping');
    assert.equal(reader.events.length, 5, 'it got something of a session that was not given to it');
    assert.equal(await recoveries(pair.second, 'fresh'), 1);
  });
}

test('a native reader whose place has left retention is recovered, told so, and has the whole text', async (t) => {
  const pair = await Pair.open(t, { args: ['--retain-events', '10'] });
  const reader = await pair.reader().connected();
  await reader.subscribe(FORMS.object('r'));
  const { events, told } = script('gone', 400);
  const run = pair.task('r');
  await run.say(...events.slice(0, 5));
  await reader.count(1);
  await recorded(pair, 1, 1);
  pair.cable.pull();
  await pair.kill();
  for (const event of events.slice(5)) {
    await run.say(event);
    await delay(2);
  }
  run.end();
  pair.switch();
  pair.cable.plug();
  await back(reader);
  assert.equal(reader.socket.recovered, true);
  await reader.item('resync');
  const end = await reader.end();
  assert.deepEqual(fold(reader.items), { ...told, end });
});

test('there and back again: what the other broker told is known, the old session here is not used', async (t) => {
  const pair = await Pair.open(t);
  const reader = await pair.reader().connected();
  await reader.subscribe('r');
  const run = pair.task('r');
  let n = 0;
  const hop = async (to) => {
    await run.say({ type: 'status', text: `${n++}` });
    await reader.count(n);
    await recorded(pair, 1, 1);
    pair.cable.pull();
    await reader.wait(() => !reader.socket.connected, 'the cut');
    await run.say({ type: 'status', text: `${n++}` });
    pair.switch(to);
    pair.cable.plug();
    await reader.connected();
    assert.equal(reader.socket.recovered, true);
    await reader.count(n);
  };
  for (const to of [pair.second, pair.first, pair.first, pair.second]) await hop(to);
  run.end();
  assert.deepEqual(reader.events.map((event) => Number(event.text)), upTo(n));
});

test('while Redis is away a client is known where it was, at once', async (t) => {
  const pair = await Pair.open(t);
  const reader = await pair.reader().connected();
  await reader.subscribe('r');
  const run = pair.task('r');
  await run.say({ type: 'status', text: '0' });
  await reader.count(1);
  await pair.house.redis.kill();
  await until(async () => (await fetch(`${pair.first.url}/readyz`)).status === 503, 'Redis to be missed');
  pair.cable.pull();
  await reader.wait(() => !reader.socket.connected, 'the cut');
  pair.cable.plug();
  await reader.connected();
  assert.equal(reader.socket.recovered, true);
  run.end();
  await pair.house.redis.start();
});

test('neither Redis nor a log shows the secret of a session or where a client stands', async (t) => {
  const { pair, reader } = await moveOne(t, { args: ['--log-level', 'debug'], meanwhile: ({ say }) => say(2) });
  await reader.count(7);
  const { client } = pair.house.redis;
  const keys = await client.keys('tw:session:*');
  assert.equal(keys.length, 1);
  const record = await client.get(keys[0]);
  const ttl = await client.pttl(keys[0]);
  assert.ok(ttl > 0 && ttl <= 120000, `it expires: ${ttl}`);
  const { _pid: pid, _lastOffset: offset } = reader.socket;
  for (const broker of [pair.first, pair.second]) {
    for (const secret of [pid, offset, reader.socket.io.engine.id]) assert.equal(broker.child.output.includes(secret), false);
  }
  assert.equal(keys[0].includes(pid) || record.includes(pid), false);
  assert.ok(offset.length < 200, offset);
});

test('who leaves by himself leaves no record', async (t) => {
  const pair = await Pair.open(t);
  const reader = await pair.reader().connected();
  await reader.subscribe('r');
  await recorded(pair, 1, 1);
  reader.close();
  await until(async () => (await pair.house.redis.client.keys('tw:session:*')).length === 0, 'the record to go');
});
