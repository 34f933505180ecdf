/* eio_inside.h - the inside of Engine.IO sessions, shared by the eio_*.c files only. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_ENGINE_EIO_INSIDE_H
#define THINKWIRE_ENGINE_EIO_INSIDE_H

#include "base/diag.h"
#include "base/map.h"
#include "engine/eio.h"
#include "engine/eio_answer.h"
#include "engine/eio_queue.h"

/*
 *            +-- polling: `poll` is the held GET, or NULL between two GETs
 *  session --+
 *            +-- websocket: `pipe`
 *
 *  `probe` is the WebSocket of an upgrade in progress; `is_probed` once it got its 3probe.
 *
 * Work is put off to the end of the turn: a session that has something to send stands in
 * server->dirty, one that ended stands in server->ended until on_close was called. So no
 * session dies while a function of ours, or of the application, still holds it.
 */
struct eio_session {
    struct eio_server *server;
    struct list link;  /* in server->open, then in server->ended */
    struct list dirty; /* in server->dirty while a turn is owed */
    struct timer timer;
    uint64_t beat_at_ms;    /* a ping is due, or the peer is given up: see eio_beat.c */
    uint64_t alarm_at_ms;   /* 0: off */
    uint64_t upgrade_at_ms; /* 0: no upgrade in progress */
    struct http_exchange *poll;
    const struct http_request *posting; /* whose body is on its way; compared only */
    struct pipe *pipe;
    struct pipe *probe;
    struct eio_queue queue;
    struct eio_answer answer; /* of the held GET, while it is being put together */
    struct sio_handshake *handshake;
    void *data;
    char *reason; /* why it ended */
    char sid[EIO_ID_SIZE];
    unsigned char revision;
    bool is_b64; /* EIO3: the client takes no binary payloads */
    bool is_open;
    bool is_websocket; /* the transport, also after the end */
    bool is_probed;
    bool awaits_pong;
    bool is_extended; /* this ping's time-out was extended once already */
    bool wants_drain; /* the application has not been told yet of new room */
    bool is_starved;  /* the application was told that there is no room */
};

struct eio_farewell {
    struct list link;
    uint64_t until_ms;
    int revision;
    char sid[EIO_ID_SIZE];
};

struct eio_counters {
    struct counter *sessions;
    struct counter *opened_polling;
    struct counter *opened_websocket;
    struct counter *upgraded;
    struct counter *ping_timeouts;
    struct counter *upgrade_timeouts;
    struct counter *alarms;
    struct counter *overflows;
    struct counter *refused[6]; /* by error code */
};

struct eio_server {
    struct loop *loop;
    struct eio_options options;
    const struct eio_app *app;
    void *app_ctx;
    struct turn_task turn;
    struct map *sessions; /* sid -> open session */
    struct list open;
    struct list dirty;
    struct list ended;
    struct map *farewells; /* sid -> farewell */
    struct list farewell_order;
    struct buf scratch; /* decoded base64 of the packet at hand */
    uint32_t id_counter;
    struct eio_counters counters;
    struct diag_gate diag_gate;
};

/* Lines a second about what peers do wrong. */
#define EIO_DIAG_BURST 5

/* Why a session ends whose broker is about to end. */
#define EIO_RETIRED "server shutting down"

/* How the other side is told. */
enum eio_goodbye {
    EIO_GOODBYE_ORDERLY, /* what is queued, then a close packet, now or at the next GET */
    EIO_GOODBYE_CLOSE, /* a close packet to a held GET; the sid is unknown afterwards */
    EIO_GOODBYE_NOOP   /* the client closes: a held GET ends with a noop */
};

/* ---- eio_session.c ---- */
struct eio_session *eio_session_new(struct eio_server *server, const char *sid,
                                    int revision, struct sio_handshake *handshake);
void eio_session_free(struct eio_session *session);
void eio_session_end(struct eio_session *session, const char *reason,
                     enum eio_goodbye goodbye);
/* Something is to be sent, or the application to be told of room, at the end of the turn. */
void eio_session_mark(struct eio_session *session);
/* The end-of-turn visit. */
void eio_session_turn(struct eio_session *session);
/* One packet from the client over its current transport. */
void eio_session_packet(struct eio_session *session, const struct eio_packet *packet);
/* Queues a packet; closes the session when the queue is full. */
void eio_session_queue(struct eio_session *session, const struct eio_packet *packet);

/* ---- eio_beat.c: everything timed ---- */
void eio_beat_init(struct eio_session *session);
void eio_beat_arm(struct eio_session *session);
void eio_beat_ping(struct eio_session *session);
void eio_beat_pong(struct eio_session *session);
/* Any packet came in: a sign of life. */
void eio_beat_extend(struct eio_session *session);
bool eio_beat_is_overdue(const struct eio_session *session);

/* ---- eio_poll.c ---- */
void eio_poll_get(struct eio_session *session, struct http_exchange *x);
void eio_poll_post(struct eio_session *session, struct http_exchange *x);
/* The body of a POST has begun to come in, or will not come. A second one at the same time
 * ends the session. */
void eio_poll_body(struct eio_session *session, const struct http_request *request,
                   enum http_body_phase phase);
/* Moves queued packets into the answer, as far as it goes. */
void eio_poll_fill(struct eio_session *session);
/* Puts shared frames into the answer, behind all that is queued. */
void eio_poll_put_shared(struct eio_session *session, const struct bytes *frames,
                         unsigned packets);
/* Answers the held GET with what was put together, if anything. */
void eio_poll_finish(struct eio_session *session);
/* Answers the held GET with what is there and `last`. */
void eio_poll_end(struct eio_session *session, enum eio_type last);
/* A payload of its own: an open packet, or a farewell. */
void eio_poll_respond(struct http_exchange *x, bool is_octets, struct slice payload);

/* ---- eio_socket.c: WebSockets ---- */
void eio_socket_attach(struct eio_session *session, struct pipe *pipe);
/* Sends queued packets as long as the pipe takes them. */
void eio_socket_flush(struct eio_session *session);
/* Sends shared frames, behind all that is queued; as pipe_send(). */
bool eio_socket_send(struct eio_session *session, struct bytes *frames);
/* Closes the pipe without a status and forgets it. */
void eio_socket_drop(struct pipe *pipe);
void eio_probe_attach(struct eio_session *session, struct pipe *pipe);
void eio_probe_drop(struct eio_session *session);

/* ---- eio_request.c ---- */
void eio_request_body(void *ctx, const struct http_request *request,
                      enum http_body_phase phase);
void eio_request_http(void *ctx, struct http_exchange *x);
unsigned eio_request_accept(void *ctx, const struct http_request *request, void **token,
                            const char **body, const char **content_type);
void eio_request_open(void *ctx, struct pipe *pipe, void *token);

/* ---- eio_farewell.c ---- */
void eio_farewell_add(struct eio_server *server, const struct eio_session *session);
/* The farewell kept for `sid`, or NULL. */
struct eio_farewell *eio_farewell_find(struct eio_server *server, const char *sid);
void eio_farewell_forget(struct eio_server *server, struct eio_farewell *farewell);
void eio_farewell_forget_all(struct eio_server *server);

#endif
