/* sse_place.c - where a stream's reader stands: the id lines it is told and names again. */
/* SPDX-License-Identifier: MIT */
#include "session/sse_inside.h"

void stream_put_place(struct buf *out, const struct subscription *sub)
{
    const struct topic *topic = sub->reader.topic;
    const struct run *run = topic_run(topic);
    const struct entry *last = topic_entry(topic, sub->reader.pos - 1);
    struct event_id id = {run->epoch, 0, run->is_local};
    char text[EVENT_ID_SIZE];

    if (sub->stage != STAGE_LIVE || sub->owes_reply) {
        id = sub->since;
    } else if (run->epoch != 0 && sub->reader.pos > run->origin_pos &&
               !join_is_outdated(sub)) {
        id.seq = sub->reader.pos - 1 - run->origin_pos;
    } else if (last != NULL) {
        id = last->id; /* of an earlier run: that this one began was not told yet */
    } else {
        id.epoch = 0;
    }
    event_id_format(id, text);
    buf_puts(out, text[0] == '\0' ? PLACE_NONE : text);
}

/* The subscriptions that nobody sees are those of an own room (twins); which of the stream's
 * tasks the others are is fixed when it opens. */
void stream_number_slots(struct stream *stream)
{
    stream->slots = 0;
    LIST_FOR_EACH(node, next, &stream->session.subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (!sub->is_twin)
            sub->slot = stream->slots++;
    }
}

/* Tasks that were given up keep their part: the others' do not move. */
static void put_absent(struct buf *out, uint16_t *slot, uint16_t until)
{
    for (; *slot < until; (*slot)++) {
        buf_puts(out, *slot == 0 ? "" : ",");
        buf_puts(out, PLACE_ABSENT);
    }
}

void stream_cursor(struct session *session, struct buf *out)
{
    const struct stream *stream = stream_of(session);
    uint16_t slot = 0;

    if (!stream->is_multi)
        return;
    LIST_FOR_EACH(node, next, &session->subs)
    {
        const struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (sub->is_twin || sub == stream->failing)
            continue;
        put_absent(out, &slot, sub->slot);
        buf_puts(out, slot++ == 0 ? "" : ",");
        stream_put_place(out, subscription_speaking(sub));
    }
    put_absent(out, &slot, stream->slots);
}

/* Gives each subscription its part; one that is no id (PLACE_NONE, or of other tasks) is known to
 * nobody and the task is told anew. */
void stream_apply_cursor(struct stream *stream, struct slice cursor)
{
    size_t at = 0;

    if (cursor.len == 0)
        return;
    LIST_FOR_EACH(node, next, &stream->session.subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        size_t end = at;
        struct slice part;
        if (sub->is_twin)
            continue;
        while (end < cursor.len && cursor.ptr[end] != ',')
            end++;
        part =
            at < cursor.len ? slice_make(cursor.ptr + at, end - at) : (struct slice){0};
        at = end + 1;
        sub->has_since = true;
        sub->knows_absent = slice_is(part, PLACE_ABSENT);
        if (!event_id_parse(part, &sub->since))
            sub->since = (struct event_id){0};
    }
}
