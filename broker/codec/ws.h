/* ws.h - WebSocket server frames (RFC 6455 section 5.2). */
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
/* Bytes ws_frame() will add. */
size_t ws_frame_size(size_t payload_len);
/* The header of an unfragmented frame into `out` (10 bytes): its length 2, 4 or 10. For a
 * frame whose payload is written in place; payload_len + header <= WS_FRAME_MAX_BYTES. */
size_t ws_header(char *out, enum ws_opcode opcode, size_t payload_len);
/* How many of the first bytes of `frames` are whole frames and at most `limit`; at least
 * one frame when `frames` is not empty. `frames` is our own output. */
size_t ws_whole_frames(struct slice frames, size_t limit);

#endif
