/* test_history_gone.c - the past that is not to be had, and who waits for it otherwise. */
/* SPDX-License-Identifier: MIT */
#include "shelf.h"

#include <stdio.h>

/* ---- what is not to be had ---- */

static void gone(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", "11-2", NULL);
    settle(shelf->bench);
    load(shelf, 6, 2);
    told(c, "");
    give(shelf, 1, false);
    told(c, "subscribed t running 11-6 replayed 1\nresync t unknown_id\n"
            "t: text abcdef 11-6 merged 6\n");
    assert_int_equal(shelf->fetches, 1);
}

static void a_place_that_is_gone_means_a_new_start(void **state)
{
    (void)state;
    on_roomy_shelves(gone);
}

static void too_old(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", "11-1", NULL);
    settle(shelf->bench);
    load(shelf, 9, 2);
    told(c, "subscribed t running 11-9 replayed 1\nresync t unknown_id\n"
            "t: text abcdefghi 11-9 merged 9\n");
    assert_int_equal(shelf->fetches, 0);
}

static void a_place_from_before_what_may_be_held_is_not_asked_for(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    (void)state;
    limits.retain_events = 4;
    on_shelves(&limits, &options, too_old);
}

static void as_much_as_fits(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);
    struct topic_event event;
    char body[128];

    client_join(c, "t", NULL, "start");
    settle(shelf->bench);
    load(shelf, 9, 2);
    told(c, "");
    for (uint64_t seq = 7; seq >= 6; seq--) {
        event = stored(seq, body);
        assert_true(topic_restore_older(shelf->topic, &event));
    }
    event = stored(5, body);
    assert_false(topic_restore_older(shelf->topic, &event));
    topic_history_done(shelf->topic, true);
    /* The joiner reads what was fetched before the window moves on. */
    say_text(shelf->bench, "t", E1, "j");
    told(c, "subscribed t running 11-10 replayed 5\nt: text f 11-6\nt: text g 11-7\n"
            "t: text h 11-8\nt: text i 11-9\nt: text j 11-10\n");
    assert_int_equal(shelf->fetches, 1);
    assert_int_equal(topic_next(shelf->topic) - topic_base(shelf->topic), 4);
}

static void from_start_gets_as_much_as_may_be_held(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    (void)state;
    limits.retain_events = 4;
    on_shelves(&limits, &options, as_much_as_fits);
}

static void new_run(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);
    struct client *start = reader(shelf->bench, kind);

    client_join(c, "t", "11-2", NULL);
    client_join(start, "t", NULL, "start");
    settle(shelf->bench);
    load(shelf, 6, 2);
    told(c, "");
    told(start, "");
    assert_int_equal(shelf->fetches, 1);
    topic_open_run(shelf->topic, E2, RUN_RUNNING, 1, false);
    say_text(shelf->bench, "t", E2, "new");
    told(c, "subscribed t running 22-1 replayed 1\nresync t unknown_id\n"
            "t: text new 22-1 merged 1\n");
    told(start, "subscribed t running 22-1 replayed 1\nt: text new 22-1\n");
    topic_history_done(shelf->topic, false);
    told(c, "");
    told(start, "");
}

static void a_run_that_changes_meanwhile_means_a_new_start(void **state)
{
    (void)state;
    on_roomy_shelves(new_run);
}

static void erased(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", "11-2", NULL);
    settle(shelf->bench);
    load(shelf, 6, 2);
    topic_erase(shelf->topic);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "error GONE"));
    assert_null(strstr(buf_text(&c->told), "subscribed"));
}

static void a_task_erased_meanwhile_is_gone(void **state)
{
    (void)state;
    on_roomy_shelves(erased);
}

static void unavailable(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", "11-2", NULL);
    settle(shelf->bench);
    load(shelf, 6, 2);
    told(c, "");
    assert_int_equal(shelf->fetches, 1);
    pass_ms(shelf->bench, 60);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "error UNAVAILABLE"));
    assert_null(strstr(buf_text(&c->told), "subscribed"));
    assert_int_equal(topic_reader_count(shelf->topic), 0);
    /* An answer that comes after all harms nobody. */
    give(shelf, 2, true);
    buf_reset(&c->told);
    told(c, "");
}

static void events_that_cannot_be_had_in_time_are_told_as_unavailable(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    (void)state;
    options.wait_unknown_ms = 30;
    on_shelves(&limits, &options, unavailable);
}

/* A polling client that did not ask for a while stands at no deadline when it comes. */
static void one_that_comes_after_its_deadline_still_has_one(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b;
    struct client *c;

    (void)state;
    options.wait_unknown_ms = 30;
    b = open_shelf(&shelf, &limits, &options);
    c = reader(b, KIND_WS);
    pipe_stall(c->pipe);
    client_join(c, "u", NULL, "now");
    settle(b);
    topic_ready(shelf.topic);
    client_join(c, "t", "11-2", NULL);
    settle(b);
    load(&shelf, 6, 2);
    pass_ms(b, 60);
    pipe_flow(c->pipe);
    settle(b);
    pass_ms(b, 60);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "error UNAVAILABLE"));
    bench_free(b);
}

/* ---- long polls ---- */

static struct fake_exchange *poll_since(struct bench *b, const char *query)
{
    struct task_key key = {slice_of("site"), slice_of("t")};
    struct fake_exchange *x;

    b->accept = "application/json";
    x = exchange_new(b, HTTP_GET, query, slice_of(""));
    b->accept = NULL;
    session_stream(b->set, &x->base, &key, 1);
    settle(b);
    return x;
}

static void a_long_poll_waits_for_older_events(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct fake_exchange *x = poll_since(b, "since=11-4");

    (void)state;
    load(&shelf, 6, 1);
    assert_false(x->is_answered);
    assert_int_equal(shelf.fetches, 1);
    give(&shelf, 1, true);
    assert_true(x->is_answered);
    assert_string_equal(buf_text(&x->body),
                        "{\"events\":[{\"id\":\"11-5\",\"task_id\":\"t\",\"type\":"
                        "\"text\",\"partial\":true,\"text\":\"e\"},"
                        "{\"id\":\"11-6\",\"task_id\":\"t\",\"type\":\"text\","
                        "\"partial\":true,\"text\":\"f\"}],\"id\":\"11-6\","
                        "\"state\":\"running\"}");
    bench_free(b);
}

static void a_long_poll_that_waited_too_long_keeps_its_place(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct fake_exchange *x = poll_since(b, "since=11-2&wait_ms=10");

    (void)state;
    load(&shelf, 6, 2);
    pass_ms(b, 700);
    assert_true(x->is_answered);
    assert_string_equal(buf_text(&x->body),
                        "{\"events\":[],\"id\":\"11-2\",\"state\":\"running\"}");
    bench_free(b);
}

/* ---- several tasks on one stream ---- */

static void a_stream_of_several_tasks_waits_for_each_alone(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct client *c = reader(b, KIND_SSE);

    (void)state;
    client_join(c, "u,t", "-,11-3", NULL);
    settle(b);
    load(&shelf, 6, 1);
    topic_ready(task(b, "u"));
    told(c, "subscribed u unknown null replayed 0\nresync u unknown_id\n");
    say_text(b, "u", E2, "x");
    told(c, "u: text x 22-1\n");
    /* The place of the task that still waits is the one it came with. */
    assert_string_equal(c->sse_id, "22-1,11-3");
    give(&shelf, 2, true);
    told(c, "subscribed t running 11-6 replayed 3\nt: text d 11-4\nt: text e 11-5\n"
            "t: text f 11-6\n");
    assert_string_equal(c->sse_id, "22-1,11-6");
    bench_free(b);
}

int test_history_gone(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_that_is_gone_means_a_new_start),
        cmocka_unit_test(a_place_from_before_what_may_be_held_is_not_asked_for),
        cmocka_unit_test(from_start_gets_as_much_as_may_be_held),
        cmocka_unit_test(a_run_that_changes_meanwhile_means_a_new_start),
        cmocka_unit_test(a_task_erased_meanwhile_is_gone),
        cmocka_unit_test(events_that_cannot_be_had_in_time_are_told_as_unavailable),
        cmocka_unit_test(one_that_comes_after_its_deadline_still_has_one),
        cmocka_unit_test(a_long_poll_waits_for_older_events),
        cmocka_unit_test(a_long_poll_that_waited_too_long_keeps_its_place),
        cmocka_unit_test(a_stream_of_several_tasks_waits_for_each_alone),
    };
    return cmocka_run_group_tests_name("session: history that is gone", tests, NULL,
                                       NULL);
}
