/* test_ws.c - the operations of /ws. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

static void bad_messages_are_answered_and_harm_nobody(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);

    client_say(c, "");
    client_say(c, "nonsense");
    client_say(c, "[]");
    client_say(c, "null");
    client_say(c, "{\"op\":NaN}");
    client_say(c, "{\"op\":\"ping\"}{}");
    client_say(c, "{\"op\":\"\xff\"}");
    told(c, "error BAD_JSON\nerror BAD_JSON\nerror BAD_JSON\nerror BAD_JSON\n"
            "error BAD_JSON\nerror BAD_JSON\nerror BAD_JSON\n");
    c->pipe->base.owner->on_message(&c->pipe->base, slice_of("{\"op\":\"ping\"}"),
                                    true);
    told(c, "error BAD_JSON\n");
    client_say(c, "{}");
    client_say(c, "{\"op\":1}");
    client_say(c, "{\"op\":\"subscribed\"}");
    told(c, "error MISSING_FIELD op\nerror MISSING_FIELD op\nerror UNKNOWN_OP op\n");
    client_say(c, "{\"op\":\"ping\"}");
    told(c, "pong {\"op\":\"pong\"}\n");
    assert_int_equal(counted(b, "thinkwire_client_errors_total "), 11);
}

static void malformed_members_are_named(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);

    client_say(c, "{\"op\":\"subscribe\"}");
    client_say(c, "{\"op\":\"subscribe\",\"task_id\":7}");
    client_say(c, "{\"op\":\"subscribe\",\"task_id\":\"a b\"}");
    client_say(c, "{\"op\":\"unsubscribe\",\"task_id\":\"\"}");
    client_say(c, "{\"op\":\"subscribe\",\"task_id\":\"t\",\"since\":5}");
    client_say(c, "{\"op\":\"subscribe\",\"task_id\":\"t\",\"since\":\"5\"}");
    client_say(c, "{\"op\":\"subscribe\",\"task_id\":\"t\",\"from\":\"end\"}");
    client_say(c, "{\"op\":\"stop\",\"task_id\":\"t\",\"epoch\":\"1\"}");
    client_say(c, "{\"op\":\"stop\",\"task_id\":\"t\",\"epoch\":-1}");
    told(c, "error INVALID_VALUE task_id\nerror INVALID_VALUE task_id\n"
            "error INVALID_VALUE task_id\nerror INVALID_VALUE task_id\n"
            "error INVALID_VALUE since\nerror INVALID_VALUE since\n"
            "error INVALID_VALUE from\nerror INVALID_VALUE epoch\n"
            "error INVALID_VALUE epoch\n");
    assert_int_equal(b->stops, 0);
    assert_int_equal(topic_reader_count(task(b, "t")), 0);
}

static void members_may_be_null_or_escaped(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);

    client_say(c, " {\"\\u006fp\":\"subscribe\",\"task_id\":\"\\u0074\",\"since\":null,"
                  "\"from\":null} ");
    told(c, "subscribed t unknown null replayed 0\n");
}

static void unsubscribing_ends_the_events(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);

    client_join(c, "t", NULL, NULL);
    client_join(c, "u", NULL, NULL);
    told(
        c,
        "subscribed t unknown null replayed 0\nsubscribed u unknown null replayed 0\n");
    client_say(c, "{\"op\":\"unsubscribe\",\"task_id\":\"t\"}");
    client_say(c, "{\"op\":\"unsubscribe\",\"task_id\":\"never\"}");
    say_text(b, "t", E1, "x");
    say_text(b, "u", E1, "y");
    told(c, "unsubscribed {\"op\":\"unsubscribed\",\"task_id\":\"t\"}\n"
            "unsubscribed {\"op\":\"unsubscribed\",\"task_id\":\"never\"}\n"
            "u: text y 11-1\n");
}

static void subscribing_again_begins_anew(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);

    client_join(c, "t", NULL, NULL);
    say_text(b, "t", E1, "x");
    client_read(c);
    buf_reset(&c->told);
    client_join(c, "t", NULL, NULL);
    told(c, "subscribed t running 11-1 replayed 1\nt: text x 11-1 merged 1\n");
    assert_int_equal(topic_reader_count(task(b, "t")), 1);
    has_all(c, "t");
}

static void subscriptions_are_bounded(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);
    char name[8];

    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        buf_reset(&c->told);
        c->tale_count = 0;
        client_join(c, name, NULL, NULL);
        client_read(c);
    }
    told(c, "error TOO_MANY\n");
    client_join(c, "t0", NULL, NULL); /* is one of the eight */
    told(c, "subscribed t0 unknown null replayed 0\n");
}

static void several_tasks_are_told_in_the_order_of_arrival(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);

    client_join(c, "a", NULL, NULL);
    client_join(c, "b", NULL, NULL);
    client_read(c);
    buf_reset(&c->told);
    say_text(b, "b", E1, "1");
    say_text(b, "a", E2, "2");
    say_text(b, "a", E2, "3");
    say_text(b, "b", E1, "4");
    told(c, "b: text 1 11-1\na: text 2 22-1\na: text 3 22-2\nb: text 4 11-2\n");
}

static void one_publication_to_two_tasks_is_told_once(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);
    struct topic_event event = {.is_opaque = true, .name = slice_of("n")};

    client_join(c, "a", NULL, NULL);
    client_join(c, "b", NULL, NULL);
    client_read(c);
    buf_reset(&c->told);
    for (int i = 1; i <= 2; i++) {
        event.body = slice_of(i == 1 ? "1" : "2");
        event.order = hub_next_order(b->hub);
        assert_true(topic_append(task(b, "a"), &event));
        assert_true(topic_append(task(b, "b"), &event));
    }
    told(c, "n 1\nn 2\n");
}

static void a_stop_is_asked_and_answered(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_WS);

    b->stop_status = STOP_ACCEPTED;
    client_say(c, "{\"op\":\"stop\",\"task_id\":\"t\",\"epoch\":77}");
    told(c, "stop {\"op\":\"stop\",\"task_id\":\"t\",\"status\":\"accepted\"}\n");
    assert_int_equal(b->stop_epoch, 77);
    b->stop_status = STOP_UNAVAILABLE;
    client_say(c, "{\"op\":\"stop\",\"task_id\":\"t\"}");
    told(c, "stop {\"op\":\"stop\",\"task_id\":\"t\",\"status\":\"unavailable\"}\n");
    assert_int_equal(b->stop_epoch, 0);
}

static void the_site_is_named_by_the_query(void **state)
{
    struct bench *b = *state;
    struct client *c = client_new(b, KIND_WS);
    unsigned status;

    assert_null(pipe_dial(b, &b->ws, "site=a%2Fb", &status));
    assert_int_equal(status, 422);
    assert_non_null(strstr(buf_text(&b->exchanges->body), "\"field\":\"site\""));
    c->pipe = pipe_dial(b, &b->ws, "site=other", &status);
    client_join(c, "t", NULL, NULL);
    say_text(b, "t", E1, "not for them");
    told(c, "subscribed t unknown null replayed 0\n");
}

static void heartbeats_are_pings_and_never_into_a_full_socket(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct client *idle;
    struct client *full;
    struct bench *b;

    (void)state;
    options.heartbeat_ms = 100;
    b = bench_new(&limits, &options);
    idle = reader(b, KIND_WS);
    full = reader(b, KIND_WS);
    pipe_stall(full->pipe);
    client_say(full, "{\"op\":\"ping\"}");
    pass_ms(b, 700); /* the heart beats each half second */
    told(idle, "ping\n");
    pipe_flow(full->pipe);
    told(full, "pong {\"op\":\"pong\"}\n");
    bench_free(b);
}

int test_ws(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(bad_messages_are_answered_and_harm_nobody),
        BENCH_TEST(malformed_members_are_named),
        BENCH_TEST(members_may_be_null_or_escaped),
        BENCH_TEST(unsubscribing_ends_the_events),
        BENCH_TEST(subscribing_again_begins_anew),
        BENCH_TEST(subscriptions_are_bounded),
        BENCH_TEST(several_tasks_are_told_in_the_order_of_arrival),
        BENCH_TEST(one_publication_to_two_tasks_is_told_once),
        BENCH_TEST(a_stop_is_asked_and_answered),
        BENCH_TEST(the_site_is_named_by_the_query),
        cmocka_unit_test(heartbeats_are_pings_and_never_into_a_full_socket),
    };
    return cmocka_run_group_tests_name("session: /ws", tests, NULL, NULL);
}
