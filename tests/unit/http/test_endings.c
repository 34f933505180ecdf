/* test_endings.c - calls that end in another way: time-outs, cuts, cancels, refusals. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <stdio.h>

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

/* What a scripted server says later. */
struct late {
    struct timer timer;
    struct rig *rig;
};

static void one_is_gone(void *ctx)
{
    struct rig *rig = ctx;
    if (--rig->waiting == 0)
        loop_stop(rig->loop);
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

static void idle_connections_are_closed_when_nothing_was_asked_for_long(void **state)
{
    struct rig rig;
    struct seen seen[3];
    (void)state;
    rig_start(&rig, &(struct http_client_options){.keep_alive_ms = 30});
    rig.answer = HELLO;
    for (int i = 0; i < 3; i++) {
        watch(&rig, &seen[i]);
        start(&rig, &seen[i], (struct http_client_request){0});
    }
    scripted_on_gone(rig.server, one_is_gone);
    rig.waiting += 3; /* the loop goes on until the server has seen all of them end */
    loop_run(rig.loop);
    assert_int_equal(scripted_accepted(rig.server), 3);
    assert_int_equal(scripted_gone(rig.server), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(seen[i].result.outcome, HTTP_CLIENT_OK);
        forget(&seen[i]);
    }
    fetch(&rig, &seen[0], (struct http_client_request){0});
    assert_int_equal(seen[0].result.outcome, HTTP_CLIENT_OK);
    assert_false(seen[0].result.reused);
    forget(&seen[0]);
    rig_end(&rig);
}

static void say_hello(struct timer *timer)
{
    struct late *late = LIST_ENTRY(timer, struct late, timer);
    if (scripted_requests(late->rig->server) < 2)
        return;
    timer_stop(timer);
    scripted_send(late->rig->peer, HELLO);
}

static void a_call_that_waits_long_is_no_idle_connection(void **state)
{
    struct rig rig;
    struct seen seen;
    struct late late = {.rig = &rig};
    (void)state;
    rig_start(&rig, &(struct http_client_options){.keep_alive_ms = 20});
    rig.answer = HELLO;
    fetch(&rig, &seen, (struct http_client_request){0});
    forget(&seen);
    rig.answer = NULL;
    timer_init(&late.timer, rig.loop, say_hello);
    timer_start(&late.timer, 200, 20);
    fetch(&rig, &seen, (struct http_client_request){0});
    assert_int_equal(seen.result.outcome, HTTP_CLIENT_OK);
    forget(&seen);
    timer_release(&late.timer);
    rig_end(&rig);
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

int test_endings(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_collected_body_past_its_limit_ends_the_call),
        cmocka_unit_test(
            what_is_sent_once_is_not_sent_again_on_a_connection_that_closes),
        cmocka_unit_test(idle_connections_are_closed_when_nothing_was_asked_for_long),
        cmocka_unit_test(a_call_that_waits_long_is_no_idle_connection),
        cmocka_unit_test(nobody_listening_is_no_connection_and_nothing_sent),
        cmocka_unit_test(silence_after_the_request_is_an_idle_time_out),
        cmocka_unit_test(a_dripping_stream_outlives_the_idle_time_out_until_it_stops),
        cmocka_unit_test(the_total_time_out_ends_a_stream_that_never_pauses),
        cmocka_unit_test(a_connection_cut_in_the_middle_is_broken),
        cmocka_unit_test(cancel_tells_once_and_closes_the_connection),
        cmocka_unit_test(cancelling_inside_a_callback_is_seen_upstream_at_once),
        cmocka_unit_test(freeing_the_client_inside_a_callback_tells_every_call),
        cmocka_unit_test(malformed_requests_are_refused_without_a_connection),
    };
    return cmocka_run_group_tests_name("endings", tests, NULL, NULL);
}
