/* pump.c - what is sent next: one window of the sink at a time. */
/* SPDX-License-Identifier: MIT */
#include "session/internal.h"

/* One send carries about so much; the kernel takes a write of 64 KB at the most anyway. */
#define SEND_BYTES 60000
/* Events behind, on a socket that was full, from which on deltas are merged. */
#define MERGE_BEHIND 64
#define CURSOR_LIMIT 65536

void session_drained(struct session *session)
{
    snapshot_let_go(session);
    session_pump(session);
}

struct format subscription_format(const struct subscription *sub, enum framing framing)
{
    const struct session *session = sub->session;
    enum dialect dialect = sub->is_native ? session->dialect : DIALECT_SIO_STRING;

    return (struct format){dialect, framing, session->is_site_nsp};
}

static bool begins_run(const struct topic *topic, uint64_t pos)
{
    const struct entry *before = topic_entry(topic, pos - 1);
    const struct entry *entry = topic_entry(topic, pos);

    return before != NULL && entry != NULL && before->id.epoch != entry->id.epoch;
}

/* Another text has begun where the reader stands: it is told before it reads on. When there
 * were several, those in between are passed over. */
static bool stands_at_new_text(const struct subscription *sub)
{
    const struct topic *topic = sub->reader.topic;

    return join_is_outdated(sub) && (sub->reader.pos >= topic_run(topic)->first_pos ||
                                     begins_run(topic, sub->reader.pos));
}

static bool is_behind(const struct subscription *sub)
{
    return sub->stage == STAGE_LIVE && !sub->is_held &&
           reader_lag(&sub->reader) == READER_BEHIND && !stands_at_new_text(sub);
}

static void cut_opaque(struct subscription *sub)
{
    counter_add(sub->session->set->cut_opaque, 1);
    sub->session->is_dead = true;
    sub->session->ops->cut(sub->session, "slow reader");
}

/* A live native reader that lost its place, by its slowness or because the data went. */
static void handle_lost(struct subscription *sub)
{
    bool data_went = sub->generation != topic_generation(sub->reader.topic);

    join_resync(sub, data_went ? "data_lost" : "window_passed");
}

/* A string-form reader gets nothing from before it came, nor what was told once. */
static void skip_what_is_not_live(struct subscription *sub)
{
    uint64_t live = topic_live(sub->reader.topic);

    if (sub->reader.pos >= live)
        sub->replays = false;
    else if (!sub->replays)
        sub->reader.pos = live;
}

/* A string-form reader further behind than may be: it can neither be merged nor told. */
static bool is_over_opaque_bound(const struct subscription *sub)
{
    const struct entry *next = topic_entry(sub->reader.topic, sub->reader.pos);

    if (sub->is_native)
        return false;
    if (next == NULL)
        return reader_lag(&sub->reader) == READER_LOST;
    /* The next one counts for nothing: however long it is, it has to be sent first. */
    return sub->session->was_blocked &&
           reader_lag_bytes(&sub->reader) - next->body.len >
               sub->session->set->options.opaque_lag_bytes;
}

static bool settle_string(struct subscription *sub)
{
    if (join_reply_string(sub))
        return true;
    skip_what_is_not_live(sub);
    if (!is_over_opaque_bound(sub))
        return false;
    cut_opaque(sub);
    return true;
}

/* One step of a subscription that cannot simply be sent to: true when it did something. */
static bool settle_one(struct subscription *sub, const struct sio_window *window)
{
    if (sub->is_held)
        return false;
    if (subscription_add_public(sub))
        return true;
    if (sub->stage != STAGE_LIVE)
        return join_step(sub, window);
    if (!sub->is_native)
        return settle_string(sub);
    join_adopt_text(sub);
    if (reader_lag(&sub->reader) == READER_LOST) {
        handle_lost(sub);
        return true;
    }
    if (stands_at_new_text(sub)) {
        join_resync(sub, "new_run");
        return true;
    }
    return false;
}

static bool settle(struct session *session, const struct sio_window *window)
{
    LIST_FOR_EACH(node, next, &session->subs)
    {
        if (settle_one(LIST_ENTRY(node, struct subscription, node), window))
            return true;
    }
    return false;
}

/* Who cannot be sent to may still have to go. */
static void settle_blocked(struct session *session)
{
    session->was_blocked = true;
    LIST_FOR_EACH(node, next, &session->subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (!sub->is_native)
            skip_what_is_not_live(sub);
        if (is_over_opaque_bound(sub)) {
            cut_opaque(sub);
            return;
        }
    }
}

static bool send_bytes(struct session *session, struct bytes *bytes, unsigned count)
{
    bool has_room;

    counter_add(session->set->delivered, count);
    has_room = session->ops->send(session, bytes, count);
    bytes_unref(bytes);
    return has_room;
}

/* A burst ends where another text may begin. */
static unsigned entries_to_send(const struct subscription *sub, unsigned most)
{
    const struct topic *topic = sub->reader.topic;
    uint64_t end = sub->reader.pos + 1;

    if (!join_is_outdated(sub))
        return most;
    while (end < topic_run(topic)->first_pos && !begins_run(topic, end))
        end++;
    return end - sub->reader.pos < most ? (unsigned)(end - sub->reader.pos) : most;
}

/* The common case: one topic is behind, its readers stand at the same place, the bytes are
 * encoded once for all. */
static bool send_shared(struct subscription *sub, const struct sio_window *window)
{
    struct session *session = sub->session;
    struct burst burst = {
        .from = sub->reader.pos,
        .key = format_key(subscription_format(sub, window->framing)),
        .max_entries = entries_to_send(sub, window->packets),
        .about_bytes = window->bytes < SEND_BYTES ? window->bytes : SEND_BYTES,
    };
    struct bytes *bytes = topic_burst(sub->reader.topic, &burst, encode_entry);
    unsigned count = (unsigned)(burst.to - burst.from);

    session->last_order = topic_entry(sub->reader.topic, burst.to - 1)->order;
    sub->reader.pos = burst.to;
    return send_bytes(session, bytes, count);
}

static struct slice cursor_text(struct session *session, struct buf *cursor)
{
    buf_reset(cursor);
    if (session->ops->cursor != NULL)
        session->ops->cursor(session, cursor);
    return buf_view(cursor);
}

/* Consecutive deltas of one kind as one event: the reader was full and has fallen behind. */
static void encode_run_of_deltas(struct buf *out, struct subscription *sub,
                                 struct format format, struct buf *cursor)
{
    struct topic *topic = sub->reader.topic;
    const struct entry *first = topic_entry(topic, sub->reader.pos);
    const struct entry *entry = first;
    struct merged merged = {.topic = topic, .type = first->type};
    struct buf text;

    buf_init(&text, 2 * SEND_BYTES + EVENT_MAX_BYTES);
    while (entry != NULL && entry->is_delta && entry->type == first->type &&
           entry->id.epoch == first->id.epoch && text.len < SEND_BYTES) {
        buf_slice(&text, entry->text);
        merged.id = entry->id;
        merged.count++;
        sub->session->last_order = entry->order;
        sub->reader.pos++;
        entry = topic_entry(topic, sub->reader.pos);
    }
    merged.raw_text = buf_view(&text);
    merged.timestamp = first->timestamp;
    counter_add(sub->session->set->merged, merged.count);
    encode_merged(out, &merged, cursor_text(sub->session, cursor), format);
    buf_release(&text);
}

/* The sink was full and much has come since: deltas are merged now. A reader that is a
 * little behind gets every event as it was published. */
static bool has_fallen_behind(const struct subscription *sub)
{
    return sub->is_native && sub->session->was_blocked &&
           topic_next(sub->reader.topic) - sub->reader.pos > MERGE_BEHIND;
}

static void encode_one(struct buf *out, struct subscription *sub, struct format format)
{
    const struct entry *entry = topic_entry(sub->reader.topic, sub->reader.pos);
    struct buf cursor;

    sub->session->last_order = entry->order;
    buf_init(&cursor, CURSOR_LIMIT);
    if (has_fallen_behind(sub) && entry->is_delta) {
        encode_run_of_deltas(out, sub, format, &cursor);
    } else {
        sub->reader.pos++;
        encode_event(out, sub->reader.topic, entry, format,
                     cursor_text(sub->session, &cursor));
    }
    buf_release(&cursor);
}

/* What another topic has just brought: a publication to several of Frappe's rooms has one
 * arrival number. */
static bool is_copy(const struct subscription *sub)
{
    const struct entry *entry = topic_entry(sub->reader.topic, sub->reader.pos);

    /* Fetched from before the window: it has no number. */
    return entry->is_opaque && entry->order != 0 &&
           entry->order == sub->session->last_order;
}

static bool owes_event(struct subscription *sub)
{
    while (is_behind(sub) && is_copy(sub))
        sub->reader.pos++;
    return is_behind(sub);
}

/* Of all subscriptions that are behind the one whose next event came first. */
static struct subscription *oldest_behind(const struct session *session)
{
    struct subscription *best = NULL;
    uint64_t best_order = UINT64_MAX;

    LIST_FOR_EACH(node, next, &session->subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        const struct entry *entry;
        if (!owes_event(sub))
            continue;
        entry = topic_entry(sub->reader.topic, sub->reader.pos);
        if (entry->order < best_order) {
            best_order = entry->order;
            best = sub;
        }
    }
    return best;
}

/* Several topics at once, or a reader that lags: encoded for this session alone, in the
 * order of arrival. */
static bool send_private(struct session *session, const struct sio_window *window)
{
    size_t about = window->bytes < SEND_BYTES ? window->bytes : SEND_BYTES;
    struct subscription *sub = oldest_behind(session);
    struct buf out;
    struct bytes *bytes;
    unsigned count = 0;

    buf_init(&out, SEND_BYTES + 8 * EVENT_MAX_BYTES);
    while (sub != NULL && count < window->packets && out.len < about) {
        encode_one(&out, sub, subscription_format(sub, window->framing));
        count++;
        sub = oldest_behind(session);
    }
    bytes = buf_share(&out);
    buf_release(&out);
    return send_bytes(session, bytes, count);
}

static struct subscription *only_one_behind(const struct session *session,
                                            unsigned *behind)
{
    struct subscription *found = NULL;

    *behind = 0;
    LIST_FOR_EACH(node, next, &session->subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (owes_event(sub)) {
            (*behind)++;
            found = sub;
        }
    }
    return *behind == 1 ? found : NULL;
}

static bool send_live(struct session *session, const struct sio_window *window,
                      bool *is_level)
{
    unsigned behind;
    struct subscription *sub = only_one_behind(session, &behind);

    *is_level = behind == 0;
    if (behind == 0)
        return true;
    if (sub != NULL && session->dialect != DIALECT_SSE_MULTI && !session->is_private &&
        !has_fallen_behind(sub))
        return send_shared(sub, window);
    return send_private(session, window);
}

void session_pump(struct session *session)
{
    struct sio_window window;
    bool is_level;

    while (!session->is_dead) {
        if (!session->ops->window(session, &window)) {
            settle_blocked(session);
            return;
        }
        if (settle(session, &window))
            continue;
        if (!send_live(session, &window, &is_level)) {
            session->was_blocked = true;
            return;
        }
        if (is_level) {
            session->was_blocked = false;
            if (session->ops->level != NULL)
                session->ops->level(session);
            return;
        }
    }
}
