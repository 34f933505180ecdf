/* test_heartbeat.c - pings, pongs and the deadlines of both revisions. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#define INTERVAL_MS UINT64_C(60)
#define TIMEOUT_MS  UINT64_C(40)
#define SID_UNKNOWN "{\"code\":1,\"message\":\"Session ID unknown\"}"

static int with_beats(void **state)
{
    struct eio_options options = eio_defaults();

    options.ping_interval_ms = INTERVAL_MS;
    options.ping_timeout_ms = TIMEOUT_MS;
    *state = bench_eio(&options);
    return 0;
}

static int done(void **state)
{
    bench_free(*state);
    return 0;
}

static void await_message(struct bench *b, struct fake_pipe *pipe, const char *text)
{
    for (int i = 0; i < 2500 && pipe->wire.len == 0; i++)
        pass_ms(b, 2);
    said(b, pipe, text);
}

static void the_server_pings_and_goes_on_after_the_pong(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    for (int i = 0; i < 3; i++) {
        await_message(b, pipe, "2");
        say(b, pipe, "3");
    }
    still_open(b, pipe);
}

static void a_held_get_is_answered_with_the_ping(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = NULL;

    open_polling(b, 4, "");
    for (int i = 0; i < 3; i++) {
        x = fetch(b);
        await_answer(b, x);
        answered(b, x, 200, "2");
        answered(b, post(b, "3"), 200, "ok");
    }
}

static void without_a_pong_the_session_ends(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    await_message(b, pipe, "2");
    await_close(b, pipe);
    closed(b, pipe);
    heard(b, "open\nclose ping timeout\n");
    assert_int_equal(counted(b, "thinkwire_engine_ping_timeouts_total "), 1);
}

static void without_a_pong_the_held_get_hears_the_close(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = NULL;

    open_polling(b, 4, "");
    x = fetch(b);
    await_answer(b, x);
    answered(b, x, 200, "2");
    x = fetch(b);
    await_answer(b, x);
    answered(b, x, 200, "1");
    heard(b, "open\nclose ping timeout\n");
}

/* Runs before the session's own timer in the very turn in which both are due. */
struct knock {
    struct timer beat;
    struct timer timer;
    struct bench *b;
    struct fake_exchange *x;
    enum http_method method;
    const char *body;
    uint64_t begun_ms;
    bool is_fair; /* the loop came to each step in its millisecond */
};

static void on_beat(struct timer *timer)
{
    struct knock *knock = LIST_ENTRY(timer, struct knock, beat);

    if (loop_now_ms(knock->b->loop) != knock->begun_ms + INTERVAL_MS)
        knock->is_fair = false;
}

static void on_knock(struct timer *timer)
{
    struct knock *knock = LIST_ENTRY(timer, struct knock, timer);
    struct loop *loop = knock->b->loop;

    if (loop_now_ms(loop) != knock->begun_ms + INTERVAL_MS + TIMEOUT_MS)
        knock->is_fair = false;
    knock->x = ask(knock->b, knock->method, knock->b->query, slice_of(knock->body));
    loop_stop(loop);
}

static void knock_once(struct bench *b, int revision, struct knock *knock)
{
    knock->b = b;
    knock->is_fair = true;
    knock->begun_ms = loop_now_ms(b->loop);
    timer_init(&knock->beat, b->loop, on_beat);
    timer_init(&knock->timer, b->loop, on_knock);
    timer_start(&knock->beat, INTERVAL_MS, 0);
    timer_start(&knock->timer, INTERVAL_MS + TIMEOUT_MS, 0);
    open_polling(b, revision, "");
    if (loop_now_ms(b->loop) != knock->begun_ms)
        knock->is_fair = false;
    loop_run(b->loop);
    timer_release(&knock->beat);
    timer_release(&knock->timer);
}

/* On a busy machine the deadline may be another millisecond's: then once more, with a new
 * session. */
static void knocks_at_the_deadline(void **state, int revision, struct knock *knock)
{
    for (int i = 0; i < 100; i++) {
        knock_once(*state, revision, knock);
        if (knock->is_fair) {
            answered(*state, knock->x, 400, SID_UNKNOWN);
            heard(*state, "open\nclose ping timeout\n");
            return;
        }
        bench_free(*state);
        (void)with_beats(state);
    }
    fail_msg("the machine is too busy");
}

static void a_silent_polling_session_is_gone_right_at_its_deadline(void **state)
{
    struct knock knock = {.method = HTTP_GET, .body = ""};
    knocks_at_the_deadline(state, 4, &knock);
}

static void a_silent_eio3_session_is_gone_right_at_its_deadline(void **state)
{
    struct knock knock = {.method = HTTP_POST, .body = "1:2"};
    knocks_at_the_deadline(state, 3, &knock);
}

static void any_packet_puts_the_deadline_off_once(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);
    uint64_t pinged_at = 0;

    await_message(b, pipe, "2");
    pinged_at = loop_now_ms(b->loop);
    while (loop_now_ms(b->loop) < pinged_at + TIMEOUT_MS / 2)
        pass_ms(b, 1);
    say(b, pipe, "4alive");
    said(b, pipe, "4alive");
    while (!pipe->was_closed) {
        say(b, pipe, "6"); /* a second sign of life counts no more */
        pass_ms(b, 1);
    }
    assert_true(loop_now_ms(b->loop) - pinged_at >= TIMEOUT_MS + TIMEOUT_MS / 2);
    heard(b, "open\nmessage alive\nclose ping timeout\n");
}

static void pings_go_out_under_constant_traffic(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);
    uint64_t start = loop_now_ms(b->loop);
    unsigned pings = 0;

    while (loop_now_ms(b->loop) < start + 3 * INTERVAL_MS) {
        const char *message = NULL;
        say(b, pipe, "4x");
        while ((message = next_message(b, pipe)) != NULL) {
            if (message[0] == '2')
                pings++;
            if (message[0] == '2')
                say(b, pipe, "3");
        }
        pass_ms(b, 1);
    }
    assert_true(pings >= 2);
    still_open(b, pipe);
}

static void an_unsolicited_pong_is_harmless_and_puts_nothing_off(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);
    uint64_t start = loop_now_ms(b->loop);

    while (pipe->wire.len == 0) {
        say(b, pipe, "3");
        pass_ms(b, 1);
        assert_true(loop_now_ms(b->loop) < start + 1000);
    }
    said(b, pipe, "2");
    still_open(b, pipe);
}

static void a_client_of_revision_4_must_not_ping(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);
    struct fake_exchange *held = NULL;

    say(b, pipe, "2");
    closed(b, pipe);
    heard(b, "open\nclose transport error\n");
    open_polling(b, 4, "");
    held = fetch(b);
    answered(b, post(b, "2"), 200, "ok");
    answered(b, held, 200, "1");
    heard(b, "open\nclose transport error\n");
}

static void a_client_of_revision_3_pings_and_lives(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 3);
    uint64_t start = loop_now_ms(b->loop);

    while (loop_now_ms(b->loop) < start + 2 * (INTERVAL_MS + TIMEOUT_MS)) {
        say(b, pipe, "2");
        said(b, pipe, "3");
        pass_ms(b, 20);
        silent(b, pipe); /* never a ping of ours */
    }
    still_open(b, pipe);
    await_close(b, pipe);
    heard(b, "open\nclose ping timeout\n");
}

static void revision_3_pongs_carry_no_data_and_only_pings_count(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 3);

    say(b, pipe, "2probe");
    said(b, pipe, "3");
    while (!pipe->was_closed) {
        say(b, pipe, "4x"); /* no sign of life in this revision */
        pass_ms(b, 5);
    }
    assert_non_null(strstr(buf_text(&b->seen), "close ping timeout\n"));
}

static void a_client_of_revision_3_must_not_pong(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 3);

    say(b, pipe, "3");
    closed(b, pipe);
    heard(b, "open\nclose transport error\n");
}

static void an_alarm_rings_once(void **state)
{
    struct bench *b = *state;

    (void)open_websocket(b, 4);
    eio_session_alarm(b->session, 5);
    pass_ms(b, 20);
    heard(b, "open\nalarm\n");
    eio_session_alarm(b->session, 5);
    eio_session_alarm(b->session, 0);
    pass_ms(b, 10);
    heard(b, "");
}

#define BEAT_TEST(name) cmocka_unit_test_setup_teardown(name, with_beats, done)

int test_heartbeat(void)
{
    const struct CMUnitTest tests[] = {
        BEAT_TEST(the_server_pings_and_goes_on_after_the_pong),
        BEAT_TEST(a_held_get_is_answered_with_the_ping),
        BEAT_TEST(without_a_pong_the_session_ends),
        BEAT_TEST(without_a_pong_the_held_get_hears_the_close),
        BEAT_TEST(a_silent_polling_session_is_gone_right_at_its_deadline),
        BEAT_TEST(a_silent_eio3_session_is_gone_right_at_its_deadline),
        BEAT_TEST(any_packet_puts_the_deadline_off_once),
        BEAT_TEST(pings_go_out_under_constant_traffic),
        BEAT_TEST(an_unsolicited_pong_is_harmless_and_puts_nothing_off),
        BEAT_TEST(a_client_of_revision_4_must_not_ping),
        BEAT_TEST(a_client_of_revision_3_pings_and_lives),
        BEAT_TEST(revision_3_pongs_carry_no_data_and_only_pings_count),
        BEAT_TEST(a_client_of_revision_3_must_not_pong),
        BEAT_TEST(an_alarm_rings_once),
    };
    return cmocka_run_group_tests_name("engine: heartbeat", tests, NULL, NULL);
}
