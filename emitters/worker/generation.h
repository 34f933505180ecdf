/* generation.h - one run: from a request to its terminal event. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_GENERATION_H
#define THINKWIRE_WORKER_GENERATION_H

#include "ask.h"
#include "emitters/lib/emitter.h"
#include "judge.h"
#include "memory.h"
#include "roster.h"

/*
 *   ask --> judge: whom to call, how --> attempt or demo --> values --> trim --> emitter
 *             ^                                |
 *             +---- how it ended --------------+
 *
 * Everything about which failure leads where is in judge.h; this file only does what it says.
 * The run ends once: completion, error, stopped; or somebody else ends it, and then the call
 * to the provider is cut at once.
 */
struct generation_settings {
    struct judge_settings judge;
    size_t answer_limit_bytes; /* of one event or document of a provider */
    const char *system_prompt; /* before the client's messages; "" = none */
    struct memory_settings memory;
};

/* How it went, for log and telemetry; valid during on_over. */
struct generation_report {
    const struct ask *ask;
    struct task_key task;
    uint64_t epoch;
    const char *outcome;  /* "completed", "error", "stopped", "lost" */
    const char *code;     /* of an error; "" */
    const char *provider; /* that was called last; "" = none was */
    const char *model;
    const char *finish;  /* OpenAI's word; "" */
    uint64_t started_ms; /* wall */
    uint64_t elapsed_ms;
    uint64_t first_token_ms; /* from the start of the generation; 0 = no token */
    uint64_t memory_ms;      /* how long the memory service was waited for */
    size_t memory_results;
    struct stream_usage usage;
    const char *cost_usd; /* "" = unknown */
    size_t text_length;   /* code points, of this run */
    bool is_continue;
    size_t partial_length; /* of a continue: code points it began with */
    uint64_t trimmed_bytes;
    unsigned retries;
    unsigned fallbacks;
    unsigned api_switches;
    unsigned empty_answers; /* calls that ended regularly without a word */
    const char *breaker;    /* of that provider now: as breaker_state_name(), or "" */
    bool was_shortened;     /* the partial did not fit into the prompt (S10) */
    const struct failure *failure; /* the last one; class NONE when there was none */
};

struct generation;
struct generation_owner {
    /* The run has said its first word: no other worker may take it from the beginning. */
    void (*on_begun)(void *ctx, struct generation *generation);
    /* The last call; the generation is gone when it returns. */
    void (*on_over)(void *ctx, struct generation *generation,
                    const struct generation_report *report);
    void *ctx;
};

struct generation_job {
    struct task_key task;
    struct slice request;      /* JSON of ask.h */
    struct slice earlier_text; /* of the runs it continues */
    struct slice earlier_reasoning;
    bool keeps_text;      /* a continue */
    uint64_t claim_epoch; /* of the queued run */
    uint64_t lease_ms;
    struct generation_owner owner;
};

/* Never inside a callback of its own. All but roster, settings and sink is copied. */
struct generation *generation_start(struct loop *loop, struct roster *roster,
                                    const struct generation_settings *settings,
                                    struct emitter_sink *sink,
                                    const struct generation_job *job);
/* Somebody asked for it: ends with `stopped`. Harmless when it is over. */
void generation_stop(struct generation *g);
/* Without a word: the run is left to its lease. on_over is not called. */
void generation_free(struct generation *g);

#endif
