/* alive.h - whether there is still somebody at the other end of a pipe. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_SESSION_ALIVE_H
#define THINKWIRE_SESSION_ALIVE_H

#include "base/pipe.h"

/*
 * A peer that vanishes without a word (a phone that leaves its network, a proxy that forgets a
 * connection) is seen only by what does not come back. Signs of life are: something it sent
 * (on a WebSocket the pong to our ping), or that it took some of what was waiting for it. So a
 * slow reader is alive however slow it is, one that has stopped altogether is not, and an idle
 * event stream whose every heartbeat was taken is.
 *
 * A proxy that reads all and passes nothing on cannot be told from a healthy reader of an
 * event stream, which never answers; on a WebSocket it is found.
 */
struct alive {
    uint64_t since_ms; /* of the last sign */
    uint64_t acked;
    uint32_t heard;
    bool was_pending; /* bytes were waiting for it at the last look */
};

void alive_init(struct alive *alive, uint64_t now_ms);
/* Called at each heartbeat. `answers`: the peer answers a ping. How long ago the last sign of
 * life was when this was called, in milliseconds. */
uint64_t alive_look(struct alive *alive, const struct pipe *pipe, bool answers,
                    uint64_t now_ms);

#endif
