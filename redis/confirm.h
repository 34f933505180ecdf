/* confirm.h - a terminal event is on a replica before its producer is told that it is safe. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_CONFIRM_H
#define THINKWIRE_REDIS_CONFIRM_H

#include "redis/link.h"

/*
 * Replication of Redis is asynchronous: what a master has answered may be forgotten by a
 * failover. For what ends a run that matters most, since after it nobody would publish
 * again. So those who wrote it wait, for a bounded time, until a replica has it:
 *
 *   writer's link:  ... publish, answered OK -> INFO replication: replicas? of which history?
 *   own link:       PUBLISH <prefix>:confirm, WAIT 1 <ms>, INFO replication: the same history?
 *
 * WAIT blocks the connection it is sent on, and waits for what that connection wrote: hence a
 * link of our own, opened when a replica is there for the first time, and the tiny PUBLISH,
 * which comes after all that was answered before it. The history (master_replid) shows that
 * both links speak to the same master. What is asked while a round is on its way goes
 * together in the next one; nothing else ever waits for any of this.
 *
 * Without replicas, or where INFO is forbidden, the answer is CONFIRM_DONE at once.
 */
struct confirm;

enum confirm_outcome {
    CONFIRM_DONE,
    CONFIRM_LATE, /* the master lives, and no replica has confirmed in time */
    CONFIRM_LOST  /* nothing is known: a link was lost, or it is another master now */
};

struct confirm_options {
    const char *prefix;
    uint64_t wait_ms; /* at most 4000: a link that hears nothing for longer asks why */
    bool is_quiet;    /* says nothing to diagnostics */
    /* `count` calls were told this outcome; those without replicas are not told of. May be
     * NULL. */
    void (*on_round)(void *ctx, enum confirm_outcome outcome, size_t count);
    void *ctx;
};
#define CONFIRM_WAIT_MAX_MS 4000
#define CONFIRM_WAIT_MS     1000 /* unless somebody has a reason */

/* `writer` is borrowed; `url`, that of the writer, and the prefix are copied. */
struct confirm *confirm_new(struct loop *loop, struct link *writer, const char *url,
                            const struct confirm_options *options);
/* Who waits is told CONFIRM_LOST (and must not ask again). NULL is allowed. After the store, before the writer's
 * link; allowed inside a callback of it. */
void confirm_free(struct confirm *confirm);

typedef void confirm_done(void *ctx, enum confirm_outcome outcome);
/* Everything the writer's link was answered so far. `done` is called exactly once, never
 * from inside the call, within wait_ms and half a second. */
void confirm_ask(struct confirm *confirm, confirm_done *done, void *ctx);

#endif
