/* test_namespaces.c - CONNECT, CONNECT_ERROR, DISCONNECT. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

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

/* The message is <head>{"sid":"<20 characters>"} with an id that is not the engine's. */
static void connected(struct bench *b, struct fake_pipe *pipe, const char *head)
{
    const char *message = next_message(b, pipe);
    char expected[128];

    snprintf(expected, sizeof(expected), "%s{\"sid\":\"%.20s\"}", head,
             sio_id(b->socket).ptr);
    assert_string_equal(message, expected);
    assert_int_equal(sio_id(b->socket).len, 20);
    assert_memory_not_equal(sio_id(b->socket).ptr, b->sid, 20);
}

static void the_main_namespace_is_joined_on_request(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    silent(b, pipe);
    say(b, pipe, "40");
    connected(b, pipe, "40");
    heard(b, "connect / \n");
}

static void auth_is_handed_to_the_application(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    say(b, pipe, "40{\"token\":\"123\"}");
    connected(b, pipe, "40");
    heard(b, "connect / {\"token\":\"123\"}\n");
}

static void other_namespaces_with_and_without_a_comma(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    say(b, pipe, "40/a");
    connected(b, pipe, "40/a,");
    say(b, pipe, "40/b,");
    connected(b, pipe, "40/b,");
    say(b, pipe, "40/c,{\"x\":1}");
    connected(b, pipe, "40/c,");
    heard(b, "connect /a \nconnect /b \nconnect /c {\"x\":1}\n");
}

static void an_unknown_namespace_is_refused_and_the_rest_lives(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "40/unknown");
    said(b, pipe, "44/unknown,{\"message\":\"Invalid namespace\"}");
    heard(b, "connect /unknown \n");
    say(b, pipe, "42[\"x\"]");
    heard(b, "event / x [\"x\"]\n");
}

static void a_refusal_may_carry_data(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    say(b, pipe, "40/secret,");
    said(b, pipe, "44/secret,{\"message\":\"No \\\"entry\\\"\",\"data\":{\"code\":7}}");
    say(b, pipe, "40/secret,"); /* may be asked for again */
    said(b, pipe, "44/secret,{\"message\":\"No \\\"entry\\\"\",\"data\":{\"code\":7}}");
}

static void the_application_may_take_its_time(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    b->answers_later = true;
    say(b, pipe, "40");
    silent(b, pipe);
    sio_accept(b->socket);
    connected(b, pipe, "40");
    sio_accept(b->socket); /* once is enough */
    silent(b, pipe);
}

static void nothing_can_be_sent_before_it_was_accepted(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);
    struct sio_window window;

    b->answers_later = true;
    say(b, pipe, "40");
    sio_emit(b->socket, slice_of("[\"early\"]"));
    assert_false(sio_window(b->socket, &window));
    silent(b, pipe);
}

static void more_namespaces_than_allowed_are_refused(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);
    char text[32];

    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "40/n%d,", i);
        say(b, pipe, text);
        connected(b, pipe, text);
    }
    say(b, pipe, "40/n4,");
    said(b, pipe, "44/n4,{\"message\":\"Too many namespaces\"}");
}

static void closes(struct bench *b, const char *text, const char *lines)
{
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, text);
    closed(b, pipe);
    silent(b, pipe);
    heard(b, lines);
    hang_up(b, pipe, "transport close");
}

static void packets_out_of_place_close_the_connection(void **state)
{
    struct bench *b = *state;
    const char *lines = "disconnect / forced server close\n";

    closes(b, "40", lines);                    /* joined already */
    closes(b, "44{\"message\":\"x\"}", lines); /* a server's packet */
    closes(b, "42/other,[\"x\"]", lines);      /* not joined */
    closes(b, "41/other,", lines);             /* not joined */
    closes(b, "43/other,1[]", lines);          /* not joined */
    closes(b, "451-/other,[\"x\"]", lines);    /* not joined */
}

static void packets_that_cannot_be_read_close_the_connection(void **state)
{
    struct bench *b = *state;
    const char *lines = "disconnect / forced close\n";

    closes(b, "4", lines);
    closes(b, "4abc", lines);
    closes(b, "47", lines);
    closes(b, "41{}", lines);
    closes(b, "40/x,\"text\"", lines);
    closes(b, "40/x,[]", lines);
    closes(b, "42{}", lines);
    closes(b, "42[]", lines);
    closes(b, "42[true]", lines);
    closes(b, "42[\"connect\"]", lines);
    closes(b, "42[\"disconnecting\"]", lines);
    closes(b, "42[\"newListener\"]", lines);
    closes(b, "42[\"x\"", lines);
    closes(b, "42abc[\"x\"]", lines);
    closes(b, "42-1[\"x\"]", lines);
    closes(b, "421.5[\"x\"]", lines);
    closes(b, "431{}", lines);
}

static void on_polling_a_bad_packet_ends_in_order(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *held = NULL;

    join_polling(b);
    held = fetch(b);
    answered(b, post(b, "4abc"), 200, "ok");
    answered(b, held, 200, "1");
    heard(b, "disconnect / forced close\n");
    join_polling(b);
    answered(b, post(b, "4abc"), 200, "ok");
    answered(b, fetch(b), 200,
             "6\x1e"
             "1");
    heard(b, "disconnect / forced close\n");
}

static void an_event_as_first_packet_closes_the_connection(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    say(b, pipe, "42[\"x\"]");
    closed(b, pipe);
    heard(b, "");
}

static void an_event_before_the_connect_answer_closes_the_connection(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    b->answers_later = true;
    say(b, pipe, "40");
    say(b, pipe, "42[\"x\"]");
    closed(b, pipe);
    heard(b, "connect / \ndisconnect / forced server close\n");
}

static void a_hostile_namespace_name_is_no_name(void **state)
{
    struct bench *b = *state;
    char text[700];

    memset(text, 'n', sizeof(text));
    memcpy(text, "40/", 3);
    text[sizeof(text) - 1] = '\0';
    closes(b, text, "disconnect / forced close\n");
}

static void a_client_leaves_one_namespace_and_may_come_back(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "40/site");
    connected(b, pipe, "40/site,");
    say(b, pipe, "41/site");
    heard(b, "connect /site \ndisconnect /site client namespace disconnect\n");
    silent(b, pipe);
    say(b, pipe, "42[\"x\"]");
    heard(b, "event / x [\"x\"]\n");
    say(b, pipe, "40/site,");
    connected(b, pipe, "40/site,");
}

static void leaving_the_main_namespace_keeps_the_connection(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "41");
    silent(b, pipe);
    still_open(b, pipe);
    heard(b, "disconnect / client namespace disconnect\n");
    say(b, pipe, "40");
    connected(b, pipe, "40");
}

static void the_server_disconnects_one_namespace(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "40/site");
    connected(b, pipe, "40/site,");
    buf_reset(&b->seen);
    sio_disconnect(b->socket);
    assert_string_equal(buf_text(&b->seen),
                        "disconnect /site server namespace disconnect\n");
    said(b, pipe, "41/site,");
    still_open(b, pipe);
}

static void the_server_closes_the_transport_of_all_namespaces(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "40/site");
    buf_reset(&b->seen);
    sio_close_transport(b->socket, "slow reader");
    assert_string_equal(buf_text(&b->seen), "");
    heard(b, "disconnect / slow reader\ndisconnect /site slow reader\n");
    closed(b, pipe);
}

static void every_socket_hears_why_the_connection_ended(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "40/site");
    buf_reset(&b->seen);
    hang_up(b, pipe, "transport close");
    heard(b, "disconnect / transport close\ndisconnect /site transport close\n");
}

static void shutting_down_is_told_to_the_application(void **state)
{
    struct sio_options options = sio_defaults();
    struct bench *b = bench_sio(&options);

    (void)join_websocket(b);
    sio_server_free(b->sio);
    b->sio = NULL;
    heard(b, "disconnect / server shutting down\n");
    bench_free(b);
    (void)state;
}

static struct bench *impatient(void)
{
    struct sio_options options = sio_defaults();
    options.connect_timeout_ms = 30;
    return bench_sio(&options);
}

static void a_session_without_any_namespace_is_closed(void **state)
{
    struct bench *b = impatient();

    await_close(b, open_websocket(b, 4));
    assert_int_equal(sio_server_sessions(b->sio), 0);
    bench_free(b);
    (void)state;
}

static void a_session_with_a_namespace_is_not(void **state)
{
    struct bench *b = impatient();
    struct fake_pipe *pipe = join_websocket(b);

    pass_ms(b, 60);
    still_open(b, pipe);
    say(b, pipe, "41"); /* the time begins again */
    await_close(b, pipe);
    bench_free(b);
    (void)state;
}

#define SIO_TEST(name) cmocka_unit_test_setup_teardown(name, with_sio, done)

int test_namespaces(void)
{
    const struct CMUnitTest tests[] = {
        SIO_TEST(the_main_namespace_is_joined_on_request),
        SIO_TEST(auth_is_handed_to_the_application),
        SIO_TEST(other_namespaces_with_and_without_a_comma),
        SIO_TEST(an_unknown_namespace_is_refused_and_the_rest_lives),
        SIO_TEST(a_refusal_may_carry_data),
        SIO_TEST(the_application_may_take_its_time),
        SIO_TEST(nothing_can_be_sent_before_it_was_accepted),
        SIO_TEST(more_namespaces_than_allowed_are_refused),
        SIO_TEST(packets_out_of_place_close_the_connection),
        SIO_TEST(packets_that_cannot_be_read_close_the_connection),
        SIO_TEST(on_polling_a_bad_packet_ends_in_order),
        SIO_TEST(an_event_as_first_packet_closes_the_connection),
        SIO_TEST(an_event_before_the_connect_answer_closes_the_connection),
        SIO_TEST(a_hostile_namespace_name_is_no_name),
        SIO_TEST(a_client_leaves_one_namespace_and_may_come_back),
        SIO_TEST(leaving_the_main_namespace_keeps_the_connection),
        SIO_TEST(the_server_disconnects_one_namespace),
        SIO_TEST(the_server_closes_the_transport_of_all_namespaces),
        SIO_TEST(every_socket_hears_why_the_connection_ended),
        cmocka_unit_test(shutting_down_is_told_to_the_application),
        cmocka_unit_test(a_session_without_any_namespace_is_closed),
        cmocka_unit_test(a_session_with_a_namespace_is_not),
    };
    return cmocka_run_group_tests_name("engine: namespaces", tests, NULL, NULL);
}
