/* fuzz_ws.c - WebSocket frames: our own, cut at any limit, and anything else. */
/* SPDX-License-Identifier: MIT */
#include "codec/ws.h"
#include "fuzz.h"

/* The first two bytes choose a limit and a split, the rest is payload. */
static void try_own_frames(struct slice input)
{
    struct buf out;
    size_t limit = (size_t)(unsigned char)input.ptr[0] * 8;
    size_t split = (unsigned char)input.ptr[1];
    struct slice payload = slice_make(input.ptr + 2, input.len - 2);
    if (split > payload.len)
        split = payload.len;
    struct slice head = slice_make(payload.ptr, split);
    struct slice rest = slice_make(payload.ptr + split, payload.len - split);

    buf_init(&out, 4 * ws_frame_size(payload.len));
    must(ws_frame(&out, WS_TEXT, payload));
    must(out.len == ws_frame_size(payload.len));
    must(ws_frame_parts(&out, WS_TEXT, head, rest));
    must(memcmp(out.data, out.data + out.len / 2, out.len / 2) == 0);
    must(ws_frame(&out, WS_BINARY, head));

    struct slice frames = buf_view(&out);
    while (frames.len > 0) {
        size_t part = ws_whole_frames(frames, limit);
        must(part > 0 && part <= frames.len);
        must(part <= limit || part <= WS_FRAME_MAX_BYTES);
        frames = slice_make(frames.ptr + part, frames.len - part);
    }
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = fuzz_input(data, size);

    if (size >= 2)
        try_own_frames(input);
    must(ws_whole_frames(input, size / 2) <= size);
    return 0;
}
