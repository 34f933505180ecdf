/* fire_row.c - the fire test's table, and the lines of its report. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/utf8.h"
#include "codec/json.h"
#include "emitters/cli/fire.h"

#include <inttypes.h>

void fire_sum_add(struct fire_sum *sum, const struct fire_result *result)
{
    sum->requests++;
    sum->failed += result->failure.len > 0;
    sum->tokens += result->answer->tokens;
    sum->events += result->answer->events;
    sum->time_ms += result->total_ms;
    sum->firsts += result->has_first;
    sum->first_ms += result->has_first ? result->first_ms : 0;
}

uint64_t fire_sum_first_ms(const struct fire_sum *sum)
{
    return sum->firsts == 0 ? 0 : sum->first_ms / sum->firsts;
}

/* ---- the table ---- */

void fire_table_head(FILE *out)
{
    (void)fprintf(out, "%-17s  %-29s  %8s  %7s  %7s  %11s  %10s  %s\n", "case", "path",
                  "requests", "tokens", "events", "first token", "time", "result");
}

void fire_table_row(FILE *out, const struct fire_case *which, const char *path,
                    const struct fire_sum *sum)
{
    char first[32] = "-";

    if (sum->firsts > 0)
        (void)snprintf(first, sizeof(first), "%" PRIu64 " ms", fire_sum_first_ms(sum));
    (void)fprintf(out,
                  "%-17s  %-29s  %8" PRIu64 "  %7" PRIu64 "  %7" PRIu64
                  "  %11s  %7" PRIu64 " ms  %s\n",
                  which->name, path, sum->requests, sum->tokens, sum->events, first,
                  sum->time_ms, sum->failed == 0 ? "ok" : "FAILED");
}

/* ---- the report ---- */

static void put_text(struct buf *out, const char *name, struct slice text)
{
    (void)buf_printf(out, ",\"%s\":", name);
    (void)json_quote(out, text);
}

static void put_number(struct buf *out, const char *name, uint64_t value)
{
    (void)buf_printf(out, ",\"%s\":%" PRIu64, name, value);
}

static void put_flag(struct buf *out, const char *name, bool value)
{
    (void)buf_printf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

static void put_head(struct buf *out, const char *type, uint64_t at_ms)
{
    char at[CLOCK_ISO_SIZE];

    clock_iso(at_ms, at);
    (void)buf_printf(out, "{\"type\":\"%s\",\"at\":\"%s\"", type, at);
}

void fire_report_request(struct buf *out, const struct fire_result *result,
                         const char *model)
{
    const struct fire_answer *answer = result->answer;

    put_head(out, "request", result->at_ms);
    put_text(out, "case", slice_of(result->which->name));
    put_text(out, "path", slice_of(result->path));
    put_number(out, "step", result->step + 1);
    put_text(out, "mode", slice_of(result->which->mode));
    put_text(out, "model", slice_of(model));
    put_number(out, "message_chars", result->chars);
    put_number(out, "status", result->status);
    put_text(out, "task_id", result->task_id);
    put_text(out, "request_id", result->request_id);
    put_number(out, "tokens", answer->tokens);
    put_number(out, "events", answer->events);
    put_number(out, "final_chars", utf8_length(answer->final.data, answer->final.len));
    if (result->has_first)
        put_number(out, "ttft_ms", result->first_ms);
    else
        (void)buf_puts(out, ",\"ttft_ms\":null");
    put_number(out, "total_ms", result->total_ms);
    put_flag(out, "ok", result->failure.len == 0);
    put_text(out, "failure", result->failure);
    (void)buf_puts(out, "}\n");
}

void fire_report_summary(struct buf *out, const struct fire_summary *summary)
{
    const struct fire_sum *sum = &summary->sum;

    put_head(out, "summary", summary->at_ms);
    put_text(out, "url", slice_of(summary->url));
    put_text(out, "version", slice_of(THINKWIRE_VERSION));
    put_number(out, "requests", sum->requests);
    put_number(out, "failed", sum->failed);
    put_number(out, "not_made", summary->not_made);
    put_number(out, "tokens", sum->tokens);
    put_number(out, "events", sum->events);
    put_number(out, "total_ms", sum->time_ms);
    if (sum->firsts > 0)
        put_number(out, "average_ttft_ms", fire_sum_first_ms(sum));
    else
        (void)buf_puts(out, ",\"average_ttft_ms\":null");
    put_number(out, "ttft_limit_ms", summary->first_limit_ms);
    put_flag(out, "ok", summary->is_good);
    (void)buf_puts(out, "}\n");
}
