/* test_runs.c - runs that follow each other, continues, and data that goes away. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

static void second_run(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    client_join(c, "t", NULL, NULL);
    say_text(b, "t", E1, "one");
    told(c, "subscribed t running 11-1 replayed 1\nt: text one 11-1 merged 1\n");
    if (kind != KIND_SSE) { /* a stream has ended by then */
        say_end(b, "t", E1);
        told(c, "t: completion - 11-2\n");
    }
    say_text(b, "t", E2, "two");
    told(c, "resync t new_run\nt: text two 22-1 merged 1\n");
    say_text(b, "t", E2, "!");
    told(c, "t: text ! 22-2\n");
    has_all(c, "t");
}

static void a_new_run_is_told_before_its_first_event(void **state)
{
    for_all(state, second_run);
}

static void same_turn(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    client_join(c, "t", NULL, NULL);
    told(c, "subscribed t unknown null replayed 0\n");
    say_text(b, "t", E1, "one");
    say_end(b, "t", E1);
    say_text(b, "t", E2, "two");
    say_text(b, "t", E2, "!");
    told(c, "t: text one 11-1\nt: completion - 11-2\nresync t new_run\n"
            "t: text two! 22-2 merged 2\n");
    has_all(c, "t");
}

static void the_rest_of_the_old_run_is_told_before_the_new_one(void **state)
{
    for_all(state, same_turn);
}

static void three_runs(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    client_join(c, "t", NULL, NULL);
    say_text(b, "t", E1, "one");
    client_read(c);
    buf_reset(&c->told);
    say_text(b, "t", E2, "two");
    say_text(b, "t", E3, "three");
    client_read(c);
    has_all(c, "t");
}

static void several_runs_in_one_turn_leave_the_text_of_the_last(void **state)
{
    for_all(state, three_runs);
}

static void continued(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);
    struct client *late = reader(b, kind);

    client_join(c, "t", NULL, NULL);
    say_reasoning(b, "t", E1, "r");
    say_text(b, "t", E1, "one");
    client_read(c);
    buf_reset(&c->told);
    topic_open_run(task(b, "t"), E2, RUN_RUNNING, 1, true);
    say_text(b, "t", E2, " more");
    told(c, "t: text  more 22-1\n");
    has_all(c, "t");
    /* The kept reasoning reaches up to the opening; text that began earlier goes on. */
    client_join(late, "t", NULL, NULL);
    told(late, "subscribed t running 22-1 replayed 2\nt: reasoning r - merged 1\n"
               "t: text one more 22-1 merged 2\n");
    has_all(late, "t");
}

static void a_continue_goes_on_with_the_text(void **state)
{
    for_all(state, continued);
}

static void continued_and_resumed(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    say_text(b, "t", E1, "one");
    topic_open_run(task(b, "t"), E2, RUN_RUNNING, 1, true);
    say_reasoning(b, "t", E2, "r1");
    client_join(c, "t", NULL, NULL);
    told(c, "subscribed t running 22-1 replayed 2\nt: text one 22-0 merged 1\n"
            "t: reasoning r1 22-1 merged 1\n");
    /* Cut between the two: the first id is a place to resume at. */
    client_join(c, "t", "22-0", NULL);
    told(c, "subscribed t running 22-1 replayed 1\nt: reasoning r1 22-1\n");
}

static void kept_text_stands_before_the_first_event_of_the_continue(void **state)
{
    for_all(state, continued_and_resumed);
}

static void reset(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    say_text(b, "t", E1, "one");
    client_join(c, "t", NULL, NULL);
    client_read(c);
    buf_reset(&c->told);
    topic_reset(task(b, "t"));
    say_text(b, "t", E2, "whole");
    told(c, "resync t data_lost\nt: text whole 22-1 merged 1\n");
    has_all(c, "t");
}

static void data_that_was_lost_is_told(void **state)
{
    for_all(state, reset);
}

static void erased(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);
    struct client *late = reader(b, kind);

    say_text(b, "t", E1, "one");
    client_join(c, "t", NULL, NULL);
    client_read(c);
    buf_reset(&c->told);
    topic_erase(task(b, "t"));
    told(c, "error GONE of t\n");
    client_join(late, "t", NULL, NULL);
    client_read(late);
    assert_non_null(strstr(buf_text(&late->told), "error GONE"));
    assert_null(strstr(buf_text(&late->told), "subscribed"));
    /* Neither is subscribed any more. */
    assert_int_equal(topic_reader_count(task(b, "t")), 0);
    if (kind == KIND_SSE)
        assert_true(client_is_closed(c) && client_is_closed(late));
}

static void a_task_that_was_erased_is_gone(void **state)
{
    for_all(state, erased);
}

static void erased_before_snapshot(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    if (kind == KIND_POLLING)
        return; /* has no pipe to stall */
    say_text(b, "t", E1, "one");
    client_join(c, "t", NULL, NULL);
    settle(b);
    client_read(c);
    buf_reset(&c->told);
    pipe_stall(c->pipe);
    client_join(c, "u", NULL, NULL);
    if (kind == KIND_SSE)
        return;                      /* that was another stream */
    client_join(c, "t", NULL, NULL); /* anew: the snapshot waits */
    settle(b);
    topic_erase(task(b, "t"));
    settle(b);
    pipe_flow(c->pipe);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "error GONE"));
    assert_null(strstr(buf_text(&c->told), "t: text"));
}

static void a_task_that_is_erased_before_its_snapshot_left_is_gone(void **state)
{
    for_all(state, erased_before_snapshot);
}

static struct session_options impatient(void)
{
    struct session_options options = patient();

    options.wait_unknown_ms = 30;
    return options;
}

static void a_task_nobody_publishes_for_is_unknown_after_a_while(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = impatient();

    (void)state;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct bench *b = bench_new(&limits, &options);
        struct client *c = reader(b, (enum kind)kind);
        client_join(c, "t", NULL, NULL);
        told(c, "subscribed t unknown null replayed 0\n");
        pass_ms(b, 60);
        told(c, "error UNKNOWN_TASK of t\n");
        assert_int_equal(topic_reader_count(task(b, "t")), 0);
        say_text(b, "t", E1, "late");
        told(c, "");
        bench_free(b);
    }
}

static void a_task_that_begins_in_time_is_no_error(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = impatient();

    (void)state;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct bench *b = bench_new(&limits, &options);
        struct client *c = reader(b, (enum kind)kind);
        client_join(c, "t", NULL, NULL);
        settle(b);
        say_text(b, "t", E1, "x");
        pass_ms(b, 60);
        client_read(c);
        assert_null(strstr(buf_text(&c->told), "error"));
        say_text(b, "t", E1, "y");
        has_all(c, "t");
        bench_free(b);
    }
}

/* ---- a bus that feeds ---- */

static void on_watch(void *ctx, struct topic *topic)
{
    *(struct topic **)ctx = topic;
}

static void on_unwatch(void *ctx, struct topic *topic)
{
    (void)ctx;
    (void)topic;
}

static const struct hub_feed feed = {.on_watch = on_watch, .on_unwatch = on_unwatch};

static void load(struct topic *topic, const char *text)
{
    struct run run = {.epoch = E1, .state = RUN_RUNNING, .last_seq = strlen(text)};
    char body[64];

    buf_init(&run.text.utf8, 1 << 16);
    buf_puts(&run.text.utf8, text);
    run.text.merged = run.last_seq;
    run.text.first_seq = 1;
    run.text.last_seq = run.last_seq;
    topic_restore(topic, &run);
    buf_release(&run.text.utf8);
    /* The stream was trimmed to its last two entries. */
    for (uint64_t seq = run.last_seq - 1; seq <= run.last_seq; seq++) {
        struct topic_event event = {
            .id = {E1, seq, false}, .type = EVENT_TEXT, .is_delta = true};
        int len = snprintf(body, sizeof(body),
                           "{\"task_id\":\"t\",\"type\":\"text\",\"partial\":true,"
                           "\"text\":\"%c\"}",
                           text[seq - 1]);
        event.body = slice_make(body, (size_t)len);
        event.text = slice_make(body + len - 3, 1);
        topic_restore_entry(topic, &event);
    }
    topic_ready(topic);
}

static void a_join_waits_until_its_task_is_loaded(void **state)
{
    (void)state;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct hub_limits limits = roomy();
        struct session_options options = patient();
        struct bench *b = bench_new(&limits, &options);
        struct topic *topic = NULL;
        struct client *c;
        hub_set_feed(b->hub, &feed, &topic);
        c = reader(b, (enum kind)kind);
        client_join(c, "t", NULL, NULL);
        told(c, "");
        assert_non_null(topic);
        load(topic, "abcd");
        told(c, "subscribed t running 11-4 replayed 1\nt: text abcd 11-4 merged 4\n");
        say_text(b, "t", E1, "e");
        told(c, "t: text e 11-5\n");
        has_all(c, "t");
        /* Loaded again, on a later turn than the reset: nothing is missing. */
        topic_reset(topic);
        settle(b);
        load(topic, "abcdef");
        client_read(c);
        has_all(c, "t");
        bench_free(b);
    }
}

static void a_task_that_cannot_be_loaded_is_told(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = impatient();

    (void)state;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct bench *b = bench_new(&limits, &options);
        struct topic *topic = NULL;
        struct client *c;
        if (kind == KIND_SSE) { /* held for START_WAIT_MS first: see test_sse.c */
            bench_free(b);
            continue;
        }
        hub_set_feed(b->hub, &feed, &topic);
        c = reader(b, (enum kind)kind);
        client_join(c, "t", NULL, NULL);
        settle(b);
        pass_ms(b, 60);
        client_read(c);
        assert_non_null(strstr(buf_text(&c->told), "error UNAVAILABLE"));
        bench_free(b);
    }
}

int test_runs(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_run_is_told_before_its_first_event),
        cmocka_unit_test(the_rest_of_the_old_run_is_told_before_the_new_one),
        cmocka_unit_test(several_runs_in_one_turn_leave_the_text_of_the_last),
        cmocka_unit_test(a_continue_goes_on_with_the_text),
        cmocka_unit_test(kept_text_stands_before_the_first_event_of_the_continue),
        cmocka_unit_test(data_that_was_lost_is_told),
        cmocka_unit_test(a_task_that_was_erased_is_gone),
        cmocka_unit_test(a_task_that_is_erased_before_its_snapshot_left_is_gone),
        cmocka_unit_test(a_task_nobody_publishes_for_is_unknown_after_a_while),
        cmocka_unit_test(a_task_that_begins_in_time_is_no_error),
        cmocka_unit_test(a_join_waits_until_its_task_is_loaded),
        cmocka_unit_test(a_task_that_cannot_be_loaded_is_told),
    };
    return cmocka_run_group_tests_name("session: runs", tests, NULL, NULL);
}
