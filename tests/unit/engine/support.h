/* support.h - fake pipes and exchanges, and two applications that note what they hear. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_ENGINE_SUPPORT_H
#define THINKWIRE_TESTS_ENGINE_SUPPORT_H

#include "engine/eio.h"
#include "engine/sio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEXT_SIZE 512

/* One request and what it was answered. */
struct fake_exchange {
    struct http_exchange base;
    struct http_request request;
    struct http_header headers[4];
    bool is_answered;
    unsigned status;
    char extra[256];
    struct buf body;
    struct fake_exchange *next;
};

/* One WebSocket, seen from the client. */
struct fake_pipe {
    struct pipe base;
    struct buf wire; /* frames not read yet */
    struct buf said; /* the message read last */
    bool is_stalled; /* the next send fills it */
    bool was_closed; /* by the engine */
    unsigned code;
    unsigned sends;
    bool is_gone; /* on_closed was called */
    struct fake_pipe *next;
};

struct bench {
    struct loop *loop;
    struct counters *counters;
    struct eio_server *eio; /* one of the two */
    struct sio_server *sio;
    struct http_route http;
    struct ws_route ws;
    struct fake_exchange *exchanges;
    struct fake_pipe *pipes;
    struct buf seen; /* what the application heard, a line each */
    char sid[EIO_ID_SIZE];
    char query[TEXT_SIZE];
    /* Headers of the next requests; NULL: absent. */
    const char *origin;
    const char *content_type;
    const char *user_agent;
    /* Why an upgrade was refused. */
    unsigned ws_status;
    const char *ws_body;
    /* ---- the applications' behaviour ---- */
    struct eio_session *session; /* opened last */
    struct sio_socket *socket;   /* asked for last */
    bool keeps_quiet;            /* eio: no echo */
    bool answers_later;          /* sio: neither accepts nor refuses */
    const char *forbids;         /* answer of allow */
    void (*on_event)(struct bench *b, struct sio_socket *socket,
                     const struct sio_event *event);
    void (*on_drain)(struct bench *b, struct sio_socket *socket);
    void (*on_session_drain)(struct bench *b, struct eio_session *session);
    void (*on_disconnect)(struct bench *b, struct sio_socket *socket);
    unsigned owed; /* for pulling tests: events not sent yet */
    unsigned sent;
};

/* Options with short times that no test waits for unless it changes them. */
struct eio_options eio_defaults(void);
struct sio_options sio_defaults(void);
struct bench *bench_eio(const struct eio_options *options);
struct bench *bench_sio(const struct sio_options *options);
/* Checks that the server forgot everything, and that every exchange was answered. */
void bench_free(struct bench *b);

/* Runs the loop until what was put off is done. */
void settle(struct bench *b);
/* Runs the loop for a while. */
void pass_ms(struct bench *b, uint64_t ms);
/* Runs the loop until the exchange is answered or the pipe closed; fails after 5 s. */
void await_answer(struct bench *b, const struct fake_exchange *x);
void await_close(struct bench *b, const struct fake_pipe *pipe);

/* The application heard exactly these lines; they are forgotten. */
void heard(struct bench *b, const char *lines);
uint64_t counted(struct bench *b, const char *line_start);

/* ---- HTTP ---- */
struct fake_exchange *ask(struct bench *b, enum http_method method, const char *query,
                          struct slice body);
struct fake_exchange *get(struct bench *b, const char *query);
/* To the session b->sid. `post` settles. */
struct fake_exchange *fetch(struct bench *b);
struct fake_exchange *post(struct bench *b, const char *body);
/* Settles, then: the answer is this. */
void answered(struct bench *b, struct fake_exchange *x, unsigned status,
              const char *body);
void answered_bytes(struct bench *b, struct fake_exchange *x, const char *body,
                    size_t len);
void not_answered(struct bench *b, const struct fake_exchange *x);
/* The client goes away. */
void abort_exchange(struct bench *b, struct fake_exchange *x);

/* ---- WebSocket ---- */
/* NULL when refused. */
struct fake_pipe *dial(struct bench *b, const char *query);
/* A WebSocket for the polling session b->sid. */
struct fake_pipe *dial_upgrade(struct bench *b);
/* The client sends. */
void say(struct bench *b, struct fake_pipe *pipe, const char *text);
void say_bytes(struct bench *b, struct fake_pipe *pipe, const char *data, size_t len);
/* Settles, then: the next message to the client is this. */
void said(struct bench *b, struct fake_pipe *pipe, const char *text);
void said_bytes(struct bench *b, struct fake_pipe *pipe, const char *data, size_t len);
/* Reads the next message and answers it, or NULL. */
const char *next_message(struct bench *b, struct fake_pipe *pipe);
void silent(struct bench *b, struct fake_pipe *pipe);
/* The pipe takes bytes again. */
void unstall(struct bench *b, struct fake_pipe *pipe);
/* The engine closed it without a status. */
void closed(struct bench *b, const struct fake_pipe *pipe);
void still_open(struct bench *b, const struct fake_pipe *pipe);
/* The client, or the network, ends it. */
void hang_up(struct bench *b, struct fake_pipe *pipe, const char *reason);

/* ---- sessions ---- */
/* Opens a polling session: b->sid, b->query for it. */
void open_polling(struct bench *b, int revision, const char *more_query);
/* Opens a WebSocket session and reads the open packet. */
struct fake_pipe *open_websocket(struct bench *b, int revision);
/* The same and joins "/" (Engine.IO 4). */
struct fake_pipe *join_websocket(struct bench *b);
/* Polling, joined to "/", the CONNECT answer already fetched. */
void join_polling(struct bench *b);

/* A frame of `count` events "42["n",<from>]" and up in the framing of the window. */
struct bytes *events(enum framing framing, int revision, unsigned from, unsigned count);

/* ---- groups ---- */
int test_handshake(void);
int test_polling(void);
int test_websocket(void);
int test_heartbeat(void);
int test_upgrade(void);
int test_eio3(void);
int test_namespaces(void);
int test_events(void);
int test_pull(void);
int test_lifetime(void);

#endif
