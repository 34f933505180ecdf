/* wire.h - the client's half of WebSocket, HTTP heads and chunked bodies. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include "text.h"

#include <stdint.h>
#include <sys/types.h>

enum ws_opcode { WS_CONTINUATION, WS_TEXT, WS_BINARY, WS_CLOSE = 8, WS_PING, WS_PONG };

struct ws_frame {
    enum ws_opcode opcode;
    bool is_final;
    const char *payload; /* inside the bytes given */
    size_t length;
};

/* RFC 6455 section 5.2, frames of a server (unmasked). Answers the bytes the frame takes,
 * 0 = more is needed, -1 = not a server's frame. */
ssize_t ws_decode(const char *bytes, size_t length, struct ws_frame *frame);
/* A client's final frame, masked as section 5.3 demands. */
void ws_encode_masked(struct text *out, enum ws_opcode opcode, const void *payload,
                      size_t length);
/* A server's final text frame of at most 65535 bytes. */
void ws_encode(struct text *out, const void *payload, size_t length);

/* A complete HTTP head: its length with the empty line, 0 = more is needed, -1 = not HTTP.
 * `status` and `body_length` (-1: none told) are filled in when it is complete. */
ssize_t http_head(const char *bytes, size_t length, int *status, ssize_t *body_length);

/* Removes the framing of chunks from a body as it comes; what follows `body->length` on
 * entry is appended. `left` starts at 0 and belongs to the decoder. Answers the bytes
 * consumed, -1 = not chunked. */
ssize_t chunked_decode(const char *bytes, size_t length, size_t *left,
                       struct text *body);

#endif
