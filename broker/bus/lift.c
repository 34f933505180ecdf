/* lift.c - Frappe's progress into the durable log, through one elected broker. */
/* SPDX-License-Identifier: MIT */
#include "bus/lift.h"

#include "base/clock.h"
#include "base/mem.h"
#include "bus/redis_inside.h"
#include "redis/store_lift.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_SIZE 64

struct bus_lift {
    struct bus_redis *bus;
    struct timer tick;
    char who[NAME_SIZE];
    uint64_t names;    /* how many this broker has written under */
    uint64_t term;     /* of the last election that was won */
    uint64_t until_ms; /* elected until then; 0 = not */
    uint64_t asked_ms; /* when the question on its way was asked */
    unsigned asking;   /* questions on their way */
    bool is_heard;
    bool has_resigned;
    size_t in_flight;
    size_t bytes;
    struct counter *lifted;
    struct counter *native;
    struct counter *missed;
    struct counter *elected; /* a gauge: 0 or 1 */
};

/* An event on its way. */
struct flight {
    struct bus_lift *lift;
    size_t bytes;
};

static bool is_elected(const struct bus_lift *lift)
{
    return loop_now_ms(lift->bus->loop) < lift->until_ms;
}

/* ---- election ---- */

static void settle(struct bus_lift *lift, uint64_t until_ms)
{
    bool was_elected = lift->elected->value != 0;

    lift->until_ms = until_ms;
    lift->elected->value = is_elected(lift) ? 1 : 0;
    if (was_elected != is_elected(lift))
        diag(DIAG_INFO, is_elected(lift) ? "lift elected" : "lift given up",
             DIAG_N("term", lift->term));
}

/* Something may have been missed: what comes next is another run. */
static void take_new_name(struct bus_lift *lift)
{
    lift->names++;
}

static void on_elected(void *ctx, uint64_t term)
{
    struct bus_lift *lift = ctx;

    /* An earlier answer is out of date: we have stepped back since. */
    if (--lift->asking > 0)
        return;
    if (term == 0 || lift->has_resigned || !lift->is_heard) {
        settle(lift, 0);
        return;
    }
    if (term != lift->term)
        take_new_name(lift);
    lift->term = term;
    settle(lift, lift->asked_ms + LIFT_LASTS_MS - LIFT_MARGIN_MS);
}

static void ask(struct bus_lift *lift, uint64_t lasts_ms)
{
    lift->asking++;
    lift->asked_ms = loop_now_ms(lift->bus->loop);
    store_elect(lift->bus->store, slice_of(lift->who), lasts_ms, on_elected, lift);
}

static void on_tick(struct timer *timer)
{
    struct bus_lift *lift = LIST_ENTRY(timer, struct bus_lift, tick);

    if (!is_elected(lift))
        settle(lift, 0);
    if (lift->asking == 0 && lift->is_heard && !lift->has_resigned &&
        link_is_up(lift->bus->commands))
        ask(lift, LIFT_LASTS_MS);
}

/* Also when the answer to an election is still on its way: else it would be won by somebody
 * who does not lift, and nobody would until its time is over. */
static void step_back(struct bus_lift *lift)
{
    if (lift->until_ms != 0 || lift->asking > 0)
        ask(lift, 0);
    settle(lift, 0);
}

void bus_lift_resign(struct bus_lift *lift)
{
    if (lift == NULL)
        return;
    lift->has_resigned = true;
    step_back(lift);
}

void bus_lift_hears(struct bus_lift *lift, bool is_heard)
{
    take_new_name(lift);
    lift->is_heard = is_heard;
    if (!is_heard)
        step_back(lift);
}

/* ---- events ---- */

static void on_lifted(void *ctx, enum store_lift_status status)
{
    struct flight *flight = ctx;
    struct bus_lift *lift = flight->lift;

    lift->in_flight--;
    lift->bytes -= flight->bytes;
    free(flight);
    switch (status) {
    case STORE_LIFT_DONE:
        counter_add(lift->lifted, 1);
        return;
    case STORE_LIFT_NATIVE:
        counter_add(lift->native, 1);
        return;
    case STORE_LIFT_FENCED:
        settle(lift, 0);
        break;
    case STORE_LIFT_UNAVAILABLE:
        break;
    }
    counter_add(lift->missed, 1);
    take_new_name(lift);
}

void bus_lift_event(struct bus_lift *lift, const struct task_key *task,
                    struct slice type, struct slice json)
{
    char name[NAME_SIZE + 24];
    struct store_lift event = {
        .task = *task, .term = lift->term, .type = type, .json = json};
    struct flight *flight;

    if (!is_elected(lift))
        return;
    if (lift->in_flight >= LIFT_MAX_IN_FLIGHT ||
        lift->bytes + json.len > LIFT_MAX_BYTES) {
        counter_add(lift->missed, 1);
        take_new_name(lift);
        return;
    }
    (void)snprintf(name, sizeof(name), "%s-%" PRIu64, lift->who, lift->names);
    event.lifter = slice_of(name);
    flight = mem_new(sizeof(*flight));
    flight->lift = lift;
    flight->bytes = json.len;
    lift->in_flight++;
    lift->bytes += json.len;
    store_lift(lift->bus->store, &event, on_lifted, flight);
}

/* ---- life ---- */

struct bus_lift *bus_redis_lift(struct bus *bus, struct counters *counters)
{
    struct bus_lift *lift = mem_new(sizeof(*lift));
    uint64_t nonce[2];

    lift->bus = LIST_ENTRY(bus, struct bus_redis, bus);
    lift->bus->lift = lift;
    random_bytes(nonce, sizeof(nonce));
    (void)snprintf(lift->who, sizeof(lift->who), "lift-%016" PRIx64 "%016" PRIx64,
                   nonce[0], nonce[1]);
    lift->lifted = counters_add(counters, COUNTER_TOTAL, "lift_events_total",
                                "outcome=\"written\"",
                                "Events of Frappe's channel for the durable log");
    lift->native = counters_add(counters, COUNTER_TOTAL, "lift_events_total",
                                "outcome=\"native_run\"",
                                "Events of Frappe's channel for the durable log");
    lift->missed =
        counters_add(counters, COUNTER_TOTAL, "lift_events_total", "outcome=\"missed\"",
                     "Events of Frappe's channel for the durable log");
    lift->elected = counters_add(counters, COUNTER_GAUGE, "lift_elected", NULL,
                                 "This broker is the one that lifts");
    timer_init(&lift->tick, lift->bus->loop, on_tick);
    timer_start(&lift->tick, 1 + random_below(LIFT_RENEW_MS / 4), LIFT_RENEW_MS);
    return lift;
}

void bus_lift_free(struct bus_lift *lift)
{
    if (lift == NULL)
        return;
    timer_release(&lift->tick);
    free(lift);
}
