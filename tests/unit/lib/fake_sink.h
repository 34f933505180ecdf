/* fake_sink.h - a far end that the test answers for. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_FAKE_SINK_H
#define THINKWIRE_TESTS_FAKE_SINK_H

#include "emitters/lib/emitter.h"

#define FAKE_MAX_CALLS 256

struct fake_call {
    struct buf lines; /* the JSON of its events, one per line */
    uint64_t counter;
    uint64_t epoch;
    size_t count;
    store_published *done; /* NULL once answered */
    void *ctx;
};

struct fake_sink {
    struct emitter_sink sink;
    struct emitter_sink_ops ops;
    struct fake_call calls[FAKE_MAX_CALLS]; /* publishes, all that ever came */
    size_t count;
    struct run_open_request open; /* the last one */
    uint64_t claimed;
    unsigned opens;
    store_opened *opened; /* waits */
    void *opened_ctx;
    unsigned renewals;
    store_published *renewed; /* waits */
    void *renewed_ctx;
};

void fake_init(struct fake_sink *fake);
void fake_release(struct fake_sink *fake);
void fake_open(struct fake_sink *fake, enum publish_status status, uint64_t epoch);
void fake_answer(struct fake_sink *fake, size_t call, enum publish_status status);
void fake_answer_gap(struct fake_sink *fake, size_t call, uint64_t expected);
void fake_answer_stop(struct fake_sink *fake, size_t call);
void fake_renew(struct fake_sink *fake, enum publish_status status);
/* The lines of a publish, as text. */
const char *fake_lines(struct fake_sink *fake, size_t call);

#endif
