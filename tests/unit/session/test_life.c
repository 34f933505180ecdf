/* test_life.c - sessions that go at any moment. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

static void nobody_is_left(struct bench *b)
{
    static const char *const kinds[] = {
        "thinkwire_sessions{kind=\"ws\"} ",        "thinkwire_sessions{kind=\"sse\"} ",
        "thinkwire_sessions{kind=\"sse_multi\"} ", "thinkwire_sessions{kind=\"sio\"} ",
        "thinkwire_sessions{kind=\"poll\"} ",
    };

    settle(b);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        assert_int_equal(counted(b, kinds[i]), 0);
    assert_int_equal(topic_reader_count(task(b, "t")), 0);
}

static void coming_and_going(struct bench *b, enum kind kind)
{
    struct client *c = client_new(b, kind);

    for (int i = 0; i < 250; i++) {
        client_connect(c);
        client_join(c, "t", NULL, NULL);
        if (i % 3 == 0)
            say_text(b, "t", E1, "x");
        if (i % 5 != 0)
            settle(b);
        client_cut(c);
        if (i % 7 == 0)
            settle(b);
    }
    if (kind != KIND_POLLING) /* those without a held GET only time out */
        nobody_is_left(b);
}

static void a_thousand_readers_come_and_go_and_leave_nothing(void **state)
{
    for_all(state, coming_and_going);
}

static void cut_when_full(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    if (kind == KIND_POLLING)
        return;
    say_text(b, "t", E1, "x");
    client_join(c, "t", NULL, NULL);
    client_read(c);
    pipe_stall(c->pipe);
    say_text(b, "t", E1, "y");
    settle(b);
    say_text(b, "t", E1, "z");
    client_cut(c);
    nobody_is_left(b);
}

static void a_reader_may_go_while_its_socket_is_full(void **state)
{
    for_all(state, cut_when_full);
}

/* The same turn: marked as ready, then gone before it is visited. */
static void cut_when_marked(struct bench *b, enum kind kind)
{
    struct client *readers[3];

    for (int i = 0; i < 3; i++) {
        readers[i] = reader(b, kind);
        client_join(readers[i], "t", NULL, NULL);
        client_read(readers[i]);
    }
    say_text(b, "t", E1, "x");
    client_cut(readers[1]);
    client_read(readers[0]);
    client_read(readers[2]);
    has_all(readers[0], "t");
    has_all(readers[2], "t");
}

static void a_reader_may_go_when_it_is_about_to_be_visited(void **state)
{
    for_all(state, cut_when_marked);
}

/* ---- buried from inside ---- */

static void a_session_may_end_inside_its_own_pump(void **state)
{
    struct bench *b = *state;
    struct client *c = client_new(b, KIND_SSE);
    struct task_key key = {slice_of("site"), slice_of("t")};
    struct fake_exchange *x;

    /* A long poll is answered, and its session buried, from inside a send. */
    say_text(b, "t", E1, "x");
    b->accept = "application/json";
    x = exchange_new(b, HTTP_GET, "", slice_of(""));
    b->accept = NULL;
    session_stream(b->set, &x->base, &key, 1);
    settle(b);
    assert_true(x->is_answered);
    /* 204, from inside the window. */
    say_end(b, "t", E1);
    client_join(c, "t", "11-2", NULL);
    settle(b);
    assert_int_equal(c->x->status, 204);
    /* The stream that fails to start. */
    nobody_is_left(b);
}

static struct pipe *dead_stream(struct http_exchange *x, unsigned status,
                                const char *headers, const struct pipe_owner *owner,
                                void *owner_data)
{
    (void)status;
    (void)headers;
    (void)owner;
    (void)owner_data;
    LIST_ENTRY(x, struct fake_exchange, base)->is_answered = true;
    return NULL;
}

static void
a_connection_that_dies_at_the_start_of_its_stream_leaves_nothing(void **state)
{
    struct bench *b = *state;
    struct task_key key = {slice_of("site"), slice_of("t")};
    struct fake_exchange *x = exchange_new(b, HTTP_GET, "", slice_of(""));
    struct http_exchange_ops ops = *x->base.ops;

    ops.stream = dead_stream;
    x->base.ops = &ops;
    session_stream(b->set, &x->base, &key, 1);
    nobody_is_left(b);
    assert_true(x->is_answered);
}

static void a_stream_cut_by_its_last_failure_closes(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct client *c;
    struct bench *b;

    (void)state;
    options.wait_unknown_ms = 20;
    b = bench_new(&limits, &options);
    c = client_new(b, KIND_SSE);
    client_join(c, "a,b", NULL, NULL);
    settle(b);
    say_text(b, "a", E1, "x");
    pass_ms(b, 50);
    client_read(c);
    assert_false(client_is_closed(c)); /* one task is left */
    say_end(b, "a", E1);
    client_read(c);
    assert_true(client_is_closed(c));
    assert_non_null(strstr(buf_text(&c->told), "error UNKNOWN_TASK of b\n"));
    bench_free(b);
}

/* ---- stops ---- */

static void a_stop_that_is_answered_after_the_asker_has_gone_is_dropped(void **state)
{
    struct bench *b = *state;
    enum kind kinds[] = {KIND_WS, KIND_SIO};

    for (int i = 0; i < 2; i++) {
        struct client *c = reader(b, kinds[i]);
        b->stop_is_held = true;
        client_say(c, kinds[i] == KIND_WS ? "{\"op\":\"stop\",\"task_id\":\"t\"}"
                                          : "425[\"task_stop\",\"t\"]");
        settle(b);
        client_cut(c);
        settle(b); /* the session is freed */
        b->stop_done(b->stop_ctx, STOP_ACCEPTED);
        settle(b);
    }
    assert_int_equal(b->stops, 2);
}

static void a_stop_may_be_answered_after_the_sessions_have_gone(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct bench *b = bench_new(&limits, &options);
    struct client *c = reader(b, KIND_WS);
    void (*done)(void *ctx, enum stop_status status);
    void *ctx;

    (void)state;
    b->stop_is_held = true;
    client_say(c, "{\"op\":\"stop\",\"task_id\":\"t\"}");
    done = b->stop_done;
    ctx = b->stop_ctx;
    bench_free(b);
    done(ctx, STOP_UNAVAILABLE);
}

static void a_late_stop_is_answered_to_who_is_still_there(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);

    b->stop_is_held = true;
    client_say(c, "425[\"task_stop\",{\"task_id\":\"t\",\"epoch\":9}]");
    told(c, "");
    assert_int_equal(b->stop_epoch, 9);
    b->stop_done(b->stop_ctx, STOP_ALREADY_FINISHED);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "\"status\":\"already_finished\""));
}

static void a_broker_may_stop_with_everything_in_flight(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct bench *b = bench_new(&limits, &options);

    (void)state;
    options.snapshot_total_bytes = 1;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct client *c = reader(b, (enum kind)kind);
        client_join(c, "t", NULL, NULL);
        settle(b);
        say_text(b, "t", E1, "x");
        if (c->kind != KIND_POLLING && c->kind != KIND_SSE)
            pipe_stall(c->pipe);
        client_join(reader(b, (enum kind)kind), "t", NULL, NULL);
        say_text(b, "t", E1, "y");
    }
    bench_free(b);
}

int test_life(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_readers_come_and_go_and_leave_nothing),
        cmocka_unit_test(a_reader_may_go_while_its_socket_is_full),
        cmocka_unit_test(a_reader_may_go_when_it_is_about_to_be_visited),
        BENCH_TEST(a_session_may_end_inside_its_own_pump),
        BENCH_TEST(a_connection_that_dies_at_the_start_of_its_stream_leaves_nothing),
        cmocka_unit_test(a_stream_cut_by_its_last_failure_closes),
        BENCH_TEST(a_stop_that_is_answered_after_the_asker_has_gone_is_dropped),
        cmocka_unit_test(a_stop_may_be_answered_after_the_sessions_have_gone),
        BENCH_TEST(a_late_stop_is_answered_to_who_is_still_there),
        cmocka_unit_test(a_broker_may_stop_with_everything_in_flight),
    };
    return cmocka_run_group_tests_name("session: life", tests, NULL, NULL);
}
