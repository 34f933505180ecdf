/* sio_tasks.c - Socket.IO events about tasks, in both forms. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "session/sio_inside.h"

#include <stdlib.h>

#define SUBSCRIBE "task_subscribe"
#define PROGRESS  "progress_subscribe"

/* ---- naming a task ---- */

static bool is_guarded_own(const struct sio_session *reader)
{
    return reader->session.set->options.frappe.guard == TASK_GUARD_OWN;
}

/* Guarded by `own`: a task that is not yet known to be the reader's is what its own room was
 * sent about it, and a room of another form belongs to nobody. */
static struct topic *guarded_topic(const struct sio_session *reader, struct slice name)
{
    struct task_key task = {slice_of(reader->site), name};

    return task_id_is_native(name)
               ? subscription_own_topic(reader->session.set->hub, &task,
                                        slice_of(reader->who->user), true)
               : NULL;
}

static struct topic *string_topic(const struct sio_session *reader, struct slice name,
                                  bool create)
{
    struct hub *hub = reader->session.set->hub;
    struct slice site = slice_of(reader->site);
    struct topic *topic;
    struct buf room;

    if (is_guarded_own(reader))
        return create ? guarded_topic(reader, name) : NULL;
    if (task_id_is_native(name))
        return create ? hub_topic(hub, TOPIC_TASK, site, name)
                      : hub_find(hub, TOPIC_TASK, site, name);
    buf_init(&room, SIO_TEXT_LIMIT + sizeof(SIO_TASK_ROOM));
    buf_puts(&room, SIO_TASK_ROOM);
    buf_slice(&room, name);
    topic = create ? hub_topic(hub, TOPIC_ROOM, site, buf_view(&room))
                   : hub_find(hub, TOPIC_ROOM, site, buf_view(&room));
    buf_release(&room);
    return topic;
}

struct topic *sio_aside(const struct sio_session *reader, const struct topic *topic)
{
    if (topic_kind(topic) != TOPIC_TASK)
        return NULL;
    return sio_room(reader, SIO_TASK_ROOM, topic_name(topic), (struct slice){0}, false);
}

static void keep_ack(struct subscription *sub, const struct sio_event *event)
{
    if (!event->wants_ack)
        return;
    sub->ack = strndup(event->ack.ptr, event->ack.len);
    if (sub->ack == NULL)
        abort();
}

/* v13 answers with an empty replay; its newer kin with nothing. */
static void tell_progress(struct sio_session *reader, const struct sio_event *event)
{
    const struct frappe_rules *frappe = &reader->session.set->options.frappe;
    struct json_member task_id;
    struct buf data;

    if (!frappe->on || frappe->version >= 14 || !slice_is(event->name, PROGRESS) ||
        !sio_argument(event, 0, &task_id))
        return;
    buf_init(&data, SIO_TEXT_LIMIT * 2);
    buf_puts(&data, "{\"task_id\":");
    buf_slice(&data, task_id.value);
    buf_puts(&data, ",\"message\":{}}");
    sio_tell(reader, "task_progress", buf_view(&data));
    buf_release(&data);
}

/* ---- events ---- */

static void deny(struct sio_session *reader, const struct sio_event *event,
                 const char *message)
{
    sio_acknowledge_error(reader, sio_wanted_ack(event), "DENIED", message, "task_id");
}

static void subscribe_object(struct sio_session *reader, const struct sio_event *event,
                             struct slice object)
{
    struct task_request request;
    const char *field = NULL;
    struct subscription *sub;
    struct task_key task;

    task_request_init(&request);
    if (!task_request_parse(&request, object, &field)) {
        sio_acknowledge_error(reader, sio_wanted_ack(event), "INVALID_VALUE",
                              "missing or malformed member", field);
        goto out;
    }
    task = (struct task_key){slice_of(reader->site), buf_view(&request.task_id)};
    sub = subscription_add_task(&reader->session, &task, slice_of(reader->who->user));
    if (sub == NULL) {
        sio_acknowledge_error(reader, sio_wanted_ack(event), "TOO_MANY",
                              "too many subscriptions or tasks", NULL);
        goto out;
    }
    if (join_parse(sub, buf_view(&request.since), buf_view(&request.from), &field)) {
        keep_ack(sub, event);
        goto out;
    }
    subscription_remove(sub);
    sio_acknowledge_error(reader, sio_wanted_ack(event), "INVALID_VALUE",
                          "malformed member", field);
out:
    task_request_release(&request);
}

/* From now on, as published; the reply waits until the task's state is known. */
static void tell_as_published(struct sio_session *reader, struct subscription *sub,
                              const struct sio_event *event)
{
    struct topic *aside = sio_aside(reader, sub->reader.topic);

    if (sub->stage != STAGE_LIVE)
        sub->reader.pos = topic_next(sub->reader.topic);
    sub->is_waiting_unknown = false;
    sub->floor = hub_last_order(reader->session.set->hub);
    sub->is_native = false;
    sub->stage = STAGE_LIVE;
    sub->seeks_public = is_guarded_own(reader) && sub->twin == NULL;
    if (sub->twin != NULL) {
        sub->twin->is_native = false;
        sub->twin->stage = STAGE_LIVE;
    }
    free(sub->ack);
    sub->ack = NULL;
    sub->owes_reply = event->wants_ack;
    keep_ack(sub, event);
    if (aside != NULL)
        subscription_follow(sub, aside);
    session_mark(&reader->session);
    tell_progress(reader, event);
}

static void subscribe_string(struct sio_session *reader, const struct sio_event *event)
{
    struct subscription *sub = NULL;
    struct topic *topic = NULL;
    bool is_nobodys = false;
    struct buf name;

    buf_init(&name, SIO_TEXT_LIMIT);
    if (sio_coerce(event, 0, &name)) {
        is_nobodys = is_guarded_own(reader) && !task_id_is_native(buf_view(&name));
        topic = string_topic(reader, buf_view(&name), !sio_is_full(reader));
    }
    buf_release(&name);
    if (topic != NULL)
        sub = subscription_find(&reader->session, topic);
    if (sub == NULL && topic != NULL && !sio_is_full(reader))
        sub = subscription_add(&reader->session, topic);
    if (sub != NULL)
        tell_as_published(reader, sub, event);
    else if (is_nobodys)
        deny(reader, event, "a task of that name belongs to nobody");
    else
        sio_acknowledge_error(reader, sio_wanted_ack(event), "TOO_MANY",
                              "too many subscriptions or tasks, or a name too long",
                              "task_id");
}

static void subscribe(struct sio_session *reader, const struct sio_event *event)
{
    struct json_member arg;

    if (sio_argument(event, 0, &arg) && arg.kind == JSON_OBJECT)
        subscribe_object(reader, event, arg.value);
    else
        subscribe_string(reader, event);
}

/* Either form of argument names the task. */
static bool name_of(const struct sio_event *event, struct buf *name)
{
    struct json_member arg;
    struct json_member inner;

    if (sio_argument(event, 0, &arg) && arg.kind == JSON_OBJECT &&
        json_get(arg.value, "task_id", &inner) && inner.kind == JSON_STRING)
        return json_unescape(name, json_string_raw(inner.value));
    return sio_coerce(event, 0, name);
}

/* ---- guarded tasks: the backend is asked first (--task-guard) ---- */

struct guard_call {
    struct errand errand;
    const char *name;
    struct buf args;
    struct buf ack;
    bool wants_ack;
};

static void guard_answered(void *ctx, bool allowed)
{
    struct guard_call *call = ctx;
    struct session *session = errand_done(&call->errand);
    struct sio_event event = {
        .name = slice_of(call->name),
        .args = buf_view(&call->args),
        .wants_ack = call->wants_ack,
        .ack = buf_view(&call->ack),
    };

    if (session != NULL && !session->is_dead) {
        if (allowed)
            subscribe(sio_session_of(session), &event);
        else
            deny(sio_session_of(session), &event, "the backend does not allow it");
    }
    buf_release(&call->args);
    buf_release(&call->ack);
    free(call);
}

static void ask_guard(struct sio_session *reader, const struct sio_event *event,
                      struct slice task_id)
{
    struct guard_asker asker = {slice_of(reader->who->user), sio_credentials(reader)};
    struct task_key task = {slice_of(reader->site), task_id};
    struct guard_call *call = mem_new(sizeof(*call));

    call->name = slice_is(event->name, PROGRESS) ? PROGRESS : SUBSCRIBE;
    buf_init(&call->args, event->args.len);
    buf_slice(&call->args, event->args);
    buf_init(&call->ack, event->ack.len + 1);
    buf_slice(&call->ack, event->ack);
    call->wants_ack = event->wants_ack;
    errand_begin(&call->errand, &reader->session);
    guard_ask(reader->session.set, &asker, &task, guard_answered, call);
}

static void on_subscribe(struct sio_session *reader, const struct sio_event *event)
{
    const struct session_set *set = reader->session.set;
    struct buf name;

    if (guard_keeps_out(set, slice_of(reader->who->user))) {
        deny(reader, event, "who is not signed in has no tasks");
        return;
    }
    if (set->options.frappe.guard != TASK_GUARD_BACKEND) {
        subscribe(reader, event);
        return;
    }
    buf_init(&name, SIO_TEXT_LIMIT);
    if (name_of(event, &name))
        ask_guard(reader, event, buf_view(&name));
    else
        sio_acknowledge_error(reader, sio_wanted_ack(event), "INVALID_VALUE",
                              "a name too long", "task_id");
    buf_release(&name);
}

static struct subscription *subscribed_to(const struct sio_session *reader,
                                          struct slice name)
{
    const struct topic *topic;

    if (task_id_is_native(name))
        return subscription_find_task(&reader->session, name);
    topic = string_topic(reader, name, false);
    return topic == NULL ? NULL : subscription_find(&reader->session, topic);
}

static void on_unsubscribe(struct sio_session *reader, const struct sio_event *event)
{
    struct subscription *sub = NULL;
    struct buf name;

    buf_init(&name, SIO_TEXT_LIMIT);
    if (name_of(event, &name))
        sub = subscribed_to(reader, buf_view(&name));
    buf_release(&name);
    if (sub != NULL)
        subscription_remove(sub);
    sio_acknowledge(reader, sio_wanted_ack(event), true, (struct slice){0});
}

static void stop(struct sio_session *reader, const struct sio_event *event,
                 const struct task_request *request)
{
    struct guard_asker asker = {slice_of(reader->who->user), sio_credentials(reader)};
    struct stop_request stop = {
        .task = {slice_of(reader->site), buf_view(&request->task_id)},
        .epoch = request->epoch,
        .ack = sio_wanted_ack(event),
    };

    session_stop(&reader->session, &asker, &stop);
}

static void on_stop(struct sio_session *reader, const struct sio_event *event)
{
    struct task_request request;
    struct json_member arg;
    const char *field = "task_id";
    bool is_ok;

    task_request_init(&request);
    if (sio_argument(event, 0, &arg) && arg.kind == JSON_OBJECT)
        is_ok = task_request_parse(&request, arg.value, &field);
    else
        is_ok = sio_coerce(event, 0, &request.task_id) &&
                task_id_is_native(buf_view(&request.task_id));
    if (is_ok)
        stop(reader, event, &request);
    else
        sio_acknowledge_error(reader, sio_wanted_ack(event), "INVALID_VALUE",
                              "missing or malformed member", field);
    task_request_release(&request);
}

static void on_ping(struct sio_session *reader, const struct sio_event *event)
{
    sio_tell(reader, "pong", (struct slice){0});
    sio_acknowledge(reader, sio_wanted_ack(event), true, (struct slice){0});
}

const struct sio_handler sio_task_handlers[] = {
    {SUBSCRIBE, on_subscribe, false},
    {PROGRESS, on_subscribe, false},
    {"task_unsubscribe", on_unsubscribe, false},
    {"task_stop", on_stop, false},
    {"ping", on_ping, false},
    {NULL, NULL, false},
};
