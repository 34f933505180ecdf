// frappe-web.test.mjs - the stand-in of a Frappe web process answers as the versions do.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrappeWeb } from './lib/frappe-web.mjs';

async function open(t, options) {
  const web = await FrappeWeb.open(options);
  t.after(() => web.close());
  web.login('s1', 'ann@x.y');
  web.token('token a:b', 'bot@x.y', 'Website User');
  const ask = async (path, headers = {}) => {
    const answer = await fetch(`${web.url}/api/method/${path}`, { headers, redirect: 'manual' });
    const text = await answer.text();
    return { status: answer.status, text, message: text[0] === '{' ? JSON.parse(text).message : undefined };
  };
  return { web, ask };
}

const INFO = 'frappe.realtime.get_user_info';

test('a person is a session by query or cookie, or a token', async (t) => {
  const { web, ask } = await open(t, { version: 15 });
  const ann = { user: 'ann@x.y', user_type: 'System User' };
  assert.deepEqual((await ask(`${INFO}?sid=s1`)).message, ann);
  assert.deepEqual((await ask(INFO, { cookie: 'a=b; sid=s1' })).message, ann);
  assert.equal((await ask(INFO, { cookie: 'sid=s1', authorization: 'token a:b' })).message.user, 'bot@x.y');
  assert.equal((await ask(INFO, { authorization: 'token x:y' })).status, 401);
  assert.equal((await ask(`${INFO}?sid=old`)).message.user, 'Guest');
  web.logout('s1');
  assert.deepEqual((await ask(`${INFO}?sid=s1`)).message, { user: 'Guest', user_type: 'Website User' });
});

test('each version answers in its form and knows its methods', async (t) => {
  const { web, ask } = await open(t);
  web.allow('ann@x.y', 'ToDo');
  web.allow('ann@x.y', 'Note', 'N-1');
  for (const version of [12, 13, 14, 15, 16, 17]) {
    web.version = version;
    web.secret = 'shh';
    const { message } = await ask(`${INFO}?sid=s1`, { 'x-frappe-socket-secret': 'shh' });
    assert.equal('user_type' in message, version >= 13);
    assert.equal('installed_apps' in message, version >= 16);
    const old = version < 16;
    const may = (doctype, name) => ask(`frappe.realtime.${old
      ? `can_subscribe_doc?sid=s1&doctype=${doctype}&docname=${name}`
      : `has_permission?sid=s1&doctype=${doctype}&name=${name}`}`);
    assert.equal((await may('ToDo', 'x')).message, true);
    assert.equal((await may('Note', 'N-1')).message, true);
    assert.equal((await may('Note', 'N-2')).status, 403);
    assert.equal((await ask('frappe.realtime.can_subscribe_doctype?sid=s1&doctype=ToDo')).status, old ? 200 : 404);
    assert.equal((await ask('frappe.realtime.has_permission?sid=s1&doctype=Note&name=')).status, old ? 404 : 403);
  }
});

test('from v17 on the secret is wanted, and made when it is missing', async (t) => {
  const { web, ask } = await open(t, { version: 17 });
  const stored = [];
  web.onSecret = async (secret) => stored.push(secret);
  assert.deepEqual((await ask(`${INFO}?sid=s1`)).message, {});
  assert.deepEqual(stored, [web.secret]);
  const right = { 'x-frappe-socket-secret': web.secret };
  assert.equal((await ask(`${INFO}?sid=s1`, right)).message.user, 'ann@x.y');
  assert.deepEqual((await ask(`${INFO}?sid=s1`, { 'x-frappe-socket-secret': 'no' })).message, {});
});

test('the task method answers yes or no', async (t) => {
  const { web, ask } = await open(t);
  web.allowTask('ann@x.y', 'task_1');
  assert.equal((await ask(`${web.taskMethod}?sid=s1&task_id=task_1`)).message, true);
  assert.equal((await ask(`${web.taskMethod}?sid=s1&task_id=task_2`)).message, false);
});

test('it fails on request, for all methods or for one', async (t) => {
  const { web, ask } = await open(t, { sites: ['site1.local'] });
  const site = { 'x-frappe-site-name': 'site1.local' };
  const faults = { forbidden: 403, error: 500, unavailable: 503, moved: 302, garbage: 200, empty: 200 };
  for (const [fault, status] of Object.entries(faults)) {
    web.fault = fault;
    const answer = await ask(`${INFO}?sid=s1`, site);
    assert.equal(answer.status, status);
    if (status === 200) assert.equal(answer.message, undefined);
  }
  web.fault = { has_permission: 'cut' };
  assert.equal((await ask(`${INFO}?sid=s1`, site)).message.user, 'ann@x.y');
  await assert.rejects(ask('frappe.realtime.has_permission?sid=s1', site));
  web.fault = 'slow';
  const began = performance.now();
  assert.equal((await ask(`${INFO}?sid=s1`, site)).message.user, 'ann@x.y');
  assert.ok(performance.now() - began >= web.slowMs - 5);
  assert.throws(() => { web.fault = 'misspelt'; });
  web.fault = null;
  assert.equal((await ask(`${INFO}?sid=s1`, { 'x-frappe-site-name': 'other' })).status, 404);
});

test('it goes down and comes back on its port, and remembers what was asked', async (t) => {
  const { web, ask } = await open(t);
  web.fault = 'hang';
  const hanging = assert.rejects(ask(`${INFO}?sid=s1`));
  const [request] = await web.wait('get_user_info');
  assert.deepEqual(request.query, { sid: 's1' });
  await web.down();
  await hanging;
  await assert.rejects(ask(INFO));
  web.fault = null;
  await web.up();
  assert.equal((await ask(`${INFO}?sid=s1`)).status, 200);
  assert.equal(web.asked('get_user_info').length, 2);
});
