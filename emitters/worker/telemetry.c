/* telemetry.c - a line of JSON about each run, for those who count later. */
/* SPDX-License-Identifier: MIT */
#include "telemetry.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/mem.h"
#include "codec/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROW_BYTES 8192
#define DAY_CHARS 10 /* 2026-11-20 */
#define LEAVE_MS  1000

struct telemetry {
    char *dir;
    struct counter *rows;
    struct counter *lost;
    bool is_said; /* that rows are lost */
    pthread_t thread;
    bool has_thread;
    /* the thread's */
    int fd;
    char day[DAY_CHARS + 1];
    bool is_torn; /* the last line stands there in part */
    /* under the mutex: */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct buf queue;
    uint64_t queued; /* rows in it */
    uint64_t failed; /* rows that could not be written, not yet counted */
    int trouble;     /* errno of the last of them */
    bool is_ending;
    bool has_exited;
    bool is_abandoned; /* nobody waits: the thread frees */
};

/* ---- the file ---- */

static void telemetry_destroy(struct telemetry *telemetry)
{
    if (telemetry->fd >= 0)
        (void)close(telemetry->fd);
    buf_release(&telemetry->queue);
    pthread_mutex_destroy(&telemetry->mutex);
    pthread_cond_destroy(&telemetry->changed);
    free(telemetry->dir);
    free(telemetry);
}

/* Somebody may have taken it away to keep or to delete it. */
static bool is_gone(int fd)
{
    struct stat facts;

    return fstat(fd, &facts) != 0 || facts.st_nlink == 0;
}

static bool open_file(struct telemetry *telemetry)
{
    char now[CLOCK_ISO_SIZE];
    char path[4096];

    clock_iso(clock_wall_ms(), now);
    now[DAY_CHARS] = '\0';
    if (telemetry->fd >= 0 && strcmp(now, telemetry->day) == 0 &&
        !is_gone(telemetry->fd))
        return true;
    if (telemetry->fd >= 0)
        (void)close(telemetry->fd);
    (void)mkdir(telemetry->dir, 0750); /* the open tells whether that was of use */
    int len =
        snprintf(path, sizeof(path), "%s/telemetry-%s.jsonl", telemetry->dir, now);
    errno = ENAMETOOLONG;
    telemetry->fd = len < 0 || (size_t)len >= sizeof(path)
                        ? -1
                        : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    memcpy(telemetry->day, now, sizeof(telemetry->day));
    telemetry->is_torn = false;
    return telemetry->fd >= 0;
}

/* Whole lines in one write, so that those of several processes do not mix. */
static bool write_lines(struct telemetry *telemetry, struct slice lines)
{
    if (!open_file(telemetry))
        return false;
    if (telemetry->is_torn && write(telemetry->fd, "\n", 1) != 1)
        return false;
    telemetry->is_torn = false;
    ssize_t written = write(telemetry->fd, lines.ptr, lines.len);
    telemetry->is_torn = written > 0 && (size_t)written < lines.len;
    return written == (ssize_t)lines.len;
}

static void *run_thread(void *arg)
{
    struct telemetry *telemetry = arg;
    struct buf lines;

    buf_init(&lines, TELEMETRY_QUEUE_BYTES);
    pthread_mutex_lock(&telemetry->mutex);
    for (;;) {
        while (telemetry->queue.len == 0 && !telemetry->is_ending)
            pthread_cond_wait(&telemetry->changed, &telemetry->mutex);
        if (telemetry->queue.len == 0)
            break;
        uint64_t count = telemetry->queued;
        telemetry->queued = 0;
        struct buf full = telemetry->queue;
        telemetry->queue = lines;
        lines = full;
        pthread_mutex_unlock(&telemetry->mutex);
        bool is_written = write_lines(telemetry, buf_view(&lines));
        int trouble = errno;
        buf_reset(&lines);
        pthread_mutex_lock(&telemetry->mutex);
        telemetry->failed += is_written ? 0 : count;
        telemetry->trouble = is_written ? 0 : trouble;
    }
    telemetry->has_exited = true;
    bool is_abandoned = telemetry->is_abandoned;
    pthread_cond_broadcast(&telemetry->changed);
    pthread_mutex_unlock(&telemetry->mutex);
    buf_release(&lines);
    if (is_abandoned)
        telemetry_destroy(telemetry);
    return NULL;
}

/* ---- life ---- */

/* Signals are the loop's. */
static bool start_thread(struct telemetry *telemetry)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int fault = pthread_create(&telemetry->thread, NULL, run_thread, telemetry);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return fault == 0;
}

struct telemetry *telemetry_new(const char *dir, struct counters *counters)
{
    struct telemetry *telemetry = mem_new(sizeof(*telemetry));
    pthread_condattr_t attributes;

    telemetry->dir = mem_text(slice_of(dir));
    telemetry->fd = -1;
    telemetry->rows = counters_add(counters, COUNTER_TOTAL, "telemetry_rows_total",
                                   NULL, "Rows handed to telemetry");
    telemetry->lost = counters_add(counters, COUNTER_TOTAL, "telemetry_lost_total",
                                   NULL, "Rows of telemetry that could not be written");
    buf_init(&telemetry->queue, TELEMETRY_QUEUE_BYTES);
    pthread_mutex_init(&telemetry->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&telemetry->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    telemetry->has_thread = start_thread(telemetry);
    return telemetry;
}

static struct timespec deadline_in(uint64_t ms)
{
    uint64_t at = clock_mono_ns() + ms * UINT64_C(1000000);

    return (struct timespec){.tv_sec = (time_t)(at / UINT64_C(1000000000)),
                             .tv_nsec = (long)(at % UINT64_C(1000000000))};
}

void telemetry_free(struct telemetry *telemetry)
{
    if (telemetry == NULL)
        return;
    struct timespec deadline = deadline_in(LEAVE_MS);
    int late = 0;
    pthread_mutex_lock(&telemetry->mutex);
    telemetry->is_ending = true;
    pthread_cond_broadcast(&telemetry->changed);
    while (telemetry->has_thread && !telemetry->has_exited && late == 0)
        late =
            pthread_cond_timedwait(&telemetry->changed, &telemetry->mutex, &deadline);
    bool is_stuck = telemetry->has_thread && !telemetry->has_exited;
    telemetry->is_abandoned = is_stuck;
    pthread_mutex_unlock(&telemetry->mutex);
    if (is_stuck) {
        (void)pthread_detach(telemetry->thread);
        return;
    }
    if (telemetry->has_thread)
        (void)pthread_join(telemetry->thread, NULL);
    telemetry_destroy(telemetry);
}

/* ---- rows ---- */

static bool put_in_queue(struct telemetry *telemetry, struct slice line)
{
    size_t len = telemetry->queue.len;

    if (telemetry->has_thread && buf_slice(&telemetry->queue, line)) {
        telemetry->queued++;
        return true;
    }
    telemetry->queue.len = len; /* full: the thread is behind by a whole queue */
    telemetry->queue.failed = false;
    telemetry->failed++;
    return false;
}

static void note_losses(struct telemetry *telemetry, uint64_t failed, int trouble)
{
    if (failed == 0)
        return;
    counter_add(telemetry->lost, failed);
    if (!telemetry->is_said)
        diag(DIAG_DEBUG, "telemetry cannot be written", DIAG_S("dir", telemetry->dir),
             DIAG_S("why", trouble == 0 ? "the disk is too slow" : strerror(trouble)));
    telemetry->is_said = true;
}

void telemetry_row(struct telemetry *telemetry, const char *type, struct slice payload)
{
    char now[CLOCK_ISO_SIZE];
    struct buf line;

    clock_iso(clock_wall_ms(), now);
    buf_init(&line, payload.len + 200);
    (void)buf_printf(
        &line, "{\"type\":\"%s\",\"created_at\":\"%s\",\"payload_json\":", type, now);
    (void)buf_slice(&line, payload);
    (void)buf_puts(&line, "}\n");
    counter_add(telemetry->rows, 1);
    pthread_mutex_lock(&telemetry->mutex);
    if (!line.failed && put_in_queue(telemetry, buf_view(&line)))
        pthread_cond_broadcast(&telemetry->changed);
    uint64_t failed = telemetry->failed;
    int trouble = telemetry->trouble;
    telemetry->failed = 0;
    pthread_mutex_unlock(&telemetry->mutex);
    note_losses(telemetry, failed, trouble);
    buf_release(&line);
}

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

void telemetry_report(void *ctx, const struct generation_report *report)
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
