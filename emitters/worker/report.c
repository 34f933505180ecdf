/* report.c - the rows of telemetry that a run leaves. */
/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "base/telemetry.h"
#include "codec/json.h"

#include <inttypes.h>

#define ROW_BYTES 8192

static void put_text(struct buf *out, const char *name, const char *value)
{
    (void)buf_printf(out, ",\"%s\":", name);
    (void)json_quote(out, slice_of(value == NULL ? "" : value));
}

static void put_number(struct buf *out, const char *name, uint64_t value)
{
    (void)buf_printf(out, ",\"%s\":%" PRIu64, name, value);
}

/* Whose run it was. */
static void put_names(struct buf *out, const struct generation_report *report)
{
    (void)buf_puts(out, "{\"task_id\":");
    (void)json_quote(out, report->task.task_id);
    (void)buf_puts(out, ",\"site\":");
    (void)json_quote(out, report->task.site);
    put_text(out, "request_id", report->ask->request_id);
    put_text(out, "conversation_id", report->ask->conversation_id);
    put_text(out, "provider", report->provider);
    put_text(out, "model", report->model);
}

static void put_tokens(struct buf *out, const struct generation_report *report)
{
    uint64_t tokens = report->usage.tokens_out;
    uint64_t ms = report->elapsed_ms - report->first_token_ms;

    put_number(out, "tokens_in", report->usage.tokens_in);
    put_number(out, "tokens_out", tokens);
    put_number(out, "reasoning_tokens", report->usage.reasoning_tokens);
    put_number(out, "continuation_tokens", report->is_continue ? tokens : 0);
    if (tokens > 0)
        (void)buf_printf(out, ",\"tokens_per_sec\":%.2f",
                         (double)tokens * 1000.0 / (double)(ms == 0 ? 1 : ms));
    if (report->cost_usd[0] != '\0')
        (void)buf_printf(out, ",\"cost_usd\":%s", report->cost_usd);
}

static void put_call(struct buf *out, const struct generation_report *report)
{
    put_names(out, report);
    put_text(out, "mode", ask_mode_name(report->ask->mode));
    put_text(out, "outcome", report->outcome);
    put_text(out, "code", report->code);
    put_text(out, "finish_reason", report->finish);
    put_text(out, "breaker", report->breaker);
    put_number(out, "provider_retry_count", report->retries);
    put_number(out, "fallbacks", report->fallbacks);
    put_number(out, "api_switches", report->api_switches);
    put_number(out, "empty_answers", report->empty_answers);
    put_number(out, "total_ms", report->elapsed_ms);
    if (report->first_token_ms > 0)
        put_number(out, "ttft_ms", report->first_token_ms);
    put_number(out, "memory_ms", report->memory_ms);
    put_number(out, "memory_results", report->memory_results);
    put_tokens(out, report);
    put_number(out, "text_length", report->text_length);
    put_number(out, "partial_length", report->partial_length);
    put_number(out, "trimmed_bytes", report->trimmed_bytes);
    (void)buf_printf(out, ",\"partial_shortened\":%s}",
                     report->was_shortened ? "true" : "false");
}

static void put_error(struct buf *out, const struct generation_report *report)
{
    put_names(out, report);
    put_text(out, "code", report->code);
    put_number(out, "status", report->failure->status);
    put_text(out, "provider_code", report->failure->code);
    (void)buf_putc(out, '}');
}

void report_rows(void *ctx, const struct generation_report *report)
{
    struct telemetry *telemetry = ctx;
    bool is_bad =
        strcmp(report->outcome, "error") == 0 || strcmp(report->outcome, "lost") == 0;
    struct buf payload;

    if (telemetry == NULL)
        return;
    buf_init(&payload, ROW_BYTES);
    put_call(&payload, report);
    if (!payload.failed)
        telemetry_row(telemetry, "openai_call", buf_view(&payload));
    buf_reset(&payload);
    if (is_bad)
        put_error(&payload, report);
    if (is_bad && !payload.failed)
        telemetry_row(telemetry, "error", buf_view(&payload));
    buf_release(&payload);
}
