/* sio_socket.c - one namespace membership: joining, leaving, what it is. */
/* SPDX-License-Identifier: MIT */
#include "engine/sio_inside.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

#define MAX_ACK_DIGITS 19

/* ---- joining ---- */

/* Engine.IO 4: an id of its own. Engine.IO 3: clients build the id themselves from the
 * engine's, so it must be that one. */
static struct buf make_id(struct sio_session *session, struct slice nsp)
{
    struct slice sid = eio_session_id(session->eio);
    char fresh[EIO_ID_SIZE];
    struct buf id;

    buf_init(&id, nsp.len + sid.len + 1);
    if (eio_session_revision(session->eio) == 4) {
        eio_make_id(session->server->eio, fresh);
        buf_puts(&id, fresh);
        return id;
    }
    if (!slice_is(nsp, "/")) {
        buf_slice(&id, nsp);
        buf_putc(&id, '#');
    }
    buf_slice(&id, sid);
    return id;
}

static struct sio_socket *socket_new(struct sio_session *session, struct slice nsp)
{
    struct buf id = make_id(session, nsp);
    struct sio_socket *socket = mem_new(sizeof(*socket) + nsp.len + id.len);

    socket->session = session;
    socket->state = SIO_STATE_CONNECTING;
    socket->nsp_len = (unsigned)nsp.len;
    socket->id_len = (unsigned)id.len;
    memcpy(socket->text, nsp.ptr, nsp.len);
    memcpy(socket->text + nsp.len, id.data, id.len);
    buf_release(&id);
    list_push_back(&session->sockets, &socket->link);
    session->socket_count++;
    return socket;
}

void sio_socket_join(struct sio_session *session, struct slice nsp, struct slice auth)
{
    const struct sio_server *server = session->server;

    if (session->socket_count >= server->options.max_namespaces) {
        counter_add(server->refused_namespaces, 1);
        sio_put_refusal(session, nsp, "Too many namespaces", slice_make(NULL, 0));
        return;
    }
    server->app->on_connect(server->app_ctx, socket_new(session, nsp), auth);
}

struct sio_socket *sio_socket_find(const struct sio_session *session, struct slice nsp)
{
    LIST_FOR_EACH(it, tmp, &session->sockets)
    {
        struct sio_socket *socket = LIST_ENTRY(it, struct sio_socket, link);
        if (slice_equal(sio_nsp(socket), nsp))
            return socket;
    }
    return NULL;
}

/* What CONNECT is answered with: {"sid"[,"pid"]}, nothing for Engine.IO 3. Both are ours and
 * base64url: nothing to escape. */
static void put_identity(const struct sio_socket *socket, struct slice pid,
                         struct buf *json)
{
    if (sio_revision(socket) != 4)
        return;
    buf_puts(json, "{\"sid\":\"");
    buf_slice(json, sio_id(socket));
    if (pid.len > 0) {
        buf_puts(json, "\",\"pid\":\"");
        buf_slice(json, pid);
    }
    buf_puts(json, "\"}");
}

void sio_accept_as(struct sio_socket *socket, struct slice id, struct slice pid)
{
    struct sio_packet packet = {.type = SIO_CONNECT, .nsp = sio_nsp(socket)};
    struct buf json;

    if (socket->state != SIO_STATE_CONNECTING)
        return;
    if (id.len > 0 && id.len == socket->id_len)
        memcpy(socket->text + socket->nsp_len, id.ptr, id.len);
    socket->state = SIO_STATE_CONNECTED;
    eio_session_alarm(socket->session->eio, 0);
    buf_init(&json, socket->id_len + pid.len + 32);
    put_identity(socket, pid, &json);
    packet.json = buf_view(&json);
    sio_put(socket->session, &packet);
    buf_release(&json);
}

void sio_accept(struct sio_socket *socket)
{
    sio_accept_as(socket, (struct slice){0}, (struct slice){0});
}

/* ---- leaving ---- */

void sio_socket_leave(struct sio_socket *socket, const char *reason)
{
    struct sio_session *session = socket->session;
    struct sio_server *server = session->server;

    socket->state = SIO_STATE_GONE;
    list_remove(&socket->link);
    list_push_back(&server->graves, &socket->link);
    turn_defer(server->loop, &server->burial);
    session->socket_count--;
    if (session->socket_count == 0)
        eio_session_alarm(session->eio, server->options.connect_timeout_ms);
    if (reason != NULL)
        server->app->on_disconnect(server->app_ctx, socket, reason);
    socket->session = NULL;
}

void sio_refuse(struct sio_socket *socket, const char *message, struct slice data_json)
{
    assert(socket->state == SIO_STATE_CONNECTING);
    sio_put_refusal(socket->session, sio_nsp(socket), message, data_json);
    sio_socket_leave(socket, NULL);
}

void sio_disconnect(struct sio_socket *socket)
{
    const struct sio_packet packet = {.type = SIO_DISCONNECT, .nsp = sio_nsp(socket)};

    if (socket->state == SIO_STATE_GONE)
        return;
    sio_put(socket->session, &packet);
    sio_socket_leave(socket, "server namespace disconnect");
}

void sio_close_transport(struct sio_socket *socket, const char *reason)
{
    if (socket->state != SIO_STATE_GONE)
        eio_session_close(socket->session->eio, reason);
}

/* ---- acknowledgements we asked for ---- */

bool sio_socket_was_asked(struct sio_socket *socket, struct slice ack, uint64_t *id)
{
    uint64_t value = 0;

    if (ack.len == 0 || ack.len > MAX_ACK_DIGITS)
        return false;
    for (size_t i = 0; i < ack.len; i++)
        value = value * 10 + (uint64_t)(ack.ptr[i] - '0');
    if (value >= socket->asked_next || socket->asked_next - 1 - value >= SIO_MAX_ASKED)
        return false;
    uint64_t bit = UINT64_C(1) << (socket->asked_next - 1 - value);
    if ((socket->asked_mask & bit) == 0)
        return false;
    socket->asked_mask &= ~bit;
    *id = value;
    return true;
}

/* ---- what it is ---- */

struct slice sio_nsp(const struct sio_socket *socket)
{
    return slice_make(socket->text, socket->nsp_len);
}

struct slice sio_id(const struct sio_socket *socket)
{
    return slice_make(socket->text + socket->nsp_len, socket->id_len);
}

const struct sio_handshake *sio_handshake(const struct sio_socket *socket)
{
    return eio_session_handshake(socket->session->eio);
}

int sio_revision(const struct sio_socket *socket)
{
    return eio_session_revision(socket->session->eio);
}

const char *sio_transport(const struct sio_socket *socket)
{
    return eio_session_transport(socket->session->eio);
}

void sio_set_data(struct sio_socket *socket, void *data)
{
    socket->data = data;
}

void *sio_data(const struct sio_socket *socket)
{
    return socket->data;
}
