/* test_history.c - events from before the window, fetched when a reader wants them. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

static unsigned fetches;

static void on_watch(void *ctx, struct topic *topic)
{
    (void)ctx;
    (void)topic;
}

static void on_unwatch(void *ctx, struct topic *topic)
{
    (void)ctx;
    (void)topic;
}

static void on_history(void *ctx, struct topic *topic)
{
    (void)ctx;
    (void)topic;
    fetches++;
}

static const struct hub_feed feed = {on_watch, on_unwatch, on_history};

static struct event_id id(uint64_t seq)
{
    return (struct event_id){EPOCH, seq, false};
}

/* A run of ten events of which the last two were loaded. */
static struct topic *loaded(struct bench *b)
{
    struct topic *topic;
    struct run run = known_run(EPOCH, 10, "1234567890");

    fetches = 0;
    hub_set_feed(b->hub, &feed, b);
    topic = task(b, "t");
    topic_restore(topic, &run);
    restore(topic, EPOCH, 9, "9");
    restore(topic, EPOCH, 10, "0");
    topic_ready(topic);
    run_free(&run);
    return topic;
}

static bool older(struct topic *topic, uint64_t seq)
{
    char body[64];
    int len = snprintf(body, sizeof(body), "{\"n\":%llu}", (unsigned long long)seq);
    struct topic_event event = {
        .id = id(seq), .type = EVENT_STATUS, .body = slice_make(body, (size_t)len)};

    return topic_restore_older(topic, &event);
}

static void older_events_are_fetched_for_who_wants_them(void **state)
{
    struct topic *topic = loaded(*state);

    assert_int_equal(topic_after(topic, id(5)), 0);
    assert_false(topic_fetch_after(topic, id(8)));  /* is there */
    assert_false(topic_fetch_after(topic, id(11))); /* was never given */
    assert_false(topic_fetch_after(topic, (struct event_id){EPOCH + 1, 5, false}));
    assert_int_equal(fetches, 0);
    assert_true(topic_fetch_after(topic, id(5)));
    assert_true(topic_fetch_after(topic, id(3))); /* asked once at a time */
    assert_int_equal(fetches, 1);
    assert_true(event_id_equal(topic_history_end(topic), id(9)));
    assert_true(older(topic, 8));
    assert_false(older(topic, 6)); /* a gap */
    assert_true(older(topic, 7));
    assert_true(older(topic, 6));
    assert_true(event_id_equal(topic_history_end(topic), id(6)));
    topic_history_done(topic, true);
    assert_false(topic_fetch_after(topic, id(5)));
    assert_int_equal(topic_after(topic, id(5)), topic_base(topic));
    for (uint64_t seq = 6; seq <= 10; seq++)
        assert_int_equal(topic_entry(topic, topic_after(topic, id(seq - 1)))->id.seq,
                         seq);
    /* There is more. */
    assert_true(topic_fetch_after(topic, id(3)));
    assert_int_equal(fetches, 2);
}

static void what_the_feed_has_no_more_is_not_asked_again(void **state)
{
    struct topic *topic = loaded(*state);

    assert_true(topic_fetch_after(topic, id(2)));
    assert_true(older(topic, 8));
    topic_history_done(topic, false);
    assert_false(topic_fetch_after(topic, id(2)));
    assert_int_equal(topic_history_end(topic).epoch, 0);
    assert_int_equal(fetches, 1);
    assert_int_equal(topic_after(topic, id(2)), 0);
}

static void a_waiting_reader_is_woken_by_the_answer(void **state)
{
    struct bench *b = *state;
    struct topic *topic = loaded(b);
    struct fake_reader reader;

    join(b, &reader, topic, topic_next(topic));
    settle(b);
    topic_fetch_after(topic, id(2));
    settle(b);
    assert_int_equal(reader.woken, 1);
    topic_history_done(topic, false);
    settle(b);
    assert_int_equal(reader.woken, 2);
    reader_detach(&reader.reader);
}

static void history_stays_within_the_bounds_of_the_window(void **state)
{
    struct hub_limits limits = roomy();
    struct topic *topic;
    struct bench *b;

    (void)state;
    limits.retain_events = 4;
    b = bench_new(&limits, true);
    topic = loaded(b);
    assert_true(topic_fetch_after(topic, id(2)));
    assert_true(older(topic, 8));
    assert_true(older(topic, 7));
    assert_false(older(topic, 6));
    topic_history_done(topic, true);
    assert_false(topic_fetch_after(topic, id(2)));
    /* Nor what leaves the window by its bounds. */
    say_text(topic, EPOCH, 11, "x");
    settle(b);
    assert_int_equal(topic_after(topic, id(6)), 0);
    assert_false(topic_fetch_after(topic, id(6)));
    assert_int_equal(topic_next(topic) - topic_base(topic), 4);
    bench_free(b);
}

static void a_reader_before_the_window_reads_on_when_it_is_back(void **state)
{
    struct bench *b = *state;
    struct topic *topic = loaded(b);
    struct fake_reader reader;

    join(b, &reader, topic, topic_run(topic)->first_pos + 6);
    assert_int_equal(reader_lag(&reader.reader), READER_LOST);
    topic_fetch_after(topic, id(6));
    assert_true(older(topic, 8));
    assert_true(older(topic, 7));
    topic_history_done(topic, true);
    assert_int_equal(reader_lag(&reader.reader), READER_BEHIND);
    assert_int_equal(topic_entry(topic, reader.reader.pos)->id.seq, 7);
    reader_detach(&reader.reader);
}

static void without_a_feed_there_is_no_history(void **state)
{
    struct hub_limits limits = roomy();
    struct topic *topic;
    struct bench *b;

    (void)state;
    limits.retain_events = 2;
    b = bench_new(&limits, false);
    topic = task(b, "t");
    for (uint64_t seq = 1; seq <= 9; seq++)
        say_text(topic, EPOCH, seq, "x");
    assert_false(topic_fetch_after(topic, id(1)));
    assert_int_equal(topic_history_end(topic).epoch, 0);
    bench_free(b);
}

#define FEED_TEST(name) cmocka_unit_test_setup_teardown(name, with_feed, without)

int test_history(void)
{
    const struct CMUnitTest tests[] = {
        FEED_TEST(older_events_are_fetched_for_who_wants_them),
        FEED_TEST(what_the_feed_has_no_more_is_not_asked_again),
        FEED_TEST(a_waiting_reader_is_woken_by_the_answer),
        cmocka_unit_test(history_stays_within_the_bounds_of_the_window),
        FEED_TEST(a_reader_before_the_window_reads_on_when_it_is_back),
        cmocka_unit_test(without_a_feed_there_is_no_history),
    };
    return cmocka_run_group_tests_name("log: history", tests, NULL, NULL);
}
