/* join.c - how a subscription begins, and begins again: `subscribed`, snapshot, live. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "codec/json.h"
#include "session/internal.h"

/*
 *   JOINING --topic loaded, `subscribed` told--> SNAPSHOT --sent--> LIVE
 *      |                                            ^                |
 *      +--since / start / now: a place is known--> LIVE --lost, `resync` told
 */

static void put_ms(struct buf *out, const char *name, uint64_t ms)
{
    buf_printf(out, ",\"%s\":", name);
    if (ms == 0)
        buf_puts(out, "null");
    else
        buf_u64(out, ms);
}

void session_write_state(struct buf *out, const struct topic *topic, uint64_t replayed)
{
    const struct run *run = topic_run(topic);
    bool is_thinking = run->state == RUN_QUEUED || run->state == RUN_RUNNING;
    char id[EVENT_ID_SIZE];

    if (run->text_started_ms != 0)
        is_thinking = false;
    event_id_format(topic_last_id(topic), id);
    buf_puts(out, "\"task_id\":");
    json_quote(out, topic_name(topic));
    buf_printf(out, ",\"state\":\"%s\",\"id\":", run_state_name(run->state));
    if (run->epoch == 0)
        buf_puts(out, "null");
    else
        buf_printf(out, "\"%s\"", id);
    put_ms(out, "started_at", run->started_ms);
    put_ms(out, "thinking_since", is_thinking ? run->started_ms : 0);
    put_ms(out, "now", clock_wall_ms());
    buf_puts(out, ",\"replayed\":");
    buf_u64(out, replayed);
}

/* A run whose events may not be merged is told again as it was. */
static bool is_opaque_run(const struct topic *topic)
{
    return topic_run(topic)->is_local || topic_run(topic)->is_opaque;
}

static uint64_t first_retained(const struct topic *topic)
{
    uint64_t first = topic_run(topic)->first_pos;

    return first > topic_base(topic) ? first : topic_base(topic);
}

/* Where live goes on behind a snapshot: the head, but the run's terminal event is told
 * whole. */
static uint64_t after_snapshot(const struct topic *topic)
{
    uint64_t head = topic_next(topic);
    const struct entry *last = topic_entry(topic, head - 1);

    if (last != NULL && event_type_is_terminal(last->type) &&
        head > topic_run(topic)->first_pos)
        return head - 1;
    return head;
}

/* How many events a snapshot has; 0 = there is none. */
static unsigned snapshot_pieces(const struct topic *topic)
{
    const struct run *run = topic_run(topic);

    if (is_opaque_run(topic))
        return 0;
    return (run->reasoning.merged > 0 ? 1U : 0U) + (run->text.merged > 0 ? 1U : 0U);
}

static bool has_snapshot(const struct topic *topic)
{
    return snapshot_pieces(topic) > 0;
}

static void tell_subscribed(struct subscription *sub, uint64_t replayed)
{
    struct buf state;

    buf_init(&state, 2048);
    session_write_state(&state, sub->reader.topic, replayed);
    sub->owes_reply = false;
    sub->session->ops->subscribed(sub, buf_view(&state));
    buf_release(&state);
}

static void tell_resync(struct subscription *sub, const char *reason)
{
    struct buf data;

    buf_init(&data, 1024);
    buf_puts(&data, "{\"task_id\":");
    json_quote(&data, topic_name(sub->reader.topic));
    buf_printf(&data, ",\"reason\":\"%s\"}", reason);
    counter_add(sub->session->set->resyncs, 1);
    /* The reader has nothing now, so the place it asked for is none any more. */
    sub->since = (struct event_id){0};
    sub->session->ops->resync(sub, buf_view(&data));
    buf_release(&data);
}

/* What came before is told as a snapshot, or again: arrival numbers tell nothing of it. */
static void set_live(struct subscription *sub)
{
    sub->floor = hub_last_order(sub->session->set->hub);
    sub->stage = STAGE_LIVE;
}

/* A place for a subscription that starts from what is retained. */
static void enter(struct subscription *sub)
{
    struct topic *topic = sub->reader.topic;

    sub->generation = topic_generation(topic);
    sub->text_epoch = topic_run(topic)->text_epoch;
    /* What is told again is no copy. */
    sub->session->last_order = 0;
    if (has_snapshot(topic)) {
        sub->stage = STAGE_SNAPSHOT;
        return;
    }
    sub->reader.pos =
        is_opaque_run(topic) ? first_retained(topic) : after_snapshot(topic);
    set_live(sub);
}

/* The id after which the joiner wants every event, if there is one. */
static bool wants_after(const struct subscription *sub, struct event_id *id)
{
    const struct topic *topic = sub->reader.topic;
    const struct run *run = topic_run(topic);
    size_t kept = hub_limits(topic_hub(topic))->retain_events;

    *id = sub->since;
    /* More than is ever kept here cannot come back. */
    if (sub->has_since)
        return sub->since.epoch == run->epoch && run->last_seq - sub->since.seq <= kept;
    *id = (struct event_id){run->epoch, 0, run->is_local};
    return sub->from == FROM_START ||
           (sub->from == FROM_SNAPSHOT && is_opaque_run(topic));
}

/* True while what it wants is not in the window but may still be had. */
static bool wait_for_history(struct subscription *sub)
{
    struct event_id id;

    sub->is_waiting_history =
        wants_after(sub, &id) && topic_fetch_after(sub->reader.topic, id);
    if (sub->is_waiting_history && !list_is_linked(&sub->wait))
        subscription_wait(sub, sub->session->set->options.wait_unknown_ms);
    return sub->is_waiting_history;
}

bool join_waits_for_newer(struct subscription *sub, struct event_id id)
{
    struct topic *topic = sub->reader.topic;

    if (!topic_is_behind(topic, id))
        return false;
    if (sub->newer_number == 0)
        sub->newer_number = topic_ask_newer(topic);
    return sub->newer_number != 0 && !topic_newer_is_known(topic, sub->newer_number);
}

/* True while it is asked whether what the joiner has been told elsewhere is there by now. */
static bool wait_for_newer(struct subscription *sub)
{
    sub->is_waiting_history = sub->has_since && join_waits_for_newer(sub, sub->since);
    if (sub->is_waiting_history && !list_is_linked(&sub->wait))
        subscription_wait(sub, sub->session->set->options.wait_unknown_ms);
    return sub->is_waiting_history;
}

static bool is_loading(const struct subscription *sub)
{
    return topic_phase(sub->reader.topic) != TOPIC_READY ||
           (sub->stage == STAGE_JOINING && sub->is_waiting_history);
}

static void wait_for_unknown(struct subscription *sub)
{
    if (topic_run(sub->reader.topic)->state != RUN_UNKNOWN || !sub->is_native) {
        subscription_unwait(sub);
        return;
    }
    sub->is_waiting_unknown = true;
    subscription_wait(sub, sub->session->set->options.wait_unknown_ms);
}

static void fail(struct subscription *sub, const char *code, const char *message)
{
    counter_add(sub->session->set->bad_requests, 1);
    sub->session->ops->failed(sub, code, message);
    subscription_remove(sub);
}

static void fail_gone(struct subscription *sub)
{
    fail(sub, "GONE", "the task has expired or was erased");
}

void join_resync(struct subscription *sub, const char *reason)
{
    if (topic_was_erased(sub->reader.topic)) {
        fail_gone(sub);
        return;
    }
    enter(sub);
    tell_resync(sub, reason);
}

/* A reader that waited for a task to begin has the text of the first run it reads. */
void join_adopt_text(struct subscription *sub)
{
    const struct topic *topic = sub->reader.topic;
    const struct run *run = topic_run(topic);
    const struct entry *next = topic_entry(topic, sub->reader.pos);

    if (sub->text_epoch != 0 || run->epoch == 0)
        return;
    sub->text_epoch = run->text_epoch;
    if (next != NULL && sub->reader.pos < run->first_pos)
        sub->text_epoch = next->id.epoch;
}

bool join_is_outdated(const struct subscription *sub)
{
    const struct run *run = topic_run(sub->reader.topic);

    return sub->is_native && sub->stage == STAGE_LIVE && run->epoch != 0 &&
           run->text_epoch != sub->text_epoch;
}

static void join_at(struct subscription *sub, uint64_t pos)
{
    uint64_t head = topic_next(sub->reader.topic);

    sub->reader.pos = pos;
    set_live(sub);
    sub->session->last_order = 0;
    tell_subscribed(sub, head - pos);
}

/* How many events a joiner is about to get before live ones. */
static uint64_t owed_after_enter(const struct subscription *sub)
{
    const struct topic *topic = sub->reader.topic;

    if (sub->stage == STAGE_LIVE)
        return topic_next(topic) - sub->reader.pos;
    return snapshot_pieces(topic) + (topic_next(topic) - after_snapshot(topic));
}

static void join_native(struct subscription *sub)
{
    struct topic *topic = sub->reader.topic;
    uint64_t pos = sub->has_since ? topic_after(topic, sub->since) : 0;
    bool is_known = topic_run(topic)->state != RUN_UNKNOWN;

    sub->generation = topic_generation(topic);
    sub->text_epoch = topic_run(topic)->text_epoch;
    if (pos != 0) {
        join_at(sub, pos);
    } else if (sub->from == FROM_NOW && !sub->has_since) {
        join_at(sub, topic_next(topic));
    } else if (sub->from == FROM_START && !sub->has_since) {
        join_at(sub, is_known ? first_retained(topic) : topic_next(topic));
    } else {
        enter(sub);
        tell_subscribed(sub, owed_after_enter(sub));
        if (sub->has_since)
            tell_resync(sub, "unknown_id");
    }
}

static bool send_snapshot(struct subscription *sub, const struct sio_window *window)
{
    struct session *session = sub->session;
    struct topic *topic = sub->reader.topic;
    struct snapshot *snapshot;

    /* The data went away between telling and sending: there is another snapshot, or none. */
    if (topic_was_erased(topic)) {
        fail_gone(sub);
        return true;
    }
    if (!has_snapshot(topic)) {
        enter(sub);
        return true;
    }
    /* One at a time: the one being sent is let go when the sink has drained. And a polling
     * answer that has no room for both packets is not the one to put them in. */
    if (session->held != NULL || window->packets < snapshot_pieces(topic))
        return false;
    snapshot =
        snapshot_take(session->set, topic, subscription_format(sub, window->framing));
    if (snapshot == NULL) {
        list_remove(&session->starved);
        list_push_back(&session->set->starved, &session->starved);
        return false;
    }
    sub->generation = topic_generation(topic);
    sub->text_epoch = topic_run(topic)->text_epoch;
    sub->reader.pos = after_snapshot(topic);
    set_live(sub);
    snapshot_hold(session, snapshot);
    counter_add(session->set->snapshots_sent, 1);
    if (session->ops->after_snapshot != NULL)
        session->ops->after_snapshot(sub);
    if (session->ops->send(session, snapshot->bytes, snapshot->pieces))
        snapshot_let_go(session);
    return true;
}

bool join_step(struct subscription *sub, const struct sio_window *window)
{
    struct topic *topic = sub->reader.topic;

    if (sub->stage == STAGE_SNAPSHOT)
        return send_snapshot(sub, window);
    if (topic_phase(topic) != TOPIC_READY)
        return false;
    if (topic_was_erased(topic)) {
        fail_gone(sub);
        return true;
    }
    if (wait_for_newer(sub) || wait_for_history(sub))
        return false;
    wait_for_unknown(sub);
    join_native(sub);
    return true;
}

bool join_reply_string(struct subscription *sub)
{
    if (!sub->owes_reply || topic_phase(sub->reader.topic) != TOPIC_READY)
        return false;
    subscription_unwait(sub);
    tell_subscribed(sub, 0);
    return true;
}

void join_timeout(struct subscription *sub)
{
    struct session *session = sub->session;
    bool is_unknown = topic_run(sub->reader.topic)->state == RUN_UNKNOWN;

    if (sub->is_waiting_unknown && (!is_unknown || subscription_speaking(sub) != sub)) {
        sub->is_waiting_unknown = false;
        return;
    }
    if (sub->is_waiting_unknown)
        fail(sub, "UNKNOWN_TASK", "nobody has published for this task");
    else if (sub->owes_reply && is_loading(sub))
        fail(sub, "UNAVAILABLE", "the event store cannot be reached at the moment");
    session_mark(session);
}

bool join_parse(struct subscription *sub, struct slice since, struct slice from,
                const char **field)
{
    *field = "since";
    sub->has_since = since.len > 0;
    sub->knows_absent = slice_is(since, PLACE_ABSENT);
    /* Neither stands after an event, so the reader is told to begin anew. */
    if (sub->has_since && !slice_is(since, PLACE_NONE) && !sub->knows_absent &&
        !event_id_parse(since, &sub->since))
        return false;
    *field = "from";
    if (from.len == 0 || slice_is(from, "snapshot"))
        sub->from = FROM_SNAPSHOT;
    else if (slice_is(from, "start"))
        sub->from = FROM_START;
    else if (slice_is(from, "now"))
        sub->from = FROM_NOW;
    else
        return false;
    return true;
}
