/* fuzz_ws.c - WebSocket frames: our own, and what a client sends, cut anywhere. */
/* SPDX-License-Identifier: MIT */
#include "codec/ws.h"
#include "fuzz.h"

/* The first byte chooses a split, the rest is payload. */
static void try_own_frames(struct slice input)
{
    struct buf out;
    size_t split = (unsigned char)input.ptr[0];
    struct slice payload = slice_make(input.ptr + 1, input.len - 1);
    if (split > payload.len)
        split = payload.len;
    struct slice head = slice_make(payload.ptr, split);
    struct slice rest = slice_make(payload.ptr + split, payload.len - split);

    buf_init(&out, 2 * ws_frame_size(payload.len));
    must(ws_frame(&out, WS_TEXT, payload));
    must(out.len == ws_frame_size(payload.len));
    must(ws_frame_parts(&out, WS_TEXT, head, rest));
    must(memcmp(out.data, out.data + out.len / 2, out.len / 2) == 0);
    buf_release(&out);
}

/* Reads `input` in steps of `step` bytes; what was read, one part behind the other. */
static void read_all(struct slice input, size_t step, struct buf *out)
{
    struct ws_reader reader = {0};
    struct buf copy;

    buf_init(&copy, input.len + 1);
    must(buf_slice(&copy, input));
    for (size_t at = 0; at < input.len && !reader.is_broken; at += step) {
        size_t len = input.len - at < step ? input.len - at : step;
        struct ws_bytes bytes = {.ptr = copy.data + at, .len = len};
        struct ws_part part;
        enum ws_read what = WS_READ_MORE;
        while ((what = ws_read(&reader, &bytes, &part)) == WS_READ_MESSAGE ||
               what == WS_READ_CONTROL) {
            must(part.payload.len <= input.len);
            if (part.is_first)
                must(buf_printf(out, "[%u ", (unsigned)part.opcode));
            must(buf_slice(out, part.payload));
            if (part.is_last)
                must(buf_puts(out, "]"));
            unsigned code = 0;
            if (part.opcode == WS_CLOSE)
                (void)ws_close_read(part.payload, &code);
        }
        must(what == WS_READ_BROKEN || bytes.len == 0);
        if (what == WS_READ_BROKEN)
            must(buf_puts(out, part.problem));
    }
    buf_release(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = fuzz_input(data, size);
    struct buf whole;
    struct buf pieces;

    if (size == 0)
        return 0;
    try_own_frames(input);
    buf_init(&whole, 16 * size + 256);
    buf_init(&pieces, 16 * size + 256);
    read_all(input, size, &whole);
    read_all(input, 1 + data[0] % 7, &pieces);
    must(slice_equal(buf_view(&whole), buf_view(&pieces)));
    buf_release(&whole);
    buf_release(&pieces);
    return 0;
}
