/* sse_inside.h - what sse.c and sse_open.c share; nobody else includes it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_SESSION_SSE_INSIDE_H
#define THINKWIRE_SESSION_SSE_INSIDE_H

#include "session/alive.h"
#include "session/internal.h"

struct stream {
    struct session session;
    struct http_exchange *x; /* held; NULL once answered */
    struct pipe *pipe;       /* NULL before the start and after the end */
    struct list beat;        /* in set->streams */
    uint64_t beat_ms;        /* next heartbeat, or end of the wait while held */
    uint64_t start_by_ms;
    struct alive alive;
    const struct subscription *failing; /* during its last words */
    uint16_t slots;                     /* tasks that were asked for */
    struct buf notes; /* events the socket had no room for: joins only */
    struct buf poll;  /* long poll: collected events */
    const char *poll_resync;
    const char *poll_error;
    bool is_poll;
    bool is_multi;
    bool owes_cursor;
    bool awaits_who; /* the backend is asked whose request it is */
};

extern const struct session_ops stream_ops;
/* Longest cursor over several tasks. */
#define CURSOR_BYTES 131072
/* How long a request is held for tasks that are not loaded. */
#define START_WAIT_MS 2000
/* The broker is about to end: what makes the client ask again, at another one. */
void stream_retire(struct stream *stream);
static inline struct stream *stream_of(struct session *session)
{
    return LIST_ENTRY(session, struct stream, session);
}

/* ---- sse_place.c ---- */

/* The place of one task's reader. */
void stream_put_place(struct buf *out, const struct subscription *sub);
/* session_ops.cursor: the places of all tasks of a stream of several, else nothing. */
void stream_cursor(struct session *session, struct buf *out);
/* Says which of the stream's tasks each subscription is: once, when it opens. */
void stream_number_slots(struct stream *stream);
/* Gives each subscription its part of the cursor; one that does not fit the tasks is known
 * to nobody and each task is told anew. */
void stream_apply_cursor(struct stream *stream, struct slice cursor);

#endif
