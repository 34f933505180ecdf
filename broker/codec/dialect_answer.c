/* dialect_answer.c - OpenAI's one answer instead of a stream. */
/* SPDX-License-Identifier: MIT */
#include "codec/dialect.h"
#include "codec/json.h"

static void put_message(struct buf *out, const struct dialect_answer *answer)
{
    buf_puts(out, "{\"role\":\"assistant\",\"content\":");
    if (answer->text.len == 0 && answer->tool_calls.len > 0)
        buf_puts(out, "null");
    else
        json_quote(out, answer->text);
    buf_puts(out, ",\"refusal\":null");
    if (answer->reasoning.len > 0) {
        buf_puts(out, ",\"reasoning_content\":");
        json_quote(out, answer->reasoning);
    }
    if (answer->tool_calls.len > 0) {
        buf_puts(out, ",\"tool_calls\":");
        buf_slice(out, answer->tool_calls);
    }
    buf_putc(out, '}');
}

bool dialect_openai_answer(struct buf *out, const struct dialect_run *run,
                           const struct dialect_answer *answer)
{
    buf_puts(out, "{\"id\":\"chatcmpl-");
    buf_u64(out, run->epoch);
    buf_puts(out, "\",\"object\":\"chat.completion\",\"created\":");
    buf_u64(out, run->created_s);
    buf_puts(out, ",\"model\":");
    json_quote(out, run->model);
    buf_puts(out, ",\"choices\":[{\"index\":0,\"message\":");
    put_message(out, answer);
    buf_puts(out, ",\"logprobs\":null,\"finish_reason\":");
    json_quote(out, slice_of(answer->finish_reason));
    buf_puts(out, "}],\"usage\":{\"prompt_tokens\":");
    buf_u64(out, answer->tokens_in);
    buf_puts(out, ",\"completion_tokens\":");
    buf_u64(out, answer->tokens_out);
    buf_puts(out, ",\"total_tokens\":");
    buf_u64(out, answer->tokens_in + answer->tokens_out);
    return buf_puts(out, "}}");
}

bool dialect_openai_error(struct buf *out, const char *type, const char *code,
                          struct slice message)
{
    buf_puts(out, "{\"error\":{\"message\":");
    json_quote(out, message);
    buf_puts(out, ",\"type\":");
    json_quote(out, slice_of(type));
    buf_puts(out, ",\"param\":null,\"code\":");
    json_quote(out, slice_of(code));
    return buf_puts(out, "}}");
}
