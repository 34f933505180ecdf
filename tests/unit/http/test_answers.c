/* test_answers.c - whole answers: bodies, headers, connections, bounds. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

int test_answers(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_collected_with_status_and_headers),
        cmocka_unit_test(a_posted_body_arrives_with_its_headers),
        cmocka_unit_test(an_empty_post_and_other_methods_are_sent_as_asked),
        cmocka_unit_test(a_second_call_reuses_the_connection),
        cmocka_unit_test(a_streamed_body_is_told_as_it_comes),
        cmocka_unit_test(a_body_of_many_megabytes_streams_through_a_bounded_buffer),
        cmocka_unit_test(more_calls_than_the_bound_are_refused),
        cmocka_unit_test(calls_past_the_connection_bound_wait_and_are_answered),
        cmocka_unit_test(a_unix_socket_is_spoken_to_by_path),
        cmocka_unit_test(error_statuses_are_answers_not_failures),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(three_hundred_calls_at_once_are_all_answered),
    };
    return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}
