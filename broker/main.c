/* main.c - argv and exit codes of thinkwired. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "bench.h"
#include "broker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define ERROR_LIMIT 4096

static int complain(struct buf *error)
{
    fprintf(stderr, "thinkwired: %s\n", buf_text(error));
    return EXIT_FAILURE;
}

/* What a bench's files say is part of the configuration. */
static bool complete(void *target, struct buf *error)
{
    struct settings *settings = target;

    return (settings->frappe_bench[0] == '\0' || bench_apply(settings, error)) &&
           settings_check(settings, error) &&
           (!settings->hires || worker_settings_check(&settings->worker, error));
}

static int serve(const struct settings *settings, struct buf *error)
{
    struct broker *broker;

    diag_setup((enum diag_level)settings->log_level,
               (enum diag_format)settings->log_format);
    broker = broker_new(settings, error);
    if (broker == NULL)
        return complain(error);
    broker_run(broker);
    broker_free(broker);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct settings settings = {0};
    size_t row_count = 0;
    struct config_row *rows = settings_rows(&row_count);
    struct config_request request = {
        .program = "thinkwired",
        .version = THINKWIRE_VERSION,
        .intro = settings_intro,
        .rows = rows,
        .row_count = row_count,
        .argc = argc - 1,
        .argv = argv + 1,
        .check = complete,
    };
    struct buf error;
    int status = EXIT_SUCCESS;

    /* A peer that goes away is told by write(), not by a signal. */
    signal(SIGPIPE, SIG_IGN);
    buf_init(&error, ERROR_LIMIT);
    switch (config_load(&request, &settings, &error)) {
    case CONFIG_RUN:
        status = serve(&settings, &error);
        break;
    case CONFIG_DONE:
        break;
    case CONFIG_FAILED:
        status = complain(&error);
        break;
    }
    config_release(rows, row_count, &settings);
    free(rows);
    buf_release(&error);
    return status;
}
