// fold.mjs - what a reader makes of the events it got, and what it should have got.
// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict';

const TERMINAL = new Set(['completion', 'error', 'stopped']);

export function isTerminal(data) {
  return TERMINAL.has(data?.type);
}

// Accumulated reasoning and text as a native client keeps them: deltas append, a resync
// begins anew. `items` are a reader's {name, data} in order.
export function fold(items) {
  const told = { reasoning: '', text: '', end: null };
  for (const { name, data } of items) {
    if (name === 'resync') {
      told.reasoning = '';
      told.text = '';
    } else if (name === 'ai_progress' && data.partial === true) {
      if (data.type === 'reasoning' || data.type === 'text') told[data.type] += data.text;
    } else if (name === 'ai_progress' && isTerminal(data)) {
      assert.equal(told.end, null, 'a second terminal event');
      told.end = data;
    }
  }
  return told;
}

// The run of a task: `count` deltas, the first quarter reasoning, then a completion. Each
// delta names its task and number, so that nothing can hide.
export function script(mark, count, extra = {}) {
  const thoughts = Math.floor(count / 4);
  const events = [];
  for (let n = 0; n < count; n++) {
    events.push({
      type: n < thoughts ? 'reasoning' : 'text', text: `[${mark}:${n}]é😀 `, partial: true, ...extra,
    });
  }
  const all = (type) => events.filter((e) => e.type === type).map((e) => e.text).join('');
  const told = { reasoning: all('reasoning'), text: all('text') };
  events.push({ type: 'completion', partial: false, ...told, ...extra });
  return { events, told };
}

// Seq of an id `<epoch>-<seq>`, or of one that is local to a broker, `~<nonce>-<n>`.
export function seqOf(id) {
  return Number(/^(?:\d+|~\w+)-(\d+)$/.exec(id)[1]);
}

// Ids of one run: one epoch, seq never steps back or repeats.
export function assertIdsRise(items) {
  let last = null;
  for (const { name, data } of items) {
    if (name === 'resync') last = null;
    if (name !== 'ai_progress' || data.id === undefined) continue;
    if (last) {
      assert.equal(data.id.split('-')[0], last.split('-')[0], `epoch of ${data.id} after ${last}`);
      assert.ok(seqOf(data.id) > seqOf(last), `${data.id} after ${last}`);
    }
    last = data.id;
  }
}
