/* ws.c - WebSocket server frames, written (RFC 6455 section 5.2). */
/* SPDX-License-Identifier: MIT */
#include "codec/ws.h"

#include <assert.h>

#define FIN          0x80u
#define CONTINUATION 0u
#define CONTROL_BIT  0x08u
#define LEN_16       126u
#define LEN_64       127u
#define CONTROL_MAX  125u

/* The longest payload of one frame: its header is four bytes then. */
#define FRAGMENT_BYTES ((size_t)WS_FRAME_MAX_BYTES - 4)

static size_t put_header(char *out, unsigned first, size_t payload_len)
{
    out[0] = (char)first;
    if (payload_len < LEN_16) {
        out[1] = (char)payload_len;
        return 2;
    }
    unsigned bytes = payload_len <= 0xffff ? 2 : 8;
    out[1] = (char)(bytes == 2 ? LEN_16 : LEN_64);
    for (unsigned i = 0; i < bytes; i++)
        out[2 + i] = (char)((uint64_t)payload_len >> 8 * (bytes - 1 - i) & 0xff);
    return 2 + bytes;
}

size_t ws_header(char *out, enum ws_opcode opcode, size_t payload_len)
{
    return put_header(out, FIN | (unsigned)opcode, payload_len);
}

static size_t header_size(size_t payload_len)
{
    if (payload_len < LEN_16)
        return 2;
    return payload_len <= 0xffff ? 4 : 10;
}

size_t ws_frame_size(size_t payload_len)
{
    size_t full = payload_len / FRAGMENT_BYTES;
    size_t rest = payload_len % FRAGMENT_BYTES;

    if (rest > 0 || full == 0)
        return full * WS_FRAME_MAX_BYTES + header_size(rest) + rest;
    return full * WS_FRAME_MAX_BYTES;
}

bool ws_wrap(struct buf *out, enum ws_opcode opcode, size_t start)
{
    size_t len = out->len - start;
    size_t frames = len == 0 ? 1 : (len + FRAGMENT_BYTES - 1) / FRAGMENT_BYTES;
    size_t headers = ws_frame_size(len) - len;

    assert(((unsigned)opcode & CONTROL_BIT) == 0 || len <= CONTROL_MAX);
    if (buf_reserve(out, headers) == NULL) {
        out->len = start;
        return false;
    }
    /* The last frame first: each moves to where another has left. */
    for (size_t i = frames; i-- > 0;) {
        bool is_last = i == frames - 1;
        size_t part = is_last ? len - i * FRAGMENT_BYTES : FRAGMENT_BYTES;
        char *at = out->data + start + i * WS_FRAME_MAX_BYTES;
        memmove(at + header_size(part), out->data + start + i * FRAGMENT_BYTES, part);
        put_header(at, (is_last ? FIN : 0) | (i == 0 ? (unsigned)opcode : CONTINUATION),
                   part);
    }
    out->len += headers;
    return true;
}

bool ws_frame_parts(struct buf *out, enum ws_opcode opcode, struct slice head,
                    struct slice rest)
{
    size_t start = out->len;

    if (buf_reserve(out, ws_frame_size(head.len + rest.len)) == NULL)
        return false;
    buf_slice(out, head);
    buf_slice(out, rest);
    return ws_wrap(out, opcode, start);
}

bool ws_frame(struct buf *out, enum ws_opcode opcode, struct slice payload)
{
    return ws_frame_parts(out, opcode, slice_make(NULL, 0), payload);
}
