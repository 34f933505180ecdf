/* eio.h - Engine.IO sessions: handshake, polling, WebSocket, upgrade, heartbeat. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_ENGINE_EIO_H
#define THINKWIRE_ENGINE_EIO_H

#include "base/counters.h"
#include "base/http.h"
#include "base/loop.h"
#include "engine/handshake.h"

/*
 * The lower seam of the engine: a session carries messages, text or binary, whatever its
 * transport is at the moment. Socket.IO (sio.h) is one application of it, the raw echo
 * server of tests/conformance another.
 *
 * Two ways out, both in order:
 *   - eio_session_send() queues a private message (bounded by `control_bytes`). The queue
 *     holds packets, not frames, so an upgrade loses nothing.
 *   - eio_session_window() / eio_session_send_shared(): the application pulls from its own
 *     cursors and hands over frames that are ready for the wire.
 * A held GET is answered at the end of the turn, so everything sent in one turn shares one
 * answer, up to `max_poll_packets`.
 *
 * Lifetime: a session lives until on_close returns; on_close is never called from inside
 * one of the functions below, and comes once for each on_open.
 */
struct eio_server;
struct eio_session;

/* What may be sent at once; larger answers are left to the next one. One single packet may
 * be larger. */
#define EIO_WINDOW_BYTES 65536
/* Without a held GET an orderly close is told to the next GET that comes within this. */
#define EIO_FAREWELL_MS 30000
/* So many of these farewells are remembered; the oldest is forgotten first. */
#define EIO_MAX_FAREWELLS 1024

struct eio_options {
    uint64_t ping_interval_ms;
    uint64_t ping_timeout_ms;
    uint64_t upgrade_timeout_ms;
    size_t max_payload_bytes;
    size_t control_bytes; /* private packets waiting, per session */
    size_t max_sessions;  /* more are refused with 503 */
    bool allow_eio3;
    bool missing_eio_is_3;
    unsigned max_poll_packets;
};

struct eio_app {
    /* May be NULL. NULL lets the handshake pass; else the message (static text) of the
     * refusal, error code 4. */
    const char *(*allow)(void *ctx, const struct http_request *request);
    void (*on_open)(void *ctx, struct eio_session *session);
    /* `data` is valid during the call. The session may be closed inside. */
    void (*on_message)(void *ctx, struct eio_session *session, struct slice data,
                       bool is_binary);
    /* There is room: after a GET came, the pipe drained, the upgrade completed, or what
     * was queued has left. */
    void (*on_drain)(void *ctx, struct eio_session *session);
    /* The time set with eio_session_alarm() is over. May be NULL. */
    void (*on_alarm)(void *ctx, struct eio_session *session);
    /* The last call. */
    void (*on_close)(void *ctx, struct eio_session *session, const char *reason);
};

struct eio_server *eio_server_new(struct loop *loop, const struct eio_options *options,
                                  const struct eio_app *app, void *app_ctx,
                                  struct counters *counters);
/* Closes every session ("server shutting down"), calls on_close for each, frees. */
void eio_server_free(struct eio_server *server);
/* Routes of the transport for `path` (kept by the caller; a prefix when it ends in '/'). */
void eio_server_routes(struct eio_server *server, const char *path,
                       struct http_route *http, struct ws_route *ws);
size_t eio_server_sessions(const struct eio_server *server);

/* Queues one message. When that passes `control_bytes` the session is closed ("transport
 * error") and counted. Nothing happens on a closed session. */
void eio_session_send(struct eio_session *session, struct slice data, bool is_binary);

/* Closes as a full queue does: for a message that could not even be built in bounds. */
void eio_session_overflow(struct eio_session *session);

struct eio_window {
    enum framing framing;
    int revision;
    unsigned packets; /* at most so many in one send; UINT_MAX on a WebSocket */
    size_t bytes;     /* about so many bytes in one send */
};
/* False: nothing may be sent now, on_drain follows when that changes. */
bool eio_session_window(struct eio_session *session, struct eio_window *window);
/* Sends `packets` packets framed as the window told in this same turn. Borrows the
 * reference. True while there is still room: ask for the window again; also after a message
 * was queued in between, which takes its share of the packets. */
bool eio_session_send_shared(struct eio_session *session, struct bytes *frames,
                             unsigned packets);

/* Orderly: what is queued leaves if it can, then the close packet or frame. */
void eio_session_close(struct eio_session *session, const char *reason);
/* False from the moment it is being closed. */
bool eio_session_is_open(const struct eio_session *session);
/* Calls on_alarm once after `delay_ms`; 0 takes it back. */
void eio_session_alarm(struct eio_session *session, uint64_t delay_ms);

/* The secret id of the session, 20 characters. Not for logs, nor for other clients. */
struct slice eio_session_id(const struct eio_session *session);
const struct sio_handshake *eio_session_handshake(const struct eio_session *session);
/* 3 or 4. */
int eio_session_revision(const struct eio_session *session);
/* "polling" or "websocket". */
const char *eio_session_transport(const struct eio_session *session);
void eio_session_set_data(struct eio_session *session, void *data);
void *eio_session_data(const struct eio_session *session);

/* 20 characters of base64url from 12 random bytes and a counter, and a NUL. */
#define EIO_ID_SIZE 21
void eio_make_id(struct eio_server *server, char out[EIO_ID_SIZE]);

#endif
