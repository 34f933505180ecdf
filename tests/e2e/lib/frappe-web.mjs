// frappe-web.mjs - the web process of a Frappe bench, as far as a realtime server asks it.
// SPDX-License-Identifier: MIT
//
//   const web = house.own(await FrappeWeb.open({ version: 15 }));
//   web.login('sid-of-ann', 'ann@x.y');                    // cookie sid=sid-of-ann
//   web.token('token key:secret', 'bot@x.y');              // Authorization header
//   web.allow('ann@x.y', 'ToDo');                          // the type and all its documents
//   web.allow('ann@x.y', 'Note', 'N-1');                   // one document
//   web.allowTask('ann@x.y', 'task_1');                    // method `web.taskMethod`
//   web.fault = 'error';                                   // or { get_user_info: 'slow' }
//   await web.down(); await web.up();                      // the same port again
//   web.requests                                           // what was asked, oldest first
//
// Answers as versions 13 to 17 do: an unknown session is Guest, a bad Authorization 401, a
// missing right 403, a method the version does not have 404. From v17 on it wants
// X-Frappe-Socket-Secret, makes the secret at the first question it gets while it has none
// (`onSecret` may put it into Redis), and answers {"message":{}} without the right one.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

const API = '/api/method/';
const FAULTS = {
  forbidden: { status: 403, json: { exc_type: 'PermissionError' } },
  unauthorized: { status: 401, json: { exc_type: 'AuthenticationError' } },
  error: { status: 500, html: '<h1>boom</h1>' },
  unavailable: { status: 503, html: '<h1>Updating</h1>' },
  moved: { status: 302, html: '', headers: { location: '/login' } },
  garbage: { status: 200, html: '<h1>Welcome</h1>' },
  empty: { status: 200, html: '' },
  stranger: { status: 200, json: { message: {} } },
};
const SILENT = ['slow', 'hang', 'cut'];
const NOT_FOUND = { status: 404, json: { exc_type: 'DoesNotExistError' } };
const GUEST = { user: 'Guest', type: 'Website User' };

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function cookiesOf(header = '') {
  const pairs = header.split(';').map((part) => part.trim().split('='));
  return new Map(pairs.map(([name, ...rest]) => [name, decoded(rest.join('='))]));
}

function key(...parts) {
  return JSON.stringify(parts);
}

export class FrappeWeb {
  #fault = null;
  #server = null;
  #sessions = new Map();
  #tokens = new Map();
  #rights = new Set();
  #waiters = new Set();

  constructor({ version = 15, sites = null, secret = null } = {}) {
    this.version = version; // 12 to 17, may change at any time
    this.sites = sites; // names that exist; null = any
    this.secret = secret; // v17: null = made when first needed
    this.onSecret = null; // async (secret) => {}
    this.taskMethod = 'app.api.may_watch';
    this.slowMs = 300; // of the fault `slow`
    // {method, path, query, headers, site} and, once answered, {user, status}
    this.requests = [];
  }

  static async open(options) {
    const web = new FrappeWeb(options);
    await web.up();
    return web;
  }

  // ---- who there is, and what they may see ----

  login(sid, user, type = 'System User') {
    this.#sessions.set(sid, { user, type });
  }

  logout(sid) {
    this.#sessions.delete(sid);
  }

  token(authorization, user, type = 'System User') {
    this.#tokens.set(authorization, { user, type });
  }

  allow(user, doctype, name = null) {
    this.#rights.add(key(user, doctype, name));
  }

  deny(user, doctype, name = null) {
    this.#rights.delete(key(user, doctype, name));
  }

  allowTask(user, task) {
    this.#rights.add(key(user, task));
  }

  // ---- faults: null, a name for all methods, or {method: name} by its last part ----

  get fault() {
    return this.#fault;
  }

  set fault(fault) {
    for (const name of typeof fault === 'object' ? Object.values(fault ?? {}) : [fault]) {
      if (!(name in FAULTS) && !SILENT.includes(name)) throw new Error(`no fault called ${name}`);
    }
    this.#fault = fault;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async up() {
    this.#server = http.createServer((request, response) => this.#serve(request, response));
    this.#server.listen(this.port ?? 0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = this.#server.address().port;
  }

  // As a killed process: open connections are cut, new ones refused.
  async down() {
    const server = this.#server;
    this.#server = null;
    if (!server) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  }

  close() {
    return this.down();
  }

  // ---- looking ----

  // The requests of one method, by its last part.
  asked(method) {
    return this.requests.filter((request) => request.method === method);
  }

  // Resolves when `count` requests of a method have come; perhaps before they are answered.
  wait(method, count = 1, ms = 10000) {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.asked(method).length < count) return;
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve(this.asked(method));
      };
      const timer = setTimeout(() => {
        this.#waiters.delete(look);
        reject(new Error(`${count} requests of ${method} did not come within ${ms} ms`));
      }, ms);
      this.#waiters.add(look);
      look();
    });
  }

  // ---- answering ----

  async #serve(request, response) {
    const url = new URL(request.url, this.url);
    const seen = {
      path: url.pathname,
      method: url.pathname.split('.').pop(),
      query: Object.fromEntries(url.searchParams),
      headers: request.headers,
      site: request.headers['x-frappe-site-name'] ?? request.headers.host,
    };
    this.requests.push(seen);
    for (const look of [...this.#waiters]) look();
    const answer = await this.#answer(seen);
    seen.status = answer?.status ?? 0;
    if (answer === null) return;
    if (answer.isCut) {
      request.socket.destroy();
      return;
    }
    const type = answer.json ? 'application/json' : 'text/html; charset=utf-8';
    response.writeHead(answer.status, { 'content-type': type, ...answer.headers });
    response.end(answer.json ? JSON.stringify(answer.json) : answer.html);
  }

  // null: never.
  async #answer(seen) {
    const fault = typeof this.#fault === 'object' ? this.#fault?.[seen.method] : this.#fault;
    if (fault === 'hang') return null;
    if (fault === 'cut') return { isCut: true };
    if (fault in FAULTS) return FAULTS[fault];
    if (fault === 'slow') await new Promise((resolve) => setTimeout(resolve, this.slowMs));
    if (this.sites && !this.sites.includes(seen.site)) {
      return { status: 404, html: `<h1>${seen.site} does not exist</h1>` };
    }
    const person = this.#person(seen);
    if (!person) return FAULTS.unauthorized;
    seen.user = person.user;
    if (!seen.path.startsWith(API)) return NOT_FOUND;
    return this.#call(seen.path.slice(API.length), seen, person);
  }

  // A session by query or cookie; the Authorization header, where it is sent, decides.
  #person({ headers, query }) {
    if (headers.authorization) return this.#tokens.get(headers.authorization);
    const sid = query.sid ?? cookiesOf(headers.cookie).get('sid');
    return this.#sessions.get(sid) ?? GUEST;
  }

  #call(method, seen, person) {
    const { doctype, docname, name, task_id: task } = seen.query;
    const isNew = this.version >= 16;
    switch (method) {
      case 'frappe.realtime.get_user_info':
        return this.#userInfo(seen, person);
      case 'frappe.realtime.can_subscribe_doctype':
        return isNew ? NOT_FOUND : this.#judge(this.#may(person, doctype));
      case 'frappe.realtime.can_subscribe_doc':
        return isNew ? NOT_FOUND : this.#judge(this.#may(person, doctype, docname));
      case 'frappe.realtime.has_permission':
        return isNew ? this.#judge(this.#may(person, doctype, name)) : NOT_FOUND;
      case this.taskMethod:
        return { status: 200, json: { message: this.#rights.has(key(person.user, task)) } };
      default:
        return NOT_FOUND;
    }
  }

  #may({ user }, doctype, name) {
    return this.#rights.has(key(user, doctype, null))
      || Boolean(name) && this.#rights.has(key(user, doctype, name));
  }

  #judge(allowed) {
    return allowed ? { status: 200, json: { message: true } } : FAULTS.forbidden;
  }

  async #userInfo({ headers }, { user, type }) {
    if (this.version >= 17 && !await this.#isKnown(headers['x-frappe-socket-secret'])) {
      return FAULTS.stranger;
    }
    const message = { user };
    if (this.version >= 13) message.user_type = type;
    if (this.version >= 16) message.installed_apps = ['frappe'];
    return { status: 200, json: { message } };
  }

  async #isKnown(secret) {
    const isRight = this.secret !== null && secret === this.secret;
    if (this.secret === null) {
      this.secret = randomBytes(16).toString('hex');
      await this.onSecret?.(this.secret);
    }
    return isRight;
  }
}
