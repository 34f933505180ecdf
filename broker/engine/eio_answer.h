/* eio_answer.h - one polling answer while packets are put into it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_ENGINE_EIO_ANSWER_H
#define THINKWIRE_ENGINE_EIO_ANSWER_H

#include "codec/eio.h"

/*
 * Text payloads hold private packets and shared frames in any mixture. The binary payload
 * of Engine.IO 3 (`is_octets`) holds private packets only: shared frames are encoded once
 * for everybody, in the text form. Nothing is allocated while it is empty.
 */
struct eio_answer {
    struct buf payload;
    unsigned packets;
    unsigned char revision;
    bool is_octets;
};

/* `limit_bytes` bounds the payload; past it the buffer is `failed`. */
void eio_answer_init(struct eio_answer *answer, int revision, size_t limit_bytes);
/* Empties it for the next GET and gives the memory back. */
void eio_answer_release(struct eio_answer *answer);
void eio_answer_put(struct eio_answer *answer, const struct eio_packet *packet);
/* Text payloads only. */
void eio_answer_put_frames(struct eio_answer *answer, const struct bytes *frames,
                           unsigned packets);

#endif
