/* worker.h - takes jobs and generates: many runs at once on one loop. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_WORKER_H
#define THINKWIRE_WORKER_WORKER_H

#include "base/counters.h"
#include "generation.h"
#include "source.h"

/*
 *   source --job--> look at the run --> claim it --> generation --> over
 *                      |                                 |
 *                      `- final or gone: forget the job  `- its first word: the job is done with
 *
 * A job whose worker dies before the first word comes to another worker; after it the run is
 * that worker's alone and ends with PRODUCER_LOST by its lease. Stops are heard from the
 * source, at once, and on every publish.
 */
struct worker;

struct worker_options {
    struct worker_source *source;      /* the worker's from here on, and freed by it */
    const struct providers *providers; /* borrowed */
    struct generation_settings generation;
    size_t max_generations;
    uint64_t lease_ms;
    /* After each run; may be NULL. */
    void (*on_report)(void *ctx, const struct generation_report *report);
    void *ctx;
};

/* NULL with words in `error`. */
struct worker *worker_new(struct loop *loop, const struct worker_options *options,
                          struct counters *counters, struct buf *error);
/* Takes nothing more; `done` is called once, when what runs is over, or at once. */
void worker_drain(struct worker *worker, void (*done)(void *ctx), void *ctx);
/* What still runs is left to its lease. */
void worker_free(struct worker *worker);

size_t worker_active(const struct worker *worker);
/* NULL when it can work; else a short reason. */
const char *worker_trouble(const struct worker *worker);

#endif
