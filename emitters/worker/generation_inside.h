/* generation_inside.h - a generation, as its two files see it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_GENERATION_INSIDE_H
#define THINKWIRE_WORKER_GENERATION_INSIDE_H

#include "demo.h"
#include "generation.h"
#include "prompt.h"
#include "trim.h"

#include <inttypes.h>

/* An autonomous run makes two calls: what is said in the first is the plan of the second. */
enum generation_stage { STAGE_ANSWER, STAGE_PLAN };

struct generation {
    struct loop *loop;
    struct roster *roster;
    const struct generation_settings *settings;
    struct generation_owner owner;
    struct emitter *emitter;
    struct ask ask;
    struct task_key task; /* a copy */
    uint64_t claim_epoch;

    /* the calls */
    struct seat *chain[CHAIN_MAX];
    size_t chain_count;
    const struct model *model; /* its block, or NULL */
    struct judge judge;
    struct judge_step step;
    struct seat *called; /* last */
    struct breaker_ticket ticket;
    struct attempt *attempt;
    struct demo *demo;
    struct memory_call *recall;
    struct timer pause;
    enum generation_stage stage;
    struct {
        unsigned retries;
        unsigned fallbacks;
        unsigned api_switches;
    } earlier; /* of the stage before */
    struct turn_task cut;

    /* what was said */
    struct buf text; /* the answer, with what it continues */
    struct buf plan;
    struct buf memory; /* what the memory service knew */
    struct buf said;   /* what the trim compares with */
    struct buf scratch;
    struct trim trim;
    bool is_trimming;
    bool is_continue;
    bool has_begun;
    size_t partial_length;
    size_t text_length;
    uint64_t trimmed_bytes; /* of earlier calls */
    unsigned empty_answers;
    bool was_shortened;

    /* how it went */
    uint64_t memory_ms;
    size_t memory_results;
    struct stream_usage usage;
    bool has_usage;
    enum stream_finish finish;
    struct failure failure;
    const char *outcome; /* NULL while it is open */
    const char *code;
    char asked[128];      /* the model */
    char model_name[128]; /* that answered, by its own word */
    char cost_usd[COST_SIZE];
    uint64_t started_ms;
    uint64_t started_wall_ms;
    uint64_t first_token_ms; /* and 1; 0 = none yet */
};

/* ---- generation.c ---- */
void generation_on_value(void *ctx, const struct stream_value *value);
/* The judge has said how it ends. */
void generation_finish(struct generation *g, const struct judge_step *step);
/* It cannot even begin. */
void generation_refuse(struct generation *g, const char *code, const char *message);

/* ---- calls.c ---- */
void generation_begin_calls(struct generation *g);
void generation_on_pause(struct timer *timer);
/* Ends the call that is on its way, upstream too. */
void generation_cut(struct generation *g);

#endif
