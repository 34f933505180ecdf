/* test_polling.c - the held GET, the POST, and how polling sessions end. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdlib.h>

#define SID_UNKNOWN "{\"code\":1,\"message\":\"Session ID unknown\"}"

static int with_session(void **state)
{
    struct eio_options options = eio_defaults();
    struct bench *b = bench_eio(&options);

    open_polling(b, 4, "");
    heard(b, "open\n");
    *state = b;
    return 0;
}

static int done(void **state)
{
    bench_free(*state);
    return 0;
}

static void is_unknown(struct bench *b)
{
    answered(b, fetch(b), 400, SID_UNKNOWN);
    answered(b, post(b, "4x"), 400, SID_UNKNOWN);
}

/* ---- payloads ---- */

static void a_post_is_answered_ok_and_its_message_heard(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = post(b, "4hello");

    answered(b, x, 200, "ok");
    assert_string_equal(x->extra,
                        "Content-Type: text/html\r\nCache-Control: no-store\r\n");
    heard(b, "message hello\n");
    answered(b, fetch(b), 200, "4hello");
}

static void several_packets_share_one_payload_both_ways(void **state)
{
    struct bench *b = *state;

    answered(b,
             post(b, "4test1\x1e"
                     "4test2\x1e"
                     "4test3"),
             200, "ok");
    heard(b, "message test1\nmessage test2\nmessage test3\n");
    answered(b, fetch(b), 200,
             "4test1\x1e"
             "4test2\x1e"
             "4test3");
}

static void binary_travels_as_base64(void **state)
{
    struct bench *b = *state;

    answered(b,
             post(b, "4hello\x1e"
                     "bAQIDBA=="),
             200, "ok");
    heard(b, "message hello\nbinary \x01\x02\x03\x04\n");
    answered(b, fetch(b), 200,
             "4hello\x1e"
             "bAQIDBA==");
}

static void a_get_is_held_until_there_is_something(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = fetch(b);

    not_answered(b, x);
    post(b, "4now");
    answered(b, x, 200, "4now");
}

static void everything_said_in_one_turn_shares_the_answer(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = fetch(b);

    settle(b);
    eio_session_send(b->session, slice_of("a"), false);
    eio_session_send(b->session, slice_of("b"), false);
    assert_false(x->is_answered);
    answered(b, x, 200,
             "4a\x1e"
             "4b");
}

static void at_most_sixteen_packets_go_into_one_answer(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < 20; i++)
        eio_session_send(b->session, slice_of("x"), false);
    answered(b, fetch(b), 200,
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x");
    answered(b, fetch(b), 200,
             "4x\x1e"
             "4x\x1e"
             "4x\x1e"
             "4x");
    not_answered(b, fetch(b));
}

/* ---- one at a time ---- */

static void a_second_get_closes_the_session(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *first = fetch(b);

    answered(b, fetch(b), 400, "");
    answered(b, first, 200, "1");
    heard(b, "close transport error\n");
    is_unknown(b);
}

static void body(struct bench *b, const struct http_request *request,
                 enum http_body_phase phase)
{
    b->http.on_body(b->http.ctx, request, phase);
    settle(b);
}

static void a_second_post_while_one_comes_in_closes_the_session(void **state)
{
    struct bench *b = *state;
    struct http_request slow = {.method = HTTP_POST, .query = slice_of(b->query)};
    struct http_request other = slow;

    /* One that never came to its end is forgotten. */
    body(b, &slow, HTTP_BODY_BEGUN);
    body(b, &slow, HTTP_BODY_DROPPED);
    answered(b, post(b, "4hello"), 200, "ok");
    heard(b, "message hello\n");
    body(b, &slow, HTTP_BODY_BEGUN);
    answered(b, post(b, "4hello"), 400, "");
    heard(b, "close transport error\n");
    body(b, &other, HTTP_BODY_BEGUN); /* of a session that is gone: nothing */
    is_unknown(b);
}

static void two_posts_that_come_in_together_close_the_session(void **state)
{
    struct bench *b = *state;
    struct http_request one = {.method = HTTP_POST, .query = slice_of(b->query)};
    struct http_request two = one;

    body(b, &one, HTTP_BODY_BEGUN);
    body(b, &two, HTTP_BODY_BEGUN);
    heard(b, "close transport error\n");
    is_unknown(b);
}

static void an_aborted_get_closes_the_session_at_once(void **state)
{
    struct bench *b = *state;

    abort_exchange(b, fetch(b));
    heard(b, "close transport error\n");
    is_unknown(b);
}

/* ---- the end ---- */

static void a_client_closes_by_post(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = fetch(b);

    answered(b, post(b, "1"), 200, "ok");
    answered(b, x, 200, "6");
    heard(b, "close transport close\n");
    is_unknown(b);
}

static void what_follows_a_close_is_not_heard(void **state)
{
    struct bench *b = *state;

    answered(b,
             post(b, "4a\x1e"
                     "1\x1e"
                     "4b"),
             200, "ok");
    heard(b, "message a\nclose transport close\n");
}

static void ends_by_parse_error(struct bench *b, const char *body)
{
    struct fake_exchange *held = NULL;

    open_polling(b, 4, "");
    held = fetch(b);
    answered(b, post(b, body), 400, "");
    answered(b, held, 200, "1");
    heard(b, "open\nclose parse error\n");
    is_unknown(b);
}

static void an_undecodable_post_closes_the_session(void **state)
{
    struct bench *b = *state;

    ends_by_parse_error(b, "abc");
    ends_by_parse_error(b, "");
    ends_by_parse_error(b, "9x");
    ends_by_parse_error(b, "\x1e");
    ends_by_parse_error(b, "4\xff");
    ends_by_parse_error(b, "b!!!!");
}

static void good_packets_before_a_bad_one_are_heard(void **state)
{
    struct bench *b = *state;

    b->keeps_quiet = true;
    answered(b,
             post(b, "4good\x1e"
                     "abc"),
             400, "");
    heard(b, "message good\nclose parse error\n");
}

static void octets_are_no_payload_of_revision_4(void **state)
{
    struct bench *b = *state;

    b->content_type = "application/octet-stream";
    answered(b, post(b, "4x"), 400, "");
    heard(b, "close transport error\n");
    b->content_type = NULL;
    is_unknown(b);
}

static void a_body_above_max_payload_is_413_and_harmless(void **state)
{
    struct bench *b = *state;
    size_t limit = eio_defaults().max_payload_bytes;
    char *body = malloc(limit + 1);
    struct fake_exchange *x = NULL;

    memset(body, 'a', limit + 1);
    body[0] = '4';
    b->keeps_quiet = true;
    x = ask(b, HTTP_POST, b->query, slice_make(body, limit + 1));
    answered(b, x, 413, "");
    heard(b, "");
    x = ask(b, HTTP_POST, b->query, slice_make(body, limit));
    answered(b, x, 200, "ok");
    assert_int_equal(b->seen.len, strlen("message ") + limit - 1 + 1);
    buf_reset(&b->seen);
    free(body);
}

static void an_orderly_close_ends_the_held_get(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = fetch(b);

    settle(b);
    eio_session_close(b->session, "because");
    answered(b, x, 200, "1");
    heard(b, "close because\n");
    is_unknown(b);
}

static void what_was_said_before_an_orderly_close_still_leaves(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = fetch(b);

    settle(b);
    eio_session_send(b->session, slice_of("last words"), false);
    eio_session_close(b->session, "because");
    answered(b, x, 200,
             "4last words\x1e"
             "1");
}

static void without_a_held_get_the_next_one_hears_of_an_orderly_close(void **state)
{
    struct bench *b = *state;

    eio_session_close(b->session, "because");
    heard(b, "close because\n");
    answered(b, post(b, "4x"), 400, SID_UNKNOWN);
    answered(b, fetch(b), 200,
             "6\x1e"
             "1");
    is_unknown(b);
}

static void farewells_are_bounded_and_the_oldest_goes_first(void **state)
{
    struct bench *b = *state;
    char first[TEXT_SIZE];

    memcpy(first, b->query, sizeof(first));
    eio_session_close(b->session, "because");
    for (int i = 0; i < EIO_MAX_FAREWELLS; i++) {
        open_polling(b, 4, "");
        eio_session_close(b->session, "because");
        settle(b);
    }
    answered(b, get(b, first), 400, SID_UNKNOWN);
    answered(b, fetch(b), 200,
             "6\x1e"
             "1");
    buf_reset(&b->seen);
}

static void a_closed_session_swallows_what_it_is_given(void **state)
{
    struct bench *b = *state;
    struct eio_session *session = b->session;
    struct eio_window window;
    struct bytes *frames = bytes_copy("4x", 2);

    eio_session_close(session, "because");
    eio_session_send(session, slice_of("x"), false);
    eio_session_alarm(session, 1);
    eio_session_close(session, "twice");
    assert_false(eio_session_window(session, &window));
    assert_false(eio_session_send_shared(session, frames, 1));
    bytes_unref(frames);
    heard(b, "close because\n");
}

#define POLL_TEST(name) cmocka_unit_test_setup_teardown(name, with_session, done)

int test_polling(void)
{
    const struct CMUnitTest tests[] = {
        POLL_TEST(a_post_is_answered_ok_and_its_message_heard),
        POLL_TEST(several_packets_share_one_payload_both_ways),
        POLL_TEST(binary_travels_as_base64),
        POLL_TEST(a_get_is_held_until_there_is_something),
        POLL_TEST(everything_said_in_one_turn_shares_the_answer),
        POLL_TEST(at_most_sixteen_packets_go_into_one_answer),
        POLL_TEST(a_second_get_closes_the_session),
        POLL_TEST(a_second_post_while_one_comes_in_closes_the_session),
        POLL_TEST(two_posts_that_come_in_together_close_the_session),
        POLL_TEST(an_aborted_get_closes_the_session_at_once),
        POLL_TEST(a_client_closes_by_post),
        POLL_TEST(what_follows_a_close_is_not_heard),
        POLL_TEST(an_undecodable_post_closes_the_session),
        POLL_TEST(good_packets_before_a_bad_one_are_heard),
        POLL_TEST(octets_are_no_payload_of_revision_4),
        POLL_TEST(a_body_above_max_payload_is_413_and_harmless),
        POLL_TEST(an_orderly_close_ends_the_held_get),
        POLL_TEST(what_was_said_before_an_orderly_close_still_leaves),
        POLL_TEST(without_a_held_get_the_next_one_hears_of_an_orderly_close),
        POLL_TEST(farewells_are_bounded_and_the_oldest_goes_first),
        POLL_TEST(a_closed_session_swallows_what_it_is_given),
    };
    return cmocka_run_group_tests_name("engine: polling", tests, NULL, NULL);
}
