/* test_faults.c - readers that vanish, stand still, or ask for what is not there. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <limits.h>
#include <stdlib.h>

/* ---- readers that vanish ---- */

static struct bench *watchful(void)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    options.heartbeat_ms = 100;
    options.silence_ms = 1000;
    return bench_new(&limits, &options);
}

static void a_socket_that_answers_no_ping_is_closed_and_counted(void **state)
{
    struct bench *b = watchful();
    struct client *silent = reader(b, KIND_WS);
    struct client *lively = reader(b, KIND_WS);

    (void)state;
    for (int i = 0; i < 5 && !silent->pipe->was_closed; i++) {
        lively->pipe->heard++;
        pass_ms(b, 550);
    }
    assert_true(silent->pipe->was_closed);
    assert_int_equal(silent->pipe->code, 1001);
    assert_false(lively->pipe->was_closed);
    assert_int_equal(counted(b, "thinkwire_silent_readers_closed_total{kind=\"ws\"} "),
                     1);
    bench_free(b);
}

static void
a_reader_that_takes_a_little_is_alive_one_that_takes_nothing_is_not(void **state)
{
    struct bench *b = watchful();
    struct client *slow[2] = {reader(b, KIND_WS), client_new(b, KIND_SSE)};
    struct client *stuck[2] = {reader(b, KIND_WS), client_new(b, KIND_SSE)};

    (void)state;
    for (int i = 0; i < 2; i++) {
        client_join(slow[i], "t", NULL, NULL);
        client_join(stuck[i], "t", NULL, NULL);
        client_read(slow[i]);
        client_read(stuck[i]);
        pipe_stall(slow[i]->pipe);
        pipe_stall(stuck[i]->pipe);
    }
    say_text(b, "t", E1, "a text that takes a while to leave");
    for (int i = 0; i < 5; i++) {
        pipe_grant(slow[0]->pipe, 1);
        pipe_grant(slow[1]->pipe, 1);
        pass_ms(b, 550);
    }
    for (int i = 0; i < 2; i++) {
        assert_false(slow[i]->pipe->was_closed);
        assert_true(stuck[i]->pipe->was_closed);
    }
    assert_int_equal(counted(b, "thinkwire_silent_readers_closed_total{kind=\"ws\"} "),
                     1);
    assert_int_equal(counted(b, "thinkwire_silent_readers_closed_total{kind=\"sse\"} "),
                     1);
    bench_free(b);
}

static void an_idle_stream_whose_heartbeats_are_taken_stays(void **state)
{
    struct bench *b = watchful();
    struct client *c = client_new(b, KIND_SSE);

    (void)state;
    client_join(c, "t", NULL, NULL);
    client_read(c);
    pass_ms(b, 2200);
    assert_false(c->pipe->was_closed);
    bench_free(b);
}

/* ---- readers that stand still with a snapshot in their hands ---- */

static struct bench *tight(void)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    options.snapshot_total_bytes = 10000;
    options.snapshot_hold_ms = 100;
    return bench_new(&limits, &options);
}

static struct client *holder(struct bench *b, const char *name)
{
    struct client *c = reader(b, KIND_WS);
    char *text = malloc(20001);

    memset(text, 'x', 20000);
    text[20000] = '\0';
    say_text(b, name, E1, text);
    free(text);
    pipe_stall(c->pipe);
    c->pipe->granted += 200; /* room for `subscribed` alone */
    client_join(c, name, NULL, NULL);
    settle(b);
    return c;
}

static void who_holds_a_snapshot_is_left_alone_while_nobody_waits(void **state)
{
    struct bench *b = tight();
    struct client *slow = holder(b, "a");

    (void)state;
    pass_ms(b, 1200);
    assert_false(slow->pipe->was_closed);
    bench_free(b);
}

static void who_holds_a_snapshot_too_long_makes_room_for_those_who_wait(void **state)
{
    struct bench *b = tight();
    struct client *slow = holder(b, "a");
    struct client *waiting = reader(b, KIND_WS);

    (void)state;
    say_text(b, "b", E1, "hello");
    client_join(waiting, "b", NULL, NULL);
    told(waiting, "subscribed b running 11-1 replayed 1\n");
    for (int i = 0; i < 4 && !slow->pipe->was_closed; i++)
        pass_ms(b, 300);
    assert_true(slow->pipe->was_closed);
    assert_int_equal(counted(b, "thinkwire_snapshot_holders_closed_total "), 1);
    /* The transport gives it so long to take its last bytes. */
    client_cut(slow);
    has_all(waiting, "b");
    bench_free(b);
}

static void no_more_holders_go_than_it_takes(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct client *slow[3];
    struct client *waiting;
    struct bench *b;

    (void)state;
    options.snapshot_total_bytes = 50000;
    options.snapshot_hold_ms = 100;
    b = bench_new(&limits, &options);
    slow[0] = holder(b, "a");
    slow[1] = holder(b, "b");
    slow[2] = holder(b, "c");
    waiting = reader(b, KIND_WS);
    say_text(b, "d", E1, "hello");
    client_join(waiting, "d", NULL, NULL);
    pass_ms(b, 1200);
    assert_true(slow[0]->pipe->was_closed);
    assert_false(slow[1]->pipe->was_closed);
    assert_false(slow[2]->pipe->was_closed);
    client_cut(slow[0]);
    has_all(waiting, "d");
    bench_free(b);
}

/* ---- streams of tasks that are not there ---- */

static struct fake_exchange *stream_of(struct client *c, const char *tasks,
                                       const char *last_id)
{
    client_join(c, tasks, last_id, NULL);
    settle(c->bench);
    return c->x;
}

static void a_stream_that_was_told_that_nobody_knows_its_task_stops(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct client *c;
    struct bench *b;

    (void)state;
    options.wait_unknown_ms = 50;
    b = bench_new(&limits, &options);
    c = client_new(b, KIND_SSE);
    client_join(c, "t", NULL, NULL);
    pass_ms(b, 200);
    client_read(c);
    assert_string_equal(c->sse_id, "!");
    assert_true(c->pipe->was_closed);
    assert_int_equal(stream_of(c, "t", "!")->status, 204);
    /* Who comes for the first time is waited with. */
    assert_int_equal(stream_of(c, "t", NULL)->status, 200);
    client_cut(c);
    say_text(b, "t", E1, "it is there now");
    assert_int_equal(stream_of(c, "t", "!")->status, 200);
    has_all(c, "t");
    bench_free(b);
}

static void a_stream_that_was_told_that_its_task_is_gone_stops(void **state)
{
    struct bench *b = *state;
    struct client *c = client_new(b, KIND_SSE);

    say_text(b, "t", E1, "x");
    client_join(c, "t", NULL, NULL);
    client_read(c);
    topic_erase(task(b, "t"));
    client_read(c);
    assert_string_equal(c->sse_id, "!");
    assert_int_equal(stream_of(c, "t", "!")->status, 204);
}

static void a_task_that_is_gone_keeps_its_place_in_the_cursor(void **state)
{
    struct bench *b = *state;
    struct client *c = client_new(b, KIND_SSE);

    say_text(b, "a", E1, "a1");
    say_text(b, "b", E1, "b1");
    say_text(b, "c", E1, "c1");
    client_join(c, "a,b,c", NULL, NULL);
    client_read(c);
    assert_string_equal(c->sse_id, "11-1,11-1,11-1");
    topic_erase(task(b, "b"));
    client_read(c);
    assert_string_equal(c->sse_id, "11-1,!,11-1");
    say_text(b, "c", E1, "c2");
    client_read(c);
    assert_string_equal(c->sse_id, "11-1,!,11-2");
    topic_erase(task(b, "a"));
    client_read(c);
    assert_string_equal(c->sse_id, "!,!,11-2");
    say_end(b, "c", E1);
    client_read(c);
    assert_string_equal(c->sse_id, "!,!,11-3");
    assert_true(c->pipe->was_closed);
    assert_int_equal(stream_of(c, "a,b,c", "!,!,11-3")->status, 204);
    c = client_new(b, KIND_SSE);
    assert_int_equal(stream_of(c, "a,b,c", "!,!,11-2")->status, 200);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "error GONE of a"));
    assert_string_equal(c->sse_id, "!,!,11-3");
}

static void readers_are_told_to_come_back_at_different_times(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    unsigned long low = ULONG_MAX;
    unsigned long high = 0;
    struct bench *b;
    struct buf out;

    (void)state;
    options.retry_jitter = 50;
    b = bench_new(&limits, &options);
    buf_init(&out, 1 << 16);
    for (int i = 0; i < 100; i++) {
        struct client *c = client_new(b, KIND_SSE);
        const char *first;
        unsigned long own;
        client_join(c, "t", NULL, NULL);
        settle(b);
        buf_reset(&out);
        pipe_read(c->x->pipe, &out);
        /* The line that is last counts. */
        first = strstr(buf_text(&out), "retry: 3000\nretry: ");
        assert_non_null(first);
        own = strtoul(first + strlen("retry: 3000\nretry: "), NULL, 10);
        low = own < low ? own : low;
        high = own > high ? own : high;
    }
    assert_in_range(low, 1500, 2500);
    assert_in_range(high, 3500, 4500);
    buf_release(&out);
    bench_free(b);
}

int test_faults(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_that_answers_no_ping_is_closed_and_counted),
        cmocka_unit_test(
            a_reader_that_takes_a_little_is_alive_one_that_takes_nothing_is_not),
        cmocka_unit_test(an_idle_stream_whose_heartbeats_are_taken_stays),
        cmocka_unit_test(who_holds_a_snapshot_is_left_alone_while_nobody_waits),
        cmocka_unit_test(who_holds_a_snapshot_too_long_makes_room_for_those_who_wait),
        cmocka_unit_test(no_more_holders_go_than_it_takes),
        cmocka_unit_test(a_stream_that_was_told_that_nobody_knows_its_task_stops),
        BENCH_TEST(a_stream_that_was_told_that_its_task_is_gone_stops),
        BENCH_TEST(a_task_that_is_gone_keeps_its_place_in_the_cursor),
        cmocka_unit_test(readers_are_told_to_come_back_at_different_times),
    };
    return cmocka_run_group_tests_name("session: reader faults", tests, NULL, NULL);
}
