/* store_lift.h - opaque events in the durable log, written by one elected broker. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_STORE_LIFT_H
#define THINKWIRE_REDIS_STORE_LIFT_H

#include "redis/store.h"

/*
 * lift.lua and elect.lua; redis/README.md has their answers. An event is never repeated: when
 * nothing is known of it, its lifter takes another name, and the next event opens a new run.
 */
struct store_lift {
    struct task_key task;
    struct slice lifter; /* one name for as long as nothing was missed */
    uint64_t term;       /* of its election */
    struct slice type;   /* of the event: terminal ones end the run; may be empty */
    struct slice json;   /* as published, on one line */
};
enum store_lift_status {
    STORE_LIFT_DONE,
    STORE_LIFT_NATIVE, /* the task has a run that is not lifted: nothing was written */
    STORE_LIFT_FENCED, /* a later election has written to this task */
    STORE_LIFT_UNAVAILABLE
};
typedef void store_lifted(void *ctx, enum store_lift_status status);
void store_lift(struct store *store, const struct store_lift *lift, store_lifted *done,
                void *ctx);

/* Stands for election, or stays elected, for `lasts_ms`; 0 steps back. `term` 0: somebody
 * else is elected, or nothing is known. */
typedef void store_elected(void *ctx, uint64_t term);
void store_elect(struct store *store, struct slice who, uint64_t lasts_ms,
                 store_elected *done, void *ctx);

#endif
