/* dialect_chat.c - token, usage, done: the chat endpoint's own events. */
/* SPDX-License-Identifier: MIT */
#include "codec/dialect_inside.h"
#include "codec/sse.h"

static void start(const struct teller *t)
{
    sse_comment(t->out, slice_of("Connected to chat stream"));
}

static void delta(const struct teller *t, enum dialect_part part, struct slice raw)
{
    (void)part; /* reasoning is not told */
    buf_puts(t->out, "event: token\ndata: {\"text\":\"");
    buf_slice(t->out, raw);
    buf_puts(t->out, "\"}\n\n");
}

static void usage(const struct teller *t, struct slice event)
{
    buf_puts(t->out, "event: usage\ndata: {\"tokens_in\":");
    buf_slice(t->out, dialect_number_of(event, "tokens_in"));
    buf_puts(t->out, ",\"tokens_out\":");
    buf_slice(t->out, dialect_number_of(event, "tokens_out"));
    buf_puts(t->out, ",\"cost_usd\":");
    buf_slice(t->out, dialect_number_of(event, "cost_usd"));
    dialect_put(t->out, "model", dialect_text_of(event, "model", ""));
    buf_puts(t->out, "}\n\n");
}

static void finish(const struct teller *t, struct slice reason)
{
    buf_puts(t->out, "event: done\ndata: {\"finish_reason\":\"");
    buf_slice(t->out, reason);
    buf_puts(t->out, "\"}\n\n");
}

static void done(const struct teller *t, struct slice event)
{
    finish(t, dialect_text_of(event, "finish_reason", "stop"));
}

static void stopped(const struct teller *t, struct slice event)
{
    (void)event;
    finish(t, slice_of("stop"));
}

/* The sentence for users is told as text; the code is for telemetry and log (C7). */
static void failed(const struct teller *t, struct slice code, struct slice message)
{
    (void)code;
    if (message.len > 0)
        delta(t, PART_TEXT, message);
    finish(t, slice_of("error"));
}

const struct dialect_ops dialect_chat = {
    .start = start,
    .delta = delta,
    .usage = usage,
    .done = done,
    .stopped = stopped,
    .failed = failed,
};
