/* test_upgrade.c - from polling to WebSocket, with nothing lost. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD_REQUEST "{\"code\":3,\"message\":\"Bad request\"}"

static int with_session(void **state)
{
    struct eio_options options = eio_defaults();
    struct bench *b = NULL;

    options.upgrade_timeout_ms = 40;
    b = bench_eio(&options);
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

static struct fake_pipe *upgraded(struct bench *b)
{
    struct fake_pipe *pipe = dial_upgrade(b);

    say(b, pipe, "2probe");
    said(b, pipe, "3probe");
    say(b, pipe, "5");
    return pipe;
}

static void probe_then_upgrade_then_messages(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = dial_upgrade(b);

    silent(b, pipe);
    say(b, pipe, "2probe");
    said(b, pipe, "3probe");
    answered(b, fetch(b), 200, "6");
    assert_string_equal(eio_session_transport(b->session), "polling");
    say(b, pipe, "5");
    assert_string_equal(eio_session_transport(b->session), "websocket");
    say(b, pipe, "4hello");
    said(b, pipe, "4hello");
    assert_int_equal(counted(b, "thinkwire_engine_upgraded_total "), 1);
}

static void the_pending_get_ends_at_once_with_a_noop(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *held = fetch(b);
    struct fake_pipe *pipe = dial_upgrade(b);

    not_answered(b, held);
    say(b, pipe, "2probe");
    answered(b, held, 200, "6");
}

static void until_the_upgrade_all_data_goes_by_polling(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = dial_upgrade(b);

    say(b, pipe, "2probe");
    said(b, pipe, "3probe");
    post(b, "4one");
    answered(b, fetch(b), 200, "4one");
    silent(b, pipe);
    post(b, "4two"); /* not fetched any more: goes with the upgrade */
    say(b, pipe, "5");
    said(b, pipe, "4two");
}

static void a_get_still_pending_at_the_upgrade_hears_the_close(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *held = fetch(b);
    struct fake_pipe *pipe = dial_upgrade(b);

    say(b, pipe, "5"); /* without a probe: accepted too */
    answered(b, held, 200, "1");
    say(b, pipe, "4hello");
    said(b, pipe, "4hello");
}

static void requests_after_the_upgrade_are_refused_and_harmless(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = upgraded(b);

    answered(b, fetch(b), 400, BAD_REQUEST);
    answered(b, post(b, "4x"), 400, BAD_REQUEST);
    say(b, pipe, "4hello");
    said(b, pipe, "4hello");
}

static void a_second_websocket_while_one_probes_is_closed(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = dial_upgrade(b);
    struct fake_pipe *second = dial_upgrade(b);

    closed(b, second);
    say(b, pipe, "2probe");
    said(b, pipe, "3probe");
    hang_up(b, second, "transport close");
    say(b, pipe, "5");
    say(b, pipe, "4hello");
    said(b, pipe, "4hello");
}

static void a_second_websocket_after_the_upgrade_is_closed(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = upgraded(b);

    closed(b, dial_upgrade(b));
    say(b, pipe, "4hello");
    said(b, pipe, "4hello");
}

static void any_other_first_frame_ends_the_probe_only(void **state)
{
    struct bench *b = *state;
    static const char *const frames[] = {"4hello", "2", "2prob", "abc", ""};

    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        struct fake_pipe *pipe = dial_upgrade(b);
        say(b, pipe, frames[i]);
        silent(b, pipe);
        closed(b, pipe);
    }
    struct fake_pipe *binary = dial_upgrade(b);
    say_bytes(b, binary, "2probe", 6);
    closed(b, binary);
    post(b, "4still here");
    answered(b, fetch(b), 200, "4still here");
    heard(b, "message still here\n");
}

static void a_websocket_that_dies_while_probing_leaves_polling(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *held = fetch(b);
    struct fake_pipe *pipe = dial_upgrade(b);

    hang_up(b, pipe, "transport close");
    not_answered(b, held);
    post(b, "4x");
    answered(b, held, 200, "4x");
    pipe = upgraded(b); /* another attempt */
    say(b, pipe, "4y");
    said(b, pipe, "4y");
}

static void after_a_failed_probe_gets_are_held_again(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = dial_upgrade(b);

    say(b, pipe, "2probe");
    answered(b, fetch(b), 200, "6");
    hang_up(b, pipe, "transport close");
    not_answered(b, fetch(b));
}

static void an_upgrade_that_takes_too_long_is_given_up(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = dial_upgrade(b);
    struct fake_exchange *held = NULL;

    say(b, pipe, "2probe");
    await_close(b, pipe);
    closed(b, pipe);
    held = fetch(b);
    not_answered(b, held);
    post(b, "4x");
    answered(b, held, 200, "4x");
}

static void a_finished_upgrade_is_not_timed_out(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = upgraded(b);

    pass_ms(b, 80);
    still_open(b, pipe);
}

static void the_end_of_the_session_ends_the_probe(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = dial_upgrade(b);

    eio_session_close(b->session, "because");
    closed(b, pipe);
    hang_up(b, pipe, "transport close");
    heard(b, "close because\n");
}

static void a_session_that_ended_before_its_websocket_came_closes_it(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = NULL;
    struct fake_pipe *pipe = dial_upgrade(b);
    char query[TEXT_SIZE];

    hang_up(b, pipe, "transport close");
    snprintf(query, sizeof(query), "EIO=4&transport=websocket&sid=%s", b->sid);
    x = get(b, query); /* borrowed for its request */
    const char *body = NULL;
    const char *content_type = NULL;
    void *token = NULL;
    assert_int_equal(b->ws.accept(b->ws.ctx, &x->request, &token, &body, &content_type),
                     0);
    eio_session_close(b->session, "because");
    settle(b);
    pipe->was_closed = false;
    pipe->is_gone = false;
    pipe->base.is_closing = false;
    b->ws.on_open(b->ws.ctx, &pipe->base, token);
    closed(b, pipe);
}

/* ---- under traffic ---- */

static void pull(struct bench *b, struct eio_session *session)
{
    struct eio_window window;

    while (b->owed > 0 && eio_session_window(session, &window)) {
        unsigned count = b->owed < 3 ? b->owed : 3;
        if (count > window.packets)
            count = window.packets;
        struct bytes *frames = events(window.framing, window.revision, b->sent, count);
        b->owed -= count;
        b->sent += count;
        eio_session_send_shared(session, frames, count);
        bytes_unref(frames);
    }
}

/* Counts the packets 42["n",<next>] in a payload or message; they must follow in order. */
static void read_events(const char *text, unsigned *next)
{
    for (const char *at = text; (at = strstr(at, "2[\"n\",")) != NULL; at++) {
        assert_int_equal(strtoul(at + strlen("2[\"n\","), NULL, 10), *next);
        (*next)++;
    }
}

static void produce(struct bench *b)
{
    b->owed += 5;
    if (b->session != NULL)
        pull(b, b->session);
}

static void poll_once(struct bench *b, unsigned *next)
{
    struct fake_exchange *x = fetch(b);

    produce(b);
    settle(b);
    assert_true(x->is_answered);
    read_events(buf_text(&x->body), next);
}

static void an_upgrade_under_traffic_loses_and_reorders_nothing(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = NULL;
    const char *message = NULL;
    unsigned next = 0;

    b->on_session_drain = pull;
    for (int i = 0; i < 5; i++)
        poll_once(b, &next);
    pipe = dial_upgrade(b);
    poll_once(b, &next);
    say(b, pipe, "2probe");
    said(b, pipe, "3probe");
    for (int i = 0; i < 3; i++)
        poll_once(b, &next);
    produce(b);
    silent(b, pipe);
    say(b, pipe, "5");
    for (int i = 0; i < 5; i++)
        produce(b);
    settle(b);
    while ((message = next_message(b, pipe)) != NULL)
        read_events(message, &next);
    assert_int_equal(b->owed, 0);
    assert_int_equal(next, b->sent);
    assert_int_equal(next, 75);
}

static void an_answer_already_begun_leaves_before_the_upgrade(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *held = fetch(b);
    struct fake_pipe *pipe = dial_upgrade(b);
    unsigned next = 0;

    produce(b); /* put into the answer, which leaves at the end of the turn */
    assert_false(held->is_answered);
    say(b, pipe, "5");
    assert_true(held->is_answered);
    read_events(buf_text(&held->body), &next);
    assert_int_equal(next, 5);
    silent(b, pipe);
}

#define UPGRADE_TEST(name) cmocka_unit_test_setup_teardown(name, with_session, done)

int test_upgrade(void)
{
    const struct CMUnitTest tests[] = {
        UPGRADE_TEST(probe_then_upgrade_then_messages),
        UPGRADE_TEST(the_pending_get_ends_at_once_with_a_noop),
        UPGRADE_TEST(until_the_upgrade_all_data_goes_by_polling),
        UPGRADE_TEST(a_get_still_pending_at_the_upgrade_hears_the_close),
        UPGRADE_TEST(requests_after_the_upgrade_are_refused_and_harmless),
        UPGRADE_TEST(a_second_websocket_while_one_probes_is_closed),
        UPGRADE_TEST(a_second_websocket_after_the_upgrade_is_closed),
        UPGRADE_TEST(any_other_first_frame_ends_the_probe_only),
        UPGRADE_TEST(a_websocket_that_dies_while_probing_leaves_polling),
        UPGRADE_TEST(after_a_failed_probe_gets_are_held_again),
        UPGRADE_TEST(an_upgrade_that_takes_too_long_is_given_up),
        UPGRADE_TEST(a_finished_upgrade_is_not_timed_out),
        UPGRADE_TEST(the_end_of_the_session_ends_the_probe),
        UPGRADE_TEST(a_session_that_ended_before_its_websocket_came_closes_it),
        UPGRADE_TEST(an_upgrade_under_traffic_loses_and_reorders_nothing),
        UPGRADE_TEST(an_answer_already_begun_leaves_before_the_upgrade),
    };
    return cmocka_run_group_tests_name("engine: upgrade", tests, NULL, NULL);
}
