/* server.h - listeners, routes, HTTP exchanges and WebSocket pipes on libwebsockets. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TRANSPORT_SERVER_H
#define THINKWIRE_TRANSPORT_SERVER_H

#include "base/config.h"
#include "base/counters.h"
#include "base/http.h"
#include "base/loop.h"

/*
 * Pipes, no meaning: the only room that sees <libwebsockets.h>. It guards what platform.md
 * lists (Upgrade other than websocket, h2/h2c, request bodies, hostile paths), bounds every
 * wait and size, and hands whole requests and messages up through the routes.
 */
struct server;

struct server_options {
    const struct config_list *listen; /* "127.0.0.1:9000", "[::1]:0", "unix:/path" */
    const struct config_list
        *origins;             /* allowed browser origins; "*" = any; may be empty:
                                        * same origin only */
    bool reflect_credentials; /* allowed origins are echoed with Allow-Credentials */
    size_t max_connections;
    size_t max_connections_per_ip; /* 0 = no bound */
    size_t socket_unsent_bytes;    /* TCP_NOTSENT_LOWAT */
    uint64_t header_timeout_ms;
    uint64_t body_timeout_ms;
    uint64_t keepalive_timeout_ms;
    uint64_t close_timeout_ms; /* a closing peer that does not take its bytes is cut */
    unsigned keepalive_requests;
};

/* NULL with a message in `error` that names the address and the remedy. */
struct server *server_new(struct loop *loop, const struct server_options *options,
                          struct counters *counters, struct buf *error);
/* Before server_listen(). Routes are copied; their `path` is kept. */
void server_route(struct server *server, const struct http_route *route);
void server_ws_route(struct server *server, const struct ws_route *route);
/* Binds and listens on all addresses. */
bool server_listen(struct server *server, struct buf *error);
/* "127.0.0.1:43567" of the n-th listener, port resolved; NULL past the last. */
const char *server_address(const struct server *server, size_t n);
/* No new connections from here on; the open ones live. */
void server_stop_listening(struct server *server);
size_t server_connections(const struct server *server);
/* Closes what is open, frees. */
void server_free(struct server *server);

#endif
