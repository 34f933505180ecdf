/* ws.h - WebSocket frames (RFC 6455 section 5): a server's out, a client's in. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CODEC_WS_H
#define THINKWIRE_CODEC_WS_H

#include "base/buf.h"

/* No frame of ours is longer than this, header included, so that a control frame never
 * waits behind megabytes and no write exceeds 64 KB: longer messages are fragmented. */
#define WS_FRAME_MAX_BYTES 65536

enum ws_opcode { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* Appends `payload` as one unfragmented or several fragmented unmasked frames. */
bool ws_frame(struct buf *out, enum ws_opcode opcode, struct slice payload);
/* The same for a payload in two parts, so that a packet's head need not be joined to its
 * data first. */
bool ws_frame_parts(struct buf *out, enum ws_opcode opcode, struct slice head,
                    struct slice rest);
/* Frames what stands in `out` from `start` on, in place: for a payload that is written piece
 * by piece. When it does not fit, or `out` has failed already, it is taken out again. */
bool ws_wrap(struct buf *out, enum ws_opcode opcode, size_t start);
/* Bytes ws_frame() will add. */
size_t ws_frame_size(size_t payload_len);
/* The header of an unfragmented frame into `out` (10 bytes): its length 2, 4 or 10. For a
 * frame whose payload is written in place; payload_len + header <= WS_FRAME_MAX_BYTES. */
size_t ws_header(char *out, enum ws_opcode opcode, size_t payload_len);

/* ---- what a client sends ---- */

#define WS_HEAD_MAX_BYTES    14  /* two, eight of length, four of mask */
#define WS_CONTROL_MAX_BYTES 125 /* RFC 6455 section 5.5 */

/* Between two reads; zeroed at the start of a connection. */
struct ws_reader {
    uint64_t left; /* of the frame's payload */
    unsigned char head[WS_HEAD_MAX_BYTES];
    uint8_t head_len;
    uint8_t message; /* opcode of the message that is not complete yet, or 0 */
    uint8_t key_at;  /* which byte of the mask is next */
    uint8_t control_len;
    bool is_in_payload;
    bool is_broken;
    char control[WS_CONTROL_MAX_BYTES];
};

enum ws_read {
    WS_READ_MORE,    /* everything is taken; nothing whole yet */
    WS_READ_MESSAGE, /* a part of a text or binary message */
    WS_READ_CONTROL, /* a whole ping, pong or close */
    WS_READ_BROKEN   /* a protocol error (1002): nothing more can be read */
};

struct ws_part {
    enum ws_opcode opcode; /* of the message, also for its continuations */
    struct slice payload;  /* without the mask; valid until the next read */
    uint64_t left;         /* bytes this frame has announced and not brought yet */
    bool is_first;         /* of its message */
    bool is_last;          /* the message is complete with it */
    const char *problem;   /* WS_READ_BROKEN: what is wrong, a fixed phrase */
};

/* What was received and is to be read: moves forward as it is read. */
struct ws_bytes {
    char *ptr;
    size_t len;
};

/* Takes the next part out of `input`. The mask is taken off in place. A frame's first part comes as soon as its length is known, even without
 * payload, so that a message can be refused before it is sent. Call it until it answers
 * WS_READ_MORE or WS_READ_BROKEN. */
enum ws_read ws_read(struct ws_reader *reader, struct ws_bytes *input,
                     struct ws_part *part);

/* The payload of a close frame: `*code` is 0 when it has none. False when it is malformed
 * or has a code that may not be sent (RFC 6455 section 7.4); the reason is not looked at. */
bool ws_close_read(struct slice payload, unsigned *code);

#endif
