// socketio.js - the reference: Socket.IO on Node behind the same Redis channel.
// SPDX-License-Identifier: MIT
//
//   node socketio.js LISTEN_PORT REDIS_PORT
//
// What a team writes that needs task rooms and has Redis: rooms by task, WebSocket only (no
// polling session to upgrade), no compression, no file serving, one process.
'use strict';

const http = require('http');
const { Server } = require('socket.io');
const { createClient } = require('redis');

async function main() {
  const [listenPort, redisPort] = process.argv.slice(2).map(Number);
  const server = http.createServer();
  const io = new Server(server, {
    transports: ['websocket'],
    serveClient: false,
    perMessageDeflate: false,
  });
  io.on('connection', (socket) => {
    socket.on('task_subscribe', (taskId, acknowledge) => {
      socket.join(`task_progress:${taskId}`);
      if (typeof acknowledge === 'function') acknowledge({ ok: true });
    });
  });

  const redis = createClient({ url: `redis://127.0.0.1:${redisPort}` });
  redis.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  await redis.connect();
  await redis.subscribe('events', (text) => {
    const { namespace, room, event, message } = JSON.parse(text);
    io.of(`/${namespace}`).to(room).emit(event, message);
  });
  server.listen(listenPort, '127.0.0.1');
}

main();
