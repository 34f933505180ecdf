/* sio_receive.c - Socket.IO packets on their way in. */
/* SPDX-License-Identifier: MIT */
#include "engine/sio_inside.h"

#include "base/mem.h"
#include "codec/json.h"

#include <assert.h>
#include <stdlib.h>

/* The reference tells the two apart: a packet that cannot be read, and one that has no
 * place in the state of the connection. */
static const char unreadable[] = "forced close";
static const char out_of_place[] = "forced server close";

/* ---- CONNECT ---- */

/* Engine.IO 3: `40/admin?token=1,` carries what later clients put into auth. */
static void put_auth(struct buf *auth, struct slice query)
{
    struct slice name;
    struct slice value;
    struct buf scratch;
    size_t at = 0;

    buf_init(&scratch, query.len);
    buf_putc(auth, '{');
    while (http_query_next(query, &at, &scratch, &name, &value)) {
        if (auth->len > 1)
            buf_putc(auth, ',');
        json_quote(auth, name);
        buf_putc(auth, ':');
        json_quote(auth, value);
    }
    buf_putc(auth, '}');
    buf_release(&scratch);
}

static void receive_connect(struct sio_session *session,
                            const struct sio_packet *packet)
{
    struct buf auth;

    if (sio_socket_find(session, packet->nsp) != NULL) {
        eio_session_close(session->eio, out_of_place);
        return;
    }
    if (packet->nsp_query.len == 0) {
        sio_socket_join(session, packet->nsp, packet->json);
        return;
    }
    /* A byte becomes at most six: \u00xx. */
    buf_init(&auth, packet->nsp_query.len * 6 + 16);
    put_auth(&auth, packet->nsp_query);
    sio_socket_join(session, packet->nsp, buf_view(&auth));
    buf_release(&auth);
}

/* ---- EVENT, ACK ---- */

/* A number may stand for a name: its digits are the name then. */
static struct slice event_name(struct sio_server *server,
                               const struct sio_packet *packet)
{
    struct json_member first;
    size_t at = 0;

    if (!json_next(packet->json, &at, &first))
        return slice_make("", 0);
    if (first.kind == JSON_NUMBER)
        return first.value;
    buf_reset(&server->name);
    json_unescape(&server->name, packet->event);
    return buf_view(&server->name);
}

static void receive_event(struct sio_socket *socket, const struct sio_packet *packet,
                          const struct slice *attachments)
{
    struct sio_server *server = socket->session->server;
    struct sio_event event = {
        .args = packet->json,
        .attachments = attachments,
        .attachment_count = packet->attachments,
        .wants_ack = packet->has_ack,
        .ack = packet->ack,
    };

    if (packet->json.len == 0)
        return; /* `42` alone: ignored, as the reference does */
    event.name = event_name(server, packet);
    server->app->on_event(server->app_ctx, socket, &event);
}

static void receive_ack(struct sio_socket *socket, const struct sio_packet *packet,
                        const struct slice *attachments)
{
    const struct sio_server *server = socket->session->server;
    const struct sio_event answer = {
        .args = packet->json,
        .attachments = attachments,
        .attachment_count = packet->attachments,
    };
    uint64_t id = 0;

    if (sio_socket_was_asked(socket, packet->ack, &id) && server->app->on_ack != NULL)
        server->app->on_ack(server->app_ctx, socket, id, &answer);
}

static void dispatch(struct sio_session *session, const struct sio_packet *packet,
                     const struct slice *attachments)
{
    struct sio_socket *socket = sio_socket_find(session, packet->nsp);

    if (socket == NULL || socket->state != SIO_STATE_CONNECTED) {
        eio_session_close(session->eio, out_of_place);
        return;
    }
    switch (packet->type) {
    case SIO_EVENT:
    case SIO_BINARY_EVENT:
        receive_event(socket, packet, attachments);
        break;
    case SIO_ACK:
    case SIO_BINARY_ACK:
        receive_ack(socket, packet, attachments);
        break;
    case SIO_DISCONNECT:
        sio_socket_leave(socket, "client namespace disconnect");
        break;
    case SIO_CONNECT:
    case SIO_CONNECT_ERROR:
        eio_session_close(session->eio, out_of_place);
        break;
    }
}

/* ---- binary packets ---- */

void sio_partial_free(struct sio_partial *partial)
{
    if (partial == NULL)
        return;
    buf_release(&partial->attachments);
    free(partial->text);
    free(partial);
}

/* Text and attachments together stay within max_payload_bytes. */
static void begin_partial(struct sio_session *session, struct slice text,
                          const struct sio_packet *packet)
{
    struct sio_partial *partial = NULL;
    size_t limit = session->server->options.max_payload_bytes;

    if (sio_socket_find(session, packet->nsp) == NULL) {
        eio_session_close(session->eio, out_of_place);
        return;
    }
    partial = mem_new(sizeof(*partial));
    partial->text = mem_text(text);
    partial->text_len = text.len;
    partial->wanted = packet->attachments;
    buf_init(&partial->attachments, limit > text.len ? limit - text.len : 0);
    session->partial = partial;
}

/* {"_placeholder":true,"num":n}: true when it is none, or `n` is an attachment. */
static bool placeholder_is_good(struct slice object, unsigned count)
{
    struct json_member member;
    uint64_t number = 0;

    if (!json_get(object, "_placeholder", &member) || member.kind != JSON_TRUE)
        return true;
    return json_get(object, "num", &member) && member.kind == JSON_NUMBER &&
           json_u64(member.value, &number) && number < count;
}

/* Recursion is bounded: the text passed json_check(), which bounds its depth. */
// NOLINTNEXTLINE(misc-no-recursion)
static bool placeholders_are_good(struct slice value, enum json_kind kind,
                                  unsigned count)
{
    struct json_member member;
    size_t at = 0;

    if (kind != JSON_ARRAY && kind != JSON_OBJECT)
        return true;
    if (kind == JSON_OBJECT && !placeholder_is_good(value, count))
        return false;
    while (json_next(value, &at, &member)) {
        if (!placeholders_are_good(member.value, member.kind, count))
            return false;
    }
    return true;
}

/* All attachments are there. */
static void finish_partial(struct sio_session *session,
                           const struct sio_partial *partial)
{
    struct slice attachments[SIO_MAX_ATTACHMENTS];
    struct sio_packet packet;
    size_t start = 0;
    int result = sio_decode(eio_session_revision(session->eio),
                            slice_make(partial->text, partial->text_len), &packet);

    assert(result == 0); /* it decoded when it came */
    (void)result;
    for (unsigned i = 0; i < partial->present; i++) {
        attachments[i] =
            slice_make(partial->attachments.data + start, partial->ends[i] - start);
        start = partial->ends[i];
    }
    if (placeholders_are_good(packet.json, JSON_ARRAY, packet.attachments))
        dispatch(session, &packet, attachments);
    else
        eio_session_close(session->eio, unreadable);
}

static void receive_attachment(struct sio_session *session, struct slice data)
{
    struct sio_partial *partial = session->partial;

    if (partial == NULL) {
        eio_session_close(session->eio, unreadable);
        return;
    }
    if (!buf_slice(&partial->attachments, data)) {
        eio_session_close(session->eio, "transport error"); /* too large in all */
        return;
    }
    partial->ends[partial->present++] = partial->attachments.len;
    if (partial->present < partial->wanted)
        return;
    session->partial = NULL;
    finish_partial(session, partial);
    sio_partial_free(partial);
}

/* ---- what comes from Engine.IO ---- */

static void receive_text(struct sio_session *session, struct slice text)
{
    struct sio_packet packet;

    if (session->partial != NULL ||
        sio_decode(eio_session_revision(session->eio), text, &packet) != 0 ||
        packet.nsp.len > SIO_MAX_NSP_BYTES)
        eio_session_close(session->eio, unreadable);
    else if (packet.type == SIO_CONNECT)
        receive_connect(session, &packet);
    else if (packet.attachments > 0)
        begin_partial(session, text, &packet);
    else
        dispatch(session, &packet, NULL);
}

void sio_receive(void *ctx, struct eio_session *eio, struct slice data, bool is_binary)
{
    struct sio_session *session = eio_session_data(eio);

    (void)ctx;
    if (is_binary)
        receive_attachment(session, data);
    else
        receive_text(session, data);
}
