/* test_lifetime.c - an application that closes things from inside any callback. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

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

static void close_in_event(struct bench *b, struct sio_socket *socket,
                           const struct sio_event *event)
{
    (void)b;
    sio_close_transport(socket, "enough");
    sio_emit(socket, slice_of("[\"too late\"]"));
    sio_ack(socket, event->ack, slice_of("[]"));
}

static void the_transport_may_be_closed_inside_an_event(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    b->on_event = close_in_event;
    say(b, pipe, "421[\"x\"]");
    closed(b, pipe);
    silent(b, pipe);
    heard(b, "event / x [\"x\"] ack 1\ndisconnect / enough\n");
}

static void a_post_whose_first_event_closes_is_still_answered(void **state)
{
    struct bench *b = *state;

    join_polling(b);
    b->on_event = close_in_event;
    answered(b,
             post(b, "421[\"a\"]\x1e"
                     "42[\"b\"]"),
             200, "ok");
    heard(b, "event / a [\"a\"] ack 1\ndisconnect / enough\n");
}

static void disconnect_in_event(struct bench *b, struct sio_socket *socket,
                                const struct sio_event *event)
{
    (void)b;
    (void)event;
    sio_disconnect(socket);
    sio_disconnect(socket);
    sio_emit(socket, slice_of("[\"too late\"]"));
}

static void a_socket_may_be_disconnected_inside_an_event(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    b->on_event = disconnect_in_event;
    say(b, pipe, "42[\"x\"]");
    said(b, pipe, "41");
    silent(b, pipe);
    still_open(b, pipe);
    heard(b, "event / x [\"x\"]\ndisconnect / server namespace disconnect\n");
}

static void disconnect_in_drain(struct bench *b, struct sio_socket *socket)
{
    if (b->sent++ == 0)
        sio_disconnect(b->socket); /* the last one that joined, not always this one */
    else
        sio_disconnect(socket);
}

static void sockets_may_be_disconnected_inside_a_drain(void **state)
{
    struct bench *b = *state;

    open_polling(b, 4, "");
    post(b, "40/a,\x1e"
            "40/b,\x1e"
            "40/c,");
    (void)fetch(b);
    settle(b);
    buf_reset(&b->seen);
    b->on_drain = disconnect_in_drain;
    answered(b, fetch(b), 200,
             "41/c,\x1e"
             "41/a,\x1e"
             "41/b,");
    heard(b, "disconnect /c server namespace disconnect\n"
             "disconnect /a server namespace disconnect\n"
             "disconnect /b server namespace disconnect\n");
}

static void close_in_drain(struct bench *b, struct sio_socket *socket)
{
    (void)b;
    sio_close_transport(socket, "enough");
}

static void the_transport_may_be_closed_inside_a_drain(void **state)
{
    struct bench *b = *state;

    join_polling(b);
    b->on_drain = close_in_drain;
    answered(b, fetch(b), 200, "1");
    heard(b, "disconnect / enough\n");
}

static void close_in_disconnect(struct bench *b, struct sio_socket *socket)
{
    (void)b;
    sio_close_transport(socket, "again");
    sio_disconnect(socket);
    sio_emit(socket, slice_of("[\"too late\"]"));
}

static void nothing_matters_any_more_inside_a_disconnect(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    b->on_disconnect = close_in_disconnect;
    hang_up(b, pipe, "transport close");
    heard(b, "disconnect / transport close\n");
}

static void leave_all_in_disconnect(struct bench *b, struct sio_socket *socket)
{
    (void)socket;
    if (b->sent++ == 0)
        sio_disconnect(b->socket);
}

static void one_disconnect_may_cause_another(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "40/site,");
    buf_reset(&b->seen);
    b->on_disconnect = leave_all_in_disconnect;
    hang_up(b, pipe, "transport close");
    heard(b, "disconnect / transport close\n"
             "disconnect /site server namespace disconnect\n");
}

static void a_socket_that_waits_for_its_answer_hears_of_the_end(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    b->answers_later = true;
    say(b, pipe, "40");
    hang_up(b, pipe, "transport close");
    heard(b, "connect / \ndisconnect / transport close\n");
}

static void a_client_that_left_cannot_be_accepted(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);
    struct sio_socket *socket = NULL;

    b->answers_later = true;
    say(b, pipe, "40");
    socket = b->socket;
    pipe->is_gone = true;
    pipe->base.is_closing = true;
    pipe->base.owner->on_closed(&pipe->base, "transport close");
    sio_accept(socket); /* on_disconnect did not come yet */
    sio_emit(socket, slice_of("[\"x\"]"));
    heard(b, "connect / \ndisconnect / transport close\n");
}

static void freeing_the_server_answers_whoever_waits(void **state)
{
    struct sio_options options = sio_defaults();
    struct bench *b = bench_sio(&options);
    struct fake_exchange *held = NULL;
    struct fake_pipe *pipe = join_websocket(b);

    join_polling(b);
    held = fetch(b);
    settle(b);
    sio_server_free(b->sio);
    b->sio = NULL;
    assert_true(held->is_answered);
    closed(b, pipe);
    heard(b, "disconnect / server shutting down\ndisconnect / server shutting down\n");
    bench_free(b);
    (void)state;
}

static void a_thousand_sessions_come_and_go_and_leave_nothing(void **state)
{
    struct sio_options options = sio_defaults();
    struct bench *b = NULL;

    options.max_sessions = 2000;
    b = bench_sio(&options);
    for (int i = 0; i < 1000; i++) {
        struct fake_pipe *pipe = join_websocket(b);
        hang_up(b, pipe, "transport close");
        buf_reset(&b->seen);
    }
    assert_int_equal(sio_server_sessions(b->sio), 0);
    assert_int_equal(counted(b, "thinkwire_engine_sessions "), 0);
    assert_int_equal(
        counted(b, "thinkwire_engine_opened_total{transport=\"websocket\"} "), 1000);
    bench_free(b);
    (void)state;
}

#define SIO_TEST(name) cmocka_unit_test_setup_teardown(name, with_sio, done)

int test_lifetime(void)
{
    const struct CMUnitTest tests[] = {
        SIO_TEST(the_transport_may_be_closed_inside_an_event),
        SIO_TEST(a_post_whose_first_event_closes_is_still_answered),
        SIO_TEST(a_socket_may_be_disconnected_inside_an_event),
        SIO_TEST(sockets_may_be_disconnected_inside_a_drain),
        SIO_TEST(the_transport_may_be_closed_inside_a_drain),
        SIO_TEST(nothing_matters_any_more_inside_a_disconnect),
        SIO_TEST(one_disconnect_may_cause_another),
        SIO_TEST(a_socket_that_waits_for_its_answer_hears_of_the_end),
        SIO_TEST(a_client_that_left_cannot_be_accepted),
        cmocka_unit_test(freeing_the_server_answers_whoever_waits),
        cmocka_unit_test(a_thousand_sessions_come_and_go_and_leave_nothing),
    };
    return cmocka_run_group_tests_name("engine: lifetime", tests, NULL, NULL);
}
