/* sink_redis.c - leased, idempotent publishing through the scripts. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "emitters/lib/sink.h"

#include <stdlib.h>

/* Enough for a window of 30 ms and a Redis that takes a second to answer. */
#define MAX_IN_FLIGHT   32
#define MAX_BATCH_BYTES (1U << 20)

struct sink_redis {
    struct emitter_sink sink;
    struct store *store;
};

static struct store *store_of(struct emitter_sink *sink)
{
    return LIST_ENTRY(sink, struct sink_redis, sink)->store;
}

static void open_run(struct emitter_sink *sink, const struct run_open_request *request,
                     uint64_t claim_epoch, store_opened *done, void *ctx)
{
    if (claim_epoch != 0)
        store_claim(store_of(sink), request, claim_epoch, done, ctx);
    else
        store_open(store_of(sink), request, done, ctx);
}

static void publish(struct emitter_sink *sink, const struct publish_request *request,
                    store_published *done, void *ctx)
{
    store_publish(store_of(sink), request, done, ctx);
}

static void renew(struct emitter_sink *sink, const struct store_renewal *renewal,
                  store_published *done, void *ctx)
{
    store_renew(store_of(sink), renewal, done, ctx);
}

static void free_sink(struct emitter_sink *sink)
{
    free(LIST_ENTRY(sink, struct sink_redis, sink));
}

struct emitter_sink *sink_redis_new(struct store *store)
{
    static const struct emitter_sink_ops ops = {
        .open = open_run,
        .publish = publish,
        .renew = renew,
        .free = free_sink,
        .max_in_flight = MAX_IN_FLIGHT,
        .max_batch_bytes = MAX_BATCH_BYTES,
    };
    struct sink_redis *redis = mem_new(sizeof(*redis));
    redis->sink.ops = &ops;
    redis->store = store;
    return &redis->sink;
}

void sink_free(struct emitter_sink *sink)
{
    if (sink != NULL)
        sink->ops->free(sink);
}
