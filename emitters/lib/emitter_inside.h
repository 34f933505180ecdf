/* emitter_inside.h - the parts of an emitter; for its own files only. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_LIB_EMITTER_INSIDE_H
#define THINKWIRE_LIB_EMITTER_INSIDE_H

#include "base/clock.h"
#include "emitters/lib/emitter.h"

/* ---- spoken.c: accumulated text of one kind ---- */

struct spoken {
    struct buf utf8;    /* earlier text first */
    size_t earlier_len; /* of a continue */
    char tail[4];       /* a character whose end has not come yet */
    size_t tail_len;
    char first_at[CLOCK_ISO_SIZE]; /* "" until something was said */
};
void spoken_init(struct spoken *spoken, size_t limit_bytes, struct slice earlier);
void spoken_release(struct spoken *spoken);
/* Appends, and puts what may leave now into `out` as valid UTF-8. False when the limit is
 * reached (nothing was taken). */
bool spoken_take(struct spoken *spoken, struct slice delta, struct buf *out);
/* No rest will come: a cut character becomes U+FFFD in `out`. */
bool spoken_close(struct spoken *spoken, struct buf *out);
struct slice spoken_all(const struct spoken *spoken);
struct slice spoken_share(const struct spoken *spoken);

/* ---- outbox.c: what waits, and what was numbered ---- */

struct item {
    struct list node;
    enum event_type type;
    bool is_plain_delta; /* `body` is escaped text that may grow; else a whole event */
    bool is_spoken;      /* its text stands in the accumulated text, too */
    struct buf body;
    char at[CLOCK_ISO_SIZE]; /* of its first delta */
};

struct batch {
    struct list node;
    uint64_t counter; /* of its first event */
    size_t count;
    struct event *events; /* into `bytes` */
    struct buf bytes;
    struct ticket *ticket; /* while in flight */
    bool was_sent;
    bool has_terminal;
};

struct outbox {
    struct list items;
    struct list batches; /* in order; the first is the oldest not acknowledged */
    size_t item_bytes;
    size_t batch_bytes;
    size_t in_flight;
    bool is_urgent; /* something other than deltas waits */
};
void outbox_init(struct outbox *outbox);
void outbox_release(struct outbox *outbox);
/* Answers true when it merged into the last item. */
bool outbox_add_delta(struct outbox *outbox, enum event_type type, struct slice utf8,
                      const char *at);
/* `event` was checked as it stands on one line. */
void outbox_add_event(struct outbox *outbox, const struct event *event);
void outbox_drop_items(struct outbox *outbox);
/* Numbers the oldest items, up to the bounds of one publish. NULL when there are none. */
struct batch *outbox_pack(struct outbox *outbox, struct slice task_id, uint64_t counter,
                          size_t about_bytes);
void outbox_ack(struct outbox *outbox, struct batch *batch);
/* Data was lost: everything but deltas becomes an item again, in order; batches go. */
void outbox_unpack(struct outbox *outbox);
static inline size_t outbox_bytes(const struct outbox *outbox)
{
    return outbox->item_bytes + outbox->batch_bytes;
}

/* ---- compose.c: JSON ---- */

void compose_delta(struct buf *out, const struct item *item, struct slice task_id);
/* `event` as it was checked; leaves its id out and adds what is missing. */
void compose_event(struct buf *out, const struct event *event, struct slice task_id,
                   const char *at);
/* run_text is left out when `without_share`. */
void compose_completion(struct buf *out, const struct emitter *emitter, const char *at,
                        bool without_share);
void compose_error(struct buf *out, const char *code, struct slice message,
                   struct slice task_id, const char *at);
void compose_stopped(struct buf *out, const struct emitter *emitter, size_t length,
                     const char *at);
/* Nothing else than type, text, partial, task_id and timestamp: may be merged. */
bool is_plain_delta(const struct event *event);

/* ---- the emitter ---- */

enum phase {
    PHASE_UNOPENED, /* waits for its turn or its retry */
    PHASE_OPENING,
    PHASE_OPEN,
    PHASE_OVER /* on_ended was or is about to be told */
};

/* Outlives the emitter: an answer cannot be called back. */
struct ticket {
    struct emitter *emitter; /* NULL = nobody waits any more */
    struct batch *batch;
};

struct emitter {
    struct loop *loop;
    struct emitter_sink *sink;
    struct emitter_options options; /* slices into `texts` */
    struct buf texts;
    char producer[33];
    enum phase phase;
    uint64_t epoch;
    uint64_t claim_epoch;
    uint64_t next_counter;
    struct spoken reasoning;
    struct spoken text;
    struct outbox outbox;
    struct buf scratch;
    size_t
        allowance_bytes; /* republished text does not count against max_unsent_bytes */
    struct buf end_members; /* what a completion or a stop carries besides */
    bool is_finished;       /* a terminal event was emitted */
    bool is_stalled;        /* a publish failed: all answers first, then all again */
    bool window_passed;
    bool was_settled; /* told */
    bool end_told;
    uint64_t stop_told_epoch;
    struct ticket *opening;
    struct ticket *renewing;
    struct turn_task pump;
    struct timer window;
    struct timer retry;
    struct timer lease;
    uint64_t retry_ms;
    uint64_t fresh_at_ms; /* last answer that refreshed the lease */
    enum publish_status ended_as;
    struct emitter_stats stats;
};

/* flight.c */
void emitter_pump(struct turn_task *task);
void emitter_on_window(struct timer *timer);
void emitter_on_retry(struct timer *timer);
void emitter_on_lease(struct timer *timer);
void emitter_wake(struct emitter *emitter);   /* pump at the end of this turn */
void emitter_let_go(struct emitter *emitter); /* answers that still come are ignored */

#endif
