/* emit_input.c - thinkwire emit: a run from standard input. */
/* SPDX-License-Identifier: MIT */
#include "emitters/cli/emit.h"

#include "codec/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Input that is faster than the far end is read no further than this ahead. */
#define AHEAD_BYTES (1U << 20)
/* While input comes the far end may be away for so long. */
#define STALL_MS 60000

static enum thinkwire_status hold_back(struct emit *emit)
{
    struct thinkwire_counters counters;
    thinkwire_read_counters(emit->run, &counters);
    if (counters.unsent_bytes < AHEAD_BYTES)
        return THINKWIRE_OK;
    return thinkwire_flush(emit->run, STALL_MS);
}

static int complete(struct emit *emit)
{
    if (!emit->has_ended && emit->is_whole_run) {
        enum thinkwire_status status = thinkwire_completion(emit->run);
        if (status != THINKWIRE_OK)
            return emit_status(emit, status);
    }
    return emit_finish(emit);
}

/* ---- text: each piece that can be read is a delta ---- */

static enum thinkwire_status say(struct emit *emit, const char *data, size_t len)
{
    if (strcmp(emit->options.type, "reasoning") == 0)
        return thinkwire_reasoning(emit->run, data, len);
    return thinkwire_text(emit->run, data, len);
}

static int read_text(struct emit *emit)
{
    char chunk[16384];
    for (;;) {
        ssize_t got = read(STDIN_FILENO, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tool_fail("emit", TOOL_USAGE, "standard input: %s", strerror(errno));
        if (got == 0)
            return TOOL_OK;
        enum thinkwire_status status = say(emit, chunk, (size_t)got);
        if (status == THINKWIRE_OK)
            status = hold_back(emit);
        if (status != THINKWIRE_OK)
            return emit_status(emit, status);
    }
}

/* ---- JSON lines ---- */

/* The library adds the type itself, so a line is taken apart. */
static enum thinkwire_status publish_line(struct emit *emit, struct slice line)
{
    struct event event;
    const char *field;
    struct json_member m;
    struct buf members;
    if (event_check(line, &event, &field) != EVENT_OK)
        return THINKWIRE_INVALID;
    buf_init(&members, EVENT_MAX_BYTES + 16);
    buf_putc(&members, '{');
    for (size_t at = 0; json_next(event.json, &at, &m);) {
        if (slice_is(m.key, "type"))
            continue;
        buf_puts(&members, members.len > 1 ? ",\"" : "\"");
        buf_slice(&members, m.key);
        buf_puts(&members, "\":");
        buf_slice(&members, m.value);
    }
    buf_putc(&members, '}');
    char type[72];
    snprintf(type, sizeof(type), "%.*s", (int)event.type_name.len, event.type_name.ptr);
    enum thinkwire_status status = thinkwire_event(emit->run, type, buf_text(&members));
    emit->has_ended = emit->has_ended || event_type_is_terminal(event.type);
    buf_release(&members);
    return status;
}

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (strchr(" \t\r\n", line.ptr[i]) == NULL)
            return false;
    return true;
}

static int read_lines(struct emit *emit)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    unsigned number = 0;
    int code = TOOL_OK;
    while (code == TOOL_OK && (len = getline(&line, &cap, stdin)) >= 0) {
        struct slice text = slice_make(line, (size_t)len);
        number++;
        if (is_blank(text))
            continue;
        enum thinkwire_status status = publish_line(emit, text);
        if (status == THINKWIRE_OK)
            status = hold_back(emit);
        if (status == THINKWIRE_INVALID)
            code = tool_fail("emit", TOOL_USAGE,
                             "line %u is not an event the schema allows", number);
        else
            code = emit_status(emit, status);
    }
    free(line);
    return code;
}

int emit_input(struct emit *emit)
{
    if (isatty(STDIN_FILENO))
        fprintf(stderr, "thinkwire emit: reading standard input, Ctrl-D ends\n");
    int code = emit->options.json_lines ? read_lines(emit) : read_text(emit);
    if (code == TOOL_OK)
        return complete(emit);
    /* What was good before a bad line is delivered; the run ends with an error. */
    if (code == TOOL_USAGE && emit->is_whole_run && !emit->has_ended &&
        thinkwire_error(emit->run, "BAD_INPUT",
                        "The producer's input was malformed.") == THINKWIRE_OK)
        (void)emit_finish(emit);
    return code;
}
