// plain-server.test.mjs - the echo server of tests/conformance, asked by stock clients of all ages.
// SPDX-License-Identifier: MIT
//
// The broker sends no binary and has few acknowledgements; what its layers can do is seen here.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { ALL, ClientReader } from './lib/clients.mjs';
import { BIN, Child, PATIENCE } from './lib/house.mjs';
import { until } from './lib/wait.mjs';

// In place of a house for readers.
async function server(t, ...args) {
  const child = new Child(path.join(BIN, 'conformance_server'), [
    '--port', '0', '--mode', 'socket', '--path', '/socket.io/', '--eio3', '--ping-interval-ms', '25000',
    '--ping-timeout-ms', '20000', ...args,
  ]);
  const own = [];
  t.after(async () => {
    own.forEach((one) => one.close());
    assert.deepEqual(await child.stop(), { code: 0, signal: null }, child.output);
  });
  const [, address] = await until(() => /^ready (\S+)$/m.exec(child.output), () => child.output, 10000 * PATIENCE);
  return { url: `http://${address}`, own: (thing) => own.push(thing) };
}

// What a client hands over may be a Buffer or, where it came as JSON would, a list of bytes.
const plain = (value) => (value instanceof Uint8Array || value instanceof ArrayBuffer
  ? { bytes: Buffer.from(value).toString('hex') } : value && typeof value === 'object'
    ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)])) : value);

const MESSAGES = [
  ['text'],
  [],
  [1, null, true, { nested: ['é', '€', '\u{1f600}', '\u2028'] }],
  [Buffer.from([0, 0x1e, 0xff])],
  [{ name: 'ü', parts: [Buffer.alloc(70_000, 7), 'between', Buffer.alloc(0)] }, 'after'],
  [Array.from({ length: 10 }, (_, n) => Buffer.from([n]))],
];

for (const [version, mode] of ALL) {
  const name = `socket.io-client ${version}, ${mode}`;

  test(`${name}: text and binary come back, as events and as acknowledgements`, async (t) => {
    const house = await server(t);
    const reader = await new ClientReader(house, { version, mode }).connected();
    for (const [n, args] of MESSAGES.entries()) {
      reader.socket.emit('message', ...args);
      const back = () => reader.items.filter((item) => item.name === 'message-back');
      await reader.wait(() => back().length > n, () => `message ${n}`);
      assert.deepEqual(plain(back()[n].args), plain(args));
      const answer = await new Promise((resolve) => {
        reader.socket.emit('message-with-ack', ...args, (...told) => resolve(told));
      });
      assert.deepEqual(plain(answer), plain(args));
    }
    assert.deepEqual(reader.disconnects, []);
  });

  test(`${name}: two namespaces share a connection, a third is refused, one is left and joined again`, async (t) => {
    const house = await server(t);
    const root = await new ClientReader(house, { version, mode }).connected();
    let told;
    const join = (nsp) => {
      const socket = root.socket.io.socket(nsp);
      house.own({ close: () => socket.disconnect() });
      const note = (what) => {
        told = `${nsp}: ${what}`;
        root.changed();
      };
      socket.on('connect', () => note('joined'));
      for (const event of ['connect_error', 'error']) socket.on(event, (error) => note(error.message ?? error));
      return socket;
    };
    const isTold = (what) => root.wait(() => told === what, () => `${what}, got ${told}`);
    const custom = join('/custom');
    await isTold('/custom: joined');
    join('/random');
    await isTold('/random: Invalid namespace');
    custom.disconnect();
    custom.connect();
    await isTold('/custom: joined');
    root.socket.emit('message', 'still here');
    assert.deepEqual((await root.item('message-back')).args, ['still here']);
    assert.deepEqual(root.disconnects, []);
  });
}
