/* support.h - a hub on its own loop, short ways to append, readers that note their wakes. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_LOG_SUPPORT_H
#define THINKWIRE_TESTS_LOG_SUPPORT_H

#include "log/hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define EPOCH UINT64_C(1764000000000)

struct bench {
    struct loop *loop;
    struct counters *counters;
    struct hub *hub;
    /* A feed that notes what it is asked. */
    unsigned watched;
    unsigned unwatched;
    struct topic *last_watched;
    unsigned fetches; /* questions for older events */
    unsigned visits;  /* calls of after_visit */
    unsigned wakes;   /* of all readers, in order */
};

/* A reader that knows when, of all readers, it was woken last. */
struct fake_reader {
    struct reader reader;
    struct bench *bench;
    unsigned woken;
    unsigned turn; /* bench->wakes at its last wake */
    bool leaves;   /* detaches itself when woken */
};

/* Bounds that no test meets unless it changes them. */
struct hub_limits roomy(void);
struct bench *bench_new(const struct hub_limits *limits, bool has_feed);
void bench_free(struct bench *b);
/* For setup: a bench with roomy bounds, without and with a feed. */
int with_hub(void **state);
int with_feed(void **state);
int without(void **state);

void settle(struct bench *b);
void pass_ms(struct bench *b, uint64_t ms);
uint64_t counted(struct bench *b, const char *line_start);

struct topic *task(struct bench *b, const char *name);
void join(struct bench *b, struct fake_reader *reader, struct topic *topic,
          uint64_t pos);

/* {"task_id":"t","type":<type>,"text":<text>,"partial":true}, a delta when it is one. */
bool say(struct topic *topic, uint64_t epoch, uint64_t seq, enum event_type type,
         const char *text);
bool say_text(struct topic *topic, uint64_t epoch, uint64_t seq, const char *text);
/* Opaque, without an id. */
bool say_opaque(struct topic *topic, const char *body);
/* As say(), through topic_restore_entry(). */
void restore(struct topic *topic, uint64_t epoch, uint64_t seq, const char *text);
/* As restore(), through topic_restore_older(). */
bool restore_older(struct topic *topic, uint64_t epoch, uint64_t seq, const char *text);
/* A run as a bus knows it; release with run_free(). */
struct run known_run(uint64_t epoch, uint64_t last_seq, const char *text);
void run_free(struct run *run);

/* The accumulated text is this. */
void accumulates(const struct accumulated *acc, const char *utf8);

int test_window(void);
int test_bounds(void);
int test_run(void);
int test_restore(void);
int test_history(void);
int test_visit(void);
int test_burst(void);
int test_sweep(void);

#endif
