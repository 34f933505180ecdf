/* feed.h - the ways an event gets in: Redis channel, broker over HTTP, Nchan. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FEED_H
#define BENCH_FEED_H

#include "marker.h"

#include <sys/types.h>

/* What a feed publishes next: `count` consecutive events of one task. */
struct feed_request {
    unsigned task;
    unsigned first; /* number of the first event */
    unsigned count;
    unsigned words; /* > 0: words of a run of that many instead of timed markers */
    uint16_t port;  /* for the Host header */
};

struct feed {
    const char *name;
    bool takes_batches; /* else count is 1 */
    void (*encode)(struct text *out, const struct feed_request *request);
    /* Takes one whole answer from the front: its length, 0 = more is needed, -1 = what came
     * is no answer. `*accepted` is false when the server refused the request. */
    ssize_t (*answer)(const char *bytes, size_t length, bool *accepted);
};
/* "frappe", "http", "nchan"; dies at any other name. */
const struct feed *feed_named(const char *name);

#endif
