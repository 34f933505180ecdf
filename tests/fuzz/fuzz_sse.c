/* fuzz_sse.c - the SSE parser: the same events however the bytes are cut. */
/* SPDX-License-Identifier: MIT */
#include "codec/sse.h"
#include "fuzz.h"

#define LIMIT_BYTES 64

static void keep(void *ctx, const struct sse_message *message)
{
    struct buf *seen = ctx;

    must(message->data.len <= LIMIT_BYTES && message->id.len <= LIMIT_BYTES);
    must(message->event.len > 0);
    buf_slice(seen, message->event);
    buf_putc(seen, '\n');
    buf_slice(seen, message->id);
    buf_putc(seen, '\n');
    buf_slice(seen, message->data);
    buf_putc(seen, '\n');
}

static uint64_t parse(struct slice stream, size_t piece, struct buf *seen)
{
    struct sse_parser *parser = sse_parser_new(LIMIT_BYTES, keep, seen);

    /* An id that sticks is told again with every event. */
    buf_init(seen, stream.len * (LIMIT_BYTES + 20) + 100);
    for (size_t at = 0; at < stream.len; at += piece) {
        size_t left = stream.len - at;
        sse_parser_feed(parser,
                        slice_make(stream.ptr + at, left < piece ? left : piece));
    }
    must(!seen->failed);
    uint64_t dropped = sse_parser_dropped(parser);
    sse_parser_free(parser);
    return dropped;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice stream = fuzz_input(data, size);
    struct buf whole;
    struct buf pieces;

    uint64_t dropped = parse(stream, size == 0 ? 1 : size, &whole);
    for (size_t piece = 1; piece <= 7; piece += 3) {
        must(parse(stream, piece, &pieces) == dropped);
        must(slice_equal(buf_view(&whole), buf_view(&pieces)));
        buf_release(&pieces);
    }
    buf_release(&whole);
    return 0;
}
