/* sio.c - Socket.IO sockets as readers: what they are sent, and which event goes where. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "session/sio_inside.h"

#include <stdlib.h>

/* ---- the session's slots ---- */

static bool reader_window(struct session *session, struct sio_window *window)
{
    struct sio_session *reader = sio_session_of(session);

    if (reader->back != NULL) {
        sio_return_step(reader);
        return false;
    }
    sio_keep_changes(reader);
    return reader->socket != NULL && sio_window(reader->socket, window);
}

static bool reader_send(struct session *session, struct bytes *bytes, unsigned packets)
{
    struct sio_session *reader = sio_session_of(session);

    return packets == 0 || sio_send_shared(reader->socket, bytes, packets);
}

/* The offset that a client with recovery gets as last argument: a position, no right. */
static void reader_cursor(struct session *session, struct buf *out)
{
    struct sio_session *reader = sio_session_of(session);

    if (reader->pid[0] == '\0')
        return;
    if (session->last_order > reader->told.order)
        reader->told.order = session->last_order;
    reader->told.count++;
    sio_write_offset(reader, out);
}

/* Its packets carry no offset, since they are shared. */
static void reader_after_snapshot(struct subscription *sub)
{
    sio_session_of(sub->session)->told.count++;
}

void sio_acknowledge(struct sio_session *reader, struct slice ack, bool ok,
                     struct slice members)
{
    struct buf args;

    if (ack.ptr == NULL || reader->socket == NULL)
        return;
    buf_init(&args, SIO_TEXT_LIMIT * 2);
    buf_printf(&args, "[{\"ok\":%s", ok ? "true" : "false");
    if (members.len > 0)
        buf_putc(&args, ',');
    buf_slice(&args, members);
    buf_puts(&args, "}]");
    sio_ack(reader->socket, ack, buf_view(&args));
    buf_release(&args);
}

void sio_acknowledge_error(struct sio_session *reader, struct slice ack,
                           const char *code, const char *message, const char *field)
{
    struct buf members;

    counter_add(reader->session.set->bad_requests, 1);
    buf_init(&members, SIO_TEXT_LIMIT);
    buf_puts(&members, "\"error\":{");
    write_error(&members, code, message, field);
    buf_putc(&members, '}');
    sio_acknowledge(reader, ack, false, buf_view(&members));
    buf_release(&members);
}

static struct slice ack_of(const char *ack)
{
    return ack == NULL ? (struct slice){0} : slice_of(ack);
}

static void reader_subscribed(struct subscription *sub, struct slice state)
{
    if (sub->is_native)
        sio_note_join(sub);
    sio_acknowledge(sio_session_of(sub->session), ack_of(sub->ack), true, state);
    free(sub->ack);
    sub->ack = NULL;
}

/* With the offset where recovery is on: stock clients take the last argument of any event
 * for one, when it is a text. */
void sio_tell(struct sio_session *reader, const char *name, struct slice data)
{
    struct buf offset;
    struct buf args;

    if (reader->socket == NULL)
        return;
    buf_init(&offset, SIO_TEXT_LIMIT);
    reader_cursor(&reader->session, &offset);
    buf_init(&args, SIO_TEXT_LIMIT * 2);
    buf_printf(&args, "[\"%s\"", name);
    if (data.len > 0) {
        buf_putc(&args, ',');
        buf_slice(&args, data);
    }
    if (offset.len > 0)
        buf_printf(&args, ",\"%s\"", buf_text(&offset));
    buf_putc(&args, ']');
    sio_emit(reader->socket, buf_view(&args));
    buf_release(&args);
    buf_release(&offset);
}

static void reader_resync(struct subscription *sub, struct slice data)
{
    sio_tell(sio_session_of(sub->session), "resync", data);
}

static void reader_failed(struct subscription *sub, const char *code,
                          const char *message)
{
    struct sio_session *reader = sio_session_of(sub->session);
    struct buf data;

    if (sub->ack != NULL) {
        sio_acknowledge_error(reader, slice_of(sub->ack), code, message, NULL);
        return;
    }
    buf_init(&data, SIO_TEXT_LIMIT);
    buf_puts(&data, "{\"task_id\":");
    json_quote(&data, topic_name(sub->reader.topic));
    buf_putc(&data, ',');
    write_error(&data, code, message, NULL);
    buf_putc(&data, '}');
    sio_tell(reader, "task_error", buf_view(&data));
    buf_release(&data);
}

static void reader_stopped(struct session *session, const struct stop_call *call,
                           enum stop_status status)
{
    struct sio_session *reader = sio_session_of(session);
    struct buf members;

    buf_init(&members, SIO_TEXT_LIMIT);
    buf_puts(&members, "\"task_id\":");
    json_quote(&members, call->task.task_id);
    buf_printf(&members, ",\"status\":\"%s\"", stop_status_name(status));
    sio_acknowledge(reader, ack_of(call->ack), status != STOP_UNAVAILABLE,
                    buf_view(&members));
    buf_release(&members);
}

static void reader_cut(struct session *session, const char *reason)
{
    struct sio_session *reader = sio_session_of(session);

    if (reader->socket != NULL)
        sio_close_transport(reader->socket, reason);
}

static void reader_free(struct session *session)
{
    struct sio_session *reader = sio_session_of(session);

    sio_forget_pid(reader);
    sio_return_drop(reader);
    list_remove(&reader->kept);
    identity_unref(reader->who);
    free(reader->site);
    free(reader);
}

const struct session_ops sio_reader_ops = {
    .window = reader_window,
    .send = reader_send,
    .subscribed = reader_subscribed,
    .resync = reader_resync,
    .after_snapshot = reader_after_snapshot,
    .failed = reader_failed,
    .cursor = reader_cursor,
    .stopped = reader_stopped,
    .cut = reader_cut,
    .free = reader_free,
};

/* ---- arguments ---- */

struct slice sio_wanted_ack(const struct sio_event *event)
{
    return event->wants_ack ? event->ack : (struct slice){0};
}

bool sio_argument(const struct sio_event *event, unsigned n, struct json_member *arg)
{
    size_t at = 0;

    for (unsigned i = 0; i <= n + 1; i++)
        if (!json_next(event->args, &at, arg))
            return false;
    return true;
}

bool sio_coerce(const struct sio_event *event, unsigned n, struct buf *out)
{
    struct json_member arg;

    if (!sio_argument(event, n, &arg))
        return buf_puts(out, "undefined");
    if (arg.kind == JSON_STRING)
        return json_unescape(out, json_string_raw(arg.value));
    if (arg.kind == JSON_OBJECT)
        return buf_puts(out, "[object Object]");
    return buf_slice(out, arg.value);
}

/* The id of an Engine.IO 3 client's socket is that of its connection, with which anybody
 * could go on in its place: only the counter at its end is shown. */
struct slice sio_shown_id(const struct sio_socket *socket)
{
    struct slice id = sio_id(socket);
    size_t counter = 4;

    if (sio_revision(socket) == 4 || id.len < counter)
        return id;
    return slice_make(id.ptr + id.len - counter, counter);
}

struct credentials sio_credentials(const struct sio_session *reader)
{
    const struct sio_handshake *shake = sio_handshake(reader->socket);

    return (struct credentials){
        .site = slice_of(reader->site),
        .origin = shake->origin,
        .host = shake->host,
        .cookie = shake->cookie,
        .authorization = shake->authorization,
        .is_tls = shake->is_tls,
    };
}

struct subscription *sio_follow(struct sio_session *reader, struct topic *topic)
{
    struct session *session = &reader->session;
    struct subscription *sub;

    if (topic == NULL)
        return NULL;
    sub = subscription_find(session, topic);
    if (sub == NULL) {
        if (sio_is_full(reader))
            return NULL;
        sub = subscription_add(session, topic);
        subscription_unwait(sub);
    }
    if (sub->stage != STAGE_LIVE)
        sub->reader.pos = topic_next(topic);
    sub->is_native = false;
    sub->stage = STAGE_LIVE;
    sub->owes_reply = false;
    sub->floor = hub_last_order(session->set->hub);
    return sub;
}

/* ---- events ---- */

static bool run_handler(const struct sio_handler *table, struct sio_session *reader,
                        const struct sio_event *event)
{
    for (; table->name != NULL; table++) {
        if (!slice_is(event->name, table->name) ||
            (table->is_frappe && !reader->session.set->options.frappe.on))
            continue;
        table->run(reader, event);
        return true;
    }
    return false;
}

static void on_event(void *ctx, struct sio_socket *socket,
                     const struct sio_event *event)
{
    struct sio_session *reader = sio_data(socket);

    (void)ctx;
    if (run_handler(sio_task_handlers, reader, event) ||
        run_handler(sio_doc_handlers, reader, event))
        return;
    /* Unknown events are ignored, as every Socket.IO server does; who asked for an answer
     * gets one. */
    sio_acknowledge_error(reader, sio_wanted_ack(event), "UNKNOWN_EVENT",
                          "the server has no such event", NULL);
}

static void on_drain(void *ctx, struct sio_socket *socket)
{
    struct sio_session *reader = sio_data(socket);

    (void)ctx;
    if (reader != NULL)
        session_drained(&reader->session);
}

static void on_disconnect(void *ctx, struct sio_socket *socket, const char *reason)
{
    struct session_set *set = ctx;
    struct sio_session *reader = sio_data(socket);

    if (reader == NULL)
        return;
    diag(DIAG_INFO, "socket disconnected", DIAG_SLICE("socket", sio_shown_id(socket)),
         DIAG_S("transport", sio_transport(socket)), DIAG_SLICE("nsp", sio_nsp(socket)),
         DIAG_S("reason", reason),
         DIAG_N("duration_ms", loop_now_ms(set->loop) - reader->connected_ms));
    reader->socket = NULL;
    sio_tell_documents(reader);
    if (!sio_save(reader, reason))
        session_bury(&reader->session);
}

const struct sio_app session_sio_app = {
    .on_connect = sio_on_connect,
    .on_event = on_event,
    .on_drain = on_drain,
    .on_disconnect = on_disconnect,
};
