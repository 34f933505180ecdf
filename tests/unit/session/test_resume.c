/* test_resume.c - going on where a reader was. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

static void fill(struct bench *b, const char *name, unsigned count)
{
    char text[8] = "a";

    for (unsigned i = 0; i < count; i++) {
        text[0] = (char)('a' + i);
        say_text(b, name, E1, text);
    }
}

static void since(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    fill(b, "t", 4);
    client_join(c, "t", "11-2", NULL);
    told(c, "subscribed t running 11-4 replayed 2\nt: text c 11-3\nt: text d 11-4\n");
    say_text(b, "t", E1, "e");
    told(c, "t: text e 11-5\n");
}

static void since_an_id_tells_exactly_what_came_after_it(void **state)
{
    for_all(state, since);
}

static void since_head(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    fill(b, "t", 2);
    client_join(c, "t", "11-2", NULL);
    told(c, "subscribed t running 11-2 replayed 0\n");
    fill(b, "t", 1);
    told(c, "t: text a 11-3\n");
}

static void since_the_last_id_tells_nothing_again(void **state)
{
    for_all(state, since_head);
}

static void since_zero(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    fill(b, "t", 2);
    client_join(c, "t", "11-0", NULL);
    told(c, "subscribed t running 11-2 replayed 2\nt: text a 11-1\nt: text b 11-2\n");
}

static void since_the_place_before_the_first_event_tells_all(void **state)
{
    for_all(state, since_zero);
}

static void stale(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    fill(b, "t", 2);
    client_join(c, "t", "10-2", NULL);
    told(c, "subscribed t running 11-2 replayed 1\nresync t unknown_id\n"
            "t: text ab 11-2 merged 2\n");
    client_join(c, "t", "11-3", NULL); /* never given */
    told(c, "subscribed t running 11-2 replayed 1\nresync t unknown_id\n"
            "t: text ab 11-2 merged 2\n");
    client_join(c, "t", "~ab-3", NULL);
    told(c, "subscribed t running 11-2 replayed 1\nresync t unknown_id\n"
            "t: text ab 11-2 merged 2\n");
    has_all(c, "t");
}

static void since_an_id_that_is_not_known_is_answered_with_a_resync(void **state)
{
    for_all(state, stale);
}

static void since_of_nobody(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    client_join(c, "t", "10-2", NULL);
    told(c, "subscribed t unknown null replayed 0\nresync t unknown_id\n");
    fill(b, "t", 1);
    told(c, "t: text a 11-1\n");
    has_all(c, "t");
}

static void since_an_id_of_a_task_that_was_lost_begins_anew(void **state)
{
    for_all(state, since_of_nobody);
}

static void trimmed(struct bench *b, enum kind kind)
{
    struct client *c = reader(b, kind);

    fill(b, "t", 20);
    client_join(c, "t", "11-3", NULL);
    told(c, "subscribed t running 11-20 replayed 1\nresync t unknown_id\n"
            "t: text abcdefghijklmnopqrst 11-20 merged 20\n");
    client_join(c, "t", "11-15", NULL);
    told(c, "subscribed t running 11-20 replayed 5\nt: text p 11-16\nt: text q 11-17\n"
            "t: text r 11-18\nt: text s 11-19\nt: text t 11-20\n");
}

static void since_an_id_that_left_the_window_is_answered_with_a_resync(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    (void)state;
    limits.retain_events = 5;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct bench *b = bench_new(&limits, &options);
        trimmed(b, (enum kind)kind);
        bench_free(b);
    }
}

/* ---- several tasks on one stream ---- */

/* How many bytes of the wire it takes up to the end of the event that holds `text`. */
static uint64_t end_of_event(struct fake_pipe *pipe, const char *text)
{
    const char *wire = buf_text(&pipe->wire);
    const char *found = strstr(wire, text);

    assert_non_null(found);
    found = strstr(found, "\n\n");
    assert_non_null(found);
    return (uint64_t)(found + 2 - wire);
}

static struct client *stream(struct bench *b)
{
    return client_new(b, KIND_SSE);
}

static void a_cursor_resumes_every_task_exactly(void **state)
{
    struct bench *b = *state;
    struct client *c = stream(b);
    char cursor[TEXT_SIZE];

    say_text(b, "a", E1, "1");
    client_join(c, "a,b", NULL, NULL);
    told(c, "subscribed a running 11-1 replayed 1\na: text 1 11-1 merged 1\n"
            "subscribed b unknown null replayed 0\n");
    assert_string_equal(c->sse_id, "11-1,-");
    say_text(b, "b", E2, "x");
    say_text(b, "a", E1, "2");
    say_text(b, "b", E2, "y");
    told(c, "b: text x 22-1\na: text 2 11-2\nb: text y 22-2\n");
    assert_string_equal(c->sse_id, "11-2,22-2");
    snprintf(cursor, sizeof(cursor), "%s", c->sse_id);
    client_cut(c);
    say_text(b, "a", E1, "3");
    say_text(b, "b", E2, "z");
    client_join(c, "a,b", cursor, NULL);
    told(c,
         "subscribed a running 11-3 replayed 1\nsubscribed b running 22-3 replayed 1\n"
         "a: text 3 11-3\nb: text z 22-3\n");
    has_all(c, "a");
    has_all(c, "b");
    assert_string_equal(c->sse_id, "11-3,22-3");
}

static void each_event_of_a_multi_stream_tells_the_cursor_after_it(void **state)
{
    struct bench *b = *state;
    struct client *c = stream(b);

    topic_open_run(task(b, "a"), E1, RUN_RUNNING, 1, false);
    topic_open_run(task(b, "b"), E2, RUN_RUNNING, 1, false);
    client_join(c, "a,b", NULL, NULL);
    told(
        c,
        "subscribed a running 11-0 replayed 0\nsubscribed b running 22-0 replayed 0\n");
    assert_string_equal(c->sse_id, "11-0,22-0");
    say_text(b, "b", E2, "x");
    told(c, "b: text x 22-1\n");
    assert_string_equal(c->sse_id, "11-0,22-1");
    say_text(b, "a", E1, "y");
    told(c, "a: text y 11-1\n");
    assert_string_equal(c->sse_id, "11-1,22-1");
}

static void a_task_without_a_place_in_the_cursor_is_told_anew(void **state)
{
    struct bench *b = *state;
    struct client *c = stream(b);

    say_text(b, "a", E1, "1");
    say_text(b, "b", E2, "x");
    client_join(c, "a,b", "11-1,-", NULL);
    told(c,
         "subscribed a running 11-1 replayed 0\nsubscribed b running 22-1 replayed 1\n"
         "resync b unknown_id\nb: text x 22-1 merged 1\n");
    client_cut(c);
    client_join(c, "a,b", "11-1", NULL);
    told(c,
         "subscribed a running 11-1 replayed 0\nsubscribed b running 22-1 replayed 1\n"
         "resync b unknown_id\nb: text x 22-1 merged 1\n");
    client_cut(c);
    client_join(c, "a,b", "nonsense,22-1", NULL);
    told(c, "subscribed a running 11-1 replayed 1\nresync a unknown_id\n"
            "a: text 1 11-1 merged 1\nsubscribed b running 22-1 replayed 0\n");
}

static void no_cursor_names_a_run_that_was_not_told_yet(void **state)
{
    struct bench *b = *state;
    struct client *c = stream(b);

    client_join(c, "a,b", NULL, NULL);
    client_read(c);
    buf_reset(&c->told);
    say_text(b, "a", E1, "x");
    say_text(b, "a", E2, "y");
    settle(b);
    c->pipe->granted = c->pipe->consumed + end_of_event(c->pipe, "\"text\":\"x\"");
    told(c, "a: text x 11-1\n");
    assert_string_equal(c->sse_id, "11-1,-");
    pipe_flow(c->pipe);
    told(c, "resync a new_run\na: text y 22-1 merged 1\n");
    assert_string_equal(c->sse_id, "22-1,-");
}

static void a_task_named_twice_is_told_once(void **state)
{
    struct bench *b = *state;
    struct client *c = stream(b);

    client_join(c, "a,a", NULL, NULL);
    told(c, "subscribed a unknown null replayed 0\n");
    say_text(b, "a", E1, "1");
    told(c, "a: text 1 11-1\n");
}

/* ---- what a stock EventSource repeats ---- */

static void an_id_without_a_place_is_told_while_a_snapshot_is_torn(void **state)
{
    struct bench *b = *state;
    struct client *c = stream(b);

    say_reasoning(b, "t", E1, "r");
    say_text(b, "t", E1, "x");
    say_reasoning(b, "t", E1, "s");
    client_join(c, "t", NULL, NULL);
    settle(b);
    /* The network breaks off between the two events of the snapshot. */
    c->x->pipe->granted = end_of_event(c->x->pipe, "\"text\":\"x\"");
    told(c, "subscribed t running 11-3 replayed 2\nt: text x - merged 1\n");
    assert_string_equal(c->sse_id, "-");
    client_cut(c);
    client_join(c, "t", c->sse_id, NULL);
    told(c, "subscribed t running 11-3 replayed 2\nresync t unknown_id\n"
            "t: text x - merged 1\nt: reasoning rs 11-3 merged 2\n");
    has_all(c, "t");
}

static void after_a_resync_the_old_id_is_forgotten(void **state)
{
    struct bench *b = *state;
    struct client *c = stream(b);

    say_text(b, "t", E1, "x");
    client_join(c, "t", NULL, NULL);
    client_read(c);
    assert_string_equal(c->sse_id, "11-1");
    topic_reset(task(b, "t"));
    told(c, "subscribed t running 11-1 replayed 1\nt: text x 11-1 merged 1\n"
            "resync t data_lost\n");
    assert_string_equal(c->sse_id, "-");
}

static void the_header_counts_more_than_the_address(void **state)
{
    struct bench *b = *state;
    struct task_key key = {slice_of("site"), slice_of("t")};
    struct client *c = stream(b);

    fill(b, "t", 3);
    b->last_event_id = "11-2";
    c->x = exchange_new(b, HTTP_GET, "since=11-1&last_event_id=11-0", slice_of(""));
    session_stream(b->set, &c->x->base, &key, 1);
    b->last_event_id = NULL;
    told(c, "subscribed t running 11-3 replayed 1\nt: text c 11-3\n");
    client_cut(c);
    client_tale(c, "t")->last_id[0] = '\0'; /* another client */
    c->x = exchange_new(b, HTTP_GET, "since=11-1&last_event_id=11-2", slice_of(""));
    session_stream(b->set, &c->x->base, &key, 1);
    told(c, "subscribed t running 11-3 replayed 1\nt: text c 11-3\n");
    client_cut(c);
    client_tale(c, "t")->last_id[0] = '\0'; /* another client */
    c->x = exchange_new(b, HTTP_GET, "since=11-1", slice_of(""));
    session_stream(b->set, &c->x->base, &key, 1);
    told(c, "subscribed t running 11-3 replayed 2\nt: text b 11-2\nt: text c 11-3\n");
}

/* ---- 204: nothing is left to say ---- */

static unsigned answer_of(struct client *c)
{
    settle(c->bench);
    return c->x->status;
}

static void who_has_it_all_of_a_finished_task_is_answered_204(void **state)
{
    struct bench *b = *state;
    struct client *c = stream(b);

    say_text(b, "t", E1, "x");
    client_join(c, "t", "11-1", NULL);
    assert_int_equal(answer_of(c), 200); /* open */
    client_cut(c);
    say_end(b, "t", E1);
    client_join(c, "t", "11-1", NULL);
    assert_int_equal(answer_of(c), 200); /* the end is not known yet */
    client_cut(c);
    client_join(c, "t", "11-2", NULL);
    assert_int_equal(answer_of(c), 204);
    assert_null(c->x->pipe);
    client_join(c, "t", NULL, NULL);
    assert_int_equal(answer_of(c), 200);
    client_cut(c);
    /* A newer run is streamed. */
    topic_open_run(task(b, "t"), E2, RUN_QUEUED, 1, false);
    client_join(c, "t", "11-2", NULL);
    assert_int_equal(answer_of(c), 200);
    buf_reset(&c->told);
    told(c, "subscribed t queued 22-0 replayed 0\nresync t unknown_id\n");
}

static void of_several_tasks_all_must_have_ended_for_204(void **state)
{
    struct bench *b = *state;
    struct client *c = stream(b);

    say_end(b, "a", E1);
    say_text(b, "b", E2, "x");
    client_join(c, "a,b", "11-1,22-1", NULL);
    assert_int_equal(answer_of(c), 200);
    client_cut(c);
    say_end(b, "b", E2);
    client_join(c, "a,b", "11-1,22-1", NULL);
    assert_int_equal(answer_of(c), 200);
    client_cut(c);
    client_join(c, "a,b", "11-1,22-2", NULL);
    assert_int_equal(answer_of(c), 204);
}

static void a_stream_ends_when_its_tasks_have_ended(void **state)
{
    struct bench *b = *state;
    struct client *c = stream(b);

    say_text(b, "a", E1, "x");
    say_end(b, "b", E2);
    client_join(c, "a,b", NULL, NULL);
    client_read(c);
    assert_false(client_is_closed(c));
    say_end(b, "a", E1);
    told(c, "subscribed a running 11-1 replayed 1\na: text x 11-1 merged 1\n"
            "subscribed b completed 22-1 replayed 1\nb: completion - 22-1\n"
            "a: completion - 11-2\n");
    assert_true(client_is_closed(c));
    assert_string_equal(c->sse_id, "11-2,22-1");
}

int test_resume(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(since_an_id_tells_exactly_what_came_after_it),
        cmocka_unit_test(since_the_last_id_tells_nothing_again),
        cmocka_unit_test(since_the_place_before_the_first_event_tells_all),
        cmocka_unit_test(since_an_id_that_is_not_known_is_answered_with_a_resync),
        cmocka_unit_test(since_an_id_of_a_task_that_was_lost_begins_anew),
        cmocka_unit_test(since_an_id_that_left_the_window_is_answered_with_a_resync),
        BENCH_TEST(a_cursor_resumes_every_task_exactly),
        BENCH_TEST(each_event_of_a_multi_stream_tells_the_cursor_after_it),
        BENCH_TEST(a_task_without_a_place_in_the_cursor_is_told_anew),
        BENCH_TEST(no_cursor_names_a_run_that_was_not_told_yet),
        BENCH_TEST(a_task_named_twice_is_told_once),
        BENCH_TEST(an_id_without_a_place_is_told_while_a_snapshot_is_torn),
        BENCH_TEST(after_a_resync_the_old_id_is_forgotten),
        BENCH_TEST(the_header_counts_more_than_the_address),
        BENCH_TEST(who_has_it_all_of_a_finished_task_is_answered_204),
        BENCH_TEST(of_several_tasks_all_must_have_ended_for_204),
        BENCH_TEST(a_stream_ends_when_its_tasks_have_ended),
    };
    return cmocka_run_group_tests_name("session: resume", tests, NULL, NULL);
}
