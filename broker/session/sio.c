/* sio.c - Socket.IO sockets as readers: Frappe's string form and the native object form. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "codec/json.h"
#include "session/internal.h"

#include <stdlib.h>

#define TEXT_LIMIT  ((size_t)4096)
#define ROOM_PREFIX "task_progress:"

struct sio_session {
    struct session session;
    struct sio_socket *socket; /* NULL once disconnected */
    char *site;
};

static struct sio_session *of(struct session *session)
{
    return LIST_ENTRY(session, struct sio_session, session);
}

/* ---- the session's slots ---- */

static bool reader_window(struct session *session, struct sio_window *window)
{
    struct sio_session *reader = of(session);

    return reader->socket != NULL && sio_window(reader->socket, window);
}

static bool reader_send(struct session *session, struct bytes *bytes, unsigned packets)
{
    return packets == 0 || sio_send_shared(of(session)->socket, bytes, packets);
}

/* [{"ok":true|false, ...}] as acknowledgement, when one is wanted. */
static void acknowledge(struct sio_session *reader, struct slice ack, bool ok,
                        struct slice members)
{
    struct buf args;

    if (ack.ptr == NULL || reader->socket == NULL)
        return;
    buf_init(&args, TEXT_LIMIT * 2);
    buf_printf(&args, "[{\"ok\":%s", ok ? "true" : "false");
    if (members.len > 0)
        buf_putc(&args, ',');
    buf_slice(&args, members);
    buf_puts(&args, "}]");
    sio_ack(reader->socket, ack, buf_view(&args));
    buf_release(&args);
}

static void acknowledge_error(struct sio_session *reader, struct slice ack,
                              const char *code, const char *message, const char *field)
{
    struct buf members;

    counter_add(reader->session.set->bad_requests, 1);
    buf_init(&members, TEXT_LIMIT);
    buf_puts(&members, "\"error\":{");
    write_error(&members, code, message, field);
    buf_putc(&members, '}');
    acknowledge(reader, ack, false, buf_view(&members));
    buf_release(&members);
}

static struct slice ack_of(const char *ack)
{
    return ack == NULL ? (struct slice){0} : slice_of(ack);
}

static void reader_subscribed(struct subscription *sub, struct slice state)
{
    acknowledge(of(sub->session), ack_of(sub->ack), true, state);
    free(sub->ack);
    sub->ack = NULL;
}

static void emit(struct sio_session *reader, const char *name, struct slice data)
{
    struct buf args;

    buf_init(&args, TEXT_LIMIT * 2);
    buf_printf(&args, "[\"%s\",", name);
    buf_slice(&args, data);
    buf_putc(&args, ']');
    if (reader->socket != NULL)
        sio_emit(reader->socket, buf_view(&args));
    buf_release(&args);
}

static void reader_resync(struct subscription *sub, struct slice data)
{
    emit(of(sub->session), "resync", data);
}

static void reader_failed(struct subscription *sub, const char *code,
                          const char *message)
{
    struct sio_session *reader = of(sub->session);
    struct buf data;

    if (sub->ack != NULL) {
        acknowledge_error(reader, slice_of(sub->ack), code, message, NULL);
        return;
    }
    buf_init(&data, TEXT_LIMIT);
    buf_puts(&data, "{\"task_id\":");
    json_quote(&data, topic_name(sub->reader.topic));
    buf_putc(&data, ',');
    write_error(&data, code, message, NULL);
    buf_putc(&data, '}');
    emit(reader, "task_error", buf_view(&data));
    buf_release(&data);
}

static void reader_stopped(struct session *session, const struct stop_call *call,
                           enum stop_status status)
{
    struct sio_session *reader = of(session);
    struct buf members;

    buf_init(&members, TEXT_LIMIT);
    buf_puts(&members, "\"task_id\":");
    json_quote(&members, slice_of(call->task_id));
    buf_printf(&members, ",\"status\":\"%s\"", stop_status_name(status));
    acknowledge(reader, ack_of(call->ack), status != STOP_UNAVAILABLE,
                buf_view(&members));
    buf_release(&members);
}

static void reader_cut(struct session *session, const char *reason)
{
    struct sio_session *reader = of(session);

    if (reader->socket != NULL)
        sio_close_transport(reader->socket, reason);
}

static void reader_free(struct session *session)
{
    struct sio_session *reader = of(session);

    free(reader->site);
    free(reader);
}

static const struct session_ops reader_ops = {
    .window = reader_window,
    .send = reader_send,
    .subscribed = reader_subscribed,
    .resync = reader_resync,
    .failed = reader_failed,
    .stopped = reader_stopped,
    .cut = reader_cut,
    .free = reader_free,
};

/* ---- naming a task ---- */

/* The first argument after the event's name. */
static bool first_arg(const struct sio_event *event, struct json_member *arg)
{
    size_t at = 0;

    if (!json_next(event->args, &at, arg))
        return false;
    return json_next(event->args, &at, arg);
}

/* As JavaScript joins it to "task_progress:": the string form takes anything. */
static bool coerce(const struct sio_event *event, struct buf *name)
{
    struct json_member arg;

    buf_reset(name);
    if (!first_arg(event, &arg))
        return buf_puts(name, "undefined");
    if (arg.kind == JSON_STRING)
        return json_unescape(name, json_string_raw(arg.value));
    if (arg.kind == JSON_OBJECT)
        return buf_puts(name, "[object Object]");
    return buf_slice(name, arg.value);
}

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
    buf_init(&room, TEXT_LIMIT + sizeof(ROOM_PREFIX));
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

static struct slice wanted_ack(const struct sio_event *event)
{
    return event->wants_ack ? event->ack : (struct slice){0};
}

static bool is_full(const struct sio_session *reader)
{
    return reader->session.sub_count >= reader->session.set->options.max_subscriptions;
}

/* ---- events ---- */

static void subscribe_object(struct sio_session *reader, const struct sio_event *event,
                             struct slice object)
{
    struct session *session = &reader->session;
    struct task_request request;
    const char *field = NULL;
    struct topic *topic = NULL;
    struct subscription *sub;

    task_request_init(&request);
    if (!task_request_parse(&request, object, &field)) {
        acknowledge_error(reader, wanted_ack(event), "INVALID_VALUE",
                          "missing or malformed member", field);
        goto out;
    }
    topic = hub_topic(session->set->hub, TOPIC_TASK, slice_of(reader->site),
                      buf_view(&request.task_id));
    if (topic != NULL && (sub = subscription_find(session, topic)) != NULL)
        subscription_remove(sub); /* asking again begins anew */
    if (topic == NULL || is_full(reader)) {
        acknowledge_error(reader, wanted_ack(event), "TOO_MANY",
                          "too many subscriptions or tasks", NULL);
        goto out;
    }
    sub = subscription_add(session, topic);
    if (join_parse(sub, buf_view(&request.since), buf_view(&request.from), &field)) {
        keep_ack(sub, event);
        goto out;
    }
    subscription_remove(sub);
    acknowledge_error(reader, wanted_ack(event), "INVALID_VALUE", "malformed member",
                      field);
out:
    task_request_release(&request);
}

static void subscribe_string(struct sio_session *reader, const struct sio_event *event)
{
    struct subscription *sub;
    struct topic *topic;
    struct buf name;

    buf_init(&name, TEXT_LIMIT);
    topic = coerce(event, &name) ? string_topic(reader, buf_view(&name), true) : NULL;
    buf_release(&name);
    if (topic == NULL || is_full(reader)) {
        acknowledge_error(reader, wanted_ack(event), "TOO_MANY",
                          "too many subscriptions or tasks, or a name too long",
                          "task_id");
        return;
    }
    sub = subscription_find(&reader->session, topic);
    if (sub == NULL)
        sub = subscription_add(&reader->session, topic);
    /* From now on, as published; the reply waits until the task's state is known. */
    if (sub->stage != STAGE_LIVE)
        sub->reader.pos = topic_next(topic);
    sub->is_waiting_unknown = false;
    sub->is_native = false;
    sub->stage = STAGE_LIVE;
    free(sub->ack);
    sub->ack = NULL;
    sub->owes_reply = event->wants_ack;
    keep_ack(sub, event);
    session_mark(&reader->session);
}

static void on_subscribe(struct sio_session *reader, const struct sio_event *event)
{
    struct json_member arg;

    if (first_arg(event, &arg) && arg.kind == JSON_OBJECT)
        subscribe_object(reader, event, arg.value);
    else
        subscribe_string(reader, event);
}

/* Either form of argument names the task. */
static bool name_of(const struct sio_event *event, struct buf *name)
{
    struct json_member arg;
    struct json_member inner;

    if (first_arg(event, &arg) && arg.kind == JSON_OBJECT &&
        json_get(arg.value, "task_id", &inner) && inner.kind == JSON_STRING)
        return json_unescape(name, json_string_raw(inner.value));
    return coerce(event, name);
}

static void on_unsubscribe(struct sio_session *reader, const struct sio_event *event)
{
    struct subscription *sub = NULL;
    struct topic *topic = NULL;
    struct buf name;

    buf_init(&name, TEXT_LIMIT);
    if (name_of(event, &name))
        topic = string_topic(reader, buf_view(&name), false);
    buf_release(&name);
    if (topic != NULL)
        sub = subscription_find(&reader->session, topic);
    if (sub != NULL)
        subscription_remove(sub);
    acknowledge(reader, wanted_ack(event), true, (struct slice){0});
}

static void on_stop(struct sio_session *reader, const struct sio_event *event)
{
    struct task_request request;
    struct json_member arg;
    const char *field = "task_id";
    bool is_ok;

    task_request_init(&request);
    if (first_arg(event, &arg) && arg.kind == JSON_OBJECT)
        is_ok = task_request_parse(&request, arg.value, &field);
    else
        is_ok = coerce(event, &request.task_id) &&
                task_id_is_native(buf_view(&request.task_id));
    if (is_ok)
        session_stop(
            &reader->session,
            &(struct task_key){slice_of(reader->site), buf_view(&request.task_id)},
            request.epoch, wanted_ack(event));
    else
        acknowledge_error(reader, wanted_ack(event), "INVALID_VALUE",
                          "missing or malformed member", field);
    task_request_release(&request);
}

static void on_ping(struct sio_session *reader, const struct sio_event *event)
{
    sio_emit(reader->socket, slice_of("[\"pong\"]"));
    acknowledge(reader, wanted_ack(event), true, (struct slice){0});
}

static const struct sio_handler {
    const char *name;
    void (*run)(struct sio_session *reader, const struct sio_event *event);
} sio_handlers[] = {
    {"task_subscribe", on_subscribe},
    {"progress_subscribe", on_subscribe},
    {"task_unsubscribe", on_unsubscribe},
    {"task_stop", on_stop},
    {"ping", on_ping},
};

static void on_event(void *ctx, struct sio_socket *socket,
                     const struct sio_event *event)
{
    struct sio_session *reader = sio_data(socket);

    (void)ctx;
    for (size_t i = 0; i < sizeof(sio_handlers) / sizeof(sio_handlers[0]); i++) {
        if (slice_is(event->name, sio_handlers[i].name)) {
            sio_handlers[i].run(reader, event);
            return;
        }
    }
    /* Unknown events are ignored, as every Socket.IO server does; who asked for an answer
     * gets one. */
    acknowledge_error(reader, wanted_ack(event), "UNKNOWN_EVENT",
                      "the server has no such event", NULL);
}

/* ---- connecting ---- */

static bool is_listed(const struct config_list *sites, struct slice site)
{
    if (sites == NULL || sites->count == 0)
        return true;
    for (size_t i = 0; i < sites->count; i++)
        if (slice_is(site, sites->items[i]))
            return true;
    return false;
}

/* The namespace names the site; "/" leaves it to the query or the default. */
static bool site_of(const struct session_set *set, struct sio_socket *socket,
                    struct buf *site)
{
    struct slice nsp = sio_nsp(socket);

    if (slice_is(nsp, "/"))
        return session_site(set, sio_handshake(socket)->query, site);
    buf_append(site, nsp.ptr + 1, nsp.len - 1);
    return !site->failed && site_is_native(buf_view(site)) &&
           is_listed(set->options.sites, buf_view(site));
}

static void on_connect(void *ctx, struct sio_socket *socket, struct slice auth)
{
    struct session_set *set = ctx;
    struct sio_session *reader;
    struct buf site;

    (void)auth;
    buf_init(&site, 256);
    if (!site_of(set, socket, &site)) {
        buf_release(&site);
        sio_refuse(socket, "Invalid namespace", (struct slice){0});
        return;
    }
    reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        abort();
    session_init(&reader->session, set, &reader_ops, DIALECT_SIO_OBJECT);
    reader->session.is_site_nsp = !slice_is(sio_nsp(socket), "/");
    reader->socket = socket;
    reader->site = strdup(buf_text(&site));
    if (reader->site == NULL)
        abort();
    buf_release(&site);
    sio_set_data(socket, reader);
    diag(DIAG_DEBUG, "socket connected", DIAG_SLICE("socket", sio_id(socket)),
         DIAG_S("transport", sio_transport(socket)),
         DIAG_SLICE("nsp", sio_nsp(socket)));
    sio_accept(socket);
}

static void on_drain(void *ctx, struct sio_socket *socket)
{
    struct sio_session *reader = sio_data(socket);

    (void)ctx;
    session_drained(&reader->session);
}

static void on_disconnect(void *ctx, struct sio_socket *socket, const char *reason)
{
    struct sio_session *reader = sio_data(socket);

    (void)ctx;
    if (reader == NULL)
        return;
    diag(DIAG_DEBUG, "socket disconnected", DIAG_SLICE("socket", sio_id(socket)),
         DIAG_S("reason", reason));
    reader->socket = NULL;
    session_bury(&reader->session);
}

const struct sio_app session_sio_app = {
    .on_connect = on_connect,
    .on_event = on_event,
    .on_drain = on_drain,
    .on_disconnect = on_disconnect,
};
