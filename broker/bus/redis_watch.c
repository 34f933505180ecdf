/* redis_watch.c - topics that are read here, kept level with Redis. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "bus/redis_inside.h"

#include <stdlib.h>

#define CHANNEL_LIMIT 4096

/*
 * One question at a time is asked of Redis for a watched topic, whatever the number of its
 * readers. `step` is what is to be done next; the live channel is a hint that carries the
 * payload, and whatever it leaves open is asked of the stream.
 *
 *   SUBSCRIBE --confirmed--> LOAD ---> LIVE <---------> LOOK (was silent: compare)
 *       ^                     ^  ^      |  ^              |      (and HISTORY, likewise,
 *       |                     |  |      |  |              |       when a reader wants it)
 *       |     other epoch, ---+  |      |  |  level       | behind
 *       |     gone back          |      v  |              |
 *       |                        +---- RANGE <------------+
 *       |                        |      ^  a gap; in chunks until the latest id seen
 *       +--reconnected--> VERIFY +------+
 *                    last entry held: still there, and the same?
 *
 * An answer that comes when `step` has become something else is thrown away and the new
 * question asked: what arrived meanwhile was newer.
 */
enum step {
    STEP_SUBSCRIBE,
    STEP_LOAD,
    STEP_VERIFY,
    STEP_RANGE,
    /* From here on what the live channel brings is taken in at once. */
    STEP_LIVE,
    STEP_LOOK,
    STEP_HISTORY
};

struct watch {
    struct list node; /* in bus->watches, by probe_ms */
    struct bus_redis *bus;
    struct topic *topic;  /* NULL: nobody watches, the last answer is awaited */
    struct task_key task; /* owned, in `bytes` */
    char *bytes;
    struct buf channel;
    enum step step;
    enum step asked;
    bool is_asking;
    bool is_stale;          /* the answer on its way is from before an erasure */
    bool wants_history;     /* the topic waits for events from before its window */
    struct event_id latest; /* the newest id the live channel has told of */
    /* When the question on its way was asked: */
    struct event_id asked_latest;
    struct event_id asked_held; /* the last id of the topic */
    uint64_t heard_ms;
    uint64_t probe_ms;
};

static void ask(struct watch *watch);

/* ---- what we hold ---- */

static bool holds_run(const struct watch *watch)
{
    const struct run *run = topic_run(watch->topic);
    return run->epoch != 0 && !run->is_local;
}

/* The last id of the run we hold; epoch 0 when that is none of Redis. */
static struct event_id held_id(const struct watch *watch)
{
    if (!holds_run(watch))
        return (struct event_id){0, 0, false};
    return topic_last_id(watch->topic);
}

static bool is_live(const struct watch *watch)
{
    return watch->step >= STEP_LIVE;
}

static bool is_newer(struct event_id a, struct event_id b)
{
    return a.epoch != b.epoch ? a.epoch > b.epoch : a.seq > b.seq;
}

static void see(struct watch *watch, struct event_id id)
{
    if (is_newer(id, watch->latest))
        watch->latest = id;
}

/* ---- steps ---- */

static void go(struct watch *watch, enum step step)
{
    watch->step = step;
    ask(watch);
}

/* Nothing is missing at the head; what readers want of the past comes last. */
static void rest(struct watch *watch)
{
    watch->step = STEP_LIVE;
    if (watch->wants_history)
        go(watch, STEP_HISTORY);
}

static void reload(struct watch *watch)
{
    counter_add(watch->bus->reloads, 1);
    go(watch, STEP_LOAD);
}

/* Level with what was answered: live, unless the channel has told of more. */
static void settle(struct watch *watch)
{
    struct event_id held = held_id(watch);

    if (watch->latest.epoch > held.epoch)
        reload(watch);
    else if (watch->latest.epoch == held.epoch && watch->latest.seq > held.seq)
        go(watch, STEP_RANGE);
    else
        rest(watch);
}

/* The same after all there is was read: an id that was told of before we asked, and is not
 * there, was forged or is lost. Redis is the one that counts. */
static void settle_read(struct watch *watch)
{
    if (!is_newer(watch->latest, watch->asked_latest))
        watch->latest = held_id(watch);
    settle(watch);
}

/* ---- load ---- */

/* Nothing is stored of a run that had ended: its time was over. */
static bool has_expired(const struct watch *watch)
{
    return holds_run(watch) && run_state_is_final(topic_run(watch->topic)->state);
}

static void take_load(struct watch *watch, const struct store_task *task)
{
    counter_add(watch->bus->loads, 1);
    if (task->state != RUN_UNKNOWN)
        bus_restore(watch->bus, watch->topic, task);
    else if (task->was_erased ? !topic_was_erased(watch->topic) : has_expired(watch))
        topic_erase(watch->topic);
    else if (holds_run(watch))
        topic_reset(watch->topic); /* lost under an open run: it is begun anew */
    topic_ready(watch->topic);
    settle_read(watch);
}

/* ---- range ---- */

enum append_outcome {
    APPEND_GOOD,
    APPEND_BROKEN, /* the entries do not continue what we hold */
    APPEND_FULL    /* a bound on memory: the next live event finds the gap again */
};

static enum append_outcome
append_one(struct watch *watch, const struct store_entry *entry, struct buf *scratch)
{
    struct event_id held = held_id(watch);
    struct topic_event event;

    if (entry->id.epoch != held.epoch || entry->id.seq != held.seq + 1)
        return APPEND_BROKEN;
    bus_entry_read(watch->bus, watch->topic, entry, scratch, &event);
    return topic_append(watch->topic, &event) ? APPEND_GOOD : APPEND_FULL;
}

static enum append_outcome
append_entries(struct watch *watch, const struct store_entry *entries, size_t count)
{
    enum append_outcome outcome = APPEND_GOOD;
    struct buf scratch;

    buf_init(&scratch, EVENT_MAX_BYTES);
    for (size_t i = 0; i < count && outcome == APPEND_GOOD; i++)
        outcome = append_one(watch, &entries[i], &scratch);
    buf_release(&scratch);
    return outcome;
}

static void take_range(struct watch *watch, const struct store_entry *entries,
                       size_t count)
{
    enum append_outcome outcome = append_entries(watch, entries, count);

    if (outcome == APPEND_BROKEN) {
        reload(watch);
    } else if (outcome == APPEND_FULL) {
        watch->latest = held_id(watch);
        rest(watch);
    } else if (count == BUS_RANGE_CHUNK) {
        go(watch, STEP_RANGE);
    } else {
        settle_read(watch);
    }
}

/* ---- verify ---- */

/* The subscription was broken: is what we hold still the beginning of what Redis holds? */
static void take_verify(struct watch *watch, const struct store_entry *entries,
                        size_t count)
{
    const struct entry *held = topic_entry(watch->topic, topic_next(watch->topic) - 1);
    struct topic_event event;
    struct buf scratch;
    bool is_same = count == 1;

    buf_init(&scratch, EVENT_MAX_BYTES);
    if (is_same && held != NULL && event_id_equal(held->id, held_id(watch))) {
        bus_entry_read(watch->bus, watch->topic, &entries[0], &scratch, &event);
        is_same = slice_equal(event.body, held->body);
    }
    buf_release(&scratch);
    if (is_same)
        go(watch, STEP_RANGE);
    else
        reload(watch);
}

/* ---- look ---- */

static void take_look(struct watch *watch, const struct store_task *task)
{
    struct event_id now = {task->epoch, task->last_seq, false};

    if (task->state == RUN_UNKNOWN)
        now = (struct event_id){0, 0, false};
    watch->step = STEP_LIVE;
    if (is_newer(watch->asked_held, now)) {
        reload(watch); /* it went back */
        return;
    }
    see(watch, now);
    settle(watch);
}

/* ---- history ---- */

static void history_done(struct watch *watch, bool has_more)
{
    watch->wants_history = false;
    watch->step = STEP_LIVE;
    topic_history_done(watch->topic, has_more);
}

static void take_history(struct watch *watch, const struct store_entry *entries,
                         size_t count)
{
    size_t taken = bus_restore_older(watch->bus, watch->topic, entries, count);

    counter_add(watch->bus->history, taken);
    history_done(watch, taken == BUS_RANGE_CHUNK);
}

void bus_watch_history(void *ctx, struct topic *topic)
{
    struct watch *watch = topic_feed_data(topic);

    (void)ctx;
    watch->wants_history = true;
    if (watch->step == STEP_LIVE)
        go(watch, STEP_HISTORY);
}

/* ---- questions and answers ---- */

static void watch_free(struct watch *watch)
{
    list_remove(&watch->node);
    buf_release(&watch->channel);
    free(watch->bytes);
    free(watch);
}

/* True when the answer is to be used; else the watch may be gone. */
static bool is_wanted(struct watch *watch, bool has_answer)
{
    watch->is_asking = false;
    if (watch->topic == NULL) {
        watch_free(watch);
        return false;
    }
    if (watch->step != watch->asked || watch->is_stale) {
        watch->is_stale = false;
        ask(watch);
        return false;
    }
    /* Without an answer it is asked again: by the tick, or when the link is up. */
    return has_answer;
}

static void on_loaded(void *ctx, const struct store_task *task)
{
    if (is_wanted(ctx, task != NULL))
        take_load(ctx, task);
}

static void on_looked(void *ctx, const struct store_task *task)
{
    if (is_wanted(ctx, task != NULL))
        take_look(ctx, task);
}

static void on_ranged(void *ctx, bool ok, const struct store_entry *entries,
                      size_t count)
{
    if (is_wanted(ctx, ok))
        take_range(ctx, entries, count);
}

static void on_verified(void *ctx, bool ok, const struct store_entry *entries,
                        size_t count)
{
    if (is_wanted(ctx, ok))
        take_verify(ctx, entries, count);
}

static void on_history(void *ctx, bool ok, const struct store_entry *entries,
                       size_t count)
{
    if (is_wanted(ctx, ok))
        take_history(ctx, entries, count);
}

static void ask_load(struct watch *watch)
{
    size_t retained = watch->bus->limits.retain_events;

    store_load(watch->bus->store, &watch->task,
               retained < BUS_LOAD_ENTRIES ? retained : BUS_LOAD_ENTRIES, on_loaded,
               watch);
}

static void ask(struct watch *watch)
{
    struct store *store = watch->bus->store;
    struct store_span span = {watch->task, held_id(watch), BUS_RANGE_CHUNK};
    struct store_past past = {watch->task, topic_history_end(watch->topic),
                              BUS_RANGE_CHUNK};

    if (watch->is_asking || watch->step == STEP_SUBSCRIBE || watch->step == STEP_LIVE ||
        !link_is_up(watch->bus->commands))
        return;
    /* With nothing held there is nothing that could follow it, or be compared. */
    if (watch->step == STEP_RANGE && span.after.epoch == 0)
        watch->step = STEP_LOAD;
    if (watch->step == STEP_VERIFY && span.after.seq == 0)
        watch->step = STEP_LOOK;
    if (watch->step == STEP_HISTORY && past.before.epoch == 0) {
        history_done(watch, false);
        return;
    }
    watch->is_asking = true;
    watch->asked = watch->step;
    watch->asked_latest = watch->latest;
    watch->asked_held = span.after;
    if (watch->step == STEP_LOAD) {
        ask_load(watch);
    } else if (watch->step == STEP_VERIFY) {
        store_entry_at(store, &watch->task, span.after, on_verified, watch);
    } else if (watch->step == STEP_RANGE) {
        store_range(store, &span, on_ranged, watch);
    } else if (watch->step == STEP_HISTORY) {
        store_range_back(store, &past, on_history, watch);
    } else {
        counter_add(watch->bus->probes, 1);
        store_look(store, &watch->task, on_looked, watch);
    }
}

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
    see(watch, id);
    if (!is_live(watch)) {
        /* An answer on its way may be from before this note. */
        watch->is_stale = watch->is_asking && note.is_erased;
        if (note.is_erased && watch->step != STEP_SUBSCRIBE)
            go(watch, STEP_LOAD);
        return;
    }
    if (note.is_erased && id.epoch >= held_id(watch).epoch) {
        topic_erase(watch->topic);
        watch->latest = held_id(watch);
    } else if (note.is_opened && id.epoch > held_id(watch).epoch) {
        topic_open_run(watch->topic, id.epoch, note.state, note.started_ms,
                       note.keeps_text);
    }
}

static void take_event(struct watch *watch, struct event_id id, struct slice json)
{
    struct event_id held = held_id(watch);
    struct topic_event event;
    struct buf scratch;

    if (!is_newer(id, held)) {
        counter_add(watch->bus->duplicates, 1);
        return;
    }
    see(watch, id);
    if (!is_live(watch))
        return;
    if (id.epoch != held.epoch) {
        reload(watch); /* the note that opened this run was lost */
        return;
    }
    if (id.seq != held.seq + 1) {
        counter_add(watch->bus->gaps, 1);
        go(watch, STEP_RANGE);
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
    go(watch, topic_phase(watch->topic) == TOPIC_READY ? STEP_VERIFY : STEP_LOAD);
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
    struct slice site = topic_site(topic);
    struct slice name = topic_name(topic);

    watch->bus = bus;
    watch->topic = topic;
    watch->bytes = mem_new(site.len + name.len + 1);
    memcpy(watch->bytes, site.ptr, site.len);
    memcpy(watch->bytes + site.len, name.ptr, name.len);
    watch->task.site = slice_make(watch->bytes, site.len);
    watch->task.task_id = slice_make(watch->bytes + site.len, name.len);
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

/* ---- time ---- */

static bool resume_one(struct slice key, void *value, void *ctx)
{
    (void)key;
    (void)ctx;
    ask(value);
    return true;
}

void bus_watch_resume(struct bus_redis *bus)
{
    map_each(bus->by_channel, resume_one, NULL);
}

static void probe(struct watch *watch, uint64_t now)
{
    const struct run *run = topic_run(watch->topic);
    bool is_silent = now - watch->heard_ms >= BUS_PROBE_MS;

    if (watch->step == STEP_LIVE && is_silent && !run_state_is_final(run->state))
        go(watch, STEP_LOOK);
    else
        ask(watch); /* what was refused or lost */
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
