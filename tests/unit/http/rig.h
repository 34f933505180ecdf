/* rig.h - a client, a scripted server, and what a test sees of a call. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_HTTP_RIG_H
#define THINKWIRE_TESTS_HTTP_RIG_H

#include "http/client.h"
#include "scripted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct rig;

/* What a test watches of one call. */
struct seen {
    struct rig *rig;
    struct http_client_call *call;
    unsigned headers;
    unsigned status_early;
    struct buf body;
    unsigned bodies;
    unsigned dones;
    struct http_client_result result;
    struct buf collected;
    char kind[64];
    char detail[256];
    bool cancels_on_headers;
    bool cancels_on_body;
    bool frees_client;
};

struct rig {
    struct loop *loop;
    struct http_client *client;
    struct scripted *server;
    struct timer watchdog;
    char url[64];
    const char *answer; /* sent to every request; NULL = nothing */
    bool closes;        /* ... and then closes */
    struct scripted_peer *peer;
    struct buf request; /* the last one */
    unsigned waiting;   /* calls to be done before the loop stops */
};

void rig_start(struct rig *rig, const struct http_client_options *options);
void rig_end(struct rig *rig);

/* What the server does with a request, as the rig says. */
void on_request(void *ctx, struct scripted_peer *peer, struct slice request);
/* Callbacks that note what they are told. */
void on_headers(void *ctx, unsigned status);
void on_body(void *ctx, struct slice data);

void watch(struct rig *rig, struct seen *seen);
void forget(struct seen *seen);
void start(struct rig *rig, struct seen *seen, struct http_client_request request);
/* One collected call from start to end. */
void fetch(struct rig *rig, struct seen *seen, struct http_client_request request);
void assert_text(struct buf *buf, const char *wanted);

#define HELLO                                                                          \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

int test_answers(void);
int test_endings(void);

#endif
