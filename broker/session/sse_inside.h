/* sse_inside.h - what sse.c and sse_open.c share; nobody else includes it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_SESSION_SSE_INSIDE_H
#define THINKWIRE_SESSION_SSE_INSIDE_H

#include "codec/dialect.h"
#include "session/alive.h"
#include "session/internal.h"

/* Codes of others, cut. */
#define RETELLING_CODE_SIZE 48

/* A run retold in another dialect (sse_format.c). */
struct retelling {
    struct dialect_state state;
    uint64_t epoch; /* 0 = nobody has begun it yet */
    uint64_t created_s;
    char *model;      /* NULL or "" = not known */
    bool is_resuming; /* ai-sdk: 204 where nothing is under way */
    bool owes_whole;  /* what is sent next is a snapshot */
    /* of session_retell() */
    uint64_t wanted_epoch; /* 0 = whatever run there is */
    bool waits;
    char *headers; /* NULL = those of the form */
    void (*over)(void *ctx, const struct retell_told *told);
    void *ctx;
    uint64_t first_ms; /* as in struct retell_told */
    char failure[RETELLING_CODE_SIZE];
};

struct stream {
    struct session session;
    struct retelling *retelling; /* NULL: the native form */
    struct http_exchange *x;     /* held; NULL once answered */
    struct pipe *pipe;           /* NULL before the start and after the end */
    struct list beat;            /* in set->streams */
    uint64_t beat_ms;            /* next heartbeat, or end of the wait while held */
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

/* Tells `out` now, or first of all when there is room again. What a join can say is bounded by
 * the number of subscriptions. */
void stream_note(struct stream *stream, const struct buf *out);
/* Wraps and sends; false when the socket is full. */
bool stream_put(struct stream *stream, struct buf *out);
/* Appends the retry lines of this reader. */
void stream_put_retry(const struct stream *stream, struct buf *out);
void stream_finish(struct stream *stream);

/* ---- sse_format.c: ?format= ---- */

/* Nothing for the native form. False: there is no such form. */
bool retelling_new(struct retelling **retelling, struct slice query);
struct retelling *retelling_of(const struct session_retell *asked);
void retelling_free(struct retelling *retelling);
/* Header lines of its own. */
const char *retelling_headers(const struct retelling *retelling);
/* A client that would go on reading an answer, and there is none under way. */
bool retelling_has_nothing(const struct stream *stream);
/* The run that is wanted, or the beginning of its answer, is not there yet. */
bool retelling_must_wait(const struct stream *stream);
/* It waited for the answer to begin, and the run has ended without one. */
bool retelling_is_unbegun(const struct stream *stream);
/* Tells who asked for the stream, once. */
void retelling_over(struct stream *stream, enum retell_end how,
                    struct http_exchange *x);
/* The stream begins. */
void retelling_start(struct stream *stream);
/* The stream's ops, where it is retold. */
void retelling_subscribed(struct subscription *sub);
void retelling_resync(struct subscription *sub);
void retelling_failed(struct subscription *sub, const char *code, const char *message);
bool retelling_send(struct stream *stream, struct bytes *lines);

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
