/* telemetry.h - a line of JSON about each run, for those who count later. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_TELEMETRY_H
#define THINKWIRE_WORKER_TELEMETRY_H

#include "base/counters.h"
#include "generation.h"

/*
 *   loop:    row --> queue (bounded) --.
 *   thread:                            `--> <dir>/telemetry-2026-11-20.jsonl, one per day (UTC)
 *
 * A line is {"type","created_at","payload_json"}: `openai_call` for each run, and `error` for each
 * that failed. Several processes may share the folder. A disk that is slow, full, or not there
 * disturbs no stream: what cannot be kept is counted, and said once at debug level. Never what
 * users or models said.
 */
#define TELEMETRY_QUEUE_BYTES (1U << 20)

struct telemetry;
/* `dir` is made when it does not exist (its parent must). Never fails: see above. */
struct telemetry *telemetry_new(const char *dir, struct counters *counters);
/* Writes what waits, for at most a second. NULL is allowed. */
void telemetry_free(struct telemetry *telemetry);

/* The rows of one run; fits worker_options.on_report. `ctx` is a struct telemetry, or NULL. */
void telemetry_report(void *ctx, const struct generation_report *report);
/* One row; `payload` is a JSON object. */
void telemetry_row(struct telemetry *telemetry, const char *type, struct slice payload);

#endif
