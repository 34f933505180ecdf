/* points.h - where runs of a task ended and continues began, and the words before each. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BUS_POINTS_H
#define THINKWIRE_BUS_POINTS_H

#include "base/buf.h"
#include "schema/run.h"

/*
 *   branch 1   Once upon a time there was a |king     cut off when somebody went back to `a`
 *   branch 2   Once upon a time there was a |cat th|e first     and again
 *   now        Once upon a time there was a |cat th|at purred
 *
 * Branch k is the beginning of branch k+1, up to where that left it, and then the end that was cut
 * off; the last one is the text as it is. So every point stays within reach, and what is kept is
 * never more than what was cut off. At most TASK_POINTS_MAX points and `limit_bytes` of such ends:
 * past either the oldest go. The memory bus's half of what redis/common.lua and open.lua do. Pure.
 */
struct points;

/* Text and reasoning, UTF-8. */
#define POINT_KINDS 2

struct points *points_new(size_t limit_bytes);
/* NULL is allowed, here and in what only asks. */
void points_free(struct points *points);

/* `words` are those before it; number, at_ms and length are given to it. `kind` is static. */
void points_add(struct points *points, const struct task_point *point,
                const struct slice words[POINT_KINDS]);
bool points_has(const struct points *points, uint64_t number);
/* Goes back to a point that is there: the words before it are in `back` (empty buffers that the
 * caller releases). False: they are those of `now`, nothing changed. */
bool points_go_back(struct points *points, uint64_t number,
                    const struct slice now[POINT_KINDS], struct buf back[POINT_KINDS]);
/* Oldest first, at most TASK_POINTS_MAX; answers how many. */
size_t points_list(const struct points *points, struct task_point out[TASK_POINTS_MAX]);
/* Of ends that were cut off. */
size_t points_bytes(const struct points *points);

#endif
