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

/* Moves up to `len` bytes from the front of `from` to `room`. */
static size_t take(char *room, size_t len, struct slice *from)
{
    size_t part = len < from->len ? len : from->len;

    if (part > 0)
        memcpy(room, from->ptr, part);
    *from = slice_make(part > 0 ? from->ptr + part : from->ptr, from->len - part);
    return part;
}

bool ws_frame_parts(struct buf *out, enum ws_opcode opcode, struct slice head,
                    struct slice rest)
{
    size_t left = head.len + rest.len;
    unsigned code = (unsigned)opcode;

    assert((code & CONTROL_BIT) == 0 || left <= CONTROL_MAX);
    char *at = buf_reserve(out, ws_frame_size(left));
    if (at == NULL)
        return false;
    out->len += ws_frame_size(left);
    do {
        size_t part = left < FRAGMENT_BYTES ? left : FRAGMENT_BYTES;
        left -= part;
        at += put_header(at, (left == 0 ? FIN : 0) | code, part);
        size_t from_head = take(at, part, &head);
        (void)take(at + from_head, part - from_head, &rest);
        at += part;
        code = CONTINUATION;
    } while (left > 0);
    return true;
}

bool ws_frame(struct buf *out, enum ws_opcode opcode, struct slice payload)
{
    return ws_frame_parts(out, opcode, slice_make(NULL, 0), payload);
}
