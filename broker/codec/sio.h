/* sio.h - Socket.IO packets, protocol 5 (and 4 on Engine.IO 3). */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CODEC_SIO_H
#define THINKWIRE_CODEC_SIO_H

#include "base/buf.h"

#include <stdint.h>

/* `<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]`; socketio-protocol.md section 6. */
enum sio_type {
    SIO_CONNECT,
    SIO_DISCONNECT,
    SIO_EVENT,
    SIO_ACK,
    SIO_CONNECT_ERROR,
    SIO_BINARY_EVENT,
    SIO_BINARY_ACK
};

#define SIO_MAX_ATTACHMENTS 10
/* The acknowledgement id is echoed, not computed with: any digits, but not without bound. */
#define SIO_MAX_ACK_DIGITS 64

struct sio_packet {
    enum sio_type type;
    unsigned attachments;
    struct slice nsp; /* "/" when the packet names none; with `?query` cut off (EIO3) */
    struct slice nsp_query; /* "token=1", EIO3 only */
    bool has_ack;
    struct slice ack;  /* digits, as sent */
    struct slice json; /* raw and json_check()ed, or empty */
    struct slice
        event; /* EVENT, BINARY_EVENT: raw inside of args[0]; empty when a number */
};

enum sio_error {
    SIO_ERR_EMPTY = -1,
    SIO_ERR_TYPE = -2,
    SIO_ERR_ATTACHMENTS = -3, /* none, too many, or no '-' */
    SIO_ERR_ACK = -4,         /* an acknowledgement id that is none */
    SIO_ERR_JSON = -5,        /* not JSON, too deep */
    SIO_ERR_PAYLOAD = -6,     /* JSON of the wrong shape for the type */
    SIO_ERR_RESERVED = -7     /* reserved event name */
};
const char *sio_error_text(int error);

/* 0 or a sio_error. `42` with no JSON at all is SIO_EVENT with empty json (ignored by the
 * caller, as the reference does); an ACK may be without as well. */
int sio_decode(int revision, struct slice text, struct sio_packet *packet);

/* True for names a server must never emit: connect, connect_error, disconnect,
 * disconnecting, newListener, removeListener. */
bool sio_event_is_reserved(struct slice raw_name);

/* Appends `<type>[n-][nsp,][ack]json` (no Engine.IO digit). `json` may be empty. */
bool sio_encode(struct buf *out, const struct sio_packet *packet);

#endif
