/* shelf.h - a store of one task's events, from which a hub is fed on request. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_SESSION_SHELF_H
#define THINKWIRE_TESTS_SESSION_SHELF_H

#include "support.h"

/* What is stored of task "t": events 1.. of run E1, "a" to "z". */
struct shelf {
    struct topic *topic;
    unsigned fetches; /* questions for older events */
    struct bench *bench;
};

struct bench *open_shelf(struct shelf *shelf, const struct hub_limits *limits,
                         const struct session_options *options);
/* The event `seq` as it is stored; `body` holds it. */
struct topic_event stored(uint64_t seq, char body[128]);
/* The newest `count` of `last` events. */
void load(struct shelf *shelf, uint64_t last, uint64_t count);
/* Answers the question with `count` events. */
void give(struct shelf *shelf, uint64_t count, bool has_more);
/* Each kind of reader, on a shelf of its own. */
void on_shelves(const struct hub_limits *limits, const struct session_options *options,
                void (*test)(struct shelf *shelf, enum kind kind));
void on_roomy_shelves(void (*test)(struct shelf *shelf, enum kind kind));

#endif
