/* sio_place.c - where a Socket.IO client stands: the offsets it is told and names again. */
/* SPDX-License-Identifier: MIT */
#include "session/sio_inside.h"

#include <stdlib.h>

/*
 *   <mark of the session>-<highest arrival number told>-<packets told>
 *
 * and, where sessions are kept for other brokers too,
 *
 *   <nonce of the broker>.<the same>[.<number of a subscription>:<its place>]...
 *
 * Numbers are hexadecimal without a sign. Arrival numbers mean something to the broker of
 * the nonce only; a place means the same everywhere:
 *
 *   <epoch>-<seq>   the last event told      0   nothing yet, not even that there is a run
 *   -               none to go on from       ~   an event of this broker alone
 *
 * Left out is the place that a subscription had when it joined: the kept record has it. An
 * offset of a session that is not kept tells no places at all, and says so by that of a
 * subscription 0.
 */
#define NO_PLACES ".0:~"

bool sio_has_aside(const struct subscription *sub)
{
    return !sub->is_native && sub->twin != NULL &&
           topic_kind(sub->twin->reader.topic) == TOPIC_ROOM;
}

struct place sio_place(const struct subscription *sub)
{
    const struct topic *topic = sub->reader.topic;
    const struct run *run = topic_run(topic);
    uint64_t pos = sub->reader.pos;
    struct place place = {PLACE_LOST, {0}};
    const struct entry *last;

    if (topic_kind(topic) != TOPIC_TASK || subscription_speaking(sub) != sub ||
        sio_has_aside(sub))
        return (struct place){PLACE_LOCAL, {0}};
    if (sub->stage != STAGE_LIVE || (sub->is_native && sub->owes_reply)) {
        place.id = sub->since;
    } else if (run->epoch == 0) {
        return (struct place){PLACE_START, {0}};
    } else if (pos > run->origin_pos && !join_is_outdated(sub)) {
        place.id =
            (struct event_id){run->epoch, pos - 1 - run->origin_pos, run->is_local};
    } else {
        last = topic_entry(topic, pos - 1);
        place.id = last == NULL ? (struct event_id){0} : last->id;
    }
    if (place.id.epoch != 0)
        place.kind = place.id.is_local ? PLACE_LOCAL : PLACE_ID;
    return place;
}

static bool is_same_place(const struct place *a, const struct place *b)
{
    return a->kind == b->kind && (a->kind != PLACE_ID || event_id_equal(a->id, b->id));
}

void sio_put_place(struct buf *out, const struct place *place)
{
    char text[EVENT_ID_SIZE];

    switch (place->kind) {
    case PLACE_START:
        buf_putc(out, '0');
        return;
    case PLACE_LOST:
        buf_putc(out, '-');
        return;
    case PLACE_LOCAL:
        buf_putc(out, '~');
        return;
    case PLACE_ID:
        event_id_format(place->id, text);
        buf_puts(out, text);
        return;
    }
}

bool sio_parse_place(struct slice text, struct place *place)
{
    *place = (struct place){PLACE_ID, {0}};
    if (slice_is(text, "0"))
        place->kind = PLACE_START;
    else if (slice_is(text, "-"))
        place->kind = PLACE_LOST;
    else if (slice_is(text, "~"))
        place->kind = PLACE_LOCAL;
    else
        return event_id_parse(text, &place->id) && !place->id.is_local;
    return true;
}

/* ---- the offset ---- */

void sio_write_offset(const struct sio_session *reader, struct buf *out)
{
    const struct session_set *set = reader->session.set;

    if (set->options.keeper != NULL)
        buf_printf(out, "%x.", set->nonce);
    buf_printf(out, "%x-%llx-%llx", reader->mark,
               (unsigned long long)reader->told.order,
               (unsigned long long)reader->told.count);
    if (!reader->is_kept) {
        buf_puts(out, set->options.keeper != NULL ? NO_PLACES : "");
        return;
    }
    LIST_FOR_EACH(node, next, &reader->session.subs)
    {
        const struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        struct place place;
        if (sub->number == 0)
            continue;
        place = sio_place(sub);
        if (is_same_place(&place, &sub->joined))
            continue;
        buf_printf(out, ".%x:", sub->number);
        sio_put_place(out, &place);
    }
}

/* The part of `rest` before `mark` or the end; takes the mark too. */
static struct slice take_part(struct slice *rest, char mark)
{
    const char *found = rest->len == 0 ? NULL : memchr(rest->ptr, mark, rest->len);
    size_t len = found == NULL ? rest->len : (size_t)(found - rest->ptr);
    struct slice part = slice_make(rest->ptr, len);
    size_t step = found == NULL ? len : len + 1;

    *rest = slice_make(rest->ptr + step, rest->len - step);
    return part;
}

/* Lower case digits, sixteen at the most. */
static bool parse_hex(struct slice text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = strchr("0123456789abcdef", text.ptr[i]);
        if (text.ptr[i] == '\0' || digit == NULL)
            return false;
        *number = *number * 16 + (uint64_t)(digit - "0123456789abcdef");
    }
    return text.len > 0 && text.len <= 16;
}

static bool parse_told(struct slice text, struct sio_offset *offset)
{
    uint64_t mark;

    if (!parse_hex(take_part(&text, '-'), &mark) || mark > UINT32_MAX ||
        !parse_hex(take_part(&text, '-'), &offset->told.order) ||
        !parse_hex(text, &offset->told.count))
        return false;
    offset->mark = (uint32_t)mark;
    return true;
}

static bool parse_places(struct slice text, struct sio_offset *offset)
{
    while (text.len > 0) {
        struct slice part = take_part(&text, '.');
        uint64_t number;
        if (offset->count == SIO_MAX_PLACES ||
            !parse_hex(take_part(&part, ':'), &number) || number > UINT32_MAX ||
            !sio_parse_place(part, &offset->places[offset->count]))
            return false;
        offset->numbers[offset->count++] = (uint32_t)number;
    }
    return true;
}

bool sio_parse_offset(struct slice text, struct sio_offset *offset)
{
    uint64_t nonce = 0;
    struct slice first;
    struct slice rest = text;

    *offset = (struct sio_offset){0};
    if (text.len == 0 || text.len > SIO_OFFSET_BYTES)
        return false;
    first = take_part(&rest, '.');
    if (first.len == text.len)
        return parse_told(first, offset);
    if (!parse_hex(first, &nonce) || nonce > UINT32_MAX ||
        !parse_told(take_part(&rest, '.'), offset))
        return false;
    offset->nonce = (uint32_t)nonce;
    return parse_places(rest, offset);
}

bool sio_offset_tells_places(const struct sio_offset *offset)
{
    return sio_offset_place(offset, 0) == NULL;
}

const struct place *sio_offset_place(const struct sio_offset *offset, uint32_t number)
{
    for (unsigned i = 0; i < offset->count; i++)
        if (offset->numbers[i] == number)
            return &offset->places[i];
    return NULL;
}
