/* sio_emit.c - Socket.IO packets on their way out. */
/* SPDX-License-Identifier: MIT */
#include "engine/sio_inside.h"

#include "codec/json.h"

#include <stdio.h>

void sio_put(struct sio_session *session, const struct sio_packet *packet)
{
    struct buf *out = &session->server->encoding;

    buf_reset(out);
    if (sio_encode(out, packet))
        eio_session_send(session->eio, buf_view(out), false);
    else
        eio_session_overflow(session->eio);
}

/* EIO3 clients get the bare reason, except for an unknown namespace: as the reference does,
 * and as their handlers expect it. */
static void put_reason(struct buf *json, int revision, const char *message,
                       struct slice data_json)
{
    bool is_bare = revision == 3 && strcmp(message, "Invalid namespace") != 0;

    if (is_bare && data_json.len > 0) {
        buf_slice(json, data_json);
        return;
    }
    if (is_bare) {
        json_quote(json, slice_of(message));
        return;
    }
    buf_puts(json, "{\"message\":");
    json_quote(json, slice_of(message));
    if (data_json.len > 0) {
        buf_puts(json, ",\"data\":");
        buf_slice(json, data_json);
    }
    buf_putc(json, '}');
}

void sio_put_refusal(struct sio_session *session, struct slice nsp, const char *message,
                     struct slice data_json)
{
    struct sio_packet packet = {.type = SIO_CONNECT_ERROR, .nsp = nsp};
    struct buf json;

    buf_init(&json, session->server->options.control_bytes);
    put_reason(&json, eio_session_revision(session->eio), message, data_json);
    packet.json = buf_view(&json);
    if (json.failed)
        eio_session_overflow(session->eio);
    else
        sio_put(session, &packet);
    buf_release(&json);
}

static bool may_send(const struct sio_socket *socket)
{
    return socket->state == SIO_STATE_CONNECTED;
}

static void put_event(struct sio_socket *socket, struct sio_packet *packet,
                      const struct slice *attachments)
{
    struct sio_session *session = socket->session;

    if (!may_send(socket))
        return;
    packet->nsp = sio_nsp(socket);
    sio_put(session, packet);
    for (unsigned i = 0; i < packet->attachments; i++)
        eio_session_send(session->eio, attachments[i], true);
}

void sio_emit(struct sio_socket *socket, struct slice args)
{
    struct sio_packet packet = {.type = SIO_EVENT, .json = args};
    put_event(socket, &packet, NULL);
}

void sio_emit_binary(struct sio_socket *socket, struct slice args,
                     const struct slice *attachments, unsigned count)
{
    struct sio_packet packet = {
        .type = SIO_BINARY_EVENT, .attachments = count, .json = args};
    put_event(socket, &packet, attachments);
}

void sio_ack(struct sio_socket *socket, struct slice ack, struct slice args)
{
    struct sio_packet packet = {
        .type = SIO_ACK, .has_ack = true, .ack = ack, .json = args};
    put_event(socket, &packet, NULL);
}

void sio_ack_binary(struct sio_socket *socket, struct slice ack, struct slice args,
                    const struct slice *attachments, unsigned count)
{
    struct sio_packet packet = {.type = SIO_BINARY_ACK,
                                .attachments = count,
                                .has_ack = true,
                                .ack = ack,
                                .json = args};
    put_event(socket, &packet, attachments);
}

uint64_t sio_ask(struct sio_socket *socket, struct slice args)
{
    struct sio_packet packet = {.type = SIO_EVENT, .has_ack = true, .json = args};
    uint64_t id = socket->asked_next;
    char digits[24];

    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)id);
    packet.ack = slice_of(digits);
    socket->asked_next++;
    socket->asked_mask = (socket->asked_mask << 1) | 1;
    put_event(socket, &packet, NULL);
    return id;
}

/* ---- what the application pulls ---- */

bool sio_window(struct sio_socket *socket, struct sio_window *window)
{
    struct eio_window inner;

    if (!may_send(socket) || !eio_session_window(socket->session->eio, &inner))
        return false;
    window->framing = inner.framing;
    window->revision = inner.revision;
    window->packets = inner.packets;
    window->bytes = inner.bytes;
    return true;
}

bool sio_send_shared(struct sio_socket *socket, struct bytes *frames, unsigned packets)
{
    return may_send(socket) &&
           eio_session_send_shared(socket->session->eio, frames, packets);
}
