/* test_websocket.c - sessions on a WebSocket. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdlib.h>

static int with_eio(void **state)
{
    struct eio_options options = eio_defaults();
    *state = bench_eio(&options);
    return 0;
}

static int done(void **state)
{
    bench_free(*state);
    return 0;
}

static void text_and_binary_are_echoed(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    say(b, pipe, "4hello");
    said(b, pipe, "4hello");
    say_bytes(b, pipe, "\x01\x02\x00\x04", 4);
    said_bytes(b, pipe, "\x01\x02\x00\x04", 4);
    silent(b, pipe);
}

static void a_text_message_may_carry_base64(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    say(b, pipe, "bAQIDBA==");
    said_bytes(b, pipe, "\x01\x02\x03\x04", 4);
}

static void a_message_above_64_kb_leaves_in_fragments(void **state)
{
    struct eio_options options = eio_defaults();
    struct bench *b = NULL;
    struct fake_pipe *pipe = NULL;
    size_t len = 200000;
    char *data = malloc(len);

    options.control_bytes = 1 << 20;
    b = bench_eio(&options);
    pipe = open_websocket(b, 4);
    memset(data, 'x', len);
    say_bytes(b, pipe, data, len);
    said_bytes(b, pipe, data, len);
    free(data);
    bench_free(b);
    (void)state;
}

static void many_small_messages_leave_in_one_send(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);
    unsigned sends = pipe->sends;

    for (int i = 0; i < 100; i++)
        eio_session_send(b->session, slice_of("x"), false);
    settle(b);
    assert_int_equal(pipe->sends, sends + 1);
    for (int i = 0; i < 100; i++)
        said(b, pipe, "4x");
}

static void ends_by_parse_error(struct bench *b, const char *text)
{
    struct fake_pipe *pipe = open_websocket(b, 4);

    buf_reset(&b->seen);
    say(b, pipe, text);
    closed(b, pipe);
    heard(b, "close parse error\n");
    hang_up(b, pipe, "transport close");
    heard(b, "");
}

static void an_undecodable_message_closes_without_a_status(void **state)
{
    struct bench *b = *state;

    ends_by_parse_error(b, "abc");
    ends_by_parse_error(b, "");
    ends_by_parse_error(b, "7");
    ends_by_parse_error(b, "4\xc3\x28");
    ends_by_parse_error(b, "b*");
}

static void a_client_may_close_by_packet(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    say(b, pipe, "1");
    closed(b, pipe);
    heard(b, "open\nclose transport close\n");
}

static void packets_without_meaning_here_are_ignored(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    say(b, pipe, "0");
    say(b, pipe, "5");
    say(b, pipe, "6");
    silent(b, pipe);
    still_open(b, pipe);
}

static void the_reason_of_a_lost_connection_is_passed_on(void **state)
{
    struct bench *b = *state;

    hang_up(b, open_websocket(b, 4), "transport close");
    heard(b, "open\nclose transport close\n");
    hang_up(b, open_websocket(b, 4), "transport error");
    heard(b, "open\nclose transport error\n");
    assert_int_equal(eio_server_sessions(b->eio), 0);
}

static void an_orderly_close_lets_what_is_queued_leave_first(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    eio_session_send(b->session, slice_of("last words"), false);
    eio_session_close(b->session, "because");
    said(b, pipe, "4last words");
    closed(b, pipe);
    heard(b, "open\nclose because\n");
}

static void what_does_not_fit_waits_for_the_drain(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    pipe->is_stalled = true;
    say(b, pipe, "4one");
    say(b, pipe, "4two");
    say(b, pipe, "4three");
    said(b, pipe, "4one");
    silent(b, pipe);
    unstall(b, pipe);
    said(b, pipe, "4two");
    said(b, pipe, "4three");
}

static void a_full_private_queue_closes_the_session_and_is_counted(void **state)
{
    struct eio_options options = eio_defaults();
    struct bench *b = NULL;
    struct fake_pipe *pipe = NULL;

    options.control_bytes = 256;
    b = bench_eio(&options);
    pipe = open_websocket(b, 4);
    pipe->is_stalled = true;
    say(b, pipe, "4fills the pipe");
    for (int i = 0; i < 100 && b->session != NULL; i++)
        say(b, pipe, "4waits in the queue");
    closed(b, pipe);
    assert_non_null(strstr(buf_text(&b->seen), "close transport error\n"));
    assert_int_equal(counted(b, "thinkwire_engine_overflows_total "), 1);
    bench_free(b);
    (void)state;
}

#define WS_TEST(name) cmocka_unit_test_setup_teardown(name, with_eio, done)

int test_websocket(void)
{
    const struct CMUnitTest tests[] = {
        WS_TEST(text_and_binary_are_echoed),
        WS_TEST(a_text_message_may_carry_base64),
        cmocka_unit_test(a_message_above_64_kb_leaves_in_fragments),
        WS_TEST(many_small_messages_leave_in_one_send),
        WS_TEST(an_undecodable_message_closes_without_a_status),
        WS_TEST(a_client_may_close_by_packet),
        WS_TEST(packets_without_meaning_here_are_ignored),
        WS_TEST(the_reason_of_a_lost_connection_is_passed_on),
        WS_TEST(an_orderly_close_lets_what_is_queued_leave_first),
        WS_TEST(what_does_not_fit_waits_for_the_drain),
        cmocka_unit_test(a_full_private_queue_closes_the_session_and_is_counted),
    };
    return cmocka_run_group_tests_name("engine: WebSocket", tests, NULL, NULL);
}
