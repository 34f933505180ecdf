/* counters.h - named counters, gauges and histograms; Prometheus text out. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_COUNTERS_H
#define THINKWIRE_BASE_COUNTERS_H

#include "base/buf.h"

#include <stdint.h>

/*
 * A room registers its counters once at start and keeps the pointer: counting is one
 * addition. A registry belongs to one loop; there is no lock.
 */
struct counters;
struct counter {
    uint64_t value;
};

enum counter_kind { COUNTER_TOTAL, COUNTER_GAUGE };

struct counters *counters_new(void);
void counters_free(struct counters *counters);
/* `name` without prefix ("thinkwire_" is added); `label` is NULL or `key="value"`, trusted
 * text from our own code, never a peer's. The same name and label answers the same counter.
 * Returned pointer lives as long as the registry. */
struct counter *counters_add(struct counters *counters, enum counter_kind kind,
                             const char *name, const char *label, const char *help);

/* Milliseconds from 0.1 to 10000 in 1-2-5 steps. */
struct histogram;
struct histogram *counters_add_histogram(struct counters *counters, const char *name,
                                         const char *help);
void histogram_observe(struct histogram *histogram, double milliseconds);

/* Prometheus text exposition format 0.0.4. */
void counters_write(const struct counters *counters, struct buf *out);

static inline void counter_add(struct counter *counter, uint64_t n)
{
    counter->value += n;
}

#endif
