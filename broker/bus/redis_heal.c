/* redis_heal.c - questions to Redis about one watched topic, and what their answers do. */
/* SPDX-License-Identifier: MIT */
#include "bus/redis_heal.h"

#include <stdlib.h>

void watch_free(struct watch *watch)
{
    list_remove(&watch->node);
    buf_release(&watch->channel);
    task_key_release(&watch->task);
    free(watch);
}

/* ---- what we hold ---- */

static bool holds_run(const struct watch *watch)
{
    const struct run *run = topic_run(watch->topic);
    return run->epoch != 0 && !run->is_local;
}

struct event_id watch_held_id(const struct watch *watch)
{
    if (!holds_run(watch))
        return (struct event_id){0, 0, false};
    return topic_last_id(watch->topic);
}

bool watch_is_live(const struct watch *watch)
{
    return watch->step >= STEP_LIVE;
}

bool event_id_is_newer(struct event_id a, struct event_id b)
{
    return a.epoch != b.epoch ? a.epoch > b.epoch : a.seq > b.seq;
}

void watch_see(struct watch *watch, struct event_id id)
{
    if (event_id_is_newer(id, watch->latest))
        watch->latest = id;
}

/* ---- steps ---- */

void watch_go(struct watch *watch, enum step step)
{
#ifdef THINKWIRE_BREAK_HEALING
    if (step != STEP_LOAD && step != STEP_HISTORY) {
        watch->step = STEP_LIVE;
        return;
    }
#endif
    watch->step = step;
    watch_ask(watch);
}

/* Nothing is missing at the head; what readers want of the past comes last. */
void watch_rest(struct watch *watch)
{
    watch->step = STEP_LIVE;
    if (watch->owes_newer) {
        watch->owes_newer = false;
        topic_newer_done(watch->topic);
    }
    if (watch->step != STEP_LIVE)
        return;
    if (watch->wants_newer)
        watch_go(watch, STEP_LOOK);
    else if (watch->wants_history)
        watch_go(watch, STEP_HISTORY);
}

void watch_reload(struct watch *watch)
{
    counter_add(watch->bus->reloads, 1);
    watch_go(watch, STEP_LOAD);
}

/* Level with what was answered: live, unless the channel has told of more. */
static void settle(struct watch *watch)
{
    struct event_id held = watch_held_id(watch);

    if (watch->latest.epoch > held.epoch)
        watch_reload(watch);
    else if (watch->latest.epoch == held.epoch && watch->latest.seq > held.seq)
        watch_go(watch, STEP_RANGE);
    else
        watch_rest(watch);
}

/* The same after all there is was read: an id that was told of before we asked, and is not
 * there, was forged or is lost. Redis is the one that counts. */
static void settle_read(struct watch *watch)
{
    if (!event_id_is_newer(watch->latest, watch->asked_latest))
        watch->latest = watch_held_id(watch);
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
    struct event_id held = watch_held_id(watch);
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
        watch_reload(watch);
    } else if (outcome == APPEND_FULL) {
        watch->latest = watch_held_id(watch);
        watch_rest(watch);
    } else if (count == BUS_RANGE_CHUNK) {
        watch_go(watch, STEP_RANGE);
    } else {
        settle_read(watch);
    }
}

/* ---- verify ---- */

/* The subscription was broken: is what we hold still the beginning of what Redis holds? The
 * last entry stands for all before it. Where Redis has lost a tail, a producer that counts is
 * told so and opens a new epoch; what others publish meanwhile under the old one's ids has
 * other bodies, if only by its timestamps. */
static void take_verify(struct watch *watch, const struct store_entry *entries,
                        size_t count)
{
    const struct entry *held = topic_entry(watch->topic, topic_next(watch->topic) - 1);
    struct topic_event event;
    struct buf scratch;
    bool is_same = count == 1;

    buf_init(&scratch, EVENT_MAX_BYTES);
    if (is_same && held != NULL && event_id_equal(held->id, watch_held_id(watch))) {
        bus_entry_read(watch->bus, watch->topic, &entries[0], &scratch, &event);
        is_same = slice_equal(event.body, held->body);
    }
    buf_release(&scratch);
    if (is_same)
        watch_go(watch, STEP_RANGE);
    else
        watch_reload(watch);
}

/* ---- look ---- */

static void take_look(struct watch *watch, const struct store_task *task)
{
    struct event_id now = {task->epoch, task->last_seq, false};

    if (task->state == RUN_UNKNOWN)
        now = (struct event_id){0, 0, false};
    watch->step = STEP_LIVE;
    if (event_id_is_newer(watch->asked_held, now)) {
        watch_reload(watch); /* it went back */
        return;
    }
    watch_see(watch, now);
    settle(watch);
}

/* ---- history ---- */

static void history_done(struct watch *watch, bool has_more)
{
    watch->wants_history = false;
    topic_history_done(watch->topic, has_more);
    watch_rest(watch);
}

static void take_history(struct watch *watch, const struct store_entry *entries,
                         size_t count)
{
    size_t taken = bus_restore_older(watch->bus, watch->topic, entries, count);

    counter_add(watch->bus->history, taken);
    history_done(watch, taken == BUS_RANGE_CHUNK);
}

/* ---- questions and answers ---- */

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
        watch_ask(watch);
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

void watch_ask(struct watch *watch)
{
    struct store *store = watch->bus->store;
    struct store_span span = {watch->task, watch_held_id(watch), BUS_RANGE_CHUNK};
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
        watch->owes_newer = watch->owes_newer || watch->wants_newer;
        watch->wants_newer = false;
        store_look(store, &watch->task, on_looked, watch);
    }
}
