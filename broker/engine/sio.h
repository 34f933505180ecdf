/* sio.h - Engine.IO sessions and Socket.IO sockets: state, heartbeat, upgrade, namespaces. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_ENGINE_SIO_H
#define THINKWIRE_ENGINE_SIO_H

#include "base/counters.h"
#include "base/http.h"
#include "base/loop.h"
#include "codec/sio.h"
#include "engine/handshake.h"

/*
 * The engine knows protocol, not meaning. Below it stand pipes and HTTP exchanges; above it
 * an application (struct sio_app) that decides who may join a namespace, hears events and
 * *pulls* what it owes each socket when there is room:
 *
 *     application   on_connect  on_event  on_drain  on_disconnect
 *         |             ^          ^         ^            ^
 *   sio_accept/refuse   |          |         |            |
 *   sio_send_shared   struct sio_socket   one per namespace joined
 *   sio_emit, sio_ack   \          |
 *                       struct eio_session   one per Engine.IO sid
 *                              |
 *            pipe (WebSocket)  or  exchange (a held polling GET)
 *
 * There is no queue of events here. What is queued is control only (acknowledgements,
 * CONNECT answers, heartbeats, small private emits): bounded by `control_bytes`, past which
 * the session is closed and counted.
 */
struct sio_server;
struct sio_socket;

struct sio_options {
    uint64_t ping_interval_ms;
    uint64_t ping_timeout_ms;
    uint64_t upgrade_timeout_ms;
    uint64_t
        connect_timeout_ms;   /* a session without any namespace is closed after it */
    size_t max_payload_bytes; /* of a POST, a message, an event with its attachments */
    size_t control_bytes;
    size_t max_sessions;
    bool allow_eio3;
    bool missing_eio_is_3;
    unsigned max_namespaces;   /* per session */
    unsigned max_poll_packets; /* 16: python clients refuse more */
};

struct sio_event {
    struct slice name; /* decoded UTF-8 */
    struct slice args; /* the whole raw JSON array, name included */
    const struct slice *attachments;
    unsigned attachment_count;
    bool wants_ack;
    struct slice ack; /* valid during the call; copy it to answer later */
};

struct sio_app {
    /* A client asks for namespace sio_nsp(socket). Answer with sio_accept() or
     * sio_refuse(), now or later. `auth` is a raw JSON object or empty. */
    void (*on_connect)(void *ctx, struct sio_socket *socket, struct slice auth);
    /* Everything is valid during the call only. The socket may be closed inside. */
    void (*on_event)(void *ctx, struct sio_socket *socket,
                     const struct sio_event *event);
    /* There is room: pull (sio_window, sio_send_shared). Never called before accept. */
    void (*on_drain)(void *ctx, struct sio_socket *socket);
    /* The last call for a socket that on_connect was called for: `reason` as the reference
     * names it ("transport close", "ping timeout", "client namespace disconnect", ...). */
    void (*on_disconnect)(void *ctx, struct sio_socket *socket, const char *reason);
    /* The client's answer to sio_ask(), at most one for each; `name` is empty. May be NULL. */
    void (*on_ack)(void *ctx, struct sio_socket *socket, uint64_t id,
                   const struct sio_event *answer);
    /* Asked at the Engine.IO handshake; may be NULL. NULL lets it pass, else the message
     * (static text) of a refusal with code 4 ("Forbidden"). */
    const char *(*allow)(void *ctx, const struct http_request *request);
};

struct sio_server *sio_server_new(struct loop *loop, const struct sio_options *options,
                                  const struct sio_app *app, void *app_ctx,
                                  struct counters *counters);
/* Closes every session without goodbye; on_disconnect is called for each socket. */
void sio_server_free(struct sio_server *server);
/* Routes for the transport: register both under "/socket.io/" and "/socket.io" (or another
 * path). Filled in place; `path` is kept by the caller. */
void sio_server_routes(struct sio_server *server, const char *path,
                       struct http_route *http, struct ws_route *ws);
size_t sio_server_sessions(const struct sio_server *server);

/* ---- one socket (namespace membership) ---- */
void sio_accept(struct sio_socket *socket);
/* The same for connection state recovery: `id`, when it is 20 characters, becomes the
 * socket's public id (a session that goes on keeps it); `pid`, when not empty, is told to the
 * client as its secret. Engine.IO 3 clients know neither. */
void sio_accept_as(struct sio_socket *socket, struct slice id, struct slice pid);
/* CONNECT_ERROR {"message":message[,"data":data]}; `data_json` may be empty. The socket is
 * gone when this returns (on_disconnect is not called); the session goes on. */
void sio_refuse(struct sio_socket *socket, const char *message, struct slice data_json);
/* DISCONNECT: "io server disconnect" at the client. Gone when this returns; on_disconnect
 * was called with "server namespace disconnect". */
void sio_disconnect(struct sio_socket *socket);
/* Closes the whole session's transport: stock clients reconnect by themselves. on_disconnect
 * of its sockets follows with `reason` (copied) at the end of this turn or on the next. */
void sio_close_transport(struct sio_socket *socket, const char *reason);

struct slice sio_nsp(const struct sio_socket *socket);
/* The public 20-character socket id. */
struct slice sio_id(const struct sio_socket *socket);
const struct sio_handshake *sio_handshake(const struct sio_socket *socket);
/* 3 or 4. */
int sio_revision(const struct sio_socket *socket);
/* "polling" or "websocket". */
const char *sio_transport(const struct sio_socket *socket);
void sio_set_data(struct sio_socket *socket, void *data);
void *sio_data(const struct sio_socket *socket);

/* What may be sent right now. Answers false when nothing may (no GET held, socket full,
 * control still queued): on_drain follows when that changes. */
struct sio_window {
    enum framing framing; /* encode packets for this framing */
    int revision;
    unsigned packets; /* at most so many packets in one send; UINT_MAX on a WebSocket */
    size_t bytes;     /* about so many bytes in one send */
};
bool sio_window(struct sio_socket *socket, struct sio_window *window);
/* Sends `frames`: Engine.IO message packets ("42[...]"), `packets` of them, in the framing
 * the window told, in this same turn. Borrows the reference. True when there is still room:
 * ask sio_window() again. Ask again also after an emit or an acknowledgement in between: it
 * is sent first and takes its share of `packets`. */
bool sio_send_shared(struct sio_socket *socket, struct bytes *frames, unsigned packets);

/* Private control: an EVENT whose raw JSON array is `args`, or an acknowledgement. Queued
 * if need be, before any later sio_send_shared(). Nothing happens on a socket that is not
 * accepted yet, or gone. */
void sio_emit(struct sio_socket *socket, struct slice args);
/* As sio_emit(), and asks for an acknowledgement: on_ack gets the number answered here. The
 * last SIO_MAX_ASKED questions of a socket are remembered. */
#define SIO_MAX_ASKED 64
uint64_t sio_ask(struct sio_socket *socket, struct slice args);
void sio_emit_binary(struct sio_socket *socket, struct slice args,
                     const struct slice *attachments, unsigned count);
void sio_ack(struct sio_socket *socket, struct slice ack, struct slice args);
void sio_ack_binary(struct sio_socket *socket, struct slice ack, struct slice args,
                    const struct slice *attachments, unsigned count);

#endif
