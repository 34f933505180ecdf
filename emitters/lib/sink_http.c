/* sink_http.c - publishing into an unleased run through a broker's HTTP interface. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "codec/json.h"
#include "emitters/lib/joining.h"

#include <stdlib.h>

#define TIMEOUT_DEFAULT_MS 15000
#define URL_LIMIT_BYTES    4096

struct sink_http {
    struct joining joining;
    struct http_client *client;
    struct http_client_call *call; /* the one in flight */
    char *base_url;
    char *unix_socket;
    char **headers; /* one place more: Content-Type */
    size_t header_count;
    uint64_t timeout_ms;
};

static struct sink_http *http_of(struct joining *joining)
{
    return LIST_ENTRY(joining, struct sink_http, joining);
}

/* Native names need no escaping: `[A-Za-z0-9._:-]`. */
static void put_url(struct buf *out, const struct sink_http *sink,
                    const struct task_key *task, const char *tail)
{
    buf_puts(out, sink->base_url);
    buf_puts(out, "/v1/tasks/");
    buf_slice(out, task->task_id);
    buf_puts(out, tail);
    if (task->site.len > 0) {
        buf_puts(out, "?site=");
        buf_slice(out, task->site);
    }
}

static void start(struct sink_http *sink, struct http_client_request *request,
                  struct buf *url,
                  void (*on_done)(void *ctx, const struct http_client_result *result))
{
    request->url = buf_text(url);
    request->unix_socket = sink->unix_socket;
    request->headers = (const char *const *)sink->headers;
    request->total_timeout_ms = sink->timeout_ms;
    request->on_done = on_done;
    request->ctx = sink;
    sink->call = http_client_start(sink->client, request);
}

/* ---- posting ---- */

static bool read_id(const struct json_member *m, struct event_id *id)
{
    return m->kind == JSON_STRING && event_id_parse(json_string_raw(m->value), id);
}

/* {"ids":["17-1","17-2"],"stop_requested":false} */
static bool read_ids(struct slice body, struct publish_result *result)
{
    struct json_member ids;
    struct json_member item;
    struct json_member stop;
    size_t count = 0;
    if (!json_check(body) || !json_get(body, "ids", &ids) || ids.kind != JSON_ARRAY)
        return false;
    for (size_t at = 0; json_next(ids.value, &at, &item); count++) {
        if (!read_id(&item, &result->last))
            return false;
        if (count == 0)
            result->first = result->last;
    }
    result->stop_requested =
        json_get(body, "stop_requested", &stop) && stop.kind == JSON_TRUE;
    return count > 0;
}

/* {"error":{"code":"ENDED",...}} */
static enum publish_status read_refusal(struct slice body)
{
    static const enum publish_status known[] = {PUBLISH_FENCED, PUBLISH_ENDED,
                                                PUBLISH_GAP, PUBLISH_UNKNOWN_RUN,
                                                PUBLISH_TOO_LARGE};
    struct json_member error;
    struct json_member code;
    if (!json_check(body) || !json_get(body, "error", &error) ||
        error.kind != JSON_OBJECT || !json_get(error.value, "code", &code) ||
        code.kind != JSON_STRING)
        return PUBLISH_REJECTED;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (slice_is(json_string_raw(code.value), publish_status_name(known[i])))
            return known[i];
    return PUBLISH_REJECTED;
}

static enum post_outcome judge_post(const struct http_client_result *http,
                                    struct publish_result *result)
{
    if (http->outcome == HTTP_CLIENT_REFUSED) {
        result->status = PUBLISH_REJECTED;
        return POST_ANSWERED;
    }
    if (http->outcome != HTTP_CLIENT_OK)
        return http->was_sent ? POST_UNKNOWN : POST_NOT_WRITTEN;
    if (http->status == 200) {
        result->status = PUBLISH_OK;
        return read_ids(http->body, result) ? POST_ANSWERED : POST_UNKNOWN;
    }
    if (http->status == 429)
        return POST_NOT_WRITTEN;
    if (http->status >= 500)
        return POST_UNKNOWN; /* the bus, or a proxy: what it did is not told */
    result->status = read_refusal(http->body);
    return POST_ANSWERED;
}

static void on_posted(void *ctx, const struct http_client_result *http)
{
    struct sink_http *sink = ctx;
    struct publish_result result = {.status = PUBLISH_UNAVAILABLE};
    sink->call = NULL;
    enum post_outcome outcome = judge_post(http, &result);
    joining_posted(&sink->joining, outcome, &result);
}

static void put_lines(struct buf *out, const struct publish_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        if (i > 0)
            buf_putc(out, '\n');
        buf_slice(out, request->events[i].json);
    }
}

static void post(struct joining *joining, const struct publish_request *request)
{
    static char one[] = "Content-Type: application/json";
    static char lines[] = "Content-Type: application/x-ndjson";
    struct sink_http *sink = http_of(joining);
    struct http_client_request http = {.method = "POST"};
    struct buf url;
    struct buf body;
    buf_init(&url, URL_LIMIT_BYTES);
    buf_init(&body, 8U << 20);
    put_url(&url, sink, &request->task, "/events");
    put_lines(&body, request);
    sink->headers[sink->header_count] = request->count == 1 ? one : lines;
    http.header_count = sink->header_count + 1;
    http.body = buf_view(&body);
    start(sink, &http, &url, on_posted);
    buf_release(&url);
    buf_release(&body);
}

/* ---- looking ---- */

/* {"task_id":..,"state":"running","id":"17-2",...} */
static void take_look(struct sink_http *sink, struct slice body)
{
    struct json_member m;
    struct event_id last = {0, 0, false};
    if (!json_check(body) || !json_get(body, "state", &m) || m.kind != JSON_STRING) {
        joining_blind(&sink->joining);
        return;
    }
    bool is_known = run_state_of(json_string_raw(m.value)) != RUN_UNKNOWN;
    if (json_get(body, "id", &m))
        (void)read_id(&m, &last);
    joining_looked(&sink->joining, is_known, last);
}

static void on_looked(void *ctx, const struct http_client_result *http)
{
    struct sink_http *sink = ctx;
    struct joining *joining = &sink->joining;
    sink->call = NULL;
    bool is_answer = http->outcome == HTTP_CLIENT_OK;
    if (is_answer && http->status == 200)
        take_look(sink, http->body);
    else if (is_answer && http->status == 404)
        joining_looked(joining, false, (struct event_id){0, 0, false});
    else if (http->outcome == HTTP_CLIENT_TOO_LARGE ||
             (is_answer && http->status < 500 && http->status != 429))
        joining_blind(joining);
    else
        joining_not_looked(joining);
}

static void look(struct joining *joining, const struct task_key *task)
{
    struct sink_http *sink = http_of(joining);
    /* The answer repeats the accumulated text of an earlier run. */
    struct http_client_request http = {.response_limit_bytes = 64U << 20,
                                       .header_count = sink->header_count};
    struct buf url;
    buf_init(&url, URL_LIMIT_BYTES);
    put_url(&url, sink, task, "");
    start(sink, &http, &url, on_looked);
    buf_release(&url);
}

/* ---- making ---- */

static void free_all(struct joining *joining)
{
    struct sink_http *sink = http_of(joining);
    joining_release(joining);
    if (sink->call != NULL)
        http_client_cancel(sink->call);
    for (size_t i = 0; i < sink->header_count; i++)
        free(sink->headers[i]);
    free(sink->headers);
    free(sink->base_url);
    free(sink->unix_socket);
    free(sink);
}

struct emitter_sink *sink_http_new(struct loop *loop, struct http_client *client,
                                   const struct sink_http_options *options)
{
    static const struct joining_far far = {post, look, free_all};
    struct sink_http *sink = mem_new(sizeof(*sink));
    joining_init(&sink->joining, loop, &far);
    sink->client = client;
    sink->base_url = mem_text(slice_of(options->base_url));
    if (options->unix_socket != NULL)
        sink->unix_socket = mem_text(slice_of(options->unix_socket));
    sink->header_count = options->header_count;
    sink->headers = mem_array(options->header_count + 1, sizeof(*sink->headers));
    for (size_t i = 0; i < options->header_count; i++)
        sink->headers[i] = mem_text(slice_of(options->headers[i]));
    sink->timeout_ms =
        options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_DEFAULT_MS;
    return &sink->joining.sink;
}
