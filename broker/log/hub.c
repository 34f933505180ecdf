/* hub.c - all topics, their bounds, and who is woken when. */
/* SPDX-License-Identifier: MIT */
#include "log/hub.h"

#include "base/clock.h"
#include "base/map.h"
#include "log/internal.h"

#include <assert.h>
#include <stdlib.h>

#define SWEEP_MS 1000
/* Site and name have their bounds where they come from. */
#define KEY_LIMIT SIZE_MAX

static size_t topic_bytes(const struct topic *topic)
{
    return sizeof(*topic) + topic->key_len + topic->window_bytes +
           topic->cap * sizeof(struct entry *) + topic->run.reasoning.utf8.cap +
           topic->run.text.utf8.cap + topic->beside_bytes;
}

static void charge(struct hub *hub, struct topic *topic, size_t bytes)
{
    hub->total_bytes = hub->total_bytes - topic->charged_bytes + bytes;
    topic->charged_bytes = bytes;
    hub->bytes_gauge->value = hub->total_bytes;
}

/* What lives in Redis can be loaded again; what a memory bus or Frappe's channel brought
 * cannot. */
static bool is_cache(const struct hub *hub, const struct topic *topic)
{
    return hub->feed != NULL && topic->kind == TOPIC_TASK && !topic->run.is_local;
}

static bool is_idle(const struct hub *hub, const struct topic *topic)
{
    return topic->reader_count == 0 &&
           (run_state_is_final(topic->run.state) || is_cache(hub, topic) ||
            topic->kind == TOPIC_ROOM);
}

static bool has_wide_window(const struct topic *topic)
{
    return topic->next_pos - topic->base_pos > 1;
}

/* Whatever makes a topic idle, or its window wide, touches it: so both lists are in the order
 * of by_age and making room never walks past a topic that has nothing to give. A window that
 * was trimmed since is found narrow at most once. */
void hub_touch(struct hub *hub, struct topic *topic)
{
    charge(hub, topic, topic_bytes(topic));
    topic->touched_ms = loop_now_ms(hub->loop);
    list_remove(&topic->by_age);
    list_push_back(&hub->by_age, &topic->by_age);
    list_remove(&topic->idle);
    if (is_idle(hub, topic))
        list_push_back(&hub->idle, &topic->idle);
    list_remove(&topic->wide);
    if (has_wide_window(topic))
        list_push_back(&hub->wide, &topic->wide);
}

void hub_keep(struct topic *topic)
{
    list_remove(&topic->idle);
}

/* ---- visiting ---- */

void hub_mark(struct hub *hub, struct topic *topic)
{
    if (list_is_linked(&topic->dirty))
        return;
    list_push_back(&hub->dirty, &topic->dirty);
    turn_defer(hub->loop, &hub->visit);
}

static void visit_topic(struct topic *topic)
{
    LIST_FOR_EACH(node, next, &topic->readers)
    {
        struct reader *reader = LIST_ENTRY(node, struct reader, node);
        reader->wake(reader);
    }
}

static void trim_visited(struct hub *hub)
{
    while (!list_is_empty(&hub->visited)) {
        struct topic *topic = LIST_ENTRY(hub->visited.next, struct topic, visited);
        list_remove(&topic->visited);
        topic_trim(topic);
        charge(hub, topic, topic_bytes(topic));
    }
}

static void visit_run(struct turn_task *task)
{
    struct hub *hub = LIST_ENTRY(task, struct hub, visit);

    while (!list_is_empty(&hub->dirty)) {
        struct topic *topic = LIST_ENTRY(hub->dirty.next, struct topic, dirty);
        list_remove(&topic->dirty);
        list_remove(&topic->visited);
        list_push_back(&hub->visited, &topic->visited);
        visit_topic(topic);
    }
    if (hub->after_visit != NULL)
        hub->after_visit(hub->after_ctx);
    burst_forget_all(hub);
    trim_visited(hub);
}

/* ---- watching ---- */

void hub_watch(struct hub *hub, struct topic *topic)
{
    if (topic->phase != TOPIC_COLD)
        return;
    topic->phase = TOPIC_LOADING;
    hub->feed->on_watch(hub->feed_ctx, topic);
}

static void unwatch(struct hub *hub, struct topic *topic)
{
    if (hub->feed == NULL || topic->kind != TOPIC_TASK || topic->phase == TOPIC_COLD)
        return;
    topic->phase = TOPIC_COLD;
    hub->feed->on_unwatch(hub->feed_ctx, topic);
}

static void drop_topic(struct hub *hub, struct topic *topic)
{
    assert(topic->reader_count == 0);
    unwatch(hub, topic);
    burst_forget(hub, topic);
    map_remove(hub->topics, slice_make(topic->key, topic->key_len));
    list_remove(&topic->dirty);
    list_remove(&topic->visited);
    list_remove(&topic->by_age);
    list_remove(&topic->idle);
    list_remove(&topic->wide);
    charge(hub, topic, 0);
    topic_free(topic);
    hub->topics_gauge->value = map_size(hub->topics);
}

/* ---- bounds ---- */

static uint64_t lifetime_ms(const struct hub *hub, const struct topic *topic)
{
    const struct hub_limits *limits = &hub->limits;

    if (topic->kind == TOPIC_ROOM)
        return limits->retain_room_ms;
    if (is_cache(hub, topic))
        return limits->linger_ms;
    if (topic->run.state == RUN_UNKNOWN && !topic->is_erased)
        return limits->linger_ms;
    return run_state_is_final(topic->run.state) || topic->is_erased
               ? limits->retain_finished_ms
               : limits->abandon_ms + limits->retain_finished_ms;
}

static void sweep_topic(struct hub *hub, struct topic *topic, uint64_t now)
{
    if (now - topic->touched_ms < lifetime_ms(hub, topic))
        return;
    if (topic->reader_count == 0 &&
        (topic->is_erased || is_cache(hub, topic) || topic->kind == TOPIC_ROOM ||
         topic->run.state == RUN_UNKNOWN)) {
        drop_topic(hub, topic);
        return;
    }
    /* Expired data goes even when somebody still listens for a next run; the tombstone
     * answers GONE for one more lifetime. */
    if (!is_cache(hub, topic) && !topic->is_erased && topic->run.state != RUN_UNKNOWN)
        topic_expire(topic);
}

static void sweep_fire(struct timer *timer)
{
    struct hub *hub = LIST_ENTRY(timer, struct hub, sweep);
    uint64_t now = loop_now_ms(hub->loop);
    struct list seen;

    /* Sweeping may touch (move to the end) what it visits: take the list aside first. */
    list_init(&seen);
    list_splice(&seen, &hub->by_age);
    while (!list_is_empty(&seen)) {
        struct topic *topic = LIST_ENTRY(seen.next, struct topic, by_age);
        list_remove(&topic->by_age);
        list_push_back(&hub->by_age, &topic->by_age);
        sweep_topic(hub, topic, now);
    }
}

static bool has_room(const struct hub *hub, size_t need)
{
    return hub->total_bytes + need <= hub->limits.retain_total_bytes;
}

bool hub_make_idle_room(struct hub *hub, const struct topic *keep, size_t need)
{
    LIST_FOR_EACH(node, next, &hub->idle)
    {
        struct topic *topic = LIST_ENTRY(node, struct topic, idle);
        if (has_room(hub, need))
            return true;
        if (topic != keep)
            drop_topic(hub, topic);
    }
    return has_room(hub, need);
}

/* First whole topics that nobody reads and that are finished or can be loaded again, oldest
 * first; then the windows of the rest: their accumulated text still brings readers level. */
bool hub_make_room(struct hub *hub, const struct topic *keep, size_t need)
{
    if (hub_make_idle_room(hub, keep, need))
        return true;
    while (!list_is_empty(&hub->wide)) {
        struct topic *topic = LIST_ENTRY(hub->wide.next, struct topic, wide);
        list_remove(&topic->wide);
        while (has_wide_window(topic)) {
            topic_drop_oldest(topic);
            counter_add(hub->evicted, 1);
        }
        charge(hub, topic, topic_bytes(topic));
        if (has_room(hub, need))
            return true;
    }
    counter_add(hub->refused_memory, 1);
    return false;
}

/* ---- finding ---- */

/* Valid until the next one is made. */
static struct slice make_key(struct hub *hub, enum topic_kind kind, struct slice site,
                             struct slice name)
{
    buf_reset(&hub->key);
    buf_putc(&hub->key, "TRU"[kind]);
    buf_slice(&hub->key, site);
    buf_putc(&hub->key, '/');
    buf_slice(&hub->key, name);
    return buf_view(&hub->key);
}

struct topic *hub_find(struct hub *hub, enum topic_kind kind, struct slice site,
                       struct slice name)
{
    return map_get(hub->topics, make_key(hub, kind, site, name));
}

struct topic *hub_topic(struct hub *hub, enum topic_kind kind, struct slice site,
                        struct slice name)
{
    struct slice key = make_key(hub, kind, site, name);
    struct topic *topic = map_get(hub->topics, key);

    if (topic != NULL)
        return topic;
    if (map_size(hub->topics) >= hub->limits.max_topics) {
        counter_add(hub->refused_topics, 1);
        return NULL;
    }
    topic = topic_new(hub, kind, key, site.len);
    map_set(hub->topics, key, topic);
    hub_touch(hub, topic);
    hub->topics_gauge->value = map_size(hub->topics);
    return topic;
}

struct each_call {
    bool (*visit)(struct topic *topic, void *ctx);
    void *ctx;
};

static bool each_topic(struct slice key, void *value, void *ctx)
{
    struct each_call *call = ctx;

    (void)key;
    return call->visit(value, call->ctx);
}

void hub_each(struct hub *hub, bool (*visit)(struct topic *topic, void *ctx), void *ctx)
{
    struct each_call call = {visit, ctx};

    map_each(hub->topics, each_topic, &call);
}

/* ---- life ---- */

struct hub *hub_new(struct loop *loop, const struct hub_limits *limits,
                    struct counters *counters)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    if (hub == NULL)
        abort();
    hub->loop = loop;
    hub->limits = *limits;
    hub->topics = map_new();
    buf_init(&hub->key, KEY_LIMIT);
    list_init(&hub->dirty);
    list_init(&hub->visited);
    list_init(&hub->by_age);
    list_init(&hub->idle);
    list_init(&hub->wide);
    turn_task_init(&hub->visit, visit_run);
    timer_init(&hub->sweep, loop, sweep_fire);
    timer_start(&hub->sweep, SWEEP_MS, SWEEP_MS);
    random_bytes(&hub->nonce, sizeof(hub->nonce));
    hub->nonce |= 1; /* never 0, which means none */
    hub->topics_gauge =
        counters_add(counters, COUNTER_GAUGE, "topics", NULL, "Topics in memory");
    hub->bytes_gauge = counters_add(counters, COUNTER_GAUGE, "log_bytes", NULL,
                                    "Bytes of events and accumulated text in memory");
    hub->appended = counters_add(counters, COUNTER_TOTAL, "events_total",
                                 "source=\"native\"", "Events taken into the log");
    hub->opaque = counters_add(counters, COUNTER_TOTAL, "events_total",
                               "source=\"frappe\"", "Events taken into the log");
    hub->evicted = counters_add(counters, COUNTER_TOTAL, "log_evicted_total", NULL,
                                "Events that left the window by its bounds");
    hub->refused_topics =
        counters_add(counters, COUNTER_TOTAL, "log_refused_total",
                     "reason=\"max_topics\"", "Topics or events refused by a bound");
    hub->refused_memory =
        counters_add(counters, COUNTER_TOTAL, "log_refused_total", "reason=\"memory\"",
                     "Topics or events refused by a bound");
    return hub;
}

void hub_free(struct hub *hub)
{
    timer_release(&hub->sweep);
    turn_cancel(&hub->visit);
    while (!list_is_empty(&hub->by_age)) {
        struct topic *topic = LIST_ENTRY(hub->by_age.next, struct topic, by_age);
        while (!list_is_empty(&topic->readers))
            reader_detach(LIST_ENTRY(topic->readers.next, struct reader, node));
        drop_topic(hub, topic);
    }
    burst_forget_all(hub);
    map_free(hub->topics);
    buf_release(&hub->key);
    free(hub);
}

void hub_set_feed(struct hub *hub, const struct hub_feed *feed, void *ctx)
{
    assert(map_size(hub->topics) == 0 || feed == NULL);
    hub->feed = feed;
    hub->feed_ctx = ctx;
}

void hub_set_after_visit(struct hub *hub, void (*after)(void *ctx), void *ctx)
{
    hub->after_visit = after;
    hub->after_ctx = ctx;
}

void hub_set_follow(struct hub *hub,
                    void (*follow)(struct topic *task, struct topic *aside))
{
    hub->follow = follow;
}

void hub_follow(struct hub *hub, struct topic *task, struct topic *aside)
{
    if (hub->follow != NULL)
        hub->follow(task, aside);
}

size_t hub_topic_count(const struct hub *hub)
{
    return map_size(hub->topics);
}

uint64_t hub_nonce(const struct hub *hub)
{
    return hub->nonce;
}

const struct hub_limits *hub_limits(const struct hub *hub)
{
    return &hub->limits;
}

uint64_t hub_next_order(struct hub *hub)
{
    return ++hub->order;
}

uint64_t hub_last_order(const struct hub *hub)
{
    return hub->order;
}
