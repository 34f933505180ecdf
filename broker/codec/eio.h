/* eio.h - Engine.IO packets and polling payloads, revisions 4 and 3. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CODEC_EIO_H
#define THINKWIRE_CODEC_EIO_H

#include "base/buf.h"
#include "base/pipe.h"

#include <sys/types.h>

/* socketio-protocol.md section 2; the public protocol documents of Engine.IO. */
enum eio_type {
    EIO_OPEN,
    EIO_CLOSE,
    EIO_PING,
    EIO_PONG,
    EIO_MESSAGE,
    EIO_UPGRADE,
    EIO_NOOP
};

/* `data` is without the type digit; binary data is decoded from base64 already. */
struct eio_packet {
    enum eio_type type;
    bool is_binary;
    struct slice data;
};

enum eio_error {
    EIO_ERR_EMPTY = -1,  /* empty packet or payload */
    EIO_ERR_TYPE = -2,   /* unknown type digit */
    EIO_ERR_BASE64 = -3, /* bad base64 */
    EIO_ERR_LENGTH = -4, /* EIO3: bad or lying length prefix */
    EIO_ERR_UTF8 = -5,   /* text that is not UTF-8 */
    EIO_ERR_BINARY = -6  /* binary where this revision allows none */
};
const char *eio_error_text(int error);

/* One WebSocket message. `revision` is 3 or 4; `scratch` holds decoded base64 until its
 * next use. 0 or an eio_error. */
int eio_decode_message(int revision, struct slice message, bool is_binary,
                       struct buf *scratch, struct eio_packet *packet);
/* The next packet of a POST body. *at starts at 0; `is_octets` says that the content type
 * was application/octet-stream. 1 = a packet, 0 = the end, <0 = eio_error. An empty body is
 * EIO_ERR_EMPTY. */
int eio_decode_payload(int revision, struct slice payload, bool is_octets, size_t *at,
                       struct buf *scratch, struct eio_packet *packet);

/* Appends a packet in a framing: FRAMING_WS adds a WebSocket frame, FRAMING_EIO4 adds the
 * separator first when `out` is longer than `start` (where the payload began), FRAMING_EIO3
 * the length prefix (text form; binary as base64 "b4..."). */
bool eio_encode(struct buf *out, enum framing framing, int revision, size_t start,
                const struct eio_packet *packet);

/* RFC 4648 with padding; decode accepts missing padding. */
bool base64_encode(struct buf *out, struct slice data);
bool base64_decode(struct buf *out, struct slice text);

#endif
