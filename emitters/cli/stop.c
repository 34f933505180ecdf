/* stop.c - thinkwire stop: asks the run of a task to stop. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "emitters/cli/tool.h"
#include "http/client.h"
#include "schema/run.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

struct stop_options {
    char *url;
    char *site;
    char *token;
    uint64_t epoch;
    uint64_t timeout_ms;
};

struct stop {
    struct stop_options options;
    const char *url; /* without a slash at its end */
    struct loop *loop;
    int exit_code;
};

#define TEXT_ROW(row, field, value, text)                                              \
    {                                                                                  \
        .name = (row), .type = CONFIG_TEXT,                                            \
        .offset = offsetof(struct stop_options, field), .default_text = (value),       \
        .help = (text), .group = "Options"                                             \
    }
static const struct config_row rows[] = {
    TEXT_ROW("url", url, TOOL_BROKER_URL, "The broker."),
    TEXT_ROW("site", site, "", "Site of the task."),
    TEXT_ROW("token", token, "", "Bearer token for a broker that asks for one."),
    {.name = "epoch",
     .type = CONFIG_U64,
     .offset = offsetof(struct stop_options, epoch),
     .default_text = "0",
     .max = UINT64_C(1) << 53,
     .help = "Only this run of the task (the number before the dash of its ids); 0 = "
             "whichever is current.",
     .group = "Options"},
    {.name = "timeout-ms",
     .type = CONFIG_U64,
     .offset = offsetof(struct stop_options, timeout_ms),
     .default_text = "10000",
     .min = 1,
     .max = 86400000,
     .help = "Give up when there is no answer for so long.",
     .group = "Options"},
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const char intro[] =
    "Asks the run of a task to stop, wherever it is generated. Prints accepted, no_producer "
    "(nobody was at work on it; it has ended), already_finished, unknown_task or stale_epoch.\n"
    "\n"
    "  thinkwire stop t1\n"
    "  thinkwire stop t1 --epoch 1795233683811\n"
    "\n"
    "Exit codes: 0 the run has ended or is about to, 2 malformed, 4 the broker is not there, 5 "
    "refused or unknown.\n";

static bool is_over(struct slice status)
{
    return slice_is(status, stop_status_name(STOP_ACCEPTED)) ||
           slice_is(status, stop_status_name(STOP_NO_PRODUCER)) ||
           slice_is(status, stop_status_name(STOP_ALREADY_FINISHED));
}

static void on_done(void *ctx, const struct http_client_result *result)
{
    struct stop *stop = ctx;
    struct json_member status;

    if (result->outcome != HTTP_CLIENT_OK) {
        stop->exit_code =
            tool_fail("stop", TOOL_UNREACHABLE, "nothing answers at %s: %s", stop->url,
                      result->detail);
    } else if (json_check(result->body) && json_get(result->body, "status", &status) &&
               status.kind == JSON_STRING) {
        struct slice word = json_string_raw(status.value);
        printf("%.*s\n", (int)word.len, word.ptr);
        stop->exit_code = is_over(word) ? TOOL_OK : TOOL_REFUSED;
    } else {
        stop->exit_code =
            tool_fail("stop", TOOL_REFUSED, "the broker answered %u", result->status);
    }
    loop_stop(stop->loop);
}

static void ask(struct stop *stop, const char *task)
{
    const struct stop_options *o = &stop->options;
    struct buf url;
    struct buf bearer;

    buf_init(&url, 4096);
    buf_init(&bearer, 65536);
    (void)buf_printf(&url, "%s/v1/tasks/%s/stop?site=%s", stop->url, task, o->site);
    if (o->epoch != 0)
        (void)buf_printf(&url, "&epoch=%" PRIu64, o->epoch);
    (void)buf_printf(&bearer, "Authorization: Bearer %s", o->token);
    const char *headers[] = {buf_text(&bearer)};
    struct http_client_request request = {
        .method = "POST",
        .url = buf_text(&url),
        .headers = headers,
        .header_count = o->token[0] != '\0' ? 1 : 0,
        .body = slice_make("{}", 2),
        .total_timeout_ms = o->timeout_ms,
        .on_done = on_done,
        .ctx = stop,
    };
    stop->loop = loop_new();
    struct http_client *client = http_client_new(stop->loop, NULL);
    http_client_start(client, &request);
    loop_run(stop->loop);
    http_client_free(client);
    loop_free(stop->loop);
    buf_release(&url);
    buf_release(&bearer);
}

static int run(struct stop *stop, const struct config_list *words)
{
    if (words->count != 1)
        return tool_fail("stop", TOOL_USAGE,
                         "which task? thinkwire stop TASK (thinkwire stop --help)");
    if (tool_check_task("stop", words->items[0]) != TOOL_OK ||
        tool_check_site("stop", stop->options.site) != TOOL_OK)
        return TOOL_USAGE;
    stop->url = tool_broker_url(stop->options.url);
    if (stop->url == NULL)
        return tool_fail("stop", TOOL_USAGE,
                         "a broker is asked: --url http://host:port");
    ask(stop, words->items[0]);
    return stop->exit_code;
}

int tool_stop(int argc, char **argv)
{
    struct stop stop = {0};
    struct config_list words = {0};
    struct config_request request = {
        .program = "thinkwire stop",
        .version = THINKWIRE_VERSION,
        .intro = intro,
        .rows = rows,
        .row_count = ROW_COUNT,
        .argc = argc,
        .argv = argv,
        .positional = &words,
    };
    int code = TOOL_OK;

    if (!tool_config(&request, &stop.options, &code))
        return code;
    code = run(&stop, &words);
    config_release(rows, ROW_COUNT, &stop.options);
    config_list_release(&words);
    return code;
}
