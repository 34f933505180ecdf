/* joining.c - publishing into an unleased run, exactly once although it is not idempotent. */
/* SPDX-License-Identifier: MIT */
#include "emitters/lib/joining.h"

#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 2000

static void finish(struct joining *joining, const struct publish_result *result)
{
    store_published *done = joining->done;
    joining->done = NULL;
    joining->is_unsure = false;
    done(joining->ctx, result); /* may free us */
}

static void finish_as(struct joining *joining, enum publish_status status)
{
    struct publish_result result = {.status = status};
    finish(joining, &result);
}

static void look_later(struct joining *joining)
{
    if (joining->retry_ms < RETRY_MIN_MS)
        joining->retry_ms = RETRY_MIN_MS;
    timer_start(&joining->retry, joining->retry_ms, 0);
    joining->retry_ms *= 2;
    if (joining->retry_ms > RETRY_MAX_MS)
        joining->retry_ms = RETRY_MAX_MS;
}

static void on_retry(struct timer *timer)
{
    struct joining *joining = LIST_ENTRY(timer, struct joining, retry);
    joining->far->look(joining, &joining->request.task);
}

static void publish(struct emitter_sink *sink, const struct publish_request *request,
                    store_published *done, void *ctx)
{
    struct joining *joining = LIST_ENTRY(sink, struct joining, sink);
    joining->request = *request;
    joining->done = done;
    joining->ctx = ctx;
    if (joining->has_looked)
        joining->far->post(joining, request);
    else
        joining->far->look(joining, &request->task);
}

static void free_sink(struct emitter_sink *sink)
{
    struct joining *joining = LIST_ENTRY(sink, struct joining, sink);
    joining->far->free(joining);
}

void joining_init(struct joining *joining, struct loop *loop,
                  const struct joining_far *far)
{
    static const struct emitter_sink_ops ops = {
        .publish = publish,
        .free = free_sink,
        .max_in_flight = 1,
        .max_batch_bytes = SINK_HTTP_BATCH_BYTES,
    };
    *joining = (struct joining){.sink = {&ops}, .far = far};
    timer_init(&joining->retry, loop, on_retry);
}

void joining_release(struct joining *joining)
{
    timer_release(&joining->retry);
    if (joining->done != NULL)
        finish_as(joining, PUBLISH_UNAVAILABLE);
}

void joining_posted(struct joining *joining, enum post_outcome outcome,
                    const struct publish_result *result)
{
    if (joining->done == NULL)
        return;
    if (outcome == POST_UNKNOWN) {
        joining->is_unsure = true;
        look_later(joining);
        return;
    }
    if (outcome == POST_NOT_WRITTEN) {
        finish_as(joining, PUBLISH_UNAVAILABLE);
        return;
    }
    if (result->status == PUBLISH_OK)
        joining->last = result->last;
    finish(joining, result);
}

static bool was_written(const struct joining *joining, bool is_known,
                        struct event_id now)
{
    if (!is_known)
        return false;
    if (now.epoch == joining->last.epoch)
        return now.seq > joining->last.seq;
    /* A newer run: ours if it holds what we posted. */
    return now.seq >= joining->request.count;
}

void joining_looked(struct joining *joining, bool is_known, struct event_id last)
{
    if (joining->done == NULL)
        return;
    bool written = joining->is_unsure && was_written(joining, is_known, last);
    joining->has_looked = true;
    joining->retry_ms = 0;
    joining->last = is_known ? last : (struct event_id){0, 0, false};
    if (!joining->is_unsure) {
        joining->far->post(joining, &joining->request);
        return;
    }
    if (!written) {
        finish_as(joining, PUBLISH_UNAVAILABLE);
        return;
    }
    struct publish_result result = {.status = PUBLISH_OK, .first = last, .last = last};
    result.first.seq = last.seq - joining->request.count + 1;
    finish(joining, &result);
}

void joining_not_looked(struct joining *joining)
{
    if (joining->done != NULL)
        look_later(joining);
}

void joining_blind(struct joining *joining)
{
    if (joining->done == NULL)
        return;
    joining->has_looked = true;
    if (joining->is_unsure)
        finish_as(joining, PUBLISH_REJECTED); /* twice would be worse than not at all */
    else
        joining->far->post(joining, &joining->request);
}
