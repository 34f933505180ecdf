/* fire_ask.c - one request of the fire test, from its start to its end. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "codec/sse.h"
#include "emitters/cli/fire.h"

#include <stdlib.h>

#define CONNECT_MS    5000
#define GRACE_MS      1000 /* for the end of the body behind [DONE] */
#define REFUSAL_BYTES 65536
#define ID_BYTES      256

struct fire_ask {
    struct http_client_call *call; /* NULL when it is over */
    struct sse_parser *parser;
    struct timer grace;
    struct fire_answer answer;
    struct fire_result result;
    struct buf refusal;
    struct buf task_id;
    struct buf request_id;
    uint64_t started_ms;
    uint64_t bytes;
    void (*on_over)(void *ctx, struct fire_result *result);
    void *ctx;
};

static void ask_free(struct fire_ask *ask)
{
    sse_parser_free(ask->parser);
    timer_release(&ask->grace);
    fire_answer_release(&ask->answer);
    buf_release(&ask->refusal);
    buf_release(&ask->task_id);
    buf_release(&ask->request_id);
    free(ask);
}

/* ---- what comes ---- */

static void on_message(void *ctx, const struct sse_message *message)
{
    struct fire_ask *ask = ctx;
    bool was_done = ask->answer.is_done;

    if (was_done)
        return;
    fire_answer_take(&ask->answer, message->data);
    ask->result.total_ms = clock_mono_ms() - ask->started_ms;
    if (!ask->result.has_first && ask->answer.tokens > 0) {
        ask->result.has_first = true;
        ask->result.first_ms = ask->result.total_ms;
    }
    if (ask->answer.is_done)
        timer_start(&ask->grace, GRACE_MS, 0);
}

static bool is_event_stream(struct fire_ask *ask)
{
    static const char wanted[] = "text/event-stream";
    struct slice type = http_client_header(ask->call, "content-type");

    return type.len >= sizeof(wanted) - 1 &&
           strncasecmp(type.ptr, wanted, sizeof(wanted) - 1) == 0;
}

static void on_headers(void *ctx, unsigned status)
{
    struct fire_ask *ask = ctx;

    ask->result.status = status;
    ask->result.is_stream = status == 200 && is_event_stream(ask);
    (void)buf_slice(&ask->task_id, http_client_header(ask->call, "x-task-id"));
    (void)buf_slice(&ask->request_id, http_client_header(ask->call, "x-request-id"));
}

static void on_body(void *ctx, struct slice data)
{
    struct fire_ask *ask = ctx;

    if (!ask->result.is_stream) {
        (void)buf_slice(&ask->refusal, data);
        ask->result.is_endless = ask->refusal.failed;
    } else {
        ask->bytes += data.len;
        sse_parser_feed(ask->parser, data);
        ask->result.is_endless = ask->bytes > FIRE_STREAM_LIMIT ||
                                 sse_parser_dropped(ask->parser) > 0 ||
                                 fire_answer_is_full(&ask->answer);
    }
    if (ask->result.is_endless)
        http_client_cancel(ask->call);
}

/* A server that says it is done and does not hang up. */
static void on_grace(struct timer *timer)
{
    http_client_cancel(LIST_ENTRY(timer, struct fire_ask, grace)->call);
}

/* ---- the end ---- */

static void on_done(void *ctx, const struct http_client_result *http)
{
    struct fire_ask *ask = ctx;
    struct fire_result *result = &ask->result;

    ask->call = NULL;
    result->outcome = http->outcome;
    result->detail = http->detail;
    if (!ask->answer.is_done)
        result->total_ms = clock_mono_ms() - ask->started_ms;
    result->refusal = buf_view(&ask->refusal);
    result->task_id = buf_view(&ask->task_id);
    result->request_id = buf_view(&ask->request_id);
    result->answer = &ask->answer;
    if (ask->on_over != NULL)
        ask->on_over(ask->ctx, result);
    ask_free(ask);
}

struct fire_ask *fire_ask_start(const struct fire_ask_options *options)
{
    struct fire_ask *ask = mem_new(sizeof(*ask));
    struct http_client_request request = {
        .method = "POST",
        .url = options->url,
        .headers = options->headers,
        .header_count = options->header_count,
        .body = options->body,
        .is_sent_once = true,
        .connect_timeout_ms = CONNECT_MS,
        .total_timeout_ms = options->timeout_ms,
        .on_headers = on_headers,
        .on_body = on_body,
        .on_done = on_done,
        .ctx = ask,
    };

    ask->on_over = options->on_over;
    ask->ctx = options->ctx;
    ask->parser = sse_parser_new(FIRE_EVENT_LIMIT, on_message, ask);
    timer_init(&ask->grace, options->loop, on_grace);
    fire_answer_init(&ask->answer);
    buf_init(&ask->refusal, REFUSAL_BYTES);
    buf_init(&ask->task_id, ID_BYTES);
    buf_init(&ask->request_id, ID_BYTES);
    ask->result.at_ms = clock_wall_ms();
    ask->started_ms = clock_mono_ms();
    ask->call = http_client_start(options->client, &request);
    return ask;
}

void fire_ask_cancel(struct fire_ask *ask)
{
    if (ask == NULL)
        return;
    ask->on_over = NULL;
    http_client_cancel(ask->call);
}
