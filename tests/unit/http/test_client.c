/* test_client.c - the HTTP client against a scripted server. */
/* SPDX-License-Identifier: MIT */
#include "http/client.h"
#include "scripted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define WATCHDOG_MS 10000

struct rig;

/* What a test watches of one call. */
struct seen {
    struct rig *rig;
    struct http_client_call *call;
    unsigned headers;
    unsigned status_early;
    struct buf body;
    unsigned bodies;
    unsigned dones;
    struct http_client_result result;
    struct buf collected;
    char kind[64];
    char detail[256];
    bool cancels_on_headers;
    bool cancels_on_body;
    bool frees_client;
};

struct rig {
    struct loop *loop;
    struct http_client *client;
    struct scripted *server;
    struct timer watchdog;
    char url[64];
    const char *answer; /* sent to every request; NULL = nothing */
    bool closes;        /* ... and then closes */
    struct scripted_peer *peer;
    struct buf request; /* the last one */
    unsigned waiting;   /* calls to be done before the loop stops */
};

static void on_watchdog(struct timer *timer)
{
    (void)timer;
    fprintf(stderr, "the test waited in vain\n");
    abort();
}

static void on_request(void *ctx, struct scripted_peer *peer, struct slice request)
{
    struct rig *rig = ctx;
    rig->peer = peer;
    buf_reset(&rig->request);
    buf_slice(&rig->request, request);
    if (rig->answer != NULL)
        scripted_send(peer, rig->answer);
    if (rig->closes)
        scripted_close(peer);
}

static void rig_start(struct rig *rig, const struct http_client_options *options)
{
    memset(rig, 0, sizeof(*rig));
    rig->loop = loop_new();
    rig->client = http_client_new(rig->loop, options);
    rig->server = scripted_new(rig->loop, NULL, on_request, rig);
    snprintf(rig->url, sizeof(rig->url), "http://127.0.0.1:%u/x",
             scripted_port(rig->server));
    buf_init(&rig->request, 64U << 20);
    timer_init(&rig->watchdog, rig->loop, on_watchdog);
    timer_start(&rig->watchdog, WATCHDOG_MS, 0);
}

static void rig_end(struct rig *rig)
{
    http_client_free(rig->client);
    scripted_free(rig->server);
    timer_release(&rig->watchdog);
    buf_release(&rig->request);
    loop_free(rig->loop);
}

static void on_headers(void *ctx, unsigned status)
{
    struct seen *seen = ctx;
    struct slice kind = http_client_header(seen->call, "content-type");
    seen->headers++;
    seen->status_early = status;
    snprintf(seen->kind, sizeof(seen->kind), "%.*s", (int)kind.len, kind.ptr);
    if (seen->cancels_on_headers)
        http_client_cancel(seen->call);
}

static void on_body(void *ctx, struct slice data)
{
    struct seen *seen = ctx;
    seen->bodies++;
    buf_slice(&seen->body, data);
    if (seen->cancels_on_body)
        http_client_cancel(seen->call);
}

static void on_done(void *ctx, const struct http_client_result *result)
{
    struct seen *seen = ctx;
    seen->dones++;
    seen->result = *result;
    snprintf(seen->detail, sizeof(seen->detail), "%s", result->detail);
    buf_reset(&seen->collected);
    buf_slice(&seen->collected, result->body);
    if (seen->frees_client) {
        http_client_free(seen->rig->client);
        seen->rig->client = NULL;
    }
    if (seen->rig->waiting > 0 && --seen->rig->waiting == 0)
        loop_stop(seen->rig->loop);
}

static void watch(struct rig *rig, struct seen *seen)
{
    memset(seen, 0, sizeof(*seen));
    seen->rig = rig;
    buf_init(&seen->body, 64U << 20);
    buf_init(&seen->collected, 64U << 20);
}

static void forget(struct seen *seen)
{
    buf_release(&seen->body);
    buf_release(&seen->collected);
}

static void start(struct rig *rig, struct seen *seen,
                  struct http_client_request request)
{
    if (request.url == NULL)
        request.url = rig->url;
    request.on_done = on_done;
    request.ctx = seen;
    seen->call = http_client_start(rig->client, &request);
    rig->waiting++;
    assert_int_equal(seen->dones, 0);
}

/* One collected call from start to end. */
static void fetch(struct rig *rig, struct seen *seen,
                  struct http_client_request request)
{
    watch(rig, seen);
    start(rig, seen, request);
    loop_run(rig->loop);
    assert_int_equal(seen->dones, 1);
    assert_int_equal(http_client_active(rig->client), 0);
}

static void assert_text(struct buf *buf, const char *wanted)
{
    assert_string_equal(buf_text(buf), wanted);
}

#define HELLO                                                                          \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

static void a_body_is_collected_with_status_and_headers(void **state)
{
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = HELLO;
    fetch(&rig, &seen, (struct http_client_request){.on_headers = on_headers});
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_OK);
    assert_int_equal(seen.result.status, 200);
    assert_int_equal(seen.headers, 1);
    assert_int_equal(seen.status_early, 200);
    assert_string_equal(seen.kind, "text/plain");
    assert_true(seen.result.was_sent);
    assert_text(&seen.collected, "hello");
    assert_non_null(strstr(buf_text(&rig.request), "GET /x HTTP/1.1\r\n"));
    forget(&seen);
    rig_end(&rig);
}

static void a_posted_body_arrives_with_its_headers(void **state)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Thinkwire-Producer: p1"};
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = HELLO;
    fetch(&rig, &seen,
          (struct http_client_request){
              .headers = headers, .header_count = 2, .body = slice_of("{\"a\":1}")});
    const char *request = buf_text(&rig.request);
    assert_non_null(strstr(request, "POST /x HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(request, "\r\nThinkwire-Producer: p1\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Length: 7\r\n"));
    assert_null(strstr(request, "Expect"));
    assert_non_null(strstr(request, "\r\n\r\n{\"a\":1}"));
    forget(&seen);
    rig_end(&rig);
}

static void an_empty_post_and_other_methods_are_sent_as_asked(void **state)
{
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = HELLO;
    fetch(&rig, &seen, (struct http_client_request){.method = "POST"});
    assert_non_null(strstr(buf_text(&rig.request), "POST /x HTTP/1.1\r\n"));
    assert_non_null(strstr(buf_text(&rig.request), "\r\nContent-Length: 0\r\n"));
    forget(&seen);
    fetch(&rig, &seen, (struct http_client_request){.method = "DELETE"});
    assert_non_null(strstr(buf_text(&rig.request), "DELETE /x HTTP/1.1\r\n"));
    forget(&seen);
    rig_end(&rig);
}

static void a_second_call_reuses_the_connection(void **state)
{
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = HELLO;
    for (int i = 0; i < 5; i++) {
        fetch(&rig, &seen, (struct http_client_request){0});
        assert_int_equal(seen.result.outcome, HTTP_CLIENT_OK);
        assert_int_equal(seen.result.reused, i > 0);
        forget(&seen);
    }
    assert_int_equal(scripted_accepted(rig.server), 1);
    assert_int_equal(scripted_requests(rig.server), 5);
    rig_end(&rig);
}

/* Sends the next piece once the client has told the one before. */
static void on_streamed(void *ctx, struct slice data)
{
    struct seen *seen = ctx;
    seen->bodies++;
    buf_slice(&seen->body, data);
    if (seen->body.len < 12)
        scripted_send(seen->rig->peer, "4\r\nmore\r\n");
    else
        scripted_send(seen->rig->peer, "0\r\n\r\n");
}

static void a_streamed_body_is_told_as_it_comes(void **state)
{
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none \r\n";
    watch(&rig, &seen);
    start(
        &rig, &seen,
        (struct http_client_request){.on_headers = on_headers, .on_body = on_streamed});
    loop_run(rig.loop);
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_OK);
    assert_int_equal(seen.bodies, 3);
    assert_text(&seen.body, "one moremore");
    assert_int_equal(seen.collected.len, 0);
    forget(&seen);
    rig_end(&rig);
}

static void a_body_of_many_megabytes_streams_through_a_bounded_buffer(void **state)
{
    const size_t size = 8U << 20;
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    char *answer = malloc(size + 128);
    assert_non_null(answer);
    int head =
        snprintf(answer, 128, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
    memset(answer + head, 'x', size);
    answer[(size_t)head + size] = 0;
    rig.answer = answer;
    watch(&rig, &seen);
    start(&rig, &seen, (struct http_client_request){.on_body = on_body});
    loop_run(rig.loop);
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_OK);
    assert_int_equal(seen.body.len, size);
    free(answer);
    forget(&seen);
    rig_end(&rig);
}

static void a_collected_body_past_its_limit_ends_the_call(void **state)
{
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = HELLO;
    fetch(&rig, &seen, (struct http_client_request){.response_limit_bytes = 4});
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_TOO_LARGE);
    assert_int_equal(seen.result.status, 200);
    forget(&seen);
    fetch(&rig, &seen, (struct http_client_request){.response_limit_bytes = 5});
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_OK);
    forget(&seen);
    rig_end(&rig);
}

static void
what_is_sent_once_is_not_sent_again_on_a_connection_that_closes(void **state)
{
    (void)state;
    for (int once = 0; once < 2; once++) {
        struct rig rig;
        struct seen seen;
        rig_start(&rig, NULL);
        rig.answer = HELLO;
        fetch(&rig, &seen, (struct http_client_request){0});
        forget(&seen);
        rig.answer = NULL;
        rig.closes = true;
        fetch(&rig, &seen,
              (struct http_client_request){.body = slice_of("x"),
                                           .is_sent_once = once == 1});
        assert_int_equal(seen.result.outcome, HTTP_CLIENT_BROKEN);
        assert_true(seen.result.was_sent);
        assert_int_equal(scripted_requests(rig.server), once == 1 ? 2 : 3);
        forget(&seen);
        rig_end(&rig);
    }
}

static void nobody_listening_is_no_connection_and_nothing_sent(void **state)
{
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    struct scripted *other = scripted_new(rig.loop, NULL, on_request, &rig);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", scripted_port(other));
    scripted_free(other);
    fetch(&rig, &seen, (struct http_client_request){.url = url});
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_NO_CONNECT);
    assert_int_equal(seen.result.status, 0);
    assert_false(seen.result.was_sent);
    assert_true(seen.detail[0] != 0);
    forget(&seen);
    rig_end(&rig);
}

static void silence_after_the_request_is_an_idle_time_out(void **state)
{
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    fetch(&rig, &seen, (struct http_client_request){.idle_timeout_ms = 50});
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_TIMED_OUT);
    assert_true(seen.result.was_sent);
    assert_true(seen.result.elapsed_ms >= 50);
    forget(&seen);
    rig_end(&rig);
}

static void on_drip(struct timer *timer);
struct drip {
    struct timer timer;
    struct rig *rig;
    int left;
};
static void on_drip(struct timer *timer)
{
    struct drip *drip = LIST_ENTRY(timer, struct drip, timer);
    if (drip->rig->peer == NULL)
        return;
    if (drip->left-- > 0)
        scripted_send(drip->rig->peer, "1\r\nx\r\n");
    else
        timer_stop(timer);
}

static void a_dripping_stream_outlives_the_idle_time_out_until_it_stops(void **state)
{
    struct rig rig;
    struct seen seen;
    struct drip drip;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    drip.rig = &rig;
    drip.left = 10;
    timer_init(&drip.timer, rig.loop, on_drip);
    timer_start(&drip.timer, 40, 40);
    watch(&rig, &seen);
    start(&rig, &seen,
          (struct http_client_request){.on_body = on_body, .idle_timeout_ms = 200});
    loop_run(rig.loop);
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_TIMED_OUT);
    assert_int_equal(seen.body.len, 10);
    assert_true(seen.result.elapsed_ms >= 400);
    timer_release(&drip.timer);
    forget(&seen);
    rig_end(&rig);
}

static void the_total_time_out_ends_a_stream_that_never_pauses(void **state)
{
    struct rig rig;
    struct seen seen;
    struct drip drip;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    drip.rig = &rig;
    drip.left = 1000;
    timer_init(&drip.timer, rig.loop, on_drip);
    timer_start(&drip.timer, 10, 10);
    watch(&rig, &seen);
    start(&rig, &seen,
          (struct http_client_request){
              .on_body = on_body, .idle_timeout_ms = 1000, .total_timeout_ms = 150});
    loop_run(rig.loop);
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_TIMED_OUT);
    assert_true(seen.body.len > 0);
    timer_release(&drip.timer);
    forget(&seen);
    rig_end(&rig);
}

static void a_connection_cut_in_the_middle_is_broken(void **state)
{
    static const char *const cuts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        struct rig rig;
        struct seen seen;
        rig_start(&rig, NULL);
        rig.answer = cuts[i];
        rig.closes = true;
        fetch(&rig, &seen, (struct http_client_request){0});
        assert_int_equal(seen.result.outcome, HTTP_CLIENT_BROKEN);
        assert_int_equal(seen.result.status, 200);
        forget(&seen);
        rig_end(&rig);
    }
}

static void cancel_tells_once_and_closes_the_connection(void **state)
{
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    watch(&rig, &seen);
    start(&rig, &seen, (struct http_client_request){0});
    rig.waiting = 0; /* nobody runs the loop */
    http_client_cancel(seen.call);
    assert_int_equal(seen.dones, 1);
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_CANCELLED);
    assert_int_equal(http_client_active(rig.client), 0);
    forget(&seen);
    rig_end(&rig);
}

static void stop_loop(void *ctx)
{
    struct rig *rig = ctx;
    loop_stop(rig->loop);
}

static void cancelling_inside_a_callback_is_seen_upstream_at_once(void **state)
{
    (void)state;
    for (int where = 0; where < 2; where++) {
        struct rig rig;
        struct seen seen;
        rig_start(&rig, NULL);
        rig.answer =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none \r\n";
        scripted_on_gone(rig.server, stop_loop);
        watch(&rig, &seen);
        seen.cancels_on_headers = where == 0;
        seen.cancels_on_body = where == 1;
        start(
            &rig, &seen,
            (struct http_client_request){.on_headers = on_headers, .on_body = on_body});
        rig.waiting++; /* the loop goes on until the server sees the end */
        loop_run(rig.loop);
        assert_int_equal(scripted_gone(rig.server), 1);
        assert_int_equal(seen.dones, 1);
        assert_int_equal(seen.result.outcome, HTTP_CLIENT_CANCELLED);
        assert_int_equal(seen.bodies, where);
        forget(&seen);
        rig_end(&rig);
    }
}

static void freeing_the_client_inside_a_callback_tells_every_call(void **state)
{
    struct rig rig;
    struct seen first;
    struct seen second;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = HELLO;
    watch(&rig, &first);
    watch(&rig, &second);
    first.frees_client = true;
    start(&rig, &first, (struct http_client_request){0});
    rig.answer = HELLO;
    start(&rig, &second, (struct http_client_request){.url = "http://127.0.0.1:1/"});
    /* Refused connections and answers race: whichever is told first, both are told. */
    second.frees_client = false;
    loop_run(rig.loop);
    assert_int_equal(first.dones, 1);
    assert_int_equal(second.dones, 1);
    assert_null(rig.client);
    forget(&first);
    forget(&second);
    rig_end(&rig);
}

static void malformed_requests_are_refused_without_a_connection(void **state)
{
    static const char *const split[] = {"X: a\r\nEvil: b"};
    const struct http_client_request bad[] = {
        {.url = "http://127.0.0.1:1/\r\nX: y"},
        {.url = "http://user:secret@127.0.0.1:1/"},
        {.url = "file:///etc/hostname"},
        {.url = "gopher://127.0.0.1:1/"},
        {.url = ""},
        {.headers = split, .header_count = 1},
        {.method = "GET / HTTP/1.1\r\nX:"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rig rig;
        struct seen seen;
        rig_start(&rig, NULL);
        fetch(&rig, &seen, bad[i]);
        assert_int_equal(seen.result.outcome, HTTP_CLIENT_REFUSED);
        assert_false(seen.result.was_sent);
        assert_null(strstr(seen.detail, "secret"));
        assert_int_equal(scripted_accepted(rig.server), 0);
        forget(&seen);
        rig_end(&rig);
    }
}

static void more_calls_than_the_bound_are_refused(void **state)
{
    struct rig rig;
    struct seen seen[3];
    (void)state;
    rig_start(&rig, &(struct http_client_options){.max_calls = 2});
    rig.answer = HELLO;
    for (int i = 0; i < 3; i++) {
        watch(&rig, &seen[i]);
        start(&rig, &seen[i], (struct http_client_request){0});
    }
    loop_run(rig.loop);
    assert_int_equal(seen[0].result.outcome, HTTP_CLIENT_OK);
    assert_int_equal(seen[1].result.outcome, HTTP_CLIENT_OK);
    assert_int_equal(seen[2].result.outcome, HTTP_CLIENT_REFUSED);
    for (int i = 0; i < 3; i++)
        forget(&seen[i]);
    rig_end(&rig);
}

static void calls_past_the_connection_bound_wait_and_are_answered(void **state)
{
    struct rig rig;
    struct seen seen[6];
    (void)state;
    rig_start(&rig, &(struct http_client_options){.max_connections_per_host = 2});
    rig.answer = HELLO;
    for (int i = 0; i < 6; i++) {
        watch(&rig, &seen[i]);
        start(&rig, &seen[i], (struct http_client_request){0});
    }
    loop_run(rig.loop);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(seen[i].result.outcome, HTTP_CLIENT_OK);
        forget(&seen[i]);
    }
    assert_true(scripted_accepted(rig.server) <= 2);
    rig_end(&rig);
}

static void a_unix_socket_is_spoken_to_by_path(void **state)
{
    struct rig rig;
    struct seen seen;
    char directory[] = "/tmp/thinkwire-http-XXXXXX";
    char path[64];
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/s", directory);
    rig_start(&rig, NULL);
    rig.answer = HELLO;
    struct scripted *server = scripted_new(rig.loop, path, on_request, &rig);
    fetch(
        &rig, &seen,
        (struct http_client_request){.url = "http://localhost/y", .unix_socket = path});
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_OK);
    assert_text(&seen.collected, "hello");
    assert_int_equal(scripted_accepted(server), 1);
    forget(&seen);
    scripted_free(server);
    rig_end(&rig);
    unlink(path);
    rmdir(directory);
}

static void error_statuses_are_answers_not_failures(void **state)
{
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Type: a/b\r\n"
                 "Content-Length: 2\r\n\r\nno";
    fetch(&rig, &seen, (struct http_client_request){.on_headers = on_headers});
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_OK);
    assert_int_equal(seen.result.status, 429);
    assert_string_equal(seen.kind, "a/b");
    assert_text(&seen.collected, "no");
    forget(&seen);
    rig_end(&rig);
}

static void redirects_are_not_followed(void **state)
{
    struct rig rig;
    struct seen seen;
    (void)state;
    rig_start(&rig, NULL);
    rig.answer =
        "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    fetch(&rig, &seen, (struct http_client_request){0});
    assert_int_equal(seen.result.status, 302);
    assert_int_equal(scripted_requests(rig.server), 1);
    forget(&seen);
    rig_end(&rig);
}

static void three_hundred_calls_at_once_are_all_answered(void **state)
{
    enum { COUNT = 300 };
    struct rig rig;
    static struct seen seen[COUNT];
    (void)state;
    rig_start(&rig, NULL);
    rig.answer = HELLO;
    for (int i = 0; i < COUNT; i++) {
        watch(&rig, &seen[i]);
        start(&rig, &seen[i], (struct http_client_request){0});
    }
    loop_run(rig.loop);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(seen[i].dones, 1);
        assert_int_equal(seen[i].result.outcome, HTTP_CLIENT_OK);
        assert_text(&seen[i].collected, "hello");
        forget(&seen[i]);
    }
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_collected_with_status_and_headers),
        cmocka_unit_test(a_posted_body_arrives_with_its_headers),
        cmocka_unit_test(an_empty_post_and_other_methods_are_sent_as_asked),
        cmocka_unit_test(a_second_call_reuses_the_connection),
        cmocka_unit_test(a_streamed_body_is_told_as_it_comes),
        cmocka_unit_test(a_body_of_many_megabytes_streams_through_a_bounded_buffer),
        cmocka_unit_test(a_collected_body_past_its_limit_ends_the_call),
        cmocka_unit_test(
            what_is_sent_once_is_not_sent_again_on_a_connection_that_closes),
        cmocka_unit_test(nobody_listening_is_no_connection_and_nothing_sent),
        cmocka_unit_test(silence_after_the_request_is_an_idle_time_out),
        cmocka_unit_test(a_dripping_stream_outlives_the_idle_time_out_until_it_stops),
        cmocka_unit_test(the_total_time_out_ends_a_stream_that_never_pauses),
        cmocka_unit_test(a_connection_cut_in_the_middle_is_broken),
        cmocka_unit_test(cancel_tells_once_and_closes_the_connection),
        cmocka_unit_test(cancelling_inside_a_callback_is_seen_upstream_at_once),
        cmocka_unit_test(freeing_the_client_inside_a_callback_tells_every_call),
        cmocka_unit_test(malformed_requests_are_refused_without_a_connection),
        cmocka_unit_test(more_calls_than_the_bound_are_refused),
        cmocka_unit_test(calls_past_the_connection_bound_wait_and_are_answered),
        cmocka_unit_test(a_unix_socket_is_spoken_to_by_path),
        cmocka_unit_test(error_statuses_are_answers_not_failures),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(three_hundred_calls_at_once_are_all_answered),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
