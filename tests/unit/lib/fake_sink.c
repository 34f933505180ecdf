/* fake_sink.c - a far end that the test answers for. */
/* SPDX-License-Identifier: MIT */
#include "fake_sink.h"

#include <stdlib.h>

static struct fake_sink *fake_of(struct emitter_sink *sink)
{
    return LIST_ENTRY(sink, struct fake_sink, sink);
}

static void on_open(struct emitter_sink *sink, const struct run_open_request *request,
                    uint64_t claim_epoch, store_opened *done, void *ctx)
{
    struct fake_sink *fake = fake_of(sink);
    fake->open = *request;
    fake->claimed = claim_epoch;
    fake->opens++;
    fake->opened = done;
    fake->opened_ctx = ctx;
}

static void on_publish(struct emitter_sink *sink, const struct publish_request *request,
                       store_published *done, void *ctx)
{
    struct fake_sink *fake = fake_of(sink);
    if (fake->count == FAKE_MAX_CALLS)
        abort();
    struct fake_call *call = &fake->calls[fake->count++];
    buf_init(&call->lines, 64U << 20);
    for (size_t i = 0; i < request->count; i++) {
        buf_slice(&call->lines, request->events[i].json);
        buf_putc(&call->lines, '\n');
    }
    call->counter = request->counter;
    call->epoch = request->epoch;
    call->count = request->count;
    call->done = done;
    call->ctx = ctx;
}

static void on_renew(struct emitter_sink *sink, const struct store_renewal *renewal,
                     store_published *done, void *ctx)
{
    struct fake_sink *fake = fake_of(sink);
    (void)renewal;
    fake->renewals++;
    fake->renewed = done;
    fake->renewed_ctx = ctx;
}

void fake_init(struct fake_sink *fake)
{
    memset(fake, 0, sizeof(*fake));
    fake->ops = (struct emitter_sink_ops){.open = on_open,
                                          .publish = on_publish,
                                          .renew = on_renew,
                                          .max_in_flight = 4,
                                          .max_batch_bytes = 1U << 20};
    fake->sink.ops = &fake->ops;
}

void fake_open(struct fake_sink *fake, enum publish_status status, uint64_t epoch)
{
    store_opened *done = fake->opened;
    if (done == NULL)
        abort();
    fake->opened = NULL;
    done(fake->opened_ctx, status, epoch);
}

static void answer(struct fake_call *call, const struct publish_result *result)
{
    store_published *done = call->done;
    if (done == NULL)
        abort();
    call->done = NULL;
    done(call->ctx, result);
}

void fake_answer(struct fake_sink *fake, size_t call, enum publish_status status)
{
    struct publish_result result = {.status = status};
    answer(&fake->calls[call], &result);
}

void fake_answer_gap(struct fake_sink *fake, size_t call, uint64_t expected)
{
    struct publish_result result = {.status = PUBLISH_GAP,
                                    .expected_counter = expected};
    answer(&fake->calls[call], &result);
}

void fake_answer_stop(struct fake_sink *fake, size_t call)
{
    struct publish_result result = {.status = PUBLISH_OK, .stop_requested = true};
    answer(&fake->calls[call], &result);
}

void fake_renew(struct fake_sink *fake, enum publish_status status)
{
    struct publish_result result = {.status = status};
    store_published *done = fake->renewed;
    if (done == NULL)
        abort();
    fake->renewed = NULL;
    done(fake->renewed_ctx, &result);
}

const char *fake_lines(struct fake_sink *fake, size_t call)
{
    return buf_text(&fake->calls[call].lines);
}

/* Answers nobody waits for any more are still given: that must be harmless. */
void fake_release(struct fake_sink *fake)
{
    if (fake->opened != NULL)
        fake_open(fake, PUBLISH_UNAVAILABLE, 0);
    if (fake->renewed != NULL)
        fake_renew(fake, PUBLISH_UNAVAILABLE);
    for (size_t i = 0; i < fake->count; i++) {
        if (fake->calls[i].done != NULL)
            fake_answer(fake, i, PUBLISH_UNAVAILABLE);
        buf_release(&fake->calls[i].lines);
    }
}
