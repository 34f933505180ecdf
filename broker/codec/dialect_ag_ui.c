/* dialect_ag_ui.c - AG-UI events over SSE. */
/* SPDX-License-Identifier: MIT */
#include "codec/dialect_inside.h"

/* The thread is the task, the run its epoch: a client that comes again sees the same run
 * begin again, which is all that a protocol without resuming knows. */
static void begin(const struct teller *t, const char *type)
{
    buf_puts(t->out, "data: {\"type\":\"");
    buf_puts(t->out, type);
    buf_putc(t->out, '"');
}

static void end(const struct teller *t)
{
    buf_puts(t->out, "}\n\n");
}

static void put_run(const struct teller *t)
{
    dialect_put(t->out, "threadId", t->run->task_id);
    buf_printf(t->out, ",\"runId\":\"%llu\"", (unsigned long long)t->run->epoch);
}

static void put_message(const struct teller *t)
{
    buf_printf(t->out, ",\"messageId\":\"%llu-%u\"", (unsigned long long)t->run->epoch,
               t->state->parts);
}

static void message_event(const struct teller *t, const char *type)
{
    begin(t, type);
    put_message(t);
    end(t);
}

static void start(const struct teller *t)
{
    begin(t, "RUN_STARTED");
    put_run(t);
    end(t);
}

static void open_part(const struct teller *t)
{
    bool is_text = t->state->open == PART_TEXT;

    if (!is_text)
        message_event(t, "REASONING_START");
    begin(t, is_text ? "TEXT_MESSAGE_START" : "REASONING_MESSAGE_START");
    put_message(t);
    dialect_put(t->out, "role", slice_of(is_text ? "assistant" : "reasoning"));
    end(t);
}

static void close_part(const struct teller *t)
{
    if (t->state->open == PART_TEXT) {
        message_event(t, "TEXT_MESSAGE_END");
        return;
    }
    message_event(t, "REASONING_MESSAGE_END");
    message_event(t, "REASONING_END");
}

static void delta(const struct teller *t, enum dialect_part part, struct slice raw)
{
    begin(t, part == PART_TEXT ? "TEXT_MESSAGE_CONTENT" : "REASONING_MESSAGE_CONTENT");
    put_message(t);
    dialect_put(t->out, "delta", raw);
    end(t);
}

static void usage(const struct teller *t, struct slice event)
{
    begin(t, "CUSTOM");
    buf_puts(t->out, ",\"name\":\"usage\",\"value\":{\"tokens_in\":");
    buf_slice(t->out, dialect_number_of(event, "tokens_in"));
    buf_puts(t->out, ",\"tokens_out\":");
    buf_slice(t->out, dialect_number_of(event, "tokens_out"));
    buf_putc(t->out, '}');
    end(t);
}

static void done(const struct teller *t, struct slice event)
{
    (void)event;
    begin(t, "RUN_FINISHED");
    put_run(t);
    end(t);
}

static void stopped(const struct teller *t, struct slice event)
{
    begin(t, "CUSTOM");
    buf_puts(t->out, ",\"name\":\"stopped\",\"value\":{\"length\":");
    buf_slice(t->out, dialect_number_of(event, "length"));
    buf_putc(t->out, '}');
    end(t);
    done(t, event);
}

static void failed(const struct teller *t, struct slice code, struct slice message)
{
    begin(t, "RUN_ERROR");
    dialect_put(t->out, "message", message);
    dialect_put(t->out, "code", code);
    end(t);
}

const struct dialect_ops dialect_ag_ui = {
    .start = start,
    .open = open_part,
    .close = close_part,
    .delta = delta,
    .usage = usage,
    .done = done,
    .stopped = stopped,
    .failed = failed,
    .tells_reasoning = true,
};
