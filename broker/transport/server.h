/* server.h - listeners, routes, HTTP exchanges and WebSocket pipes on libwebsockets. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TRANSPORT_SERVER_H
#define THINKWIRE_TRANSPORT_SERVER_H

#include "base/config.h"
#include "base/counters.h"
#include "base/http.h"
#include "base/loop.h"

/*
 * Pipes, no meaning: the only room that sees <libwebsockets.h>. It bounds every wait
 * and size and hands whole requests and messages up through the routes.
 *
 * libwebsockets carries every client socket in its raw-socket role; the HTTP/1 parser
 * (h1.h) and the reader of frames (codec/ws.h) are ours. Those of libwebsockets 4.1.6 were
 * examined first: a GET held for an answer makes it spin on one processor as soon as its client
 * closes or pipelines, and never tells (its state DOING_TRANSACTION does not read); it
 * hands chunked bodies up undecoded and believes Content-Length beside
 * Transfer-Encoding; it closes on long heads, odd methods and unknown subprotocols
 * without a word; it decodes %2F before anyone can look; it logs the headers, cookies
 * too, of connections it drops for holding them long; CVE-2025-11677 is in it; on a
 * WebSocket it takes frames without a mask, which RFC 6455 section 5.1 forbids, and does
 * not tell.
 *
 *   asked                                         answered
 *   Transfer-Encoding; no length where a body     411, closed
 *   is due
 *   body above its route's limit                  413; a short one is skipped,
 *                                                 else closed
 *   head above 16 KB                              431, closed
 *   malformed head; %2F, dot segments, control    400, closed
 *   characters or bad UTF-8 in the path
 *   HTTP/2 preface                                505, closed
 *   Upgrade other than websocket (h2c)            ignored (RFC 9110 section 7.8)
 *   upgrade where no WebSocket is                 404, closed
 *   upgrade by a foreign origin                   403, closed (origin.h)
 *   subprotocols, extensions                      101 without them
 *   frame without a mask or otherwise malformed   close 1002
 *   half-closed by the client                     counts as closed
 */
struct server;

struct server_options {
    const struct config_list *listen;  /* "127.0.0.1:9000", "[::1]:0", "unix:/path" */
    const struct config_list *origins; /* allowed browser origins; "*" = any; may be
                                        * empty: same origin only */
    bool reflect_credentials; /* with "*": origins are echoed with Allow-Credentials, as
                               * listed ones always are */
    size_t max_connections;
    size_t max_connections_per_ip; /* 0 = no bound */
    size_t socket_unsent_bytes;    /* TCP_NOTSENT_LOWAT */
    uint64_t header_timeout_ms;
    uint64_t body_timeout_ms;
    uint64_t keepalive_timeout_ms;
    uint64_t close_timeout_ms; /* a closing peer that does not take its bytes is cut */
    unsigned keepalive_requests;
};

/* Copies `options`, except the lists: they must outlive the server. NULL with a message
 * in `error` that names the trouble and the remedy. */
struct server *server_new(struct loop *loop, const struct server_options *options,
                          struct counters *counters, struct buf *error);
/* Before server_listen(). Routes are copied; their `path` is kept. */
void server_route(struct server *server, const struct http_route *route);
void server_ws_route(struct server *server, const struct ws_route *route);
/* Binds and listens on all addresses. False with a message in `error` that names the
 * address and the remedy. */
bool server_listen(struct server *server, struct buf *error);
/* "127.0.0.1:43567" of the n-th listener, port resolved; NULL past the last. */
const char *server_address(const struct server *server, size_t n);
/* No new connections from here on; the open ones live. */
void server_stop_listening(struct server *server);
/* Stops listening, then lets go of each open connection at a moment of its own within
 * `spread_ms` (0: all at once): owners are asked (on_retire) or the connection is closed;
 * requests being handled are answered first. `on_drained` is called on the loop when none is
 * left, which a peer or a handler may delay without bound: the caller keeps one. Once only. */
void server_drain(struct server *server, uint64_t spread_ms,
                  void (*on_drained)(void *ctx), void *ctx);
size_t server_connections(const struct server *server);
/* Stops listening and closes what is open: every on_closed is called before it returns. */
void server_close(struct server *server);
/* Closes what is open, frees. Not from inside the loop: it turns the loop until libwebsockets
 * has let go, and that closes a descriptor of its own twice. Nobody on the loop may open one
 * meanwhile, who would get that number and lose it: what dials out goes before. */
void server_free(struct server *server);

#endif
