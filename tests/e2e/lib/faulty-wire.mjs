// faulty-wire.mjs - a wire to the broker that breaks at a byte, or carries nothing and stays open.
// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import net from 'node:net';

// In place of a house for readers. `cutAt`: so many bytes come from the broker, over all
// connections, then the one at hand breaks in the middle; what opens later is whole.
export class FaultyWire {
  #sockets = new Set();

  carried = 0;

  cuts = 0;

  static async open(house, { cutAt = Infinity } = {}) {
    const wire = new FaultyWire();
    wire.house = house;
    wire.cutAt = cutAt;
    wire.server = net.createServer((near) => wire.#join(near)).listen(0, '127.0.0.1');
    await once(wire.server, 'listening');
    wire.port = wire.server.address().port;
    wire.broker = { host: `127.0.0.1:${wire.port}`, port: wire.port };
    wire.url = `http://${wire.broker.host}`;
    return wire;
  }

  own(thing) {
    return thing;
  }

  #join(near) {
    const far = net.connect(this.house.broker.port, '127.0.0.1');
    for (const [one, other] of [[near, far], [far, near]]) {
      this.#sockets.add(one);
      one.setNoDelay();
      one.on('error', () => {});
      one.on('close', () => {
        this.#sockets.delete(one);
        if (!this.isDead) other.destroy();
      });
    }
    near.on('data', (part) => this.isDead || far.write(part));
    far.on('data', (part) => this.#carry(near, far, part));
  }

  #carry(near, far, part) {
    if (this.isDead) return;
    const left = this.cutAt - this.carried;
    this.carried += part.length;
    if (this.cuts > 0 || part.length < left) {
      near.write(part);
      return;
    }
    this.cuts += 1;
    far.destroy();
    near.end(part.subarray(0, left));
  }

  // Neither side hears anything of the other any more, not even that it went. `reads`: what
  // the broker sends is taken, and thrown away, as a proxy does whose client is gone; else
  // it is not taken at all, as with a network that is gone.
  die({ reads }) {
    this.isDead = true;
    if (!reads) for (const socket of this.#sockets) socket.pause();
  }

  close() {
    this.isDead = true;
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
  }
}
