/* tool.h - the subcommands of thinkwire. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CLI_TOOL_H
#define THINKWIRE_CLI_TOOL_H

#include "base/config.h"

/* What every subcommand exits with. */
enum tool_exit {
    TOOL_OK = 0,
    TOOL_RUN_FAILED = 1,  /* the run ended with an error */
    TOOL_USAGE = 2,       /* the command line or the input is malformed */
    TOOL_STOPPED = 3,     /* the run was stopped */
    TOOL_UNREACHABLE = 4, /* nothing listens, or it went away for too long */
    TOOL_REFUSED = 5, /* the far end will not: rights, unknown task, another owner */
    TOOL_INTERRUPTED = 130
};

struct tool {
    const char *name;
    const char *summary;               /* one line of `thinkwire --help` */
    int (*run)(int argc, char **argv); /* without the program and the subcommand */
};
extern const struct tool tools[];
extern const size_t tool_count;

int tool_emit(int argc, char **argv);
int tool_tail(int argc, char **argv);
int tool_stop(int argc, char **argv);
int tool_fire(int argc, char **argv);
int tool_token(int argc, char **argv);

/* Reads the command line into `target`; answers true to go on. Otherwise `*exit_code` is
 * what to exit with, and the reason was printed. */
bool tool_config(const struct config_request *request, void *target, int *exit_code);
/* "thinkwire emit: <message>" on stderr; answers `code`. */
int tool_fail(const char *tool, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* TOOL_OK, or what to exit with when one of the names is not native: it was said. */
int tool_check_task(const char *tool, const char *task_id);
int tool_check_site(const char *tool, const char *site);
bool tool_is_http(const char *url);
/* Where a broker is, of a row "url" whose default is TOOL_BROKER_URL: slashes at its end are
 * taken off, in place. THINKWIRE_URL may name a Redis, for `emit`: then it is the default.
 * NULL: the command line names something else than a broker. */
#define TOOL_BROKER_URL "http://127.0.0.1:9000"
const char *tool_broker_url(char *url);
/* For messages: `url` without name and password. */
void tool_shown_url(const char *url, struct buf *out);

#endif
