/* worker_settings.h - every setting of the worker: rows that thinkwire-worker and thinkwired share. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_WORKER_SETTINGS_H
#define THINKWIRE_WORKER_WORKER_SETTINGS_H

#include "base/config.h"
#include "base/telemetry.h"
#include "worker.h"

struct worker_settings {
    char *providers;
    bool fallback;
    bool route_around_open;
    uint64_t max_retries;
    uint64_t retry_backoff_ms;
    uint64_t retry_total_ms;
    uint64_t answer_limit_bytes;
    char *system_prompt;
    uint64_t max_generations;
    uint64_t lease_ms;
    uint64_t job_silent_ms;
    uint64_t finish_ms;
    bool telemetry;
    char *telemetry_dir;
    uint64_t telemetry_keep_days;
    uint64_t telemetry_day_bytes;
    char *memory_url;
    char *memory_key_env;
    uint64_t memory_timeout_ms;
    uint64_t memory_top_k;
    uint64_t memory_token_budget;
    uint64_t memory_clip_sentences;
    uint64_t memory_min_score_percent;
};

extern const struct config_row worker_rows[];
extern const size_t worker_row_count;

/* The provider file, or the environment (T7), or the demo provider. False with words that name
 * file, line and remedy in `error`. */
bool worker_settings_providers(const struct worker_settings *settings,
                               struct providers *providers, struct buf *error);
/* Where the rows of runs, and of clients, go (T1); NULL when it is switched off. The caller's. */
struct telemetry *worker_settings_telemetry(const struct worker_settings *settings,
                                            struct counters *counters);
/* What no single row can tell: the provider file is read, and forgotten. */
bool worker_settings_check(const struct worker_settings *settings, struct buf *error);
/* What stands in the settings; source, providers and callbacks are the caller's. */
void worker_settings_options(const struct worker_settings *settings,
                             struct worker_options *options);
/* One line of diagnostics for each provider, without keys, and that the worker is there. */
void worker_settings_tell(const struct providers *providers);

#endif
