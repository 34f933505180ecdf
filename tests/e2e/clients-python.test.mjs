// clients-python.test.mjs - Debian's python3-socketio, threaded and asyncio, on every transport.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test from 'node:test';
import { Cable } from './lib/cable.mjs';
import { script } from './lib/fold.mjs';
import { FrappeWeb } from './lib/frappe-web.mjs';
import { House } from './lib/house.mjs';
import { post } from './lib/publish.mjs';
import { PythonReader } from './lib/python.mjs';
import { SIO_TRANSPORTS } from './lib/readers.mjs';

const SITE = 'one.local';
const open = (t, ...args) => House.open(t, { redis: false, args });
const word = (text) => ({ type: 'text', text, partial: true });
const numberOf = ({ text, partial }) => (partial ? Number(/:(\d+)\]/.exec(text)[1]) : Infinity);

for (const kind of ['threaded', 'asyncio']) {
  for (const mode of Object.keys(SIO_TRANSPORTS)) {
    const name = `python3-socketio ${kind}, ${mode}`;
    const client = (house, more) => new PythonReader(house, { kind, mode, ...more });
    const transport = mode === 'polling' ? 'polling' : 'websocket';
    const inOrder = (events) => (kind === 'asyncio' ? events
      : [...events].sort((a, b) => numberOf(a) - numberOf(b)));

    test(`${name}: a burst of 200 events, and what else a client asks`, async (t) => {
      const house = await open(t);
      const reader = client(house, { nsp: `/${SITE}` });
      await reader.connect();
      assert.equal(await reader.act('transport'), transport);
      const answer = await reader.ask('task_subscribe', 'burst');
      assert.deepEqual([answer.ok, answer.task_id], [true, 'burst']);
      assert.equal((await reader.ask('task_subscribe', { task_id: 'native' })).state, 'unknown');
      const { events } = script('burst', 200, { task_id: 'burst' });
      await post(house, { site: SITE, task: 'burst' }, events, { lines: events.length });
      await reader.count(events.length);
      assert.deepEqual(inOrder(reader.events), events);

      const refused = await reader.ask('upload', { parts: ['base64:AB7/', 'base64:AAAA'] });
      assert.deepEqual([refused.ok, refused.error.code], [false, 'UNKNOWN_EVENT']);
      await reader.act('emit', { name: 'ping' });
      await reader.count(1, 'pong');
      await reader.ask('task_unsubscribe', 'burst');
      await post(house, { site: SITE, task: 'burst' }, [word('unheard')]);
      await post(house, { site: SITE, task: 'native' }, [word('heard')]);
      await reader.count(events.length + 1);
      assert.equal(reader.events.at(-1).text, 'heard');
      assert.equal(reader.named('connect').length, 1);
      await reader.act('disconnect');
      await reader.count(1, 'disconnect');
    });

    test(`${name}: cut, it comes back and goes on from where it was`, async (t) => {
      const house = await open(t);
      const cable = await Cable.open(house);
      const reader = client(cable);
      await reader.connect();
      await reader.ask('task_subscribe', { task_id: 'cut' });
      await post(house, { task: 'cut' }, [word('[cut:0]')]);
      await reader.count(1);
      cable.pull();
      await reader.count(1, 'disconnect');
      await post(house, { task: 'cut' }, [word('[cut:1]')]);
      cable.plug();
      await reader.count(2, 'connect');
      const since = reader.events[0].id;
      assert.equal((await reader.ask('task_subscribe', { task_id: 'cut', since })).replayed, 1);
      await post(house, { task: 'cut' }, [word('[cut:2]')]);
      await reader.wait(() => reader.events.some(({ text }) => text.endsWith('[cut:2]')), 'the last event');
      assert.equal(inOrder(reader.events).map(({ text }) => text).join(''), '[cut:0][cut:1][cut:2]');
    });

    test(`${name}: a wrong namespace and wrong credentials are refused in words`, async (t) => {
      const web = await FrappeWeb.open({ version: 15 });
      t.after(() => web.close());
      web.login('good', 'ann@x.y');
      const house = await open(t, '--frappe', 'on', '--frappe-web-base', web.url,
        '--events-redis', 'none', '--sites', SITE);
      const as = (nsp, headers) => client(house, {
        nsp, headers: { 'X-Frappe-Site-Name': SITE, ...headers },
      });
      for (const [nsp, headers, message] of [
        ['/two.local', { Cookie: 'sid=good' }, 'Invalid namespace'],
        [`/${SITE}`, {}, 'No cookie transmitted.'],
        [`/${SITE}`, { Cookie: 'a=b', Authorization: 'token x:y' }, /^Unauthorized/],
      ]) {
        const reader = as(nsp, headers);
        // It would wait for the namespace until its time is up.
        await reader.connect({ wait: false });
        await reader.count(1, 'connect_error');
        const { data } = reader.named('connect_error')[0];
        assert.match(data.message ?? data, message instanceof RegExp ? message : new RegExp(`^${message}$`));
      }
      const reader = as(`/${SITE}`, { Cookie: 'sid=good' });
      await reader.connect();
      assert.equal((await reader.ask('task_subscribe', { task_id: 'mine' })).ok, true);
    });
  }
}
