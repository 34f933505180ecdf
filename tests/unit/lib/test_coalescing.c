/* test_coalescing.c - when deltas leave, and together with what. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static void a_run_is_opened_at_once_with_a_producer_and_a_lease(void **state)
{
    struct rig rig;
    (void)state;
    rig_start(&rig, rig_options());
    rig_turn(&rig);
    assert_int_equal(rig.fake.opens, 1);
    assert_int_equal(rig.fake.open.lease_ms, EMITTER_LEASE_MS);
    assert_int_equal(rig.fake.open.state, RUN_RUNNING);
    assert_int_equal(rig.fake.open.producer.len, 32);
    assert_int_equal(rig.fake.claimed, 0);
    assert_true(slice_is(rig.fake.open.task.site, "site1"));
    assert_true(slice_is(rig.fake.open.task.task_id, "t1"));
    assert_int_equal(rig.settled, 0);
    rig_end(&rig);
}

static void what_was_said_before_the_run_is_open_leaves_as_one_delta(void **state)
{
    struct rig rig;
    (void)state;
    rig_start(&rig, rig_options());
    say_text(&rig, "a");
    rig_turn(&rig);
    say_text(&rig, "b");
    assert_int_equal(rig.fake.count, 0);
    fake_open(&rig.fake, PUBLISH_OK, EPOCH);
    rig_turn(&rig);
    assert_int_equal(rig.fake.count, 1);
    assert_in(&rig, 0, "\"text\":\"ab\",\"partial\":true,\"task_id\":\"t1\"");
    assert_int_equal(rig.fake.calls[0].counter, 1);
    assert_int_equal(rig.fake.calls[0].epoch, EPOCH);
    rig_end(&rig);
}

static void a_delta_leaves_in_its_turn_when_nothing_is_in_flight(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    for (size_t i = 0; i < 5; i++) {
        say_text(&rig, "x");
        rig_turn(&rig);
        assert_int_equal(rig.fake.count, i + 1);
        assert_int_equal(rig.fake.calls[i].counter, i + 1);
        fake_answer(&rig.fake, i, PUBLISH_OK);
        rig_turn(&rig);
        assert_int_equal(rig.settled, i + 1);
    }
    assert_true(emitter_is_settled(rig.emitter));
    assert_int_equal(emitter_stats(rig.emitter)->published, 5);
    rig_end(&rig);
}

static void
deltas_behind_an_unanswered_publish_merge_and_leave_with_its_answer(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    (void)state;
    options.window_ms = 5000;
    rig_start_open(&rig, options);
    say_text(&rig, "first");
    rig_turn(&rig);
    for (int i = 0; i < 10; i++) {
        say_text(&rig, "y");
        rig_turn(&rig);
    }
    assert_int_equal(rig.fake.count, 1);
    fake_answer(&rig.fake, 0, PUBLISH_OK);
    rig_turn(&rig);
    assert_int_equal(rig.fake.count, 2);
    assert_in(&rig, 1, "\"text\":\"yyyyyyyyyy\"");
    assert_int_equal(rig.fake.calls[1].count, 1);
    assert_int_equal(rig.fake.calls[1].counter, 2);
    assert_int_equal(emitter_stats(rig.emitter)->merged, 9);
    rig_end(&rig);
}

static void the_window_bounds_the_wait_behind_an_unanswered_publish(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    say_text(&rig, "first");
    rig_turn(&rig);
    uint64_t began = clock_mono_ms();
    say_text(&rig, "second");
    rig_until(&rig, &rig.fake.count, 2);
    uint64_t waited = clock_mono_ms() - began;
    assert_true(waited >= EMITTER_WINDOW_MS - 2);
    assert_in(&rig, 1, "\"text\":\"second\"");
    rig_end(&rig);
}

static void without_a_window_every_turn_sends_up_to_the_bound_in_flight(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    (void)state;
    options.window_ms = 0;
    rig_start_open(&rig, options);
    for (int i = 0; i < 7; i++) {
        say_text(&rig, "z");
        rig_turn(&rig);
    }
    assert_int_equal(rig.fake.count, 4); /* max_in_flight of the fake */
    fake_answer(&rig.fake, 0, PUBLISH_OK);
    rig_turn(&rig);
    assert_int_equal(rig.fake.count, 5);
    assert_in(&rig, 4, "\"text\":\"zzz\"");
    rig_end(&rig);
}

static void what_is_no_delta_does_not_wait_for_the_window(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    (void)state;
    options.window_ms = 5000;
    rig_start_open(&rig, options);
    say_text(&rig, "a");
    rig_turn(&rig);
    say_text(&rig, "b");
    rig_turn(&rig);
    assert_int_equal(rig.fake.count, 1);
    assert_true(emitter_event(rig.emitter, slice_of("{\"type\":\"status\"}")));
    rig_turn(&rig);
    assert_int_equal(rig.fake.count, 2);
    assert_int_equal(rig.fake.calls[1].count, 2);
    assert_int_equal(rig.fake.calls[1].counter, 2);
    rig_end(&rig);
}

static void kinds_do_not_merge_and_keep_their_order(void **state)
{
    struct rig rig;
    (void)state;
    rig_start(&rig, rig_options());
    say_reasoning(&rig, "r1");
    say_reasoning(&rig, "r2");
    say_text(&rig, "t1");
    say_reasoning(&rig, "r3");
    say_text(&rig, "t2");
    say_text(&rig, "t3");
    rig_turn(&rig);
    fake_open(&rig.fake, PUBLISH_OK, EPOCH);
    rig_turn(&rig);
    assert_int_equal(rig.fake.calls[0].count, 4);
    const char *lines = fake_lines(&rig.fake, 0);
    const char *a = strstr(lines, "{\"type\":\"reasoning\",\"text\":\"r1r2\"");
    const char *b = strstr(lines, "{\"type\":\"text\",\"text\":\"t1\"");
    const char *c = strstr(lines, "{\"type\":\"reasoning\",\"text\":\"r3\"");
    const char *d = strstr(lines, "{\"type\":\"text\",\"text\":\"t2t3\"");
    assert_true(a != NULL && b > a && c > b && d > c);
    rig_end(&rig);
}

static void a_merged_delta_keeps_the_first_timestamp(void **state)
{
    struct rig rig;
    char before[CLOCK_ISO_SIZE];
    (void)state;
    rig_start(&rig, rig_options());
    clock_iso(clock_wall_ms(), before);
    say_text(&rig, "a");
    uint64_t until = clock_mono_ms() + 20;
    while (clock_mono_ms() < until)
        rig_turn(&rig);
    say_text(&rig, "b");
    fake_open(&rig.fake, PUBLISH_OK, EPOCH);
    rig_turn(&rig);
    char needle[64];
    snprintf(needle, sizeof(needle), "\"timestamp\":\"%.10s", before); /* the day */
    assert_in(&rig, 0, needle);
    assert_in(&rig, 0, "\"text\":\"ab\"");
    const char *at = strstr(fake_lines(&rig.fake, 0), "\"timestamp\":\"") + 13;
    assert_true(strncmp(at, before, 24) >= 0);
    char after[CLOCK_ISO_SIZE];
    clock_iso(clock_wall_ms() - 15, after);
    assert_true(strncmp(at, after, 24) <= 0);
    rig_end(&rig);
}

static void a_long_delta_is_cut_between_characters_into_events_that_fit(void **state)
{
    const size_t count = 400000;
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    char *text = malloc(3 * count + 1);
    assert_non_null(text);
    for (size_t i = 0; i < 3 * count; i++)
        text[i] = "\xe6\xbc\xa2"[i % 3];
    assert_true(emitter_text(rig.emitter, slice_make(text, 3 * count)));
    rig_turn(&rig);
    size_t characters = 0;
    for (size_t i = 0; i < rig.fake.count; i++) {
        for (const char *at = fake_lines(&rig.fake, i); *at != 0; at++)
            characters += *at == '\xe6' && at[1] == '\xbc' && at[2] == '\xa2';
        assert_true(rig.fake.calls[i].lines.len < (2U << 20));
        fake_answer(&rig.fake, i, PUBLISH_OK);
        rig_turn(&rig);
    }
    assert_int_equal(characters, count);
    assert_true(emitter_is_settled(rig.emitter));
    free(text);
    rig_end(&rig);
}

static void a_character_cut_in_two_waits_for_its_rest(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    say_text(&rig, "a\xf0\x9f");
    rig_turn(&rig);
    assert_in(&rig, 0, "\"text\":\"a\"");
    fake_answer(&rig.fake, 0, PUBLISH_OK);
    rig_turn(&rig);
    say_text(&rig, "\x98");
    rig_turn(&rig);
    assert_int_equal(rig.fake.count, 1);
    say_text(&rig, "\x80 b\xff");
    rig_turn(&rig);
    assert_in(&rig, 1, "\"text\":\"\xf0\x9f\x98\x80 b\xef\xbf\xbd\"");
    rig_end(&rig);
}

static void a_character_that_is_never_finished_becomes_a_replacement(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    say_text(&rig, "a\xe6\xbc");
    assert_true(emitter_complete(rig.emitter));
    rig_turn(&rig);
    assert_int_equal(times_in(&rig, 0, "\"text\":\"a\xef\xbf\xbd\""), 2);
    rig_end(&rig);
}

int test_coalescing(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_opened_at_once_with_a_producer_and_a_lease),
        cmocka_unit_test(what_was_said_before_the_run_is_open_leaves_as_one_delta),
        cmocka_unit_test(a_delta_leaves_in_its_turn_when_nothing_is_in_flight),
        cmocka_unit_test(
            deltas_behind_an_unanswered_publish_merge_and_leave_with_its_answer),
        cmocka_unit_test(the_window_bounds_the_wait_behind_an_unanswered_publish),
        cmocka_unit_test(without_a_window_every_turn_sends_up_to_the_bound_in_flight),
        cmocka_unit_test(what_is_no_delta_does_not_wait_for_the_window),
        cmocka_unit_test(kinds_do_not_merge_and_keep_their_order),
        cmocka_unit_test(a_merged_delta_keeps_the_first_timestamp),
        cmocka_unit_test(a_long_delta_is_cut_between_characters_into_events_that_fit),
        cmocka_unit_test(a_character_cut_in_two_waits_for_its_rest),
        cmocka_unit_test(a_character_that_is_never_finished_becomes_a_replacement),
    };
    return cmocka_run_group_tests_name("coalescing", tests, NULL, NULL);
}
