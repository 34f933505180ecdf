// cable.mjs - a wire between clients and the broker that can be cut, pulled and plugged in.
// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import net from 'node:net';

// In place of a house for readers: `const cable = await Cable.open(house)`.
export class Cable {
  #pairs = new Set();

  static async open(house) {
    const cable = new Cable();
    cable.house = house;
    cable.server = net.createServer((near) => cable.#join(near)).listen(0, '127.0.0.1');
    await once(cable.server, 'listening');
    cable.url = `http://127.0.0.1:${cable.server.address().port}`;
    return house.own(cable);
  }

  own(thing) {
    return this.house.own(thing);
  }

  #join(near) {
    if (this.isPulled) {
      near.destroy();
      return;
    }
    const far = net.connect(this.house.broker.port, '127.0.0.1');
    const pair = [near, far];
    this.#pairs.add(pair);
    for (const [one, other] of [[near, far], [far, near]]) {
      one.setNoDelay();
      one.on('error', () => {});
      one.on('close', () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
      one.pipe(other);
    }
  }

  // What is open breaks; until plug(), nothing opens. Quietly: the broker does not notice.
  pull({ quietly = false } = {}) {
    this.isPulled = true;
    for (const [near, far] of this.#pairs) {
      if (quietly) near.removeAllListeners('close');
      near.destroy();
      if (!quietly) far.destroy();
    }
  }

  plug() {
    this.isPulled = false;
  }

  close() {
    this.pull();
    this.server.close();
  }
}
