/* support.h - a hub and its sessions on fake pipes and exchanges, and clients of each kind. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_SESSION_SUPPORT_H
#define THINKWIRE_TESTS_SESSION_SUPPORT_H

#include "codec/sse.h"
#include "session/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEXT_SIZE 512
#define MAX_TASKS 4
/* The epoch of the first run: ids are short to read. */
#define E1 UINT64_C(11)
#define E2 UINT64_C(22)
#define E3 UINT64_C(33)

/* ---- wires (wire.c) ---- */

/* What the broker wrote, and how much of it the network has carried. */
struct fake_pipe {
    struct pipe base;
    struct buf wire;
    uint64_t accepted; /* bytes sent by the broker */
    uint64_t granted;  /* bytes the network takes; UINT64_MAX = all */
    uint64_t consumed; /* bytes the client has read */
    uint32_t heard;    /* messages and pongs of the client */
    unsigned sends;
    const void *last_bytes; /* of the last send: shared or not */
    bool was_closed;        /* by the broker */
    unsigned code;
    bool is_gone; /* on_closed was called */
    struct fake_pipe *next;
};

struct fake_exchange {
    struct http_exchange base;
    struct http_request request;
    struct http_header headers[4];
    char query[TEXT_SIZE];
    bool is_answered;
    bool is_gone; /* the client went away first */
    unsigned status;
    char extra[TEXT_SIZE];
    struct buf body;
    struct fake_pipe *pipe; /* once it became a stream */
    struct bench *bench;
    struct fake_exchange *next;
};

struct bench {
    struct auth *auth;
    struct loop *loop;
    struct counters *counters;
    struct hub *hub;
    struct session_set *set;
    struct sio_server *sio;
    struct http_route http;
    struct ws_route sio_ws;
    struct ws_route ws;
    struct fake_pipe *pipes;
    struct fake_exchange *exchanges;
    struct client *clients;
    uint64_t grant; /* what the network takes of new pipes at first; 0 = all */
    /* Stops that were asked for; `stop_is_held` leaves them unanswered. */
    bool stop_is_held;
    enum stop_status stop_status;
    unsigned stops;
    uint64_t stop_epoch;
    void (*stop_done)(void *done_ctx, enum stop_status status);
    void *stop_ctx;
    /* Set before a request to add these headers. */
    const char *accept;
    const char *last_event_id;
};

struct fake_exchange *exchange_new(struct bench *b, enum http_method method,
                                   const char *query, struct slice body);
/* NULL when refused; the status is in *status then. */
struct fake_pipe *pipe_dial(struct bench *b, struct ws_route *route, const char *query,
                            unsigned *status);
/* The network carries so many bytes more. */
void pipe_grant(struct fake_pipe *pipe, uint64_t bytes);
void pipe_stall(struct fake_pipe *pipe);
void pipe_flow(struct fake_pipe *pipe);
/* Moves what arrived and was not read yet to `out`. */
void pipe_read(struct fake_pipe *pipe, struct buf *out);
/* The connection is gone. */
void pipe_hang_up(struct fake_pipe *pipe, const char *reason);
/* A held request is given up by the client. */
void exchange_abort(struct fake_exchange *x);
void wires_free(struct bench *b);

/* ---- the bench (support.c) ---- */

struct hub_limits roomy(void);
struct session_options patient(void);
struct bench *bench_new(const struct hub_limits *limits,
                        const struct session_options *options);
void bench_free(struct bench *b);
int with_bench(void **state);
int without(void **state);
void settle(struct bench *b);
void pass_ms(struct bench *b, uint64_t ms);
uint64_t counted(struct bench *b, const char *line_start);

struct topic *task(struct bench *b, const char *name);
/* Each appends the next event of run `epoch`. */
void say(struct bench *b, const char *name, uint64_t epoch, enum event_type type,
         const char *text);
void say_text(struct bench *b, const char *name, uint64_t epoch, const char *text);
void say_reasoning(struct bench *b, const char *name, uint64_t epoch, const char *text);
void say_end(struct bench *b, const char *name, uint64_t epoch);
void say_opaque(struct bench *b, const char *name, const char *body);

/* ---- clients (client.c) ---- */

enum kind { KIND_WS, KIND_SSE, KIND_SIO, KIND_POLLING, KIND_COUNT };

/* What a client has of a task. */
struct tale {
    char task[64];
    struct buf reasoning;
    struct buf text;
    char last_id[EVENT_ID_SIZE]; /* where it would resume; "" = anew */
    unsigned endings;            /* terminal events of this text */
};

struct client {
    struct bench *bench;
    enum kind kind;
    struct fake_pipe *pipe;
    struct fake_exchange *x; /* SSE until it is a stream; a held polling GET */
    struct buf in;           /* bytes not parsed yet */
    struct buf message;      /* fragments of one WebSocket message */
    size_t chunk_left;       /* of an HTTP chunk */
    struct sse_parser *sse;
    char sid[64];
    char sse_id[TEXT_SIZE]; /* the last id line */
    unsigned acks;
    unsigned max_packets; /* in one polling answer */
    struct buf told;      /* a line for each thing that was told */
    struct tale tales[MAX_TASKS];
    unsigned tale_count;
    struct client *next;
};

struct client *client_new(struct bench *b, enum kind kind);
/* Connects; SSE does so when it joins. */
void client_connect(struct client *c);
/* Joins from `since` or `from` (either may be NULL). For SSE: a new stream of this task, or
 * of several with commas between; since is sent as Last-Event-ID. */
void client_join(struct client *c, const char *tasks, const char *since,
                 const char *from);
/* Socket.IO: the string form, with acknowledgement. */
void client_join_string(struct client *c, const char *task);
/* A raw message on /ws, or a raw Socket.IO packet ("42[...]"). */
void client_say(struct client *c, const char *text);
/* Takes in all that has arrived; a polling client asks until nothing comes. */
void client_read(struct client *c);
/* Polling: the held GET, if none. */
void client_poll(struct client *c);
/* The connection breaks; what was told stays. */
void client_cut(struct client *c);
bool client_is_closed(const struct client *c);
/* Reads; then what was told since the last time is exactly this. */
void told(struct client *c, const char *lines);
struct tale *client_tale(struct client *c, const char *task);
/* Reads; then the client's text and reasoning are what the topic has accumulated. */
void has_all(struct client *c, const char *name);

/* A connected client. */
struct client *reader(struct bench *b, enum kind kind);
/* Runs a test for each kind of native client, on a bench of its own. */
void for_all(void **state, void (*test)(struct bench *b, enum kind kind));
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, with_bench, without)

/* ---- groups ---- */
int test_join(void);
int test_resume(void);
int test_history(void);
int test_history_gone(void);
int test_slow(void);
int test_runs(void);
int test_ws(void);
int test_sse(void);
int test_format(void);
int test_sio(void);
int test_snapshot(void);
int test_life(void);
int test_faults(void);
int test_return(void);
int test_property(void);

#endif
