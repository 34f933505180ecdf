/* sentinel.h - where the master is, asked of sentinels. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_SENTINEL_H
#define THINKWIRE_REDIS_SENTINEL_H

#include "base/loop.h"
#include "redis/url.h"

/*
 * One connection to one sentinel at a time: the first of the list that answers. It is asked
 * again about each second for as long as it lives, so that a master that was replaced is
 * left also when its connection still looks good (it was cut off together with us). That is
 * one small question a second and link, and unlike a subscription to +switch-master it
 * cannot miss what was said while it was not there.
 *
 *            sentinel_ask()                 answer
 *   away -----------------> connecting, asking ----> resting --1 s--> asking ...
 *    ^                           |                      |
 *    +---------------------------+----------------------+  failed: the next of the list
 *
 * What a sentinel says is a hint: whether it is a master, the server itself is asked (ROLE).
 */
struct sentinel;

struct sentinel_owner {
    /* An answer, to sentinel_ask() or to what is asked each second: the same place may be
     * told again and again. `place` is valid during the call, which may free the sentinel. */
    void (*on_master)(void *ctx, const struct redis_place *place);
    /* All were asked in vain; they are asked again in a second. `reason`, the last one's, is
     * our words or a sentinel's error. The call may free the sentinel. */
    void (*on_nobody)(void *ctx, const char *reason);
};

/* Begins to connect with the first sentinel_ask(). `url` and `owner` are borrowed. */
struct sentinel *sentinel_new(struct loop *loop, const struct redis_url *url,
                              const struct sentinel_owner *owner, void *ctx);
/* NULL is allowed. */
void sentinel_free(struct sentinel *sentinel);

/* Asks now, unless an answer is on its way. */
void sentinel_ask(struct sentinel *sentinel);
/* The one it told of was no master, or not there: another sentinel is asked next. */
void sentinel_blame(struct sentinel *sentinel);

#endif
