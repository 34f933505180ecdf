/* transcript.c - what a stream told, as text that can be compared. */
/* SPDX-License-Identifier: MIT */
#include "transcript.h"

static void put(struct buf *out, char letter, struct slice text)
{
    buf_putc(out, letter);
    buf_putc(out, ' ');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n')
            buf_puts(out, "\\n");
        else
            buf_putc(out, text.ptr[i]);
    }
    buf_putc(out, '\n');
}

void transcript_add(void *buf, const struct stream_value *value)
{
    struct buf *out = buf;

    switch (value->kind) {
    case STREAM_REASONING:
        put(out, 'R', value->text);
        return;
    case STREAM_TEXT:
        put(out, 'T', value->text);
        return;
    case STREAM_TOOL:
        put(out, 'C', value->text);
        return;
    case STREAM_MODEL:
        put(out, 'M', value->text);
        return;
    case STREAM_USAGE:
        buf_printf(out, "U %u %u %u %u\n", (unsigned)value->usage.tokens_in,
                   (unsigned)value->usage.tokens_out,
                   (unsigned)value->usage.reasoning_tokens,
                   (unsigned)value->usage.cached_tokens);
        return;
    case STREAM_DONE:
        put(out, 'D', slice_of(stream_finish_name(value->finish)));
        return;
    case STREAM_FAILED:
        put(out, 'F', slice_of(failure_code(value->failure->class)));
        return;
    }
}

void transcript_of(struct buf *out, enum provider_api api, struct slice body,
                   size_t piece)
{
    struct stream *stream;

    buf_init(out, 100000);
    stream = stream_new(api, TRANSCRIPT_LIMIT, transcript_add, out);
    if (piece == 0)
        piece = body.len + 1;
    for (size_t at = 0; at < body.len; at += piece) {
        size_t left = body.len - at;
        stream_feed(stream, slice_make(body.ptr + at, left < piece ? left : piece));
    }
    stream_end(stream);
    stream_free(stream);
}

void transcript_of_cut(struct buf *out, enum provider_api api, struct slice body,
                       size_t cut)
{
    struct stream *stream;

    buf_init(out, 100000);
    stream = stream_new(api, TRANSCRIPT_LIMIT, transcript_add, out);
    stream_feed(stream, slice_make(body.ptr, cut));
    stream_feed(stream, slice_make(body.ptr + cut, body.len - cut));
    stream_end(stream);
    stream_free(stream);
}
