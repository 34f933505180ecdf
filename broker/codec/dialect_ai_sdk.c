/* dialect_ai_sdk.c - the UI message stream of the AI SDK, version 1. */
/* SPDX-License-Identifier: MIT */
#include "codec/dialect_inside.h"

/*
 * Clients of version 5 and 6 refuse a chunk with a member they do not know, so every chunk
 * has exactly what the first of them knew: no finishReason, no reason of an abort.
 */
static const char *part_name(enum dialect_part part)
{
    return part == PART_TEXT ? "text" : "reasoning";
}

static void part_chunk(const struct teller *t, const char *step)
{
    enum dialect_part part = (enum dialect_part)t->state->open;

    buf_printf(t->out, "data: {\"type\":\"%s-%s\",\"id\":\"%c%u\"", part_name(part),
               step, part == PART_TEXT ? 't' : 'r', t->state->parts);
}

static void start(const struct teller *t)
{
    /* The same run has the same id: a client that comes again replaces its message. */
    buf_printf(t->out, "data: {\"type\":\"start\",\"messageId\":\"msg-%llu\"}\n\n",
               (unsigned long long)t->run->epoch);
    buf_puts(t->out, "data: {\"type\":\"start-step\"}\n\n");
}

static void open_part(const struct teller *t)
{
    part_chunk(t, "start");
    buf_puts(t->out, "}\n\n");
}

static void close_part(const struct teller *t)
{
    part_chunk(t, "end");
    buf_puts(t->out, "}\n\n");
}

static void delta(const struct teller *t, enum dialect_part part, struct slice raw)
{
    (void)part;
    part_chunk(t, "delta");
    dialect_put(t->out, "delta", raw);
    buf_puts(t->out, "}\n\n");
}

static void done(const struct teller *t, struct slice event)
{
    (void)event;
    buf_puts(t->out, "data: {\"type\":\"finish-step\"}\n\n"
                     "data: {\"type\":\"finish\"}\n\n"
                     "data: [DONE]\n\n");
}

static void stopped(const struct teller *t, struct slice event)
{
    (void)event;
    buf_puts(t->out, "data: {\"type\":\"abort\"}\n\ndata: [DONE]\n\n");
}

static void failed(const struct teller *t, struct slice code, struct slice message)
{
    buf_puts(t->out, "data: {\"type\":\"error\"");
    dialect_put(t->out, "errorText", message.len > 0 ? message : code);
    buf_puts(t->out, "}\n\ndata: [DONE]\n\n");
}

const struct dialect_ops dialect_ai_sdk = {
    .start = start,
    .open = open_part,
    .close = close_part,
    .delta = delta,
    .done = done,
    .stopped = stopped,
    .failed = failed,
    .tells_reasoning = true,
};
