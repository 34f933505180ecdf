/* dialect_openai.c - chat.completion.chunk, as OpenAI streams them. */
/* SPDX-License-Identifier: MIT */
#include "codec/dialect_inside.h"

static void begin_chunk(const struct teller *t)
{
    buf_printf(t->out, "data: {\"id\":\"chatcmpl-%llu\"",
               (unsigned long long)t->run->epoch);
    buf_puts(t->out, ",\"object\":\"chat.completion.chunk\",\"created\":");
    buf_u64(t->out, t->run->created_s);
    buf_puts(t->out, ",\"model\":");
    json_quote(t->out, t->run->model);
}

/* A client that asked for usage expects the member in every chunk. */
static void end_chunk(const struct teller *t)
{
    if ((t->state->options & DIALECT_USAGE) != 0)
        buf_puts(t->out, ",\"usage\":null");
    buf_puts(t->out, "}\n\n");
}

static void begin_extra(const struct teller *t, const char *type)
{
    buf_puts(t->out, "data: {\"type\":\"");
    buf_puts(t->out, type);
    buf_puts(t->out, "\",\"choices\":[]");
}

static void start(const struct teller *t)
{
    if ((t->state->options & DIALECT_AGENT) != 0) {
        begin_extra(t, "acknowledgement");
        dialect_put(t->out, "task_id", t->run->task_id);
        buf_puts(t->out, "}\n\n");
    }
    if ((t->state->options & DIALECT_CONTINUED) != 0)
        return; /* continue_started comes first, then deltas without a role (S1) */
    begin_chunk(t);
    buf_puts(t->out, ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
                     "\"content\":\"\"},\"finish_reason\":null}]");
    end_chunk(t);
}

static void delta(const struct teller *t, enum dialect_part part, struct slice raw)
{
    begin_chunk(t);
    buf_puts(t->out, ",\"choices\":[{\"index\":0,\"delta\":{");
    buf_puts(t->out, part == PART_TEXT ? "\"content\":\"" : "\"reasoning_content\":\"");
    buf_slice(t->out, raw);
    buf_puts(t->out, "\"},\"finish_reason\":null}]");
    end_chunk(t);
}

/* Pieces of calls as the provider sent them, in the same form. */
static void tool(const struct teller *t, struct slice tool_calls)
{
    begin_chunk(t);
    buf_puts(t->out, ",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":");
    buf_slice(t->out, tool_calls);
    buf_puts(t->out, "},\"finish_reason\":null}]");
    end_chunk(t);
}

static void continued(const struct teller *t, struct slice event)
{
    if ((t->state->options & DIALECT_CONTINUED) == 0)
        return;
    buf_puts(t->out, "data: {\"type\":\"continue_started\","
                     "\"continuation_from_length\":");
    buf_slice(t->out, dialect_number_of(event, "continuation_from_length"));
    buf_puts(t->out, "}\n\n");
}

static void tell_usage(const struct teller *t)
{
    const struct dialect_state *state = t->state;

    begin_chunk(t);
    buf_puts(t->out, ",\"choices\":[],\"usage\":{\"prompt_tokens\":");
    buf_u64(t->out, state->tokens_in);
    buf_puts(t->out, ",\"completion_tokens\":");
    buf_u64(t->out, state->tokens_out);
    buf_puts(t->out, ",\"total_tokens\":");
    buf_u64(t->out, state->tokens_in + state->tokens_out);
    buf_puts(t->out, "}}\n\n");
}

/* Our own frame also says that a continue is offered, and where the answer was cut. */
static void tell_final_response(const struct teller *t, struct slice event)
{
    struct json_member incomplete;

    begin_extra(t, "final_response");
    dialect_put(t->out, "text", dialect_text_of(event, "text", ""));
    if (json_get(event, "incomplete", &incomplete) && incomplete.kind == JSON_TRUE) {
        buf_puts(t->out, ",\"incomplete\":true");
        dialect_put(t->out, "cut", dialect_text_of(event, "cut", "none"));
    }
    buf_puts(t->out, "}\n\n");
}

static void finish(const struct teller *t, struct slice reason, struct slice event)
{
    begin_chunk(t);
    buf_puts(t->out, ",\"choices\":[{\"index\":0,\"delta\":{}");
    dialect_put(t->out, "finish_reason", reason);
    buf_puts(t->out, "}]");
    end_chunk(t);
    if ((t->state->options & DIALECT_USAGE) != 0 && t->state->has_usage)
        tell_usage(t);
    if ((t->state->options & DIALECT_AGENT) != 0)
        tell_final_response(t, event);
    buf_puts(t->out, "data: [DONE]\n\n");
}

static void done(const struct teller *t, struct slice event)
{
    finish(t, dialect_text_of(event, "finish_reason", "stop"), event);
}

/* OpenAI has no word for it; what was said is whole as far as it goes. */
static void stopped(const struct teller *t, struct slice event)
{
    finish(t, slice_of("stop"), event);
}

/* No finish_reason and no [DONE]: a client must see that the answer is not whole (R6). */
static void failed(const struct teller *t, struct slice code, struct slice message)
{
    buf_puts(t->out, "data: {\"error\":{\"message\":\"");
    buf_slice(t->out, message);
    buf_puts(t->out, "\",\"type\":\"server_error\",\"param\":null");
    dialect_put(t->out, "code", code);
    buf_puts(t->out, "}}\n\n");
}

const struct dialect_ops dialect_openai = {
    .start = start,
    .delta = delta,
    .tool = tool,
    .continued = continued,
    .done = done,
    .stopped = stopped,
    .failed = failed,
};
