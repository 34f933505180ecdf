/* tail.c - thinkwire tail: watch a task live. */
/* SPDX-License-Identifier: MIT */
#include "emitters/cli/tail.h"

#include "base/clock.h"
#include "codec/json.h"
#include "http/client.h"

#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>

#define SSE_LIMIT    (8U << 20) /* of one event */
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 5000
#define SILENCE_MS   60000 /* heartbeats come every 10 s */

struct tail_options {
    char *url;
    char *site;
    char *from;
    char *token;
    bool raw;
    bool only_text;
    uint64_t give_up_ms;
};

struct tail {
    struct tail_options options;
    const char *url;
    const char *task_id;
    struct loop *loop;
    struct http_client *client;
    struct http_client_call *call;
    struct sse_parser *parser;
    struct tail_task task;
    struct buf last_id;
    struct buf refusal; /* body of an answer that is no stream */
    struct timer tick;
    struct timer retry;
    uint64_t retry_ms;
    uint64_t away_since_ms; /* 0 = connected */
    bool was_connected;
    unsigned status;
    int exit_code;
};

#define ROW(row_name, row_type, field, preset, row_help)                               \
    {                                                                                  \
        .name = (row_name), .type = (row_type),                                        \
        .offset = offsetof(struct tail_options, field), .default_text = (preset),      \
        .help = (row_help), .group = "Options"                                         \
    }
static const struct config_row rows[] = {
    ROW("url", CONFIG_TEXT, url, TOOL_BROKER_URL, "The broker."),
    ROW("site", CONFIG_TEXT, site, "", "The site (tenant) of the task."),
    {.name = "from",
     .type = CONFIG_TEXT,
     .offset = offsetof(struct tail_options, from),
     .default_text = "snapshot",
     .help = "Where to begin: snapshot (what was said so far, at once), start (every "
             "event that is kept), now.",
     .group = "Options"},
    ROW("token", CONFIG_TEXT, token, "",
        "Bearer token for a broker that asks for one."),
    ROW("raw", CONFIG_FLAG, raw, "off", "Print events as JSON, one per line."),
    ROW("only-text", CONFIG_FLAG, only_text, "off",
        "Print the answer and nothing else."),
    {.name = "give-up-ms",
     .type = CONFIG_U64,
     .offset = offsetof(struct tail_options, give_up_ms),
     .default_text = "60000",
     .max = 86400000,
     .help = "Give up when the broker was away for so long.",
     .group = "Options"},
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const char intro[] =
    "Watches a task until its run ends: a thinking timer, reasoning, then the answer. It "
    "may be started before, during or after the run, and reconnects by itself.\n"
    "\n"
    "  thinkwire tail t1\n"
    "  thinkwire tail t1 --only-text > answer.txt\n"
    "  thinkwire tail t1 --raw | jq .type\n"
    "  thinkwire tail t1 --url http://broker:9000 --site site1.local\n"
    "\n"
    "Exit codes: 0 completed, 1 the run ended with an error, 2 malformed, 3 stopped, 4 the "
    "broker is not there, 5 refused or unknown.\n";

static void connect_stream(struct tail *tail);

static void leave(struct tail *tail, int code)
{
    tail->exit_code = code;
    loop_stop(tail->loop);
}

/* ---- reconnecting ---- */

static void on_retry(struct timer *timer)
{
    connect_stream(LIST_ENTRY(timer, struct tail, retry));
}

static void reconnect(struct tail *tail)
{
    uint64_t now = clock_mono_ms();
    uint64_t wait = tail->retry_ms < RETRY_MIN_MS ? RETRY_MIN_MS : tail->retry_ms;
    if (tail->away_since_ms == 0)
        tail->away_since_ms = now;
    if (now - tail->away_since_ms >= tail->options.give_up_ms) {
        if (!tail->options.raw)
            view_end(&tail->task.view);
        leave(tail, tool_fail("tail", TOOL_UNREACHABLE, "%s went away", tail->url));
        return;
    }
    tail->retry_ms = wait * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : wait * 2;
    timer_start(&tail->retry, wait / 2 + random_below((uint32_t)wait), 0);
}

/* ---- answers ---- */

static void on_message(void *ctx, const struct sse_message *message)
{
    struct tail *tail = ctx;
    buf_reset(&tail->last_id);
    buf_slice(&tail->last_id, message->id);
    tail_task_take(&tail->task, message);
}

static void on_headers(void *ctx, unsigned status)
{
    struct tail *tail = ctx;
    tail->status = status;
    if (status != 200)
        return;
    tail->was_connected = true;
    tail->away_since_ms = 0;
    tail->retry_ms = 0;
}

static void on_body(void *ctx, struct slice data)
{
    struct tail *tail = ctx;
    if (tail->status == 200)
        sse_parser_feed(tail->parser, data);
    else
        buf_slice(&tail->refusal, data);
    if (tail->task.is_over)
        leave(tail, tail->task.exit_code);
}

/* {"error":{"code":"..","message":".."}} */
static void refused(struct tail *tail)
{
    struct json_member error;
    struct json_member m;
    struct buf words;
    struct slice body = buf_view(&tail->refusal);
    buf_init(&words, 4096);
    if (json_check(body) && json_get(body, "error", &error) &&
        error.kind == JSON_OBJECT && json_get(error.value, "message", &m) &&
        m.kind == JSON_STRING)
        json_unescape(&words, json_string_raw(m.value));
    leave(tail, tool_fail("tail", TOOL_REFUSED, "%s answers %u: %s", tail->url,
                          tail->status, buf_text(&words)));
    buf_release(&words);
}

static void on_done(void *ctx, const struct http_client_result *result)
{
    struct tail *tail = ctx;
    tail->call = NULL;
    if (result->outcome == HTTP_CLIENT_CANCELLED || tail->task.is_over)
        return;
    bool is_answer = result->outcome == HTTP_CLIENT_OK;
    if (is_answer && result->status == 204)
        leave(tail, TOOL_OK); /* ended while we were away, and we have all of it */
    else if (is_answer && result->status >= 400 && result->status < 500 &&
             result->status != 429)
        refused(tail);
    else if (result->outcome == HTTP_CLIENT_REFUSED)
        leave(tail, tool_fail("tail", TOOL_USAGE, "%s: %s", tail->url, result->detail));
    else if (!tail->was_connected && !is_answer)
        leave(tail, tool_fail("tail", TOOL_UNREACHABLE,
                              "nothing answers at %s (%s); start thinkwired, or name a "
                              "broker with --url",
                              tail->url, result->detail));
    else
        reconnect(tail);
}

/* ---- asking ---- */

static void connect_stream(struct tail *tail)
{
    struct buf url;
    struct buf bearer;
    struct buf last;
    const char *headers[3] = {"Accept: text/event-stream"};
    size_t count = 1;
    buf_init(&url, 4096);
    buf_init(&bearer, 65536);
    buf_init(&last, 4096);
    buf_printf(&url, "%s/v1/tasks/%s/events?from=%s&site=%s", tail->url, tail->task_id,
               tail->options.from, tail->options.site);
    buf_printf(&bearer, "Authorization: Bearer %s", tail->options.token);
    if (tail->options.token[0] != 0)
        headers[count++] = buf_text(&bearer);
    tail->task.is_begun_anew = tail->last_id.len == 0;
    buf_puts(&last, "Last-Event-ID: ");
    buf_slice(&last, buf_view(&tail->last_id));
    if (tail->last_id.len > 0)
        headers[count++] = buf_text(&last);
    sse_parser_free(tail->parser);
    tail->parser = sse_parser_new(SSE_LIMIT, on_message, tail);
    buf_reset(&tail->refusal);
    struct http_client_request request = {
        .url = buf_text(&url),
        .headers = headers,
        .header_count = count,
        .connect_timeout_ms = 5000,
        .idle_timeout_ms = SILENCE_MS,
        .on_headers = on_headers,
        .on_body = on_body,
        .on_done = on_done,
        .ctx = tail,
    };
    tail->status = 0;
    tail->call = http_client_start(tail->client, &request);
    buf_release(&url);
    buf_release(&bearer);
    buf_release(&last);
}

static void on_tick(struct timer *timer)
{
    struct tail *tail = LIST_ENTRY(timer, struct tail, tick);
    tail_task_tick(&tail->task);
}

static void on_signal(void *ctx, int signum)
{
    struct tail *tail = ctx;
    (void)signum;
    if (!tail->options.raw)
        view_end(&tail->task.view);
    leave(tail, TOOL_INTERRUPTED);
}

static int watch(struct tail *tail)
{
    tail->loop = loop_new();
    tail->client = http_client_new(tail->loop, NULL);
    buf_init(&tail->last_id, 1024);
    buf_init(&tail->refusal, 65536);
    tail_task_init(&tail->task, tail->options.raw, tail->options.only_text);
    timer_init(&tail->tick, tail->loop, on_tick);
    timer_init(&tail->retry, tail->loop, on_retry);
    /* Four times a second, so that no second is shown late. */
    timer_start(&tail->tick, 250, 250);
    loop_on_signal(tail->loop, SIGINT, on_signal, tail);
    loop_on_signal(tail->loop, SIGTERM, on_signal, tail);
    connect_stream(tail);
    loop_run(tail->loop);
    http_client_free(tail->client);
    sse_parser_free(tail->parser);
    timer_release(&tail->tick);
    timer_release(&tail->retry);
    tail_task_release(&tail->task);
    buf_release(&tail->last_id);
    buf_release(&tail->refusal);
    loop_free(tail->loop);
    return tail->exit_code;
}

/* ---- the command line ---- */

static int judge(struct tail *tail, const struct config_list *positional)
{
    const char *from = tail->options.from;
    if (positional->count != 1)
        return tool_fail("tail", TOOL_USAGE,
                         "which task? thinkwire tail TASK (thinkwire tail --help)");
    tail->task_id = positional->items[0];
    if (tool_check_task("tail", tail->task_id) != TOOL_OK ||
        tool_check_site("tail", tail->options.site) != TOOL_OK)
        return TOOL_USAGE;
    if (strcmp(from, "snapshot") != 0 && strcmp(from, "start") != 0 &&
        strcmp(from, "now") != 0)
        return tool_fail("tail", TOOL_USAGE, "--from is snapshot, start or now");
    tail->url = tool_broker_url(tail->options.url);
    if (tail->url == NULL)
        return tool_fail("tail", TOOL_USAGE,
                         "a task is watched through a broker: --url http://host:port");
    return TOOL_OK;
}

int tool_tail(int argc, char **argv)
{
    struct tail tail = {.exit_code = TOOL_UNREACHABLE};
    struct config_list positional = {NULL, 0};
    const struct config_request request = {
        .program = "thinkwire tail",
        .version = THINKWIRE_VERSION,
        .intro = intro,
        .rows = rows,
        .row_count = ROW_COUNT,
        .argc = argc,
        .argv = argv,
        .positional = &positional,
    };
    int code;
    if (tool_config(&request, &tail.options, &code)) {
        code = judge(&tail, &positional);
        if (code == TOOL_OK)
            code = watch(&tail);
    }
    config_list_release(&positional);
    config_release(rows, ROW_COUNT, &tail.options);
    return code;
}
