/* pipe.h - one outgoing stream of a connection: what the rooms above know of a socket. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_PIPE_H
#define THINKWIRE_BASE_PIPE_H

#include "base/bytes.h"

/*
 * A pipe is made by the transport and used by whoever gives it meaning. Nothing is queued
 * in it beyond the bytes of the last send that did not fit: when pipe_send() answers false
 * the pipe is full and the owner sends nothing until on_drain. The owner pulls what it owes
 * from its own cursors then; there is no per-connection queue.
 *
 *   owner --pipe_send(bytes)--> [ at most one rest, shared bytes + offset ] --> kernel
 *         <--on_drain---------
 *
 * Bytes handed over are whole frames in the pipe's framing (see enum framing), ready for
 * the wire: the same shared bytes go to a thousand pipes.
 */
enum framing {
    FRAMING_WS,      /* server WebSocket frames (RFC 6455), none above 64 KiB */
    FRAMING_CHUNKED, /* HTTP/1.1 chunks */
    FRAMING_PLAIN,   /* as is, ended by closing: HTTP/1.0 clients */
    FRAMING_EIO4,    /* Engine.IO 4 polling payload: packets joined by 0x1e */
    FRAMING_EIO3     /* Engine.IO 3 polling payload: length-prefixed packets */
};

struct pipe;

/* What the owner of a pipe is told. Every slot is called on the loop, never from inside
 * pipe_send() or pipe_close(). */
struct pipe_owner {
    /* A whole message came in (WebSocket only). Valid during the call. */
    void (*on_message)(struct pipe *pipe, struct slice data, bool is_binary);
    /* There is room again after a send answered false. */
    void (*on_drain)(struct pipe *pipe);
    /* The last call: the connection is gone, `pipe` is freed after it returns. `reason` is
     * a fixed phrase ("transport close", "transport error", ...). */
    void (*on_closed)(struct pipe *pipe, const char *reason);
    /* The broker is about to end: say what makes the client come back elsewhere, and close
     * soon. NULL: the transport closes the pipe itself (a WebSocket with 1012). */
    void (*on_retire)(struct pipe *pipe);
};

/* How the peer takes what it is sent. */
struct pipe_progress {
    uint64_t acked;   /* bytes that reached its kernel, since ever */
    uint64_t unacked; /* bytes sent and not there yet */
    uint32_t heard;   /* counts what came in: messages, pongs */
};

struct pipe_ops {
    bool (*send)(struct pipe *pipe, struct bytes *bytes);
    void (*close)(struct pipe *pipe, unsigned code, const char *reason);
    struct pipe_progress (*progress)(const struct pipe *pipe);
};

struct pipe {
    const struct pipe_ops *ops;     /* the transport's */
    const struct pipe_owner *owner; /* set by who accepts the pipe */
    void *owner_data;
    enum framing framing;
    bool is_full;    /* kept by the transport */
    bool is_closing; /* pipe_close() was called: sends are dropped */
};

/* Sends whole frames; borrows the caller's reference (takes one of its own when a rest
 * must be kept). Answers true when there is room for more, false when the pipe is full or
 * closing. A send into a full pipe is a bug (assert). */
static inline bool pipe_send(struct pipe *pipe, struct bytes *bytes)
{
    return pipe->ops->send(pipe, bytes);
}

static inline bool pipe_is_ready(const struct pipe *pipe)
{
    return !pipe->is_full && !pipe->is_closing;
}

/* Costs a system call: for a heartbeat, not for each send. */
static inline struct pipe_progress pipe_progress(const struct pipe *pipe)
{
    return pipe->ops->progress(pipe);
}

/* Ends the stream after what was sent has left: for a WebSocket a close frame with `code`
 * (1000..4999; 0 = no status) and `reason` (at most 120 bytes, may be NULL); for HTTP
 * streams the last chunk. on_closed follows on a later turn. A peer that does not take its
 * bytes is cut after a bounded time. */
static inline void pipe_close(struct pipe *pipe, unsigned code, const char *reason)
{
    pipe->ops->close(pipe, code, reason);
}

#endif
