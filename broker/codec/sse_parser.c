/* sse_parser.c - the reading end of server-sent events (WHATWG HTML, section 9.2.6). */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "codec/sse.h"

#include <stdlib.h>

struct sse_parser {
    void (*on_event)(void *ctx, const struct sse_message *);
    void *ctx;
    struct buf line; /* of the line that is not complete yet */
    struct buf data; /* each line of it followed by a line feed */
    struct buf event;
    struct buf id;
    uint64_t dropped;
    uint64_t retry_ms;
    unsigned
        bom_seen; /* bytes of the byte order mark passed over; 3 = past that question */
    bool after_cr;    /* a line feed now belongs to the line end before it */
    bool is_dropping; /* this event has passed the limit */
};

#define BOM_LENGTH 3

struct sse_parser *
sse_parser_new(size_t limit_bytes,
               void (*on_event)(void *ctx, const struct sse_message *), void *ctx)
{
    struct sse_parser *parser = mem_new(sizeof(*parser));

    parser->on_event = on_event;
    parser->ctx = ctx;
    buf_init(&parser->line, limit_bytes);
    buf_init(&parser->data, limit_bytes);
    buf_init(&parser->event, limit_bytes);
    buf_init(&parser->id, limit_bytes);
    return parser;
}

void sse_parser_free(struct sse_parser *parser)
{
    if (parser == NULL)
        return;
    buf_release(&parser->line);
    buf_release(&parser->data);
    buf_release(&parser->event);
    buf_release(&parser->id);
    free(parser);
}

static void dispatch(struct sse_parser *parser)
{
    if (parser->is_dropping) {
        parser->dropped++;
    } else if (parser->data.len > 0) {
        struct sse_message message = {
            .event =
                parser->event.len > 0 ? buf_view(&parser->event) : slice_of("message"),
            .id = buf_view(&parser->id),
            .data = slice_make(parser->data.data, parser->data.len - 1),
        };
        parser->on_event(parser->ctx, &message);
    }
    buf_reset(&parser->data);
    buf_reset(&parser->event);
    parser->is_dropping = false;
}

static void set_retry(struct sse_parser *parser, struct slice value)
{
    uint64_t ms = 0;

    if (value.len == 0 || value.len > 18)
        return;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return;
        ms = ms * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    parser->retry_ms = ms;
}

static void take_field(struct sse_parser *parser, struct slice name, struct slice value)
{
    if (slice_is(name, "data")) {
        buf_slice(&parser->data, value);
        if (!buf_putc(&parser->data, '\n'))
            parser->is_dropping = true;
    } else if (slice_is(name, "event")) {
        buf_reset(&parser->event);
        buf_slice(&parser->event, value);
    } else if (slice_is(name, "id")) {
        if (value.len > 0 && memchr(value.ptr, '\0', value.len) != NULL)
            return;
        buf_reset(&parser->id);
        buf_slice(&parser->id, value);
    } else if (slice_is(name, "retry")) {
        set_retry(parser, value);
    }
}

static void take_line(struct sse_parser *parser)
{
    struct slice line = buf_view(&parser->line);
    bool is_cut = parser->line.failed;

    if (line.len == 0 && !is_cut) {
        dispatch(parser);
        return;
    }
    if (line.len > 0 && line.ptr[0] == ':')
        return;
    if (is_cut) {
        parser->is_dropping = true;
        return;
    }

    const char *colon = memchr(line.ptr, ':', line.len);
    size_t name_len = colon == NULL ? line.len : (size_t)(colon - line.ptr);
    size_t from = colon == NULL ? line.len : name_len + 1;
    if (from < line.len && line.ptr[from] == ' ')
        from++;
    take_field(parser, slice_make(line.ptr, name_len),
               slice_make(line.ptr + from, line.len - from));
}

static void end_line(struct sse_parser *parser)
{
    take_line(parser);
    buf_reset(&parser->line);
}

/* Passes over a byte order mark at the very beginning, also one that comes in pieces. What
 * only began like one is given back to the line. */
static struct slice skip_bom(struct sse_parser *parser, struct slice data)
{
    static const char bom[BOM_LENGTH] = {'\xef', '\xbb', '\xbf'};

    while (data.len > 0 && parser->bom_seen < BOM_LENGTH) {
        if (data.ptr[0] != bom[parser->bom_seen]) {
            buf_append(&parser->line, bom, parser->bom_seen);
            parser->bom_seen = BOM_LENGTH;
            break;
        }
        parser->bom_seen++;
        data = slice_make(data.ptr + 1, data.len - 1);
    }
    return data;
}

/* As much of a line as there is. When a piece does not fit, what fits is kept, so that the
 * first byte still tells a comment from a field. */
static void add_to_line(struct sse_parser *parser, struct slice piece)
{
    struct buf *line = &parser->line;
    if (line->failed || buf_slice(line, piece) || line->len > 0 ||
        line->limit_bytes == 0)
        return;
    buf_reset(line);
    buf_append(line, piece.ptr, 1);
    line->failed = true;
}

static size_t line_piece(struct slice data)
{
    size_t len = 0;
    while (len < data.len && data.ptr[len] != '\n' && data.ptr[len] != '\r')
        len++;
    return len;
}

void sse_parser_feed(struct sse_parser *parser, struct slice data)
{
    data = skip_bom(parser, data);
    while (data.len > 0) {
        if (parser->after_cr && data.ptr[0] == '\n')
            data = slice_make(data.ptr + 1, data.len - 1);
        parser->after_cr = false;

        size_t len = line_piece(data);
        if (len > 0)
            add_to_line(parser, slice_make(data.ptr, len));
        if (len == data.len)
            return;
        parser->after_cr = data.ptr[len] == '\r';
        end_line(parser);
        data = slice_make(data.ptr + len + 1, data.len - len - 1);
    }
}

uint64_t sse_parser_dropped(const struct sse_parser *parser)
{
    return parser->dropped;
}

uint64_t sse_parser_retry_ms(const struct sse_parser *parser)
{
    return parser->retry_ms;
}
