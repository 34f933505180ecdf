// readers.mjs - one interface over every kind of stock client.
// SPDX-License-Identifier: MIT
//
// A reader keeps what it is told, in order: `items`, each {name, data, ...}, where name is
// `subscribed`, `ai_progress`, `resync`, `error` or what else was sent. `events` are the
// items that are progress.
import http from 'node:http';
import { EventSource } from 'eventsource';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { isTerminal } from './fold.mjs';
import { Waiters } from './wait.mjs';

class Reader extends Waiters {
  items = [];

  get events() {
    return this.items.filter(({ name }) => name === 'ai_progress').map(({ data }) => data);
  }

  take(item) {
    this.items.push(item);
    this.changed();
  }

  // The first item of that name, from index `from` on.
  item(name, { from = 0, ms } = {}) {
    return this.wait(() => this.items.slice(from).find((one) => one.name === name),
      () => `${name} at ${this.kind}, which has ${JSON.stringify(this.items).slice(-1500)}`, ms);
  }

  count(n, ms) {
    return this.wait(() => this.events.length >= n,
      () => `${n} events at ${this.kind}, which has ${this.events.length}`, ms);
  }

  end(ms) {
    return this.wait(() => this.events.find(isTerminal),
      () => `the end at ${this.kind}, which has ${JSON.stringify(this.items).slice(-1500)}`, ms);
  }
}

function query(params) {
  const pairs = Object.entries(params).filter(([, value]) => value !== undefined);
  return pairs.length ? `?${new URLSearchParams(pairs)}` : '';
}

export const SIO_TRANSPORTS = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgraded: ['polling', 'websocket'],
};

// mode: websocket, polling or upgraded. nsp: "/" or "/<site>".
export class SioReader extends Reader {
  constructor(house, { mode = 'websocket', nsp = '/', library = io, options = {} } = {}) {
    super();
    this.kind = `Socket.IO ${mode}`;
    this.mode = mode;
    this.disconnects = [];
    this.socket = library(`${house.url}${nsp}`, {
      transports: SIO_TRANSPORTS[mode], forceNew: true, reconnectionDelay: 100,
      reconnectionDelayMax: 500, ...options,
    });
    this.socket.on('connect', () => this.changed());
    this.socket.on('disconnect', (reason) => {
      this.disconnects.push(reason);
      this.changed();
    });
    this.socket.on('connect_error', (error) => {
      this.refusal = error;
      this.changed();
    });
    this.socket.onAny?.((name, ...args) => this.take({ name, data: args[0], args }));
    house.own(this);
  }

  async connected() {
    await this.wait(() => this.socket.connected, () => `${this.kind} to connect: ${this.refusal}`);
    const { engine } = this.socket.io;
    if (this.mode === 'upgraded' && engine.transport.name !== 'websocket') {
      engine.on('upgrade', () => this.changed());
      await this.wait(() => engine.transport.name === 'websocket', 'the upgrade');
    }
    return this;
  }

  // The acknowledgement's first argument.
  ask(name, argument, ms = 10000) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no acknowledgement of ${name}`)), ms);
      const done = (answer) => {
        clearTimeout(timer);
        resolve(answer);
      };
      if (argument === undefined) this.socket.emit(name, done);
      else this.socket.emit(name, argument, done);
    });
  }

  // The string form takes an acknowledgement too.
  subscribe(what) {
    return this.ask('task_subscribe', what);
  }

  close() {
    this.socket.disconnect();
  }
}

// A stock EventSource; reconnects by itself.
export class EventSourceReader extends Reader {
  kind = 'EventSource';

  opens = 0;

  constructor(house, path, { headers } = {}) {
    super();
    const options = headers && {
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
    };
    this.source = new EventSource(house.url + path, options);
    this.source.onopen = () => {
      this.opens += 1;
      this.changed();
    };
    for (const name of ['subscribed', 'ai_progress', 'resync', 'error']) {
      this.source.addEventListener(name, (event) => {
        this.guard(() => {
          if (event.data === undefined) this.failure = event;
          else this.take({ name, data: JSON.parse(event.data), id: event.lastEventId });
        });
      });
    }
    house.own(this);
  }

  get isClosed() {
    return this.source.readyState === EventSource.CLOSED;
  }

  close() {
    this.source.close();
  }
}

export function eventsPath(task, params = {}) {
  return `/v1/tasks/${encodeURIComponent(task)}/events${query(params)}`;
}

// Server-sent events line by line: comments, ids and the end of the stream are seen.
export class SseReader extends Reader {
  kind = 'SSE';

  comments = [];

  lines = [];

  constructor(house, path, { headers = {} } = {}) {
    super();
    this.request = http.get(house.url + path, { headers, agent: false }, (answer) => {
      this.status = answer.statusCode;
      this.headers = answer.headers;
      this.changed();
      answer.setEncoding('utf8');
      let rest = '';
      answer.on('data', (text) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop();
        this.guard(() => lines.forEach((line) => this.#line(line)));
      });
      answer.on('end', () => {
        this.isEnded = true;
        this.rest = rest;
        this.changed();
      });
      answer.on('error', () => {});
      answer.on('close', () => {
        this.isOver = true; // ended, or cut
        this.changed();
      });
    });
    this.request.on('error', (error) => {
      this.failure = error;
      this.changed();
    });
    house.own(this);
  }

  #open = {};

  #line(line) {
    this.lines.push(line);
    const found = /^(event|id|data|retry): ?(.*)$/.exec(line);
    if (line.startsWith(':')) {
      this.comments.push(line.slice(1).trim());
      this.changed();
    } else if (found) {
      const [, field, value] = found;
      this.#open[field] = field === 'data' && this.#open.data !== undefined
        ? `${this.#open.data}\n${value}` : value;
    } else if (line === '' && Object.keys(this.#open).length) {
      const { event = 'message', data, id, retry } = this.#open;
      this.#open = {};
      if (id !== undefined) this.lastId = id;
      if (retry !== undefined) this.retry = Number(retry);
      if (data !== undefined) this.take({ name: event, data: JSON.parse(data), id });
    } else if (line !== '') {
      throw new Error(`no line of an event stream: ${JSON.stringify(line)}`);
    }
  }

  answered() {
    return this.wait(() => this.status, () => `an answer (${this.failure})`);
  }

  streamEnd(ms) {
    return this.wait(() => this.isEnded, 'the end of the stream', ms);
  }

  close() {
    this.request.destroy();
  }
}

// A plain WebSocket on /ws.
export class WsReader extends Reader {
  kind = 'WebSocket';

  constructor(house, params = {}, { headers } = {}) {
    super();
    this.socket = new WebSocket(`ws://${house.broker.host}/ws${query(params)}`, { headers });
    this.socket.on('open', () => this.changed());
    this.socket.on('message', (data, isBinary) => {
      this.guard(() => {
        if (isBinary) throw new Error('a binary frame');
        const { op, ...rest } = JSON.parse(data);
        if (op === 'event') this.take({ name: rest.event, data: rest.data });
        else this.take({ name: op, data: rest });
      });
    });
    this.socket.on('close', (code) => {
      this.closeCode = code;
      this.changed();
    });
    this.socket.on('error', (error) => {
      this.failure = error;
      this.changed();
    });
    house.own(this);
  }

  opened() {
    return this.wait(() => this.socket.readyState === WebSocket.OPEN, () => `/ws (${this.failure})`);
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  // Sends and awaits the next item of that name.
  async ask(message, name) {
    await this.opened();
    const from = this.items.length;
    this.send(message);
    return (await this.item(name, { from })).data;
  }

  subscribe(task, params = {}) {
    return this.ask({ op: 'subscribe', task_id: task, ...params }, 'subscribed');
  }

  closed() {
    return this.wait(() => this.closeCode, 'the close of /ws');
  }

  close() {
    this.socket.terminate();
  }
}
