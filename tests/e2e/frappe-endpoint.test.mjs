// frappe-endpoint.test.mjs - the example endpoint, from a provider's stream to the user's own clients.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';
import { FrappeHouse, SITE, user } from './lib/frappe-house.mjs';
import { Child, PYTHON, ROOT } from './lib/house.mjs';
import { eventsPath, SseReader, WsReader } from './lib/readers.mjs';

// OpenAI's chat completions, a chunk at a time: the next when it is asked for.
async function provider(t) {
  const asked = [];
  let answer;
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    asked.push(JSON.parse(body));
    answer = response.writeHead(200, { 'content-type': 'text/event-stream' });
    server.emit('asked');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  return {
    asked,
    url: `http://127.0.0.1:${server.address().port}/v1`,
    ready: () => once(server, 'asked'),
    delta: (delta) => answer.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`),
    done: () => answer.end('data: [DONE]\n\n'),
  };
}

for (const [version, nsp] of [[13, '/'], [15, `/${SITE}`]]) {
  test(`v${version}: what the model says arrives word by word at its user's clients and nobody else's, and the answer as ever`, async (t) => {
    const frappe = await FrappeHouse.open(t, { version });
    const model = await provider(t);
    const asked = model.ready();
    const task = 'task_1730049600000';
    const headers = FrappeHouse.headersOf('ann');
    const [ann, bob] = await Promise.all(['ann', 'bob'].map((who) => frappe.connect({ who, nsp })));
    const stream = new SseReader(frappe.house, eventsPath(task, { site: SITE }), { headers });
    const ws = new WsReader(frappe.house, { site: SITE }, { headers });
    for (const reader of [stream, { item: () => ws.subscribe(task) }]) await reader.item('subscribed');
    const others = new SseReader(frappe.house, eventsPath(task, { site: SITE }), { headers: FrappeHouse.headersOf('bob') });
    await others.item('subscribed');

    const child = new Child(PYTHON, ['-B', path.join(ROOT, 'tests/e2e/lib/endpoint_driver.py')]);
    t.after(() => child.stop());
    const { url } = frappe.house.redis;
    child.end(JSON.stringify({
      version: `${version}.0.0`, site: SITE, user: user('ann'),
      conf: { redis_queue: url, redis_socketio: url, ai_base_url: model.url, ai_model: 'small', ai_api_key: 'key', ai_agent_prompt: 'You act.' },
      request: { messages: [{ role: 'user', content: 'Why?' }], mode: 'agent', task_id: task },
    }));
    await asked;
    const said = [['reasoning_content', 'Let me see… '], ['content', 'Because '], ['content', 'é\u{1f600}.']];
    for (const [n, [kind, text]] of said.entries()) {
      model.delta({ [kind]: text });
      // It is there before the model goes on.
      for (const reader of [ann, stream, ws]) await reader.count(n + 1);
    }
    model.done();
    for (const reader of [ann, stream, ws]) {
      await reader.end();
      assert.deepEqual(reader.events.map(({ type, text, partial }) => [type, text, partial]), [
        ['reasoning', 'Let me see… ', true], ['text', 'Because ', true], ['text', 'é\u{1f600}.', true],
        ['completion', 'Because é\u{1f600}.', false],
      ]);
      assert.ok(reader.events.every((event) => event.task_id === task));
    }
    assert.deepEqual(await child.ended, { code: 0, signal: null }, child.output);
    assert.deepEqual(JSON.parse(child.stdout), { task_id: task, text: 'Because é\u{1f600}.', reasoning: 'Let me see… ' });
    assert.deepEqual(model.asked[0].messages.map(({ role }) => role), ['system', 'user']);
    await frappe.flushed(bob);
    assert.deepEqual([bob.events, others.events], [[], []]);
  });
}
