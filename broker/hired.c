/* hired.c - the worker that --worker hosts in the broker's own loop. */
/* SPDX-License-Identifier: MIT */
#include "hired.h"

#include "base/mem.h"
#include "emitters/worker/report.h"
#include "inside.h"

#include <stdlib.h>

struct hired {
    struct providers providers;
    struct worker *worker;
};

static struct worker_source *make_source(struct loop *loop,
                                         const struct settings *settings,
                                         struct bus *bus, struct buf *error)
{
    const struct worker_source_redis_options redis = {
        .url = settings->bus,
        .prefix = settings->redis_prefix,
        .job_silent_ms = settings->worker.job_silent_ms,
        .redis_wait_ms = settings->redis_wait_ms,
    };

    if (strcmp(settings->bus, "memory") == 0)
        return inside_source_new(loop, bus);
    return worker_source_redis_new(loop, &redis, error);
}

static bool hire(struct hired *hired, struct loop *loop,
                 const struct worker_options *options, struct counters *counters,
                 struct buf *error)
{
    hired->worker = worker_new(loop, options, counters, error);
    if (hired->worker != NULL)
        worker_settings_tell(&hired->providers);
    return hired->worker != NULL;
}

struct hired *hired_new(struct loop *loop, const struct settings *settings,
                        const struct hired_rooms *rooms, struct buf *error)
{
    struct hired *hired = mem_new(sizeof(*hired));
    struct worker_options options = {.providers = &hired->providers};

    worker_settings_options(&settings->worker, &options);
    if (worker_settings_providers(&settings->worker, &hired->providers, error)) {
        options.on_report = report_rows;
        options.ctx = rooms->telemetry;
        options.source = make_source(loop, settings, rooms->bus, error);
        if (options.source != NULL &&
            hire(hired, loop, &options, rooms->counters, error))
            return hired;
    }
    hired_free(hired);
    return NULL;
}

void hired_drain(struct hired *hired, void (*done)(void *ctx), void *ctx)
{
    worker_drain(hired->worker, done, ctx);
}

void hired_free(struct hired *hired)
{
    if (hired == NULL)
        return;
    worker_free(hired->worker);
    providers_release(&hired->providers);
    free(hired);
}

const char *hired_trouble(void *ctx)
{
    const struct hired *hired = ctx;

    return worker_trouble(hired->worker);
}
