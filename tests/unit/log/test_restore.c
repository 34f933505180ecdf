/* test_restore.c - a topic that is loaded by the bus that feeds it. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

static void the_first_reader_makes_a_cold_topic_load(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    struct fake_reader first;
    struct fake_reader second;

    assert_int_equal(topic_phase(topic), TOPIC_COLD);
    assert_int_equal(b->watched, 0);
    join(b, &first, topic, topic_next(topic));
    assert_int_equal(b->watched, 1);
    assert_ptr_equal(b->last_watched, topic);
    join(b, &second, topic, topic_next(topic));
    assert_int_equal(b->watched, 1);
    assert_int_equal(topic_phase(topic), TOPIC_LOADING);
    topic_ready(topic);
    assert_int_equal(topic_phase(topic), TOPIC_READY);
    settle(b);
    assert_int_equal(first.woken, 1);
    assert_int_equal(second.woken, 1);
    reader_detach(&first.reader);
    reader_detach(&second.reader);
    assert_int_equal(topic_phase(topic), TOPIC_READY);
    assert_int_equal(b->unwatched, 0);
}

static void rooms_and_topics_without_a_feed_are_ready_at_once(void **state)
{
    struct bench *b = *state;
    struct hub_limits limits = roomy();
    struct bench *plain = bench_new(&limits, false);

    assert_int_equal(
        topic_phase(hub_topic(b->hub, TOPIC_ROOM, slice_of("site"), slice_of("r"))),
        TOPIC_READY);
    assert_int_equal(topic_phase(task(plain, "t")), TOPIC_READY);
    bench_free(plain);
}

static void what_is_restored_is_as_if_it_had_been_heard(void **state)
{
    struct topic *topic = task(*state, "t");
    struct run run = known_run(EPOCH, 3, "abc");
    const struct run *mine = topic_run(topic);

    run.started_ms = 11;
    topic_restore(topic, &run);
    restore(topic, EPOCH, 1, "a");
    restore(topic, EPOCH, 2, "b");
    restore(topic, EPOCH, 3, "c");
    topic_ready(topic);
    accumulates(&mine->text, "abc");
    assert_int_equal(mine->text.merged, 3);
    assert_string_equal(mine->text.timestamp, "2026-11-20T10:00:00.000Z");
    assert_int_equal(mine->started_ms, 11);
    assert_int_equal(mine->text_epoch, EPOCH);
    assert_int_equal(topic_next(topic) - topic_base(topic), 3);
    assert_int_equal(mine->first_pos, topic_base(topic));
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 0, false}),
                     topic_base(topic));
    assert_true(say_text(topic, EPOCH, 4, "d"));
    accumulates(&mine->text, "abcd");
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 3, false}),
                     topic_next(topic) - 1);
    /* The buffers were copied. */
    run.text.utf8.data[0] = 'x';
    accumulates(&mine->text, "abcd");
    run_free(&run);
}

static void a_trimmed_stream_restores_its_tail(void **state)
{
    struct topic *topic = task(*state, "t");
    struct run run = known_run(EPOCH, 9, "123456789");

    topic_restore(topic, &run);
    restore(topic, EPOCH, 7, "7");
    restore(topic, EPOCH, 8, "8");
    restore(topic, EPOCH, 9, "9");
    topic_ready(topic);
    assert_int_equal(topic_next(topic) - topic_base(topic), 3);
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 5, false}), 0);
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 6, false}),
                     topic_base(topic));
    assert_int_equal(topic_run(topic)->first_pos, topic_base(topic) - 6);
    run_free(&run);
}

static void a_window_that_misses_an_entry_is_no_window(void **state)
{
    struct topic *topic = task(*state, "t");
    struct run run = known_run(EPOCH, 5, "12345");

    topic_restore(topic, &run);
    restore(topic, EPOCH, 2, "2");
    restore(topic, EPOCH, 4, "4");
    restore(topic, EPOCH, 5, "5");
    topic_ready(topic);
    assert_int_equal(topic_next(topic), topic_base(topic));
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 4, false}), 0);
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 5, false}),
                     topic_next(topic));
    assert_true(say_text(topic, EPOCH, 6, "6"));
    accumulates(&topic_run(topic)->text, "123456");
    run_free(&run);
}

static void a_window_that_does_not_reach_the_head_is_no_window(void **state)
{
    struct topic *topic = task(*state, "t");
    struct run run = known_run(EPOCH, 5, "12345");

    topic_restore(topic, &run);
    restore(topic, EPOCH, 2, "2");
    restore(topic, EPOCH, 3, "3");
    topic_ready(topic);
    assert_int_equal(topic_next(topic), topic_base(topic));
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 5, false}),
                     topic_next(topic));
    run_free(&run);
}

static void entries_beyond_what_is_known_or_of_another_run_are_passed_over(void **state)
{
    struct topic *topic = task(*state, "t");
    struct run run = known_run(EPOCH, 2, "12");

    topic_restore(topic, &run);
    restore(topic, EPOCH - 1, 1, "old");
    restore(topic, EPOCH, 1, "1");
    restore(topic, EPOCH, 2, "2");
    restore(topic, EPOCH, 3, "3");
    topic_ready(topic);
    assert_int_equal(topic_next(topic) - topic_base(topic), 2);
    /* The live channel, or healing, brings it. */
    assert_true(say_text(topic, EPOCH, 3, "3"));
    run_free(&run);
}

static void an_opened_run_without_events_is_restored(void **state)
{
    struct topic *topic = task(*state, "t");
    struct run run = {.epoch = EPOCH, .state = RUN_QUEUED, .started_ms = 5};

    topic_restore(topic, &run);
    topic_ready(topic);
    assert_int_equal(topic_run(topic)->state, RUN_QUEUED);
    assert_true(say_text(topic, EPOCH, 1, "a"));
    assert_int_equal(topic_next(topic) - topic_base(topic), 1);
}

static void an_unknown_run_changes_nothing(void **state)
{
    struct topic *topic = task(*state, "t");
    struct run run = {.state = RUN_UNKNOWN};
    uint32_t generation = topic_generation(topic);

    say_opaque(topic, "1");
    topic_restore(topic, &run);
    topic_ready(topic);
    assert_int_equal(topic_next(topic) - topic_base(topic), 1);
    assert_int_equal(topic_generation(topic), generation);
    assert_true(say_opaque(topic, "2"));
}

static void restoring_again_loses_every_live_reader(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    struct run run = known_run(EPOCH, 2, "ab");
    struct fake_reader reader;

    join(b, &reader, topic, topic_next(topic));
    topic_restore(topic, &run);
    restore(topic, EPOCH, 1, "a");
    restore(topic, EPOCH, 2, "b");
    topic_ready(topic);
    reader.reader.pos = topic_next(topic);
    /* First forgotten, reloaded on a later turn: the reader was moved in between. */
    topic_reset(topic);
    reader.reader.pos = topic_next(topic);
    topic_restore(topic, &run);
    restore(topic, EPOCH, 2, "b");
    topic_ready(topic);
    assert_int_equal(reader_lag(&reader.reader), READER_LOST);
    assert_int_equal(topic_next(topic) - topic_base(topic), 1);
    accumulates(&topic_run(topic)->text, "ab");
    reader_detach(&reader.reader);
    run_free(&run);
}

static void restored_entries_are_not_live(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    struct run run = known_run(EPOCH, 2, "ab");
    uint64_t attached = topic_next(topic);

    /* What Frappe's channel brings while a topic loads is live. */
    say_opaque(topic, "1");
    assert_int_equal(topic_live(topic), attached);
    topic_restore(topic, &run);
    restore(topic, EPOCH, 1, "a");
    restore(topic, EPOCH, 2, "b");
    assert_int_equal(topic_live(topic), topic_next(topic));
    topic_ready(topic);
    say_text(topic, EPOCH, 3, "c");
    assert_int_equal(topic_live(topic), topic_next(topic) - 1);
    run_free(&run);
}

static void restoring_meets_the_bounds_of_the_window(void **state)
{
    struct hub_limits limits = roomy();
    struct run run = known_run(EPOCH, 9, "123456789");
    struct topic *topic;
    struct bench *b;

    (void)state;
    limits.retain_events = 2;
    b = bench_new(&limits, true);
    topic = task(b, "t");
    topic_restore(topic, &run);
    for (uint64_t seq = 5; seq <= 9; seq++)
        restore(topic, EPOCH, seq, "x");
    topic_ready(topic);
    assert_int_equal(topic_next(topic) - topic_base(topic), 2);
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 7, false}),
                     topic_base(topic));
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 6, false}), 0);
    run_free(&run);
    bench_free(b);
}

#define FEED_TEST(name) cmocka_unit_test_setup_teardown(name, with_feed, without)

int test_restore(void)
{
    const struct CMUnitTest tests[] = {
        FEED_TEST(the_first_reader_makes_a_cold_topic_load),
        FEED_TEST(rooms_and_topics_without_a_feed_are_ready_at_once),
        FEED_TEST(what_is_restored_is_as_if_it_had_been_heard),
        FEED_TEST(a_trimmed_stream_restores_its_tail),
        FEED_TEST(a_window_that_misses_an_entry_is_no_window),
        FEED_TEST(a_window_that_does_not_reach_the_head_is_no_window),
        FEED_TEST(entries_beyond_what_is_known_or_of_another_run_are_passed_over),
        FEED_TEST(an_opened_run_without_events_is_restored),
        FEED_TEST(an_unknown_run_changes_nothing),
        FEED_TEST(restoring_again_loses_every_live_reader),
        FEED_TEST(restored_entries_are_not_live),
        cmocka_unit_test(restoring_meets_the_bounds_of_the_window),
    };
    return cmocka_run_group_tests_name("log: restore", tests, NULL, NULL);
}
