/* attempt.c - one call to a provider: its request, its bounds in time, what it says. */
/* SPDX-License-Identifier: MIT */
#include "attempt.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

/* How long a connection whose answer is complete may take to say so. */
#define FAREWELL_MS 500
/* Of an answer that is an error: more of it tells nobody anything. */
#define ERROR_BODY_BYTES 65536

struct attempt {
    struct attempt_request request;
    struct loop *loop;
    struct http_client_call *call; /* NULL once it is done */
    struct stream *stream;
    struct timer timer;
    struct buf body; /* of an error, or of a plain answer */
    struct failure failure;
    struct attempt_result result;
    uint64_t started_ms;
    uint64_t token_ms; /* of the last token; 0 = none */
    bool is_over;      /* the stream has told its last value */
    bool is_told;      /* on_done was called: nobody waits */
};

static void attempt_free(struct attempt *attempt)
{
    timer_release(&attempt->timer);
    stream_free(attempt->stream);
    buf_release(&attempt->body);
    free(attempt);
}

static bool is_good(unsigned status)
{
    return status >= 200 && status < 300;
}

/* ---- the end ---- */

/* Tells how it ended. The attempt lives on only while curl has not let go. */
static void tell(struct attempt *attempt)
{
    struct attempt_result result = attempt->result;

    attempt->is_told = true;
    result.elapsed_ms = loop_now_ms(attempt->loop) - attempt->started_ms;
    result.has_answer = stream_has_answer(attempt->stream);
    result.failure = attempt->failure.class == FAILURE_NONE ? NULL : &attempt->failure;
    if (attempt->token_ms == 0)
        result.first_token_ms = 0;
    if (attempt->call != NULL)
        timer_start(&attempt->timer, FAREWELL_MS, 0);
    attempt->request.on_done(attempt->request.ctx, &result);
    if (attempt->call == NULL)
        attempt_free(attempt);
}

/* The connection is of no use any more. */
static void tell_and_cut(struct attempt *attempt)
{
    struct http_client_call *call = attempt->call;

    attempt->call = NULL;
    attempt->is_told = true; /* for on_http_done */
    if (call != NULL)
        http_client_cancel(call);
    tell(attempt);
}

static void fail(struct attempt *attempt, enum failure_class class, const char *message)
{
    if (attempt->failure.class == FAILURE_NONE)
        failure_set(&attempt->failure, class, message);
}

/* ---- time ---- */

static uint64_t sooner(uint64_t deadline, uint64_t from, uint64_t bound)
{
    if (bound == 0 || (deadline != 0 && deadline <= from + bound))
        return deadline;
    return from + bound;
}

/* What the provider does with its time is counted from when it was asked, not from when the
 * call began to wait for a connection of the pool. */
static uint64_t sent_ms(const struct attempt *attempt)
{
    return attempt->call == NULL ? 0 : http_client_sent_ms(attempt->call);
}

/* The next moment at which something is too late; 0 = never. */
static uint64_t next_deadline(const struct attempt *attempt)
{
    const struct attempt_times *times = &attempt->request.times;
    uint64_t sent = sent_ms(attempt);
    uint64_t from = sent == 0 ? attempt->started_ms : sent;

    if (attempt->request.is_plain)
        return sooner(0, from, times->plain);
    uint64_t deadline = sooner(0, from, times->total);
    if (attempt->token_ms == 0)
        return sooner(deadline, from, times->first_token);
    return sooner(deadline, attempt->token_ms, times->idle);
}

static void set_timer(struct attempt *attempt)
{
    uint64_t deadline = next_deadline(attempt);
    uint64_t now = loop_now_ms(attempt->loop);

    if (deadline > 0)
        timer_start(&attempt->timer, deadline > now ? deadline - now : 0, 0);
}

static enum failure_class what_is_late(const struct attempt *attempt)
{
    const struct attempt_times *times = &attempt->request.times;
    uint64_t now = loop_now_ms(attempt->loop);
    bool is_all = times->total > 0 && now >= sent_ms(attempt) + times->total;

    if (attempt->request.is_plain || is_all)
        return FAILURE_TIMEOUT_TOTAL;
    return attempt->token_ms == 0 ? FAILURE_TIMEOUT_FIRST_TOKEN : FAILURE_TIMEOUT_IDLE;
}

/* Our own pool is too small for what there is to do: that is no fault of the provider's, and
 * waiting once more would help nobody. (No connection in time is curl's to tell.) */
static void fail_unsent(struct attempt *attempt)
{
    fail(attempt, FAILURE_RATE_LIMITED, "all connections to the provider are busy");
    attempt->failure.retry_after_ms = UINT64_MAX;
}

static void on_timer(struct timer *timer)
{
    struct attempt *attempt = LIST_ENTRY(timer, struct attempt, timer);
    struct http_client_call *call = attempt->call;

    if (attempt->is_told) { /* the farewell took too long */
        http_client_cancel(call);
        return;
    }
    uint64_t now = loop_now_ms(attempt->loop);
    if (next_deadline(attempt) > now) { /* a token came meanwhile */
        set_timer(attempt);
        return;
    }
    /* What was to come after the finish is only usage and a mark. */
    if (sent_ms(attempt) == 0)
        fail_unsent(attempt);
    else if (stream_has_finish(attempt->stream))
        stream_end(attempt->stream);
    else
        fail(attempt, what_is_late(attempt), "no answer in time");
    tell_and_cut(attempt);
}

/* ---- what comes in ---- */

static void on_value(void *ctx, const struct stream_value *value)
{
    struct attempt *attempt = ctx;

    if (value->kind == STREAM_DONE) {
        attempt->is_over = true;
        attempt->result.finish = value->finish;
    } else if (value->kind == STREAM_FAILED) {
        attempt->is_over = true;
        attempt->failure = *value->failure;
    } else {
        attempt->request.on_value(attempt->request.ctx, value);
    }
}

static void on_headers(void *ctx, unsigned status)
{
    struct attempt *attempt = ctx;

    attempt->result.status = status;
}

static void note_token(struct attempt *attempt)
{
    uint64_t now = loop_now_ms(attempt->loop);
    bool is_first = attempt->token_ms == 0;

    attempt->token_ms = now > 0 ? now : 1;
    if (!is_first)
        return; /* the timer finds out by itself */
    attempt->result.first_token_ms = now - attempt->started_ms;
    set_timer(attempt);
}

static void on_body(void *ctx, struct slice data)
{
    struct attempt *attempt = ctx;

    if (attempt->is_told)
        return;
    if (attempt->request.is_plain || !is_good(attempt->result.status)) {
        if (!buf_slice(&attempt->body, data) && is_good(attempt->result.status)) {
            fail(attempt, FAILURE_TOO_LARGE, "the answer is larger than the bound");
            tell_and_cut(attempt);
        }
        return;
    }
    if (stream_feed(attempt->stream, data))
        note_token(attempt);
    if (attempt->is_over)
        tell(attempt);
}

/* The body has ended, with everything the provider had to say. */
static void judge_whole(struct attempt *attempt,
                        const struct http_client_result *result)
{
    if (!is_good(result->status)) {
        uint64_t wait_ms = 0;
        failure_of_answer(&attempt->failure, attempt->request.api, result->status,
                          buf_view(&attempt->body));
        if (failure_retry_after(http_client_header(attempt->call, "retry-after"),
                                clock_wall_ms(), &wait_ms))
            attempt->failure.retry_after_ms = wait_ms;
    } else if (attempt->request.is_plain) {
        stream_plain(attempt->stream, buf_view(&attempt->body));
    } else {
        stream_end(attempt->stream);
    }
}

static void judge_outcome(struct attempt *attempt,
                          const struct http_client_result *result)
{
    const struct attempt_times *times = &attempt->request.times;
    bool is_late = times->connect > 0 && result->elapsed_ms >= times->connect;

    switch (result->outcome) {
    case HTTP_CLIENT_OK:
        judge_whole(attempt, result);
        break;
    case HTTP_CLIENT_NO_CONNECT:
        fail(attempt, is_late ? FAILURE_TIMEOUT_CONNECT : FAILURE_CONNECT,
             result->detail);
        break;
    case HTTP_CLIENT_TIMED_OUT:
        fail(attempt, FAILURE_TIMEOUT_TOTAL, result->detail);
        break;
    case HTTP_CLIENT_TOO_LARGE:
        fail(attempt, FAILURE_TOO_LARGE, result->detail);
        break;
    case HTTP_CLIENT_REFUSED:
        fail(attempt, FAILURE_CONNECT, result->detail);
        break;
    case HTTP_CLIENT_CANCELLED:
        fail(attempt, FAILURE_CANCELLED, result->detail);
        break;
    case HTTP_CLIENT_BROKEN:
        if (stream_has_finish(attempt->stream))
            stream_end(attempt->stream);
        else
            fail(attempt, FAILURE_TRUNCATED, result->detail);
        break;
    }
}

static void on_http_done(void *ctx, const struct http_client_result *result)
{
    struct attempt *attempt = ctx;
    bool was_told = attempt->is_told;

    if (!was_told) {
        attempt->result.status = result->status;
        attempt->result.reused = result->reused;
        judge_outcome(attempt, result);
        attempt->call = NULL;
        tell(attempt);
    } else if (attempt->call != NULL) {
        attempt_free(attempt); /* the farewell is over */
    }
}

/* ---- the beginning ---- */

struct attempt *attempt_start(struct loop *loop, struct http_client *client,
                              const struct attempt_request *request)
{
    struct attempt *attempt = mem_new(sizeof(*attempt));
    size_t limit = request->is_plain ? request->limit_bytes : ERROR_BODY_BYTES;

    attempt->request = *request;
    attempt->loop = loop;
    attempt->started_ms = loop_now_ms(loop);
    attempt->stream = stream_new(request->api, request->limit_bytes, on_value, attempt);
    buf_init(&attempt->body, limit);
    timer_init(&attempt->timer, loop, on_timer);
    attempt->call =
        http_client_start(client, &(struct http_client_request){
                                      .method = "POST",
                                      .url = request->url,
                                      .headers = request->headers,
                                      .header_count = request->header_count,
                                      .body = request->body,
                                      .connect_timeout_ms = request->times.connect,
                                      .on_headers = on_headers,
                                      .on_body = on_body,
                                      .on_done = on_http_done,
                                      .ctx = attempt,
                                  });
    set_timer(attempt);
    return attempt;
}

void attempt_cancel(struct attempt *attempt)
{
    struct http_client_call *call = attempt->call;

    attempt->is_told = true;
    attempt->call = NULL;
    if (call != NULL)
        http_client_cancel(call);
    attempt_free(attempt);
}
