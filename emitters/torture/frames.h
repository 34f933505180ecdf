/* frames.h - the client's half of HTTP/1.1 and WebSocket. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_FRAMES_H
#define THINKWIRE_TORTURE_FRAMES_H

#include "base/buf.h"

#include <stdint.h>
#include <sys/types.h>

/* Each answers the bytes used, 0 = more is needed, -1 = not what a server sends. */

struct http_answer {
    unsigned status;
    bool is_chunked;
    size_t length; /* of the body when it is not chunked */
};
ssize_t http_answer_read(struct slice bytes, struct http_answer *answer);
/* One chunk; `data` is empty for the last. */
ssize_t http_chunk_read(struct slice bytes, struct slice *data);

struct ws_part {
    unsigned opcode; /* 0 = continued */
    bool is_last;
    struct slice payload;
};
ssize_t ws_part_read(struct slice bytes, struct ws_part *part);
/* A masked frame; `payload` of at most 65535 bytes. */
void ws_part_write(struct buf *out, unsigned opcode, struct slice payload);

#endif
