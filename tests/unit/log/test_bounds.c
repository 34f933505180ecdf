/* test_bounds.c - nothing is remembered without a bound. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static char *long_text(size_t len)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}

static void the_window_holds_so_many_events(void **state)
{
    struct hub_limits limits = roomy();
    struct bench *b;
    struct topic *topic;

    (void)state;
    limits.retain_events = 7;
    b = bench_new(&limits, false);
    topic = task(b, "t");
    for (uint64_t seq = 1; seq <= 50; seq++)
        assert_true(say_text(topic, EPOCH, seq, "x"));
    assert_int_equal(topic_next(topic) - topic_base(topic), 7);
    assert_int_equal(topic_entry(topic, topic_base(topic))->id.seq, 44);
    assert_int_equal(counted(b, "thinkwire_log_evicted_total "), 43);
    /* What left the window stays in the accumulated text. */
    assert_int_equal(topic_run(topic)->text.utf8.len, 50);
    assert_int_equal(topic_run(topic)->text.merged, 50);
    bench_free(b);
}

static void the_window_holds_so_many_bytes(void **state)
{
    struct hub_limits limits = roomy();
    char *text = long_text(1000);
    struct bench *b;
    struct topic *topic;

    (void)state;
    limits.retain_bytes = 5000;
    b = bench_new(&limits, false);
    topic = task(b, "t");
    for (uint64_t seq = 1; seq <= 20; seq++)
        assert_true(say_text(topic, EPOCH, seq, text));
    assert_int_equal(topic_next(topic) - topic_base(topic), 4);
    free(text);
    bench_free(b);
}

static void the_newest_event_always_stays(void **state)
{
    struct hub_limits limits = roomy();
    char *text = long_text(9000);
    struct bench *b;
    struct topic *topic;

    (void)state;
    limits.retain_bytes = 5000;
    b = bench_new(&limits, false);
    topic = task(b, "t");
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_true(say_text(topic, EPOCH, seq, text));
    assert_int_equal(topic_next(topic) - topic_base(topic), 1);
    assert_int_equal(topic_entry(topic, topic_base(topic))->id.seq, 3);
    free(text);
    bench_free(b);
}

static void topics_are_bounded_in_number(void **state)
{
    struct hub_limits limits = roomy();
    struct bench *b;

    (void)state;
    limits.max_topics = 2;
    b = bench_new(&limits, false);
    task(b, "a");
    task(b, "b");
    assert_null(hub_topic(b->hub, TOPIC_TASK, slice_of("site"), slice_of("c")));
    assert_null(hub_topic(b->hub, TOPIC_ROOM, slice_of("site"), slice_of("c")));
    assert_non_null(hub_topic(b->hub, TOPIC_TASK, slice_of("site"), slice_of("a")));
    assert_int_equal(counted(b, "thinkwire_log_refused_total{reason=\"max_topics\"} "),
                     2);
    assert_int_equal(counted(b, "thinkwire_topics "), 2);
    bench_free(b);
}

static struct hub_limits small_total(void)
{
    struct hub_limits limits = roomy();

    limits.retain_total_bytes = 270000;
    return limits;
}

/* 40 events of about a kilobyte. */
static void fill(struct topic *topic)
{
    char *text = long_text(1000);

    for (uint64_t seq = 1; seq <= 40; seq++)
        assert_true(say_text(topic, EPOCH, seq, text));
    free(text);
}

static void over_the_total_finished_topics_go_first_oldest_first(void **state)
{
    struct hub_limits limits = small_total();
    struct bench *b = bench_new(&limits, false);
    struct fake_reader reader;

    (void)state;
    fill(task(b, "old"));
    say(task(b, "old"), EPOCH, 41, EVENT_COMPLETION, "");
    fill(task(b, "read"));
    say(task(b, "read"), EPOCH, 41, EVENT_COMPLETION, "");
    join(b, &reader, task(b, "read"), topic_next(task(b, "read")));
    fill(task(b, "open"));
    assert_null(hub_find(b->hub, TOPIC_TASK, slice_of("site"), slice_of("old")));
    assert_non_null(hub_find(b->hub, TOPIC_TASK, slice_of("site"), slice_of("read")));
    assert_int_equal(topic_next(task(b, "open")) - topic_base(task(b, "open")), 40);
    reader_detach(&reader.reader);
    bench_free(b);
}

static void then_windows_are_given_up_but_not_the_text(void **state)
{
    struct hub_limits limits = small_total();
    struct bench *b = bench_new(&limits, false);
    struct topic *first = task(b, "first");

    (void)state;
    fill(first);
    fill(task(b, "second"));
    fill(task(b, "third"));
    assert_int_equal(topic_next(first) - topic_base(first), 1);
    assert_int_equal(topic_run(first)->text.utf8.len, 40000);
    assert_int_equal(topic_next(task(b, "third")) - topic_base(task(b, "third")), 40);
    bench_free(b);
}

static void what_cannot_fit_is_refused_and_counted(void **state)
{
    struct hub_limits limits = small_total();
    struct bench *b = bench_new(&limits, false);
    char *text = long_text(200000);

    (void)state;
    assert_false(say_text(task(b, "t"), EPOCH, 1, text));
    assert_int_equal(counted(b, "thinkwire_log_refused_total{reason=\"memory\"} "), 1);
    assert_true(say_text(task(b, "t"), EPOCH, 1, "x"));
    free(text);
    bench_free(b);
}

static void bytes_are_counted_and_given_back(void **state)
{
    struct hub_limits limits = roomy();
    struct bench *b = bench_new(&limits, false);
    struct topic *topic = task(b, "t");
    uint64_t empty = counted(b, "thinkwire_log_bytes ");

    (void)state;
    fill(topic);
    assert_true(counted(b, "thinkwire_log_bytes ") > 80000);
    topic_erase(topic);
    assert_int_equal(counted(b, "thinkwire_log_bytes "), empty);
    bench_free(b);
}

static void a_topic_that_is_read_is_not_given_up_until_its_reader_leaves(void **state)
{
    struct hub_limits limits = small_total();
    struct bench *b = bench_new(&limits, false);
    struct fake_reader reader;

    (void)state;
    fill(task(b, "a"));
    say(task(b, "a"), EPOCH, 41, EVENT_COMPLETION, "");
    join(b, &reader, task(b, "a"), topic_next(task(b, "a")));
    fill(task(b, "b"));
    fill(task(b, "c"));
    assert_non_null(hub_find(b->hub, TOPIC_TASK, slice_of("site"), slice_of("a")));
    reader_detach(&reader.reader);
    fill(task(b, "d"));
    assert_null(hub_find(b->hub, TOPIC_TASK, slice_of("site"), slice_of("a")));
    bench_free(b);
}

static struct bench *crowd(unsigned topics, size_t total_bytes)
{
    struct hub_limits limits = roomy();
    struct bench *b;
    char name[16];

    limits.max_topics = topics + 2;
    limits.retain_events = 1 << 20;
    limits.retain_bytes = total_bytes;
    limits.retain_total_bytes = total_bytes;
    b = bench_new(&limits, false);
    for (unsigned i = 0; i < topics; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        assert_true(say_text(task(b, name), EPOCH, 1, "x"));
    }
    return b;
}

/* Processor time of so many events at the total bound, beside so many topics that cannot
 * go: each is being run. */
static clock_t time_at_the_bound(unsigned topics)
{
    struct bench *b = crowd(topics, (size_t)1 << 30);
    size_t taken = counted(b, "thinkwire_log_bytes ");
    clock_t began;

    bench_free(b);
    b = crowd(topics, taken + 500000);
    began = clock();
    for (uint64_t seq = 1; seq <= 20000; seq++) {
        assert_true(say(task(b, "busy"), EPOCH, seq, EVENT_STATUS, "about so much"));
        assert_true(say(task(b, "also"), EPOCH, seq, EVENT_STATUS, "about so much"));
    }
    began = clock() - began;
    assert_true(counted(b, "thinkwire_log_evicted_total ") > 30000);
    bench_free(b);
    return began;
}

static void making_room_does_not_look_at_what_cannot_go(void **state)
{
    clock_t few = time_at_the_bound(20);
    clock_t many = time_at_the_bound(20000);

    (void)state;
    /* Walking past them would be a thousand times as much. */
    assert_in_range((unsigned long)many, 0,
                    20UL * (unsigned long)few + CLOCKS_PER_SEC / 10);
}

int test_bounds(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_holds_so_many_events),
        cmocka_unit_test(the_window_holds_so_many_bytes),
        cmocka_unit_test(the_newest_event_always_stays),
        cmocka_unit_test(topics_are_bounded_in_number),
        cmocka_unit_test(over_the_total_finished_topics_go_first_oldest_first),
        cmocka_unit_test(then_windows_are_given_up_but_not_the_text),
        cmocka_unit_test(what_cannot_fit_is_refused_and_counted),
        cmocka_unit_test(bytes_are_counted_and_given_back),
        cmocka_unit_test(a_topic_that_is_read_is_not_given_up_until_its_reader_leaves),
        cmocka_unit_test(making_room_does_not_look_at_what_cannot_go),
    };
    return cmocka_run_group_tests_name("log: bounds", tests, NULL, NULL);
}
