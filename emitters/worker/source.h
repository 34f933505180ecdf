/* source.h - where a worker's jobs come from and where its events go. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_SOURCE_H
#define THINKWIRE_WORKER_SOURCE_H

#include "emitters/lib/sink.h"
#include "redis/jobs.h"

/*
 * The worker's one seam: Redis in a process of its own, the memory bus inside a broker.
 * Everything above it is the same for both.
 */
struct worker_source;

/* What the worker hears, on the loop and never from inside a call of its own. */
struct worker_desk {
    void (*on_job)(void *ctx, const struct job *job); /* as jobs_options.on_job */
    /* Somebody asked this run to stop, or has ended it. Of runs that are not watched it may
     * be called too. */
    void (*on_stop)(void *ctx, const struct task_key *task, uint64_t epoch);
    void *ctx;
};

struct worker_source_ops {
    /* Once, before anything else. */
    void (*open)(struct worker_source *source, const struct worker_desk *desk);
    /* How many more jobs are taken now: jobs_want(). */
    void (*want)(struct worker_source *source, size_t count);
    /* jobs_finish(). */
    void (*finish)(struct worker_source *source, struct slice job_id);
    /* store_load(), without entries. */
    void (*load)(struct worker_source *source, const struct task_key *task,
                 store_loaded *done, void *ctx);
    /* Stops of this task's runs are to be told from now on, or no more. */
    void (*watch)(struct worker_source *source, const struct task_key *task,
                  bool is_watched);
    /* NULL when well, else a short reason. */
    const char *(*trouble)(struct worker_source *source);
    /* Loads that wait are told NULL, at once or before. */
    void (*free)(struct worker_source *source);
};

struct worker_source {
    const struct worker_source_ops *ops;
    struct emitter_sink *sink; /* leased, idempotent; the source's */
};

struct worker_source_redis_options {
    const char *url; /* redis://... */
    const char *prefix;
    uint64_t job_silent_ms; /* see jobs.h; 0 = its default */
    /* How long the end of a run waits for a replica to have it, where there are replicas
     * (confirm.h); at most CONFIRM_WAIT_MAX_MS, 0 = not at all. */
    uint64_t redis_wait_ms;
};
/* NULL with words in `error`. A Redis that is away is no error. */
struct worker_source *
worker_source_redis_new(struct loop *loop,
                        const struct worker_source_redis_options *options,
                        struct buf *error);

#endif
