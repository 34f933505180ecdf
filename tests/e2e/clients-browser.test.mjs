// clients-browser.test.mjs - the bundle and EventSource in a real browser, across origins.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Browser, PageServer } from './lib/browser.mjs';
import { Cable } from './lib/cable.mjs';
import { script } from './lib/fold.mjs';
import { FrappeWeb } from './lib/frappe-web.mjs';
import { House } from './lib/house.mjs';
import { post } from './lib/publish.mjs';
import { eventsPath, SIO_TRANSPORTS } from './lib/readers.mjs';

let browser;
let pages;
before(async () => {
  browser = await Browser.open();
  pages = await PageServer.open();
});
after(async () => {
  pages.close();
  await browser.close();
});

const SITE = 'one.local';
const open = (t, ...args) => House.open(t, { redis: false, args });

// ---- what runs in the page ----

// Loads the client, connects; answers {id} or {refusal}.
async function connectInPage({ src, isModule, url, options }) {
  if (isModule) {
    window.io = (await import(src)).io;
  } else {
    await new Promise((resolve, reject) => {
      const element = document.createElement('script');
      Object.assign(element, { src, onload: resolve, onerror: () => reject(new Error(`no ${src}`)) });
      document.head.append(element);
    });
  }
  const socket = window.io(url, { reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
  Object.assign(window, { socket, heard: [], connects: [] });
  socket.on('ai_progress', (data) => window.heard.push(data));
  return new Promise((resolve) => {
    const refused = (error) => resolve({ refusal: error.message ?? error });
    socket.on('connect', () => {
      window.connects.push({ id: socket.id, recovered: socket.recovered });
      resolve({ id: socket.id });
    });
    socket.on('connect_error', refused);
    socket.on('error', refused);
  });
}

function askInPage([name, data]) {
  return new Promise((resolve) => {
    window.socket.emit(name, data, resolve);
  });
}

// Waits until window[name] has `count` items; answers {items, transport}.
async function waitInPage([name, count]) {
  const limit = Date.now() + 15000;
  const isUpgraded = () => !window.socket?.io.opts.transports.includes('websocket')
    || window.socket.io.engine.transport.name === 'websocket';
  while (window[name].length < count || !isUpgraded()) {
    if (Date.now() > limit) throw new Error(`${window[name].length} of ${count} ${name}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  return { items: window[name], transport: window.socket?.io.engine.transport.name };
}

// ---- Socket.IO ----

const bundle = (house, file = 'socket.io.js') => `${house.url}/socket.io/${file}`;

async function reads200(t, house, { client, origin, mode, options }) {
  const page = await browser.page(t, `${origin}/`);
  const told = await page.run(connectInPage, {
    ...client, url: house.url, options: { transports: SIO_TRANSPORTS[mode], ...options },
  });
  assert.ok(told.id, JSON.stringify(told));
  const task = `b-${mode}`;
  const { events } = script(mode, 200, { task_id: task });
  assert.equal((await page.run(askInPage, ['task_subscribe', task])).ok, true);
  await post(house, { task }, events, { lines: 100 });
  const { items, transport } = await page.run(waitInPage, ['heard', events.length]);
  assert.deepEqual(items, events);
  assert.equal(transport, mode === 'polling' ? 'polling' : 'websocket');
}

for (const [what, origins] of [['listed', null], ['any', '*']]) {
  for (const mode of Object.keys(SIO_TRANSPORTS)) {
    for (const withCredentials of [false, true]) {
      const how = `${mode}, ${withCredentials ? 'with' : 'without'} credentials, origins: ${what}`;
      test(`bundle from another origin, ${how}: 200 events in order`, async (t) => {
        const house = await open(t, '--origins', origins ?? pages.local);
        const client = { src: bundle(house) };
        await reads200(t, house, { client, origin: pages.local, mode, options: { withCredentials } });
      });
    }
  }
}

for (const file of ['socket.io.min.js', 'socket.io.esm.min.js']) {
  test(`${file} does the same`, async (t) => {
    const house = await open(t, '--origins', pages.local);
    const client = { src: bundle(house, file), isModule: file.includes('.esm.') };
    await reads200(t, house, { client, origin: pages.local, mode: 'upgraded' });
  });
}

for (const mode of Object.keys(SIO_TRANSPORTS)) {
  test(`bundle, ${mode}: binary is acknowledged, a wrong namespace is refused, a task is left`, async (t) => {
    const house = await open(t, '--origins', pages.local, '--sites', SITE);
    const join = async (nsp) => {
      const page = await browser.page(t, `${pages.local}/`);
      const told = await page.run(connectInPage, {
        src: bundle(house), url: house.url + nsp, options: { transports: SIO_TRANSPORTS[mode] },
      });
      return { page, told };
    };
    assert.deepEqual((await join('/two.local')).told, { refusal: 'Invalid namespace' });
    const { page, told } = await join(`/${SITE}`);
    assert.equal(told.id.length, 20);
    const answer = await page.run(() => new Promise((resolve) => {
      window.socket.emit('upload', { parts: [new Uint8Array([0, 0x1e, 0xff]), new ArrayBuffer(70000)] }, resolve);
    }));
    assert.deepEqual([answer.ok, answer.error.code], [false, 'UNKNOWN_EVENT']);
    assert.equal((await page.run(askInPage, ['task_subscribe', 'left'])).ok, true);
    assert.equal((await page.run(askInPage, ['task_subscribe', { task_id: 'kept' }])).ok, true);
    await page.run(askInPage, ['task_unsubscribe', 'left']);
    for (const task of ['left', 'kept']) await post(house, { site: SITE, task }, [{ type: 'text', text: task, partial: true }]);
    const { items } = await page.run(waitInPage, ['heard', 1]);
    assert.deepEqual(items.map(({ text }) => text), ['kept']);
  });
}

for (const name of ['socket.io-client-40', 'socket.io-client-3', 'socket.io-client-2']) {
  for (const mode of Object.keys(SIO_TRANSPORTS)) {
    test(`${name} in the browser, ${mode}: 200 events in order`, async (t) => {
      const house = await open(t, '--origins', pages.local);
      const client = { src: `${pages.local}/${name}.js` };
      await reads200(t, house, { client, origin: pages.local, mode });
    });
  }
}

for (const mode of Object.keys(SIO_TRANSPORTS)) {
  test(`a browser recovers without asking for it, ${mode}`, async (t) => {
    const house = await open(t, '--origins', pages.local);
    const cable = await Cable.open(house);
    const page = await browser.page(t, `${pages.local}/`);
    await page.run(connectInPage, {
      src: bundle(house), url: cable.url, options: { transports: SIO_TRANSPORTS[mode] },
    });
    await page.run(waitInPage, ['connects', 1]);
    const { events } = script('rec', 40, { task_id: 'rec' });
    await page.run(askInPage, ['task_subscribe', 'rec']);
    await post(house, { task: 'rec' }, events.slice(0, 10));
    await page.run(waitInPage, ['heard', 10]);
    cable.pull();
    await post(house, { task: 'rec' }, events.slice(10, 20));
    cable.plug();
    const { items: connects } = await page.run(waitInPage, ['connects', 2]);
    assert.equal(connects[1].recovered, true);
    assert.equal(connects[1].id, connects[0].id);
    await post(house, { task: 'rec' }, events.slice(20));
    const { items } = await page.run(waitInPage, ['heard', events.length]);
    assert.deepEqual(items, events);
  });
}

for (const [what, args] of [
  ['is not in --origins', ['--origins', 'https://app.example']], ['meets no --origins', []],
]) {
  test(`a page whose origin ${what} gets nothing, on no transport`, async (t) => {
    const house = await open(t, ...args);
    for (const [mode, words] of [['polling', 'xhr poll error'], ['websocket', 'websocket error']]) {
      const page = await browser.page(t, `${pages.local}/`);
      const told = await page.run(connectInPage, {
        src: bundle(house), url: house.url,
        options: { transports: [mode], reconnection: false },
      });
      assert.deepEqual(told, { refusal: words });
    }
    const page = await browser.page(t, `${pages.local}/`);
    const state = await page.run((url) => new Promise((resolve) => {
      const source = new EventSource(url);
      source.onerror = () => resolve(source.readyState);
      source.onopen = () => resolve('open');
    }), house.url + eventsPath('closed'));
    assert.equal(state, 2);
  });
}

// A bench's page and its realtime port share the host, not the port.
for (const mode of Object.keys(SIO_TRANSPORTS)) {
  test(`a Frappe page on another port, ${mode}: known by its cookie, told why not`, async (t) => {
    const web = await FrappeWeb.open({ version: 15 });
    t.after(() => web.close());
    web.login('good', 'ann@x.y');
    const house = await open(t, '--frappe', 'on', '--frappe-web-base', web.url,
      '--events-redis', 'none', '--default-site', SITE);
    const as = async (origin, cookie) => {
      const page = await browser.page(t, `${origin}/?cookie=${cookie}`);
      return page.run(connectInPage, {
        src: bundle(house), url: `${house.url}/${SITE}`,
        options: { transports: SIO_TRANSPORTS[mode], withCredentials: true },
      });
    };
    assert.ok((await as(pages.numeric, 'sid=good')).id);
    assert.equal(web.requests.at(-1).user, 'ann@x.y');
    assert.deepEqual(await as(pages.numeric, 'a=b'), {
      refusal: 'No authentication method used. Use cookie or authorization header.',
    });
    assert.deepEqual(await as(pages.local, 'sid=good'), { refusal: 'Invalid origin' });
  });
}

// ---- EventSource ----

for (const withCredentials of [false, true]) {
  const how = withCredentials ? 'with' : 'without';
  test(`EventSource, ${how} credentials: cut, it goes on by Last-Event-ID and stops at the end`, async (t) => {
    const house = await open(t, '--origins', pages.local, '--retry-ms', '100');
    const cable = await Cable.open(house);
    const page = await browser.page(t, `${pages.local}/`);
    const { events } = script('sse', 60, { task_id: 'sse' });
    await post(house, { task: 'sse' }, events.slice(0, 20));
    await page.run(({ url, options }) => {
      const source = new EventSource(url, options);
      Object.assign(window, { source, heard: [], opens: [], ends: [] });
      source.onopen = () => window.opens.push(1);
      source.onerror = () => source.readyState === 2 && window.ends.push(1);
      source.addEventListener('ai_progress', ({ data, lastEventId }) => {
        window.heard.push({ id: lastEventId, data: JSON.parse(data) });
      });
    }, { url: cable.url + eventsPath('sse', { from: 'start' }), options: { withCredentials } });
    await page.run(waitInPage, ['heard', 20]);
    cable.pull();
    await post(house, { task: 'sse' }, events.slice(20, 40), { lines: 20 });
    cable.plug();
    await page.run(waitInPage, ['opens', 2]);
    await post(house, { task: 'sse' }, events.slice(40), { lines: 30 });
    await page.run(waitInPage, ['ends', 1]);
    const { items } = await page.run(waitInPage, ['heard', 1]);
    const ids = items.map(({ id }) => id);
    assert.deepEqual(ids, [...new Set(ids)], 'an event twice');
    const text = (list) => list.filter(({ type }) => type === 'text').map((event) => event.text).join('');
    assert.equal(text(items.map(({ data }) => data)), text(events));
    assert.equal(items.at(-1).data.type, 'completion');
  });
}
