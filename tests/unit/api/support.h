/* support.h - the HTTP resources on a memory bus, or on a bus that does not answer. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_API_SUPPORT_H
#define THINKWIRE_TESTS_API_SUPPORT_H

#include "api/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PATH_SIZE 512

/* One request and what it was answered. */
struct fake_exchange {
    struct http_exchange base;
    struct http_request request;
    struct http_header headers[4];
    char target[PATH_SIZE];
    bool is_answered;
    bool is_gone; /* the client went away first */
    unsigned status;
    struct buf body;
    struct fake_exchange *next;
};

/* A bus that keeps what it is asked until the test answers. */
struct held_bus {
    struct bus bus;
    void (*published)(void *ctx, const struct publish_result *result);
    void (*opened)(void *ctx, enum publish_status status, uint64_t epoch);
    void (*recalled)(void *ctx, const struct bus_kept *kept);
    task_pointed *pointed;
    void (*stopped)(void *ctx, enum stop_status status);
    void (*listed)(void *ctx, bool ok);
    void (*erased)(void *ctx, bool ok);
    void *ctx;
    unsigned asked;
    char request[512]; /* of the last submission */
    const char *trouble;
};

struct bench {
    struct loop *loop;
    struct counters *counters;
    struct hub *hub;
    struct bus *bus;
    struct held_bus held;
    struct session_set *sessions;
    struct api *api;
    struct http_route routes[API_ROUTES];
    size_t route_count;
    struct fake_exchange *exchanges;
    /* Headers of the next requests; NULL: absent. */
    const char *producer;
    const char *epoch;
    const char *counter;
    const char *proxy; /* name of a header that a proxy adds */
    const char *peer;  /* NULL: on this machine */
};

struct hub_limits roomy(void);
struct bus_limits bus_roomy(void);
struct bench *bench_new(const struct hub_limits *limits,
                        const struct bus_limits *bus_limits, bool is_held);
void bench_free(struct bench *b);
int with_memory(void **state);
int with_held(void **state);
int with_local_writes(void **state);
int without(void **state);
void settle(struct bench *b);
void pass_ms(struct bench *b, uint64_t ms);
uint64_t counted(struct bench *b, const char *line_start);

/* `target` is a path, perhaps with a query. */
struct fake_exchange *ask(struct bench *b, enum http_method method, const char *target,
                          const char *body);
struct fake_exchange *get(struct bench *b, const char *target);
/* To task t. */
struct fake_exchange *post(struct bench *b, const char *body);
/* The client goes away. */
void abort_exchange(struct fake_exchange *x);
/* Settles; the answer has this status and holds this text. */
void answered(struct bench *b, struct fake_exchange *x, unsigned status,
              const char *part);
/* The number behind "name": in the answer. */
uint64_t number_in(struct fake_exchange *x, const char *name);
struct topic *task(struct bench *b, const char *name);

int test_publish(void);
int test_resources(void);
int test_memory(void);
int test_away(void);
int test_writes(void);
int test_submit(void);
int test_work(void);
int test_telemetry(void);

#endif
