/* redis_submit.c - a client's request becomes a queued run and a job for the workers. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "bus/redis_inside.h"
#include "redis/jobs.h"

#include <stdlib.h>

static struct bus_redis *of(struct bus *bus)
{
    return LIST_ENTRY(bus, struct bus_redis, bus);
}

/* ---- submit: the run first, then the job that names it ---- */

struct submitting {
    struct bus_redis *bus;
    void (*done)(void *ctx, enum publish_status status, uint64_t epoch);
    void *ctx;
    struct task_key task; /* a copy */
    uint64_t epoch;
};

static void finish(struct submitting *submitting, enum publish_status status)
{
    submitting->done(submitting->ctx, status, submitting->epoch);
    task_key_release(&submitting->task);
    free(submitting);
}

static void on_added(void *ctx, bool ok)
{
    finish(ctx, ok ? PUBLISH_OK : PUBLISH_UNAVAILABLE);
}

static void on_opened(void *ctx, enum publish_status status, uint64_t epoch)
{
    struct submitting *submitting = ctx;
    struct job job = {.task = submitting->task, .epoch = epoch};

    submitting->epoch = epoch;
    if (status != PUBLISH_OK) {
        finish(submitting, status);
        return;
    }
    jobs_add(submitting->bus->commands, submitting->bus->prefix, &job, on_added,
             submitting);
}

void bus_redis_submit(struct bus *bus, const struct run_open_request *request,
                      void (*done)(void *ctx, enum publish_status status,
                                   uint64_t epoch),
                      void *ctx)
{
    struct submitting *submitting = mem_new(sizeof(*submitting));

    submitting->bus = of(bus);
    submitting->done = done;
    submitting->ctx = ctx;
    submitting->task = task_key_copy(&request->task);
    store_open(submitting->bus->store, request, on_opened, submitting);
}

/* ---- recall ---- */

struct recalling {
    void (*done)(void *ctx, const struct bus_kept *kept);
    void *ctx;
};

static void on_loaded(void *ctx, const struct store_task *task)
{
    struct recalling *recalling = ctx;
    struct bus_kept kept = {0};

    if (task != NULL)
        kept = (struct bus_kept){
            .state = task->state,
            .epoch = task->epoch,
            .request = task->request,
            .text = task->text.utf8,
        };
    recalling->done(recalling->ctx, task == NULL ? NULL : &kept);
    free(recalling);
}

void bus_redis_recall(struct bus *bus, const struct task_key *task,
                      void (*done)(void *ctx, const struct bus_kept *kept), void *ctx)
{
    struct recalling *recalling = mem_new(sizeof(*recalling));

    recalling->done = done;
    recalling->ctx = ctx;
    store_load(of(bus)->store, task, 0, on_loaded, recalling);
}

void bus_redis_points(struct bus *bus, const struct task_key *task, task_pointed *done,
                      void *ctx)
{
    store_points(of(bus)->store, task, done, ctx);
}
