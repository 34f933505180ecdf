/* sink.h - where an emitter publishes: Redis, or a broker over HTTP. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_LIB_SINK_H
#define THINKWIRE_LIB_SINK_H

#include "http/client.h"
#include "redis/store.h"

/*
 * What an emitter needs of the far end. `done` is called exactly once, never from inside
 * the call. PUBLISH_UNAVAILABLE means that the same call may be made again without harm.
 */
struct emitter_sink;

struct emitter_sink_ops {
    /* Opens a run, or takes over the queued one `claim_epoch` (0 = open). NULL: the first
     * event opens a run. */
    void (*open)(struct emitter_sink *sink, const struct run_open_request *request,
                 uint64_t claim_epoch, store_opened *done, void *ctx);
    void (*publish)(struct emitter_sink *sink, const struct publish_request *request,
                    store_published *done, void *ctx);
    /* NULL: no leases. */
    void (*renew)(struct emitter_sink *sink, const struct store_renewal *renewal,
                  store_published *done, void *ctx);
    /* Calls that still wait are told PUBLISH_UNAVAILABLE before (those of a store by the
     * store, in time). */
    void (*free)(struct emitter_sink *sink);
    size_t max_in_flight;   /* publishes without an answer */
    size_t max_batch_bytes; /* of JSON in one publish, about */
};

struct emitter_sink {
    const struct emitter_sink_ops *ops;
};

/* As owner of a leased run: idempotent. Any number of emitters may share it; `store` is
 * borrowed and freed after it. */
struct emitter_sink *sink_redis_new(struct store *store);

struct sink_http_options {
    const char *base_url;    /* "http://127.0.0.1:9000", without a slash at its end */
    const char *unix_socket; /* or NULL */
    const char *const *headers; /* more of them: "Authorization: Bearer ..." */
    size_t header_count;
    uint64_t timeout_ms; /* of one request; 0 = 15 s */
    /* What was wrong with the last request, "" when nothing; or NULL. Room for
     * SINK_TROUBLE_SIZE bytes that live as long as the sink. */
    char *trouble;
};
#define SINK_TROUBLE_SIZE     160
#define SINK_HTTP_BATCH_BYTES (256U << 10)
/*
 * As owner of a run without a lease (HTTP has none), idempotent by producer, epoch and
 * counter. The first publish opens the run; if its answer is lost, so may be that run: it
 * is opened once more and the abandoned one ends with SUPERSEDED.
 *
 * For one emitter, and freed in the same turn as that. `client` is borrowed; all options
 * are copied. The same holds for the next two.
 */
struct emitter_sink *sink_http_new(struct loop *loop, struct http_client *client,
                                   const struct sink_http_options *options);

/*
 * As guest: joins the task's unleased run, or opens one. For single events from a command
 * line. That is not idempotent, so one publish is in flight at a time, and one whose answer
 * was lost is not repeated blindly: the sink asks how far the run is, and then knows. It
 * assumes that nobody else publishes at that very moment.
 */
struct emitter_sink *sink_joining_new(struct loop *loop, struct store *store);
struct emitter_sink *sink_http_joining_new(struct loop *loop,
                                           struct http_client *client,
                                           const struct sink_http_options *options);

/* NULL is allowed. After the emitters that use it. */
void sink_free(struct emitter_sink *sink);

#endif
