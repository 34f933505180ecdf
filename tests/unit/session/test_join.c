/* test_join.c - where a reader begins: before, during, after; snapshot, start, now. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

static void before(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    client_join(c, "t", NULL, NULL);
    told(c, "subscribed t unknown null replayed 0\n");
    say_reasoning(b, "t", E1, "hm");
    say_text(b, "t", E1, "a");
    told(c, "t: reasoning hm 11-1\nt: text a 11-2\n");
    say_text(b, "t", E1, "b");
    say_end(b, "t", E1);
    told(c, "t: text b 11-3\nt: completion - 11-4\n");
    has_all(c, "t");
}

static void a_reader_that_came_before_the_run_sees_every_event(void **state)
{
    for_all(state, before);
}

static void during(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    say_reasoning(b, "t", E1, "h");
    say_reasoning(b, "t", E1, "m");
    say(b, "t", E1, EVENT_STATUS, "soon");
    say_text(b, "t", E1, "a");
    say_text(b, "t", E1, "\\n\\u00e9");
    client_join(c, "t", NULL, NULL);
    told(c, "subscribed t running 11-5 replayed 2\n"
            "t: reasoning hm 11-2 merged 2\n"
            "t: text a\\n\xc3\xa9 11-5 merged 2\n");
    say_text(b, "t", E1, "c");
    told(c, "t: text c 11-6\n");
    has_all(c, "t");
}

static void a_reader_that_comes_during_the_run_gets_a_snapshot_then_live(void **state)
{
    for_all(state, during);
}

static void after(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    say_text(b, "t", E1, "a");
    say_text(b, "t", E1, "b");
    say_end(b, "t", E1);
    client_join(c, "t", NULL, NULL);
    told(c, "subscribed t completed 11-3 replayed 2\n"
            "t: text ab 11-2 merged 2\n"
            "t: completion - 11-3\n");
    has_all(c, "t");
}

static void a_reader_that_comes_after_the_run_gets_its_text_and_its_end(void **state)
{
    for_all(state, after);
}

static void interleaved(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    say_reasoning(b, "t", E1, "r1");
    say_text(b, "t", E1, "t1");
    say_reasoning(b, "t", E1, "r2");
    client_join(c, "t", NULL, NULL);
    /* Text reaches less far: it goes first, and no id stands between the two. */
    told(c, "subscribed t running 11-3 replayed 2\n"
            "t: text t1 - merged 1\n"
            "t: reasoning r1r2 11-3 merged 2\n");
    say_text(b, "t", E1, "t2");
    told(c, "t: text t2 11-4\n");
    has_all(c, "t");
}

static void interleaved_kinds_leave_one_id_at_the_end_of_the_snapshot(void **state)
{
    for_all(state, interleaved);
}

static void one_turn(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    say_text(b, "t", E1, "a");
    client_join(c, "t", NULL, NULL);
    /* Published in the same turn, before the reader is visited: inside the snapshot. */
    say_text(b, "t", E1, "b");
    told(c, "subscribed t running 11-2 replayed 1\nt: text ab 11-2 merged 2\n");
    say_text(b, "t", E1, "c");
    say_text(b, "t", E1, "d");
    told(c, "t: text c 11-3\nt: text d 11-4\n");
}

static void what_comes_in_the_turn_of_the_join_is_in_the_snapshot(void **state)
{
    for_all(state, one_turn);
}

static void from_start(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    say_text(b, "t", E1, "old");
    say_end(b, "t", E1);
    say_text(b, "t", E2, "a");
    say(b, "t", E2, EVENT_STATUS, "s");
    say_text(b, "t", E2, "b");
    client_join(c, "t", NULL, "start");
    told(c, "subscribed t running 22-3 replayed 3\n"
            "t: text a 22-1\nt: status s 22-2\nt: text b 22-3\n");
    has_all(c, "t");
}

static void from_start_tells_every_event_of_the_run(void **state)
{
    for_all(state, from_start);
}

static void from_now(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    say_text(b, "t", E1, "a");
    client_join(c, "t", NULL, "now");
    told(c, "subscribed t running 11-1 replayed 0\n");
    say_text(b, "t", E1, "b");
    told(c, "t: text b 11-2\n");
}

static void from_now_tells_only_what_comes(void **state)
{
    for_all(state, from_now);
}

static void queued(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    topic_open_run(task(b, "t"), E1, RUN_QUEUED, 5, false);
    client_join(c, "t", NULL, NULL);
    told(c, "subscribed t queued 11-0 replayed 0\n");
    say_text(b, "t", E1, "a");
    told(c, "t: text a 11-1\n");
    has_all(c, "t");
}

static void a_queued_run_is_present_before_its_first_token(void **state)
{
    for_all(state, queued);
}

static void queued_again(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    say_text(b, "t", E1, "old");
    say_end(b, "t", E1);
    topic_open_run(task(b, "t"), E2, RUN_QUEUED, 5, false);
    client_join(c, "t", NULL, NULL);
    told(c, "subscribed t queued 22-0 replayed 0\n"); /* not the end of the old run */
    say_text(b, "t", E2, "new");
    told(c, "t: text new 22-1\n");
    has_all(c, "t");
}

static void the_end_of_an_earlier_run_is_not_told_with_a_new_one(void **state)
{
    for_all(state, queued_again);
}

static void opaque(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    say_opaque(b, "t", "{\"n\":1}");
    say_opaque(b, "t", "[2]");
    client_join(c, "t", NULL, NULL);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "replayed 2\nai_progress {\"id\":\"~"));
    assert_non_null(strstr(buf_text(&c->told), "-1\",\"n\":1}\nai_progress [2]\n"));
}

static void an_opaque_run_is_told_again_as_it_was(void **state)
{
    for_all(state, opaque);
}

static void two_readers(struct bench *b, enum kind kind)
{
    struct client *first = reader(b, kind);
    struct client *second = reader(b, kind);

    client_join(first, "t", NULL, NULL);
    client_join(second, "u", NULL, NULL);
    say_text(b, "t", E1, "mine");
    say_text(b, "u", E1, "yours");
    told(first, "subscribed t running 11-1 replayed 1\nt: text mine 11-1 merged 1\n");
    told(second, "subscribed u running 11-1 replayed 1\nu: text yours 11-1 merged 1\n");
}

static void tasks_do_not_cross(void **state)
{
    for_all(state, two_readers);
}

int test_join(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_that_came_before_the_run_sees_every_event),
        cmocka_unit_test(a_reader_that_comes_during_the_run_gets_a_snapshot_then_live),
        cmocka_unit_test(a_reader_that_comes_after_the_run_gets_its_text_and_its_end),
        cmocka_unit_test(interleaved_kinds_leave_one_id_at_the_end_of_the_snapshot),
        cmocka_unit_test(what_comes_in_the_turn_of_the_join_is_in_the_snapshot),
        cmocka_unit_test(from_start_tells_every_event_of_the_run),
        cmocka_unit_test(from_now_tells_only_what_comes),
        cmocka_unit_test(a_queued_run_is_present_before_its_first_token),
        cmocka_unit_test(the_end_of_an_earlier_run_is_not_told_with_a_new_one),
        cmocka_unit_test(an_opaque_run_is_told_again_as_it_was),
        cmocka_unit_test(tasks_do_not_cross),
    };
    return cmocka_run_group_tests_name("session: join", tests, NULL, NULL);
}
