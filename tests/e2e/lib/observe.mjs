// observe.mjs - what a broker says of itself, and what the kernel says of it.
// SPDX-License-Identifier: MIT
import { readdirSync, readFileSync } from 'node:fs';

// {"thinkwire_name{labels}": number}
export async function metrics(url) {
  const text = await (await fetch(`${url}/metrics`)).text();
  const values = {};
  for (const line of text.split('\n')) {
    const found = /^([^#\s]\S*(?:\{[^}]*\})?) (\S+)$/.exec(line);
    if (found) values[found[1]] = Number(found[2]);
  }
  return values;
}

// The sum of all metrics whose name matches.
export async function metric(url, pattern) {
  const values = await metrics(url);
  const names = Object.keys(values).filter((name) => pattern.test(name));
  if (!names.length) throw new Error(`no metric like ${pattern} among ${Object.keys(values).join(' ')}`);
  return names.reduce((sum, name) => sum + values[name], 0);
}

function rollup(pid, field) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)[1]) * 1024;
}

// Bytes that would come back if the process ended.
export function privateBytes(pid) {
  return rollup(pid, 'Private_Dirty') + rollup(pid, 'Private_Clean');
}

export function descriptors(pid) {
  return readdirSync(`/proc/${pid}/fd`).length;
}

// Samples memory until stop(), which answers by how many bytes its peak passed the beginning.
export function watchMemory(pid, everyMs = 50) {
  const before = privateBytes(pid);
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, privateBytes(pid));
  }, everyMs).unref();
  return {
    stop() {
      clearInterval(timer);
      return Math.max(peak, privateBytes(pid)) - before;
    },
  };
}
