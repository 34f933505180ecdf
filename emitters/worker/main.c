/* main.c - argv, signals and exit codes of thinkwire-worker. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "base/mem.h"
#include "base/spare.h"
#include "report.h"
#include "worker_settings.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define ERROR_BYTES 4096

struct program {
    /* first, so that the rows of settings.c fit */
    struct worker_settings worker;
    char *bus;
    char *redis_prefix;
    uint64_t redis_wait_ms;
    unsigned log_level;
    unsigned log_format;
    struct loop *loop;
    struct worker *running;
    struct spare *spare;
    struct timer deadline;
    bool is_ending;
};

static const struct config_row own_rows[] = {
    {.name = "bus",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct program, bus),
     .default_text = "redis://127.0.0.1:6379",
     .help = "Redis that the brokers use: redis://[user:pass@]host:port[/db], "
             "redis+sentinel://..., unix://...",
     .group = "Bus"},
    {.name = "redis-prefix",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct program, redis_prefix),
     .default_text = "tw",
     .help = "What keys begin with; the same as the brokers'.",
     .group = "Bus"},
    {.name = "redis-wait-ms",
     .type = CONFIG_U64,
     .offset = offsetof(struct program, redis_wait_ms),
     .default_text = "1000",
     .max = CONFIRM_WAIT_MAX_MS,
     .help =
         "How long the end of a run waits for a replica to have it, where there are "
         "replicas; 0 = not at all.",
     .group = "Bus"},
    {.name = "log-level",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct program, log_level),
     .default_text = "info",
     .choices = "error|warn|info|debug",
     .help = "What is written to stderr.",
     .group = "Log"},
    {.name = "log-format",
     .type = CONFIG_ENUM,
     .offset = offsetof(struct program, log_format),
     .default_text = "text",
     .choices = "text|json",
     .help = "Lines as text or as JSON objects.",
     .group = "Log"},
};
#define OWN_ROWS (sizeof(own_rows) / sizeof(own_rows[0]))

static const char intro[] =
    "Takes generation requests from Redis, calls model providers and streams what they answer."
    "\nStart as many as you need; they share the load."
    "\n  thinkwire-worker --bus redis://127.0.0.1:6379 --providers providers.conf";

/* ---- the end ---- */

static void on_drained(void *ctx)
{
    struct program *program = ctx;

    loop_stop(program->loop);
}

static void on_deadline(struct timer *timer)
{
    struct program *program = LIST_ENTRY(timer, struct program, deadline);

    diag(DIAG_WARN, "ending with generations at work",
         DIAG_N("generations", worker_active(program->running)));
    loop_stop(program->loop);
}

/* The first signal lets finish what runs, the second does not. */
static void on_signal(void *ctx, int signum)
{
    struct program *program = ctx;

    if (program->is_ending) {
        loop_stop(program->loop);
        return;
    }
    program->is_ending = true;
    diag(DIAG_INFO, "worker ends", DIAG_N("signal", signum),
         DIAG_N("generations", worker_active(program->running)));
    timer_start(&program->deadline, program->worker.finish_ms, 0);
    worker_drain(program->running, on_drained, program);
}

/* ---- the beginning ---- */

/* What memory goes with: see base/spare.h. */
static size_t count_alive(void *ctx)
{
    const struct program *program = ctx;

    return worker_active(program->running);
}

static int work(struct program *program, struct buf *error)
{
    struct providers providers = {0};
    struct worker_source_redis_options bus = {.url = program->bus,
                                              .prefix = program->redis_prefix,
                                              .job_silent_ms =
                                                  program->worker.job_silent_ms,
                                              .redis_wait_ms = program->redis_wait_ms};
    struct worker_options options = {.providers = &providers};
    struct counters *counters = NULL;
    struct telemetry *telemetry = NULL;
    int status = EXIT_FAILURE;

    if (!worker_settings_providers(&program->worker, &providers, error))
        return EXIT_FAILURE;
    worker_settings_options(&program->worker, &options);
    program->loop = loop_new();
    counters = counters_new();
    telemetry = worker_settings_telemetry(&program->worker, counters);
    options.on_report = report_rows;
    options.ctx = telemetry;
    timer_init(&program->deadline, program->loop, on_deadline);
    options.source = worker_source_redis_new(program->loop, &bus, error);
    if (options.source != NULL)
        program->running = worker_new(program->loop, &options, counters, error);
    if (program->running != NULL) {
        worker_settings_tell(&providers);
        loop_on_signal(program->loop, SIGTERM, on_signal, program);
        loop_on_signal(program->loop, SIGINT, on_signal, program);
        program->spare = spare_new(program->loop, count_alive, program);
        loop_run(program->loop);
        spare_free(program->spare);
        worker_free(program->running);
        status = EXIT_SUCCESS;
    }
    timer_release(&program->deadline);
    telemetry_free(telemetry);
    loop_free(program->loop);
    counters_free(counters);
    providers_release(&providers);
    return status;
}

static bool is_complete(void *target, struct buf *error)
{
    const struct program *program = target;

    return worker_settings_check(&program->worker, error);
}

static struct config_row *all_rows(void)
{
    struct config_row *rows =
        mem_array(OWN_ROWS + worker_row_count, sizeof(struct config_row));

    memcpy(rows, own_rows, sizeof(own_rows));
    memcpy(rows + OWN_ROWS, worker_rows, worker_row_count * sizeof(struct config_row));
    return rows;
}

int main(int argc, char **argv)
{
    struct program program = {0};
    struct config_row *rows = all_rows();
    struct config_request request = {
        .program = "thinkwire-worker",
        .version = THINKWIRE_VERSION,
        .intro = intro,
        .rows = rows,
        .row_count = OWN_ROWS + worker_row_count,
        .argc = argc - 1,
        .argv = argv + 1,
        .check = is_complete,
    };
    struct buf error;
    int status = EXIT_SUCCESS;

    signal(SIGPIPE, SIG_IGN);
    buf_init(&error, ERROR_BYTES);
    enum config_outcome outcome = config_load(&request, &program, &error);
    if (outcome == CONFIG_RUN) {
        diag_setup((enum diag_level)program.log_level,
                   (enum diag_format)program.log_format);
        status = work(&program, &error);
    } else if (outcome == CONFIG_FAILED) {
        status = EXIT_FAILURE;
    }
    if (status != EXIT_SUCCESS)
        fprintf(stderr, "thinkwire-worker: %s\n", buf_text(&error));
    config_release(rows, OWN_ROWS + worker_row_count, &program);
    buf_release(&error);
    free(rows);
    return status;
}
