/* telemetry.h - rows for those who count later, in a file per day. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_TELEMETRY_H
#define THINKWIRE_BASE_TELEMETRY_H

#include "base/counters.h"

/*
 *   loop:    row --> queue (bounded) --.
 *   thread:                            `--> <dir>/telemetry-2026-11-20.jsonl, one per day (UTC)
 *
 * A line is {"type","created_at","payload_json"}. Several processes may share the folder. A disk
 * that is slow, full, or not there disturbs nobody: what cannot be kept is counted, and said once
 * at debug level. Files of days that are over are deleted by the same thread, at start and each
 * hour; files with other names are left alone.
 */
#define TELEMETRY_QUEUE_BYTES (1U << 20)

struct telemetry_options {
    const char
        *dir; /* made when it does not exist (its parent must), at the first row */
    uint64_t keep_days; /* besides today; 0 = for ever */
    uint64_t day_bytes; /* of one day's file: rows beyond are lost; 0 = no bound */
};

struct telemetry;
/* Never fails: see above. */
struct telemetry *telemetry_new(const struct telemetry_options *options,
                                struct counters *counters);
/* Writes what waits, for at most a second. NULL is allowed. */
void telemetry_free(struct telemetry *telemetry);

/* One row; `type` needs no escapes, `payload` is a JSON object. */
void telemetry_row(struct telemetry *telemetry, const char *type, struct slice payload);

#endif
