/* frappe.c - Frappe's publish channel: events as published, opaque to us. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "base/utf8.h"
#include "bus/heard.h"
#include "bus/lift.h"
#include "codec/json.h"
#include "codec/sio.h"
#include "redis/link.h"

#include <stdlib.h>

/*
 * {"event","message","room","namespace"} as frappe.publish_realtime writes it: v15 and later
 * name the site in `namespace`, older ones put it before the room ("site:task_progress:id").
 * Whatever is malformed is passed over and counted: one bad publisher must not cost the
 * others a word, let alone the process.
 */
#define NAME_LIMIT    8192
#define MESSAGE_LIMIT (16U << 20)
#define TASK_ROOM     "task_progress:"
#define USER_ROOM     "user:"
#define LINES_PER_S   5
/* What was published while nobody listened is lost: Redis is looked for often. */
#define BACKOFF_MAX_MS 1000
#define MESSAGE_MAX    ((size_t)4 * EVENT_MAX_BYTES)

enum skip {
    SKIP_JSON,
    SKIP_SHAPE,
    SKIP_EVENT,
    SKIP_ROOM,
    SKIP_LARGE,
    SKIP_FULL,
    SKIP_COUNT
};
static const char *const skip_labels[SKIP_COUNT] = {
    [SKIP_JSON] = "reason=\"json\"",   [SKIP_SHAPE] = "reason=\"shape\"",
    [SKIP_EVENT] = "reason=\"event\"", [SKIP_ROOM] = "reason=\"room\"",
    [SKIP_LARGE] = "reason=\"large\"", [SKIP_FULL] = "reason=\"full\"",
};
static const char *const skip_texts[SKIP_COUNT] = {
    [SKIP_JSON] = "not strict JSON",
    [SKIP_SHAPE] = "not an object with an event",
    [SKIP_EVENT] = "a reserved event name",
    [SKIP_ROOM] = "a room that is neither text nor a list of texts",
    [SKIP_LARGE] = "too large",
    [SKIP_FULL] = "no memory for another task",
};

struct bus_frappe {
    struct loop *loop;
    struct hub *hub;
    struct link *link;
    struct bus_lift *lift; /* NULL = what is published stays this broker's */
    struct heard *heard;
    struct diag_gate gate;
    struct counter *received;
    struct counter *repaired;
    struct counter *unheard;
    struct counter *skipped[SKIP_COUNT];
};

/* A publication on its way to the topics of its rooms. */
struct publication {
    struct bus_frappe *frappe;
    struct slice site;
    bool has_site;
    bool is_heard; /* a broadcast that reached somebody */
    struct topic_event event;
    bool is_progress;       /* `ai_progress` */
    struct slice type_name; /* of the event, raw; empty when it has none */
    struct slice task_id;   /* named in the event, in native form; empty otherwise */
    uint64_t order; /* one number for all rooms: a socket in two gets one copy */
};

static void skip(struct bus_frappe *frappe, enum skip why)
{
    counter_add(frappe->skipped[why], 1);
    if (diag_gate_pass(&frappe->gate, LINES_PER_S, loop_now_ms(frappe->loop)))
        diag(DIAG_WARN, "frappe event skipped", DIAG_S("reason", skip_texts[why]));
}

/* ---- rooms ---- */

static bool is_task_room(struct slice room)
{
    return room.len > strlen(TASK_ROOM) &&
           memcmp(room.ptr, TASK_ROOM, strlen(TASK_ROOM)) == 0;
}

/* Progress that is sent to a user's own room names its task inside: it can be read by that
 * task too, by this user and nobody else. */
static void deliver_to_user_task(struct publication *pub, struct slice site,
                                 struct slice room)
{
    size_t prefix = strlen(USER_ROOM);
    struct topic *topic;
    struct buf name;

    if (pub->task_id.len == 0 || room.len <= prefix || !site_is_native(site) ||
        memcmp(room.ptr, USER_ROOM, prefix) != 0)
        return;
    buf_init(&name, NAME_LIMIT);
    topic_user_task_name(&name, slice_make(room.ptr + prefix, room.len - prefix),
                         pub->task_id);
    topic = name.failed
                ? NULL
                : hub_topic(pub->frappe->hub, TOPIC_USER_TASK, site, buf_view(&name));
    buf_release(&name);
    if (topic == NULL || !topic_append(topic, &pub->event))
        skip(pub->frappe, SKIP_FULL);
}

static void append(struct publication *pub, struct topic *topic)
{
    if (!topic_append(topic, &pub->event))
        skip(pub->frappe, SKIP_FULL);
}

/* Rooms that nobody is in are not remembered. */
static void deliver_to_room(struct publication *pub, struct slice site,
                            struct slice room)
{
    struct topic *topic = hub_find(pub->frappe->hub, TOPIC_ROOM, site, room);

    heard_in_room(pub->frappe->heard, site, room, loop_now_ms(pub->frappe->loop));
    if (topic == NULL)
        counter_add(pub->frappe->unheard, 1);
    else
        append(pub, topic);
}

/* Said in the room of a task, but none of its run: for those who read the room. */
static void deliver_aside(struct publication *pub, struct topic *task,
                          struct slice room)
{
    struct hub *hub = pub->frappe->hub;
    struct topic *aside;

    if (task != NULL && topic_reader_count(task) > 0 &&
        hub_find(hub, TOPIC_ROOM, topic_site(task), room) == NULL) {
        aside = hub_topic(hub, TOPIC_ROOM, topic_site(task), room);
        if (aside != NULL)
            hub_follow(hub, task, aside);
        else
            skip(pub->frappe, SKIP_FULL);
    }
    deliver_to_room(pub, task == NULL ? pub->site : topic_site(task), room);
}

/* A task belongs to the bus for as long as the bus knows a run of it: what Frappe's channel
 * brings beside is told to the room alone. Two sources that took turns would replace each
 * other's run at every event. */
static bool has_run_of_bus(const struct topic *topic)
{
    const struct run *run = topic_run(topic);

    return run->epoch != 0 && !run->is_local;
}

static void deliver_to_task(struct publication *pub, const struct task_key *task,
                            struct slice room)
{
    struct topic *topic = hub_task(pub->frappe->hub, task);

    if (topic == NULL)
        skip(pub->frappe, SKIP_FULL);
    else if (has_run_of_bus(topic))
        deliver_aside(pub, topic, room);
    else
        append(pub, topic);
}

/* Lifted progress comes back by the bus, to every broker alike; all else that is said in
 * the room is no part of the task. */
static void lift_to_task(struct publication *pub, const struct task_key *task,
                         struct slice room)
{
    struct topic *topic = hub_find_task(pub->frappe->hub, task);
    bool is_native =
        topic != NULL && has_run_of_bus(topic) && !topic_run(topic)->is_opaque;

    if (pub->is_progress)
        bus_lift_event(pub->frappe->lift, task, pub->type_name, pub->event.body);
    if (!pub->is_progress || is_native)
        deliver_aside(pub, topic, room);
}

static void deliver(struct publication *pub, struct slice room)
{
    struct slice site = pub->site;
    size_t prefix = strlen(TASK_ROOM);

    if (!pub->has_site) {
        const char *colon = room.len == 0 ? NULL : memchr(room.ptr, ':', room.len);
        size_t len = colon == NULL ? 0 : (size_t)(colon - room.ptr);
        /* "task_progress:x" without a site before it belongs to the empty one. */
        if (colon != NULL && !is_task_room(room)) {
            site = slice_make(room.ptr, len);
            room = slice_make(colon + 1, room.len - len - 1);
        }
    }
    pub->event.order = pub->order;
    deliver_to_user_task(pub, site, room);
    struct task_key task = {site, {NULL, 0}};
    if (is_task_room(room))
        task.task_id = slice_make(room.ptr + prefix, room.len - prefix);
    if (!task_id_is_native(task.task_id) || !site_is_native(site))
        deliver_to_room(pub, site, room);
    else if (pub->frappe->lift != NULL)
        lift_to_task(pub, &task, room);
    else
        deliver_to_task(pub, &task, room);
}

/* What the inside of a string says: as it stands, or decoded into `scratch` where it has
 * escapes. False when it is longer than a name may be. */
static bool text_of(struct slice raw, struct buf *scratch, struct slice *text)
{
    *text = raw;
    if (raw.len == 0 || memchr(raw.ptr, '\\', raw.len) == NULL)
        return raw.len <= NAME_LIMIT;
    buf_reset(scratch);
    json_unescape(scratch, raw);
    *text = buf_view(scratch);
    return !scratch->failed;
}

static bool deliver_text(struct publication *pub, struct slice raw)
{
    struct buf scratch;
    struct slice room;
    bool is_ok;

    buf_init(&scratch, NAME_LIMIT);
    is_ok = text_of(raw, &scratch, &room);
    if (is_ok)
        deliver(pub, room);
    buf_release(&scratch);
    return is_ok;
}

static bool deliver_rooms(struct publication *pub, const struct json_member *room)
{
    struct json_member item;
    size_t at = 0;

    if (room->kind == JSON_STRING)
        return deliver_text(pub, json_string_raw(room->value));
    if (room->kind != JSON_ARRAY)
        return false;
    while (json_next(room->value, &at, &item))
        if (item.kind != JSON_STRING || !deliver_text(pub, json_string_raw(item.value)))
            return false;
    return true;
}

static bool broadcast_to(struct topic *topic, void *ctx)
{
    struct publication *pub = ctx;

    if (topic_kind(topic) != TOPIC_ROOM || topic_name(topic).len != 0)
        return true;
    pub->is_heard = true;
    if (!topic_append(topic, &pub->event))
        skip(pub->frappe, SKIP_FULL);
    return true;
}

/* Without a room: to everyone on every site. Each site has a topic without a name. It is
 * rare (a build, say), so looking through all topics is cheap enough. */
static void broadcast(struct publication *pub)
{
    heard_everywhere(pub->frappe->heard, loop_now_ms(pub->frappe->loop));
    hub_each(pub->frappe->hub, broadcast_to, pub);
    if (!pub->is_heard)
        counter_add(pub->frappe->unheard, 1);
}

/* ---- a message ---- */

static void take_view(struct publication *pub, const struct event *view)
{
    pub->event.type = view->type;
    pub->event.lacks_id = !view->has_id;
    pub->type_name = view->type_name;
    if (task_id_is_native(view->task_id))
        pub->task_id = view->task_id;
}

/* Older benches name no site here; anything but a text is nothing a bench sends. */
static bool read_site(const struct json_pick *pick, struct publication *pub,
                      struct buf *scratch)
{
    if (!pick->is_there || pick->member.kind == JSON_NULL)
        return true;
    if (pick->member.kind != JSON_STRING)
        return false;
    pub->has_site = text_of(json_string_raw(pick->member.value), scratch, &pub->site);
    return pub->has_site;
}

static bool read_message(const struct json_pick *pick, struct buf *body)
{
    if (!pick->is_there)
        return buf_puts(body, "null");
    /* Once, and no more than would be taken. */
    size_t len = pick->member.value.len;
    (void)buf_reserve(body, len < MESSAGE_MAX ? len : MESSAGE_MAX);
    return json_minify(body, pick->member.value) && body->len <= MESSAGE_MAX;
}

/* What a publication consists of. */
enum { EVENT, MESSAGE, ROOM, NAMESPACE, PICKS };

struct scratch {
    struct buf name;
    struct buf site;
    struct buf body;
};

static enum skip publish(struct bus_frappe *frappe, const struct json_pick *picks,
                         struct scratch *scratch)
{
    struct publication pub = {.frappe = frappe, .order = hub_next_order(frappe->hub)};
    const struct json_pick *event = &picks[EVENT];
    const struct json_pick *room = &picks[ROOM];
    struct event view = {0};

    if (!event->is_there || event->member.kind != JSON_STRING)
        return SKIP_SHAPE;
    struct slice raw_name = json_string_raw(event->member.value);
    if (sio_event_is_reserved(raw_name) ||
        !text_of(raw_name, &scratch->name, &pub.event.name))
        return SKIP_EVENT;
    if (!read_message(&picks[MESSAGE], &scratch->body))
        return SKIP_LARGE;
    pub.event.is_opaque = true;
    pub.event.body = buf_view(&scratch->body);
    pub.is_progress = slice_is(pub.event.name, "ai_progress");
    if (pub.is_progress && event_view(pub.event.body, &view))
        take_view(&pub, &view);
    if (!read_site(&picks[NAMESPACE], &pub, &scratch->site))
        return SKIP_SHAPE;
    if (!room->is_there || room->member.kind == JSON_NULL)
        broadcast(&pub);
    else if (!deliver_rooms(&pub, &room->member))
        return SKIP_ROOM;
    return SKIP_COUNT;
}

/* False when it is no JSON: then nothing was done. */
static bool take(struct bus_frappe *frappe, struct slice text)
{
    struct json_pick picks[PICKS] = {[EVENT].name = "event",
                                     [MESSAGE].name = "message",
                                     [ROOM].name = "room",
                                     [NAMESPACE].name = "namespace"};
    enum skip outcome = SKIP_SHAPE;
    struct scratch scratch;
    enum json_kind kind;

    if (!json_pick(text, &kind, picks, PICKS))
        return false;
    buf_init(&scratch.name, NAME_LIMIT);
    buf_init(&scratch.site, NAME_LIMIT);
    buf_init(&scratch.body, MESSAGE_LIMIT);
    if (kind == JSON_OBJECT)
        outcome = publish(frappe, picks, &scratch);
    if (outcome != SKIP_COUNT)
        skip(frappe, outcome);
    buf_release(&scratch.body);
    buf_release(&scratch.site);
    buf_release(&scratch.name);
    return true;
}

static void take_repaired(struct bus_frappe *frappe, struct slice payload)
{
    struct buf repaired;

    counter_add(frappe->repaired, 1);
    buf_init(&repaired, MESSAGE_LIMIT);
    utf8_repair(&repaired, payload.ptr, payload.len);
    if (repaired.failed)
        skip(frappe, SKIP_LARGE);
    else if (!take(frappe, buf_view(&repaired)))
        skip(frappe, SKIP_JSON);
    buf_release(&repaired);
}

/* What is JSON is valid UTF-8: only what is none is looked at again. */
static void on_message(void *ctx, struct slice channel, struct slice payload)
{
    struct bus_frappe *frappe = ctx;

    (void)channel;
    counter_add(frappe->received, 1);
    if (take(frappe, payload))
        return;
    if (utf8_is_valid(payload.ptr, payload.len))
        skip(frappe, SKIP_JSON);
    else
        take_repaired(frappe, payload);
}

/* ---- life ---- */

static void on_subscribed(void *ctx, struct slice channel)
{
    struct bus_frappe *frappe = ctx;

    (void)channel;
    heard_begins(frappe->heard, loop_now_ms(frappe->loop));
    if (frappe->lift != NULL)
        bus_lift_hears(frappe->lift, true);
}

static void on_down(void *ctx, const char *reason)
{
    struct bus_frappe *frappe = ctx;

    (void)reason;
    heard_stops(frappe->heard);
    if (frappe->lift != NULL)
        bus_lift_hears(frappe->lift, false);
}

struct bus_frappe *bus_frappe_new(struct loop *loop, struct hub *hub,
                                  const struct frappe_channel *channel,
                                  struct counters *counters, struct buf *error)
{
    struct bus_frappe *frappe = calloc(1, sizeof(*frappe));
    struct link_options options = {
        .name = "thinkwired-frappe",
        .backoff_max_ms = BACKOFF_MAX_MS,
        .is_subscriber = true,
        .on_down = on_down,
        .on_subscribed = on_subscribed,
        .on_message = on_message,
        .passes_all = true,
        .ctx = frappe,
    };

    if (frappe == NULL)
        abort();
    frappe->loop = loop;
    frappe->hub = hub;
    frappe->lift = channel->lift;
    frappe->heard = heard_new();
    frappe->received = counters_add(counters, COUNTER_TOTAL, "frappe_messages_total",
                                    NULL, "Messages on Frappe's channel");
    frappe->repaired = counters_add(counters, COUNTER_TOTAL, "frappe_repaired_total",
                                    NULL, "Messages whose invalid UTF-8 was replaced");
    frappe->unheard = counters_add(counters, COUNTER_TOTAL, "frappe_unheard_total",
                                   NULL, "Messages to rooms that nobody is in");
    for (size_t i = 0; i < SKIP_COUNT; i++)
        frappe->skipped[i] = counters_add(
            counters, COUNTER_TOTAL, "frappe_skipped_total", skip_labels[i],
            "Messages on Frappe's channel that were passed over");
    /* What a site publishes on the master, its replicas tell as well. */
    options.takes_replicas = true;
    frappe->link = link_new(loop, channel->url, &options, error);
    if (frappe->link == NULL) {
        heard_free(frappe->heard);
        free(frappe);
        return NULL;
    }
    link_subscribe(frappe->link, slice_of(channel->name));
    return frappe;
}

void bus_frappe_free(struct bus_frappe *frappe)
{
    link_free(frappe->link);
    heard_free(frappe->heard);
    free(frappe);
}

bool bus_frappe_was_quiet(const struct bus_frappe *frappe, struct slice site,
                          struct slice room, uint64_t for_ms)
{
    uint64_t now = loop_now_ms(frappe->loop);

    return for_ms < now && heard_nothing(frappe->heard, site, room, now - for_ms);
}

const char *bus_frappe_trouble(const struct bus_frappe *frappe)
{
    return link_trouble(frappe->link);
}
