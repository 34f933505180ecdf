/* support.h - a real server on loopback and blocking-style clients in one loop. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_TRANSPORT_SUPPORT_H
#define THINKWIRE_TESTS_TRANSPORT_SUPPORT_H

#include "transport/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * The test is the client: it writes to plain sockets and turns the server's loop while
 * it waits for an answer, so that every conversation is exact and single-threaded.
 *
 * Routes: /echo (body up to 1000) answers what it was asked; /hold keeps its exchange
 * in `held`; /stream opens a pipe in `pipe`; /under/ is a prefix; /ws (messages up to
 * 1000) and /ws/refuse (refused with 400 and a JSON body).
 */
struct world {
    struct loop *loop;
    struct counters *counters;
    struct server *server;
    struct config_list listen;
    struct config_list origins;
    struct server_options options;
    /* what the handlers saw */
    struct http_exchange *held;
    struct pipe *pipe; /* the last one opened: stream or WebSocket */
    unsigned held_closed;
    unsigned pipes_closed;
    unsigned drains;
    unsigned messages;
    unsigned tokens; /* out at the moment */
    const char *closed_reason;
    bool echoes;
    bool sends_at_open;
    struct bytes *feed; /* sent again at each on_drain, `feed_left` times */
    unsigned feed_left;
    char *listen_item;
};

/* A world with defaults; change `options`, then world_start(). */
void world_init(struct world *world);
void world_start(struct world *world);
void world_end(struct world *world);
/* The value of a counter as text in the exposition: `name{label}` or `name`. */
uint64_t world_counter(struct world *world, const char *name);
/* Turns the loop once without waiting. */
void world_turn(struct world *world);
/* Turns until *value == wanted; fails the test after 5 s. */
void world_until(struct world *world, const unsigned *value, unsigned wanted);
void world_until_connections(struct world *world, size_t wanted);
void world_until_held(struct world *world);
void world_until_pipe(struct world *world);
/* Turns for a while; for "nothing happens" only. */
void world_idle(struct world *world, unsigned ms);

/* ---- a client ---- */
struct client {
    struct world *world;
    int fd;
    struct buf in;
    bool is_ended;
};

void client_open(struct client *client, struct world *world);
void client_open_small(struct client *client, struct world *world, int receive_bytes);
void client_close(struct client *client);
void client_send(struct client *client, const char *text);
void client_send_bytes(struct client *client, const void *data, size_t len);
/* Reads until `needle` was seen; what came so far as text. Fails after 5 s or at the
 * end. */
const char *client_wait(struct client *client, const char *needle);
/* Reads until at least `len` bytes are there. */
void client_wait_bytes(struct client *client, size_t len);
/* Reads until the server closes. */
const char *client_wait_end(struct client *client);
/* Forgets what was read. */
void client_forget(struct client *client);
/* Reads one answer with Content-Length off the front: its status; the body in `body`
 * when not NULL (text, until the next call). */
unsigned client_answer(struct client *client, const char **body);
/* The same for an answer without a body in spite of its Content-Length (HEAD). */
unsigned client_head_answer(struct client *client);
/* The head of the last answer read. */
const char *client_last_head(void);

/* ---- a WebSocket client ---- */
#define WS_REQUEST                                                                     \
    "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"     \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

void client_open_ws(struct client *client, struct world *world);
/* A masked client frame; `first` is the whole first byte. */
void client_send_frame(struct client *client, unsigned first, const void *data,
                       size_t len);
/* Reads one server frame: its first byte; the payload in `payload`. */
unsigned client_frame(struct client *client, struct slice *payload);
/* The payload of a close frame that must come next: the code, 0 when it has none. */
unsigned client_close_code(struct client *client);

int run_h1_tests(void);
int run_origin_tests(void);
int run_http_tests(void);
int run_guard_tests(void);
int run_stream_tests(void);
int run_ws_tests(void);
int run_life_tests(void);
int run_drain_tests(void);

#endif
