/* tool.c - what the subcommands of thinkwire have in common. */
/* SPDX-License-Identifier: MIT */
#include "emitters/cli/tool.h"

#include "schema/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

int tool_check_task(const char *tool, const char *task_id)
{
    if (task_id_is_native(slice_of(task_id)))
        return TOOL_OK;
    return tool_fail(tool, TOOL_USAGE, "a task id is 1 to 128 of A-Z a-z 0-9 . _ : -");
}

int tool_check_site(const char *tool, const char *site)
{
    if (site_is_native(slice_of(site)))
        return TOOL_OK;
    return tool_fail(tool, TOOL_USAGE, "a site is at most 128 of A-Z a-z 0-9 . _ -");
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

const char *tool_broker_url(char *url)
{
    const char *inherited = getenv("THINKWIRE_URL");
    size_t len = strlen(url);

    while (len > 0 && url[len - 1] == '/')
        url[--len] = '\0';
    if (tool_is_http(url))
        return url;
    return inherited != NULL && strncmp(inherited, url, len) == 0 ? TOOL_BROKER_URL
                                                                  : NULL;
}
