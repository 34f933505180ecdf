/* await.c - waits for the end of a run and tells how it went. */
/* SPDX-License-Identifier: MIT */
#include "api/internal.h"
#include "api/submit.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

struct api_await {
    struct reader reader;
    struct list node; /* in api->awaits */
    uint64_t epoch;
    void (*done)(void *ctx, const struct api_outcome *outcome);
    void *ctx;
};

void api_await_cancel(struct api_await *await)
{
    reader_detach(&await->reader);
    list_remove(&await->node);
    free(await);
}

static void tell(struct api_await *await, const struct api_outcome *outcome)
{
    void (*done)(void *ctx, const struct api_outcome *outcome) = await->done;
    void *ctx = await->ctx;

    /* The topic stays: nothing is swept inside a turn. */
    api_await_cancel(await);
    done(ctx, outcome);
}

static void tell_end(struct api_await *await)
{
    const struct topic *topic = await->reader.topic;
    const struct run *run = topic_run(topic);
    const struct entry *last = topic_entry(topic, topic_next(topic) - 1);
    struct api_outcome outcome = {
        .state = run->state,
        .text = buf_view(&run->text.utf8),
        .reasoning = buf_view(&run->reasoning.utf8),
    };

    if (last != NULL && topic_next(topic) > run->first_pos)
        outcome.end = last->body;
    tell(await, &outcome);
}

static void on_wake(struct reader *reader)
{
    struct api_await *await = LIST_ENTRY(reader, struct api_await, reader);
    const struct topic *topic = reader->topic;
    const struct run *run = topic_run(topic);
    struct api_outcome unknown = {.state = RUN_UNKNOWN, .was_erased = true};

    if (topic_phase(topic) != TOPIC_READY)
        return;
    reader->pos = topic_next(topic);
    if (topic_was_erased(topic))
        tell(await, &unknown);
    else if (run_state_is_final(run->state) && run->epoch >= await->epoch)
        tell_end(await);
}

struct api_await *api_await(struct api *api, const struct task_key *task,
                            uint64_t epoch,
                            void (*done)(void *ctx, const struct api_outcome *outcome),
                            void *ctx)
{
    struct topic *topic = hub_task(api->hub, task);
    struct api_await *await;

    if (topic == NULL)
        return NULL;
    await = mem_new(sizeof(*await));
    await->epoch = epoch;
    await->done = done;
    await->ctx = ctx;
    list_push_back(&api->awaits, &await->node);
    reader_init(&await->reader, on_wake);
    reader_attach(&await->reader, topic, topic_next(topic));
    return await;
}

void api_free_awaits(struct api *api)
{
    struct api_outcome unknown = {.state = RUN_UNKNOWN};

    LIST_FOR_EACH(node, next, &api->awaits)
    tell(LIST_ENTRY(node, struct api_await, node), &unknown);
}

unsigned api_status_of_code(struct slice code)
{
    static const struct {
        const char *code;
        unsigned status;
    } table[] = {
        {"RATE_LIMIT", 429},      {"OPENAI_TIMEOUT", 504},
        {"SERVER_ERROR", 502},    {"MODEL_NOT_FOUND", 404},
        {"BAD_REQUEST", 422},     {"PROVIDER_REFUSED", 400},
        {"CONTENT_FILTER", 422},  {"BREAKER_OPEN", 503},
        {"QUEUE_TIMEOUT", 503},   {"PROVIDER_UNREACHABLE", 502},
        {"EMPTY_RESPONSE", 502},  {"PROVIDER_AUTH", 502},
        {"PROVIDER_CREDIT", 502}, {"SUPERSEDED", 409},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (slice_is(code, table[i].code))
            return table[i].status;
    }
    return 500;
}
