/* calls.c - the calls of a generation: whom, with which body, and what the judge says. */
/* SPDX-License-Identifier: MIT */
#include "generation_inside.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/mem.h"

#include <stdlib.h>

#define BODY_MAX_BYTES (32U << 20)
#define HEADERS_MAX    4

static const char plan_instruction[] =
    "Before you answer, write a short plan of the steps you will take. Write only the plan.";
static const char work_instruction[] =
    "Now carry out this plan and give the whole final answer to the user's request.";

static void follow(struct generation *g, const struct judge_step *step);

/* ---- the body ---- */

/* All that the model is told; false with words in `error`. */
static bool write_prompt(struct generation *g, struct prompt *prompt, struct buf *error)
{
    size_t limit = (size_t)g->called->provider->context_chars;

    if (g->settings->system_prompt != NULL && g->settings->system_prompt[0] != '\0')
        prompt_add(prompt, "system", slice_of(g->settings->system_prompt));
    if (g->memory.len > 0)
        prompt_add(prompt, "system", buf_view(&g->memory));
    if (!prompt_read(prompt, g->ask.messages, error))
        return false;
    if (g->stage == STAGE_PLAN) {
        prompt_add(prompt, "system", slice_of(plan_instruction));
    } else if (g->plan.len > 0) {
        prompt_add(prompt, "assistant", buf_view(&g->plan));
        prompt_add(prompt, "system", slice_of(work_instruction));
    }
    if (g->stage == STAGE_ANSWER && g->said.len > 0 &&
        prompt_continue(prompt, buf_view(&g->said), limit))
        g->was_shortened = true;
    return true;
}

static bool write_body(struct generation *g, struct buf *body, struct buf *error)
{
    const struct provider *provider = g->called->provider;
    struct prompt prompt = {0};
    struct prompt_options options = {
        .api = g->step.api,
        .model = slice_of(g->asked),
        .is_stream = !g->step.is_plain,
        .wants_usage = provider->wants_usage && !g->step.without_options,
        .max_tokens = g->ask.max_tokens,
        .max_tokens_name = (enum prompt_max_tokens)provider->max_tokens_name,
        .temperature = g->ask.temperature,
        .extra = slice_of(provider->extra),
        .client_extra = g->ask.options,
    };
    bool is_good = write_prompt(g, &prompt, error);

    if (is_good && !prompt_body(body, &prompt, &options)) {
        (void)buf_puts(error, "the request is too large");
        is_good = false;
    }
    prompt_release(&prompt);
    return is_good;
}

/* ---- trimming ---- */

/* What was said so far, when this call goes on from it. */
static void prepare_trim(struct generation *g)
{
    if (g->is_trimming) {
        g->trimmed_bytes += g->trim.trimmed_bytes;
        trim_release(&g->trim);
        g->is_trimming = false;
    }
    buf_reset(&g->said);
    if (g->stage == STAGE_PLAN)
        buf_reset(&g->plan); /* of a call that failed */
    if (g->stage == STAGE_PLAN || g->text.len == 0 ||
        (!g->is_continue && !g->step.continues))
        return;
    (void)buf_slice(&g->said, buf_view(&g->text));
    trim_init(&g->trim, buf_view(&g->said), g->step.continues);
    g->is_trimming = true;
}

/* ---- one call ---- */

/* Never the provider's message: it may repeat what a user said. */
static void log_failure(const struct generation *g, const struct failure *failure,
                        uint64_t elapsed_ms)
{
    diag(DIAG_INFO, "provider call failed", DIAG_SLICE("task", g->task.task_id),
         DIAG_S("request_id", g->ask.request_id),
         DIAG_S("provider", g->called->provider->name),
         DIAG_S("api", provider_api_name(g->step.api)),
         DIAG_S("mode", g->step.is_plain ? "plain" : "stream"),
         DIAG_S("code", failure_code(failure->class)),
         DIAG_N("status", failure->status), DIAG_S("word", failure->code),
         DIAG_N("elapsed_ms", elapsed_ms));
}

/* A regular end without a word (R14). */
static void note_empty(struct generation *g, const struct attempt_result *result)
{
    enum failure_class class = judge_empty(result->finish);

    failure_set(&g->failure, class, "the answer is empty");
    log_failure(g, &g->failure, result->elapsed_ms);
    if (class == FAILURE_EMPTY)
        g->empty_answers++;
}

static void on_done(void *ctx, const struct attempt_result *result)
{
    struct generation *g = ctx;
    struct judge_step step;

    g->attempt = NULL;
    g->demo = NULL;
    g->finish = result->finish;
    if (result->failure == NULL) {
        if (!result->has_answer)
            note_empty(g, result);
        step = judge_done(&g->judge, result->has_answer, result->finish);
    } else {
        uint32_t jitter = random_below(UINT32_MAX);
        g->failure = *result->failure;
        log_failure(g, result->failure, result->elapsed_ms);
        step = judge_failed(&g->judge, result->failure, jitter);
    }
    follow(g, &step);
}

/* A fault that was asked for (C15): the demo provider plays it in the place of the real one. */
static bool is_played(const struct generation *g)
{
    return g->ask.scenario[0] != '\0';
}

static void send_call(struct generation *g, struct slice body)
{
    const struct provider *provider = g->called->provider;
    const char *headers[HEADERS_MAX] = {"Content-Type: application/json"};
    size_t count = 1;
    struct buf url;

    if (g->called->authorization != NULL)
        headers[count++] = g->called->authorization;
    if (g->step.api == API_ANTHROPIC)
        headers[count++] = "anthropic-version: 2023-06-01";
    headers[count++] =
        g->step.is_plain ? "Accept: application/json" : "Accept: text/event-stream";
    buf_init(&url, SIZE_MAX);
    (void)buf_printf(&url, "%s%s", provider->url, prompt_path(g->step.api));
    struct attempt_request request = {
        .api = g->step.api,
        .is_plain = g->step.is_plain,
        .url = buf_text(&url),
        .headers = headers,
        .header_count = count,
        .body = body,
        .times = {.connect = provider->connect_timeout_ms,
                  .first_token = provider->first_token_timeout_ms,
                  .idle = provider->idle_timeout_ms,
                  .total = provider->total_timeout_ms,
                  .plain = provider->plain_timeout_ms},
        .limit_bytes = g->settings->answer_limit_bytes,
        .on_value = generation_on_value,
        .on_done = on_done,
        .ctx = g,
    };
    if (provider->is_demo || is_played(g))
        g->demo = demo_start(g->loop, &request, g->ask.scenario);
    else
        g->attempt = attempt_start(g->loop, g->called->http, &request);
    buf_release(&url);
}

static void refuse_by_breaker(struct generation *g)
{
    failure_set(&g->failure, FAILURE_BREAKER, "the circuit breaker is open");
    struct judge_step step = judge_failed(&g->judge, &g->failure, 0);
    follow(g, &step);
}

/* Once per provider, however many calls it takes: a probe that is asked again plainly is still
 * the probe. */
static bool is_admitted(struct generation *g, struct seat *seat)
{
    bool was_admitted = g->called == seat && g->ticket.is_admitted;

    g->called = seat;
    if (is_played(g)) {
        g->ticket = (struct breaker_ticket){0}; /* its verdicts count nowhere */
        return true;
    }
    return was_admitted || breaker_admit(&seat->breaker, &seat->breaker_settings,
                                         loop_now_ms(g->loop), &g->ticket);
}

static void call(struct generation *g)
{
    struct buf body;
    struct buf error;

    if (!is_admitted(g, g->chain[g->step.provider])) {
        refuse_by_breaker(g);
        return;
    }
    g->called->calls++;
    prepare_trim(g);
    buf_init(&body, BODY_MAX_BYTES);
    buf_init(&error, 512);
    if (write_body(g, &body, &error)) {
        send_call(g, buf_view(&body));
    } else {
        breaker_report(&g->called->breaker, &g->called->breaker_settings,
                       loop_now_ms(g->loop), &g->ticket, VERDICT_NEUTRAL);
        generation_refuse(g, "BAD_REQUEST", buf_text(&error));
    }
    buf_release(&body);
    buf_release(&error);
}

/* ---- what the judge says ---- */

static void report(struct generation *g, const struct judge_step *step)
{
    if (step->verdict == VERDICT_NONE || g->called == NULL)
        return;
    if (step->verdict == VERDICT_FAILURE)
        g->called->failures++;
    breaker_report(&g->called->breaker, &g->called->breaker_settings,
                   loop_now_ms(g->loop), &g->ticket, step->verdict);
}

static void begin_stage(struct generation *g, enum generation_stage stage)
{
    enum provider_api apis[CHAIN_MAX];

    g->stage = stage;
    g->earlier.retries += g->judge.retries;
    g->earlier.fallbacks += g->judge.fallbacks;
    g->earlier.api_switches += g->judge.api_switches;
    for (size_t i = 0; i < g->chain_count; i++)
        apis[i] = roster_api(g->roster, g->chain[i], g->asked);
    struct judge_step step = judge_start(&g->judge, &g->settings->judge, apis,
                                         (unsigned)g->chain_count, true);
    follow(g, &step);
}

static void tell_stage(struct generation *g, unsigned number, const char *name)
{
    struct buf event;

    buf_init(&event, 200);
    (void)buf_printf(&event,
                     "{\"type\":\"status\",\"step\":%u,\"steps\":2,\"name\":\"%s\"}",
                     number, name);
    (void)emitter_event(g->emitter, buf_view(&event));
    buf_release(&event);
}

static void follow(struct generation *g, const struct judge_step *step)
{
    report(g, step);
    if (step->remembers_chat && g->called != NULL)
        roster_remember_chat(g->roster, g->called, g->asked);
    if (step->act == JUDGE_CALL) {
        g->step = *step;
        if (step->wait_ms > 0)
            timer_start(&g->pause, step->wait_ms, 0);
        else
            call(g);
        return;
    }
    if (step->end == JUDGE_ANSWER && g->stage == STAGE_PLAN) {
        tell_stage(g, 2, "answer");
        begin_stage(g, STAGE_ANSWER);
        return;
    }
    generation_finish(g, step);
}

void generation_on_pause(struct timer *timer)
{
    call(LIST_ENTRY(timer, struct generation, pause));
}

static void begin_stages(struct generation *g)
{
    if (g->ask.mode != ASK_AUTONOMOUS || g->is_continue) {
        begin_stage(g, STAGE_ANSWER);
        return;
    }
    tell_stage(g, 1, "plan");
    begin_stage(g, STAGE_PLAN);
}

/* ---- the memory service ---- */

static void on_memory(void *ctx, const struct memory_found *found)
{
    struct generation *g = ctx;

    g->recall = NULL;
    g->memory_ms = found->elapsed_ms;
    g->memory_results = found->count;
    (void)buf_slice(&g->memory, found->text);
    diag(DIAG_INFO, "Memory retrieval completed",
         DIAG_S("request_id", g->ask.request_id),
         DIAG_N("memory_ms", found->elapsed_ms), DIAG_N("results_count", found->count),
         DIAG_N("total_tokens", found->tokens), DIAG_S("trouble", found->trouble));
    begin_stages(g);
}

/* Before the call, and never in its way: in time or not at all (C10). */
static void ask_memory(struct generation *g)
{
    struct buf query;

    buf_init(&query, MEMORY_QUERY_BYTES);
    memory_query(g->ask.messages, &query);
    struct memory_question question = {
        .query = buf_view(&query),
        .user = g->ask.user,
        .conversation_id = g->ask.conversation_id,
    };
    diag(DIAG_INFO, "Retrieving memory context",
         DIAG_S("request_id", g->ask.request_id), DIAG_SLICE("task", g->task.task_id));
    g->recall = memory_ask(roster_memory_client(g->roster, g->loop),
                           &g->settings->memory, &question, on_memory, g);
    buf_release(&query);
}

void generation_begin_calls(struct generation *g)
{
    const char *name =
        g->ask.model[0] != '\0' ? g->ask.model : g->roster->providers->default_model;

    if (strlen(name) >= sizeof(g->asked)) {
        generation_refuse(g, "MODEL_NOT_FOUND", "The name of the model is too long.");
        return;
    }
    memcpy(g->asked, name, strlen(name) + 1);
    memcpy(g->model_name, name, strlen(name) + 1);
    g->model = providers_model(g->roster->providers, slice_of(name));
    g->chain_count = roster_route(g->roster, slice_of(name), g->chain);
    if (g->chain_count == 0) {
        generation_refuse(g, "MODEL_NOT_FOUND", "No provider has this model.");
        return;
    }
    if (g->ask.uses_memory && g->settings->memory.url != NULL &&
        g->settings->memory.url[0] != '\0')
        ask_memory(g);
    else
        begin_stages(g);
}

void generation_cut(struct generation *g)
{
    struct attempt *attempt = g->attempt;
    struct demo *demo = g->demo;

    g->attempt = NULL;
    g->demo = NULL;
    timer_stop(&g->pause);
    if (g->recall != NULL)
        memory_cancel(g->recall);
    g->recall = NULL;
    if (attempt != NULL)
        attempt_cancel(attempt);
    if (demo != NULL)
        demo_cancel(demo);
    /* Also while a retry waits: a probe that ends without a word lets another one go. */
    if (g->called != NULL)
        breaker_report(&g->called->breaker, &g->called->breaker_settings,
                       loop_now_ms(g->loop), &g->ticket, VERDICT_NEUTRAL);
}
