/* test_history.c - events from before the window, fetched when a reader wants them. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdlib.h>

static struct event_id at(uint64_t seq)
{
    return (struct event_id){EPOCH, seq, false};
}

/* Loaded with events first..last of a run that has `last`. */
static struct topic *loaded(struct bench *b, struct fake_reader *reader, uint64_t first,
                            uint64_t last)
{
    struct topic *topic = task(b, "t");
    struct run run = known_run(EPOCH, last, "");

    join(b, reader, topic, topic_next(topic));
    topic_restore(topic, &run);
    for (uint64_t seq = first; seq <= last; seq++)
        restore(topic, EPOCH, seq, "x");
    topic_ready(topic);
    settle(b);
    run_free(&run);
    return topic;
}

static void holds(const struct topic *topic, uint64_t first, uint64_t last)
{
    const struct entry *before = NULL;

    assert_int_equal(topic_next(topic) - topic_base(topic), last - first + 1);
    for (uint64_t pos = topic_base(topic); pos < topic_next(topic); pos++) {
        const struct entry *entry = topic_entry(topic, pos);
        assert_int_equal(entry->id.seq, first + pos - topic_base(topic));
        if (before != NULL) {
            assert_true(entry->order >= before->order);
            assert_int_equal(entry->bytes_before,
                             before->bytes_before + before->body.len);
        }
        before = entry;
    }
}

static void older_events_are_fetched_when_a_reader_wants_them(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;
    struct topic *topic = loaded(b, &reader, 8, 10);
    uint64_t next = topic_next(topic);

    assert_int_equal(topic_after(topic, at(3)), 0);
    assert_int_equal(b->fetches, 0);
    assert_true(topic_fetch_after(topic, at(3)));
    assert_int_equal(b->fetches, 1);
    assert_int_equal(topic_history_end(topic).epoch, EPOCH);
    assert_int_equal(topic_history_end(topic).seq, 8);
    for (uint64_t seq = 7; seq > 3; seq--)
        assert_true(restore_older(topic, EPOCH, seq, "older"));
    topic_history_done(topic, true);
    assert_false(topic_fetch_after(topic, at(3)));
    assert_int_equal(topic_after(topic, at(3)), topic_base(topic));
    assert_int_equal(topic_next(topic), next);
    holds(topic, 4, 10);
    assert_true(say_text(topic, EPOCH, 11, "live"));
    holds(topic, 4, 11);
    assert_int_equal(b->fetches, 1);
    reader_detach(&reader.reader);
}

static void one_question_at_a_time_serves_all(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;
    struct topic *topic = loaded(b, &reader, 8, 10);

    assert_true(topic_fetch_after(topic, at(5)));
    assert_true(topic_fetch_after(topic, at(2)));
    assert_true(topic_fetch_after(topic, at(0)));
    assert_int_equal(b->fetches, 1);
    assert_true(restore_older(topic, EPOCH, 7, "x"));
    assert_true(restore_older(topic, EPOCH, 6, "x"));
    topic_history_done(topic, true);
    /* Who wants more asks on. */
    assert_false(topic_fetch_after(topic, at(5)));
    assert_true(topic_fetch_after(topic, at(2)));
    assert_int_equal(topic_history_end(topic).seq, 6);
    assert_int_equal(b->fetches, 2);
    reader_detach(&reader.reader);
}

static void readers_are_woken_when_older_events_are_there(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;
    struct topic *topic = loaded(b, &reader, 8, 10);
    unsigned woken = reader.woken;

    assert_true(topic_fetch_after(topic, at(3)));
    settle(b);
    assert_int_equal(reader.woken, woken);
    topic_history_done(topic, true);
    settle(b);
    assert_int_equal(reader.woken, woken + 1);
    reader_detach(&reader.reader);
}

static void what_the_feed_has_no_more_is_not_asked_for_again(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;
    struct topic *topic = loaded(b, &reader, 8, 10);

    assert_true(topic_fetch_after(topic, at(0)));
    assert_true(restore_older(topic, EPOCH, 7, "x"));
    topic_history_done(topic, false);
    assert_false(topic_fetch_after(topic, at(0)));
    assert_int_equal(b->fetches, 1);
    assert_int_equal(topic_after(topic, at(6)), topic_base(topic));
    assert_int_equal(topic_after(topic, at(5)), 0);
    reader_detach(&reader.reader);
}

static void nothing_is_fetched_that_is_there_or_never_was(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;
    struct topic *topic = loaded(b, &reader, 8, 10);
    struct topic *whole = task(b, "whole");
    struct topic *frappe = task(b, "frappe");
    struct run run = known_run(EPOCH, 2, "");

    assert_false(topic_fetch_after(topic, at(7)));
    assert_false(topic_fetch_after(topic, at(10)));
    assert_false(topic_fetch_after(topic, at(11)));
    assert_false(topic_fetch_after(topic, (struct event_id){EPOCH - 1, 3, false}));
    assert_false(topic_fetch_after(topic, (struct event_id){EPOCH, 3, true}));
    assert_false(topic_fetch_after(topic, (struct event_id){0}));
    topic_restore(whole, &run);
    restore(whole, EPOCH, 1, "x");
    restore(whole, EPOCH, 2, "x");
    topic_ready(whole);
    assert_false(topic_fetch_after(whole, at(0)));
    say_opaque(frappe, "1");
    topic_ready(frappe);
    assert_false(topic_fetch_after(frappe, topic_last_id(frappe)));
    assert_int_equal(topic_history_end(frappe).epoch, 0);
    assert_int_equal(b->fetches, 0);
    run_free(&run);
    reader_detach(&reader.reader);
}

static void without_a_feed_what_is_gone_is_gone(void **state)
{
    struct hub_limits limits = roomy();
    struct bench *b;
    struct topic *topic;

    (void)state;
    limits.retain_events = 3;
    b = bench_new(&limits, false);
    topic = task(b, "t");
    for (uint64_t seq = 1; seq <= 9; seq++)
        assert_true(say_text(topic, EPOCH, seq, "x"));
    assert_false(topic_fetch_after(topic, at(0)));
    assert_false(restore_older(topic, EPOCH, 6, "x"));
    bench_free(b);
}

static void only_what_ends_right_before_the_window_is_taken(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;
    struct topic *topic = loaded(b, &reader, 8, 10);

    assert_true(topic_fetch_after(topic, at(0)));
    assert_false(restore_older(topic, EPOCH, 6, "x"));
    assert_false(restore_older(topic, EPOCH, 8, "x"));
    assert_false(restore_older(topic, EPOCH - 1, 7, "x"));
    holds(topic, 8, 10);
    assert_true(restore_older(topic, EPOCH, 7, "x"));
    holds(topic, 7, 10);
    reader_detach(&reader.reader);
}

static void a_whole_run_comes_back_behind_an_empty_window(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;
    struct topic *topic = loaded(b, &reader, 11, 10);

    assert_int_equal(topic_base(topic), topic_next(topic));
    assert_true(topic_fetch_after(topic, at(0)));
    for (uint64_t seq = 10; seq > 0; seq--)
        assert_true(restore_older(topic, EPOCH, seq, "x"));
    assert_false(restore_older(topic, EPOCH, 0, "x"));
    assert_int_equal(topic_history_end(topic).epoch, 0);
    topic_history_done(topic, true);
    holds(topic, 1, 10);
    assert_int_equal(topic_base(topic), topic_run(topic)->first_pos);
    reader_detach(&reader.reader);
}

static void no_more_is_fetched_than_a_topic_may_hold(void **state)
{
    struct hub_limits limits = roomy();
    struct fake_reader reader;
    struct bench *b;
    struct topic *topic;

    (void)state;
    limits.retain_events = 5;
    b = bench_new(&limits, true);
    topic = loaded(b, &reader, 8, 10);
    assert_true(topic_fetch_after(topic, at(0)));
    assert_true(restore_older(topic, EPOCH, 7, "x"));
    assert_true(restore_older(topic, EPOCH, 6, "x"));
    assert_false(restore_older(topic, EPOCH, 5, "x"));
    topic_history_done(topic, true);
    settle(b);
    holds(topic, 6, 10);
    assert_false(topic_fetch_after(topic, at(0)));
    /* Nor is what leaves a full window fetched again. */
    assert_true(say_text(topic, EPOCH, 11, "x"));
    settle(b);
    holds(topic, 7, 11);
    assert_false(topic_fetch_after(topic, at(5)));
    assert_int_equal(b->fetches, 1);
    reader_detach(&reader.reader);
    bench_free(b);
}

static void nor_more_bytes(void **state)
{
    struct hub_limits limits = roomy();
    struct fake_reader reader;
    struct bench *b;
    struct topic *topic;
    char text[1001];

    (void)state;
    memset(text, 'x', 1000);
    text[1000] = '\0';
    limits.retain_bytes = 2500;
    b = bench_new(&limits, true);
    topic = loaded(b, &reader, 8, 10);
    assert_true(topic_fetch_after(topic, at(0)));
    assert_true(restore_older(topic, EPOCH, 7, text));
    assert_true(restore_older(topic, EPOCH, 6, text));
    assert_false(restore_older(topic, EPOCH, 5, text));
    topic_history_done(topic, true);
    settle(b);
    holds(topic, 6, 10);
    assert_int_equal(counted(b, "thinkwire_log_evicted_total "), 0);
    assert_false(topic_fetch_after(topic, at(0)));
    reader_detach(&reader.reader);
    bench_free(b);
}

static void the_past_of_one_task_costs_no_other_its_window(void **state)
{
    struct hub_limits limits = roomy();
    struct fake_reader reader;
    struct fake_reader other_reader;
    struct bench *b;
    struct topic *topic;
    struct topic *other;
    char *text = malloc(20001);

    (void)state;
    assert_non_null(text);
    memset(text, 'x', 20000);
    text[20000] = '\0';
    limits.retain_total_bytes = 300000;
    b = bench_new(&limits, true);
    /* This one nobody reads; it can be loaded again. */
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_true(say_text(task(b, "idle"), EPOCH, seq, text));
    other = task(b, "other");
    join(b, &other_reader, other, topic_next(other));
    for (uint64_t seq = 1; seq <= 2; seq++)
        assert_true(say_text(other, EPOCH, seq, text));
    topic = loaded(b, &reader, 30, 30);
    assert_true(topic_fetch_after(topic, at(0)));
    unsigned taken = 0;
    for (uint64_t seq = 29; seq > 0 && restore_older(topic, EPOCH, seq, text); seq--)
        taken++;
    assert_in_range(taken, 3, 12);
    assert_true(counted(b, "thinkwire_log_bytes ") <= limits.retain_total_bytes);
    assert_null(hub_find(b->hub, TOPIC_TASK, slice_of("site"), slice_of("idle")));
    assert_int_equal(topic_next(other) - topic_base(other), 2);
    assert_int_equal(counted(b, "thinkwire_log_evicted_total "), 0);
    topic_history_done(topic, false);
    reader_detach(&reader.reader);
    reader_detach(&other_reader.reader);
    bench_free(b);
    free(text);
}

static void what_was_given_up_for_memory_can_be_fetched(void **state)
{
    struct hub_limits limits = roomy();
    struct fake_reader reader;
    struct fake_reader other_reader;
    struct bench *b;
    struct topic *topic;
    struct topic *other;
    char *text = malloc(20001);

    (void)state;
    assert_non_null(text);
    memset(text, 'x', 20000);
    text[20000] = '\0';
    limits.retain_total_bytes = 300000;
    b = bench_new(&limits, true);
    topic = loaded(b, &reader, 1, 10);
    other = task(b, "other");
    join(b, &other_reader, other, topic_next(other));
    for (uint64_t seq = 1; topic_next(topic) - topic_base(topic) > 1; seq++)
        assert_true(say(other, EPOCH, seq, EVENT_STATUS, text));
    holds(topic, 10, 10);
    topic_erase(other);
    assert_true(topic_fetch_after(topic, at(0)));
    for (uint64_t seq = 9; seq > 0; seq--)
        assert_true(restore_older(topic, EPOCH, seq, "x"));
    topic_history_done(topic, true);
    holds(topic, 1, 10);
    reader_detach(&reader.reader);
    reader_detach(&other_reader.reader);
    bench_free(b);
    free(text);
}

static void a_new_run_ends_the_fetching_of_the_old_one(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;
    struct topic *topic = loaded(b, &reader, 8, 10);

    assert_true(topic_fetch_after(topic, at(0)));
    topic_open_run(topic, EPOCH + 1, RUN_RUNNING, 1, false);
    assert_false(topic_fetch_after(topic, at(0)));
    assert_int_equal(topic_history_end(topic).epoch, 0);
    assert_false(restore_older(topic, EPOCH, 7, "x"));
    topic_history_done(topic, false);
    assert_true(say_text(topic, EPOCH + 1, 1, "x"));
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH + 1, 0, false}),
                     topic_next(topic) - 1);
    reader_detach(&reader.reader);
}

static void an_answer_that_comes_after_the_window_moved_on_is_refused(void **state)
{
    struct hub_limits limits = roomy();
    struct fake_reader reader;
    struct bench *b;
    struct topic *topic;

    (void)state;
    limits.retain_events = 4;
    b = bench_new(&limits, true);
    topic = loaded(b, &reader, 8, 10);
    assert_true(topic_fetch_after(topic, at(6)));
    for (uint64_t seq = 11; seq <= 13; seq++)
        assert_true(say_text(topic, EPOCH, seq, "x"));
    settle(b);
    holds(topic, 10, 13);
    assert_false(restore_older(topic, EPOCH, 7, "x"));
    topic_history_done(topic, true);
    assert_false(topic_fetch_after(topic, at(6)));
    holds(topic, 10, 13);
    reader_detach(&reader.reader);
    bench_free(b);
}

static void a_reader_that_lost_its_place_is_not_led_into_another_past(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;
    struct topic *topic = loaded(b, &reader, 1, 10);
    struct run run = known_run(EPOCH + 1, 40, "");
    struct reader *slow = &reader.reader;

    slow->pos = topic_base(topic) + 5;
    topic_restore(topic, &run);
    restore(topic, EPOCH + 1, 40, "x");
    topic_ready(topic);
    assert_int_equal(reader_lag(slow), READER_LOST);
    assert_true(topic_fetch_after(topic, (struct event_id){EPOCH + 1, 0, false}));
    for (uint64_t seq = 39; seq > 0; seq--)
        assert_true(restore_older(topic, EPOCH + 1, seq, "x"));
    topic_history_done(topic, true);
    assert_int_equal(reader_lag(slow), READER_LOST);
    run_free(&run);
    reader_detach(slow);
}

static void a_reader_below_the_window_reads_on_when_its_events_are_back(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;
    struct topic *topic = loaded(b, &reader, 8, 10);

    reader.reader.pos = topic_base(topic) - 2;
    assert_int_equal(reader_lag(&reader.reader), READER_LOST);
    assert_true(topic_fetch_after(topic, at(5)));
    assert_true(restore_older(topic, EPOCH, 7, "x"));
    assert_true(restore_older(topic, EPOCH, 6, "x"));
    topic_history_done(topic, true);
    assert_int_equal(reader_lag(&reader.reader), READER_BEHIND);
    assert_int_equal(topic_entry(topic, reader.reader.pos)->id.seq, 6);
    assert_int_equal(reader_lag_bytes(&reader.reader),
                     5 * topic_entry(topic, topic_base(topic))->body.len);
    reader_detach(&reader.reader);
}

#define FEED_TEST(name) cmocka_unit_test_setup_teardown(name, with_feed, without)

int test_history(void)
{
    const struct CMUnitTest tests[] = {
        FEED_TEST(older_events_are_fetched_when_a_reader_wants_them),
        FEED_TEST(one_question_at_a_time_serves_all),
        FEED_TEST(readers_are_woken_when_older_events_are_there),
        FEED_TEST(what_the_feed_has_no_more_is_not_asked_for_again),
        FEED_TEST(nothing_is_fetched_that_is_there_or_never_was),
        cmocka_unit_test(without_a_feed_what_is_gone_is_gone),
        FEED_TEST(only_what_ends_right_before_the_window_is_taken),
        FEED_TEST(a_whole_run_comes_back_behind_an_empty_window),
        cmocka_unit_test(no_more_is_fetched_than_a_topic_may_hold),
        cmocka_unit_test(nor_more_bytes),
        cmocka_unit_test(the_past_of_one_task_costs_no_other_its_window),
        cmocka_unit_test(what_was_given_up_for_memory_can_be_fetched),
        FEED_TEST(a_new_run_ends_the_fetching_of_the_old_one),
        cmocka_unit_test(an_answer_that_comes_after_the_window_moved_on_is_refused),
        FEED_TEST(a_reader_that_lost_its_place_is_not_led_into_another_past),
        FEED_TEST(a_reader_below_the_window_reads_on_when_its_events_are_back),
    };
    return cmocka_run_group_tests_name("log: history", tests, NULL, NULL);
}
