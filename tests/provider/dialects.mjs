// dialects.mjs - the three protocols of model providers, as their servers speak them.
// SPDX-License-Identifier: MIT
//
// Each dialect: how a request is read, and what is said at the beginning, for each piece, at the
// end, for an error, and as one document. Strings are whole server-sent events.

const sse = (data, event) => `${event ? `event: ${event}\n` : ''}data: ${JSON.stringify(data)}\n\n`;

const plainText = (content) => (typeof content === 'string' ? content
  : (content ?? []).map((part) => part.text ?? '').join(''));

// The last user's words name the answer. An assistant's words before an instruction to continue are
// what was already said.
function readMessages(messages) {
  const [before, last] = messages.slice(-2);
  const continues = last !== undefined && before.role === 'assistant' && /previous answer/i.test(plainText(last.content));
  const rest = continues ? messages.slice(0, -2) : messages;
  const asked = rest.findLast(({ role }) => role === 'user');
  return {
    key: (/[\w-]+/.exec(plainText(asked?.content)) ?? ['nobody'])[0],
    partial: continues ? plainText(before.content) : '',
  };
}

function joined(pieces, kind) {
  return pieces.filter((piece) => piece.kind === kind).map(({ text }) => text).join('');
}

class Dialect {
  constructor(request, rule) {
    this.request = request;
    this.rule = rule;
    this.model = rule.model ?? request.model;
    this.id = `stand-in-${request.n}`;
    this.finish = rule.finish ?? 'stop';
    this.said = { text: '', reasoning: '' };
  }

  usage(pieces) {
    const { tokens_in: tokensIn = 5, tokens_out: tokensOut = pieces.length } = this.rule.usage ?? {};
    return { tokensIn, tokensOut, reasoning: pieces.filter(({ kind }) => kind === 'reasoning').length };
  }

  begin() { return []; }

  done() { return []; }
}

export class Chat extends Dialect {
  static path = /\/chat\/completions$/;

  static read(body) { return readMessages(body.messages ?? []); }

  #chunk(delta, finish = null, more = {}) {
    return sse({
      id: this.id, object: 'chat.completion.chunk', created: 1700000000, model: this.model,
      choices: [{ index: 0, delta, finish_reason: finish }], ...more,
    });
  }

  begin() { return [this.#chunk({ role: 'assistant', content: '' })]; }

  piece({ kind, text }) {
    if (kind === 'text') return [this.#chunk({ content: text })];
    return [this.#chunk({ [this.rule.think === 'reasoning' ? 'reasoning' : 'reasoning_content']: text })];
  }

  #usage(pieces) {
    const { tokensIn, tokensOut, reasoning } = this.usage(pieces);
    return {
      prompt_tokens: tokensIn, completion_tokens: tokensOut, total_tokens: tokensIn + tokensOut,
      completion_tokens_details: { reasoning_tokens: reasoning },
    };
  }

  end(pieces) {
    const events = [this.#chunk({}, this.finish)];
    if (this.request.body.stream_options?.include_usage && !this.rule.no_usage) {
      events.push(sse({
        id: this.id, object: 'chat.completion.chunk', created: 1700000000, model: this.model,
        choices: [], usage: this.#usage(pieces),
      }));
    }
    return [...events, ...this.done()];
  }

  done() { return ['data: [DONE]\n\n']; }

  fault(error) { return [sse({ error })]; }

  document(pieces) {
    return {
      id: this.id, object: 'chat.completion', created: 1700000000, model: this.model,
      choices: [{
        index: 0, finish_reason: this.finish,
        message: {
          role: 'assistant', content: joined(pieces, 'text'),
          ...(joined(pieces, 'reasoning') && { reasoning_content: joined(pieces, 'reasoning') }),
        },
      }],
      ...(!this.rule.no_usage && { usage: this.#usage(pieces) }),
    };
  }
}

export class Responses extends Dialect {
  static path = /\/responses$/;

  static read(body) {
    return readMessages(typeof body.input === 'string' ? [{ role: 'user', content: body.input }] : body.input ?? []);
  }

  #number = 0;

  #open = null; // 'reasoning' or 'text': the output item that is being written

  #index = -1;

  #event(type, members) {
    this.#number += 1;
    return sse({ type, sequence_number: this.#number - 1, ...members }, type);
  }

  #response(status, more = {}) {
    return { id: this.id, object: 'response', created_at: 1700000000, status, model: this.model, output: [], ...more };
  }

  begin() {
    return [
      this.#event('response.created', { response: this.#response('in_progress') }),
      this.#event('response.in_progress', { response: this.#response('in_progress') }),
    ];
  }

  #item(kind, status) {
    const id = `item_${this.#index}`;
    if (kind === 'reasoning') return { id, type: 'reasoning', summary: this.#part(kind) ? [this.#part(kind)] : [] };
    return { id, type: 'message', status, role: 'assistant', content: [this.#part(kind)] };
  }

  #part(kind) {
    if (kind === 'reasoning') return { type: 'summary_text', text: this.said.reasoning };
    return { type: 'output_text', text: this.said.text, annotations: [] };
  }

  #place(kind) {
    const place = { item_id: `item_${this.#index}`, output_index: this.#index };
    return kind === 'reasoning' ? { ...place, summary_index: 0 } : { ...place, content_index: 0 };
  }

  #begin(kind) {
    this.#open = kind;
    this.#index += 1;
    const part = kind === 'reasoning' ? 'response.reasoning_summary_part.added' : 'response.content_part.added';
    return [
      this.#event('response.output_item.added', { output_index: this.#index, item: { ...this.#item(kind, 'in_progress'), content: [] } }),
      this.#event(part, { ...this.#place(kind), part: { ...this.#part(kind), text: '' } }),
    ];
  }

  #close() {
    const kind = this.#open;
    if (!kind) return [];
    this.#open = null;
    const names = kind === 'reasoning' ? ['reasoning_summary_text', 'reasoning_summary_part'] : ['output_text', 'content_part'];
    return [
      this.#event(`response.${names[0]}.done`, { ...this.#place(kind), text: this.said[kind] }),
      this.#event(`response.${names[1]}.done`, { ...this.#place(kind), part: this.#part(kind) }),
      this.#event('response.output_item.done', { output_index: this.#index, item: this.#item(kind, 'completed') }),
    ];
  }

  piece({ kind, text }) {
    const events = this.#open === kind ? [] : [...this.#close(), ...this.#begin(kind)];
    this.said[kind] += text;
    const type = kind === 'reasoning' ? 'response.reasoning_summary_text.delta' : 'response.output_text.delta';
    return [...events, this.#event(type, { ...this.#place(kind), delta: text })];
  }

  #whole(pieces) {
    const { tokensIn, tokensOut, reasoning } = this.usage(pieces);
    const isCut = this.finish === 'length';
    const thoughts = joined(pieces, 'reasoning');
    const text = joined(pieces, 'text');
    const output = [];
    if (thoughts) output.push({ id: 'item_r', type: 'reasoning', summary: [{ type: 'summary_text', text: thoughts }] });
    if (text) {
      output.push({
        id: 'item_m', type: 'message', status: 'completed', role: 'assistant',
        content: [{ type: 'output_text', text, annotations: [] }],
      });
    }
    return this.#response(isCut ? 'incomplete' : 'completed', {
      output,
      incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
      usage: this.rule.no_usage ? null : {
        input_tokens: tokensIn, input_tokens_details: { cached_tokens: 0 }, output_tokens: tokensOut,
        output_tokens_details: { reasoning_tokens: reasoning }, total_tokens: tokensIn + tokensOut,
      },
    });
  }

  end(pieces) {
    const response = this.#whole(pieces);
    return [...this.#close(), this.#event(`response.${response.status}`, { response })];
  }

  done() { return ['data: [DONE]\n\n']; }

  fault({ code = 'server_error', message }) { return [this.#event('error', { code, message, param: null })]; }

  document(pieces) { return this.#whole(pieces); }
}

export class Anthropic extends Dialect {
  static path = /\/messages$/;

  static read(body) { return readMessages(body.messages ?? []); }

  #index = -1;

  #open = null;

  #event(type, members = {}) { return sse({ type, ...members }, type); }

  begin() {
    const { tokensIn } = this.usage([]);
    return [this.#event('message_start', {
      message: {
        id: this.id, type: 'message', role: 'assistant', model: this.model, content: [], stop_reason: null,
        stop_sequence: null, usage: { input_tokens: tokensIn, output_tokens: 1 },
      },
    }), this.#event('ping')];
  }

  #close() {
    if (!this.#open) return [];
    this.#open = null;
    return [this.#event('content_block_stop', { index: this.#index })];
  }

  piece({ kind, text }) {
    const events = [];
    if (this.#open !== kind) {
      events.push(...this.#close());
      this.#open = kind;
      this.#index += 1;
      const block = kind === 'text' ? { type: 'text', text: '' } : { type: 'thinking', thinking: '', signature: '' };
      events.push(this.#event('content_block_start', { index: this.#index, content_block: block }));
    }
    const delta = kind === 'text' ? { type: 'text_delta', text } : { type: 'thinking_delta', thinking: text };
    return [...events, this.#event('content_block_delta', { index: this.#index, delta })];
  }

  get #stop() { return this.finish === 'length' ? 'max_tokens' : 'end_turn'; }

  end(pieces) {
    const { tokensOut } = this.usage(pieces);
    return [...this.#close(),
      this.#event('message_delta', { delta: { stop_reason: this.#stop, stop_sequence: null }, usage: { output_tokens: tokensOut } }),
      this.#event('message_stop')];
  }

  fault({ type = 'api_error', message }) { return [this.#event('error', { error: { type, message } })]; }

  document(pieces) {
    const { tokensIn, tokensOut } = this.usage(pieces);
    const thoughts = joined(pieces, 'reasoning');
    const content = thoughts ? [{ type: 'thinking', thinking: thoughts, signature: '' }] : [];
    if (joined(pieces, 'text')) content.push({ type: 'text', text: joined(pieces, 'text') });
    return {
      id: this.id, type: 'message', role: 'assistant', model: this.model, content,
      stop_reason: this.#stop, stop_sequence: null, usage: { input_tokens: tokensIn, output_tokens: tokensOut },
    };
  }
}

export const DIALECTS = { responses: Responses, chat: Chat, anthropic: Anthropic };
