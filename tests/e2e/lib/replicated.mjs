// replicated.mjs - a master, a replica and sentinels of one test.
// SPDX-License-Identifier: MIT
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { Child, freePort } from './house.mjs';
import { until } from './wait.mjs';

class Server {
  async start(folder, program, args, mark) {
    this.port = await freePort();
    this.child = new Child(program, [...args, '--port', String(this.port), '--bind', '127.0.0.1', '--dir', folder]);
    await until(() => this.child.output.includes(mark), () => `${program}:\n${this.child.output}`);
    this.client = new Redis({ port: this.port, host: '127.0.0.1', retryStrategy: () => 50, maxRetriesPerRequest: null })
      .on('error', () => {});
    return this;
  }

  kill() {
    return this.child.stop('SIGKILL');
  }

  async close() {
    this.client.disconnect();
    await this.child.stop('SIGKILL');
  }
}

const SERVER = ['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction', '--repl-diskless-sync-delay', '0'];

// `url` leads to whichever is the master.
export class Replicated {
  static async open({ sentinels = 3 } = {}) {
    const all = new Replicated();
    all.folder = mkdtempSync(path.join(tmpdir(), 'thinkwire-ha-'));
    all.master = await new Server().start(all.folder, 'redis-server', SERVER, 'Ready to accept connections');
    all.replica = await new Server().start(all.folder, 'redis-server',
      [...SERVER, '--replicaof', '127.0.0.1', String(all.master.port)], 'Ready to accept connections');
    await until(async () => /state=online/.test(await all.master.client.info('replication')), 'the replica');
    await all.master.client.set('probe', '1');
    await all.master.client.wait(1, 5000);
    all.sentinels = [];
    for (let n = 0; n < sentinels; n++) {
      const file = path.join(all.folder, `sentinel${n}.conf`);
      writeFileSync(file, `sentinel monitor main 127.0.0.1 ${all.master.port} ${Math.floor(sentinels / 2) + 1}
sentinel down-after-milliseconds main 500
sentinel failover-timeout main 5000
`);
      all.sentinels.push(await new Server().start(all.folder, 'redis-sentinel', [file], '+monitor master'));
    }
    for (const { client } of all.sentinels) {
      await until(async () => new RegExp(`slaves=1,sentinels=${sentinels}`).test(await client.info('sentinel')),
        'the sentinels to know each other', 20000);
    }
    all.url = `redis+sentinel://${all.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/main`;
    return all;
  }

  async close() {
    for (const server of [...this.sentinels ?? [], this.replica, this.master]) await server?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
