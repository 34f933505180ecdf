/* sio_server.c - Socket.IO as an application of Engine.IO sessions. */
/* SPDX-License-Identifier: MIT */
#include "engine/sio_inside.h"

#include "base/mem.h"

#include <stdlib.h>

/* Around a packet's JSON: type, attachments, namespace, acknowledgement. */
#define PACKET_HEAD_BYTES 1024

/* ---- callbacks of Engine.IO ---- */

static void on_open(void *ctx, struct eio_session *eio)
{
    struct sio_server *server = ctx;
    struct sio_session *session = mem_new(sizeof(*session));

    session->server = server;
    session->eio = eio;
    list_init(&session->sockets);
    eio_session_set_data(eio, session);
    eio_session_alarm(eio, server->options.connect_timeout_ms);
    if (eio_session_revision(eio) == 3) /* such clients do not ask for it */
        sio_socket_join(session, slice_of("/"), slice_make(NULL, 0));
}

static struct sio_socket *first_to_last(struct sio_session *session)
{
    struct list *link = session->sockets.next;

    list_remove(link);
    list_push_back(&session->sockets, link);
    return LIST_ENTRY(link, struct sio_socket, link);
}

/* Each socket once, as long as there is room. Whoever was told goes to the end, so the next
 * round starts where this one stopped; after a whole round it starts one further. The
 * application may remove any of them meanwhile. */
static void on_drain(void *ctx, struct eio_session *eio)
{
    struct sio_server *server = ctx;
    struct sio_session *session = eio_session_data(eio);
    unsigned count = session->socket_count;
    struct eio_window window;

    for (unsigned i = 0; i < count && !list_is_empty(&session->sockets); i++) {
        struct sio_socket *socket = first_to_last(session);
        if (socket->state == SIO_STATE_CONNECTED)
            server->app->on_drain(server->app_ctx, socket);
        if (!eio_session_window(eio, &window))
            return;
    }
    if (!list_is_empty(&session->sockets))
        first_to_last(session);
}

static void on_alarm(void *ctx, struct eio_session *eio)
{
    (void)ctx;
    eio_session_close(eio, "forced close"); /* no namespace in time */
}

static void on_close(void *ctx, struct eio_session *eio, const char *reason)
{
    struct sio_session *session = eio_session_data(eio);

    (void)ctx;
    while (!list_is_empty(&session->sockets))
        sio_socket_leave(LIST_ENTRY(session->sockets.next, struct sio_socket, link),
                         reason);
    sio_partial_free(session->partial);
    free(session);
}

static const char *allow(void *ctx, const struct http_request *request)
{
    const struct sio_server *server = ctx;

    if (server->app->allow == NULL)
        return NULL;
    return server->app->allow(server->app_ctx, request);
}

/* ---- the server ---- */

static void on_burial(struct turn_task *task)
{
    struct sio_server *server = LIST_ENTRY(task, struct sio_server, burial);

    LIST_FOR_EACH(it, tmp, &server->graves)
    {
        list_remove(it);
        free(LIST_ENTRY(it, struct sio_socket, link));
    }
}

struct sio_server *sio_server_new(struct loop *loop, const struct sio_options *options,
                                  const struct sio_app *app, void *app_ctx,
                                  struct counters *counters)
{
    static const struct eio_app eio_app = {
        .allow = allow,
        .on_open = on_open,
        .on_message = sio_receive,
        .on_drain = on_drain,
        .on_alarm = on_alarm,
        .on_close = on_close,
    };
    const struct eio_options eio_options = {
        .ping_interval_ms = options->ping_interval_ms,
        .ping_timeout_ms = options->ping_timeout_ms,
        .upgrade_timeout_ms = options->upgrade_timeout_ms,
        .max_payload_bytes = options->max_payload_bytes,
        .control_bytes = options->control_bytes,
        .max_sessions = options->max_sessions,
        .allow_eio3 = options->allow_eio3,
        .missing_eio_is_3 = options->missing_eio_is_3,
        .max_poll_packets = options->max_poll_packets,
    };
    struct sio_server *server = mem_new(sizeof(*server));

    server->loop = loop;
    server->options = *options;
    server->app = app;
    server->app_ctx = app_ctx;
    list_init(&server->graves);
    turn_task_init(&server->burial, on_burial);
    buf_init(&server->encoding, options->control_bytes + PACKET_HEAD_BYTES);
    buf_init(&server->name, options->max_payload_bytes);
    server->refused_namespaces =
        counters_add(counters, COUNTER_TOTAL, "namespaces_refused_total", NULL,
                     "Namespaces past the bound of one client.");
    server->eio = eio_server_new(loop, &eio_options, &eio_app, server, counters);
    return server;
}

void sio_server_free(struct sio_server *server)
{
    eio_server_free(server->eio);
    on_burial(&server->burial);
    turn_cancel(&server->burial);
    buf_release(&server->encoding);
    buf_release(&server->name);
    free(server);
}

void sio_server_routes(struct sio_server *server, const char *path,
                       struct http_route *http, struct ws_route *ws)
{
    eio_server_routes(server->eio, path, http, ws);
}

size_t sio_server_sessions(const struct sio_server *server)
{
    return eio_server_sessions(server->eio);
}
