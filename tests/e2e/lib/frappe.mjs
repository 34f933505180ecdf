// frappe.mjs - the exact bytes a Frappe backend publishes.
// SPDX-License-Identifier: MIT

function escaped(text) {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

// frappe.as_json: indent 1, keys sorted at every level, ASCII only.
export function asJson(value, indent = '') {
  const inner = `${indent} `;
  if (typeof value === 'string') return escaped(value);
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) {
    if (!value.length) return '[]';
    return `[\n${value.map((item) => inner + asJson(item, inner)).join(',\n')}\n${indent}]`;
  }
  const keys = Object.keys(value).sort();
  if (!keys.length) return '{}';
  const lines = keys.map((key) => `${inner}${escaped(key)}: ${asJson(value[key], inner)}`);
  return `{\n${lines.join(',\n')}\n${indent}}`;
}

// v15 and later: rooms are plain, the namespace names the site.
export function modern(site, room, message, event = 'ai_progress') {
  return asJson({ event, message, room, namespace: site });
}

// v12 to v14: the site is a prefix of the room.
export function older(site, room, message, event = 'ai_progress') {
  return asJson({ event, message, room: `${site}:${room}` });
}
