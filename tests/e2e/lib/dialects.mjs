// dialects.mjs - real client libraries as readers of a run retold with ?format=.
// SPDX-License-Identifier: MIT
//
// Each answers {text, reasoning, end, error} of what its library made of the stream; a stream
// that the library finds fault with is an error too.
import { HttpAgent } from '@ag-ui/client';
import * as ai from 'ai';
import * as ai5 from 'ai-5';
import { EventSource } from 'eventsource';
import OpenAI from 'openai';

const get = (url) => (_, init) => fetch(url, { signal: init?.signal, headers: init?.headers });

async function openai(url) {
  const client = new OpenAI({ apiKey: 'x', baseURL: 'http://unused', maxRetries: 0, fetch: get(url) });
  const seen = { text: '', reasoning: '' };
  try {
    const stream = await client.chat.completions.create({ model: 'm', stream: true, messages: [] });
    for await (const { choices: [choice], usage } of stream) {
      seen.text += choice?.delta?.content ?? '';
      seen.reasoning += choice?.delta?.reasoning_content ?? '';
      seen.end = choice?.finish_reason ?? seen.end;
      seen.usage = usage ?? seen.usage;
    }
  } catch (error) {
    seen.error = error.message;
  }
  return seen;
}

const joined = (message, type) => (message?.parts ?? [])
  .filter((part) => part.type === type).map((part) => part.text).join('');

const aiSdk = (library) => async (url) => {
  const transport = new library.DefaultChatTransport({ api: 'http://unused', fetch: get(url) });
  const stream = await transport.sendMessages({ chatId: 'c', messages: [], trigger: 'submit-message' });
  return readMessage(library, stream);
};

// What useChat does with a stream: strict about its schema and the order of its parts.
export async function readMessage(library, stream) {
  let last;
  let failure;
  let end;
  const seen = stream.pipeThrough(new TransformStream({
    transform(chunk, out) {
      if (chunk.type === 'finish') end = chunk.finishReason ?? 'stop'; // 5.x may not tell it
      if (chunk.type === 'abort') end = 'abort';
      out.enqueue(chunk);
    },
  }));
  try {
    const onError = (error) => { failure = error; };
    const messages = library.readUIMessageStream({ stream: seen, onError, terminateOnError: true });
    for await (const message of messages) last = message;
  } catch (error) {
    failure = error;
  }
  const open = last?.parts.some((part) => part.state && part.state !== 'done');
  return {
    text: joined(last, 'text'), reasoning: joined(last, 'reasoning'), end,
    error: failure?.message ?? (open && end ? 'a part was left open' : undefined),
  };
}

class Getter extends HttpAgent {
  requestInit() {
    return { method: 'GET' };
  }
}

async function agUi(url) {
  const seen = { text: '', reasoning: '' };
  const agent = new Getter({ url, threadId: 't' });
  try {
    await agent.runAgent({ runId: 'r' }, {
      onTextMessageContentEvent: ({ event }) => { seen.text += event.delta; },
      onReasoningMessageContentEvent: ({ event }) => { seen.reasoning += event.delta; },
      onRunErrorEvent: ({ event }) => { seen.error = event.message; },
      onRunFinishedEvent: () => { seen.end = 'stop'; },
    });
  } catch (error) {
    seen.error ??= error.message;
  }
  return seen;
}

// A stock browser object: it reconnects for ever unless it is answered 204.
function eventSource(url) {
  const seen = { text: '', reasoning: '', connections: 0 };
  const source = new EventSource(url, {
    fetch: (...args) => {
      seen.connections++;
      return fetch(...args);
    },
  });
  const data = (take) => ({ data: text }) => take(JSON.parse(text));
  source.addEventListener('token', data(({ text }) => { seen.text += text; }));
  source.addEventListener('usage', data((usage) => { seen.usage = usage; }));
  source.addEventListener('done', data(({ finish_reason: reason }) => { seen.end = reason; }));
  return new Promise((resolve) => {
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) resolve(seen);
    });
  });
}

// fetch and a stream reader that joins what chunks have torn apart (React Native).
export async function fetchReader(url, init) {
  const seen = { text: '', reasoning: '', comments: [], names: [], chunks: 0 };
  const answer = await fetch(url, init);
  seen.status = answer.status;
  seen.headers = answer.headers;
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of answer.body) {
    seen.chunks++;
    const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) take(seen, block.split('\n'));
  }
  if (rest) seen.error = 'torn at the end';
  return seen;
}

function take(seen, lines) {
  const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  if (lines[0].startsWith(': ')) seen.comments.push(lines[0].slice(2));
  const name = field('event');
  if (!name) return;
  seen.names.push(name);
  const data = JSON.parse(field('data'));
  if (name === 'token') seen.text += data.text;
  if (name === 'usage') seen.usage = data;
  if (name === 'done') seen.end = data.finish_reason;
}

export const READERS = {
  'npm openai': { format: 'openai', read: openai, tells: { reasoning: true, reason: true } },
  'npm ai': { format: 'ai-sdk', read: aiSdk(ai), tells: { reasoning: true, reason: true } },
  'npm ai 5': { format: 'ai-sdk', read: aiSdk(ai5), tells: { reasoning: true, reason: true } },
  'npm @ag-ui/client': { format: 'ag-ui', read: agUi, tells: { reasoning: true, reason: true } },
  'a stock EventSource': { format: 'chat', read: eventSource, tells: {} },
  'a fetch reader': { format: 'chat', read: fetchReader, tells: {} },
};
export { ai, ai5 };
