/* source_redis.c - jobs from a stream of Redis, stops from channels, events by the scripts. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"
#include "emitters/lib/kept.h"
#include "source.h"

#include <stdlib.h>

#define CONSUMER_RANDOM 16
#define CONSUMER_SIZE   (sizeof("worker-") + CONSUMER_RANDOM)
#define CHANNEL_BYTES   1024

struct source_redis {
    struct worker_source source;
    struct worker_desk desk;
    struct link *commands;
    struct link *messages;
    struct store *store;
    struct confirm *confirm; /* NULL: redis_wait_ms is 0 */
    struct jobs *jobs;
    struct map *watches; /* by the name of the :ctl channel */
    char consumer[CONSUMER_SIZE];
};

/* Runs of one task that are watched: an old one may still be ending while a new one begins. */
struct watch {
    struct task_key task; /* a copy */
    unsigned watched;
};

static struct source_redis *of(struct worker_source *source)
{
    return LIST_ENTRY(source, struct source_redis, source);
}

/* ---- jobs ---- */

static void on_job(void *ctx, const struct job *job)
{
    struct source_redis *redis = ctx;

    redis->desk.on_job(redis->desk.ctx, job);
}

static void redis_open(struct worker_source *source, const struct worker_desk *desk)
{
    of(source)->desk = *desk;
}

static void redis_want(struct worker_source *source, size_t count)
{
    jobs_want(of(source)->jobs, count);
}

static void redis_finish(struct worker_source *source, struct slice job_id)
{
    jobs_finish(of(source)->jobs, job_id);
}

static void redis_load(struct worker_source *source, const struct task_key *task,
                       store_loaded *done, void *ctx)
{
    store_load(of(source)->store, task, 0, done, ctx);
}

/* ---- stops ---- */

static void watch_free(struct watch *watch)
{
    task_key_release(&watch->task);
    free(watch);
}

static void watch_on(struct source_redis *redis, const struct task_key *task,
                     struct slice channel)
{
    struct watch *watch = map_get(redis->watches, channel);

    if (watch == NULL) {
        watch = mem_new(sizeof(*watch));
        watch->task = task_key_copy(task);
        (void)map_set(redis->watches, channel, watch);
        link_subscribe(redis->messages, channel);
    }
    watch->watched++;
}

static void watch_off(struct source_redis *redis, struct slice channel)
{
    struct watch *watch = map_get(redis->watches, channel);

    if (watch == NULL || --watch->watched > 0)
        return;
    (void)map_remove(redis->watches, channel);
    link_unsubscribe(redis->messages, channel);
    watch_free(watch);
}

static void redis_watch(struct worker_source *source, const struct task_key *task,
                        bool is_watched)
{
    struct source_redis *redis = of(source);
    struct buf channel;

    buf_init(&channel, CHANNEL_BYTES);
    store_key(redis->store, task, "ctl", &channel);
    if (is_watched)
        watch_on(redis, task, buf_view(&channel));
    else
        watch_off(redis, buf_view(&channel));
    buf_release(&channel);
}

static void on_message(void *ctx, struct slice channel, struct slice payload)
{
    struct source_redis *redis = ctx;
    const struct watch *watch = map_get(redis->watches, channel);
    struct json_member member;
    uint64_t epoch = 0;

    if (watch == NULL || !json_check(payload) || !json_get(payload, "type", &member) ||
        member.kind != JSON_STRING ||
        !slice_is(json_string_raw(member.value), "stop") ||
        !json_get(payload, "epoch", &member) || !json_u64(member.value, &epoch))
        return;
    redis->desk.on_stop(redis->desk.ctx, &watch->task, epoch);
}

/* ---- life ---- */

static const char *redis_trouble(struct worker_source *source)
{
    const struct source_redis *redis = of(source);

    if (!link_is_up(redis->commands))
        return link_trouble(redis->commands);
    return jobs_trouble(redis->jobs);
}

static bool free_watch(struct slice key, void *value, void *ctx)
{
    (void)key;
    (void)ctx;
    watch_free(value);
    return true;
}

static void redis_free(struct worker_source *source)
{
    struct source_redis *redis = of(source);

    jobs_free(redis->jobs);
    sink_free(redis->source.sink);
    store_free(redis->store);
    confirm_free(redis->confirm);
    link_free(redis->messages);
    link_free(redis->commands);
    map_each(redis->watches, free_watch, NULL);
    map_free(redis->watches);
    free(redis);
}

static void name_consumer(struct source_redis *redis)
{
    size_t at = sizeof("worker-") - 1;

    memcpy(redis->consumer, "worker-", at);
    random_hex(redis->consumer + at, CONSUMER_RANDOM);
}

/* After a failover nobody would publish the end of a run again that its worker was told is
 * safe: so it is told so only when a replica has it. */
static void confirm_ends(struct source_redis *redis, struct loop *loop,
                         const struct worker_source_redis_options *options)
{
    const struct confirm_options confirm = {.prefix = options->prefix,
                                            .wait_ms = options->redis_wait_ms};

    if (confirm.wait_ms == 0)
        return;
    redis->confirm = confirm_new(loop, redis->commands, options->url, &confirm);
    store_set_confirm(redis->store, redis->confirm);
}

static bool connect(struct source_redis *redis, struct loop *loop,
                    const struct worker_source_redis_options *options,
                    struct buf *error)
{
    struct link_options commands = {.name = "thinkwire-worker"};
    struct link_options messages = {.name = "thinkwire-stops",
                                    .is_subscriber = true,
                                    .on_message = on_message,
                                    .ctx = redis};
    struct store_limits limits = KEPT_BY_DEFAULT;
    struct jobs_options jobs = {
        .url = options->url,
        .prefix = options->prefix,
        .consumer = redis->consumer,
        .silent_ms = options->job_silent_ms,
        .on_job = on_job,
        .ctx = redis,
    };

    redis->commands = link_new(loop, options->url, &commands, error);
    if (redis->commands == NULL)
        return false;
    redis->messages = link_new(loop, options->url, &messages, error);
    redis->store = store_new(redis->commands, options->prefix, &limits);
    confirm_ends(redis, loop, options);
    redis->source.sink = sink_redis_new(redis->store);
    redis->jobs = jobs_new(loop, redis->commands, &jobs, error);
    return redis->messages != NULL && redis->jobs != NULL;
}

struct worker_source *
worker_source_redis_new(struct loop *loop,
                        const struct worker_source_redis_options *options,
                        struct buf *error)
{
    static const struct worker_source_ops ops = {
        .open = redis_open,
        .want = redis_want,
        .finish = redis_finish,
        .load = redis_load,
        .watch = redis_watch,
        .trouble = redis_trouble,
        .free = redis_free,
    };
    struct source_redis *redis = mem_new(sizeof(*redis));

    redis->source.ops = &ops;
    redis->watches = map_new();
    name_consumer(redis);
    if (connect(redis, loop, options, error))
        return &redis->source;
    redis_free(&redis->source);
    return NULL;
}
