/* eio_queue.h - the private packets of a session that wait for its transport. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_ENGINE_EIO_QUEUE_H
#define THINKWIRE_ENGINE_EIO_QUEUE_H

#include "codec/eio.h"

/*
 * Packets in one buffer, not framed: the transport may change while they wait.
 *
 *     [ length u32 | type u8 | is_binary u8 | data ] [ length ... ] ...
 *
 * Full means: eio_queue_put() answers false and adds nothing. An empty queue holds no
 * memory.
 */
struct eio_queue {
    struct buf records;
    unsigned count;
};

void eio_queue_init(struct eio_queue *queue, size_t limit_bytes);
void eio_queue_release(struct eio_queue *queue);
bool eio_queue_put(struct eio_queue *queue, const struct eio_packet *packet)
    __attribute__((warn_unused_result));
/* Walks without taking: *at starts at 0. The packet is valid until the next put or drop. */
bool eio_queue_next(const struct eio_queue *queue, size_t *at,
                    struct eio_packet *packet);
/* Takes the first `count` packets, which end at `at` as eio_queue_next() left it. */
void eio_queue_drop(struct eio_queue *queue, unsigned count, size_t at);

#endif
