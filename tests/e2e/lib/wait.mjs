// wait.mjs - awaiting what has no event of its own, with a limit and a reason.
// SPDX-License-Identifier: MIT
import { setTimeout as delay } from 'node:timers/promises';

export { delay };

// Answers the first truthy value of `check`; fails with `what` after `ms`.
export async function until(check, what, ms = 10000) {
  const limit = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > limit) {
      const words = typeof what === 'function' ? what() : what;
      throw new Error(`waited ${ms} ms in vain for: ${words}`);
    }
    await delay(15);
  }
}

// A set of waiters that are looked at again whenever something has changed.
export class Waiters {
  #list = new Set();

  changed() {
    for (const waiter of [...this.#list]) waiter();
  }

  // Runs `act`; what it throws fails every waiter instead of the process.
  guard(act) {
    try {
      act();
    } catch (error) {
      this.fault ??= error;
    }
    this.changed();
  }

  // Resolves with the first truthy value of `check`, looked at now and after each change.
  wait(check, what, ms = 15000) {
    return new Promise((resolve, reject) => {
      const look = () => {
        let value;
        try {
          if (this.fault) throw this.fault;
          value = check();
        } catch (error) {
          finish(() => reject(error));
          return;
        }
        if (value) finish(() => resolve(value));
      };
      const timer = setTimeout(() => {
        const words = typeof what === 'function' ? what() : what;
        finish(() => reject(new Error(`waited ${ms} ms in vain for: ${words}`)));
      }, ms);
      const finish = (settle) => {
        clearTimeout(timer);
        this.#list.delete(look);
        settle();
      };
      this.#list.add(look);
      look();
    });
  }
}
