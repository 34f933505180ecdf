// script.mjs - what the stand-in provider does with a request: rules, and the answer they make.
// SPDX-License-Identifier: MIT

// Of each rule, what picks requests:
//   api     'responses', 'chat' or 'anthropic'
//   mode    'stream' or 'plain'
//   times   only the first so many that fit
//   after   not the first so many that fit
// Everything else says what happens; README.md has the list.
const PICKS = new Set(['api', 'mode', 'times', 'after']);

const DOES = new Set(['text', 'words', 'reasoning', 'think', 'chunk', 'stamp', 'finish', 'model', 'usage',
  'head_ms', 'first_ms', 'pace_ms', 'drip_bytes', 'drip_ms', 'ping_ms', 'status', 'error', 'headers', 'refuse',
  'silent_at', 'cut_at', 'cut_byte', 'eof_at', 'error_at', 'done_at', 'hang_end', 'empty', 'restart', 'repeat', 'no_usage',
  'tools', 'gate']);

export class Script {
  #rules;

  constructor(rules) {
    for (const rule of rules) {
      for (const name of Object.keys(rule)) {
        if (!PICKS.has(name) && !DOES.has(name)) throw new Error(`no such word in a rule: ${name}`);
      }
    }
    this.#rules = rules.map((rule) => ({ rule, seen: 0 }));
  }

  // The first rule that fits this request, or an empty one: a whole, regular answer.
  pick({ api, mode }) {
    for (const entry of this.#rules) {
      const { rule } = entry;
      if ((rule.api && rule.api !== api) || (rule.mode && rule.mode !== mode)) continue;
      entry.seen += 1;
      if (entry.seen <= (rule.after ?? 0)) continue;
      if (rule.times !== undefined && entry.seen > (rule.after ?? 0) + rule.times) continue;
      return rule;
    }
    return {};
  }
}

// What an answer to `key` says by default: words that name it and count, so that a reader can
// tell a lost, doubled or foreign piece by looking.
export function wordsOf(key, count, kind = '') {
  return Array.from({ length: count }, (_, n) => `${kind}${key}:${n} `);
}

// In pieces as a model sends them: words, or so many characters.
function piecesOf(text, chunk) {
  if (!chunk) return text.match(/\S*\s*/gu).filter(Boolean);
  const characters = [...text];
  const pieces = [];
  for (let n = 0; n < characters.length; n += chunk) pieces.push(characters.slice(n, n + chunk).join(''));
  return pieces;
}

function textOf(rule, key) {
  return rule.text ?? wordsOf(key, rule.words ?? 20).join('');
}

function reasoningOf(rule, key) {
  if (typeof rule.reasoning === 'number') return wordsOf(key, rule.reasoning, 'r-').join('');
  return rule.reasoning ?? '';
}

// Who is asked to continue goes on behind the partial answer, unless told to start again;
// `repeat` characters of what was said come once more.
function restOf(text, partial, rule) {
  if (!partial || rule.restart || !text.startsWith(partial)) return text;
  const from = Math.max(0, [...partial].length - (rule.repeat ?? 0));
  return [...text].slice(from).join('');
}

// [{kind: 'reasoning' | 'text', text}]
export function answerOf(rule, { key, partial }) {
  if (rule.empty) return [];
  const pieces = (kind, text) => piecesOf(text, rule.chunk).map((piece) => ({ kind, text: piece }));
  const thoughts = reasoningOf(rule, key);
  const text = restOf(textOf(rule, key), partial, rule);
  if (rule.think === 'inline' && thoughts) return pieces('text', `<think>${thoughts}</think>${text}`);
  return [...pieces('reasoning', thoughts), ...pieces('text', text)];
}
