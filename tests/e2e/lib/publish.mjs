// publish.mjs - every way an event can be published.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import * as frappe from './frappe.mjs';
import { Child, PYTHON, ROOT } from './house.mjs';

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });

// One HTTP request; answers {status, headers, text, json}. `body` is sent with its length.
export function request(house, method, target, { body, headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const sent = http.request(house.url + target, {
      method, agent, headers: { ...(bytes && { 'content-length': bytes.length }), ...headers },
    }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString();
        try {
          const isJson = text && /json/.test(answer.headers['content-type']);
          const json = isJson ? JSON.parse(text) : undefined;
          resolve({ status: answer.statusCode, headers: answer.headers, text, json });
        } catch (error) {
          reject(error);
        }
      });
    });
    sent.on('error', reject);
    sent.end(bytes);
  });
}

// The ids of a run have no gaps: the first and the last tell them all.
function idsBetween(first, last) {
  const [epoch, from] = first.split('-');
  const to = Number(last.split('-')[1]);
  return Array.from({ length: to - from + 1 }, (_, n) => `${epoch}-${Number(from) + n}`);
}

const siteQuery = (site) => (site ? `?site=${site}` : '');

// POST /v1/tasks/{task}/events: one request per event, or `lines` events in each.
export async function post(house, { site, task }, events, { lines = 1 } = {}) {
  const ids = [];
  for (let at = 0; at < events.length; at += lines) {
    const part = events.slice(at, at + lines);
    const answer = await request(house, 'POST', `/v1/tasks/${task}/events${siteQuery(site)}`, {
      body: part.map((event) => JSON.stringify(event)).join('\n'),
      headers: { 'content-type': lines === 1 ? 'application/json' : 'application/x-ndjson' },
    });
    assert.equal(answer.status, 200, answer.text);
    ids.push(...idsBetween(answer.json.first, answer.json.last));
    assert.equal(ids.length, Math.min(at + lines, events.length), answer.text);
  }
  return ids;
}

const room = (task) => `task_progress:${task}`;
const withTask = (task, event) => ({ task_id: task, ...event });

// As frappe.publish_realtime(.., task_id=task) of v15 and later puts it on the channel.
export async function frappeModern(house, { site, task }, events) {
  for (const event of events) {
    await house.redis.client.publish('events', frappe.modern(site, room(task), withTask(task, event)));
  }
}

// Likewise v12 to v14.
export async function frappeOlder(house, { site, task }, events) {
  for (const event of events) {
    await house.redis.client.publish('events', frappe.older(site, room(task), withTask(task, event)));
  }
}

async function finished(child) {
  const { code } = await child.ended;
  assert.equal(code, 0, child.output);
}

// `thinkwire emit` with JSON lines on its standard input, over Redis.
export async function emit(house, { site, task }, events) {
  const child = house.tool('emit', '--task', task, ...(site ? ['--site', site] : []),
    '--redis', house.redis.url, '--json-lines');
  child.end(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  await finished(child);
}

// The file a Frappe app imports, driven by helper_driver.py.
export async function python(house, { site, task }, events) {
  const child = new Child(PYTHON, [
    '-B', path.join(ROOT, 'tests/e2e/lib/helper_driver.py'), house.redis.url, site, task,
  ]);
  child.end(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  await finished(child);
}

// The four ways of the README, by name.
export const WAYS = {
  'thinkwire emit': emit,
  "PUBLISH in Frappe's form": frappeModern,
  'the Python helper': python,
  'curl': post,
};
