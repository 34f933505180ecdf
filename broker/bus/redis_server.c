/* redis_server.c - what the operator must know of the server: fit, full, refusing. */
/* SPDX-License-Identifier: MIT */
#include "bus/redis_inside.h"

#include <stdio.h>

/* At the start a server that is there answers within it; one that is not is waited for while
 * the broker already serves. */
#define JUDGE_MS 2000
/* A refusal is old news after it, unless another one came. */
#define REFUSAL_MS 6000
/* How often diagnostics repeat that writes are refused. */
#define REFUSAL_TOLD_MS 30000

/* ---- fit or not ---- */

static void on_fitness(void *ctx, enum fitness_state state)
{
    struct bus_redis *bus = ctx;
    struct buf words;

    counter_add(bus->unfit[state], 1);
    /* At the start the caller says it, and ends. */
    if (!bus->is_judged && fitness_is_unfit(bus->fitness))
        return;
    buf_init(&words, 4096);
    fitness_explain(bus->fitness, &words);
    if (words.len > 0)
        diag(state == FITNESS_UNCHECKED ? DIAG_WARN : DIAG_ERROR,
             "redis is not as it should be",
             DIAG_S("fitness", fitness_state_name(state)),
             DIAG_S("remedy", buf_text(&words)));
    buf_release(&words);
}

void bus_server_up(struct bus_redis *bus)
{
    bus->is_refusing = false;
    fitness_begin(bus->fitness);
}

const char *bus_server_trouble(const struct bus_redis *bus)
{
    const char *trouble = fitness_trouble(bus->fitness);

    if (trouble == NULL && bus->is_refusing)
        trouble = store_refusal_text(bus->refusal);
    return trouble;
}

/* ---- the start ---- */

static bool is_decided(const struct bus_redis *bus)
{
    const char *trouble = link_trouble(bus->commands);

    if (trouble != NULL)
        return strcmp(trouble, LINK_CONNECTING_TEXT) != 0;
    return fitness_state(bus->fitness) != FITNESS_UNASKED;
}

struct judging {
    struct timer timer;
    struct bus_redis *bus;
    uint64_t deadline_ms;
};

static void on_judging(struct timer *timer)
{
    struct judging *judging = LIST_ENTRY(timer, struct judging, timer);
    struct bus_redis *bus = judging->bus;

    if (is_decided(bus) || loop_now_ms(bus->loop) >= judging->deadline_ms)
        loop_stop(bus->loop);
}

bool bus_server_judge(struct bus *base, struct buf *error)
{
    struct bus_redis *bus = LIST_ENTRY(base, struct bus_redis, bus);
    struct judging judging = {.bus = bus,
                              .deadline_ms = loop_now_ms(bus->loop) + JUDGE_MS};

    timer_init(&judging.timer, bus->loop, on_judging);
    timer_start(&judging.timer, 1, 1);
    loop_run(bus->loop);
    timer_release(&judging.timer);
    bus->is_judged = true;
    if (!fitness_is_unfit(bus->fitness))
        return true;
    fitness_explain(bus->fitness, error);
    return false;
}

/* ---- writes that are refused ---- */

static void on_refused(void *ctx, enum store_refusal refusal)
{
    struct bus_redis *bus = ctx;
    uint64_t now = loop_now_ms(bus->loop);
    bool is_news = !bus->is_refusing || bus->refusal != refusal;

    counter_add(bus->refusals[refusal], 1);
    if (!bus->is_refusing)
        bus->refused_count = 0;
    bus->is_refusing = true;
    bus->refusal = refusal;
    bus->refused_ms = now;
    bus->refused_count++;
    if (!timer_is_active(&bus->recovery))
        timer_start(&bus->recovery, REFUSAL_MS, REFUSAL_MS);
    if (!is_news && now - bus->refusal_told_ms < REFUSAL_TOLD_MS)
        return;
    bus->refusal_told_ms = now;
    diag(DIAG_ERROR, "redis refuses writes",
         DIAG_S("redis", link_target(bus->commands)),
         DIAG_S("reason", store_refusal_text(refusal)),
         DIAG_N("refused", bus->refused_count));
    if (refusal == STORE_REFUSED_FULL)
        fitness_ask(bus->fitness);
}

static void on_recovery(struct timer *timer)
{
    struct bus_redis *bus = LIST_ENTRY(timer, struct bus_redis, recovery);

    if (loop_now_ms(bus->loop) - bus->refused_ms < REFUSAL_MS)
        return;
    timer_stop(timer);
    if (bus->is_refusing)
        diag(DIAG_INFO, "redis has refused no writes for a while",
             DIAG_S("redis", link_target(bus->commands)),
             DIAG_N("refused", bus->refused_count));
    bus->is_refusing = false;
}

/* ---- ends of runs ---- */

static void on_round(void *ctx, enum confirm_outcome outcome, size_t count)
{
    struct bus_redis *bus = ctx;

    counter_add(bus->confirms[outcome], count);
}

void bus_server_confirm(struct bus_redis *bus, const char *url, const char *prefix)
{
    const struct confirm_options options = {.prefix = prefix,
                                            .wait_ms = bus->limits.redis_wait_ms,
                                            .on_round = on_round,
                                            .ctx = bus};

    if (options.wait_ms == 0)
        return;
    bus->confirm = confirm_new(bus->loop, bus->commands, url, &options);
    store_set_confirm(bus->store, bus->confirm);
}

/* ---- life ---- */

void bus_server_watch(struct bus_redis *bus, struct counters *counters)
{
    static const char *const outcomes[] = {
        [CONFIRM_DONE] = "outcome=\"done\"",
        [CONFIRM_LATE] = "outcome=\"late\"",
        [CONFIRM_LOST] = "outcome=\"lost\"",
    };
    const struct fitness_options options = {.on_change = on_fitness, .ctx = bus};
    char label[64];

    for (int i = 0; i < STORE_REFUSALS; i++) {
        (void)snprintf(label, sizeof(label), "reason=\"%s\"",
                       store_refusal_name((enum store_refusal)i));
        bus->refusals[i] = counters_add(
            counters, COUNTER_TOTAL, "redis_refusals_total", label,
            "What this broker wrote and Redis refused, and what an ACL denied");
    }
    for (int i = 0; i < FITNESS_STATES; i++) {
        (void)snprintf(label, sizeof(label), "state=\"%s\"",
                       fitness_state_name((enum fitness_state)i));
        bus->unfit[i] =
            counters_add(counters, COUNTER_TOTAL, "redis_fitness_total", label,
                         "Times Redis was found in this state, coming from another");
    }
    for (int i = 0; i <= CONFIRM_LOST; i++)
        bus->confirms[i] =
            counters_add(counters, COUNTER_TOTAL, "redis_confirms_total", outcomes[i],
                         "Ends of runs that waited for a replica, by what came of it");
    timer_init(&bus->recovery, bus->loop, on_recovery);
    bus->fitness = fitness_new(bus->loop, bus->commands, &options);
    store_on_refused(bus->store, on_refused, bus);
}

void bus_server_release(struct bus_redis *bus)
{
    timer_release(&bus->recovery);
    fitness_free(bus->fitness);
    bus->fitness = NULL;
}
