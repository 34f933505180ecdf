/* sio_recover.c - connection state recovery of stock Socket.IO clients (4.6 and later). */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "session/sio_inside.h"

#include <stdlib.h>

/*
 * A session whose transport was cut is kept as it is: its cursors stay in the topics, so
 * nothing is copied and nothing is queued. A client that comes back with the secret `pid`
 * and the offset of the last event it has seen goes on from there
 * (sio_place.c). It says where the client stands, never what it may see: who it is was asked
 * again before. Arrival numbers place the cursors of what is told in order of arrival, ids
 * those of tasks that have them. What a native subscription is told anew is older than that,
 * so it is the count that shows whether all of it has arrived; if not, that subscription
 * starts anew.
 *
 * Honest non-recovery: if an event that the client lacks is gone from a window, or another
 * user comes with the pid, it gets a fresh session, and knows by socket.recovered.
 */

static const char *const kept_reasons[] = {
    "transport error", "transport close",      "ping timeout",
    "forced close",    "server shutting down", "forced server close",
};

static bool asks_for_recovery(struct slice auth)
{
    struct json_member member;

    return auth.len > 0 && json_get(auth, "recovery", &member) &&
           member.kind == JSON_TRUE;
}

/* Browsers take the extra argument in their stride; handlers of other languages do not. */
static bool is_browser(const struct sio_handshake *shake)
{
    return shake->origin.ptr != NULL && shake->user_agent.len >= 8 &&
           memcmp(shake->user_agent.ptr, "Mozilla/", 8) == 0;
}

static bool is_offered(const struct sio_session *reader, struct slice auth)
{
    const struct session_options *options = &reader->session.set->options;
    const struct sio_handshake *shake = sio_handshake(reader->socket);
    struct json_member pid;
    struct buf value;
    bool asked;

    if (options->recovery == RECOVERY_OFF || sio_revision(reader->socket) != 4)
        return false;
    if (options->recovery == RECOVERY_ON)
        return true;
    buf_init(&value, 16);
    asked = http_query_get(shake->query, "recovery", &value) &&
            slice_is(buf_view(&value), "1");
    buf_release(&value);
    /* Who comes with a pid was offered recovery before. */
    return asked || asks_for_recovery(auth) || is_browser(shake) ||
           (auth.len > 0 && json_get(auth, "pid", &pid));
}

void sio_offer_recovery(struct sio_session *reader, struct slice auth)
{
    if (!is_offered(reader, auth))
        return;
    random_bytes(&reader->mark, sizeof(reader->mark));
    random_hex(reader->pid, sizeof(reader->pid) - 1);
    /* Its frames end in an offset of its own: they are not shared. */
    reader->session.is_private = true;
    map_set(reader->session.set->by_pid, slice_of(reader->pid), reader);
    reader->is_unkept = true;
}

void sio_forget_pid(struct sio_session *reader)
{
    struct map *by_pid = reader->session.set->by_pid;

    if (reader->pid[0] != '\0' && map_get(by_pid, slice_of(reader->pid)) == reader)
        map_remove(by_pid, slice_of(reader->pid));
}

/* ---- coming back ---- */

static bool take_text(struct slice auth, const char *key, char *out, size_t size)
{
    struct json_member member;
    struct slice raw;

    if (!json_get(auth, key, &member) || member.kind != JSON_STRING)
        return false;
    raw = json_string_raw(member.value);
    if (raw.len >= size)
        return false;
    memcpy(out, raw.ptr, raw.len);
    out[raw.len] = '\0';
    return true;
}

/* False when it is not one of ours, or of what another broker has told since. An offset of an
 * earlier session, or none, is what a client has that was told nothing in this one. */
static bool parse_offset(const struct sio_session *saved, struct slice auth,
                         struct sio_offset *seen)
{
    const struct session_set *set = saved->session.set;
    uint32_t nonce = set->options.keeper == NULL ? 0 : set->nonce;
    struct json_member member;

    *seen = (struct sio_offset){.told.order = saved->first_order};
    if (!json_get(auth, "offset", &member) || member.kind == JSON_NULL)
        return true;
    if (member.kind != JSON_STRING ||
        !sio_parse_offset(json_string_raw(member.value), seen))
        return false;
    if (seen->mark != saved->mark) {
        *seen = (struct sio_offset){.told.order = saved->first_order};
        return true;
    }
    return seen->nonce == nonce && seen->told.count <= saved->told.count &&
           seen->told.order <= saved->told.order;
}

/* An id places exactly, whatever the arrival numbers say. False: it tells nothing here. */
static bool place_by_id(struct subscription *sub, const struct sio_offset *seen)
{
    const struct place *place = sio_offset_place(seen, sub->number);
    const struct run *run = topic_run(sub->reader.topic);

    if (place == NULL)
        place = &sub->joined;
    /* Where nothing is kept for others arrival numbers are all there is. */
    if (sub->session->set->options.keeper == NULL || !sio_offset_tells_places(seen) ||
        sub->number == 0 || run->epoch == 0 || run->is_local ||
        (place->kind != PLACE_ID && place->kind != PLACE_START))
        return false;
    sub->reader.pos = topic_after(
        sub->reader.topic,
        place->kind == PLACE_ID ? place->id : (struct event_id){run->epoch, 0, false});
    sub->replays = true;
    return true;
}

/* Where a subscription goes on for a client that has seen everything up to `order`. False:
 * something it lacks is gone. */
static bool place(struct subscription *sub, const struct sio_offset *seen)
{
    struct topic *topic = sub->reader.topic;
    uint64_t order = seen->told.order;
    uint64_t pos;

    if (sub->stage != STAGE_LIVE || sub->owes_reply)
        return true; /* it joins anew: nothing of it was told */
    if (place_by_id(sub, seen))
        return sub->reader.pos != 0 || sub->is_native;
    pos = topic_after_order(topic, order < sub->floor ? sub->floor : order);
    if (sub->is_native && order <= sub->floor)
        pos = 0;
    /* Before all there is: a native reader is told that it lost its place. */
    sub->reader.pos = pos;
    return pos != 0 || sub->is_native;
}

static bool place_all(struct sio_session *saved, const struct sio_offset *seen)
{
    /* Whoever has seen all that was sent lacks only what came since: the cursors are right
     * as they are, however old the offset is. */
    if (seen->told.count == saved->told.count)
        return true;
    saved->told = seen->told;
    /* What is told again is no copy. */
    saved->session.last_order = 0;
    LIST_FOR_EACH(node, next, &saved->session.subs)
    {
        if (!place(LIST_ENTRY(node, struct subscription, node), seen))
            return false;
    }
    return true;
}

static bool has_lost(const struct sio_session *saved)
{
    LIST_FOR_EACH(node, next, &saved->session.subs)
    {
        const struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (!sub->is_native && reader_lag(&sub->reader) == READER_LOST)
            return true;
    }
    return false;
}

/* Not among those that wait for their clients any more. */
static void forget(struct sio_session *saved)
{
    if (!list_is_linked(&saved->saved))
        return;
    list_remove(&saved->saved);
    saved->session.set->saved_count--;
}

/* The client is back before its old transport was known to be dead (a phone that changed
 * networks, polling between two requests): that one goes, its session stays. */
static void detach(struct sio_session *saved)
{
    struct sio_socket *old = saved->socket;

    if (old == NULL)
        return;
    saved->socket = NULL;
    sio_set_data(old, NULL);
    sio_close_transport(old, "forced close");
}

void sio_forget_saved_one(struct sio_session *reader)
{
    forget(reader);
    detach(reader);
}

static bool is_same_person(const struct sio_session *a, const struct sio_session *b)
{
    return strcmp(a->site, b->site) == 0 &&
           a->session.is_site_nsp == b->session.is_site_nsp &&
           strcmp(a->who->user, b->who->user) == 0 &&
           a->who->is_system_user == b->who->is_system_user;
}

struct sio_session *sio_recover(struct sio_session *fresh, struct slice auth)
{
    struct session_set *set = fresh->session.set;
    struct sio_session *saved;
    struct sio_offset seen;
    char pid[64];

    if (auth.len == 0 || !take_text(auth, "pid", pid, sizeof(pid)))
        return NULL;
    saved = map_get(set->by_pid, slice_of(pid));
    if (saved == NULL || saved->session.is_dead || !is_same_person(saved, fresh)) {
        counter_add(set->unrecovered, 1);
        return NULL;
    }
    forget(saved);
    detach(saved);
    if (!parse_offset(saved, auth, &seen) || !place_all(saved, &seen) ||
        has_lost(saved)) {
        counter_add(set->unrecovered, 1);
        session_bury(&saved->session);
        return NULL;
    }
    counter_add(set->recovered, 1);
    saved->cut_ms = 0;
    saved->is_unkept = true; /* the claim has emptied the record */
    return saved;
}

/* ---- keeping ---- */

bool sio_save(struct sio_session *reader, const char *reason)
{
    struct session_set *set = reader->session.set;
    bool is_kept = false;

    if (reader->pid[0] == '\0' || reader->session.is_dead)
        return false;
    for (size_t i = 0; i < sizeof(kept_reasons) / sizeof(kept_reasons[0]); i++)
        if (strcmp(reason, kept_reasons[i]) == 0)
            is_kept = true;
    if (is_kept)
        sio_keep_cut(reader);
    else
        sio_keep_no_more(reader);
    if (!is_kept || set->options.max_saved_sessions == 0)
        return false;
    if (set->saved_count >= set->options.max_saved_sessions) {
        struct sio_session *oldest =
            LIST_ENTRY(set->saved.next, struct sio_session, saved);
        forget(oldest);
        session_bury(&oldest->session);
        counter_add(set->displaced, 1);
    }
    reader->saved_until_ms = loop_now_ms(set->loop) + set->options.recovery_ms;
    list_push_back(&set->saved, &reader->saved);
    set->saved_count++;
    return true;
}

void sio_forget_saved(struct session_set *set, uint64_t now)
{
    while (!list_is_empty(&set->saved)) {
        struct sio_session *saved =
            LIST_ENTRY(set->saved.next, struct sio_session, saved);
        if (saved->saved_until_ms > now)
            return;
        forget(saved);
        session_bury(&saved->session);
    }
}
