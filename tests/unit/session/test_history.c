/* test_history.c - readers that want more of the past than their topic was loaded with. */
/* SPDX-License-Identifier: MIT */
#include "shelf.h"

#include <stdio.h>

/* ---- what was retained is told ---- */

static void since_an_old_place(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", "11-2", NULL);
    told(c, "");
    load(shelf, 6, 2);
    told(c, "");
    assert_int_equal(shelf->fetches, 1);
    /* What comes meanwhile does not overtake. */
    say_text(shelf->bench, "t", E1, "g");
    told(c, "");
    give(shelf, 2, true);
    told(c, "subscribed t running 11-7 replayed 5\n"
            "t: text c 11-3\nt: text d 11-4\nt: text e 11-5\nt: text f 11-6\n"
            "t: text g 11-7\n");
    say_text(shelf->bench, "t", E1, "h");
    told(c, "t: text h 11-8\n");
    assert_int_equal(shelf->fetches, 1);
}

static void an_old_place_is_gone_on_from_exactly(void **state)
{
    (void)state;
    on_roomy_shelves(since_an_old_place);
}

static void from_the_start(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", NULL, "start");
    settle(shelf->bench);
    load(shelf, 5, 1);
    told(c, "");
    give(shelf, 2, true);
    told(c, "");
    assert_int_equal(shelf->fetches, 2);
    give(shelf, 2, true);
    told(c, "subscribed t running 11-5 replayed 5\n"
            "t: text a 11-1\nt: text b 11-2\nt: text c 11-3\nt: text d 11-4\n"
            "t: text e 11-5\n");
    has_all(c, "t");
    assert_int_equal(shelf->fetches, 2);
}

static void from_start_tells_all_that_is_stored(void **state)
{
    (void)state;
    on_roomy_shelves(from_the_start);
}

static void of_a_trimmed_log(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", NULL, "start");
    settle(shelf->bench);
    load(shelf, 5, 1);
    told(c, "");
    give(shelf, 1, false);
    told(c, "subscribed t running 11-5 replayed 2\nt: text d 11-4\nt: text e 11-5\n");
    assert_int_equal(shelf->fetches, 1);
}

static void from_start_of_a_trimmed_log_begins_with_what_is_left(void **state)
{
    (void)state;
    on_roomy_shelves(of_a_trimmed_log);
}

static void two_joiners_share_one_question(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct client *near = reader(b, KIND_WS);
    struct client *far = reader(b, KIND_SSE);
    struct client *late = reader(b, KIND_SIO);

    (void)state;
    client_join(near, "t", "11-3", NULL);
    client_join(far, "t", "11-1", NULL);
    settle(b);
    load(&shelf, 5, 1);
    client_join(late, "t", "11-2", NULL);
    settle(b);
    assert_int_equal(shelf.fetches, 1);
    give(&shelf, 3, true);
    told(near,
         "subscribed t running 11-5 replayed 2\nt: text d 11-4\nt: text e 11-5\n");
    told(far, "subscribed t running 11-5 replayed 4\nt: text b 11-2\nt: text c 11-3\n"
              "t: text d 11-4\nt: text e 11-5\n");
    told(late, "subscribed t running 11-5 replayed 3\nt: text c 11-3\n"
               "t: text d 11-4\nt: text e 11-5\n");
    assert_int_equal(shelf.fetches, 1);
    bench_free(b);
}

static void who_wants_no_past_neither_waits_nor_asks(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct client *snapshot = reader(b, KIND_WS);
    struct client *now = reader(b, KIND_SIO);
    struct client *level = reader(b, KIND_SSE);
    struct client *string = reader(b, KIND_SIO);

    (void)state;
    client_join(snapshot, "t", NULL, NULL);
    client_join(now, "t", NULL, "now");
    client_join(level, "t", "11-5", NULL);
    client_join_string(string, "t");
    settle(b);
    load(&shelf, 5, 1);
    told(snapshot,
         "subscribed t running 11-5 replayed 1\nt: text abcde 11-5 merged 5\n");
    told(now, "subscribed t running 11-5 replayed 0\n");
    told(level, "subscribed t running 11-5 replayed 0\n");
    told(string, "subscribed t running 11-5 replayed 0\n");
    assert_int_equal(shelf.fetches, 0);
    bench_free(b);
}

/* Live readers of the topic are woken by history and told nothing of it. */
static void live_readers_are_told_nothing_of_it(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct client *live = reader(b, KIND_WS);
    struct client *string = reader(b, KIND_SIO);
    struct client *late = reader(b, KIND_WS);

    (void)state;
    client_join(live, "t", NULL, "now");
    client_join_string(string, "t");
    settle(b);
    load(&shelf, 5, 1);
    told(live, "subscribed t running 11-5 replayed 0\n");
    told(string, "subscribed t running 11-5 replayed 0\n");
    client_join(late, "t", NULL, "start");
    settle(b);
    give(&shelf, 4, false);
    told(live, "");
    told(string, "");
    say_text(b, "t", E1, "f");
    told(live, "t: text f 11-6\n");
    told(string, "t: text f -\n");
    has_all(late, "t");
    bench_free(b);
}

/* Arrival numbers of history say nothing: the one that Frappe's event has, and that was sent
 * last, is not theirs. */
static void history_is_no_copy_of_what_another_topic_brought(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct client *c = reader(b, KIND_SIO);

    (void)state;
    client_join(c, "t", NULL, "start");
    client_join_string(c, "not native");
    settle(b);
    load(&shelf, 5, 1);
    buf_reset(&c->told);
    for (uint64_t left = 4; left > 0; left--) {
        struct topic_event event = {.is_opaque = true,
                                    .name = slice_of("n"),
                                    .body = slice_of("0"),
                                    .order = hub_next_order(b->hub)};
        assert_true(topic_append(hub_find(b->hub, TOPIC_ROOM, slice_of("site"),
                                          slice_of("task_progress:not native")),
                                 &event));
        give(&shelf, 1, true);
    }
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told),
                           "t: text a 11-1\nt: text b 11-2\nt: text c 11-3\n"
                           "t: text d 11-4\nt: text e 11-5\n"));
    bench_free(b);
}

int test_history(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_place_is_gone_on_from_exactly),
        cmocka_unit_test(from_start_tells_all_that_is_stored),
        cmocka_unit_test(from_start_of_a_trimmed_log_begins_with_what_is_left),
        cmocka_unit_test(two_joiners_share_one_question),
        cmocka_unit_test(who_wants_no_past_neither_waits_nor_asks),
        cmocka_unit_test(live_readers_are_told_nothing_of_it),
        cmocka_unit_test(history_is_no_copy_of_what_another_topic_brought),
    };
    return cmocka_run_group_tests_name("session: history", tests, NULL, NULL);
}
