/* memory.c - the embedded bus: the hub itself is the truth. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "bus/memory_list.h"
#include "codec/json.h"

#include <stdlib.h>

/*
 * The same answers as the scripts of redis/ give (redis/README.md holds the table). What a
 * topic does not know is kept in a record beside it: whose run it is and what its producer
 * has counted. The record outlives the run, and an erasure, as long as the topic stands, so
 * that a repeat is still recognised. There are no leases here: nobody renews them.
 */
#define SWEEP_MS    1000
#define EVENT_LIMIT 8192
#define KEY_LIMIT   512
/* Of more changes between a producer and others who join its run the oldest are forgotten,
 * and a repeat from before is told too large ids. */
#define MAX_MARKS 64

/* From this counter on, seq = counter + offset. */
struct mark {
    uint64_t counter;
    uint64_t offset;
};

struct owned_run {
    uint64_t epoch;
    uint64_t opened_ms;
    uint64_t touched_ms;
    uint64_t lease_ms;
    uint64_t counter;   /* the next one expected */
    struct mark *marks; /* newest last */
    size_t mark_count;
    char *producer; /* "" = nobody's */
};

struct bus_memory {
    struct bus bus;
    struct loop *loop;
    struct hub *hub;
    struct bus_limits limits;
    struct map *runs; /* by site '/' task id */
    uint64_t last_epoch;
    struct timer sweep;
    struct counter *published;
    struct counter *refused;
};

static struct bus_memory *of(struct bus *bus)
{
    return LIST_ENTRY(bus, struct bus_memory, bus);
}

static struct slice run_key(struct buf *buf, struct slice site, struct slice task_id)
{
    buf_reset(buf);
    buf_slice(buf, site);
    buf_putc(buf, '/');
    buf_slice(buf, task_id);
    return buf_view(buf);
}

static void owned_free(struct owned_run *owned)
{
    free(owned->marks);
    free(owned->producer);
    free(owned);
}

static struct owned_run *owned_find(struct bus_memory *mem, const struct topic *topic)
{
    struct owned_run *owned;
    struct buf key;

    buf_init(&key, KEY_LIMIT);
    owned = map_get(mem->runs, run_key(&key, topic_site(topic), topic_name(topic)));
    buf_release(&key);
    return owned;
}

/* The record of the run that was just opened takes the place of the one before. */
static void owned_set(struct bus_memory *mem, const struct topic *topic,
                      const struct run_open_request *request)
{
    struct owned_run *owned = mem_new(sizeof(*owned));
    struct owned_run *old;
    struct buf key;

    owned->epoch = topic_run(topic)->epoch;
    owned->opened_ms = owned->touched_ms = loop_now_ms(mem->loop);
    owned->lease_ms = request->lease_ms;
    owned->counter = 1;
    owned->producer = mem_text(request->producer);
    buf_init(&key, KEY_LIMIT);
    old =
        map_set(mem->runs, run_key(&key, topic_site(topic), topic_name(topic)), owned);
    buf_release(&key);
    if (old != NULL)
        owned_free(old);
}

/* The next event of the producer gets seq `seq`. */
static void owned_mark(struct owned_run *owned, uint64_t seq)
{
    uint64_t offset = seq - owned->counter;

    if (owned->mark_count > 0 && owned->marks[owned->mark_count - 1].offset == offset)
        return;
    if (owned->marks == NULL)
        owned->marks = mem_array(MAX_MARKS, sizeof(struct mark));
    if (owned->mark_count == MAX_MARKS) {
        owned->mark_count--;
        memmove(owned->marks, owned->marks + 1,
                owned->mark_count * sizeof(struct mark));
    }
    owned->marks[owned->mark_count++] = (struct mark){owned->counter, offset};
}

static struct event_id owned_id(const struct owned_run *owned, uint64_t counter)
{
    uint64_t seq = counter;

    for (size_t i = owned->mark_count; i > 0; i--) {
        seq = counter + owned->marks[i - 1].offset;
        if (owned->marks[i - 1].counter <= counter)
            break;
    }
    return (struct event_id){owned->epoch, seq, false};
}

static bool run_is_open(const struct topic *topic)
{
    const struct run *run = topic_run(topic);

    return run->epoch != 0 && !run->is_local && !run_state_is_final(run->state);
}

/* ---- events of our own ---- */

static void append_terminal(struct topic *topic, enum event_type type, const char *code,
                            const char *message)
{
    const struct run *run = topic_run(topic);
    struct topic_event event = {.id = {run->epoch, run->last_seq + 1, false},
                                .type = type};
    char stamp[CLOCK_ISO_SIZE];
    struct buf body;

    clock_iso(clock_wall_ms(), stamp);
    buf_init(&body, EVENT_LIMIT);
    buf_puts(&body, "{\"task_id\":");
    json_quote(&body, topic_name(topic));
    buf_printf(&body, ",\"type\":\"%s\"", event_type_name(type));
    buf_puts(&body, ",\"partial\":false");
    if (type == EVENT_STOPPED)
        buf_printf(&body, ",\"length\":%zu",
                   utf8_length(run->text.utf8.data, run->text.utf8.len));
    if (code != NULL)
        buf_printf(&body, ",\"code\":\"%s\",\"message\":\"%s\"", code, message);
    buf_printf(&body, ",\"timestamp\":\"%s\"}", stamp);
    event.body = buf_view(&body);
    topic_append(topic, &event);
    buf_release(&body);
}

static void open_run(struct bus_memory *mem, struct topic *topic,
                     const struct run_open_request *request)
{
    const struct owned_run *old = owned_find(mem, topic);
    uint64_t now = clock_wall_ms();
    /* A producer that opens again: redis/README.md, open. */
    bool is_again = old != NULL && request->producer.len > 0 &&
                    slice_is(request->producer, old->producer) &&
                    topic_run(topic)->epoch == old->epoch;

    if (run_is_open(topic) && !is_again)
        append_terminal(topic, EVENT_ERROR, "SUPERSEDED", "a newer run was opened");
    mem->last_epoch = now > mem->last_epoch ? now : mem->last_epoch + 1;
    topic_open_run(topic, mem->last_epoch, request->state, now, request->keeps_text);
    owned_set(mem, topic, request);
}

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
        append_terminal(topic, EVENT_ERROR, "RUN_TOO_LARGE",
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
            open_run(mem, topic, &open);
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
        open_run(mem, topic, &open);
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
    struct bus_memory *mem = of(bus);
    struct publish_result result = {.status = PUBLISH_UNAVAILABLE};
    struct topic *topic =
        hub_topic(mem->hub, TOPIC_TASK, request->task.site, request->task.task_id);
    const struct owned_run *owned;

    if (topic == NULL)
        result.detail = "too many tasks";
    else if (request->producer.len == 0)
        result.status = publish_unowned(mem, topic, request, &result);
    else
        result.status = publish_owned(mem, topic, request, &result);
    owned = topic == NULL ? NULL : owned_find(mem, topic);
    if (owned != NULL)
        result.expected_counter = owned->counter;
    if (result.status != PUBLISH_OK)
        counter_add(mem->refused, 1);
    done(ctx, &result);
}

static void memory_open(struct bus *bus, const struct run_open_request *request,
                        void (*done)(void *ctx, enum publish_status status,
                                     uint64_t epoch),
                        void *ctx)
{
    struct bus_memory *mem = of(bus);
    struct topic *topic =
        hub_topic(mem->hub, TOPIC_TASK, request->task.site, request->task.task_id);

    if (topic == NULL) {
        done(ctx, PUBLISH_UNAVAILABLE, 0);
        return;
    }
    open_run(mem, topic, request);
    done(ctx, PUBLISH_OK, topic_run(topic)->epoch);
}

/* ---- stop, erase, list ---- */

static enum stop_status stop_topic(struct topic *topic, uint64_t epoch)
{
    bool was_queued;

    if (topic == NULL || topic_run(topic)->state == RUN_UNKNOWN)
        return STOP_UNKNOWN_TASK;
    if (epoch != 0 && epoch != topic_run(topic)->epoch)
        return STOP_STALE_EPOCH;
    if (!run_is_open(topic))
        return STOP_ALREADY_FINISHED;
    was_queued = topic_run(topic)->state == RUN_QUEUED;
    append_terminal(topic, EVENT_STOPPED, NULL, NULL);
    return was_queued ? STOP_ACCEPTED : STOP_NO_PRODUCER;
}

static void memory_stop(struct bus *bus, const struct task_key *task, uint64_t epoch,
                        void (*done)(void *ctx, enum stop_status status), void *ctx)
{
    struct bus_memory *mem = of(bus);

    done(ctx,
         stop_topic(hub_find(mem->hub, TOPIC_TASK, task->site, task->task_id), epoch));
}

static void memory_erase(struct bus *bus, const struct task_key *task,
                         void (*done)(void *ctx, bool ok), void *ctx)
{
    struct bus_memory *mem = of(bus);
    struct topic *topic = hub_find(mem->hub, TOPIC_TASK, task->site, task->task_id);

    if (topic != NULL)
        topic_erase(topic);
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

    memory_list_tasks(of(bus)->hub, &listing);
    done(ctx, true);
}

static const char *memory_trouble(struct bus *bus)
{
    (void)bus;
    return NULL;
}

/* ---- runs nobody ends ---- */

static bool sweep_run(struct slice key, void *value, void *ctx)
{
    struct bus_memory *mem = ctx;
    struct owned_run *owned = value;
    const char *slash = memchr(key.ptr, '/', key.len);
    struct slice site = {key.ptr, (size_t)(slash - key.ptr)};
    struct slice task_id = {slash + 1, key.len - site.len - 1};
    struct topic *topic = hub_find(mem->hub, TOPIC_TASK, site, task_id);
    uint64_t now = loop_now_ms(mem->loop);

    if (topic == NULL) {
        map_remove(mem->runs, key);
        owned_free(owned);
        return true;
    }
    if (!run_is_open(topic) || topic_run(topic)->epoch != owned->epoch)
        return true;
    if (topic_run(topic)->state == RUN_QUEUED &&
        now - owned->opened_ms >= mem->limits.queue_timeout_ms)
        append_terminal(topic, EVENT_ERROR, "QUEUE_TIMEOUT",
                        "No worker took this run up in time.");
    else if (now - owned->touched_ms >= mem->limits.abandon_ms)
        append_terminal(topic, EVENT_ERROR, "ABANDONED",
                        "No event of this run came for too long.");
    return true;
}

static void sweep_fire(struct timer *timer)
{
    struct bus_memory *mem = LIST_ENTRY(timer, struct bus_memory, sweep);

    map_each(mem->runs, sweep_run, mem);
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
    struct bus_memory *mem = of(bus);

    timer_release(&mem->sweep);
    map_each(mem->runs, free_run, NULL);
    map_free(mem->runs);
    free(mem);
}

static const struct bus_ops memory_ops = {
    .publish = memory_publish,
    .open = memory_open,
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
    timer_init(&mem->sweep, loop, sweep_fire);
    timer_start(&mem->sweep, SWEEP_MS, SWEEP_MS);
    mem->published = counters_add(counters, COUNTER_TOTAL, "published_total", NULL,
                                  "Events published through this broker");
    mem->refused = counters_add(counters, COUNTER_TOTAL, "publish_refused_total", NULL,
                                "Publish requests refused");
    return &mem->bus;
}
