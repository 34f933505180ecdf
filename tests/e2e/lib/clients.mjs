// clients.mjs - the published Socket.IO clients of all ages, as readers.
// SPDX-License-Identifier: MIT
import { io as io4 } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import { io as io3 } from 'socket.io-client-3';
import { io as io40 } from 'socket.io-client-40';
import { SIO_TRANSPORTS, SioReader } from './readers.mjs';

export const CLIENTS = { '4.x': io4, '4.0': io40, '3.x': io3, '2.x': io2 };
export const MODES = Object.keys(SIO_TRANSPORTS);

// [version, mode] of all of them.
export const ALL = Object.keys(CLIENTS).flatMap((version) => MODES.map((mode) => [version, mode]));

export class ClientReader extends SioReader {
  constructor(house, { version, ...rest }) {
    super(house, { library: CLIENTS[version], ...rest });
    this.kind = `socket.io-client ${version} over ${this.mode}`;
    if (!this.socket.onAny) this.#hearAll();
    // A refusal of 2.x: a bare string, or an object.
    this.socket.on('error', (error) => {
      this.refusal = typeof error === 'string' ? { message: error } : error;
      this.changed();
    });
  }

  // 2.x has no onAny().
  #hearAll() {
    const { socket } = this;
    const hear = socket.onevent;
    socket.onevent = (packet) => {
      const [name, ...args] = packet.data;
      this.take({ name, data: args[0], args });
      hear.call(socket, packet);
    };
  }

  refused() {
    return this.wait(() => this.refusal, () => `${this.kind} to be refused`);
  }

  disconnected() {
    return this.wait(() => !this.socket.connected && this.disconnects.length,
      () => `${this.kind} to disconnect`);
  }
}
