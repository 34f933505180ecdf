/* redis.c - the bus over Redis: streams are the truth, live channels the hint. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "bus/redis_inside.h"

#include <stdlib.h>

/* Two connections, whatever the number of readers: one asks, one listens. */

static struct bus_redis *of(struct bus *bus)
{
    return LIST_ENTRY(bus, struct bus_redis, bus);
}

/* ---- the links ---- */

static void on_commands_up(void *ctx)
{
    bus_server_up(ctx);
    bus_sweep_reset(ctx);
    bus_watch_resume(ctx);
}

static void on_down(void *ctx, const char *reason)
{
    struct bus_redis *bus = ctx;

    (void)reason;
    counter_add(bus->losses, 1);
}

static void on_subscribed(void *ctx, struct slice channel)
{
    bus_watch_subscribed(ctx, channel);
}

static void on_message(void *ctx, struct slice channel, struct slice payload)
{
    bus_watch_message(ctx, channel, payload);
}

/* ---- what is asked of a task ---- */

static void redis_publish(struct bus *bus, const struct publish_request *request,
                          void (*done)(void *ctx, const struct publish_result *result),
                          void *ctx)
{
    store_publish(of(bus)->store, request, done, ctx);
}

static void redis_open(struct bus *bus, const struct run_open_request *request,
                       void (*done)(void *ctx, enum publish_status status,
                                    uint64_t epoch),
                       void *ctx)
{
    store_open(of(bus)->store, request, done, ctx);
}

struct stop_call {
    struct bus_redis *bus;
    void (*done)(void *ctx, enum stop_status status);
    void *ctx;
    struct task_key task; /* a copy */
};

static void on_stopped(void *ctx, enum stop_status status, uint64_t epoch)
{
    struct stop_call *call = ctx;

    if (status == STOP_ACCEPTED)
        bus_stop_grace(call->bus, &call->task, epoch);
    call->done(call->ctx, status);
    task_key_release(&call->task);
    free(call);
}

static void redis_stop(struct bus *bus, const struct task_key *task, uint64_t epoch,
                       void (*done)(void *ctx, enum stop_status status), void *ctx)
{
    struct stop_call *call = mem_new(sizeof(*call));

    call->bus = of(bus);
    call->done = done;
    call->ctx = ctx;
    call->task = task_key_copy(task);
    store_stop(call->bus->store, task, epoch, on_stopped, call);
}

static void redis_erase(struct bus *bus, const struct task_key *task,
                        void (*done)(void *ctx, bool ok), void *ctx)
{
    store_erase(of(bus)->store, task, done, ctx);
}

struct list_call {
    void (*each)(void *ctx, const struct bus_task *task);
    void (*done)(void *ctx, bool ok);
    void *ctx;
};

static void on_item(void *ctx, const struct store_item *item)
{
    struct list_call *call = ctx;
    struct bus_task task = {.task = item->task,
                            .state = item->state,
                            .last = {item->epoch, item->last_seq, false},
                            .started_ms = item->started_ms,
                            .finished_ms = item->finished_ms};

    call->each(call->ctx, &task);
}

static void on_listed(void *ctx, bool ok)
{
    struct list_call *call = ctx;

    call->done(call->ctx, ok);
    free(call);
}

/* One parameter more than the house allows: the slot of struct bus_ops has it.
 * NOLINTNEXTLINE(readability-function-size) */
static void redis_list(struct bus *bus, struct slice site, size_t limit,
                       void (*each)(void *ctx, const struct bus_task *task),
                       void (*done)(void *ctx, bool ok), void *ctx)
{
    struct list_call *call = mem_new(sizeof(*call));
    struct store_listing listing = {
        .site = site, .limit = limit, .each = on_item, .done = on_listed};

    *call = (struct list_call){each, done, ctx};
    store_list(of(bus)->store, &listing, call);
}

static const char *redis_trouble(struct bus *base)
{
    const struct bus_redis *bus = of(base);

    if (!link_is_up(bus->commands))
        return link_trouble(bus->commands);
    if (!link_is_up(bus->messages))
        return link_trouble(bus->messages);
    return bus_server_trouble(bus);
}

/* ---- life ---- */

static void redis_free(struct bus *base)
{
    struct bus_redis *bus = of(base);

    timer_release(&bus->tick);
    timer_release(&bus->sweep);
    hub_set_feed(bus->hub, NULL, NULL);
    bus_server_release(bus);
    store_free(bus->store);
    bus_lift_free(bus->lift);
    confirm_free(bus->confirm);
    link_free(bus->messages);
    link_free(bus->commands);
    bus_watch_release(bus);
    bus_sweep_release(bus);
    free(bus->prefix);
    free(bus);
}

static const struct bus_ops bus_slots = {
    .publish = redis_publish,
    .open = redis_open,
    .submit = bus_redis_submit,
    .recall = bus_redis_recall,
    .points = bus_redis_points,
    .stop = redis_stop,
    .erase = redis_erase,
    .list = redis_list,
    .trouble = redis_trouble,
    .judge = bus_server_judge,
    .free = redis_free,
};

static const struct hub_feed feed_slots = {
    .on_watch = bus_watch_start,
    .on_unwatch = bus_watch_stop,
    .on_history = bus_watch_history,
    .on_newer = bus_watch_newer,
};

static struct counter *total(struct counters *counters, const char *name,
                             const char *label, const char *help)
{
    return counters_add(counters, COUNTER_TOTAL, name, label, help);
}

static void add_counters(struct bus_redis *bus, struct counters *counters)
{
    static const char live_help[] = "Messages on live channels, by what became of them";

    bus->live = total(counters, "redis_live_total", "outcome=\"taken\"", live_help);
    bus->duplicates =
        total(counters, "redis_live_total", "outcome=\"duplicate\"", live_help);
    bus->gaps = total(counters, "redis_live_total", "outcome=\"gap\"", live_help);
    bus->bad_payloads =
        total(counters, "redis_live_total", "outcome=\"skipped\"", live_help);
    bus->bad_entries = total(counters, "redis_bad_entries_total", NULL,
                             "Stream entries that were no events");
    bus->loads = total(counters, "redis_loads_total", NULL, "Tasks loaded from Redis");
    bus->history = total(counters, "redis_history_entries_total", NULL,
                         "Older entries read because a reader wanted them");
    bus->reloads = total(counters, "redis_reloads_total", NULL,
                         "Watched tasks loaded anew: data or messages were lost");
    bus->probes =
        total(counters, "redis_probes_total", NULL, "Silent tasks compared with Redis");
    bus->ended =
        total(counters, "redis_runs_ended_total", NULL,
              "Runs ended by the sweep: producer lost, queued too long, abandoned, "
              "stop ignored");
    bus->refused =
        total(counters, "redis_refused_total", NULL,
              "Commands that failed at once: too many waited, or Redis away");
    bus->losses = total(counters, "redis_link_losses_total", NULL,
                        "Times a connection to Redis was lost");
}

static bool open_links(struct bus_redis *bus, const char *url, struct buf *error)
{
    struct link_options commands = {.name = "thinkwired",
                                    .max_in_flight = bus->limits.max_waiting,
                                    .on_up = on_commands_up,
                                    .on_down = on_down,
                                    .ctx = bus};
    struct link_options messages = {.name = "thinkwired-live",
                                    .is_subscriber = true,
                                    .on_down = on_down,
                                    .on_subscribed = on_subscribed,
                                    .on_message = on_message,
                                    .passes_all = true,
                                    .ctx = bus};

    bus->commands = link_new(bus->loop, url, &commands, error);
    if (bus->commands == NULL)
        return false;
    bus->messages = link_new(bus->loop, url, &messages, error);
    return bus->messages != NULL;
}

/* The parts of a bus, handed in one by one: bus.h.
 * NOLINTNEXTLINE(readability-function-size) */
struct bus *bus_redis_new(struct loop *loop, struct hub *hub, const char *url,
                          const char *prefix, const struct bus_limits *limits,
                          struct counters *counters, struct buf *error)
{
    struct bus_redis *bus = mem_new(sizeof(*bus));
    struct store_limits kept = {
        .retain_events = limits->retain_events,
        .retain_bytes = hub_limits(hub)->retain_bytes,
        .retain_text_bytes = limits->retain_text_bytes,
        .retain_finished_ms = limits->retain_finished_ms,
        /* Longer than any sweep needs to end it: a run does not vanish unfinished. */
        .retain_running_ms =
            limits->retain_finished_ms + (limits->abandon_ms > limits->queue_timeout_ms
                                              ? limits->abandon_ms
                                              : limits->queue_timeout_ms),
    };

    bus->bus = (struct bus){&bus_slots, "redis"};
    bus->loop = loop;
    bus->hub = hub;
    bus->limits = *limits;
#ifdef THINKWIRE_BREAK
    diag(DIAG_ERROR, "this build is broken on purpose",
         DIAG_S("left_out", THINKWIRE_BREAK));
#endif
    if (!open_links(bus, url, error)) {
        link_free(bus->commands);
        free(bus);
        return NULL;
    }
    bus->store = store_new(bus->commands, prefix, &kept);
    bus->prefix = mem_text(slice_of(prefix));
    bus->by_channel = map_new();
    list_init(&bus->watches);
    list_init(&bus->stops);
    add_counters(bus, counters);
    bus_server_watch(bus, counters);
    bus_server_confirm(bus, url, prefix);
    timer_init(&bus->tick, loop, bus_watch_tick);
    timer_start(&bus->tick, BUS_TICK_MS, BUS_TICK_MS);
    timer_init(&bus->sweep, loop, bus_sweep_tick);
    /* Brokers that start together do not sweep together. */
    timer_start(&bus->sweep, 1 + random_below(BUS_SWEEP_MS), BUS_SWEEP_MS);
    hub_set_feed(hub, &feed_slots, bus);
    return &bus->bus;
}
