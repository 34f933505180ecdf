/* jobs.h - what is to be generated, handed to one of several workers. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_JOBS_H
#define THINKWIRE_REDIS_JOBS_H

#include "redis/link.h"
#include "schema/run.h"

/*
 * `<prefix>:jobs` is a stream with the consumer group `workers`. A job names a queued run; all
 * else stands in that run (its `request`), so a job is a few bytes and may be lost or told
 * twice without harm: whoever gets it claims the run, and the run's state decides.
 *
 *      jobs_add() --> stream --XREADGROUP--> on_job() --> jobs_finish()
 *                        `------XAUTOCLAIM---^   when its worker fell silent
 */
struct jobs;

struct job {
    struct slice id; /* of the stream entry; empty for jobs_add() */
    struct task_key task;
    uint64_t epoch; /* of the queued run */
    bool is_again;  /* was handed to another worker before, or to us */
};

struct jobs_options {
    const char *url; /* as of a link: a blocking read needs a connection of its own */
    const char *prefix;
    const char *consumer; /* unique among workers; letters, digits, '-', '_' */
    uint64_t
        silent_ms; /* a job that was not finished for so long is handed on; 0 = 15 s */
    /* On the loop; valid during the call. A job with fields nobody can read is finished by
     * itself. */
    void (*on_job)(void *ctx, const struct job *job);
    void *ctx;
};

/* `commands` is borrowed. NULL with a message when the URL is malformed. Nothing is read
 * before jobs_want(). */
struct jobs *jobs_new(struct loop *loop, struct link *commands,
                      const struct jobs_options *options, struct buf *error);
void jobs_free(struct jobs *jobs);
/* How many more jobs the worker would take now; each on_job() takes one from it. */
void jobs_want(struct jobs *jobs, size_t count);
/* The job needs no other worker any more: its run has said something, or has ended. */
void jobs_finish(struct jobs *jobs, struct slice id);
const char *jobs_trouble(const struct jobs *jobs);

/* `done(false)`: it is not known whether it was added; the run's queue time-out is the net. */
void jobs_add(struct link *commands, const char *prefix, const struct job *job,
              void (*done)(void *ctx, bool ok), void *ctx);

#endif
