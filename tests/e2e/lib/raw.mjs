// raw.mjs - bytes on a TCP connection, for what no client library would send.
// SPDX-License-Identifier: MIT
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { Waiters } from './wait.mjs';

export class Raw extends Waiters {
  received = Buffer.alloc(0);

  constructor(house) {
    super();
    this.socket = net.connect(house.broker.port, '127.0.0.1');
    this.socket.on('data', (part) => {
      this.received = Buffer.concat([this.received, part]);
      this.changed();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
      this.changed();
    });
    house.own(this);
  }

  send(bytes) {
    this.socket.write(bytes);
  }

  get text() {
    return this.received.toString('latin1');
  }

  // The status of the first answer; 0 when the connection was closed without one.
  status(ms) {
    return this.wait(() => {
      const found = /^HTTP\/1\.[01] (\d{3}) [\s\S]*?\r\n\r\n/.exec(this.text);
      if (found) return { code: Number(found[1]) };
      return this.isClosed && { code: 0 };
    }, () => `an answer, got ${JSON.stringify(this.text.slice(0, 300))}`, ms).then(({ code }) => code);
  }

  closed(ms) {
    return this.wait(() => this.isClosed, () => `the close, got ${JSON.stringify(this.text.slice(0, 300))}`, ms);
  }

  close() {
    this.socket.destroy();
  }
}

export function head(house, first, ...lines) {
  const host = lines.some((line) => /^host:/i.test(line)) ? '' : `Host: ${house.broker.host}\r\n`;
  return `${first} HTTP/1.1\r\n${host}${lines.map((line) => `${line}\r\n`).join('')}\r\n`;
}

// A WebSocket whose frames are written by hand.
export class RawWs extends Raw {
  constructor(house, path, ...lines) {
    super(house);
    this.send(head(house, `GET ${path}`, 'Upgrade: websocket', 'Connection: Upgrade',
      'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, ...lines));
  }

  async opened() {
    if (await this.status() !== 101) throw new Error(this.text);
    return this;
  }

  // One frame: `first` is the first byte; masked unless told otherwise.
  frame(first, payload, { masked = true, length } = {}) {
    const data = Buffer.from(payload);
    const size = length ?? BigInt(data.length);
    const start = [first];
    const bit = masked ? 0x80 : 0;
    const header = Buffer.alloc(8);
    if (size < 126n) start.push(bit | Number(size));
    else {
      const wide = size > 0xffffn;
      start.push(bit | (wide ? 127 : 126));
      header.writeBigUInt64BE(BigInt.asUintN(64, size));
      start.push(...header.subarray(wide ? 0 : 6));
    }
    const mask = randomBytes(4);
    const body = masked ? Buffer.from(data.map((byte, n) => byte ^ mask[n % 4])) : data;
    this.send(Buffer.concat([Buffer.from(start), ...(masked ? [mask] : []), body]));
  }

  message(text) {
    this.frame(0x81, text);
  }
}
