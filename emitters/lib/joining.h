/* joining.h - publishing into an unleased run, exactly once although it is not idempotent. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_LIB_JOINING_H
#define THINKWIRE_LIB_JOINING_H

#include "emitters/lib/http_far.h"

/*
 *   look --> post --> answered --> post --> no answer --> look --> was written: go on
 *                                                              `-> was not: tell so
 *
 * The part that Redis and HTTP share: it knows the id of the last event it has seen, and
 * compares. What differs is how to post and how to look.
 */
struct joining;

struct joining_far {
    /* Each is called with nothing else in flight and answers through joining_posted() and
     * joining_looked(), later or at once. */
    void (*post)(struct joining *joining, const struct publish_request *request);
    void (*look)(struct joining *joining, const struct task_key *task);
    /* Cancels what is in flight and frees the whole. */
    void (*free)(struct joining *joining);
};

/* Embedded first in the sink of either kind. */
struct joining {
    struct emitter_sink sink;
    const struct joining_far *far;
    struct timer retry;
    uint64_t retry_ms;
    struct publish_request
        request; /* valid while `done` is set: the emitter's batch stays */
    store_published *done;
    void *ctx;
    struct event_id last; /* of the task, as far as we know; epoch 0 = no run */
    bool has_looked;
    bool is_unsure; /* a post went without an answer */
};

void joining_init(struct joining *joining, struct loop *loop,
                  const struct joining_far *far);
void joining_release(struct joining *joining);
void joining_posted(struct joining *joining, enum post_outcome outcome,
                    const struct publish_result *result);
/* `is_known` false: nobody has published for the task. */
void joining_looked(struct joining *joining, bool is_known, struct event_id last);
/* The far end is away: again later. */
void joining_not_looked(struct joining *joining);
/* The far end will not tell, ever. */
void joining_blind(struct joining *joining);

#endif
