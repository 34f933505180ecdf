/* inside.h - what the files of the link share; no business of anybody above. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_INSIDE_H
#define THINKWIRE_REDIS_INSIDE_H

#include "base/map.h"
#include "redis/conn.h"
#include "redis/link.h"

/* Commands without an answer, oldest first, in a ring. */
struct waiter {
    link_done *done; /* may be NULL */
    void *ctx;
};
struct waiters {
    struct waiter *ring;
    size_t head;
    size_t count;
    size_t cap; /* a power of two, or 0 */
};
void waiters_push(struct waiters *waiters, struct waiter waiter);
/* The oldest; there must be one. */
struct waiter waiters_pop(struct waiters *waiters);
/* Calls all with NULL, also those added meanwhile, and frees the ring. */
void waiters_fail(struct waiters *waiters);

/* Appends one command in RESP. */
void command_encode(struct buf *out, const struct slice *argv, size_t argc);
/* Bytes command_encode() adds, or a little more. */
size_t command_size(const struct slice *argv, size_t argc);

/* What is subscribed, and how far Redis knows of it. */
struct subscriptions {
    struct map *by_channel;
    struct list dirty; /* wanted and sent may differ */
};
void subscriptions_init(struct subscriptions *subs);
void subscriptions_release(struct subscriptions *subs);
/* Sets what is wanted; true when something must be sent at the end of the turn. */
bool subscriptions_want(struct subscriptions *subs, struct slice channel, bool wanted);
/* A new connection knows of nothing. */
void subscriptions_forget_sent(struct subscriptions *subs);
/* Appends SUBSCRIBE and UNSUBSCRIBE commands for what changed. A channel that was given up
 * and wanted again within a turn is subscribed again: Redis confirms that too. */
void subscriptions_encode(struct subscriptions *subs, struct buf *out);
/* Redis confirmed a change of `channel`. True when the subscriber is to be told now. */
bool subscriptions_confirm(struct subscriptions *subs, struct slice channel);
bool subscriptions_is_wanted(const struct subscriptions *subs, struct slice channel);

#endif
