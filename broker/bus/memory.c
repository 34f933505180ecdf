/* memory.c - the embedded bus: the hub itself is the truth. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "bus/memory_inside.h"
#include "bus/memory_list.h"
#include "codec/json.h"

#include <stdlib.h>

/* ---- publishing ---- */

static size_t decoded_length(struct slice raw)
{
    struct buf text;
    size_t len;

    buf_init(&text, raw.len + 1);
    json_unescape(&text, raw);
    len = text.len;
    buf_release(&text);
    return len;
}

static bool text_fits(const struct bus_memory *mem, const struct topic *topic,
                      const struct event *event)
{
    const struct run *run = topic_run(topic);
    const struct accumulated *acc =
        event->type == EVENT_REASONING ? &run->reasoning : &run->text;
    size_t limit = mem->limits.retain_text_bytes;
    size_t room = acc->utf8.len < limit ? limit - acc->utf8.len : 0;

    /* Escapes only ever make it longer. */
    return !event->is_delta || event->text.len <= room ||
           decoded_length(event->text) <= room;
}

static enum publish_status append(struct bus_memory *mem, struct topic *topic,
                                  const struct event *event,
                                  struct publish_result *result)
{
    const struct run *run = topic_run(topic);
    struct topic_event appended = {
        .id = {run->epoch, run->last_seq + 1, false},
        .type = event->type,
        .is_delta = event->is_delta,
        .body = event->json,
        .text = event->text,
        .timestamp = event->timestamp,
    };

    if (!text_fits(mem, topic, event)) {
        memory_append(mem, topic, EVENT_ERROR, "RUN_TOO_LARGE",
                      "the accumulated text passed its bound");
        return PUBLISH_TOO_LARGE;
    }
    if (!topic_append(topic, &appended)) {
        result->detail = "no memory for another event";
        return PUBLISH_UNAVAILABLE;
    }
    if (result->first.epoch == 0)
        result->first = appended.id;
    result->last = appended.id;
    memory_note_end(mem, topic);
    counter_add(mem->published, 1);
    return PUBLISH_OK;
}

/* A batch is taken in whole or not at all. */
static bool has_room(struct topic *topic, const struct publish_request *request,
                     struct publish_result *result)
{
    size_t bytes = 0;

    for (size_t i = 0; i < request->count; i++)
        bytes += request->events[i].json.len;
    if (topic_reserve(topic, request->count, bytes))
        return true;
    result->detail = "no memory for more events";
    return false;
}

/* Who publishes without a producer joins an open unleased run, or opens one. */
static enum publish_status publish_unowned(struct bus_memory *mem, struct topic *topic,
                                           const struct publish_request *request,
                                           struct publish_result *result)
{
    struct run_open_request open = {.task = request->task, .state = RUN_RUNNING};
    struct owned_run *owned = owned_find(mem, topic);
    enum publish_status status = PUBLISH_OK;

    if (run_is_open(topic) && owned != NULL && owned->lease_ms > 0)
        return PUBLISH_FENCED;
    if (!has_room(topic, request, result))
        return PUBLISH_UNAVAILABLE;
    for (size_t i = 0; i < request->count && status == PUBLISH_OK; i++) {
        if (!run_is_open(topic))
            memory_open_run(mem, topic, &open);
        status = append(mem, topic, &request->events[i], result);
    }
    owned = owned_find(mem, topic);
    if (owned != NULL)
        owned->touched_ms = loop_now_ms(mem->loop);
    return status;
}

static enum publish_status append_owned(struct bus_memory *mem, struct topic *topic,
                                        const struct publish_request *request,
                                        struct publish_result *result)
{
    struct owned_run *owned = owned_find(mem, topic);
    enum publish_status status = PUBLISH_OK;

    if (!has_room(topic, request, result))
        return PUBLISH_UNAVAILABLE;
    owned->touched_ms = loop_now_ms(mem->loop);
    owned_renew(mem, owned);
    owned_mark(owned, topic_run(topic)->last_seq + 1);
    for (size_t i = (size_t)(owned->counter - request->counter);
         i < request->count && status == PUBLISH_OK; i++) {
        if (!run_is_open(topic))
            return PUBLISH_ENDED;
        status = append(mem, topic, &request->events[i], result);
        if (status == PUBLISH_OK)
            owned->counter++;
    }
    return status;
}

/* The first batch of a producer that knows of no run: has it come before, byte for byte? */
static bool is_repeat(const struct owned_run *owned, const struct topic *topic,
                      const struct publish_request *request)
{
    uint64_t known = 0;

    if (owned != NULL && owned->epoch == topic_run(topic)->epoch &&
        slice_is(request->producer, owned->producer))
        known = owned->counter - 1;
    if (known > request->count)
        known = request->count;
    for (uint64_t i = 0; i < known; i++) {
        uint64_t after = topic_after(topic, owned_id(owned, i + 1));
        const struct entry *entry = after == 0 ? NULL : topic_entry(topic, after - 1);
        if (entry == NULL || !slice_equal(entry->body, request->events[i].json))
            return false;
    }
    return known > 0;
}

/* The rows of the table, from the top. */
static enum publish_status publish_owned(struct bus_memory *mem, struct topic *topic,
                                         const struct publish_request *request,
                                         struct publish_result *result)
{
    struct run_open_request open = {
        .task = request->task, .producer = request->producer, .state = RUN_RUNNING};
    const struct owned_run *owned = owned_find(mem, topic);
    bool is_first = request->epoch == 0 && request->counter == 1;
    uint64_t end = request->counter + request->count;
    uint64_t epoch = request->epoch;

    if (is_first && !is_repeat(owned, topic, request)) {
        memory_open_run(mem, topic, &open);
        owned = owned_find(mem, topic);
    }
    if (is_first)
        epoch = owned->epoch;
    if (owned == NULL || owned->epoch < epoch)
        return PUBLISH_UNKNOWN_RUN;
    if (owned->epoch > epoch || !slice_is(request->producer, owned->producer))
        return PUBLISH_FENCED;
    if (request->counter < owned->counter) {
        uint64_t known = end < owned->counter ? end : owned->counter;
        result->first = owned_id(owned, request->counter);
        result->last = owned_id(owned, known - 1);
    }
    if (end <= owned->counter)
        return PUBLISH_OK;
    if (!run_is_open(topic) || topic_run(topic)->epoch != owned->epoch)
        return PUBLISH_ENDED;
    if (request->counter > owned->counter)
        return PUBLISH_GAP;
    return append_owned(mem, topic, request, result);
}

static void memory_publish(struct bus *bus, const struct publish_request *request,
                           void (*done)(void *ctx, const struct publish_result *result),
                           void *ctx)
{
    struct bus_memory *mem = memory_of(bus);
    struct publish_result result = {.status = PUBLISH_UNAVAILABLE};
    struct topic *topic = hub_task(mem->hub, &request->task);
    const struct owned_run *owned;

    if (topic == NULL)
        result.detail = "too many tasks";
    else if (request->producer.len == 0)
        result.status = publish_unowned(mem, topic, request, &result);
    else
        result.status = publish_owned(mem, topic, request, &result);
    owned = owned_find(mem, topic);
    if (owned != NULL)
        result.expected_counter = owned->counter;
    result.stop_requested = owned != NULL && owned->stop_ms != 0;
    if (result.status != PUBLISH_OK)
        counter_add(mem->refused, 1);
    done(ctx, &result);
}

static void memory_open(struct bus *bus, const struct run_open_request *request,
                        void (*done)(void *ctx, enum publish_status status,
                                     uint64_t epoch),
                        void *ctx)
{
    struct bus_memory *mem = memory_of(bus);
    struct topic *topic = hub_task(mem->hub, &request->task);

    if (topic == NULL) {
        done(ctx, PUBLISH_UNAVAILABLE, 0);
        return;
    }
    memory_open_run(mem, topic, request);
    done(ctx, PUBLISH_OK, topic_run(topic)->epoch);
}

/* ---- stop, erase, list ---- */

static enum stop_status stop_run(struct bus_memory *mem, struct topic *topic,
                                 struct owned_run *owned)
{
    bool is_queued = topic_run(topic)->state == RUN_QUEUED;

    /* Nobody has said a word in a queued run, and nobody is heard of without a lease. */
    if (is_queued || owned == NULL || !owned_is_alive(mem, owned)) {
        memory_append(mem, topic, EVENT_STOPPED, NULL, NULL);
        memory_tell_stop(mem, topic);
        return is_queued ? STOP_ACCEPTED : STOP_NO_PRODUCER;
    }
    if (owned->stop_ms == 0)
        owned->stop_ms = loop_now_ms(mem->loop);
    memory_tell_stop(mem, topic);
    return STOP_ACCEPTED;
}

static enum stop_status stop_topic(struct bus_memory *mem, struct topic *topic,
                                   uint64_t epoch)
{
    if (topic == NULL || topic_run(topic)->state == RUN_UNKNOWN)
        return STOP_UNKNOWN_TASK;
    if (epoch != 0 && epoch != topic_run(topic)->epoch)
        return STOP_STALE_EPOCH;
    if (!run_is_open(topic))
        return STOP_ALREADY_FINISHED;
    return stop_run(mem, topic, owned_find(mem, topic));
}

static void memory_stop(struct bus *bus, const struct task_key *task, uint64_t epoch,
                        void (*done)(void *ctx, enum stop_status status), void *ctx)
{
    struct bus_memory *mem = memory_of(bus);
    struct topic *topic = hub_find_task(mem->hub, task);

    done(ctx, stop_topic(mem, topic, epoch));
}

static void memory_erase(struct bus *bus, const struct task_key *task,
                         void (*done)(void *ctx, bool ok), void *ctx)
{
    struct bus_memory *mem = memory_of(bus);
    struct topic *topic = hub_find_task(mem->hub, task);

    if (topic != NULL) {
        struct owned_run *owned = owned_find(mem, topic);
        /* Its producer must not go on for nobody. */
        memory_tell_stop(mem, topic);
        if (owned != NULL)
            owned_forget(owned);
        topic_charge(topic, 0);
        topic_erase(topic);
    }
    done(ctx, true);
}

/* The slot of struct bus_ops has six parameters.
 * NOLINTNEXTLINE(readability-function-size) */
static void memory_list(struct bus *bus, struct slice site, size_t limit,
                        void (*each)(void *ctx, const struct bus_task *task),
                        void (*done)(void *ctx, bool ok), void *ctx)
{
    struct memory_listing listing = {
        .site = site, .limit = limit, .each = each, .ctx = ctx};

    memory_list_tasks(memory_of(bus)->hub, &listing);
    done(ctx, true);
}

static const char *memory_trouble(struct bus *bus)
{
    (void)bus;
    return NULL;
}

static bool free_run(struct slice key, void *value, void *ctx)
{
    (void)key;
    (void)ctx;
    owned_free(value);
    return true;
}

static void memory_free(struct bus *bus)
{
    struct bus_memory *mem = memory_of(bus);

    timer_release(&mem->sweep);
    turn_cancel(&mem->handing_out);
    memory_drop_jobs(mem, true);
    map_each(mem->runs, free_run, NULL);
    map_free(mem->runs);
    free(mem);
}

static const struct bus_ops memory_ops = {
    .publish = memory_publish,
    .open = memory_open,
    .submit = memory_submit,
    .recall = memory_recall,
    .points = memory_points,
    .stop = memory_stop,
    .erase = memory_erase,
    .list = memory_list,
    .trouble = memory_trouble,
    .free = memory_free,
};

struct bus *bus_memory_new(struct loop *loop, struct hub *hub,
                           const struct bus_limits *limits, struct counters *counters)
{
    struct bus_memory *mem = calloc(1, sizeof(*mem));

    if (mem == NULL)
        abort();
    mem->bus.ops = &memory_ops;
    mem->bus.name = "memory";
    mem->loop = loop;
    mem->hub = hub;
    mem->limits = *limits;
    mem->runs = map_new();
    mem->swept_ms = mem->steady_since_ms = loop_now_ms(loop);
    list_init(&mem->jobs);
    turn_task_init(&mem->handing_out, memory_hand_out);
    timer_init(&mem->sweep, loop, memory_sweep);
    timer_start(&mem->sweep, MEMORY_SWEEP_MS, MEMORY_SWEEP_MS);
    mem->published = counters_add(counters, COUNTER_TOTAL, "published_total", NULL,
                                  "Events published through this broker");
    mem->refused = counters_add(counters, COUNTER_TOTAL, "publish_refused_total", NULL,
                                "Publish requests refused");
    mem->ended =
        counters_add(counters, COUNTER_TOTAL, "memory_runs_ended_total", NULL,
                     "Runs ended by the sweep: producer lost, queued too long, "
                     "abandoned, stop ignored");
    return &mem->bus;
}
