/* call.c - one HTTP exchange. */
/* SPDX-License-Identifier: MIT */
#include "http/call.h"

#include "base/mem.h"

#include <stdlib.h>

#define INBOX_LIMIT_BYTES     (1U << 20) /* streaming: past it curl is paused */
#define COLLECT_DEFAULT_BYTES (1U << 20)
#define REQUEST_LIMIT_BYTES   (64U << 20)
#define CONNECT_DEFAULT_MS    10000

/* ---- curl's callbacks: they only note, http_call_ready() tells later ---- */

static size_t on_curl_body(char *data, size_t size, size_t count, void *ctx)
{
    struct http_client_call *call = ctx;
    size_t len = size * count;
    if (call->is_finished)
        return 0;
    call->last_byte_ms = loop_now_ms(call->client->loop);
    if (call->on_body != NULL && call->inbox.len > 0 &&
        call->inbox.len + len > INBOX_LIMIT_BYTES) {
        call->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!buf_append(&call->inbox, data, len)) {
        call->outcome = HTTP_CLIENT_TOO_LARGE;
        call->detail = "the response is larger than its limit";
        return 0;
    }
    if (call->on_body != NULL)
        http_call_ready(call);
    return len;
}

/* curl's prototype has no const. NOLINTNEXTLINE(readability-non-const-parameter) */
static size_t on_curl_header(char *data, size_t size, size_t count, void *ctx)
{
    struct http_client_call *call = ctx;
    size_t len = size * count;
    long status = 0;
    call->last_byte_ms = loop_now_ms(call->client->loop);
    bool is_end = len <= 2 && (data[0] == '\r' || data[0] == '\n');
    if (!is_end)
        return len;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200) { /* 1xx precede the response; trailers change nothing */
        call->status = (unsigned)status;
        call->headers_in = true;
        http_call_ready(call);
    }
    return len;
}

/* ---- time ---- */

/* One timer per call that is set anew only when it fires, not at each byte. What came in is
 * stamped as it comes; what goes out is compared here. */
static void on_idle_timer(struct timer *timer)
{
    struct http_client_call *call = LIST_ENTRY(timer, struct http_client_call, idle);
    uint64_t now = loop_now_ms(call->client->loop);
    curl_off_t uploaded = 0;
    curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    if (uploaded != call->uploaded) {
        call->uploaded = uploaded;
        call->last_byte_ms = now;
    }
    uint64_t silent = now - call->last_byte_ms;
    if (silent >= call->idle_timeout_ms)
        http_call_fail(call, HTTP_CLIENT_TIMED_OUT, "silent for too long");
    else
        timer_start(timer, call->idle_timeout_ms - silent, 0);
}

/* ---- making ---- */

static bool is_clean(const char *text)
{
    for (; *text != 0; text++)
        if ((unsigned char)*text < ' ' && *text != '\t')
            return false;
    return true;
}

static bool copy_headers(struct http_client_call *call,
                         const struct http_client_request *request)
{
    /* No waiting for "100 Continue" before a large body. */
    call->headers = curl_slist_append(NULL, "Expect:");
    if (call->headers == NULL)
        abort();
    for (size_t i = 0; i < request->header_count; i++) {
        if (!is_clean(request->headers[i]))
            return false;
        struct curl_slist *longer =
            curl_slist_append(call->headers, request->headers[i]);
        if (longer == NULL)
            abort();
        call->headers = longer;
    }
    return true;
}

static bool set_url(struct http_client_call *call, const char *url)
{
    CURLU *parsed = curl_url();
    if (parsed == NULL)
        abort();
    bool good =
        curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK;
    curl_url_cleanup(parsed);
    return good && curl_easy_setopt(call->easy, CURLOPT_URL, url) == CURLE_OK;
}

static void set_body(struct http_client_call *call,
                     const struct http_client_request *request)
{
    buf_slice(&call->body_out, request->body);
    bool has_body = request->body.len > 0;
    if (has_body || (request->method != NULL && strcmp(request->method, "POST") == 0)) {
        curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)call->body_out.len);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, buf_text(&call->body_out));
    }
    if (request->method != NULL && strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
    else if (request->method != NULL)
        curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, request->method);
}

/* A connection is there: the request leaves now. The signature is curl's. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static int on_curl_sends(void *ctx, char *peer, char *local, int peer_port,
                         int local_port)
{
    struct http_client_call *call = ctx;

    (void)peer;
    (void)local;
    (void)peer_port;
    (void)local_port;
    call->sent_ms = loop_now_ms(call->client->loop);
    return CURL_PREREQFUNC_OK;
}

static void set_options(struct http_client_call *call,
                        const struct http_client_request *request)
{
    CURL *easy = call->easy;
    uint64_t connect_ms = request->connect_timeout_ms;
    if (connect_ms == 0)
        connect_ms = CONNECT_DEFAULT_MS;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A cancel must not wait for a name server that does not answer. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error_text);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "thinkwire/" THINKWIRE_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->total_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_curl_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_curl_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_curl_sends);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
    const char *ca_file = call->client->options.ca_file;
    if (ca_file != NULL && ca_file[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    if (call->client->options.refuses_http2)
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (request->unix_socket != NULL)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    if (request->is_sent_once)
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    if (!call->client->options.uses_proxy)
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

static const char *prepare(struct http_client_call *call,
                           const struct http_client_request *request)
{
    if (request->url == NULL || !is_clean(request->url))
        return "malformed URL";
    if (request->method != NULL && !is_clean(request->method))
        return "malformed method";
    if (!set_url(call, request->url))
        return "malformed URL, or one with credentials";
    if (!copy_headers(call, request))
        return "a header has a control character";
    if (request->body.len > REQUEST_LIMIT_BYTES)
        return "the request body is too large";
    set_options(call, request);
    set_body(call, request);
    return NULL;
}

static void start_idle(struct http_client_call *call,
                       const struct http_client_request *request)
{
    call->idle_timeout_ms = request->idle_timeout_ms;
    if (call->idle_timeout_ms > 0)
        timer_start(&call->idle, call->idle_timeout_ms, 0);
}

struct http_client_call *http_call_new(struct http_client *client,
                                       const struct http_client_request *request)
{
    struct http_client_call *call = mem_new(sizeof(*call));
    size_t limit = request->response_limit_bytes;
    if (limit == 0)
        limit = COLLECT_DEFAULT_BYTES;
    /* Streaming: one write of curl's may pass the point where it is paused. */
    if (request->on_body != NULL)
        limit = INBOX_LIMIT_BYTES + CURL_MAX_WRITE_SIZE;
    call->client = client;
    call->on_headers = request->on_headers;
    call->on_body = request->on_body;
    call->on_done = request->on_done;
    call->ctx = request->ctx;
    call->started_ms = loop_now_ms(client->loop);
    call->last_byte_ms = call->started_ms;
    call->detail = "";
    buf_init(&call->body_out, REQUEST_LIMIT_BYTES + 1);
    buf_init(&call->inbox, limit);
    timer_init(&call->idle, client->loop, on_idle_timer);
    list_init(&call->node);
    list_init(&call->ready_node);
    call->easy = curl_easy_init();
    if (call->easy == NULL)
        abort();
    const char *trouble = prepare(call, request);
    if (trouble != NULL)
        http_call_fail(call, HTTP_CLIENT_REFUSED, trouble);
    else
        start_idle(call, request);
    return call;
}

/* ---- ending ---- */

static void leave_curl(struct http_client_call *call)
{
    if (call->is_added)
        curl_multi_remove_handle(call->client->multi, call->easy);
    call->is_added = false;
}

static enum http_client_outcome outcome_of(const struct http_client_call *call,
                                           CURLcode code)
{
    curl_off_t connected_us = 0;
    curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
    switch (code) {
    case CURLE_OK:
        return HTTP_CLIENT_OK;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return HTTP_CLIENT_REFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        return connected_us == 0 ? HTTP_CLIENT_NO_CONNECT : HTTP_CLIENT_TIMED_OUT;
    default:
        return connected_us == 0 ? HTTP_CLIENT_NO_CONNECT : HTTP_CLIENT_BROKEN;
    }
}

void http_call_finish(struct http_client_call *call, CURLcode code)
{
    if (call->is_finished)
        return;
    call->is_finished = true;
    timer_stop(&call->idle);
    if (call->outcome != HTTP_CLIENT_TOO_LARGE) {
        call->outcome = outcome_of(call, code);
        call->detail =
            call->error_text[0] != 0 ? call->error_text : curl_easy_strerror(code);
    }
    leave_curl(call);
    http_call_ready(call);
}

void http_call_fail(struct http_client_call *call, enum http_client_outcome outcome,
                    const char *detail)
{
    if (call->is_finished)
        return;
    call->is_finished = true;
    timer_stop(&call->idle);
    call->outcome = outcome;
    call->detail = detail;
    leave_curl(call);
    http_call_ready(call);
}

static void http_call_free(struct http_client_call *call)
{
    leave_curl(call);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    buf_release(&call->body_out);
    buf_release(&call->inbox);
    timer_release(&call->idle);
    list_remove(&call->ready_node);
    free(call);
}

static void fill_result(struct http_client_call *call,
                        struct http_client_result *result)
{
    long connects = 0;
    long request_bytes = 0;
    curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    *result = (struct http_client_result){
        .outcome = call->outcome,
        .status = call->status,
        .was_sent = request_bytes > 0,
        .elapsed_ms = loop_now_ms(call->client->loop) - call->started_ms,
        .detail = call->detail,
    };
    result->reused = result->was_sent && connects == 0;
    if (call->on_body == NULL)
        result->body = buf_view(&call->inbox);
}

static void tell_done(struct http_client_call *call)
{
    struct http_client_result result;
    if (call->is_told)
        return;
    call->is_told = true;
    list_remove(&call->node);
    list_remove(&call->ready_node);
    if (--call->client->count == 0)
        http_client_rest(call->client);
    fill_result(call, &result);
    call->on_done(call->ctx, &result);
}

static void tell_body(struct http_client_call *call)
{
    /* The owner may cancel inside; the inbox stays until the call itself goes. */
    if (call->on_body != NULL && call->inbox.len > 0)
        call->on_body(call->ctx, buf_view(&call->inbox));
    if (call->on_body != NULL)
        buf_reset(&call->inbox);
}

static void unpin(struct http_client_call *call)
{
    if (--call->pins == 0 && call->is_told)
        http_call_free(call);
}

void http_call_tell(struct http_client_call *call)
{
    call->pins++;
    if (call->headers_in && !call->headers_told) {
        call->headers_told = true;
        if (call->on_headers != NULL)
            call->on_headers(call->ctx, call->status);
    }
    if (!call->is_told)
        tell_body(call);
    if (!call->is_told && call->is_paused && !call->is_finished) {
        call->is_paused = false;
        curl_easy_pause(call->easy, CURLPAUSE_CONT);
    }
    if (!call->is_told && call->is_finished)
        tell_done(call);
    unpin(call);
}

void http_call_cancel(struct http_client_call *call)
{
    if (call->is_told)
        return;
    call->pins++;
    call->is_finished = false; /* whatever was about to be told */
    http_call_fail(call, HTTP_CLIENT_CANCELLED, "cancelled");
    tell_done(call);
    unpin(call);
}

struct slice http_client_header(struct http_client_call *call, const char *name)
{
    struct curl_header *found = NULL;
    size_t amount = 0;
    CURLHcode code = curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &found);
    if (code != CURLHE_OK)
        return slice_make(NULL, 0);
    amount = found->amount;
    if (amount > 1)
        curl_easy_header(call->easy, name, amount - 1, CURLH_HEADER, -1, &found);
    return slice_of(found->value);
}

const char *http_client_outcome_text(enum http_client_outcome outcome)
{
    switch (outcome) {
    case HTTP_CLIENT_OK:
        return "answered";
    case HTTP_CLIENT_CANCELLED:
        return "cancelled";
    case HTTP_CLIENT_REFUSED:
        return "refused before sending";
    case HTTP_CLIENT_NO_CONNECT:
        return "no connection";
    case HTTP_CLIENT_TIMED_OUT:
        return "timed out";
    case HTTP_CLIENT_BROKEN:
        return "connection broken";
    case HTTP_CLIENT_TOO_LARGE:
        return "response too large";
    }
    return "unknown";
}
