/* http_far.c - a broker's HTTP interface, seen from a publisher. */
/* SPDX-License-Identifier: MIT */
#include "emitters/lib/http_far.h"

#include "base/mem.h"
#include "codec/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_DEFAULT_MS 15000
#define URL_LIMIT_BYTES    4096
#define BODY_LIMIT_BYTES   (8U << 20)
#define ANSWER_LIMIT_BYTES (64U << 20) /* it repeats all text of the task */
#define OWN_HEADERS        4
#define HEADER_LIMIT_BYTES 192

void http_far_init(struct http_far *far, struct http_client *client,
                   const struct sink_http_options *options)
{
    *far = (struct http_far){.client = client};
    far->base_url = mem_text(slice_of(options->base_url));
    if (options->unix_socket != NULL)
        far->unix_socket = mem_text(slice_of(options->unix_socket));
    far->header_count = options->header_count;
    far->headers =
        mem_array(options->header_count + OWN_HEADERS, sizeof(*far->headers));
    for (size_t i = 0; i < options->header_count; i++)
        far->headers[i] = mem_text(slice_of(options->headers[i]));
    far->trouble = options->trouble;
    far->timeout_ms = options->timeout_ms;
    if (far->timeout_ms == 0)
        far->timeout_ms = TIMEOUT_DEFAULT_MS;
}

void http_far_release(struct http_far *far)
{
    if (far->call != NULL)
        http_client_cancel(far->call);
    far->call = NULL;
    for (size_t i = 0; i < far->header_count; i++)
        free(far->headers[i]);
    free(far->headers);
    free(far->base_url);
    free(far->unix_socket);
}

/* ---- asking ---- */

/* Native names need no escaping: `[A-Za-z0-9._:-]`. */
static void put_url(struct buf *out, const struct http_far *far,
                    const struct task_key *task, const char *tail)
{
    buf_puts(out, far->base_url);
    buf_puts(out, "/v1/tasks/");
    buf_slice(out, task->task_id);
    buf_puts(out, tail);
    if (task->site.len > 0) {
        buf_puts(out, "?site=");
        buf_slice(out, task->site);
    }
}

static void start(struct http_far *far, struct http_client_request *request,
                  const struct task_key *task, const char *tail)
{
    struct buf url;
    buf_init(&url, URL_LIMIT_BYTES);
    put_url(&url, far, task, tail);
    request->url = buf_text(&url);
    request->unix_socket = far->unix_socket;
    request->headers = (const char *const *)far->headers;
    request->total_timeout_ms = far->timeout_ms;
    far->call = http_client_start(far->client, request);
    buf_release(&url);
}

/* Content-Type and, for a producer, who it is and where in its run. */
static size_t own_headers(char lines[OWN_HEADERS][HEADER_LIMIT_BYTES],
                          const struct publish_request *request)
{
    size_t count = 0;
    snprintf(lines[count++], HEADER_LIMIT_BYTES, "Content-Type: application/%s",
             request->count == 1 ? "json" : "x-ndjson");
    if (request->producer.len == 0)
        return count;
    snprintf(lines[count++], HEADER_LIMIT_BYTES, "Thinkwire-Producer: %.*s",
             (int)request->producer.len, request->producer.ptr);
    snprintf(lines[count++], HEADER_LIMIT_BYTES, "Thinkwire-Counter: %" PRIu64,
             request->counter);
    if (request->epoch != 0)
        snprintf(lines[count++], HEADER_LIMIT_BYTES, "Thinkwire-Epoch: %" PRIu64,
                 request->epoch);
    return count;
}

void http_far_post(struct http_far *far, const struct publish_request *request,
                   http_far_done *done, void *ctx)
{
    char lines[OWN_HEADERS][HEADER_LIMIT_BYTES];
    struct buf body;
    size_t count = own_headers(lines, request);
    for (size_t i = 0; i < count; i++)
        far->headers[far->header_count + i] = lines[i];
    buf_init(&body, BODY_LIMIT_BYTES);
    for (size_t i = 0; i < request->count; i++) {
        if (i > 0)
            buf_putc(&body, '\n');
        buf_slice(&body, request->events[i].json);
    }
    far->is_looking = false;
    struct http_client_request http = {
        .method = "POST",
        .header_count = far->header_count + count,
        .body = buf_view(&body),
        .is_sent_once = request->producer.len == 0,
        .on_done = done,
        .ctx = ctx,
    };
    start(far, &http, &request->task, "/events");
    buf_release(&body);
}

void http_far_get(struct http_far *far, const struct task_key *task,
                  http_far_done *done, void *ctx)
{
    far->is_looking = true;
    struct http_client_request http = {
        .header_count = far->header_count,
        .response_limit_bytes = ANSWER_LIMIT_BYTES,
        .on_done = done,
        .ctx = ctx,
    };
    start(far, &http, task, "");
}

/* ---- reading ---- */

/* {"error":{"code":..,"message":".."}}: what is said to people, as it stands there. */
static struct slice message_of(struct slice body)
{
    struct json_member error;
    struct json_member message;
    bool is_told = json_check(body) && json_get(body, "error", &error) &&
                   error.kind == JSON_OBJECT &&
                   json_get(error.value, "message", &message) &&
                   message.kind == JSON_STRING;
    return is_told ? json_string_raw(message.value) : slice_of("");
}

void http_far_note(struct http_far *far, const struct http_client_result *http)
{
    far->call = NULL;
    if (far->trouble == NULL || http->outcome == HTTP_CLIENT_CANCELLED)
        return;
    if (http->outcome != HTTP_CLIENT_OK) {
        snprintf(far->trouble, SINK_TROUBLE_SIZE, "%s", http->detail);
    } else if (http->status >= 400 && http->status != 404) {
        struct slice message = message_of(http->body);
        snprintf(far->trouble, SINK_TROUBLE_SIZE, "HTTP status %u%s%.*s", http->status,
                 message.len > 0 ? ": " : "", (int)message.len, message.ptr);
    } else if (!far->is_looking) {
        /* That it can be looked at does not mean that it takes anything. */
        far->trouble[0] = 0;
    }
}

bool http_far_read_id(struct slice body, const char *name, struct event_id *id)
{
    struct json_member m;
    return json_get(body, name, &m) && m.kind == JSON_STRING &&
           event_id_parse(json_string_raw(m.value), id);
}

/* {"ok":true,"first":"17-1","last":"17-2","epoch":17} */
static bool read_success(struct slice body, struct publish_result *result)
{
    struct json_member stop;
    result->status = PUBLISH_OK;
    if (!http_far_read_id(body, "first", &result->first) ||
        !http_far_read_id(body, "last", &result->last))
        return false;
    result->stop_requested =
        json_get(body, "stop_requested", &stop) && stop.kind == JSON_TRUE;
    return true;
}

/* {"error":{"code":"GAP",...},"expected_counter":3} */
static void read_refusal(struct slice body, struct publish_result *result)
{
    static const enum publish_status known[] = {PUBLISH_FENCED, PUBLISH_ENDED,
                                                PUBLISH_GAP, PUBLISH_UNKNOWN_RUN,
                                                PUBLISH_TOO_LARGE};
    struct json_member error;
    struct json_member code;
    struct json_member expected;
    result->status = PUBLISH_REJECTED;
    if (!json_get(body, "error", &error) || error.kind != JSON_OBJECT ||
        !json_get(error.value, "code", &code) || code.kind != JSON_STRING)
        return;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (slice_is(json_string_raw(code.value), publish_status_name(known[i])))
            result->status = known[i];
    if (json_get(body, "expected_counter", &expected))
        (void)json_u64(expected.value, &result->expected_counter);
}

enum post_outcome http_far_judge(const struct http_client_result *http,
                                 struct publish_result *result)
{
    result->status = PUBLISH_REJECTED;
    if (http->outcome == HTTP_CLIENT_REFUSED)
        return POST_ANSWERED;
    if (http->outcome != HTTP_CLIENT_OK)
        return http->was_sent ? POST_UNKNOWN : POST_NOT_WRITTEN;
    if (http->status == 429)
        return POST_NOT_WRITTEN;
    if (http->status >= 500)
        return POST_UNKNOWN; /* the bus, or a proxy: what it did is not told */
    bool is_object =
        json_check(http->body) && memchr(http->body.ptr, '{', http->body.len);
    if (http->status == 200)
        return is_object && read_success(http->body, result) ? POST_ANSWERED
                                                             : POST_UNKNOWN;
    if (is_object)
        read_refusal(http->body, result);
    return POST_ANSWERED;
}
