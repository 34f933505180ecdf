/* demo.c - the provider that is built in: paced words, no network, clearly labelled. */
/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include "base/mem.h"

#include <stdlib.h>

#define PACE_MS          40
#define SLOW_PACE_MS     500
#define TIMEOUT_MS       2000
#define DROP_AFTER_WORDS 10 /* of the answer */

static const char reasoning[] =
    "No provider is configured, so nobody thinks here. This is the built-in demonstration: "
    "it speaks at the pace of a model, so that you can see how progress travels.";
static const char answer[] =
    "This is Thinkwire's demonstration provider. **No language model has read your "
    "message.** What you see arrives word by word the way a model's answer would: first "
    "reasoning, then text, and at the end one completion that holds everything.\n\n"
    "To get real answers, set `OPENAI_API_KEY`, or `LLM_URL` for a compatible server, or "
    "name a provider file with `--providers`, and start again.";

static const struct scenario {
    const char *name;
    enum failure_class fault;
    unsigned status;
} scenarios[] = {
    {"timeout", FAILURE_TIMEOUT_FIRST_TOKEN, 0},
    {"rate_limit", FAILURE_RATE_LIMITED, 429},
    {"server_error", FAILURE_SERVER, 500},
    {"midstream_drop", FAILURE_TRUNCATED, 200},
    {"slow", FAILURE_NONE, 200},
    {"", FAILURE_NONE, 200}, /* any other */
};

struct demo {
    struct attempt_request request;
    const struct scenario *scenario;
    struct loop *loop;
    struct timer timer;
    uint64_t started_ms;
    size_t at; /* in reasoning, then in answer */
    uint64_t words;
    uint64_t answer_words;
    bool answers;
};

static void demo_free(struct demo *demo)
{
    timer_release(&demo->timer);
    free(demo);
}

static void finish(struct demo *demo)
{
    struct attempt_result result = {
        .has_answer = true,
        .finish = FINISH_STOP,
        .first_token_ms = PACE_MS,
        .elapsed_ms = loop_now_ms(demo->loop) - demo->started_ms,
        .status = 200,
    };
    struct stream_value usage = {.kind = STREAM_USAGE,
                                 .usage = {.tokens_out = demo->words}};

    demo->request.on_value(demo->request.ctx, &usage);
    demo->request.on_done(demo->request.ctx, &result);
    demo_free(demo);
}

/* The next word. */
static void say(struct demo *demo)
{
    const char *text = (demo->answers ? answer : reasoning) + demo->at;
    size_t len = strcspn(text, " ");

    if (text[0] == '\0' && demo->answers) {
        finish(demo);
        return;
    }
    if (text[0] == '\0') {
        demo->answers = true;
        demo->at = 0;
        return;
    }
    len += strspn(text + len, " ");
    struct stream_value value = {
        .kind = demo->answers ? STREAM_TEXT : STREAM_REASONING,
        .text = slice_make(text, len),
    };
    demo->at += len;
    demo->words++;
    demo->answer_words += demo->answers ? 1 : 0;
    demo->request.on_value(demo->request.ctx, &value);
}

static void fail(struct demo *demo)
{
    struct failure failure;
    struct attempt_result result = {
        .failure = &failure,
        .has_answer = demo->answer_words > 0,
        .elapsed_ms = loop_now_ms(demo->loop) - demo->started_ms,
        .status = demo->scenario->status,
    };

    failure_set(&failure, demo->scenario->fault, "a fault that was asked for");
    failure.status = demo->scenario->status;
    timer_stop(&demo->timer);
    demo->request.on_done(demo->request.ctx, &result);
    demo_free(demo);
}

/* Is now the moment of the fault? */
static bool is_to_fail(const struct demo *demo)
{
    switch (demo->scenario->fault) {
    case FAILURE_NONE:
        return false;
    case FAILURE_TRUNCATED:
        return !demo->request.is_plain && demo->answer_words >= DROP_AFTER_WORDS;
    default:
        return true; /* with the first tick */
    }
}

static void on_tick(struct timer *timer)
{
    struct demo *demo = LIST_ENTRY(timer, struct demo, timer);

    if (is_to_fail(demo))
        fail(demo);
    else
        say(demo);
}

static void start_timer(struct demo *demo)
{
    uint64_t bound = demo->request.is_plain ? demo->request.times.plain
                                            : demo->request.times.first_token;
    uint64_t pace = strcmp(demo->scenario->name, "slow") == 0 ? SLOW_PACE_MS : PACE_MS;
    uint64_t wait = pace;

    if (demo->scenario->fault == FAILURE_TIMEOUT_FIRST_TOKEN)
        wait = bound > 0 && bound < TIMEOUT_MS ? bound : TIMEOUT_MS;
    timer_start(&demo->timer, wait, pace);
}

struct demo *demo_start(struct loop *loop, const struct attempt_request *request,
                        const char *scenario)
{
    struct demo *demo = mem_new(sizeof(*demo));

    demo->request = *request;
    demo->loop = loop;
    demo->started_ms = loop_now_ms(loop);
    timer_init(&demo->timer, loop, on_tick);
    demo->scenario = scenarios;
    while (demo->scenario->name[0] != '\0' &&
           strcmp(demo->scenario->name, scenario) != 0)
        demo->scenario++;
    start_timer(demo);
    return demo;
}

void demo_cancel(struct demo *demo)
{
    demo_free(demo);
}
