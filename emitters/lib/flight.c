/* flight.c - an emitter's way to the far end: opening, publishing, repeating, renewing. */
/* SPDX-License-Identifier: MIT */
#include "emitters/lib/emitter_inside.h"

#include "base/mem.h"

#include <stdlib.h>

#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 1000

void emitter_wake(struct emitter *emitter)
{
    emitter->was_settled = emitter->was_settled && emitter_is_settled(emitter);
    turn_defer(emitter->loop, &emitter->pump);
}

static bool has_leases(const struct emitter *emitter)
{
    return emitter->sink->ops->renew != NULL && emitter->options.lease_ms > 0;
}

static void end(struct emitter *emitter, enum publish_status status)
{
    if (emitter->phase == PHASE_OVER)
        return;
    emitter->phase = PHASE_OVER;
    emitter->ended_as = status;
    emitter_let_go(emitter);
    timer_stop(&emitter->window);
    timer_stop(&emitter->retry);
    timer_stop(&emitter->lease);
    outbox_release(&emitter->outbox);
    emitter->stats.unsent_bytes = 0;
    turn_defer(emitter->loop, &emitter->pump);
}

/* ---- tickets ---- */

static struct ticket *ticket_new(struct emitter *emitter, struct batch *batch)
{
    struct ticket *ticket = mem_new(sizeof(*ticket));
    ticket->emitter = emitter;
    ticket->batch = batch;
    return ticket;
}

static void drop_ticket(struct ticket **ticket)
{
    if (*ticket != NULL)
        (*ticket)->emitter = NULL;
    *ticket = NULL;
}

void emitter_let_go(struct emitter *emitter)
{
    drop_ticket(&emitter->opening);
    drop_ticket(&emitter->renewing);
    LIST_FOR_EACH(it, tmp, &emitter->outbox.batches)
    {
        drop_ticket(&LIST_ENTRY(it, struct batch, node)->ticket);
    }
    emitter->outbox.in_flight = 0;
}

/* ---- retrying ---- */

static void retry_later(struct emitter *emitter)
{
    uint64_t wait = emitter->retry_ms < RETRY_MIN_MS ? RETRY_MIN_MS : emitter->retry_ms;
    /* Jitter, so that a thousand emitters do not come back in one turn. */
    uint64_t spread = random_below((uint32_t)(wait / 2 + 1));
    emitter->retry_ms = wait * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : wait * 2;
    timer_start(&emitter->retry, wait - spread, 0);
}

void emitter_on_retry(struct timer *timer)
{
    struct emitter *emitter = LIST_ENTRY(timer, struct emitter, retry);
    emitter->is_stalled = false;
    emitter_wake(emitter);
}

void emitter_on_window(struct timer *timer)
{
    struct emitter *emitter = LIST_ENTRY(timer, struct emitter, window);
    emitter->window_passed = true;
    emitter_wake(emitter);
}

/* ---- opening ---- */

static void refreshed(struct emitter *emitter)
{
    emitter->fresh_at_ms = loop_now_ms(emitter->loop);
    emitter->retry_ms = 0;
}

static void on_opened(void *ctx, enum publish_status status, uint64_t epoch)
{
    struct ticket *ticket = ctx;
    struct emitter *emitter = ticket->emitter;
    free(ticket);
    if (emitter == NULL)
        return;
    emitter->opening = NULL;
    if (status == PUBLISH_UNAVAILABLE) {
        emitter->phase = PHASE_UNOPENED;
        retry_later(emitter);
        return;
    }
    if (status != PUBLISH_OK) {
        end(emitter, status);
        return;
    }
    emitter->phase = PHASE_OPEN;
    emitter->epoch = epoch;
    if (emitter->stop_told_epoch != UINT64_MAX)
        emitter->stop_told_epoch = 0;
    emitter->next_counter = 1;
    refreshed(emitter);
    if (has_leases(emitter))
        timer_start(&emitter->lease, emitter->options.lease_ms / 3 + 1, 0);
    emitter_wake(emitter);
}

static void start_opening(struct emitter *emitter)
{
    const struct emitter_options *o = &emitter->options;
    bool is_again = emitter->stats.reopened > 0;
    struct run_open_request request = {
        .task = o->task,
        .producer = o->producer,
        .lease_ms = o->lease_ms,
        .state = is_again ? RUN_RUNNING : o->opens_as,
        /* What Redis has lost cannot be kept: it is published again. */
        .keeps_text = o->keeps_text && !is_again,
        .request = o->request,
    };
    emitter->phase = PHASE_OPENING;
    emitter->opening = ticket_new(emitter, NULL);
    emitter->sink->ops->open(emitter->sink, &request, emitter->claim_epoch, on_opened,
                             emitter->opening);
}

static void say_again(struct emitter *emitter, enum event_type type,
                      const struct spoken *spoken)
{
    if (spoken->utf8.len > 0)
        outbox_add_delta(&emitter->outbox, type, spoken_all(spoken), spoken->first_at);
}

/* The far end has lost data: a new epoch, and all that readers need once more. */
static void reopen(struct emitter *emitter)
{
    struct outbox *outbox = &emitter->outbox;
    struct list kept;
    emitter_let_go(emitter);
    timer_stop(&emitter->lease);
    emitter->claim_epoch = 0;
    emitter->stats.reopened++;
    emitter->is_stalled = false;
    outbox_unpack(outbox);
    list_init(&kept);
    list_splice(&kept, &outbox->items);
    size_t before = outbox->item_bytes;
    say_again(emitter, EVENT_REASONING, &emitter->reasoning);
    say_again(emitter, EVENT_TEXT, &emitter->text);
    emitter->allowance_bytes = outbox->item_bytes - before;
    list_splice(&outbox->items, &kept);
    emitter->phase = PHASE_UNOPENED;
    /* Not at once: a server that forgets everything must not be asked in a tight loop. */
    retry_later(emitter);
}

/* ---- answers ---- */

static void note_stop(struct emitter *emitter, const struct publish_result *result)
{
    if (result->stop_requested && emitter->stop_told_epoch == 0) {
        emitter->stop_told_epoch = UINT64_MAX; /* to be told by the pump */
        emitter_wake(emitter);
    }
}

/* Over HTTP the epoch is known from the first answer on. A guest of a run may see it
 * change: then the broker has lost what was there before. */
static void note_epoch(struct emitter *emitter, uint64_t epoch)
{
    if (emitter->epoch != 0 && emitter->epoch != epoch)
        emitter->stats.restarts++;
    emitter->epoch = epoch;
}

static void acknowledge(struct emitter *emitter, struct batch *batch,
                        const struct publish_result *result)
{
    bool has_terminal = batch->has_terminal;
    emitter->stats.published += batch->count;
    outbox_ack(&emitter->outbox, batch);
    if (list_is_empty(&emitter->outbox.batches))
        emitter->allowance_bytes = 0;
    refreshed(emitter);
    if (result->last.epoch != 0)
        note_epoch(emitter, result->last.epoch);
    note_stop(emitter, result);
    if (has_terminal)
        end(emitter, PUBLISH_OK);
    else
        emitter_wake(emitter);
}

/* Go back: once everything in flight is answered, all batches are sent again in order. */
static void stall(struct emitter *emitter)
{
    emitter->is_stalled = true;
    if (emitter->outbox.in_flight == 0)
        retry_later(emitter);
}

/* A gap before our oldest batch is lost data; one behind it only means that an earlier
 * batch of ours failed on the way. */
static bool is_own_gap(const struct emitter *emitter, uint64_t expected)
{
    struct batch *oldest = LIST_ENTRY(emitter->outbox.batches.next, struct batch, node);
    return expected >= oldest->counter;
}

static void take_answer(struct emitter *emitter, struct batch *batch,
                        const struct publish_result *result)
{
    switch (result->status) {
    case PUBLISH_OK:
        acknowledge(emitter, batch, result);
        if (emitter->is_stalled && emitter->outbox.in_flight == 0)
            retry_later(emitter);
        return;
    case PUBLISH_UNAVAILABLE:
        stall(emitter);
        return;
    case PUBLISH_GAP:
        if (is_own_gap(emitter, result->expected_counter))
            stall(emitter);
        else
            reopen(emitter);
        return;
    case PUBLISH_UNKNOWN_RUN:
        reopen(emitter);
        return;
    case PUBLISH_FENCED:
    case PUBLISH_ENDED:
    case PUBLISH_TOO_LARGE:
    case PUBLISH_REJECTED:
        end(emitter, result->status);
        return;
    }
}

static void on_published(void *ctx, const struct publish_result *result)
{
    struct ticket *ticket = ctx;
    struct emitter *emitter = ticket->emitter;
    struct batch *batch = ticket->batch;
    free(ticket);
    if (emitter == NULL)
        return;
    batch->ticket = NULL;
    emitter->outbox.in_flight--;
    take_answer(emitter, batch, result);
}

/* ---- publishing ---- */

static void send_batch(struct emitter *emitter, struct batch *batch)
{
    struct publish_request request = {
        .task = emitter->options.task,
        .epoch = emitter->epoch,
        .counter = batch->counter,
        .events = batch->events,
        .count = batch->count,
    };
    if (emitter->sink->ops->open != NULL)
        request.producer = emitter->options.producer;
    emitter->stats.publishes++;
    if (batch->was_sent)
        emitter->stats.retries++;
    batch->was_sent = true;
    batch->ticket = ticket_new(emitter, batch);
    emitter->outbox.in_flight++;
    emitter->window_passed = false;
    timer_stop(&emitter->window);
    emitter->sink->ops->publish(emitter->sink, &request, on_published, batch->ticket);
}

/* May what waits leave now, although something is in flight? */
static bool may_leave(struct emitter *emitter)
{
    const struct outbox *outbox = &emitter->outbox;
    if (outbox->in_flight == 0 || emitter->options.window_ms == 0 ||
        outbox->is_urgent || emitter->window_passed)
        return true;
    if (!timer_is_active(&emitter->window))
        timer_start(&emitter->window, emitter->options.window_ms, 0);
    return false;
}

static void send_what_may(struct emitter *emitter)
{
    struct outbox *outbox = &emitter->outbox;
    const struct emitter_sink_ops *ops = emitter->sink->ops;
    LIST_FOR_EACH(it, tmp, &outbox->batches)
    {
        struct batch *batch = LIST_ENTRY(it, struct batch, node);
        if (outbox->in_flight >= ops->max_in_flight)
            return;
        if (batch->ticket == NULL)
            send_batch(emitter, batch);
    }
    while (outbox->in_flight < ops->max_in_flight && !list_is_empty(&outbox->items) &&
           may_leave(emitter)) {
        struct batch *batch = outbox_pack(outbox, emitter->options.task.task_id,
                                          emitter->next_counter, ops->max_batch_bytes);
        emitter->next_counter += batch->count;
        send_batch(emitter, batch);
    }
}

/* ---- renewing ---- */

static void on_renewed(void *ctx, const struct publish_result *result)
{
    struct ticket *ticket = ctx;
    struct emitter *emitter = ticket->emitter;
    free(ticket);
    if (emitter == NULL)
        return;
    emitter->renewing = NULL;
    switch (result->status) {
    case PUBLISH_OK:
        refreshed(emitter);
        note_stop(emitter, result);
        return;
    case PUBLISH_UNKNOWN_RUN:
        reopen(emitter);
        return;
    case PUBLISH_FENCED:
    case PUBLISH_ENDED:
        /* With a publish in flight, its answer tells: it may be our own end. */
        if (emitter->outbox.in_flight == 0)
            end(emitter, result->status);
        return;
    case PUBLISH_GAP:
    case PUBLISH_TOO_LARGE:
    case PUBLISH_UNAVAILABLE:
    case PUBLISH_REJECTED:
        return; /* the next renewal tells more */
    }
}

/* Publishing renews as well, so only a quiet run needs this. */
void emitter_on_lease(struct timer *timer)
{
    struct emitter *emitter = LIST_ENTRY(timer, struct emitter, lease);
    uint64_t third = emitter->options.lease_ms / 3 + 1;
    uint64_t age = loop_now_ms(emitter->loop) - emitter->fresh_at_ms;
    timer_start(timer, third, 0);
    if (emitter->phase != PHASE_OPEN || emitter->renewing != NULL || age + 1 < third)
        return;
    struct store_renewal renewal = {
        .task = emitter->options.task,
        .producer = emitter->options.producer,
        .epoch = emitter->epoch,
        .lease_ms = emitter->options.lease_ms,
    };
    emitter->renewing = ticket_new(emitter, NULL);
    emitter->sink->ops->renew(emitter->sink, &renewal, on_renewed, emitter->renewing);
}

/* ---- the end of a turn ---- */

/* Tells at most one thing, and last: the owner may free the emitter in it. */
static void tell(struct emitter *emitter)
{
    const struct emitter_options *o = &emitter->options;
    if (emitter->phase == PHASE_OVER) {
        bool is_news = !emitter->end_told;
        emitter->end_told = true;
        if (is_news && o->on_ended != NULL)
            o->on_ended(o->ctx, emitter->ended_as);
        return;
    }
    if (emitter->stop_told_epoch == UINT64_MAX) {
        emitter->stop_told_epoch = emitter->epoch;
        emitter_wake(emitter);
        if (o->on_stop != NULL)
            o->on_stop(o->ctx);
        return;
    }
    if (!emitter->was_settled && emitter_is_settled(emitter)) {
        emitter->was_settled = true;
        if (o->on_settled != NULL)
            o->on_settled(o->ctx);
    }
}

void emitter_pump(struct turn_task *task)
{
    struct emitter *emitter = LIST_ENTRY(task, struct emitter, pump);
    bool is_waiting = emitter->is_stalled || timer_is_active(&emitter->retry);
    if (emitter->phase == PHASE_UNOPENED && !is_waiting)
        start_opening(emitter);
    if (emitter->phase == PHASE_OPEN && !is_waiting)
        send_what_may(emitter);
    emitter->stats.unsent_bytes = outbox_bytes(&emitter->outbox);
    tell(emitter);
}
