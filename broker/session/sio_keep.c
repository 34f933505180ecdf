/* sio_keep.c - what another broker must know to go on with a session (struct session_keeper). */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "session/sio_inside.h"

#include <stdlib.h>

/*
 * A record says who the client is and what it has subscribed to, with the place at which each
 * subscription joined; where the client stands today is in its offset. So a record changes
 * with the subscriptions, not with the events: it is written then, once more when the
 * transport has gone, and again each half of --recovery-ms, since it expires.
 *
 * A record that Redis did not take (it is full, or away) is written again after a second, and
 * on. Where what Redis holds tells of other subscriptions it is deleted meanwhile, which a full
 * Redis still does: the client gets a fresh session elsewhere, and knows it, instead of going
 * on without what it has subscribed to since.
 *
 * Not kept, and so not recovered elsewhere: more than SIO_MAX_PLACES tasks, and progress that
 * only this broker has heard (events sent to a user's own room).
 */
#define RECORD_BYTES 16000
#define MAX_ROOMS    32
#define AGAIN_MS     1000
/* At a time (each half second): else a Redis that comes back is met by all at once. */
#define MAX_AT_ONCE 500

/* ---- the places at the join ---- */

/* It came from another broker and had nothing of the task: it lacks what has been forgotten of
 * the run's beginning, and is told so. */
static void check_beginning(struct subscription *sub)
{
    const struct run *run = topic_run(sub->reader.topic);

    if (sub->joined.kind == PLACE_START && sub->stage == STAGE_LIVE &&
        run->epoch != 0 && sub->reader.pos > run->first_pos)
        sub->reader.pos = 0;
}

void sio_note_join(struct subscription *sub)
{
    struct sio_session *reader = sio_session_of(sub->session);

    if (topic_kind(sub->reader.topic) == TOPIC_ROOM)
        return;
    if (sub->number != 0) {
        check_beginning(sub);
        return;
    }
    sub->number = ++reader->last_number;
    sub->joined = sio_place(sub);
    reader->is_unkept = true;
}

/* A string-form subscription joins where the topic stands when it is loaded. False: not yet. */
static bool note_string_join(struct subscription *sub)
{
    uint64_t live = topic_live(sub->reader.topic);

    if (topic_phase(sub->reader.topic) != TOPIC_READY)
        return false;
    if (sub->reader.pos < live && !sub->replays)
        sub->reader.pos = live;
    sio_note_join(sub);
    return true;
}

static bool note_joins(struct sio_session *reader)
{
    bool is_complete = true;

    LIST_FOR_EACH(node, next, &reader->session.subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (!sub->is_native && sub->number == 0 &&
            topic_kind(sub->reader.topic) == TOPIC_TASK)
            is_complete = note_string_join(sub) && is_complete;
    }
    return is_complete;
}

/* ---- the record ---- */

static void put_task(struct buf *out, const struct subscription *sub)
{
    buf_puts(out, "{\"t\":");
    json_quote(out, topic_name(sub->reader.topic));
    buf_printf(out, ",\"s\":%u,\"n\":%d,\"p\":\"", sub->number, sub->is_native);
    sio_put_place(out, &sub->joined);
    buf_puts(out, "\"}");
}

/* False: there is something that no other broker could go on with. */
static bool put_subscriptions(const struct sio_session *reader, struct buf *tasks,
                              struct buf *rooms)
{
    unsigned task_count = 0;
    unsigned room_count = 0;

    LIST_FOR_EACH(node, next, &reader->session.subs)
    {
        const struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        const struct topic *topic = sub->reader.topic;
        if (sub->is_twin)
            continue;
        if (topic_kind(topic) == TOPIC_USER_TASK || sio_has_aside(sub))
            return false;
        if (topic_kind(topic) == TOPIC_ROOM) {
            buf_puts(rooms, room_count++ == 0 ? "" : ",");
            json_quote(rooms, topic_name(topic));
        } else if (sub->number != 0) {
            buf_puts(tasks, task_count++ == 0 ? "" : ",");
            put_task(tasks, sub);
        }
    }
    return task_count <= SIO_MAX_PLACES && room_count <= MAX_ROOMS;
}

static bool put_record(const struct sio_session *reader, struct buf *out)
{
    struct buf tasks;
    struct buf rooms;
    bool is_ok;

    buf_init(&tasks, RECORD_BYTES);
    buf_init(&rooms, RECORD_BYTES);
    is_ok = put_subscriptions(reader, &tasks, &rooms);
    buf_puts(out, "{\"site\":");
    json_quote(out, slice_of(reader->site));
    buf_puts(out, ",\"user\":");
    json_quote(out, slice_of(reader->who->user));
    buf_printf(out, ",\"sys\":%d,\"nsp\":%d,\"id\":\"%s\",\"mark\":%u,\"last\":%u",
               reader->who->is_system_user, reader->session.is_site_nsp, reader->id,
               reader->mark, reader->last_number);
    buf_printf(out, ",\"cut\":%llu,\"told\":%llu,\"tasks\":[",
               (unsigned long long)reader->cut_ms,
               (unsigned long long)reader->told.count);
    buf_slice(out, buf_view(&tasks));
    buf_puts(out, "],\"rooms\":[");
    buf_slice(out, buf_view(&rooms));
    buf_puts(out, "]}");
    is_ok = is_ok && !tasks.failed && !rooms.failed && !out->failed;
    buf_release(&tasks);
    buf_release(&rooms);
    return is_ok;
}

/* ---- keeping ---- */

/* A record on its way to Redis. */
struct keep_call {
    struct errand errand;
    bool is_change;
};

/* Those that failed are due within a second, so they stand before all others. */
static void not_taken(struct sio_session *reader, bool is_change)
{
    struct session_set *set = reader->session.set;
    const struct session_keeper *keeper = set->options.keeper;

    counter_add(set->unkept, 1);
    reader->is_stale = reader->is_stale || is_change;
    if (reader->is_stale)
        keeper->drop(keeper->ctx, slice_of(reader->pid));
    reader->keep_ms = loop_now_ms(set->loop) + AGAIN_MS;
    list_remove(&reader->kept);
    list_push_front(&set->kept, &reader->kept);
}

static void answered(void *ctx, bool is_taken)
{
    struct keep_call *call = ctx;
    struct session *session = errand_done(&call->errand);
    struct sio_session *reader = session == NULL ? NULL : sio_session_of(session);

    if (reader != NULL && !session->is_dead && reader->is_kept) {
        if (is_taken)
            reader->is_stale = false;
        else
            not_taken(reader, call->is_change);
    }
    free(call);
}

static bool send_record(struct sio_session *reader, struct slice text, bool is_change)
{
    struct session_set *set = reader->session.set;
    const struct session_keeper *keeper = set->options.keeper;
    const struct session_record record = {slice_of(reader->pid), text,
                                          set->options.recovery_ms};
    struct keep_call *call = mem_new(sizeof(*call));

    call->is_change = is_change;
    errand_begin(&call->errand, &reader->session);
    if (keeper->keep(keeper->ctx, &record, answered, call))
        return true;
    (void)errand_done(&call->errand);
    free(call);
    return false;
}

static void keep(struct sio_session *reader)
{
    struct session_set *set = reader->session.set;
    const struct session_keeper *keeper = set->options.keeper;
    bool is_change = reader->is_unkept;
    bool was_kept = reader->is_kept;
    struct buf record;

    buf_init(&record, RECORD_BYTES);
    reader->is_unkept = false;
    reader->is_kept = put_record(reader, &record);
    list_remove(&reader->kept);
    if (!reader->is_kept) {
        if (was_kept)
            keeper->drop(keeper->ctx, slice_of(reader->pid));
    } else if (!send_record(reader, buf_view(&record), is_change)) {
        not_taken(reader, is_change);
    } else if (reader->cut_ms == 0) {
        reader->keep_ms = loop_now_ms(set->loop) + set->options.recovery_ms / 2;
        list_push_back(&set->kept, &reader->kept);
    } /* else it expires from now on */
    buf_release(&record);
}

static bool is_kept_elsewhere(const struct sio_session *reader)
{
    return reader->session.set->options.keeper != NULL && reader->pid[0] != '\0';
}

void sio_keep_changes(struct sio_session *reader)
{
    if (!is_kept_elsewhere(reader))
        return;
    if (reader->kept_changes != reader->session.changes) {
        if (note_joins(reader))
            reader->kept_changes = reader->session.changes;
        reader->is_unkept = true;
    }
    if (reader->is_unkept)
        keep(reader);
}

void sio_keep_cut(struct sio_session *reader)
{
    if (!is_kept_elsewhere(reader) || !reader->is_kept)
        return;
    reader->cut_ms = clock_wall_ms();
    keep(reader);
}

void sio_keep_no_more(struct sio_session *reader)
{
    const struct session_keeper *keeper = reader->session.set->options.keeper;

    if (is_kept_elsewhere(reader) && reader->is_kept)
        keeper->drop(keeper->ctx, slice_of(reader->pid));
    list_remove(&reader->kept);
    reader->is_kept = false;
}

void sio_keep_on(struct session_set *set, uint64_t now)
{
    const struct session_keeper *keeper = set->options.keeper;

    /* What is due stays due while Redis is away. */
    if (keeper == NULL || !keeper->is_up(keeper->ctx))
        return;
    for (unsigned n = 0; n < MAX_AT_ONCE && !list_is_empty(&set->kept); n++) {
        struct sio_session *reader =
            LIST_ENTRY(set->kept.next, struct sio_session, kept);
        if (reader->keep_ms > now)
            return;
        keep(reader);
    }
}
