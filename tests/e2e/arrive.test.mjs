// arrive.test.mjs - an event published in each way arrives at each kind of client.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { House } from './lib/house.mjs';
import { frappeModern, frappeOlder, post, request, WAYS } from './lib/publish.mjs';
import {
  EventSourceReader, eventsPath, SIO_TRANSPORTS, SioReader, WsReader,
} from './lib/readers.mjs';
import { until } from './lib/wait.mjs';

const SITE = 'site1.local';
const EVENT = { type: 'text', text: 'Analyzing… é 😀', partial: true };

// One of each, all waiting for the same task.
async function everyReader(house, task) {
  const sockets = Object.keys(SIO_TRANSPORTS).flatMap((mode) => [
    { reader: new SioReader(house, { mode }), what: task },
    { reader: new SioReader(house, { mode, nsp: `/${SITE}` }), what: { task_id: task } },
  ]);
  const readers = await Promise.all(sockets.map(async ({ reader, what }) => {
    await reader.connected();
    const answer = await reader.subscribe(what);
    assert.equal(answer.ok, true, JSON.stringify(answer));
    reader.kind += typeof what === 'string' ? ', string form' : ', object form';
    return reader;
  }));
  const source = new EventSourceReader(house, eventsPath(task, { site: SITE }));
  const socket = new WsReader(house);
  await Promise.all([source.item('subscribed'), socket.subscribe(task)]);
  return [...readers, source, socket];
}

for (const [way, publish] of Object.entries(WAYS)) {
  test(`an event published by ${way} arrives at every client`, async (t) => {
    const house = await House.open(t, { args: ['--default-site', SITE] });
    const readers = await everyReader(house, 'arrive');
    const tail = house.tool('tail', 'arrive', '--url', house.url);
    await until(async () => (await openStreams(house)) >= 2, () => `tail to join: ${tail.output}`);

    await publish(house, { site: SITE, task: 'arrive' }, [EVENT]);

    for (const reader of readers) {
      await reader.count(1);
      const [event] = reader.events;
      assert.equal(event.text, EVENT.text, reader.kind);
      assert.equal(event.type, 'text', reader.kind);
      assert.equal(event.partial, true, reader.kind);
      assert.equal(event.task_id, 'arrive', reader.kind);
    }
    await until(() => tail.stdout.includes(EVENT.text), () => `tail shows: ${tail.output}`);
  });
}

// EventSource and tail are streams; both are counted.
async function openStreams(house) {
  const { text } = await request(house, 'GET', '/metrics');
  const found = [...text.matchAll(/^thinkwire_sessions\{[^}]*sse[^}]*\} (\d+)/gm)];
  return found.reduce((sum, [, n]) => sum + Number(n), 0);
}

test('the older form with site-prefixed rooms arrives at root-namespace clients of that site', async (t) => {
  const house = await House.open(t, { args: ['--default-site', SITE] });
  const reader = await new SioReader(house).connected();
  assert.equal((await reader.subscribe('old')).ok, true);
  await frappeOlder(house, { site: 'other.local', task: 'old' }, [EVENT]);
  await frappeOlder(house, { site: SITE, task: 'old' }, [EVENT]);
  await reader.count(1);
  await frappeOlder(house, { site: SITE, task: 'old' }, [{ ...EVENT, text: 'last' }]);
  await reader.count(2);
  assert.deepEqual(reader.events.map((event) => event.text), [EVENT.text, 'last']);
});

test('events of Frappe are delivered as published: equal as JSON, never merged, without id', async (t) => {
  const house = await House.open(t, { args: ['--default-site', SITE] });
  const reader = await new SioReader(house, { nsp: `/${SITE}` }).connected();
  await reader.subscribe('opaque');
  const odd = { type: 'step', message: 'a', nested: { 2: [1.0, null, true], 10: 'é😀' }, empty: {}, list: [] };
  const sent = [EVENT, EVENT, odd, { ...EVENT, text: '' }].map((event) => ({ ...event, task_id: 'opaque' }));
  await frappeModern(house, { site: SITE, task: 'opaque' }, sent);
  await reader.count(sent.length);
  assert.deepEqual(reader.events, sent);
  assert.ok(reader.items.every(({ args }) => args.length === 1), 'one argument each');
});

test('string-form events carry no id, native ones do', async (t) => {
  const house = await House.open(t);
  const string = await new SioReader(house).connected();
  const object = await new SioReader(house).connected();
  await string.subscribe('ids');
  await object.subscribe({ task_id: 'ids' });
  const [id] = await post(house, { task: 'ids' }, [EVENT]);
  await Promise.all([string.count(1), object.count(1)]);
  assert.match(id, /^\d+-1$/);
  assert.equal('id' in string.events[0], false);
  assert.equal(object.events[0].id, id);
});

test('with the memory bus an event goes from HTTP to a stock client', async (t) => {
  const house = await House.open(t, { redis: false });
  const reader = await new SioReader(house).connected();
  await reader.subscribe('memory');
  await post(house, { task: 'memory' }, [EVENT, { type: 'completion', text: EVENT.text, reasoning: '', partial: false }]);
  await reader.end();
  assert.equal(reader.events[0].text, EVENT.text);
  const { json } = await request(house, 'GET', '/v1/tasks/memory');
  assert.equal(json.state, 'completed');
  assert.equal(json.text, EVENT.text);
});
