// python.mjs - Debian's python3-socketio as a reader, driven by sio_driver.py.
// SPDX-License-Identifier: MIT
import path from 'node:path';
import { Child, PYTHON, ROOT } from './house.mjs';
import { SIO_TRANSPORTS } from './readers.mjs';
import { Waiters } from './wait.mjs';

// kind: threaded or asyncio. The threaded client has a thread for each event: no order.
export class PythonReader extends Waiters {
  items = [];

  #answers = new Map();

  #asked = 0;

  #rest = '';

  constructor(house, { kind, mode, nsp = '/', headers }) {
    super();
    Object.assign(this, { house, mode, nsp, headers, kind: `python3-socketio, ${kind}, ${mode}` });
    this.child = new Child(PYTHON, ['-B', path.join(ROOT, 'tests/e2e/lib/sio_driver.py'), kind]);
    this.child.process.stdout.on('data', (text) => this.#hear(text));
    house.own(this);
  }

  #hear(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    for (const line of lines) {
      const told = JSON.parse(line);
      if (told.event) this.items.push({ name: told.event, data: told.args[0], args: told.args });
      else this.#answers.set(told.id, told);
    }
    this.changed();
  }

  async act(what, more = {}) {
    this.#asked += 1;
    const id = this.#asked;
    await this.child.write(`${JSON.stringify({ id, do: what, nsp: this.nsp, ...more })}\n`);
    const told = await this.wait(() => this.#answers.get(id),
      () => `${what} at ${this.kind}:\n${this.child.output.slice(-2000)}`, 20000);
    if (told.error) throw new Error(told.error);
    return told.answer;
  }

  connect({ wait = true } = {}) {
    const { headers } = this;
    return this.act('connect', {
      url: this.house.url, headers, wait, transports: SIO_TRANSPORTS[this.mode],
    });
  }

  ask(name, data) {
    return this.act('call', { name, data });
  }

  named(name) {
    return this.items.filter((item) => item.name === name);
  }

  get events() {
    return this.named('ai_progress').map(({ data }) => data);
  }

  count(n, name = 'ai_progress') {
    return this.wait(() => this.named(name).length >= n,
      () => `${n} of ${name} at ${this.kind}, which has ${this.named(name).length}`);
  }

  async close() {
    this.child.end();
    await this.child.stop('SIGKILL');
  }
}
