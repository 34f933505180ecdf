/* test_eio3.c - clients of the old revision: length prefixes, binary payloads, "/". */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int with_eio(void **state)
{
    struct eio_options options = eio_defaults();
    *state = bench_eio(&options);
    return 0;
}

static int with_sio(void **state)
{
    struct sio_options options = sio_defaults();
    *state = bench_sio(&options);
    return 0;
}

static int done(void **state)
{
    bench_free(*state);
    return 0;
}

/* ---- Engine.IO ---- */

static void the_open_packet_has_its_length_before_it(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = get(b, "EIO=3&transport=polling");
    unsigned long length = 0;
    char *packet = NULL;

    settle(b);
    length = strtoul(buf_text(&x->body), &packet, 10);
    assert_int_equal(*packet, ':');
    packet++;
    assert_int_equal(strlen(packet), length);
    assert_memory_equal(packet, "0{\"sid\":\"", 9);
    assert_non_null(strstr(buf_text(&x->body), "\"upgrades\":[\"websocket\"]"));
    assert_int_equal(eio_session_revision(b->session), 3);
}

static void several_prefixed_packets_share_a_payload(void **state)
{
    struct bench *b = *state;

    open_polling(b, 3, "&b64=1");
    answered(b, post(b, "6:4test16:4test20:6:4test3"), 200, "ok");
    heard(b, "open\nmessage test1\nmessage test2\nmessage test3\n");
    answered(b, fetch(b), 200, "6:4test16:4test26:4test3");
}

static void lengths_are_utf16_units_both_ways(void **state)
{
    struct bench *b = *state;

    open_polling(b, 3, "&b64=1");
    answered(b, post(b, "5:4\xe2\x82\xac\xf0\x9f\x98\x80!"), 200, "ok");
    answered(b, fetch(b), 200, "5:4\xe2\x82\xac\xf0\x9f\x98\x80!");
}

static void a_wrong_length_closes_the_session(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *held = NULL;

    open_polling(b, 3, "");
    held = fetch(b);
    answered(b, post(b, "9:4x"), 400, "");
    answered(b, held, 200, "1:1");
    heard(b, "open\nclose parse error\n");
}

static void binary_goes_as_base64_to_those_who_ask_for_it(void **state)
{
    struct bench *b = *state;

    open_polling(b, 3, "&b64=1");
    answered(b, post(b, "6:4hello10:b4AQIDBA=="), 200, "ok");
    answered(b, fetch(b), 200, "6:4hello10:b4AQIDBA==");
}

static void binary_goes_as_octets_to_the_others(void **state)
{
    static const char expected[] = {0, 6, -1, '4', 'h', 'e', 'l', 'l', 'o',
                                    1, 5, -1, 4,   1,   2,   3,   4};
    struct bench *b = *state;
    struct fake_exchange *x = NULL;

    open_polling(b, 3, "");
    answered(b, post(b, "6:4hello10:b4AQIDBA=="), 200, "ok");
    x = fetch(b);
    answered_bytes(b, x, expected, sizeof(expected));
    assert_string_equal(x->extra, "Content-Type: application/octet-stream\r\n"
                                  "Cache-Control: no-store\r\n");
}

static void lengths_in_octets_are_bytes_digit_by_digit(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = NULL;
    char data[300];

    memset(data, 'x', sizeof(data));
    open_polling(b, 3, "");
    x = fetch(b);
    settle(b);
    eio_session_send(b->session, slice_make(data, sizeof(data)), true);
    settle(b);
    assert_int_equal(x->body.len, 1 + 3 + 1 + 1 + sizeof(data));
    assert_memory_equal(x->body.data, "\x01\x03\x00\x01\xff\x04xxx", 9);
}

static void a_text_answer_already_begun_leaves_binary_to_the_next(void **state)
{
    static const char expected[] = {1, 3, -1, 4, 'h', 'i'};
    struct bench *b = *state;
    struct fake_exchange *x = NULL;
    struct eio_window window;

    open_polling(b, 3, "");
    x = fetch(b);
    settle(b);
    eio_session_send(b->session, slice_of("text"), false);
    assert_true(eio_session_window(b->session, &window));
    assert_int_equal(window.framing, FRAMING_EIO3);
    eio_session_send(b->session, slice_of("hi"), true);
    assert_false(eio_session_window(b->session, &window));
    answered(b, x, 200, "5:4text");
    answered_bytes(b, fetch(b), expected, sizeof(expected));
}

static void octets_are_understood(void **state)
{
    static const char body[] = {0,   6, -1, '4', 'h', 'e', 'l', 'l',
                                'o', 1, 3,  -1,  4,   'h', 'i'};
    struct bench *b = *state;
    struct fake_exchange *x = NULL;

    open_polling(b, 3, "");
    b->content_type = "application/octet-stream";
    x = ask(b, HTTP_POST, b->query, slice_make(body, sizeof(body)));
    answered(b, x, 200, "ok");
    heard(b, "open\nmessage hello\nbinary hi\n");
}

static void a_ping_by_post_is_answered_on_the_get(void **state)
{
    struct bench *b = *state;

    open_polling(b, 3, "");
    answered(b, post(b, "1:2"), 200, "ok");
    answered(b, fetch(b), 200, "1:3");
}

static void a_client_closes_by_post(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *held = NULL;

    open_polling(b, 3, "");
    held = fetch(b);
    answered(b, post(b, "1:1"), 200, "ok");
    answered(b, held, 200, "1:6");
}

static void a_second_get_closes_the_session(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *held = NULL;

    open_polling(b, 3, "");
    held = fetch(b);
    answered(b, fetch(b), 400, "");
    answered(b, held, 200, "1:1");
}

static void the_next_get_hears_of_an_orderly_close(void **state)
{
    struct bench *b = *state;

    open_polling(b, 3, "");
    eio_session_close(b->session, "because");
    answered(b, fetch(b), 200, "1:61:1");
}

static void binary_frames_begin_with_their_type(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 3);

    say_bytes(b, pipe, "\x04\x01\x02", 3);
    said_bytes(b, pipe, "\x04\x01\x02", 3);
    say(b, pipe, "4hello");
    said(b, pipe, "4hello");
    heard(b, "open\nbinary \x01\x02\nmessage hello\n");
}

static void an_upgrade_keeps_the_heartbeat(void **state)
{
    struct eio_options options = eio_defaults();
    struct bench *b = NULL;
    struct fake_pipe *pipe = NULL;

    options.ping_interval_ms = 30;
    options.ping_timeout_ms = 20;
    b = bench_eio(&options);
    open_polling(b, 3, "");
    pipe = dial_upgrade(b);
    say(b, pipe, "2probe");
    said(b, pipe, "3probe");
    answered(b, fetch(b), 200, "1:6");
    say(b, pipe, "5");
    await_close(b, pipe);
    heard(b, "open\nclose ping timeout\n");
    bench_free(b);
    (void)state;
}

/* ---- Socket.IO ---- */

static void the_client_joins_the_main_namespace_by_itself(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 3);

    said(b, pipe, "40");
    silent(b, pipe);
    heard(b, "connect / \n");
    assert_int_equal(sio_revision(b->socket), 3);
    say(b, pipe, "42[\"hello\"]");
    heard(b, "event / hello [\"hello\"]\n");
}

static void on_polling_the_next_get_tells_of_the_main_namespace(void **state)
{
    struct bench *b = *state;

    open_polling(b, 3, "&b64=1");
    answered(b, fetch(b), 200, "2:40");
}

static void socket_ids_are_made_of_the_engine_id(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 3);
    char expected[64];

    assert_true(slice_is(sio_id(b->socket), b->sid));
    said(b, pipe, "40");
    say(b, pipe, "40/admin");
    said(b, pipe, "40/admin,");
    snprintf(expected, sizeof(expected), "/admin#%s", b->sid);
    assert_true(slice_is(sio_id(b->socket), expected));
}

static void the_query_of_a_namespace_is_its_auth(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 3);

    said(b, pipe, "40");
    heard(b, "connect / \n");
    say(b, pipe, "40/admin?token=1&name=a%22b,");
    said(b, pipe, "40/admin,");
    heard(b, "connect /admin {\"token\":\"1\",\"name\":\"a\\\"b\"}\n");
}

static void refusals_are_bare_except_for_unknown_namespaces(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 3);

    said(b, pipe, "40");
    say(b, pipe, "40/unknown");
    said(b, pipe, "44/unknown,{\"message\":\"Invalid namespace\"}");
    say(b, pipe, "40/secret");
    said(b, pipe, "44/secret,{\"code\":7}");
    b->answers_later = true;
    say(b, pipe, "40/later");
    sio_refuse(b->socket, "Not \"you\"", slice_make(NULL, 0));
    said(b, pipe, "44/later,\"Not \\\"you\\\"\"");
}

static void shared_events_come_length_prefixed(void **state)
{
    struct bench *b = *state;
    struct sio_window window;
    struct bytes *frames = NULL;
    struct fake_exchange *x = NULL;

    open_polling(b, 3, "&b64=1");
    x = fetch(b);
    assert_true(sio_window(b->socket, &window));
    assert_int_equal(window.framing, FRAMING_EIO3);
    assert_int_equal(window.revision, 3);
    frames = events(window.framing, 3, 0, 2);
    sio_send_shared(b->socket, frames, 2);
    bytes_unref(frames);
    answered(b, x, 200, "2:409:42[\"n\",0]9:42[\"n\",1]");
}

#define EIO_TEST(name) cmocka_unit_test_setup_teardown(name, with_eio, done)
#define SIO_TEST(name) cmocka_unit_test_setup_teardown(name, with_sio, done)

int test_eio3(void)
{
    const struct CMUnitTest tests[] = {
        EIO_TEST(the_open_packet_has_its_length_before_it),
        EIO_TEST(several_prefixed_packets_share_a_payload),
        EIO_TEST(lengths_are_utf16_units_both_ways),
        EIO_TEST(a_wrong_length_closes_the_session),
        EIO_TEST(binary_goes_as_base64_to_those_who_ask_for_it),
        EIO_TEST(binary_goes_as_octets_to_the_others),
        EIO_TEST(lengths_in_octets_are_bytes_digit_by_digit),
        EIO_TEST(a_text_answer_already_begun_leaves_binary_to_the_next),
        EIO_TEST(octets_are_understood),
        EIO_TEST(a_ping_by_post_is_answered_on_the_get),
        EIO_TEST(a_client_closes_by_post),
        EIO_TEST(a_second_get_closes_the_session),
        EIO_TEST(the_next_get_hears_of_an_orderly_close),
        EIO_TEST(binary_frames_begin_with_their_type),
        cmocka_unit_test(an_upgrade_keeps_the_heartbeat),
        SIO_TEST(the_client_joins_the_main_namespace_by_itself),
        SIO_TEST(on_polling_the_next_get_tells_of_the_main_namespace),
        SIO_TEST(socket_ids_are_made_of_the_engine_id),
        SIO_TEST(the_query_of_a_namespace_is_its_auth),
        SIO_TEST(refusals_are_bare_except_for_unknown_namespaces),
        SIO_TEST(shared_events_come_length_prefixed),
    };
    return cmocka_run_group_tests_name("engine: Engine.IO 3", tests, NULL, NULL);
}
