/* hired.h - the worker that --worker hosts in the broker's own loop. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_HIRED_H
#define THINKWIRE_HIRED_H

#include "base/loop.h"
#include "base/telemetry.h"
#include "bus/bus.h"
#include "settings.h"

struct hired;

/* Borrowed for its life. */
struct hired_rooms {
    struct bus *bus;
    struct telemetry *telemetry; /* NULL: no row of a run is kept */
    struct counters *counters;
};

/* Reads the provider file, or the environment; its jobs come from the bus when that is in
 * memory, else from the same Redis as any other worker's. NULL with words in `error`. */
struct hired *hired_new(struct loop *loop, const struct settings *settings,
                        const struct hired_rooms *rooms, struct buf *error);
/* Takes nothing more; `done` once, when what runs is over, or at once. */
void hired_drain(struct hired *hired, void (*done)(void *ctx), void *ctx);
/* Before the bus. NULL is allowed. */
void hired_free(struct hired *hired);
/* As a check of /readyz. */
const char *hired_trouble(void *ctx);

#endif
