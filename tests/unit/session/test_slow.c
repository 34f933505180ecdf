/* test_slow.c - readers whose sockets are full. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

/* The kinds whose socket can be full. Polling clients are slow by not asking. */
static bool has_pipe(enum kind kind)
{
    return kind != KIND_POLLING;
}

static void stall(struct client *c)
{
    client_read(c);
    buf_reset(&c->told);
    if (has_pipe(c->kind))
        pipe_stall(c->pipe);
}

static void flow(struct client *c)
{
    if (has_pipe(c->kind))
        pipe_flow(c->pipe);
    settle(c->bench);
}

static void publish(struct bench *b, unsigned from, unsigned count)
{
    char text[32];

    for (unsigned i = from; i < from + count; i++) {
        snprintf(text, sizeof(text), "%u ", i);
        say_text(b, "t", E1, text);
    }
}

static void a_little(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    client_join(c, "t", NULL, NULL);
    stall(c);
    publish(b, 0, 1); /* fills it */
    settle(b);
    publish(b, 1, 3);
    settle(b);
    flow(c);
    client_read(c);
    assert_null(strstr(buf_text(&c->told), "resync"));
    assert_non_null(strstr(buf_text(&c->told), "t: text 3  11-4\n"));
    assert_null(strstr(buf_text(&c->told), "merged"));
    has_all(c, "t");
}

static void a_reader_a_little_behind_gets_every_event_as_published(void **state)
{
    for_all(state, a_little);
}

static void far_behind(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    client_join(c, "t", NULL, NULL);
    stall(c);
    publish(b, 0, 1);
    settle(b);
    publish(b, 1, 500);
    say_reasoning(b, "t", E1, "hm ");
    publish(b, 501, 500);
    settle(b);
    flow(c);
    client_read(c);
    assert_null(strstr(buf_text(&c->told), "resync"));
    has_all(c, "t");
    if (!has_pipe(kind))
        return;
    assert_non_null(strstr(buf_text(&c->told), " 11-501 merged 500\n"));
    assert_non_null(strstr(buf_text(&c->told), "t: reasoning hm  11-502"));
    assert_non_null(strstr(buf_text(&c->told), " 11-1002 merged 500\n"));
    assert_int_equal(counted(b, "thinkwire_merged_total "), 1001);
}

static void a_reader_far_behind_gets_deltas_merged(void **state)
{
    for_all(state, far_behind);
}

static void fast_again(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    if (!has_pipe(kind))
        return;
    client_join(c, "t", NULL, NULL);
    stall(c);
    publish(b, 0, 1);
    settle(b);
    publish(b, 1, 200);
    settle(b);
    flow(c);
    client_read(c);
    buf_reset(&c->told);
    /* Many in one turn are no reason to merge for who keeps up. */
    publish(b, 201, 200);
    client_read(c);
    assert_null(strstr(buf_text(&c->told), "merged"));
    has_all(c, "t");
}

static void who_keeps_up_again_gets_every_event_again(void **state)
{
    for_all(state, fast_again);
}

static void out_of_window(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    client_join(c, "t", NULL, NULL);
    stall(c);
    publish(b, 0, 1);
    settle(b);
    for (unsigned i = 1; i < 200; i += 10) {
        publish(b, i, 10);
        settle(b);
    }
    assert_false(client_is_closed(c));
    flow(c);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "resync t window_passed\n"));
    has_all(c, "t");
    publish(b, 200, 3);
    say_end(b, "t", E1);
    has_all(c, "t");
    assert_int_equal(client_tale(c, "t")->endings, 1);
}

static void a_slow_reader_is_resynchronised_not_skipped(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    (void)state;
    limits.retain_events = 50;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct bench *b = bench_new(&limits, &options);
        out_of_window(b, (enum kind)kind);
        bench_free(b);
    }
}

static void trickle(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    if (!has_pipe(kind))
        return;
    client_join(c, "t", NULL, NULL);
    stall(c);
    for (unsigned i = 0; i < 2000; i += 20) {
        publish(b, i, 20);
        settle(b);
        pipe_grant(c->pipe, 200);
        settle(b);
    }
    say_end(b, "t", E1);
    assert_false(client_is_closed(c));
    flow(c);
    has_all(c, "t");
    assert_int_equal(client_tale(c, "t")->endings, 1);
}

static void a_reader_that_takes_a_trickle_has_the_whole_text_in_the_end(void **state)
{
    for_all(state, trickle);
}

static void ended_while_slow(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    client_join(c, "t", NULL, NULL);
    stall(c);
    publish(b, 0, 300);
    settle(b);
    say_end(b, "t", E1);
    settle(b);
    assert_false(client_is_closed(c));
    flow(c);
    has_all(c, "t");
    assert_int_equal(client_tale(c, "t")->endings, 1);
    if (kind == KIND_SSE)
        assert_true(client_is_closed(c));
}

static void a_slow_reader_gets_the_end_too(void **state)
{
    for_all(state, ended_while_slow);
}

static void never_published_again(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    publish(b, 0, 10);
    client_join(c, "t", NULL, NULL);
    settle(b);
    client_read(c);
    buf_reset(&c->told);
    if (!has_pipe(kind) || kind == KIND_SSE)
        return;
    pipe_stall(c->pipe);
    client_join(c, "u", NULL, NULL); /* its answer fills the socket */
    settle(b);
    assert_true(c->pipe->base.is_full);
    client_join(c, "t", NULL, NULL);
    client_join(c, "v", NULL, NULL);
    settle(b);
    pipe_flow(c->pipe);
    settle(b);
    told(c, "subscribed u unknown null replayed 0\n"
            "subscribed t running 11-10 replayed 1\n"
            "t: text 0 1 2 3 4 5 6 7 8 9  11-10 merged 10\n"
            "subscribed v unknown null replayed 0\n");
}

static void joins_wait_while_the_socket_is_full(void **state)
{
    for_all(state, never_published_again);
}

/* ---- /ws: answers that wait ---- */

static void answers_wait_for_a_full_socket_and_keep_their_order(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);
    unsigned sends;

    pipe_stall(c->pipe);
    client_say(c, "{\"op\":\"ping\"}");
    assert_true(c->pipe->base.is_full);
    sends = c->pipe->sends;
    client_say(c, "{\"op\":\"ping\"}");
    client_say(c, "nonsense");
    client_say(c, "{\"op\":\"unsubscribe\",\"task_id\":\"t\"}");
    settle(b);
    assert_int_equal(c->pipe->sends, sends);
    pipe_flow(c->pipe);
    told(c, "pong {\"op\":\"pong\"}\npong {\"op\":\"pong\"}\nerror BAD_JSON\n"
            "unsubscribed {\"op\":\"unsubscribed\",\"task_id\":\"t\"}\n");
    assert_int_equal(c->pipe->sends, sends + 1);
}

static void who_asks_on_without_reading_is_closed(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);

    pipe_stall(c->pipe);
    for (int i = 0; i < 2000 && !client_is_closed(c); i++)
        client_say(c, "{\"op\":\"unsubscribe\",\"task_id\":\"some_long_task_name\"}");
    assert_true(client_is_closed(c));
    assert_int_equal(c->pipe->code, 1008);
    client_say(c, "{\"op\":\"ping\"}"); /* may still arrive */
    settle(b);
}

/* ---- the string form: cut and counted ---- */

static struct session_options strict(void)
{
    struct session_options options = patient();

    options.opaque_lag_bytes = 2000;
    return options;
}

static void
a_string_form_reader_past_its_bound_is_closed_though_it_is_blocked(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = strict();
    struct bench *b = bench_new(&limits, &options);
    struct client *slow = reader(b, KIND_SIO);
    struct client *fast = reader(b, KIND_SIO);

    (void)state;
    client_join_string(slow, "t");
    client_join_string(fast, "t");
    stall(slow);
    stall(fast);
    pipe_flow(fast->pipe);
    publish(b, 0, 10);
    settle(b);
    assert_false(client_is_closed(slow));
    publish(b, 10, 60);
    settle(b);
    assert_true(client_is_closed(slow));
    assert_false(client_is_closed(fast));
    assert_int_equal(counted(b, "thinkwire_slow_readers_closed_total "), 1);
    publish(b, 70, 10);
    has_all(fast, "t");
    bench_free(b);
}

static void a_string_form_reader_whose_window_passed_is_closed(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct bench *b;
    struct client *slow;

    (void)state;
    limits.retain_events = 20;
    b = bench_new(&limits, &options);
    slow = reader(b, KIND_SIO);
    client_join_string(slow, "t");
    stall(slow);
    publish(b, 0, 10);
    settle(b);
    assert_false(client_is_closed(slow));
    publish(b, 10, 60);
    settle(b);
    publish(b, 70, 1);
    settle(b);
    assert_true(client_is_closed(slow));
    assert_int_equal(counted(b, "thinkwire_slow_readers_closed_total "), 1);
    bench_free(b);
}

static void a_string_form_polling_client_that_does_not_ask_is_closed(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = strict();
    struct bench *b = bench_new(&limits, &options);
    struct client *c = reader(b, KIND_POLLING);

    (void)state;
    client_join_string(c, "t");
    client_read(c);
    exchange_abort(c->x);
    c->x = NULL;
    settle(b);
    bench_free(b);
    b = bench_new(&limits, &options);
    c = reader(b, KIND_POLLING);
    client_join_string(c, "t");
    settle(b);
    publish(b, 0, 60);
    settle(b);
    assert_int_equal(counted(b, "thinkwire_slow_readers_closed_total "), 1);
    bench_free(b);
}

int test_slow(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_a_little_behind_gets_every_event_as_published),
        cmocka_unit_test(a_reader_far_behind_gets_deltas_merged),
        cmocka_unit_test(who_keeps_up_again_gets_every_event_again),
        cmocka_unit_test(a_slow_reader_is_resynchronised_not_skipped),
        cmocka_unit_test(a_reader_that_takes_a_trickle_has_the_whole_text_in_the_end),
        cmocka_unit_test(a_slow_reader_gets_the_end_too),
        cmocka_unit_test(joins_wait_while_the_socket_is_full),
        BENCH_TEST(answers_wait_for_a_full_socket_and_keep_their_order),
        BENCH_TEST(who_asks_on_without_reading_is_closed),
        cmocka_unit_test(
            a_string_form_reader_past_its_bound_is_closed_though_it_is_blocked),
        cmocka_unit_test(a_string_form_reader_whose_window_passed_is_closed),
        cmocka_unit_test(a_string_form_polling_client_that_does_not_ask_is_closed),
    };
    return cmocka_run_group_tests_name("session: slow readers", tests, NULL, NULL);
}
