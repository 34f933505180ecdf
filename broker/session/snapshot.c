/* snapshot.c - accumulated reasoning and text, encoded once for all who come late. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "session/internal.h"

#include <stdlib.h>

#define ESCAPED_LIMIT ((size_t)1 << 30)

/*
 * A snapshot event carries the id of the last delta it covers only where resuming there
 * loses and doubles nothing: all deltas of the other kind not yet told must come after it.
 * Reasoning and text that interleave have no such point between them, so then only the
 * second event carries an id.
 */
static struct event_id safe_id(const struct run *run, const struct accumulated *first,
                               const struct accumulated *second)
{
    struct event_id id = {run->epoch, first->last_seq, run->is_local};

    if (second != NULL && second->merged > 0 && second->first_seq <= first->last_seq)
        id.epoch = 0;
    return id;
}

static void encode_kind(struct buf *out, const struct topic *topic,
                        enum event_type type, struct event_id id, struct format format)
{
    const struct run *run = topic_run(topic);
    const struct accumulated *acc =
        type == EVENT_REASONING ? &run->reasoning : &run->text;
    struct merged merged = {
        .topic = topic,
        .type = type,
        .id = id,
        .timestamp = slice_of(acc->timestamp),
        .plain_text = buf_view(&acc->utf8),
        .count = acc->merged,
    };

    encode_merged(out, &merged, (struct slice){0}, format);
}

static struct bytes *encode_snapshot(const struct topic *topic, struct format format,
                                     unsigned *pieces)
{
    const struct run *run = topic_run(topic);
    const struct accumulated *first = &run->reasoning;
    const struct accumulated *second = &run->text;
    enum event_type order[2] = {EVENT_REASONING, EVENT_TEXT};
    struct bytes *bytes;
    struct buf out;

    *pieces = 0;
    buf_init(&out, 2 * ESCAPED_LIMIT);
    if (second->merged > 0 && second->last_seq < first->last_seq) {
        order[0] = EVENT_TEXT;
        order[1] = EVENT_REASONING;
        first = &run->text;
        second = &run->reasoning;
    }
    if (first->merged > 0) {
        encode_kind(&out, topic, order[0], safe_id(run, first, second), format);
        (*pieces)++;
    }
    if (second->merged > 0) {
        encode_kind(&out, topic, order[1], safe_id(run, second, NULL), format);
        (*pieces)++;
    }
    bytes = buf_share(&out);
    buf_release(&out);
    return bytes;
}

static void snapshot_free(struct session_set *set, struct snapshot *snapshot)
{
    set->snapshot_bytes -= snapshot->bytes->len;
    bytes_unref(snapshot->bytes);
    free(snapshot);
}

/* Who is being sent it keeps it until it has left. */
static void retire(struct session_set *set, size_t slot)
{
    struct snapshot *snapshot = set->snapshots[slot];

    if (snapshot == NULL)
        return;
    set->snapshots[slot] = NULL;
    snapshot->is_current = false;
    if (snapshot->users == 0)
        snapshot_free(set, snapshot);
}

void snapshot_retire_all(struct session_set *set)
{
    for (size_t slot = 0; slot < KEPT_SNAPSHOTS; slot++)
        retire(set, slot);
}

static struct snapshot *find_current(struct session_set *set, const struct topic *topic,
                                     uint32_t key)
{
    for (size_t slot = 0; slot < KEPT_SNAPSHOTS; slot++) {
        struct snapshot *snapshot = set->snapshots[slot];
        if (snapshot == NULL || snapshot->topic != topic || snapshot->key != key)
            continue;
        if (event_id_equal(snapshot->id, topic_last_id(topic)) &&
            snapshot->generation == topic_generation(topic))
            return snapshot;
        retire(set, slot);
    }
    return NULL;
}

struct snapshot *snapshot_take(struct session_set *set, struct topic *topic,
                               struct format format)
{
    struct snapshot *snapshot = find_current(set, topic, format_key(format));
    size_t slot;

    if (snapshot != NULL) {
        snapshot->users++;
        return snapshot;
    }
    if (set->snapshot_bytes > set->options.snapshot_total_bytes)
        snapshot_retire_all(set);
    if (set->snapshot_bytes > set->options.snapshot_total_bytes) {
        counter_add(set->starved_total, 1);
        return NULL;
    }
    slot = set->next_snapshot++ % KEPT_SNAPSHOTS;
    retire(set, slot);
    snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL)
        abort();
    snapshot->bytes = encode_snapshot(topic, format, &snapshot->pieces);
    snapshot->users = 1;
    snapshot->is_current = true;
    snapshot->topic = topic;
    snapshot->generation = topic_generation(topic);
    snapshot->id = topic_last_id(topic);
    snapshot->key = format_key(format);
    set->snapshots[slot] = snapshot;
    set->snapshot_bytes += snapshot->bytes->len;
    return snapshot;
}

static void snapshot_release(struct session_set *set, struct snapshot *snapshot)
{
    snapshot->users--;
    if (snapshot->users > 0 || snapshot->is_current)
        return;
    snapshot_free(set, snapshot);
    while (!list_is_empty(&set->starved)) {
        struct session *session =
            LIST_ENTRY(set->starved.next, struct session, starved);
        list_remove(&session->starved);
        session_mark(session);
    }
}

/* ---- who is being sent one ---- */

void snapshot_hold(struct session *session, struct snapshot *snapshot)
{
    session->held = snapshot;
    session->held_ms = loop_now_ms(session->set->loop);
    list_push_back(&session->set->holders, &session->holding);
}

void snapshot_let_go(struct session *session)
{
    struct snapshot *snapshot = session->held;

    if (snapshot == NULL)
        return;
    session->held = NULL;
    list_remove(&session->holding);
    snapshot_release(session->set, snapshot);
}

void snapshot_claim(struct session_set *set, uint64_t now_ms)
{
    size_t coming = 0;

    if (list_is_empty(&set->starved))
        return;
    LIST_FOR_EACH(node, next, &set->holders)
    {
        struct session *session = LIST_ENTRY(node, struct session, holding);
        if (set->snapshot_bytes - coming <= set->options.snapshot_total_bytes ||
            now_ms - session->held_ms < set->options.snapshot_hold_ms)
            return;
        /* Others may be sent the same one: it goes with the last of them. */
        if (session->held->users == 1)
            coming += session->held->bytes->len;
        if (session->is_dead)
            continue;
        counter_add(set->cut_holders, 1);
        session->is_dead = true;
        session->ops->cut(session, "slow reader");
    }
}
