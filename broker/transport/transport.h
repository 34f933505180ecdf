/* transport.h - the server and its connections, as the files of this room see them. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TRANSPORT_TRANSPORT_H
#define THINKWIRE_TRANSPORT_TRANSPORT_H

#include "base/diag.h"
#include "base/list.h"
#include "base/map.h"
#include "codec/ws.h"
#include "transport/h1.h"
#include "transport/origin.h"
#include "transport/server.h"

/*
 * The life of a connection (struct conn, conn.c):
 *
 *   accept -> HEAD -> BODY -> BUSY --respond--> ANSWER --+-> HEAD (keep-alive)
 *              |                \                        +-> LINGER -> gone
 *              |                 \--stream--> STREAM ----/
 *              +--upgrade--> WEBSOCKET -> gone
 *
 * The libwebsockets handle (wsi) has its raw-socket role all the time: HTTP is read by
 * h1.c, frames by codec/ws_reader.c, so nothing but these two ever parses a byte from
 * outside.
 *
 * Nothing is freed under a caller's feet: whatever ends a connection outside of a
 * libwebsockets callback is put off to the end of the turn (conn_later).
 */
struct lws;
struct lws_context;
struct lws_vhost;
struct listener;
struct exchange;
struct websocket;

enum conn_state {
    CONN_HEAD,   /* waits for a request head, or holds a part of one */
    CONN_BODY,   /* the body of conn->exchange comes in */
    CONN_BUSY,   /* a handler has conn->exchange */
    CONN_ANSWER, /* a whole answer leaves */
    CONN_STREAM, /* an open HTTP stream: conn->pipe */
    CONN_WEBSOCKET,
    CONN_LINGER, /* we have shut down our side and wait for theirs */
    CONN_GONE
};

/* What a connection waits for; one bound in time each (deadline.c). */
enum wait_kind { WAIT_HEAD, WAIT_BODY, WAIT_KEEPALIVE, WAIT_CLOSE, WAIT_KINDS };

/* Put-off work of a connection, as bits. */
#define LATER_KILL    1u /* cut it, then tell its owner */
#define LATER_ADVANCE 2u /* look at the next pipelined request */
#define LATER_RETIRE  4u /* its turn to go came before it was what it is now */

/* One per address that has connections. */
struct peer {
    size_t connections;
    char text[48];
};

struct conn {
    struct pipe pipe; /* first: a pipe is its connection */
    struct server *server;
    struct lws *wsi; /* NULL when libwebsockets is done with it */
    struct peer *peer;
    struct list node;    /* server->conns */
    struct list wait;    /* server->waits[] */
    struct list leaving; /* server->leaving */
    uint64_t deadline_ms;
    struct turn_task task;
    /* What the socket did not take: the rest of one send, then what ends the stream. */
    struct bytes *rest;
    size_t rest_at;
    struct bytes *farewell;
    struct buf
        in; /* a part of a head or pipelined requests; of a message on a WebSocket */
    size_t scanned;
    uint64_t discard; /* bytes of a refused body still to come */
    struct exchange *exchange;
    struct websocket *websocket;
    const struct ws_route *route; /* of a WebSocket */
    const char *reason;           /* why it was cut, or NULL */
    uint64_t sent_bytes;          /* taken by the kernel */
    uint32_t heard;               /* pipe_progress.heard */
    unsigned requests;
    unsigned later;
    uint8_t state;
    uint8_t wait_kind;
    bool closes;       /* after this answer */
    bool is_advancing; /* conn_advance() is below us on the stack */
    bool is_paused;    /* we do not read */
    bool is_ending;    /* pipe_close() was called */
    bool has_said_bye; /* and all that was to be sent has left */
    bool is_retired;   /* conn_retire() was called */
};

#define REQUEST_ID_SIZE 20 /* "req_" and 16 characters; no NUL */

/* What a connection has more since it is a WebSocket. */
struct websocket {
    struct ws_reader reader;
    struct bytes *pong; /* owed, waits behind conn->rest; only the newest counts */
    bool has_heard_bye; /* the peer's close frame came */
};

struct exchange {
    struct http_exchange pub; /* first */
    struct http_request request;
    struct conn *conn;
    const struct http_route *route;
    size_t body_got;
    char *body;
    char made_id[REQUEST_ID_SIZE];
    bool is_kept;    /* the handler returned without an answer */
    bool is_awaited; /* its body has begun, and its route was told so */
    struct http_header headers[];
};

struct transport_counters {
    struct counter *connections;
    struct counter *accepted;
    struct counter *refused_total;
    struct counter *refused_ip;
    struct counter *refused_files;
    struct counter *answers[6]; /* by status / 100 */
    struct counter *sent_bytes;
    struct counter *messages;
    struct counter *streams;
    struct counter *websockets;
    struct counter *oversize_head;
    struct counter *oversize_body;
    struct counter *oversize_message;
    struct counter *bad_requests;
    struct counter *bad_messages;
    struct counter *bad_frames;
    struct counter *foreign_origins;
    struct counter *retired;
    struct counter *timeouts[WAIT_KINDS];
};

struct server {
    struct loop *loop;
    struct server_options options;
    struct origin_rules origins;
    struct transport_counters count;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct http_route *routes;
    size_t route_count;
    struct ws_route *ws_routes;
    size_t ws_route_count;
    struct listener **listeners;
    size_t listener_count;
    int spare_fd; /* given up for a moment to refuse a connection when files run out */
    struct list conns;
    size_t conn_count;
    struct map *peers;
    struct list waits[WAIT_KINDS];
    uint64_t wait_ms[WAIT_KINDS];
    struct timer wait_timer;
    uint64_t wait_timer_ms; /* when it fires */
    struct diag_gate gate;  /* for lines a peer can cause */
    struct conn *adopting;  /* whose wsi is being made, during that call only */
    uint64_t date_second;
    char date[32];
    bool is_draining;    /* server_stop_listening() was called */
    struct list leaving; /* drain.c: those whose turn has not come, in random order */
    size_t leaving_count;
    uint64_t drain_spread_ms;
    uint64_t drain_until_ms;
    uint64_t drain_fraction; /* of a connection, in 65536ths */
    size_t drain_count;      /* connections when it began */
    struct timer drain_timer;
    void (*on_drained)(void *ctx);
    void *drained_ctx;
};

/* ---- listener.c ---- */
bool listener_open(struct server *server, const char *address, struct buf *error);
/* Stops accepting; the addresses stay known. */
void listeners_stop(struct server *server);
void listeners_free(struct server *server);

/* ---- conn.c ---- */
/* Takes `fd`. `peer_text` names the address. */
void conn_accept(struct server *server, int fd, const char *peer_text);
/* Whether one more is within the bounds; counts the refusal. */
bool conn_is_welcome(struct server *server, const char *peer_text);
/* libwebsockets told us that the socket is gone. */
void conn_lost(struct conn *conn);
void conn_later(struct conn *conn, unsigned what);
/* Cuts it at the end of the turn, for `reason` (fixed text told to the owner). */
void conn_doom(struct conn *conn, const char *reason);
/* Ends everything: tells the owner, frees. */
void conn_finish(struct conn *conn, const char *reason);
/* A rate-limited line about what a peer did; `limit` is the bound it met. */
void conn_report(struct conn *conn, const char *phrase, uint64_t limit);
void conn_set_paused(struct conn *conn, bool is_paused);

/* ---- deadline.c ---- */
void deadline_init(struct server *server);
void deadline_release(struct server *server);
/* (Re)starts the one wait of a connection. */
void deadline_set(struct conn *conn, enum wait_kind kind);
void deadline_clear(struct conn *conn);

/* ---- drain.c ---- */
void drain_init(struct server *server);
void drain_release(struct server *server);
/* It is gone: its turn does not come. */
void drain_forget(struct conn *conn);
/* Closes it once what it is busy with is answered; may be called again. */
void conn_retire(struct conn *conn);

/* ---- request.c: bytes in, requests out ---- */
/* False when the connection must be closed by the caller. */
bool request_input(struct conn *conn, const char *data, size_t len);
/* Handles what is buffered, as long as there is a whole request and nobody is busy. */
void request_advance(struct conn *conn);
void exchange_free(struct exchange *x);
/* An id for a request that brought none; answers a view of `out`. */
struct slice request_make_id(char out[REQUEST_ID_SIZE]);

/* ---- respond.c: answers out ---- */
extern const struct http_exchange_ops exchange_ops;
/* An error answer of the transport's own to something that never became an exchange;
 * the connection closes after it. */
void respond_refusal(struct conn *conn, unsigned status, const char *code,
                     const char *message);
/* The answer to `x` left; goes on with the next request or ends. */
void respond_done(struct conn *conn);
/* Sends 100 Continue. */
void respond_continue(struct conn *conn);
/* The 101 to `x` (freed here); `accept` is the value of Sec-WebSocket-Accept. */
void respond_switch(struct conn *conn, struct exchange *x, struct slice accept);
/* A refused WebSocket: `body` as `content_type`, then the connection closes. */
void respond_ws_refusal(struct conn *conn, struct exchange *x, unsigned status,
                        const char *body, const char *content_type);

/* ---- pipe.c: bytes out ---- */
extern const struct pipe_ops conn_pipe_ops;
/* Sends `bytes` (borrowed) now and keeps what does not fit; false when something is
 * kept or the connection is doomed. */
bool pipe_put(struct conn *conn, struct bytes *bytes);
/* The socket takes bytes again. */
void pipe_writable(struct conn *conn);
void pipe_release(struct conn *conn);

/* ---- ws.c ---- */
/* A WebSocket upgrade was asked for by `x` (freed here). */
void ws_upgrade(struct conn *conn, struct exchange *x);
/* Bytes of a connection that is a WebSocket; changed in place. */
void ws_input(struct conn *conn, struct ws_bytes input);
/* What was owed while the socket was full is sent; false when something is kept again. */
bool ws_flush(struct conn *conn);
void ws_release(struct conn *conn);

/* ---- wire.c: the one file that calls libwebsockets ---- */
bool wire_open(struct server *server, struct buf *error);
void wire_close(struct server *server);
#define SHA1_BYTES 20
void wire_sha1(struct slice data, unsigned char out[SHA1_BYTES]);
/* Makes a raw wsi of `fd` for conn; takes `fd` also on failure. */
bool wire_adopt_raw(struct conn *conn, int fd);
int wire_fd(const struct conn *conn);
void wire_want_writable(struct conn *conn);
void wire_set_reading(struct conn *conn, bool is_reading);
/* Closes the wsi at once; no callback names conn afterwards. */
void wire_kill(struct conn *conn);

/* ---- server.c ---- */
/* The rules of an address whose owner judges origins itself, or those of all others. */
const struct origin_rules *server_origins(const struct server *server,
                                          bool judges_itself);
const struct http_route *server_find_route(const struct server *server,
                                           struct slice path);
const struct ws_route *server_find_ws_route(const struct server *server,
                                            struct slice path);
/* "Sun, 06 Nov 1994 08:49:37 GMT" of now. */
const char *server_date(struct server *server);

#endif
