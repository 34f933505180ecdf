/* main.c - thinkwire: one program, a subcommand per job. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "emitters/cli/tool.h"
#include "emitters/torture/torture.h"

#include <signal.h>
#include <stdio.h>

const struct tool tools[] = {
    {"emit", "publish events: from arguments, text or JSON lines on standard input",
     tool_emit},
    {"tail", "watch a task live, with the thinking timer", tool_tail},
    {"stop", "ask a run to stop, wherever it is generated", tool_stop},
    {"fire", "ask a running system through its chat endpoints, and judge the answers",
     tool_fire},
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
