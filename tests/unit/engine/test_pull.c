/* test_pull.c - the application pulls: windows, shared sends, fair drains. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <limits.h>
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

/* Sends all it owes, as far as the windows allow. */
static void pull(struct bench *b, struct sio_socket *socket)
{
    struct sio_window window;

    while (b->owed > 0 && sio_window(socket, &window)) {
        unsigned count = b->owed < window.packets ? b->owed : window.packets;
        struct bytes *frames = events(window.framing, window.revision, b->sent, count);
        b->owed -= count;
        b->sent += count;
        sio_send_shared(socket, frames, count);
        bytes_unref(frames);
    }
}

static unsigned count_events(const char *text)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, "42[\"n\",")) != NULL; at++)
        count++;
    return count;
}

/* ---- WebSocket ---- */

static void a_websocket_window_is_wide(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);
    struct sio_window window;
    unsigned sends = pipe->sends;

    assert_true(sio_window(b->socket, &window));
    assert_int_equal(window.framing, FRAMING_WS);
    assert_int_equal(window.packets, UINT_MAX);
    assert_int_equal(window.revision, 4);
    b->owed = 10;
    pull(b, b->socket);
    assert_int_equal(pipe->sends, sends + 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(count_events(next_message(b, pipe)), 1);
}

static void shared_bytes_are_borrowed(void **state)
{
    struct bench *b = *state;
    struct bytes *frames = NULL;

    (void)join_websocket(b);
    frames = events(FRAMING_WS, 4, 0, 1);
    sio_send_shared(b->socket, frames, 1);
    assert_int_equal(frames->refs, 1);
    bytes_unref(frames);
}

static void control_leaves_before_later_shared_sends(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    sio_emit(b->socket, slice_of("[\"first\"]"));
    b->owed = 1;
    pull(b, b->socket);
    sio_emit(b->socket, slice_of("[\"third\"]"));
    said(b, pipe, "42[\"first\"]");
    said(b, pipe, "42[\"n\",0]");
    said(b, pipe, "42[\"third\"]");
}

static void a_full_pipe_shuts_the_window_until_it_drains(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);
    struct sio_window window;

    b->on_drain = pull;
    pipe->is_stalled = true;
    b->owed = 1;
    pull(b, b->socket);
    assert_false(sio_window(b->socket, &window));
    sio_emit(b->socket, slice_of("[\"control\"]"));
    b->owed = 2;
    unstall(b, pipe);
    said(b, pipe, "42[\"n\",0]");
    said(b, pipe, "42[\"control\"]");
    said(b, pipe, "42[\"n\",1]");
    said(b, pipe, "42[\"n\",2]");
}

/* ---- polling ---- */

static void without_a_held_get_there_is_no_window(void **state)
{
    struct bench *b = *state;
    struct sio_window window;
    struct fake_exchange *x = NULL;

    join_polling(b);
    assert_false(sio_window(b->socket, &window));
    b->on_drain = pull;
    b->owed = 3;
    x = fetch(b);
    answered(b, x, 200,
             "42[\"n\",0]\x1e"
             "42[\"n\",1]\x1e"
             "42[\"n\",2]");
}

static void an_answer_is_sent_at_the_end_of_the_turn(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = NULL;

    join_polling(b);
    x = fetch(b);
    settle(b);
    b->owed = 1;
    pull(b, b->socket);
    b->owed = 1;
    pull(b, b->socket);
    assert_false(x->is_answered);
    answered(b, x, 200,
             "42[\"n\",0]\x1e"
             "42[\"n\",1]");
}

static void bursts_are_split_into_answers_of_sixteen(void **state)
{
    struct bench *b = *state;
    unsigned next = 0;

    join_polling(b);
    b->on_drain = pull;
    b->owed = 200;
    while (next < 200) {
        struct fake_exchange *x = fetch(b);
        settle(b);
        assert_true(x->is_answered);
        unsigned count = count_events(buf_text(&x->body));
        assert_int_equal(count, next + 16 <= 200 ? 16 : 200 - next);
        next += count;
    }
}

static void control_takes_its_share_of_the_sixteen(void **state)
{
    struct bench *b = *state;
    struct sio_window window;
    struct fake_exchange *x = NULL;

    join_polling(b);
    for (int i = 0; i < 3; i++)
        sio_emit(b->socket, slice_of("[\"c\"]"));
    x = fetch(b);
    assert_true(sio_window(b->socket, &window));
    assert_int_equal(window.packets, 13);
    b->owed = 100;
    pull(b, b->socket);
    settle(b);
    assert_int_equal(count_events(buf_text(&x->body)), 13);
    assert_memory_equal(x->body.data,
                        "42[\"c\"]\x1e"
                        "42[\"c\"]\x1e"
                        "42[\"c\"]\x1e"
                        "42[\"n\"",
                        30);
}

/* An emit between window and send: out of the ordinary, but nothing is lost or reordered. */
static void what_is_queued_after_the_window_still_goes_first(void **state)
{
    struct bench *b = *state;
    struct sio_window window;
    struct fake_exchange *x = NULL;
    struct fake_pipe *pipe = NULL;
    struct bytes *frames = NULL;

    join_polling(b);
    x = fetch(b);
    settle(b);
    assert_true(sio_window(b->socket, &window));
    sio_emit(b->socket, slice_of("[\"c\"]"));
    frames = events(window.framing, 4, 0, 1);
    sio_send_shared(b->socket, frames, 1);
    bytes_unref(frames);
    answered(b, x, 200,
             "42[\"c\"]\x1e"
             "42[\"n\",0]");
    pipe = join_websocket(b);
    assert_true(sio_window(b->socket, &window));
    pipe->is_stalled = true;
    sio_emit(b->socket, slice_of("[\"c\"]"));
    frames = events(window.framing, 4, 0, 1);
    assert_false(sio_send_shared(b->socket, frames, 1));
    bytes_unref(frames);
    said(b, pipe, "42[\"c\"]");
    said(b, pipe, "42[\"n\",0]");
}

static void more_control_than_one_answer_holds_keeps_shared_sends_waiting(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = NULL;

    join_polling(b);
    b->on_drain = pull;
    b->owed = 1;
    for (int i = 0; i < 20; i++)
        sio_emit(b->socket, slice_of("[\"c\"]"));
    x = fetch(b);
    settle(b);
    assert_int_equal(count_events(buf_text(&x->body)), 0);
    answered(b, fetch(b), 200,
             "42[\"c\"]\x1e"
             "42[\"c\"]\x1e"
             "42[\"c\"]\x1e"
             "42[\"c\"]\x1e"
             "42[\"n\",0]");
}

static void the_byte_window_bounds_an_answer(void **state)
{
    struct bench *b = *state;
    struct sio_window window;
    struct fake_exchange *x = NULL;
    struct bytes *large = bytes_new(EIO_WINDOW_BYTES);

    join_polling(b);
    memset(large->data, '4', large->len);
    x = fetch(b);
    settle(b);
    assert_true(sio_window(b->socket, &window));
    assert_int_equal(window.bytes, EIO_WINDOW_BYTES);
    assert_false(sio_send_shared(b->socket, large, 1));
    assert_false(sio_window(b->socket, &window));
    settle(b);
    assert_int_equal(x->body.len, EIO_WINDOW_BYTES);
    bytes_unref(large);
}

static void a_window_tells_how_many_bytes_are_left(void **state)
{
    struct bench *b = *state;
    struct sio_window window;
    struct fake_exchange *x = NULL;

    join_polling(b);
    x = fetch(b);
    settle(b);
    b->owed = 1;
    pull(b, b->socket);
    assert_true(sio_window(b->socket, &window));
    assert_int_equal(window.bytes, EIO_WINDOW_BYTES - strlen("42[\"n\",0]"));
    assert_int_equal(window.packets, 15);
    answered(b, x, 200, "42[\"n\",0]");
}

/* ---- fairness ---- */

/* Each socket wants to fill the whole answer; who got how many. */
static void greedy(struct bench *b, struct sio_socket *socket)
{
    buf_slice(&b->seen, sio_nsp(socket));
    b->owed = 16;
    pull(b, socket);
}

static void greedy_sockets_take_turns(void **state)
{
    struct bench *b = *state;

    open_polling(b, 4, "");
    post(b, "40/a,\x1e"
            "40/b,\x1e"
            "40/c,");
    (void)fetch(b);
    settle(b);
    buf_reset(&b->seen);
    b->on_drain = greedy;
    for (int i = 0; i < 6; i++) {
        (void)fetch(b);
        settle(b);
    }
    assert_string_equal(buf_text(&b->seen), "/b/c/a/b/c/a");
}

static void note_drain(struct bench *b, struct sio_socket *socket)
{
    buf_slice(&b->seen, sio_nsp(socket));
}

static void a_round_in_which_all_fit_starts_one_further_next_time(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    say(b, pipe, "40/a,");
    say(b, pipe, "40/b,");
    settle(b);
    buf_reset(&b->seen);
    b->on_drain = note_drain;
    for (int i = 0; i < 2; i++) {
        pipe->is_stalled = true;
        sio_emit(b->socket, slice_of("[\"x\"]"));
        settle(b);
        unstall(b, pipe);
    }
    assert_string_equal(buf_text(&b->seen), "/a/b/b/a");
}

static void sockets_not_accepted_yet_are_not_asked(void **state)
{
    struct bench *b = *state;

    open_polling(b, 4, "");
    b->answers_later = true;
    post(b, "40");
    buf_reset(&b->seen);
    b->on_drain = note_drain;
    (void)fetch(b);
    heard(b, "");
}

static void the_upgrade_opens_the_window(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = NULL;

    join_polling(b);
    b->on_drain = pull;
    pipe = dial_upgrade(b);
    say(b, pipe, "2probe");
    said(b, pipe, "3probe");
    b->owed = 1;
    pull(b, b->socket);
    assert_int_equal(b->owed, 1);
    say(b, pipe, "5");
    said(b, pipe, "42[\"n\",0]");
    assert_string_equal(sio_transport(b->socket), "websocket");
}

#define SIO_TEST(name) cmocka_unit_test_setup_teardown(name, with_sio, done)

int test_pull(void)
{
    const struct CMUnitTest tests[] = {
        SIO_TEST(a_websocket_window_is_wide),
        SIO_TEST(shared_bytes_are_borrowed),
        SIO_TEST(control_leaves_before_later_shared_sends),
        SIO_TEST(a_full_pipe_shuts_the_window_until_it_drains),
        SIO_TEST(without_a_held_get_there_is_no_window),
        SIO_TEST(an_answer_is_sent_at_the_end_of_the_turn),
        SIO_TEST(bursts_are_split_into_answers_of_sixteen),
        SIO_TEST(control_takes_its_share_of_the_sixteen),
        SIO_TEST(what_is_queued_after_the_window_still_goes_first),
        SIO_TEST(more_control_than_one_answer_holds_keeps_shared_sends_waiting),
        SIO_TEST(the_byte_window_bounds_an_answer),
        SIO_TEST(a_window_tells_how_many_bytes_are_left),
        SIO_TEST(greedy_sockets_take_turns),
        SIO_TEST(a_round_in_which_all_fit_starts_one_further_next_time),
        SIO_TEST(sockets_not_accepted_yet_are_not_asked),
        SIO_TEST(the_upgrade_opens_the_window),
    };
    return cmocka_run_group_tests_name("engine: pull", tests, NULL, NULL);
}
