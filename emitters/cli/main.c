/* main.c - thinkwire: one program, a subcommand per job. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "emitters/cli/tool.h"
#include "emitters/torture/torture.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

const struct tool tools[] = {
    {"emit", "publish events: from arguments, text or JSON lines on standard input",
     tool_emit},
    {"tail", "watch a task live, with the thinking timer", tool_tail},
    {"stop", "ask a run to stop, wherever it is generated", tool_stop},
    {"token", "mint a bearer token for a broker with --auth jwt", tool_token},
    {"torture", "a seeded fault proof: nothing lost, nothing doubled, every run ends",
     tool_torture},
};
const size_t tool_count = sizeof(tools) / sizeof(tools[0]);

static void list_tools(FILE *out)
{
    fprintf(out, "Usage: thinkwire SUBCOMMAND [options] [arguments]\n\n");
    for (size_t i = 0; i < tool_count; i++)
        fprintf(out, "  %-7s %s\n", tools[i].name, tools[i].summary);
    fprintf(out, "\n"
                 "  thinkwire emit --task t1 --type reasoning \"Analyzing...\"\n"
                 "  thinkwire tail t1\n"
                 "\n"
                 "thinkwire SUBCOMMAND --help tells the options of each.\n");
}

int tool_fail(const char *tool, int code, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "thinkwire %s: ", tool);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return code;
}

bool tool_config(const struct config_request *request, void *target, int *exit_code)
{
    struct buf error;
    buf_init(&error, 8192);
    enum config_outcome outcome = config_load(request, target, &error);
    if (outcome == CONFIG_FAILED)
        fprintf(stderr, "%s: %s\n", request->program, buf_text(&error));
    buf_release(&error);
    *exit_code = outcome == CONFIG_DONE ? TOOL_OK : TOOL_USAGE;
    return outcome == CONFIG_RUN;
}

bool tool_is_http(const char *url)
{
    return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

void tool_shown_url(const char *url, struct buf *out)
{
    const char *authority = strstr(url, "://");
    const char *at = strrchr(url, '@');
    const char *rest = url;
    if (authority != NULL && at != NULL) {
        buf_append(out, url, (size_t)(authority - url) + 3);
        rest = at + 1;
    }
    /* Behind sentinels a query may hold their password. */
    buf_append(out, rest, strcspn(rest, "?"));
}

static const struct tool *find_tool(const char *name)
{
    for (size_t i = 0; i < tool_count; i++)
        if (strcmp(tools[i].name, name) == 0)
            return &tools[i];
    return NULL;
}

static int unknown_tool(const char *name)
{
    fprintf(stderr, "thinkwire: there is no subcommand \"%.40s\"; there are:", name);
    for (size_t i = 0; i < tool_count; i++)
        fprintf(stderr, " %s", tools[i].name);
    fputc('\n', stderr);
    return TOOL_USAGE;
}

int main(int argc, char **argv)
{
    /* A reader that went away is seen by the write that fails. */
    signal(SIGPIPE, SIG_IGN);
    diag_setup(DIAG_ERROR, DIAG_TEXT);
    if (argc < 2) {
        list_tools(stderr);
        return TOOL_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("thinkwire %s\n", THINKWIRE_VERSION);
        return TOOL_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        list_tools(stdout);
        return TOOL_OK;
    }
    const struct tool *tool = find_tool(argv[1]);
    if (tool == NULL)
        return unknown_tool(argv[1]);
    return tool->run(argc - 2, argv + 2);
}
