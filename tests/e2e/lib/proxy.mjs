// proxy.mjs - a TCP proxy whose connections can be cut as a lost network cuts them.
// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import net from 'node:net';

export class Proxy {
  #pairs = new Set();

  #isShut = false;

  #isDeaf = false;

  static async open(house) {
    const proxy = new Proxy();
    proxy.server = net.createServer((client) => proxy.#join(client, house.broker.port));
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.port = proxy.server.address().port;
    house.own(proxy);
    return proxy;
  }

  #join(client, port) {
    if (this.#isShut) {
      client.destroy();
      return;
    }
    const server = net.connect(port, '127.0.0.1');
    const pair = { client, server };
    this.#pairs.add(pair);
    const end = () => {
      client.destroy();
      server.destroy();
      this.#pairs.delete(pair);
    };
    for (const side of [client, server]) side.on('error', end).on('close', end);
    client.on('data', (part) => server.write(part));
    server.on('data', (part) => {
      if (!this.#isDeaf) client.write(part);
    });
  }

  // What the broker sends from now on reaches nobody, and the broker cannot know.
  deafen() {
    this.#isDeaf = true;
  }

  // All connections end; new ones are refused until mend().
  cut() {
    this.#isShut = true;
    for (const { client, server } of [...this.#pairs]) {
      client.destroy();
      server.destroy();
    }
  }

  mend() {
    this.#isShut = false;
    this.#isDeaf = false;
  }

  close() {
    this.cut();
    this.server.close();
  }
}
