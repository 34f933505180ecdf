/* generation.c - one run: from a request to its terminal event. */
/* SPDX-License-Identifier: MIT */
#include "generation_inside.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "codec/json.h"
#include "cut.h"

#include <stdlib.h>

#define TEXT_MAX_BYTES ((size_t)EMITTER_MAX_TEXT_BYTES)
#define EVENT_BYTES    4096
#define WHOLE_BYTES    ((size_t)32768)

/* ---- what is told ---- */

/* Before the first event: the run is ours for good from here on. */
static void begin(struct generation *g)
{
    struct buf event;

    if (g->has_begun)
        return;
    g->has_begun = true;
    if (g->partial_length > 0 || g->is_continue) {
        buf_init(&event, EVENT_BYTES);
        (void)buf_printf(&event,
                         "{\"type\":\"continue_started\","
                         "\"continuation_from_length\":%zu}",
                         g->partial_length);
        (void)emitter_event(g->emitter, buf_view(&event));
        buf_release(&event);
    }
    if (g->owner.on_begun != NULL)
        g->owner.on_begun(g->owner.ctx, g);
}

static void note_token(struct generation *g, bool is_text)
{
    begin(g);
    judge_token(&g->judge, is_text);
    if (g->first_token_ms == 0)
        g->first_token_ms = loop_now_ms(g->loop) - g->started_ms + 1;
}

/* The emitter has ended the run by itself: it could not keep what was said. */
static void note_refusal(struct generation *g)
{
    if (g->outcome != NULL)
        return;
    g->outcome = "error";
    g->code = emitter_stats(g->emitter)->has_overflowed ? "EMITTER_OVERFLOW"
                                                        : "RUN_TOO_LARGE";
    turn_defer(g->loop, &g->cut); /* we may be inside the attempt */
}

static void on_cut(struct turn_task *task)
{
    generation_cut(LIST_ENTRY(task, struct generation, cut));
}

/* A plain answer that nothing was said before says so: a broker may still answer with one
 * document instead of a stream (R16). A long one is cut into deltas as any other. */
static bool tell_whole(struct generation *g, struct slice text)
{
    struct buf event;
    bool is_told;

    if (!g->step.is_plain || g->text.len > 0 || text.len > WHOLE_BYTES ||
        !utf8_is_valid(text.ptr, text.len))
        return false;
    buf_init(&event, SIZE_MAX);
    (void)buf_puts(&event, "{\"type\":\"text\",\"text\":");
    (void)json_quote(&event, text);
    (void)buf_puts(&event, ",\"partial\":true,\"whole\":true}");
    is_told = emitter_event(g->emitter, buf_view(&event));
    buf_release(&event);
    return is_told;
}

static void tell_text(struct generation *g, struct slice text)
{
    bool is_whole;

    if (text.len == 0 || g->outcome != NULL)
        return;
    note_token(g, true);
    is_whole = tell_whole(g, text);
    (void)buf_slice(&g->text, text);
    g->text_length += utf8_length(text.ptr, text.len);
    if (!is_whole && !emitter_text(g->emitter, text))
        note_refusal(g);
}

static void tell_reasoning(struct generation *g, struct slice text)
{
    if (g->step.drops_reasoning || g->outcome != NULL)
        return;
    note_token(g, false);
    if (!emitter_reasoning(g->emitter, text))
        note_refusal(g);
}

/* What the model says while it plans is thinking, whatever it calls it. */
static void take_text(struct generation *g, struct slice text)
{
    if (g->stage == STAGE_PLAN) {
        (void)buf_slice(&g->plan, text);
        tell_reasoning(g, text);
        return;
    }
    if (!g->is_trimming) {
        tell_text(g, text);
        return;
    }
    buf_reset(&g->scratch);
    trim_feed(&g->trim, text, &g->scratch);
    tell_text(g, buf_view(&g->scratch));
}

static void tell_tool(struct generation *g, struct slice json)
{
    bool is_list = json.len > 0 && json.ptr[0] == '[';
    struct buf event;

    note_token(g, true);
    buf_init(&event, EVENT_MAX_BYTES);
    (void)buf_puts(&event, "{\"type\":\"tool_call\",\"tool_calls\":");
    (void)buf_puts(&event, is_list ? "" : "[");
    (void)buf_slice(&event, json);
    (void)buf_puts(&event, is_list ? "}" : "]}");
    if (!event.failed)
        (void)emitter_event(g->emitter, buf_view(&event));
    buf_release(&event);
}

static void keep_name(struct generation *g, struct slice name)
{
    size_t len =
        name.len < sizeof(g->model_name) - 1 ? name.len : sizeof(g->model_name) - 1;

    if (!utf8_is_valid(name.ptr, len))
        return;
    memcpy(g->model_name, name.ptr, len);
    g->model_name[len] = '\0';
}

void generation_on_value(void *ctx, const struct stream_value *value)
{
    struct generation *g = ctx;

    switch (value->kind) {
    case STREAM_REASONING:
        tell_reasoning(g, value->text);
        break;
    case STREAM_TEXT:
        take_text(g, value->text);
        break;
    case STREAM_TOOL:
        tell_tool(g, value->text);
        break;
    case STREAM_MODEL:
        keep_name(g, value->text);
        break;
    case STREAM_USAGE:
        g->usage.tokens_in += value->usage.tokens_in;
        g->usage.tokens_out += value->usage.tokens_out;
        g->usage.reasoning_tokens += value->usage.reasoning_tokens;
        g->usage.cached_tokens += value->usage.cached_tokens;
        g->has_usage = true;
        break;
    case STREAM_DONE:
    case STREAM_FAILED:
        break; /* an attempt keeps these to itself */
    }
}

/* ---- the end ---- */

/* {"tokens_in":..,"model":".."} without the braces. */
static void write_usage(struct generation *g, struct buf *out)
{
    (void)buf_puts(out, "\"model\":");
    (void)json_quote(out, slice_of(g->model_name));
    if (!g->has_usage)
        return;
    (void)buf_printf(out,
                     ",\"tokens_in\":%" PRIu64 ",\"tokens_out\":%" PRIu64
                     ",\"reasoning_tokens\":%" PRIu64,
                     g->usage.tokens_in, g->usage.tokens_out,
                     g->usage.reasoning_tokens);
    if (g->model != NULL &&
        model_cost(g->model, g->usage.tokens_in, g->usage.tokens_out, g->cost_usd))
        (void)buf_printf(out, ",\"cost_usd\":%s", g->cost_usd);
}

/* Something to go on from, and not at its end: a continue is offered (S12). */
static void tell_cut(const struct generation *g, struct buf *members)
{
    struct slice text = buf_view(&g->text);
    bool is_done = strcmp(g->outcome, "completed") == 0;
    bool is_whole = is_done && (g->finish == FINISH_TOOL_CALLS ||
                                (g->finish != FINISH_LENGTH && !cut_breaks_off(text)));

    if (text.len > 0 && !is_whole)
        (void)buf_printf(members, "%s\"incomplete\":true,\"cut\":\"%s\"",
                         members->len == 0 ? "" : ",",
                         cut_point_name(cut_point_of(text)));
}

/* As an event for who watches, and with the end for who comes later. */
static void tell_usage(struct generation *g)
{
    struct buf members;
    struct buf event;

    buf_init(&members, EVENT_BYTES);
    buf_init(&event, EVENT_BYTES + 64);
    write_usage(g, &members);
    if (g->has_usage) {
        (void)buf_puts(&event, "{\"type\":\"usage\",");
        (void)buf_slice(&event, buf_view(&members));
        (void)buf_putc(&event, '}');
        (void)emitter_event(g->emitter, buf_view(&event));
    }
    if (g->finish != FINISH_NONE)
        (void)buf_printf(&members, ",\"finish_reason\":\"%s\"",
                         stream_finish_name(g->finish));
    tell_cut(g, &members);
    emitter_end_with(g->emitter, buf_view(&members));
    buf_release(&members);
    buf_release(&event);
}

static void finish_with_failure(struct generation *g, enum failure_class class)
{
    struct buf members;

    g->outcome = "error";
    g->code = failure_code(class);
    begin(g);
    tell_usage(g);
    buf_init(&members, EVENT_BYTES);
    tell_cut(g, &members);
    emitter_end_with(g->emitter, buf_view(&members));
    buf_release(&members);
    (void)emitter_fail(g->emitter, g->code, slice_of(failure_text(class)));
}

static void finish_with_answer(struct generation *g)
{
    g->outcome = "completed";
    begin(g);
    tell_usage(g);
    (void)emitter_complete(g->emitter);
}

static void finish_stopped(struct generation *g)
{
    if (g->outcome != NULL)
        return;
    g->outcome = "stopped";
    begin(g);
    tell_usage(g);
    (void)emitter_stopped(g->emitter);
}

void generation_finish(struct generation *g, const struct judge_step *step)
{
    if (g->outcome != NULL)
        return; /* ended meanwhile; on_ended is on its way */
    if (g->is_trimming && !trim_is_decided(&g->trim)) {
        buf_reset(&g->scratch);
        trim_end(&g->trim, &g->scratch);
        tell_text(g, buf_view(&g->scratch));
    }
    switch (step->end) {
    case JUDGE_ANSWER:
        finish_with_answer(g);
        break;
    case JUDGE_ERROR:
    case JUDGE_PARTIAL:
        finish_with_failure(g, step->failure);
        break;
    case JUDGE_CANCELLED:
        finish_stopped(g);
        break;
    }
}

void generation_refuse(struct generation *g, const char *code, const char *message)
{
    g->outcome = "error";
    g->code = code;
    begin(g);
    (void)emitter_fail(g->emitter, code, slice_of(message));
}

static const struct generation_report *write_report(struct generation *g,
                                                    struct generation_report *report)
{
    *report = (struct generation_report){
        .ask = &g->ask,
        .task = g->task,
        .epoch = g->claim_epoch,
        .outcome = g->outcome,
        .code = g->code,
        .provider = g->called == NULL ? "" : g->called->provider->name,
        .model = g->model_name,
        .finish = stream_finish_name(g->finish),
        .started_ms = g->started_wall_ms,
        .elapsed_ms = loop_now_ms(g->loop) - g->started_ms,
        .first_token_ms = g->first_token_ms == 0 ? 0 : g->first_token_ms - 1,
        .memory_ms = g->memory_ms,
        .memory_results = g->memory_results,
        .usage = g->usage,
        .cost_usd = g->cost_usd,
        .text_length = g->text_length,
        .is_continue = g->is_continue,
        .partial_length = g->partial_length,
        .trimmed_bytes = g->trimmed_bytes,
        .retries = g->earlier.retries + g->judge.retries,
        .fallbacks = g->earlier.fallbacks + g->judge.fallbacks,
        .api_switches = g->earlier.api_switches + g->judge.api_switches,
        .breaker = g->called == NULL ? ""
                                     : breaker_state_name(&g->called->breaker,
                                                          &g->called->breaker_settings,
                                                          loop_now_ms(g->loop)),
        .empty_answers = g->empty_answers,
        .was_shortened = g->was_shortened,
        .failure = &g->failure,
    };
    if (g->is_trimming)
        report->trimmed_bytes += g->trim.trimmed_bytes;
    return report;
}

/* Our terminal event stands, or somebody else's does. */
static void on_ended(void *ctx, enum publish_status status)
{
    struct generation *g = ctx;
    struct generation_report report;

    generation_cut(g);
    if (g->outcome == NULL)
        note_refusal(g);
    if (status != PUBLISH_OK) {
        g->outcome = status == PUBLISH_ENDED ? "stopped" : "lost";
        g->code = publish_status_name(status);
    }
    g->owner.on_over(g->owner.ctx, g, write_report(g, &report));
    generation_free(g);
}

static void on_stop(void *ctx)
{
    generation_stop(ctx);
}

void generation_stop(struct generation *g)
{
    if (g->outcome != NULL)
        return;
    generation_cut(g);
    finish_stopped(g);
}

/* ---- life ---- */

static struct emitter *open_emitter(struct generation *g, struct emitter_sink *sink,
                                    const struct generation_job *job)
{
    struct emitter_options options = {
        .task = g->task,
        .window_ms = g->ask.is_live ? 0 : EMITTER_WINDOW_MS,
        .lease_ms = job->lease_ms,
        .opens_as = RUN_QUEUED, /* until the first event */
        .claim_epoch = job->claim_epoch,
        .request = job->request, /* should Redis lose it */
        .keeps_text = job->keeps_text,
        .earlier_text = job->earlier_text,
        .earlier_reasoning = job->earlier_reasoning,
        .on_ended = on_ended,
        .on_stop = on_stop,
        .ctx = g,
    };

    return emitter_new(g->loop, sink, &options);
}

/* The answer so far: what the client brought, and what was said here since. */
static void take_partial(struct generation *g, const struct generation_job *job)
{
    buf_init(&g->text, 2 * TEXT_MAX_BYTES);
    if (g->ask.partial != NULL)
        (void)buf_puts(&g->text, g->ask.partial);
    if (job->keeps_text)
        (void)buf_slice(&g->text, job->earlier_text);
    g->is_continue = job->keeps_text || g->text.len > 0;
    g->partial_length = g->text.len == 0 ? 0 : utf8_length(g->text.data, g->text.len);
}

struct generation *generation_start(struct loop *loop, struct roster *roster,
                                    const struct generation_settings *settings,
                                    struct emitter_sink *sink,
                                    const struct generation_job *job)
{
    struct generation *g = mem_new(sizeof(*g));
    struct buf error;

    g->loop = loop;
    g->roster = roster;
    g->settings = settings;
    g->owner = job->owner;
    g->claim_epoch = job->claim_epoch;
    g->started_ms = loop_now_ms(loop);
    g->started_wall_ms = clock_wall_ms();
    g->code = "";
    g->task = task_key_copy(&job->task);
    buf_init(&g->scratch, 2 * TEXT_MAX_BYTES);
    buf_init(&g->plan, TEXT_MAX_BYTES);
    buf_init(&g->said, 2 * TEXT_MAX_BYTES);
    buf_init(&g->memory, 2 * MEMORY_ANSWER_BYTES);
    timer_init(&g->pause, loop, generation_on_pause);
    turn_task_init(&g->cut, on_cut);
    buf_init(&error, EVENT_BYTES);
    bool is_read = ask_read(&g->ask, job->request, &error);
    take_partial(g, job);
    g->emitter = open_emitter(g, sink, job);
    if (is_read)
        generation_begin_calls(g);
    else
        generation_refuse(g, "BAD_REQUEST", buf_text(&error));
    buf_release(&error);
    return g;
}

void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    generation_cut(g);
    turn_cancel(&g->cut);
    timer_release(&g->pause);
    emitter_free(g->emitter);
    if (g->is_trimming)
        trim_release(&g->trim);
    ask_release(&g->ask);
    task_key_release(&g->task);
    buf_release(&g->text);
    buf_release(&g->plan);
    buf_release(&g->memory);
    buf_release(&g->said);
    buf_release(&g->scratch);
    free(g);
}
