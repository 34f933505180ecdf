/* tally.h - what each reader has got: order, losses, duplicates, latencies. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include "marker.h"

/* All readers together. A run has `warmup` events per reader that are checked but not
 * timed, then `events` that are both. */
struct tally {
    unsigned readers;
    unsigned warmup;
    unsigned events;
    struct tally_reader *each;
    uint64_t *latency_ns; /* of timed deliveries, room for every expected one */
    size_t timed;
    uint64_t warm;       /* deliveries of warm-up events */
    uint64_t duplicates; /* the same event again */
    uint64_t reordered;  /* after a later one of the same task */
    uint64_t foreign;    /* of another task, or of no expected number */
    uint64_t first_sent_ns;
    uint64_t last_seen_ns;
};

void tally_init(struct tally *tally, unsigned readers, unsigned warmup,
                unsigned events);
void tally_release(struct tally *tally);

/* `reader` subscribed to task `task` got `marker` at `at_ns`. */
void tally_delivery(struct tally *tally, unsigned reader, unsigned task,
                    const struct marker *marker, uint64_t at_ns);
bool tally_is_warm(const struct tally *tally);
bool tally_is_complete(const struct tally *tally);
/* Expected deliveries, warm-up included, that never came. */
uint64_t tally_lost(const struct tally *tally);
/* Sorts the latencies; `permille` of 500 is the median, 1000 the maximum. */
void tally_sort(struct tally *tally);
uint64_t tally_percentile(const struct tally *tally, unsigned permille);

#endif
