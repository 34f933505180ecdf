// browser.mjs - Debian's Chromium without a window, and the server of the pages it shows.
// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import WebSocket from 'ws';
import { Child, PATIENCE, ROOT } from './house.mjs';
import { until } from './wait.mjs';

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-default-apps', '--disable-dev-shm-usage', '--remote-debugging-port=0', 'about:blank',
];

// One tab with cookies of its own.
class Page {
  constructor(browser, session) {
    this.browser = browser;
    this.session = session;
  }

  // Runs `work(argument)` in the page; answers what its promise gives.
  async run(work, argument) {
    const told = await this.browser.send('Runtime.evaluate', {
      expression: `(${work})(${JSON.stringify(argument)})`,
      awaitPromise: true, returnByValue: true,
    }, this.session);
    if (told.exceptionDetails) {
      throw new Error(told.exceptionDetails.exception?.description ?? told.exceptionDetails.text);
    }
    return told.result.value;
  }
}

export class Browser {
  #waiting = new Map();

  #sent = 0;

  static async open() {
    const browser = new Browser();
    browser.folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-chromium-'));
    browser.child = new Child('chromium', [`--user-data-dir=${browser.folder}`, ...FLAGS]);
    const address = await until(() => /listening on (ws:\S+)/.exec(browser.child.output)?.[1],
      () => `Chromium:\n${browser.child.output}`, 30000 * PATIENCE);
    browser.socket = new WebSocket(address);
    browser.socket.on('message', (text) => browser.#hear(JSON.parse(text)));
    await once(browser.socket, 'open');
    return browser;
  }

  #hear({ id, result, error }) {
    const call = this.#waiting.get(id);
    if (!call) return;
    this.#waiting.delete(id);
    if (error) call.reject(new Error(error.message));
    else call.resolve(result);
  }

  send(method, params = {}, sessionId = undefined) {
    this.#sent += 1;
    const id = this.#sent;
    this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  // Closed with the test.
  async page(t, url) {
    const { browserContextId } = await this.send('Target.createBrowserContext');
    t.after(() => this.send('Target.disposeBrowserContext', { browserContextId }));
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank', browserContextId });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId);
    await this.send('Page.navigate', { url }, sessionId);
    await until(() => page.run(() => document.readyState === 'complete' && document.title === 'page')
      .catch(() => false), () => `the page ${url}`);
    return page;
  }

  async close() {
    await Promise.race([this.send('Browser.close'), this.child.ended]);
    this.socket.terminate();
    await this.child.stop();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

// Serves an empty page that may set a cookie (?cookie=sid=x), and the clients of the npm
// packages at /<package>.js. `local` and `numeric` are its two origins: two hosts.
export class PageServer {
  static async open() {
    const pages = new PageServer();
    pages.server = http.createServer((request, response) => PageServer.#serve(request, response));
    pages.server.listen(0, '127.0.0.1');
    await once(pages.server, 'listening');
    const { port } = pages.server.address();
    pages.local = `http://localhost:${port}`;
    pages.numeric = `http://127.0.0.1:${port}`;
    return pages;
  }

  static #serve(request, response) {
    const url = new URL(request.url, 'http://page');
    const client = /^\/(socket\.io-client[\w-]*)\.js$/.exec(url.pathname);
    const cookie = url.searchParams.get('cookie');
    if (client) {
      response.setHeader('content-type', 'application/javascript');
      response.end(readFileSync(path.join(ROOT, 'tests/e2e/node_modules', client[1], 'dist/socket.io.js')));
      return;
    }
    response.setHeader('content-type', 'text/html');
    if (cookie) response.setHeader('set-cookie', `${cookie}; Path=/`);
    response.end('<!doctype html><title>page</title>');
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
