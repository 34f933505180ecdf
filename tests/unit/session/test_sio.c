/* test_sio.c - Socket.IO: Frappe's string form, the object form, and what they share. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

static void the_string_form_tells_from_now_on_and_exactly_as_published(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);
    struct topic_event event = {.is_opaque = true,
                                .name = slice_of("list_update"),
                                .body = slice_of("[1,\"x\"]")};

    say_text(b, "t", E1, "before");
    client_join_string(c, "t");
    told(c, "subscribed t running 11-1 replayed 0\n");
    say_text(b, "t", E1, "now");
    told(c, "t: text now -\n"); /* no id: nothing is added */
    assert_true(topic_append(task(b, "t"), &event));
    told(c, "list_update [1,\"x\"]\n");
}

static void the_string_form_never_tells_what_was_loaded(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct bench *b = bench_new(&limits, &options);
    struct client *c = reader(b, KIND_SIO);
    struct run run = {.epoch = E1, .state = RUN_RUNNING, .last_seq = 1};
    struct topic_event event = {.id = {E1, 1, false},
                                .type = EVENT_STATUS,
                                .body = slice_of("{\"type\":\"status\"}")};

    (void)state;
    client_join_string(c, "t");
    told(c, "subscribed t unknown null replayed 0\n");
    topic_restore(task(b, "t"), &run);
    topic_restore_entry(task(b, "t"), &event);
    topic_ready(task(b, "t"));
    told(c, "");
    say_text(b, "t", E1, "live");
    told(c, "t: text live -\n");
    topic_reset(task(b, "t"));
    say_text(b, "t", E2, "again");
    told(c, "t: text again -\n");
    assert_false(client_is_closed(c));
    bench_free(b);
}

static void one_message_of_any_length_does_not_cut_a_string_form_reader(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct bench *b;
    struct client *c;
    char text[4001];

    (void)state;
    options.opaque_lag_bytes = 1000;
    b = bench_new(&limits, &options);
    c = reader(b, KIND_SIO);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    client_join_string(c, "t");
    for (int i = 0; i < 5; i++) {
        say_text(b, "t", E1, text);
        client_read(c);
    }
    assert_false(client_is_closed(c));
    has_all(c, "t");
    bench_free(b);
}

static void a_room_that_is_no_task_can_be_joined_in_the_string_form(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);
    struct topic_event event = {.is_opaque = true, .body = slice_of("1")};
    struct topic *room;

    client_say(c, "421[\"task_subscribe\",\"a b\\n\"]");
    told(c, "subscribed task_progress:a b\\n unknown null replayed 0\n");
    room =
        hub_find(b->hub, TOPIC_ROOM, slice_of("site"), slice_of("task_progress:a b\n"));
    assert_non_null(room);
    assert_true(topic_append(room, &event));
    told(c, "ai_progress 1\n");
    client_say(c, "421[\"task_unsubscribe\",\"a b\\n\"]");
    client_read(c);
    assert_int_equal(topic_reader_count(room), 0);
}

static void both_names_of_the_string_form_work(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);

    client_say(c, "42[\"progress_subscribe\",\"t\"]");
    settle(b);
    assert_int_equal(topic_reader_count(task(b, "t")), 1);
    client_say(c, "42[\"task_subscribe\",\"t\"]"); /* twice is once */
    settle(b);
    assert_int_equal(topic_reader_count(task(b, "t")), 1);
    say_text(b, "t", E1, "x");
    told(c, "t: text x -\n");
}

static void the_forms_can_be_changed(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);

    client_join_string(c, "t");
    say_text(b, "t", E1, "x");
    told(c, "subscribed t running 11-1 replayed 0\nt: text x -\n");
    client_join(c, "t", NULL, NULL);
    told(c, "subscribed t running 11-1 replayed 1\nt: text x 11-1 merged 1\n");
    client_join_string(c, "t");
    say_text(b, "t", E1, "y");
    told(c, "subscribed t running 11-2 replayed 0\nt: text y -\n");
    assert_int_equal(topic_reader_count(task(b, "t")), 1);
}

static void malformed_joins_are_answered(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);

    client_say(c, "421[\"task_subscribe\",{}]");
    client_say(c, "421[\"task_subscribe\",{\"task_id\":\"a b\"}]");
    client_say(c, "421[\"task_subscribe\",{\"task_id\":\"t\",\"since\":\"x\"}]");
    client_say(c, "421[\"task_stop\",{\"task_id\":\"t\",\"epoch\":{}}]");
    client_say(c, "421[\"task_stop\",\"a b\"]");
    told(c, "error INVALID_VALUE task_id\nerror INVALID_VALUE task_id\n"
            "error INVALID_VALUE since\nerror INVALID_VALUE epoch\n"
            "error INVALID_VALUE task_id\n");
    assert_int_equal(b->stops, 0);
    client_say(c, "42[\"task_subscribe\",{}]"); /* nobody asked for an answer */
    told(c, "");
}

static void unknown_events_are_answered_only_when_asked(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);

    client_say(c, "42[\"whatever\",1]");
    told(c, "");
    client_say(c, "427[\"whatever\",1]");
    told(c, "error UNKNOWN_EVENT\n");
}

static void ping_is_answered_with_pong(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);

    client_say(c, "42[\"ping\"]");
    told(c, "pong null\n");
}

static void without_an_acknowledgement_failures_are_events(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);

    say_text(b, "t", E1, "x");
    topic_erase(task(b, "t"));
    client_say(c, "42[\"task_subscribe\",{\"task_id\":\"t\"}]");
    told(c, "error GONE of t\n");
    client_say(c, "423[\"task_subscribe\",{\"task_id\":\"t\"}]");
    told(c, "error GONE\n");
}

static void the_namespace_names_the_site(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);
    struct topic *topic;

    client_say(c, "40/other,");
    client_say(c, "42/other,[\"task_subscribe\",{\"task_id\":\"t\"}]");
    settle(b);
    assert_int_equal(topic_reader_count(task(b, "t")), 0);
    topic = hub_find(b->hub, TOPIC_TASK, slice_of("other"), slice_of("t"));
    assert_non_null(topic);
    assert_int_equal(topic_reader_count(topic), 1);
    client_say(c, "40/bad%20site,");
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "packet 4\n")); /* CONNECT_ERROR */
}

static void subscriptions_of_a_socket_are_bounded(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);
    char text[64];

    for (int i = 0; i < 9; i++) {
        snprintf(text, sizeof(text), "42%d[\"task_subscribe\",\"t%d\"]", i, i);
        buf_reset(&c->told);
        client_say(c, text);
        client_read(c);
    }
    told(c, "error TOO_MANY task_id\n");
}

static void a_disconnect_of_the_namespace_ends_its_subscriptions(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_SIO);

    client_join(c, "t", NULL, NULL);
    client_read(c);
    client_say(c, "41");
    settle(b);
    assert_int_equal(topic_reader_count(task(b, "t")), 0);
}

int test_sio(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(the_string_form_tells_from_now_on_and_exactly_as_published),
        cmocka_unit_test(the_string_form_never_tells_what_was_loaded),
        cmocka_unit_test(one_message_of_any_length_does_not_cut_a_string_form_reader),
        BENCH_TEST(a_room_that_is_no_task_can_be_joined_in_the_string_form),
        BENCH_TEST(both_names_of_the_string_form_work),
        BENCH_TEST(the_forms_can_be_changed),
        BENCH_TEST(malformed_joins_are_answered),
        BENCH_TEST(unknown_events_are_answered_only_when_asked),
        BENCH_TEST(ping_is_answered_with_pong),
        BENCH_TEST(without_an_acknowledgement_failures_are_events),
        BENCH_TEST(the_namespace_names_the_site),
        BENCH_TEST(subscriptions_of_a_socket_are_bounded),
        BENCH_TEST(a_disconnect_of_the_namespace_ends_its_subscriptions),
    };
    return cmocka_run_group_tests_name("session: Socket.IO", tests, NULL, NULL);
}
