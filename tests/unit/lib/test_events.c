/* test_events.c - what an emitter composes, accepts and refuses. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <stdlib.h>

static bool event(struct rig *rig, const char *json)
{
    return emitter_event(rig->emitter, slice_of(json));
}

static void a_completion_carries_everything_and_ends_the_run(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    say_reasoning(&rig, "because \"");
    say_text(&rig, "4");
    rig_turn(&rig);
    say_text(&rig, "2\n");
    assert_true(emitter_complete(rig.emitter));
    rig_turn(&rig);
    assert_in(&rig, 1,
              "{\"type\":\"completion\",\"text\":\"42\\n\",\"reasoning\":\"because "
              "\\\"\",\"run_text\":\"42\\n\",\"partial\":false,\"task_id\":\"t1\"");
    assert_int_equal(rig.ended, 0);
    fake_answer(&rig.fake, 0, PUBLISH_OK);
    fake_answer(&rig.fake, 1, PUBLISH_OK);
    rig_turn(&rig);
    assert_int_equal(rig.ended, 1);
    assert_int_equal(rig.ended_as, PUBLISH_OK);
    assert_false(emitter_text(rig.emitter, slice_of("late")));
    assert_false(emitter_complete(rig.emitter));
    assert_int_equal(emitter_stats(rig.emitter)->refused, 2);
    rig_turn(&rig);
    assert_int_equal(rig.ended, 1);
    rig_end(&rig);
}

static void a_continued_run_tells_the_whole_text_and_its_own_share(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    char earlier[] = "one ";
    (void)state;
    options.keeps_text = true;
    options.earlier_text = slice_of(earlier);
    options.earlier_reasoning = slice_of("r0 ");
    rig_start_open(&rig, options);
    memset(earlier, '#', sizeof(earlier) - 1); /* it was copied */
    assert_true(rig.fake.open.keeps_text);
    say_text(&rig, "two");
    assert_true(emitter_complete(rig.emitter));
    rig_turn(&rig);
    assert_in(&rig, 0,
              "\"text\":\"one two\",\"reasoning\":\"r0 \",\"run_text\":\"two\"");
    assert_in(&rig, 0, "{\"type\":\"text\",\"text\":\"two\"");
    rig_end(&rig);
}

static void stopping_and_failing_are_terminal_too(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    say_text(&rig, "h\xc3\xa9llo");
    assert_true(emitter_stopped(rig.emitter));
    rig_turn(&rig);
    assert_in(&rig, 0, "{\"type\":\"stopped\",\"length\":5,\"partial\":false");
    assert_false(emitter_fail(rig.emitter, "LATE", slice_of("too late")));
    rig_end(&rig);
    rig_start_open(&rig, rig_options());
    assert_false(emitter_fail(rig.emitter, "not a code", slice_of("x")));
    assert_true(emitter_fail(rig.emitter, "BOOM", slice_of("it \"broke\"")));
    rig_turn(&rig);
    assert_in(&rig, 0,
              "{\"type\":\"error\",\"code\":\"BOOM\",\"message\":\"it \\\"broke\\\"\"");
    rig_end(&rig);
}

static void a_whole_event_gets_what_is_missing_and_loses_its_id(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    assert_true(event(&rig, "{ \"id\": \"5-1\", \"type\": \"tool_call\",\n \"deep\": "
                            "{\"id\": 7, \"a b\": [1, 2]} }"));
    assert_true(event(&rig, "{\"type\":\"queued\",\"task_id\":\"t1\","
                            "\"timestamp\":\"2026-11-20T23:00:00.123Z\"}"));
    rig_turn(&rig);
    assert_in(&rig, 0,
              "{\"type\":\"tool_call\",\"deep\":{\"id\":7,\"a b\":[1,2]},\"task_id\":"
              "\"t1\",\"timestamp\":\"2");
    assert_in(&rig, 0,
              "{\"type\":\"queued\",\"task_id\":\"t1\","
              "\"timestamp\":\"2026-11-20T23:00:00.123Z\"}\n");
    assert_int_equal(rig.fake.calls[0].count, 2);
    rig_end(&rig);
}

static void an_event_with_nothing_but_an_id_before_its_members_stays_json(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    assert_true(event(&rig, "{\"id\":\"5-1\",\"type\":\"status\"}"));
    rig_turn(&rig);
    assert_in(&rig, 0, "{\"type\":\"status\",\"task_id\":\"t1\"");
    rig_end(&rig);
}

static void plain_deltas_handed_in_as_events_merge_and_count_as_text(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    assert_true(event(&rig, "{\"type\":\"text\",\"text\":\"a\\u0062\",\"partial\":true,"
                            "\"timestamp\":\"2026-11-20T23:00:00.123Z\"}"));
    assert_true(event(&rig, "{\"type\":\"text\",\"text\":\"c\",\"partial\":true,"
                            "\"id\":\"5-2\",\"task_id\":\"t1\"}"));
    assert_true(emitter_complete(rig.emitter));
    rig_turn(&rig);
    assert_in(&rig, 0,
              "{\"type\":\"text\",\"text\":\"abc\",\"partial\":true,\"task_id\":\"t1\","
              "\"timestamp\":\"2026-11-20T23:00:00.123Z\"}");
    assert_in(&rig, 0, "\"run_text\":\"abc\"");
    rig_end(&rig);
}

static void a_delta_with_more_members_is_left_as_it_is_but_counts_as_text(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    say_text(&rig, "a");
    assert_true(event(&rig, "{\"type\":\"text\",\"text\":\"b\",\"partial\":true,"
                            "\"model\":\"m\"}"));
    say_text(&rig, "c");
    assert_true(emitter_complete(rig.emitter));
    rig_turn(&rig);
    assert_int_equal(rig.fake.calls[0].count, 4);
    assert_in(&rig, 0,
              "{\"type\":\"text\",\"text\":\"b\",\"partial\":true,\"model\":\"m\"");
    assert_in(&rig, 0, "\"text\":\"abc\",\"reasoning\":\"\",\"run_text\":\"abc\"");
    rig_end(&rig);
}

static void malformed_events_and_other_tasks_are_refused(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    assert_false(event(&rig, "{\"type\":\"text\"}"));
    assert_false(event(&rig, "not json"));
    assert_false(event(&rig, "[]"));
    assert_false(event(&rig, "{\"type\":\"queued\",\"task_id\":\"t2\"}"));
    assert_int_equal(emitter_stats(rig.emitter)->refused, 4);
    rig_turn(&rig);
    assert_int_equal(rig.fake.count, 0);
    rig_end(&rig);
}

static void a_terminal_event_handed_in_as_json_ends_the_run(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    assert_true(event(&rig, "{\"type\":\"completion\",\"text\":\"done\"}"));
    assert_false(emitter_text(rig.emitter, slice_of("late")));
    rig_turn(&rig);
    fake_answer(&rig.fake, 0, PUBLISH_OK);
    rig_turn(&rig);
    assert_int_equal(rig.ended, 1);
    rig_end(&rig);
}

static void text_past_its_bound_ends_the_run_with_an_error(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    (void)state;
    options.max_text_bytes = 4;
    rig_start_open(&rig, options);
    say_text(&rig, "1234");
    say_reasoning(&rig, "1234");
    assert_false(emitter_text(rig.emitter, slice_of("5")));
    rig_turn(&rig);
    assert_in(&rig, 0, "{\"type\":\"error\",\"code\":\"RUN_TOO_LARGE\"");
    assert_int_equal(times_in(&rig, 0, "\"text\":\"1234\",\"partial\":true"), 2);
    assert_false(emitter_text(rig.emitter, slice_of("6")));
    rig_end(&rig);
}

static void completion_of(size_t length, struct rig *rig)
{
    char *text = malloc(length);
    assert_non_null(text);
    memset(text, 'x', length);
    rig_start_open(rig, rig_options());
    assert_true(emitter_text(rig->emitter, slice_make(text, length)));
    free(text);
}

static void last_call_has(struct rig *rig, const char *needle)
{
    rig_turn(rig);
    assert_true(times_in(rig, rig->fake.count - 1, needle) == 1);
    rig_end(rig);
}

static void
a_completion_that_is_too_long_first_gives_up_its_share_then_the_run(void **state)
{
    struct rig rig;
    (void)state;
    completion_of(400000, &rig);
    assert_true(emitter_complete(rig.emitter));
    last_call_has(&rig, "\"run_text\":\"xxx");
    completion_of(700000, &rig);
    assert_true(emitter_complete(rig.emitter));
    last_call_has(&rig, "\"reasoning\":\"\",\"partial\":false");
    completion_of(1100000, &rig);
    assert_true(emitter_complete(rig.emitter));
    last_call_has(&rig, "\"code\":\"RUN_TOO_LARGE\"");
}

static void freeing_an_emitter_with_answers_to_come_is_harmless(void **state)
{
    struct rig rig;
    (void)state;
    rig_start(&rig, rig_options());
    rig_turn(&rig);
    rig_end(&rig);
    rig_start_open(&rig, rig_options());
    say_text(&rig, "a");
    rig_turn(&rig);
    emitter_free(rig.emitter);
    rig.emitter = NULL;
    fake_answer(&rig.fake, 0, PUBLISH_OK);
    rig_turn(&rig);
    assert_int_equal(rig.settled, 0);
    rig_end(&rig);
}

static void an_emitter_may_be_freed_when_it_tells_its_end(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    rig.frees_on_end = true;
    assert_true(emitter_complete(rig.emitter));
    rig_turn(&rig);
    fake_answer(&rig.fake, 0, PUBLISH_OK);
    rig_turn(&rig);
    assert_null(rig.emitter);
    rig_end(&rig);
}

int test_events(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_completion_carries_everything_and_ends_the_run),
        cmocka_unit_test(a_continued_run_tells_the_whole_text_and_its_own_share),
        cmocka_unit_test(stopping_and_failing_are_terminal_too),
        cmocka_unit_test(a_whole_event_gets_what_is_missing_and_loses_its_id),
        cmocka_unit_test(an_event_with_nothing_but_an_id_before_its_members_stays_json),
        cmocka_unit_test(plain_deltas_handed_in_as_events_merge_and_count_as_text),
        cmocka_unit_test(a_delta_with_more_members_is_left_as_it_is_but_counts_as_text),
        cmocka_unit_test(malformed_events_and_other_tasks_are_refused),
        cmocka_unit_test(a_terminal_event_handed_in_as_json_ends_the_run),
        cmocka_unit_test(text_past_its_bound_ends_the_run_with_an_error),
        cmocka_unit_test(
            a_completion_that_is_too_long_first_gives_up_its_share_then_the_run),
        cmocka_unit_test(freeing_an_emitter_with_answers_to_come_is_harmless),
        cmocka_unit_test(an_emitter_may_be_freed_when_it_tells_its_end),
    };
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
