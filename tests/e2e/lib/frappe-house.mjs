// frappe-house.mjs - a broker in place of a bench's Node server: its Redis, its web process, its people.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import http from 'node:http';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import * as frappe from './frappe.mjs';
import { FrappeWeb } from './frappe-web.mjs';
import { House, PATIENCE } from './house.mjs';
import { metric } from './observe.mjs';
import { RawWs } from './raw.mjs';
import { SioReader } from './readers.mjs';
import { until } from './wait.mjs';

export const SITE = 'site1.local';
export const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0';

// Every session id has this in it, so that a log can be searched for them all.
const SECRET = 'hush5a1d';
const TYPES = { ann: 'System User', bob: 'System User', wes: 'Website User' };
export const PEOPLE = Object.keys(TYPES);
export const user = (who) => `${who}@x.y`;
export const sid = (who) => `${SECRET}-${who}`;
export const token = (who) => `token ${SECRET}-${who}:key`;

function toLoopback(name, options, done) {
  if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }]);
  else done(null, '127.0.0.1', 4);
}

// A client before a bench: who it is (null: without a cookie), and where it says it is.
// `origin` and `host` are the headers; null leaves them out.
export class Seat extends SioReader {
  constructor(house, {
    who = 'ann', nsp = `/${SITE}`, origin = `http://${SITE}`, host = SITE, headers = {}, agent,
    cookie = who && `full_name=x; sid=${sid(who)}`, port = house.broker.port, library = io, options = {}, ...rest
  } = {}) {
    const all = { Host: host, Origin: origin, Cookie: cookie, 'User-Agent': agent, ...headers };
    const extraHeaders = Object.fromEntries(Object.entries(all).filter(([, value]) => value != null));
    // Called by its name, so that Host is right where a library lets nobody set it.
    const { hostname } = new URL(`http://${host}`);
    super({ url: `http://${hostname}:${port}`, own: (thing) => house.own(thing) }, {
      nsp, library, options: { extraHeaders, agent: new http.Agent({ lookup: toLoopback }), ...options }, ...rest,
    });
    this.who = who;
    if (library === io2) this.#hearAll();
  }

  // socket.io-client 2 has no onAny().
  #hearAll() {
    const { onevent } = this.socket;
    this.socket.onevent = (packet) => {
      const [name, ...args] = packet.data;
      onevent.call(this.socket, packet);
      this.take({ name, data: args[0], args });
    };
  }

  // The text of CONNECT_ERROR; the client must not get in.
  async refused() {
    await this.wait(() => this.refusal || this.socket.connected, () => `an answer to ${this.kind}`);
    assert.equal(this.socket.connected, false, 'it got in');
    this.socket.disconnect();
    return typeof this.refusal === 'string' ? this.refusal : this.refusal.message;
  }

  // What it was told by that name, as lists of arguments without a recovery offset.
  told(name) {
    return this.items.filter((item) => item.name === name).map(({ data }) => data);
  }

  // All that was sent before this call has been seen by the broker.
  heard() {
    return this.ask('task_unsubscribe', 'never-subscribed');
  }
}

export class FrappeHouse {
  static async open(t, { version = 15, args = [], redis = true, web = {}, sites = [] } = {}) {
    const it = new FrappeHouse();
    it.version = version;
    it.web = await FrappeWeb.open({ version, ...web });
    t.after(() => it.web.close());
    for (const who of PEOPLE) {
      it.web.login(sid(who), user(who), TYPES[who]);
      it.web.token(token(who), user(who), TYPES[who]);
    }
    it.house = await House.open(t, {
      redis,
      args: ['--frappe', 'on', '--frappe-version', String(version), '--log-level', 'debug',
        '--frappe-web-base', it.web.url, '--auth-cache-ms', '0', ...sites.flatMap((s) => ['--sites', s]), ...args],
    });
    // From v17 on the web process has shared a secret through Redis.
    if (version >= 17 && redis && web.secret === undefined) {
      it.web.secret = 'shared';
      await it.house.redis.client.set('socketio_auth_secret', 'shared');
    }
    it.house.own({ close: () => it.isDiscreet() });
    return it;
  }

  // Ids of connections and of recovery: who has one goes on in its owner's place.
  secrets = new Set();

  // Whatever the test did: nobody's session stands in the log.
  isDiscreet() {
    const { output } = this.house.broker.child;
    for (const secret of [SECRET, ...this.secrets]) assert.ok(!output.includes(secret), `a session id is in the log: ${secret}`);
  }

  seat(options) {
    const seat = new Seat(this.house, options);
    seat.socket.on('connect', () => {
      for (const secret of [seat.socket.io.engine.id, seat.socket._pid]) if (secret) this.secrets.add(secret);
    });
    return seat;
  }

  // A browser's WebSocket whose Engine.IO packets are written by hand.
  bare(who = 'ann') {
    return new RawWs(this.house, '/socket.io/?EIO=4&transport=websocket', `Host: ${SITE}`,
      `Origin: http://${SITE}`, `User-Agent: ${BROWSER}`, `Cookie: sid=${sid(who)}`).opened();
  }

  // What a person shows of himself where no Socket.IO is spoken.
  static headersOf(who) {
    return who === null ? {} : { cookie: `sid=${sid(who)}` };
  }

  async connect(options) {
    return this.seat(options).connected();
  }

  // The web process has answered everything it was asked, and the broker has heard it.
  async settled() {
    await until(async () => await metric(this.house.url, /auth_questions$/) === 0,
      'the answers of the web process', 10000 * PATIENCE);
  }

  // Raw bytes on the channel.
  publishRaw(bytes) {
    return this.house.redis.client.publish('events', bytes);
  }

  // As the bench's version writes it. `room` null: to everyone.
  publish(room, message, event = 'news', site = SITE) {
    if (room === null) return this.publishRaw(frappe.asJson({ event, message }));
    const write = this.version >= 15 ? frappe.modern : frappe.older;
    return this.publishRaw(write(site, room, message, event));
  }

  #round = 0;

  // Whatever was published before this call has reached `seats`, if it ever does.
  async flushed(...seats) {
    const round = ++this.#round;
    for (const seat of seats) await this.publish(`user:${user(seat.who)}`, { round }, 'flush');
    for (const seat of seats) {
      await seat.wait(() => seat.told('flush').some((message) => message.round === round),
        () => `the flush at ${seat.who}, which has ${JSON.stringify(seat.items).slice(-800)}`);
    }
  }
}
