/* test_sweep.c - what is not touched for long enough goes. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

/* The hub sweeps once a second. */
#define ONE_SWEEP_MS  1100
#define TWO_SWEEPS_MS 2150

static struct hub_limits brief(void)
{
    struct hub_limits limits = roomy();

    limits.retain_finished_ms = 100;
    limits.retain_room_ms = 100;
    limits.abandon_ms = 100;
    limits.linger_ms = 100;
    return limits;
}

static struct topic *find(struct bench *b, const char *name)
{
    return hub_find(b->hub, TOPIC_TASK, slice_of("site"), slice_of(name));
}

static void a_finished_task_expires_and_leaves_a_tombstone_for_a_while(void **state)
{
    struct bench *b = *state;

    say(task(b, "t"), EPOCH, 1, EVENT_COMPLETION, "");
    task(b, "unknown");
    hub_topic(b->hub, TOPIC_ROOM, slice_of("site"), slice_of("room"));
    pass_ms(b, ONE_SWEEP_MS);
    assert_non_null(find(b, "t"));
    assert_true(topic_was_erased(find(b, "t")));
    assert_null(find(b, "unknown"));
    assert_null(hub_find(b->hub, TOPIC_ROOM, slice_of("site"), slice_of("room")));
    pass_ms(b, ONE_SWEEP_MS);
    assert_null(find(b, "t"));
    assert_int_equal(hub_topic_count(b->hub), 0);
    assert_int_equal(counted(b, "thinkwire_log_bytes "), 0);
}

static void who_has_read_all_is_not_told_that_a_task_expired(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    struct fake_reader level;
    struct fake_reader behind;
    uint32_t generation = topic_generation(topic);

    say(topic, EPOCH, 1, EVENT_COMPLETION, "");
    join(b, &level, topic, topic_next(topic));
    join(b, &behind, topic, topic_base(topic));
    pass_ms(b, TWO_SWEEPS_MS);
    assert_ptr_equal(find(b, "t"), topic); /* readers keep the tombstone */
    assert_true(topic_was_erased(topic));
    assert_int_equal(reader_lag(&level.reader), READER_LEVEL);
    assert_int_equal(reader_lag(&behind.reader), READER_LOST);
    assert_int_equal(topic_generation(topic), generation);
    assert_int_equal(topic_run(topic)->state, RUN_UNKNOWN);
    say_text(topic, EPOCH + 1, 1, "again");
    assert_int_equal(reader_lag(&level.reader), READER_BEHIND);
    reader_detach(&level.reader);
    reader_detach(&behind.reader);
}

static void readers_and_events_keep_a_topic_alive(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;

    join(b, &reader, task(b, "unknown"), topic_next(task(b, "unknown")));
    pass_ms(b, ONE_SWEEP_MS);
    assert_non_null(find(b, "unknown"));
    reader_detach(&reader.reader);
    pass_ms(b, ONE_SWEEP_MS);
    assert_null(find(b, "unknown"));
}

static void an_open_run_outlives_the_finished_ones(void **state)
{
    struct hub_limits limits = brief();
    struct bench *b;

    (void)state;
    limits.abandon_ms = 3600000;
    b = bench_new(&limits, false);
    say_text(task(b, "open"), EPOCH, 1, "x");
    say(task(b, "over"), EPOCH, 1, EVENT_STOPPED, "");
    pass_ms(b, ONE_SWEEP_MS);
    assert_false(topic_was_erased(find(b, "open")));
    assert_true(topic_was_erased(find(b, "over")));
    bench_free(b);
}

static void with_a_feed_a_topic_is_a_cache(void **state)
{
    struct hub_limits limits = brief();
    struct bench *b;
    struct fake_reader reader;

    (void)state;
    limits.retain_finished_ms = limits.abandon_ms = 3600000;
    b = bench_new(&limits, true);
    join(b, &reader, task(b, "t"), topic_next(task(b, "t")));
    topic_ready(task(b, "t"));
    say_text(task(b, "t"), EPOCH, 1, "x");
    say_opaque(task(b, "frappe"), "1");
    pass_ms(b, ONE_SWEEP_MS);
    assert_non_null(find(b, "t"));
    assert_int_equal(b->unwatched, 0);
    reader_detach(&reader.reader);
    pass_ms(b, ONE_SWEEP_MS);
    assert_null(find(b, "t"));
    assert_int_equal(b->unwatched, 1);
    /* What Frappe's channel brought cannot be loaded again: it has the longer life. */
    assert_non_null(find(b, "frappe"));
    bench_free(b);
}

static int with_brief(void **state)
{
    struct hub_limits limits = brief();

    *state = bench_new(&limits, false);
    return 0;
}

#define BRIEF_TEST(name) cmocka_unit_test_setup_teardown(name, with_brief, without)

int test_sweep(void)
{
    const struct CMUnitTest tests[] = {
        BRIEF_TEST(a_finished_task_expires_and_leaves_a_tombstone_for_a_while),
        BRIEF_TEST(who_has_read_all_is_not_told_that_a_task_expired),
        BRIEF_TEST(readers_and_events_keep_a_topic_alive),
        cmocka_unit_test(an_open_run_outlives_the_finished_ones),
        cmocka_unit_test(with_a_feed_a_topic_is_a_cache),
    };
    return cmocka_run_group_tests_name("log: sweep", tests, NULL, NULL);
}
