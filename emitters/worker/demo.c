/* demo.c - the provider that is built in: paced words, no network, clearly labelled. */
/* SPDX-License-Identifier: MIT */
#include "demo.h"

#include "base/mem.h"

#include <stdlib.h>

#define PACE_MS 40

static const char reasoning[] =
    "No provider is configured, so nobody thinks here. This is the built-in demonstration: "
    "it speaks at the pace of a model, so that you can see how progress travels.";
static const char answer[] =
    "This is Thinkwire's demonstration provider. **No language model has read your "
    "message.** What you see arrives word by word the way a model's answer would: first "
    "reasoning, then text, and at the end one completion that holds everything.\n\n"
    "To get real answers, set `OPENAI_API_KEY`, or `LLM_URL` for a compatible server, or "
    "name a provider file with `--providers`, and start again.";

struct demo {
    struct attempt_request request;
    struct loop *loop;
    struct timer timer;
    uint64_t started_ms;
    size_t at; /* in reasoning, then in answer */
    uint64_t words;
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

static void on_tick(struct timer *timer)
{
    struct demo *demo = LIST_ENTRY(timer, struct demo, timer);
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
    demo->request.on_value(demo->request.ctx, &value);
}

struct demo *demo_start(struct loop *loop, const struct attempt_request *request)
{
    struct demo *demo = mem_new(sizeof(*demo));

    demo->request = *request;
    demo->loop = loop;
    demo->started_ms = loop_now_ms(loop);
    timer_init(&demo->timer, loop, on_tick);
    timer_start(&demo->timer, PACE_MS, PACE_MS);
    return demo;
}

void demo_cancel(struct demo *demo)
{
    demo_free(demo);
}
