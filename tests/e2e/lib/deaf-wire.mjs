// deaf-wire.mjs - a wire from a broker to Redis on which messages of channels get lost.
// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import net from 'node:net';

const CRLF = '\r\n';

// Where the RESP value that begins at `at` ends; -1 while it is not all there.
function endOf(text, at) {
  const line = text.indexOf(CRLF, at);
  if (line < 0) return -1;
  const count = Number(text.slice(at + 1, line));
  let end = line + 2;
  if (text[at] === '$' && count >= 0) end += count + 2;
  else if (text[at] === '*') for (let n = 0; n < count && end >= 0; n++) end = endOf(text, end);
  return end <= text.length ? end : -1;
}

// `--bus wire.url`. What `loses(text of a message, its channel and all)` says yes to never comes.
export class DeafWire {
  #sockets = new Set();

  lost = 0;

  static async open(house, loses) {
    const wire = new DeafWire();
    wire.loses = loses;
    wire.server = net.createServer((near) => wire.#join(near, house.redis.port)).listen(0, '127.0.0.1');
    await once(wire.server, 'listening');
    wire.url = `redis://127.0.0.1:${wire.server.address().port}`;
    return house.own(wire);
  }

  #join(near, port) {
    const far = net.connect(port, '127.0.0.1');
    for (const [one, other] of [[near, far], [far, near]]) {
      this.#sockets.add(one);
      one.setNoDelay();
      one.on('error', () => {});
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
    near.pipe(far);
    let text = '';
    far.on('data', (part) => {
      text += part.toString('latin1');
      let kept = '';
      for (let end = endOf(text, 0); text && end > 0; end = endOf(text, 0)) {
        kept += this.#pass(text.slice(0, end));
        text = text.slice(end);
      }
      if (kept) near.write(kept, 'latin1');
    });
  }

  #pass(value) {
    const isLost = value.startsWith(`*3${CRLF}$7${CRLF}message${CRLF}`) && this.loses(value);
    this.lost += isLost ? 1 : 0;
    return isLost ? '' : value;
  }

  close() {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
  }
}
