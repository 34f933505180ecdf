/* fitness.h - is this Redis fit to hold tasks? */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_FITNESS_H
#define THINKWIRE_REDIS_FITNESS_H

#include "redis/link.h"

/*
 * A Redis is fit when it is 6.2 or newer, throws nothing away when its memory is full, and
 * has room. The policy alone harms nobody: without `maxmemory` nothing is evicted, so it
 * counts only together with that. Asked when the link comes up, about every five seconds
 * from then on (both can be changed while it runs), and by fitness_ask().
 *
 * INFO has all of it. Where an ACL or a provider forbids INFO, CONFIG GET is tried; where
 * both are forbidden, FITNESS_UNCHECKED says so and the operator must know.
 */
struct fitness;

enum fitness_state {
    FITNESS_UNASKED, /* no answer since the link came up */
    FITNESS_GOOD,
    FITNESS_UNCHECKED,
    FITNESS_OLD,
    FITNESS_EVICTS, /* maxmemory is set, and the policy is not noeviction */
    FITNESS_FULL    /* maxmemory is reached: writes are refused */
};
#define FITNESS_STATES 6
/* "good", "old", "evicts", ... */
const char *fitness_state_name(enum fitness_state state);

struct fitness_options {
    /* After an answer that says something else than the one before, also of the connection
     * before. May be NULL. */
    void (*on_change)(void *ctx, enum fitness_state state);
    void *ctx;
};

/* `link` is borrowed and is a command link; fitness_free() comes before link_free(). */
struct fitness *fitness_new(struct loop *loop, struct link *link,
                            const struct fitness_options *options);
/* NULL is allowed. */
void fitness_free(struct fitness *fitness);
/* The link came up: what was known is of another connection, perhaps of another server. */
void fitness_begin(struct fitness *fitness);
/* Looks again now (a write was refused, say). */
void fitness_ask(struct fitness *fitness);

enum fitness_state fitness_state(const struct fitness *fitness);
/* True when the server must not be used: FITNESS_OLD, FITNESS_EVICTS. */
bool fitness_is_unfit(const struct fitness *fitness);
/* What is wrong, in a few words of ours for /readyz; NULL when nothing is known to be. */
const char *fitness_trouble(const struct fitness *fitness);
/* Appends one sentence with what was found and what to do about it; nothing when all is well.
 */
void fitness_explain(const struct fitness *fitness, struct buf *out);

#endif
