/* sio_return.c - a client comes here whose session another broker has kept. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "session/sio_inside.h"

#include <stdio.h>
#include <stdlib.h>

/*
 *   CONNECT with pid --claim--> ours, or nobody's --> as ever (sio_recover.c)
 *                          `--> another's --> the same person? --> subscriptions
 *                                 --> all of them loaded: is everything there that was
 *                                     missed? --> accepted, and goes on; else a fresh one
 *
 * Native subscriptions are joined `since` their place: one whose place is gone is told
 * `resync`, which is exact too. A string-form one cannot be told, so it must find every
 * event it lacks. Nothing here waits longer than RETURN_MS; while Redis is away a client is
 * only known where it was.
 */
#define RETURN_MS 2000
/* Clocks of two brokers differ by less. */
#define SKEW_MS 1000

struct sio_return {
    struct errand errand;
    struct session_set *set;
    struct sio_session *reader; /* only once it waits for its tasks */
    struct timer timer;
    char *auth;
    char *record; /* as it was kept; NULL before the answer */
    struct sio_offset offset;
    bool is_answered; /* the claim; only then it may be freed */
    bool is_over;     /* nobody waits for the answer */
    char pid[SIO_PID_SIZE];
};

static void back_free(struct sio_return *back)
{
    timer_release(&back->timer);
    free(back->auth);
    free(back->record);
    free(back);
}

/* Who asked has gone: what was claimed is kept for the next attempt. */
static void give_back(const struct sio_return *back, struct slice record)
{
    const struct session_keeper *keeper = back->set->options.keeper;

    const struct session_record given = {slice_of(back->pid), record,
                                         back->set->options.recovery_ms};

    /* One that is not taken was lost: its client gets a fresh session, and knows it. */
    if (record.len > 0)
        (void)keeper->keep(keeper->ctx, &given, NULL, NULL);
}

/* ---- the record ---- */

static struct slice text_of(struct slice record, const char *key)
{
    struct json_member member;

    if (!json_get(record, key, &member) || member.kind != JSON_STRING)
        return (struct slice){0};
    return json_string_raw(member.value);
}

static uint64_t number_of(struct slice record, const char *key)
{
    struct json_member member;
    uint64_t number;

    return json_get(record, key, &member) && json_u64(member.value, &number) ? number
                                                                             : 0;
}

/* Compared decoded: it was written with escapes. */
static bool says(struct slice record, const char *key, const char *expected)
{
    struct buf text;
    bool is_same;

    buf_init(&text, SIO_TEXT_LIMIT);
    is_same = json_unescape(&text, text_of(record, key)) &&
              slice_is(buf_view(&text), expected);
    buf_release(&text);
    return is_same;
}

static bool is_same_person(const struct sio_session *reader, struct slice record)
{
    return says(record, "site", reader->site) &&
           says(record, "user", reader->who->user) &&
           number_of(record, "sys") == (reader->who->is_system_user ? 1 : 0) &&
           number_of(record, "nsp") == (reader->session.is_site_nsp ? 1 : 0);
}

/* ---- subscriptions ---- */

static struct subscription *add_native(struct sio_session *reader, struct slice task_id,
                                       const struct place *place)
{
    struct task_key task = {slice_of(reader->site), task_id};
    struct subscription *sub =
        subscription_add_task(&reader->session, &task, slice_of(reader->who->user));

    if (sub == NULL)
        return NULL;
    sub->has_since = place->kind != PLACE_START;
    sub->since = place->id;
    sub->from = FROM_START;
    return sub;
}

static struct subscription *add_string(struct sio_session *reader, struct slice task_id,
                                       const struct place *place)
{
    struct session_set *set = reader->session.set;
    struct task_key task = {slice_of(reader->site), task_id};
    struct topic *topic;
    struct subscription *sub;

    /* It could not be told that it was denied, and would wait in silence. A fresh session
     * subscribes again, and waits for the task to be its own. */
    if (guard_would_deny(set, &task, slice_of(reader->who->user)))
        return NULL;
    topic = hub_topic(set->hub, TOPIC_TASK, task.site, task_id);
    sub = topic == NULL ? NULL : sio_follow(reader, topic);
    if (sub == NULL)
        return NULL;
    sub->since = place->id;
    return sub;
}

static bool add_task(struct sio_session *reader, const struct sio_return *back,
                     struct slice item)
{
    uint32_t number = (uint32_t)number_of(item, "s");
    const struct place *seen = sio_offset_place(&back->offset, number);
    bool is_native = number_of(item, "n") != 0;
    struct slice task_id = text_of(item, "t"); /* of native form: no escapes */
    struct subscription *sub;
    struct place place;

    if (number == 0 || !task_id_is_native(task_id) ||
        !sio_parse_place(text_of(item, "p"), &place))
        return false;
    if (seen != NULL)
        place = *seen;
    if (place.kind == PLACE_LOCAL || (place.kind == PLACE_LOST && !is_native))
        return false;
    sub = is_native ? add_native(reader, task_id, &place)
                    : add_string(reader, task_id, &place);
    if (sub == NULL)
        return false;
    sub->number = number;
    sub->joined = place;
    return true;
}

static bool add_tasks(struct sio_session *reader, const struct sio_return *back,
                      struct slice record)
{
    struct json_member list;
    struct json_member item;
    size_t at = 0;

    if (!json_get(record, "tasks", &list) || list.kind != JSON_ARRAY)
        return false;
    while (json_next(list.value, &at, &item))
        if (item.kind != JSON_OBJECT || !add_task(reader, back, item.value))
            return false;
    return true;
}

/* ---- rooms that are no tasks ---- */

/* How long the client may have missed what was said: since its transport went, when it has
 * all that it was told before; else since it was well for certain. */
static uint64_t missing_ms(const struct session_set *set, const struct sio_return *back,
                           struct slice record)
{
    uint64_t cut_ms = number_of(record, "cut");
    uint64_t now_ms = clock_wall_ms();

    if (cut_ms == 0 || number_of(record, "told") != back->offset.told.count)
        return set->options.doubt_ms + SKEW_MS;
    return (now_ms > cut_ms ? now_ms - cut_ms : 0) + SKEW_MS;
}

static bool follow_room(struct sio_session *reader, struct slice room, uint64_t for_ms)
{
    const struct session_set *set = reader->session.set;
    const struct session_services *services = &set->services;
    struct slice site = slice_of(reader->site);

    return services->was_quiet != NULL &&
           services->was_quiet(services->ctx, site, room, for_ms) &&
           sio_follow(reader, hub_topic(set->hub, TOPIC_ROOM, site, room)) != NULL;
}

/* What a room was told while the client was away can be told by nobody; but it can be known
 * that it was told nothing. */
static bool add_rooms(struct sio_session *reader, const struct sio_return *back,
                      struct slice record)
{
    uint64_t for_ms = missing_ms(reader->session.set, back, record);
    bool is_ok = true;
    struct json_member list;
    struct json_member item;
    struct buf room;
    size_t at = 0;

    if (!json_get(record, "rooms", &list) || list.kind != JSON_ARRAY)
        return false;
    buf_init(&room, 2 * SIO_TEXT_LIMIT);
    while (is_ok && json_next(list.value, &at, &item)) {
        buf_reset(&room);
        is_ok = item.kind == JSON_STRING &&
                json_unescape(&room, json_string_raw(item.value)) &&
                follow_room(reader, buf_view(&room), for_ms);
    }
    buf_release(&room);
    return is_ok;
}

/* ---- is everything there? ---- */

static struct event_id wanted_after(const struct subscription *sub)
{
    const struct run *run = topic_run(sub->reader.topic);

    if (sub->joined.kind == PLACE_START)
        return (struct event_id){run->epoch, 0, run->is_local};
    return sub->since;
}

static bool is_string_task(const struct subscription *sub)
{
    return !sub->is_native && !sub->is_twin &&
           topic_kind(sub->reader.topic) == TOPIC_TASK;
}

static bool is_loaded(const struct sio_session *reader)
{
    LIST_FOR_EACH(node, next, &reader->session.subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (!is_string_task(sub))
            continue;
        if (topic_phase(sub->reader.topic) != TOPIC_READY ||
            join_waits_for_newer(sub, sub->since) ||
            topic_fetch_after(sub->reader.topic, wanted_after(sub)))
            return false;
    }
    return true;
}

static bool place_strings(struct sio_session *reader)
{
    LIST_FOR_EACH(node, next, &reader->session.subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        struct topic *topic = sub->reader.topic;
        if (!is_string_task(sub))
            continue;
        /* What is said beside its run has no ids that another broker knows. */
        if (topic_phase(topic) != TOPIC_READY || topic_run(topic)->is_local ||
            sio_aside(reader, topic) != NULL)
            return false;
        sub->reader.pos =
            topic_run(topic)->epoch == 0 && sub->joined.kind == PLACE_START
                ? topic_next(topic)
                : topic_after(topic, wanted_after(sub));
        if (sub->reader.pos == 0)
            return false;
        sub->replays = true;
    }
    return true;
}

/* ---- the end of the way ---- */

static void take_over(struct sio_session *reader, const struct sio_return *back)
{
    struct slice record = slice_of(back->record);
    struct slice id = text_of(record, "id");
    struct session_set *set = reader->session.set;

    memcpy(reader->pid, back->pid, sizeof(reader->pid));
    snprintf(reader->id, sizeof(reader->id), "%.*s", (int)id.len,
             id.ptr == NULL ? "" : id.ptr);
    reader->mark = (uint32_t)number_of(record, "mark");
    reader->last_number = (uint32_t)number_of(record, "last");
    reader->first_order = hub_last_order(set->hub);
    reader->told = (struct sio_told){back->offset.told.count, reader->first_order};
    reader->session.is_private = true;
    reader->is_unkept = true;
    map_set(set->by_pid, slice_of(reader->pid), reader);
    counter_add(set->recovered, 1);
    counter_add(set->taken_over, 1);
}

static void refuse(struct sio_session *reader, const struct sio_return *back)
{
    while (!list_is_empty(&reader->session.subs))
        subscription_remove(
            LIST_ENTRY(reader->session.subs.next, struct subscription, node));
    counter_add(reader->session.set->unrecovered, 1);
    sio_accept_fresh(reader, slice_of(back->auth));
}

static void arrive(struct sio_session *reader, bool is_late)
{
    struct sio_return *back = reader->back;

    if (reader->session.is_dead || (!is_late && !is_loaded(reader)))
        return;
    reader->back = NULL;
    if (place_strings(reader)) {
        take_over(reader, back);
        sio_accept_returned(reader);
    } else {
        refuse(reader, back);
    }
    back_free(back);
}

void sio_return_step(struct sio_session *reader)
{
    arrive(reader, false);
}

void sio_return_drop(struct sio_session *reader)
{
    if (reader->back == NULL)
        return;
    give_back(reader->back, slice_of(reader->back->record));
    back_free(reader->back);
    reader->back = NULL;
}

/* The record is as old as the offset, or newer: else the client has joined since, and what
 * it was told of that nobody here knows. */
static bool fits(const struct sio_offset *offset, struct slice record)
{
    uint64_t last = number_of(record, "last");

    for (unsigned i = 0; i < offset->count; i++)
        if (offset->numbers[i] > last)
            return false;
    return sio_offset_tells_places(offset);
}

/* The offset of an earlier session is none of this one's. */
static bool read_offset(struct sio_return *back, struct slice record)
{
    struct json_member member;

    if (!json_get(slice_of(back->auth), "offset", &member) || member.kind == JSON_NULL)
        return true;
    if (member.kind != JSON_STRING ||
        !sio_parse_offset(json_string_raw(member.value), &back->offset))
        return false;
    if (back->offset.mark != (uint32_t)number_of(record, "mark"))
        back->offset = (struct sio_offset){0};
    return fits(&back->offset, record);
}

static bool can_begin(struct sio_session *reader, struct sio_return *back)
{
    struct slice record = slice_of(back->record);
    struct slice id;

    if (!json_check(record))
        return false;
    id = text_of(record, "id");
    return id.len > 0 && id.len < sizeof(reader->id) &&
           is_same_person(reader, record) && read_offset(back, record) &&
           add_rooms(reader, back, record) && add_tasks(reader, back, record);
}

/* Takes `back`. */
static void begin(struct sio_session *reader, struct sio_return *back)
{
    if (!can_begin(reader, back)) {
        refuse(reader, back);
        back_free(back);
        return;
    }
    reader->back = back;
    back->reader = reader;
    timer_start(&back->timer, RETURN_MS, 0);
    arrive(reader, false);
}

/* ---- the claim ---- */

/* What was known of it here is out of date. */
static void forget_here(struct session_set *set, const char *pid)
{
    struct sio_session *old = map_get(set->by_pid, slice_of(pid));

    if (old == NULL || old->session.is_dead)
        return;
    old->is_kept = false;
    sio_forget_saved_one(old);
    session_bury(&old->session);
}

static void go_on(struct sio_return *back, struct sio_session *reader,
                  enum keeper_answer answer)
{
    bool is_here = map_get(back->set->by_pid, slice_of(back->pid)) != NULL;

    if (answer == KEEPER_OTHERS || answer == KEEPER_TAKEN)
        forget_here(back->set, back->pid);
    if (answer == KEEPER_OTHERS ||
        (answer == KEEPER_MINE && !is_here && back->record[0] != '\0')) {
        begin(reader, back);
        return;
    }
    sio_accept_here(reader, slice_of(back->auth));
    back_free(back);
}

static void claimed(void *ctx, enum keeper_answer answer, struct slice record)
{
    struct sio_return *back = ctx;
    struct session *session = errand_done(&back->errand);

    back->is_answered = true;
    timer_stop(&back->timer);
    if (back->is_over || session == NULL || session->is_dead) {
        give_back(back, record);
        back_free(back);
        return;
    }
    back->record = mem_text(record);
    go_on(back, sio_session_of(session), answer);
}

static void on_timer(struct timer *timer)
{
    struct sio_return *back = LIST_ENTRY(timer, struct sio_return, timer);
    struct session *session;

    if (back->is_answered) {
        arrive(back->reader, true);
        return;
    }
    back->is_over = true;
    session = errand_done(&back->errand);
    if (session != NULL && !session->is_dead)
        sio_accept_here(sio_session_of(session), slice_of(back->auth));
}

bool sio_claim(struct sio_session *reader, struct slice auth)
{
    struct session_set *set = reader->session.set;
    const struct session_keeper *keeper = set->options.keeper;
    struct slice pid = auth.len == 0 ? auth : text_of(auth, "pid");
    struct sio_return *back;

    if (keeper == NULL || pid.len != SIO_PID_SIZE - 1 ||
        set->options.recovery == RECOVERY_OFF || !keeper->is_up(keeper->ctx))
        return false;
    back = mem_new(sizeof(*back));
    back->set = set;
    back->auth = mem_text(auth);
    memcpy(back->pid, pid.ptr, pid.len);
    timer_init(&back->timer, set->loop, on_timer);
    timer_start(&back->timer, RETURN_MS, 0);
    errand_begin(&back->errand, &reader->session);
    keeper->claim(keeper->ctx, pid, set->options.recovery_ms, claimed, back);
    return true;
}
