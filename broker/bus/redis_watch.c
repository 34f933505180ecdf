/* redis_watch.c - topics that are read here: who watches, and what the live channel brings. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "bus/redis_heal.h"

#define CHANNEL_LIMIT 4096

/* ---- the live channel ---- */

static void skip_payload(struct watch *watch)
{
    struct bus_redis *bus = watch->bus;

    counter_add(bus->bad_payloads, 1);
    if (diag_gate_pass(&bus->gate, 5, loop_now_ms(bus->loop)))
        diag(DIAG_WARN, "live message skipped", DIAG_SLICE("site", watch->task.site),
             DIAG_SLICE("task", watch->task.task_id));
}

static void take_note(struct watch *watch, struct event_id id, struct slice json)
{
    struct bus_note note;

    if (!bus_note_read(json, &note)) {
        skip_payload(watch);
        return;
    }
    watch_see(watch, id);
    if (!watch_is_live(watch)) {
        /* An answer on its way may be from before this note. */
        watch->is_stale = watch->is_asking && note.is_erased;
        if (note.is_erased && watch->step != STEP_SUBSCRIBE)
            watch_go(watch, STEP_LOAD);
        return;
    }
    if (note.is_erased && id.epoch >= watch_held_id(watch).epoch) {
        topic_erase(watch->topic);
        watch->latest = watch_held_id(watch);
    } else if (note.is_rewritten && id.epoch > watch_held_id(watch).epoch) {
        watch_reload(watch);
    } else if (note.is_opened && id.epoch > watch_held_id(watch).epoch) {
        topic_open_run(watch->topic, id.epoch, note.state, note.started_ms,
                       note.keeps_text);
        if (note.is_opaque)
            topic_mark_opaque(watch->topic);
    }
}

static void take_event(struct watch *watch, struct event_id id, struct slice json)
{
    struct event_id held = watch_held_id(watch);
    struct topic_event event;
    struct buf scratch;

    if (!event_id_is_newer(id, held)) {
        counter_add(watch->bus->duplicates, 1);
        return;
    }
    watch_see(watch, id);
    if (!watch_is_live(watch))
        return;
    if (id.epoch != held.epoch) {
        watch_reload(watch); /* the note that opened this run was lost */
        return;
    }
    if (id.seq != held.seq + 1) {
        counter_add(watch->bus->gaps, 1);
        watch_go(watch, STEP_RANGE);
        return;
    }
    buf_init(&scratch, EVENT_MAX_BYTES);
    if (!bus_event_read(id, json, &scratch, &event))
        skip_payload(watch);
    else if (topic_append(watch->topic, &event))
        counter_add(watch->bus->live, 1);
    buf_release(&scratch);
}

void bus_watch_message(struct bus_redis *bus, struct slice channel,
                       struct slice payload)
{
    struct watch *watch = map_get(bus->by_channel, channel);
    struct event_id id;
    struct slice json;

    if (watch == NULL)
        return;
    watch->heard_ms = loop_now_ms(bus->loop);
    if (!bus_payload_split(payload, &id, &json))
        skip_payload(watch);
    else if (id.seq == 0)
        take_note(watch, id, json);
    else
        take_event(watch, id, json);
}

void bus_watch_subscribed(struct bus_redis *bus, struct slice channel)
{
    struct watch *watch = map_get(bus->by_channel, channel);

    if (watch == NULL)
        return;
    watch->heard_ms = loop_now_ms(bus->loop);
    watch->confirmed = link_stats(bus->messages)->connects;
    watch_go(watch, topic_phase(watch->topic) == TOPIC_READY ? STEP_VERIFY : STEP_LOAD);
}

/* ---- who watches ---- */

static void place(struct watch *watch, uint64_t probe_ms)
{
    watch->probe_ms = probe_ms;
    list_remove(&watch->node);
    list_push_back(&watch->bus->watches, &watch->node);
}

void bus_watch_start(void *ctx, struct topic *topic)
{
    struct bus_redis *bus = ctx;
    struct watch *watch = mem_new(sizeof(*watch));
    struct task_key task = {topic_site(topic), topic_name(topic)};

    watch->bus = bus;
    watch->topic = topic;
    watch->task = task_key_copy(&task);
    buf_init(&watch->channel, CHANNEL_LIMIT);
    store_key(bus->store, &watch->task, "live", &watch->channel);
    watch->heard_ms = loop_now_ms(bus->loop);
    list_init(&watch->node);
    place(watch, watch->heard_ms + BUS_PROBE_MS);
    topic_set_feed_data(topic, watch);
    (void)map_set(bus->by_channel, buf_view(&watch->channel), watch);
    link_subscribe(bus->messages, buf_view(&watch->channel));
}

void bus_watch_stop(void *ctx, struct topic *topic)
{
    struct bus_redis *bus = ctx;
    struct watch *watch = topic_feed_data(topic);

    if (watch == NULL)
        return;
    topic_set_feed_data(topic, NULL);
    link_unsubscribe(bus->messages, buf_view(&watch->channel));
    (void)map_remove(bus->by_channel, buf_view(&watch->channel));
    watch->topic = NULL;
    list_remove(&watch->node);
    if (!watch->is_asking)
        watch_free(watch);
}

void bus_watch_history(void *ctx, struct topic *topic)
{
    struct watch *watch = topic_feed_data(topic);

    (void)ctx;
    watch->wants_history = true;
    if (watch->step == STEP_LIVE)
        watch_go(watch, STEP_HISTORY);
}

void bus_watch_newer(void *ctx, struct topic *topic)
{
    struct watch *watch = topic_feed_data(topic);

    (void)ctx;
    watch->wants_newer = true;
    if (watch->step == STEP_LIVE)
        watch_go(watch, STEP_LOOK);
}

/* ---- time ---- */

/* It was compared over the connection before this one, which may have led to another server
 * than the subscription. One that is not confirmed yet compares by itself when it is. */
static bool was_compared_elsewhere(const struct watch *watch)
{
    const struct link *messages = watch->bus->messages;

    return watch_is_live(watch) && link_is_up(messages) &&
           watch->confirmed == link_stats(messages)->connects;
}

static bool resume_one(struct slice key, void *value, void *ctx)
{
    struct watch *watch = value;

    (void)key;
    (void)ctx;
    if (was_compared_elsewhere(watch))
        watch_go(watch, STEP_VERIFY);
    else
        watch_ask(watch);
    return true;
}

void bus_watch_resume(struct bus_redis *bus)
{
    map_each(bus->by_channel, resume_one, NULL);
}

static void probe(struct watch *watch, uint64_t now)
{
    const struct run *run = topic_run(watch->topic);
    bool is_silent = now - watch->heard_ms >= BUS_SILENT_MS;

    if (watch->step == STEP_LIVE && is_silent && !run_state_is_final(run->state))
        watch_go(watch, STEP_LOOK);
    else
        watch_ask(watch); /* what was refused or lost */
}

/* Watches stand in the order of their next probe: each is put off by the same time, so that
 * they stay spread as they came. */
void bus_watch_tick(struct timer *timer)
{
    struct bus_redis *bus = LIST_ENTRY(timer, struct bus_redis, tick);
    uint64_t now = loop_now_ms(bus->loop);

    bus->refused->value = link_stats(bus->commands)->refused;
    while (!list_is_empty(&bus->watches)) {
        struct watch *watch = LIST_ENTRY(bus->watches.next, struct watch, node);
        if (watch->probe_ms > now)
            return;
        place(watch, now + BUS_PROBE_MS);
        probe(watch, now);
    }
}

static bool release_one(struct slice key, void *value, void *ctx)
{
    struct watch *watch = value;

    (void)key;
    (void)ctx;
    topic_set_feed_data(watch->topic, NULL);
    watch_free(watch);
    return true;
}

/* After the store is gone: nothing is asked any more. */
void bus_watch_release(struct bus_redis *bus)
{
    map_each(bus->by_channel, release_one, NULL);
    map_free(bus->by_channel);
    bus->by_channel = NULL;
}
