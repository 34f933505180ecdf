// witness.mjs - clients that stand by while others misbehave, and must not notice.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';
import { frappeModern, post } from './publish.mjs';
import { eventsPath, SioReader, SseReader, WsReader } from './readers.mjs';

const SITE = 'witness.local';

export class Witness {
  static async of(house) {
    const witness = new Witness();
    witness.house = house;
    witness.pid = house.broker.pid;
    witness.sockets = await Promise.all(['websocket', 'polling'].map(async (mode) => {
      const reader = await new SioReader(house, { mode, nsp: `/${SITE}` }).connected();
      await reader.subscribe('witness');
      return reader;
    }));
    witness.ws = new WsReader(house, { site: SITE });
    await witness.ws.subscribe('witness');
    witness.sse = new SseReader(house, eventsPath('witness', { site: SITE }));
    await witness.sse.item('subscribed');
    return witness;
  }

  #round = 0;

  // An event still reaches everybody, in the same process, over the same connections.
  async isFine(after) {
    const n = ++this.#round;
    const task = { site: SITE, task: 'witness' };
    const event = { type: 'status', message: `round ${n}` };
    if (this.house.redis) await frappeModern(this.house, task, [event]);
    else await post(this.house, task, [event]);
    for (const reader of [...this.sockets, this.ws, this.sse]) {
      await reader.count(n).catch((error) => assert.fail(`after ${after}: ${error.message}`));
      assert.equal(reader.events.length, n, `after ${after}: ${reader.kind}`);
      assert.equal(reader.events.at(-1).message, event.message, `after ${after}: ${reader.kind}`);
    }
    for (const { disconnects, kind } of this.sockets) assert.deepEqual(disconnects, [], `after ${after}: ${kind}`);
    assert.equal(this.ws.closeCode, undefined, `after ${after}`);
    assert.ok(this.house.broker.child.isRunning, `after ${after}: ${this.house.broker.child.output}`);
    assert.equal(this.house.broker.pid, this.pid);
  }
}
