// socketio.js - the reference: Socket.IO on Node behind the same Redis channel.
// SPDX-License-Identifier: MIT
//
//   node socketio.js LISTEN_PORT REDIS_PORT [recovery]
//
// What a team writes that needs task rooms and has Redis: rooms by task, WebSocket only (no
// polling session to upgrade), no compression, no file serving, one process. With `recovery`,
// connection state recovery on the Redis-streams adapter, which writes every event to a
// stream and delivers what it reads back.
'use strict';

const http = require('http');
const { Server } = require('socket.io');
const { createClient } = require('redis');
const { createAdapter } = require('@socket.io/redis-streams-adapter');

async function connect(port) {
  const client = createClient({ url: `redis://127.0.0.1:${port}` });
  client.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  await client.connect();
  return client;
}

async function main() {
  const [listenPort, redisPort] = process.argv.slice(2, 4).map(Number);
  const recovers = process.argv[4] === 'recovery';
  const redis = await connect(redisPort);
  const server = http.createServer();
  const io = new Server(server, {
    transports: ['websocket'],
    serveClient: false,
    perMessageDeflate: false,
    ...(recovers && {
      adapter: createAdapter(await connect(redisPort)),
      connectionStateRecovery: { maxDisconnectionDuration: 120000 },
    }),
  });
  io.on('connection', (socket) => {
    socket.on('task_subscribe', (taskId, acknowledge) => {
      socket.join(`task_progress:${taskId}`);
      if (typeof acknowledge === 'function') acknowledge({ ok: true });
    });
  });

  await redis.subscribe('events', (text) => {
    const { namespace, room, event, message } = JSON.parse(text);
    io.of(`/${namespace}`).to(room).emit(event, message);
  });
  server.listen(listenPort, '127.0.0.1');
}

main();
