/* sio_tasks.c - Socket.IO events about tasks, in both forms. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "session/sio_inside.h"

#include <stdlib.h>

#define ROOM_PREFIX "task_progress:"

/* ---- naming a task ---- */

static struct topic *string_topic(const struct sio_session *reader, struct slice name,
                                  bool create)
{
    struct hub *hub = reader->session.set->hub;
    struct slice site = slice_of(reader->site);
    struct topic *topic;
    struct buf room;

    if (task_id_is_native(name))
        return create ? hub_topic(hub, TOPIC_TASK, site, name)
                      : hub_find(hub, TOPIC_TASK, site, name);
    buf_init(&room, SIO_TEXT_LIMIT + sizeof(ROOM_PREFIX));
    buf_puts(&room, ROOM_PREFIX);
    buf_slice(&room, name);
    topic = create ? hub_topic(hub, TOPIC_ROOM, site, buf_view(&room))
                   : hub_find(hub, TOPIC_ROOM, site, buf_view(&room));
    buf_release(&room);
    return topic;
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

    if (!frappe->on || frappe->version >= 14 ||
        !slice_is(event->name, "progress_subscribe") ||
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

static void subscribe_string(struct sio_session *reader, const struct sio_event *event)
{
    struct subscription *sub = NULL;
    struct topic *topic = NULL;
    struct buf name;

    buf_init(&name, SIO_TEXT_LIMIT);
    if (sio_coerce(event, 0, &name))
        topic = string_topic(reader, buf_view(&name), !sio_is_full(reader));
    buf_release(&name);
    if (topic != NULL)
        sub = subscription_find(&reader->session, topic);
    if (sub == NULL && topic != NULL && !sio_is_full(reader))
        sub = subscription_add(&reader->session, topic);
    if (sub == NULL) {
        sio_acknowledge_error(reader, sio_wanted_ack(event), "TOO_MANY",
                              "too many subscriptions or tasks, or a name too long",
                              "task_id");
        return;
    }
    /* From now on, as published; the reply waits until the task's state is known. */
    if (sub->stage != STAGE_LIVE)
        sub->reader.pos = topic_next(topic);
    sub->is_waiting_unknown = false;
    sub->floor = hub_last_order(reader->session.set->hub);
    sub->is_native = false;
    sub->stage = STAGE_LIVE;
    free(sub->ack);
    sub->ack = NULL;
    sub->owes_reply = event->wants_ack;
    keep_ack(sub, event);
    session_mark(&reader->session);
    tell_progress(reader, event);
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
    struct buf args;
    struct buf ack;
    bool wants_ack;
};

static void guard_answered(void *ctx, bool allowed)
{
    struct guard_call *call = ctx;
    struct session *session = errand_done(&call->errand);
    struct sio_event event = {
        .args = buf_view(&call->args),
        .wants_ack = call->wants_ack,
        .ack = buf_view(&call->ack),
    };

    if (session != NULL && !session->is_dead) {
        if (allowed)
            subscribe(sio_session_of(session), &event);
        else
            sio_acknowledge_error(sio_session_of(session), sio_wanted_ack(&event),
                                  "DENIED", "the backend does not allow it", "task_id");
    }
    buf_release(&call->args);
    buf_release(&call->ack);
    free(call);
}

static void ask_guard(struct sio_session *reader, const struct sio_event *event,
                      struct slice task_id)
{
    struct credentials credentials = sio_credentials(reader);
    struct auth_question question = {{NULL, 0}, task_id};
    struct guard_call *call = mem_new(sizeof(*call));

    buf_init(&call->args, event->args.len);
    buf_slice(&call->args, event->args);
    buf_init(&call->ack, event->ack.len + 1);
    buf_slice(&call->ack, event->ack);
    call->wants_ack = event->wants_ack;
    errand_begin(&call->errand, &reader->session);
    auth_permit(reader->session.set->options.auth, &credentials, &question,
                guard_answered, call);
}

static void on_subscribe(struct sio_session *reader, const struct sio_event *event)
{
    struct buf name;

    if (!reader->session.set->options.frappe.guards_tasks) {
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

static void on_unsubscribe(struct sio_session *reader, const struct sio_event *event)
{
    struct subscription *sub = NULL;
    struct topic *topic = NULL;
    struct buf name;

    buf_init(&name, SIO_TEXT_LIMIT);
    if (name_of(event, &name))
        topic = string_topic(reader, buf_view(&name), false);
    buf_release(&name);
    if (topic != NULL)
        sub = subscription_find(&reader->session, topic);
    if (sub != NULL)
        subscription_remove(sub);
    sio_acknowledge(reader, sio_wanted_ack(event), true, (struct slice){0});
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
        session_stop(
            &reader->session,
            &(struct task_key){slice_of(reader->site), buf_view(&request.task_id)},
            request.epoch, sio_wanted_ack(event));
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
    {"task_subscribe", on_subscribe, false},
    {"progress_subscribe", on_subscribe, false},
    {"task_unsubscribe", on_unsubscribe, false},
    {"task_stop", on_stop, false},
    {"ping", on_ping, false},
    {NULL, NULL, false},
};
