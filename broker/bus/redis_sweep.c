/* redis_sweep.c - runs that nobody else ends, and whether the server is fit for us. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "bus/redis_inside.h"

#include <stdlib.h>

/* ---- ending one run ---- */

static void on_ended(void *ctx, enum store_end_status status)
{
    struct bus_redis *bus = ctx;

    if (status == STORE_END_DONE)
        counter_add(bus->ended, 1);
}

/* What ends a run, and what is told of it; "stopped" has no words. */
static const struct verdict {
    const char *code;
    const char *message;
} verdicts[] = {
    [STORE_IF_LEASE_ABSENT] = {"PRODUCER_LOST",
                               "The producer of this run has gone away."},
    [STORE_IF_IDLE] = {"ABANDONED", "No event of this run came for too long."},
    [STORE_IF_QUEUED] = {"QUEUE_TIMEOUT", "No worker took this run up in time."},
    [STORE_IF_STOP_GRACE] = {"", ""},
};

static uint64_t redis_now_ms(const struct bus_redis *bus)
{
    return loop_now_ms(bus->loop) + bus->clock_ahead_ms;
}

static void end_if(struct bus_redis *bus, const struct store_item *item,
                   enum store_condition condition, uint64_t min_age_ms)
{
    struct store_ending ending = {
        .task = item->task,
        .epoch = item->epoch,
        .condition = condition,
        .min_age_ms = min_age_ms,
        .type = condition == STORE_IF_STOP_GRACE ? EVENT_STOPPED : EVENT_ERROR,
        .code = verdicts[condition].code,
        .message = verdicts[condition].message,
    };

    /* Redis may fall silent before it reads this, and producers with it. */
    if (condition == STORE_IF_LEASE_ABSENT)
        ending.not_after_ms = redis_now_ms(bus) + BUS_SILENCE_MS;
    store_end(bus->store, &ending, on_ended, bus);
}

/* ---- the sweep over open runs ---- */

/* Redis must have answered us for a whole lease time before a lease that is absent means
 * anything: while it was silent, healthy producers could not renew theirs. */
static bool may_judge_lease(const struct bus_redis *bus, uint64_t lease_ms)
{
    uint64_t since = bus->steady_since_ms;

#ifdef THINKWIRE_BREAK_LEASE
    return true;
#endif
    return since != 0 && loop_now_ms(bus->loop) - since >= lease_ms;
}

static bool is_older(const struct bus_redis *bus, uint64_t since_ms, uint64_t age_ms)
{
    uint64_t now = redis_now_ms(bus);

    return now > since_ms && now - since_ms >= age_ms;
}

static void sweep_item(void *ctx, const struct store_item *item)
{
    struct bus_redis *bus = ctx;
    const struct bus_limits *limits = &bus->limits;

    bus->swept++;
    if (item->stop_requested)
        end_if(bus, item, STORE_IF_STOP_GRACE, limits->stop_grace_ms);
    else if (item->state == RUN_QUEUED &&
             is_older(bus, item->started_ms, limits->queue_timeout_ms))
        end_if(bus, item, STORE_IF_QUEUED, limits->queue_timeout_ms);
    else if (item->lease_ms == 0 && is_older(bus, item->updated_ms, limits->abandon_ms))
        end_if(bus, item, STORE_IF_IDLE, limits->abandon_ms);
    if (item->lease_ms > 0 && may_judge_lease(bus, item->lease_ms))
        end_if(bus, item, STORE_IF_LEASE_ABSENT, 0);
}

static void sweep_done(void *ctx, bool ok)
{
    struct bus_redis *bus = ctx;

    bus->is_sweeping = false;
    /* From the top again at the end of the set. What was ended meanwhile moves the rest up;
     * the next round finds who was missed. */
    bus->sweep_offset =
        ok && bus->swept == BUS_SWEEP_TASKS ? bus->sweep_offset + bus->swept : 0;
}

/* ---- stops whose grace runs ---- */

struct pending_stop {
    struct list node; /* in bus->stops, by due_ms */
    struct bus_redis *bus;
    uint64_t due_ms;
    uint64_t epoch;
    struct task_key task; /* a copy */
};

static void stop_free(struct pending_stop *stop)
{
    list_remove(&stop->node);
    task_key_release(&stop->task);
    free(stop);
}

void bus_stop_grace(struct bus_redis *bus, const struct task_key *task, uint64_t epoch)
{
    struct pending_stop *stop;

    if (bus->stop_count >= BUS_MAX_STOPS)
        return;
    stop = mem_new(sizeof(*stop));
    stop->bus = bus;
    stop->epoch = epoch;
    stop->due_ms = loop_now_ms(bus->loop) + bus->limits.stop_grace_ms;
    stop->task = task_key_copy(task);
    list_push_back(&bus->stops, &stop->node);
    bus->stop_count++;
}

static void end_stops(struct bus_redis *bus, uint64_t now)
{
    LIST_FOR_EACH(node, next, &bus->stops)
    {
        struct pending_stop *stop = LIST_ENTRY(node, struct pending_stop, node);
        struct store_item item = {.task = stop->task, .epoch = stop->epoch};
        if (stop->due_ms > now)
            return;
        end_if(bus, &item, STORE_IF_STOP_GRACE, bus->limits.stop_grace_ms);
        bus->stop_count--;
        stop_free(stop);
    }
}

static void sweep_part(struct bus_redis *bus)
{
    struct store_listing listing = {.only_open = true,
                                    .offset = bus->sweep_offset,
                                    .limit = BUS_SWEEP_TASKS,
                                    .each = sweep_item,
                                    .done = sweep_done};

    if (bus->is_sweeping)
        return;
    bus->is_sweeping = true;
    bus->swept = 0;
    store_list(bus->store, &listing, bus);
}

/* The answer to TIME tells two things: Redis's clock, and whether it answers at all. */
static void on_time(void *ctx, const struct reply *reply)
{
    struct bus_redis *bus = ctx;
    uint64_t now = loop_now_ms(bus->loop);
    uint64_t took = now - bus->clock_asked_ms;

    bus->clock_asked_ms = 0;
    if (reply == NULL || reply_count(reply) != 2) {
        bus->steady_since_ms = 0;
        return;
    }
    if (took > BUS_SILENCE_MS || bus->steady_since_ms == 0)
        bus->steady_since_ms = now;
    bus->clock_ahead_ms = reply_u64(reply_at(reply, 0)) * 1000 +
                          reply_u64(reply_at(reply, 1)) / 1000 - now;
    end_stops(bus, now);
    sweep_part(bus);
}

void bus_sweep_reset(struct bus_redis *bus)
{
    bus->steady_since_ms = 0;
}

void bus_sweep_tick(struct timer *timer)
{
    struct bus_redis *bus = LIST_ENTRY(timer, struct bus_redis, sweep);
    struct slice argv[1] = {slice_of("TIME")};

    /* Redis away or silent: nothing can be ended, and what is due stays due. */
    if (!link_is_up(bus->commands) || bus->clock_asked_ms != 0)
        return;
    bus->clock_asked_ms = loop_now_ms(bus->loop);
    link_command(bus->commands, argv, 1, on_time, bus);
}

void bus_sweep_release(struct bus_redis *bus)
{
    LIST_FOR_EACH(node, next, &bus->stops)
    stop_free(LIST_ENTRY(node, struct pending_stop, node));
}
