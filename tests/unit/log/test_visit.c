/* test_visit.c - who is woken when. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

static void a_turn_of_many_events_wakes_a_reader_once(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    struct fake_reader reader;

    join(b, &reader, topic, topic_next(topic));
    settle(b);
    reader.woken = 0;
    b->visits = 0;
    for (uint64_t seq = 1; seq <= 100; seq++)
        say_text(topic, EPOCH, seq, "x");
    assert_int_equal(reader.woken, 0);
    settle(b);
    assert_int_equal(reader.woken, 1);
    assert_int_equal(b->visits, 1);
    settle(b);
    assert_int_equal(reader.woken, 1);
    reader_detach(&reader.reader);
}

static void attaching_wakes_even_when_nothing_happens(void **state)
{
    struct bench *b = *state;
    struct fake_reader reader;

    join(b, &reader, task(b, "t"), topic_next(task(b, "t")));
    assert_int_equal(reader.woken, 0);
    settle(b);
    assert_int_equal(reader.woken, 1);
    reader_detach(&reader.reader);
}

static void topics_are_visited_in_the_order_of_their_first_change(void **state)
{
    struct bench *b = *state;
    struct fake_reader readers[3];
    struct topic *topics[3] = {task(b, "a"), task(b, "b"), task(b, "c")};

    for (int i = 0; i < 3; i++)
        join(b, &readers[i], topics[i], topic_next(topics[i]));
    settle(b);
    say_text(topics[2], EPOCH, 1, "x");
    say_text(topics[0], EPOCH, 1, "x");
    say_text(topics[1], EPOCH, 1, "x");
    say_text(topics[2], EPOCH, 2, "x");
    settle(b);
    assert_int_equal(readers[2].turn, 4);
    assert_int_equal(readers[0].turn, 5);
    assert_int_equal(readers[1].turn, 6);
    for (int i = 0; i < 3; i++)
        reader_detach(&readers[i].reader);
}

static void readers_of_a_topic_are_visited_in_the_order_they_came(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    struct fake_reader readers[3];

    for (int i = 0; i < 3; i++)
        join(b, &readers[i], topic, topic_next(topic));
    settle(b);
    assert_int_equal(topic_reader_count(topic), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(readers[i].turn, i + 1);
        reader_detach(&readers[i].reader);
    }
    assert_int_equal(topic_reader_count(topic), 0);
}

static void a_reader_may_leave_when_it_is_woken(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    struct fake_reader readers[3];

    for (int i = 0; i < 3; i++)
        join(b, &readers[i], topic, topic_next(topic));
    readers[1].leaves = true;
    settle(b);
    assert_int_equal(topic_reader_count(topic), 2);
    say_text(topic, EPOCH, 1, "x");
    settle(b);
    assert_int_equal(readers[0].woken, 2);
    assert_int_equal(readers[1].woken, 1);
    assert_int_equal(readers[2].woken, 2);
    reader_detach(&readers[0].reader);
    reader_detach(&readers[1].reader); /* harmless */
    reader_detach(&readers[2].reader);
}

static void every_change_wakes_the_readers(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    struct fake_reader reader;
    unsigned wanted = 1;

    join(b, &reader, topic, topic_next(topic));
    settle(b);
    topic_open_run(topic, EPOCH, RUN_QUEUED, 1, false);
    settle(b);
    assert_int_equal(reader.woken, ++wanted);
    topic_reset(topic);
    settle(b);
    assert_int_equal(reader.woken, ++wanted);
    topic_erase(topic);
    settle(b);
    assert_int_equal(reader.woken, ++wanted);
    topic_ready(topic);
    settle(b);
    assert_int_equal(reader.woken, ++wanted);
    assert_false(say_text(topic, EPOCH, 7, "refused"));
    settle(b);
    assert_int_equal(reader.woken, wanted);
    reader_detach(&reader.reader);
}

static void one_number_counts_arrivals_across_topics(void **state)
{
    struct bench *b = *state;
    struct topic *a = task(b, "a");
    struct topic *c = task(b, "c");
    struct topic_event twice = {.body = slice_of("1"), .is_opaque = true};

    say_text(a, EPOCH, 1, "x");
    say_text(c, EPOCH, 1, "x");
    say_text(a, EPOCH, 2, "x");
    assert_int_equal(topic_entry(a, topic_base(a))->order, 1);
    assert_int_equal(topic_entry(c, topic_base(c))->order, 2);
    assert_int_equal(topic_entry(a, topic_base(a) + 1)->order, 3);
    twice.order = hub_next_order(b->hub);
    topic_append(a, &twice);
    topic_append(c, &twice);
    assert_int_equal(topic_entry(a, topic_next(a) - 1)->order, 4);
    assert_int_equal(topic_entry(c, topic_next(c) - 1)->order, 4);
}

static bool take_name(struct topic *topic, void *ctx)
{
    unsigned *seen = ctx;

    *seen += 1U << (topic_name(topic).ptr[0] - 'a');
    return true;
}

static bool stop_at_once(struct topic *topic, void *ctx)
{
    (void)topic;
    ++*(unsigned *)ctx;
    return false;
}

static void all_topics_can_be_looked_at(void **state)
{
    struct bench *b = *state;
    unsigned seen = 0;

    task(b, "a");
    task(b, "b");
    task(b, "c");
    hub_each(b->hub, take_name, &seen);
    assert_int_equal(seen, 7);
    seen = 0;
    hub_each(b->hub, stop_at_once, &seen);
    assert_int_equal(seen, 1);
}

static void a_hub_that_goes_lets_its_readers_go(void **state)
{
    struct hub_limits limits = roomy();
    struct bench *b = bench_new(&limits, true);
    struct fake_reader reader;

    (void)state;
    join(b, &reader, task(b, "t"), topic_next(task(b, "t")));
    task(b, "cold");
    hub_free(b->hub);
    assert_null(reader.reader.topic);
    assert_int_equal(b->unwatched, 1); /* not the cold one */
    b->hub = hub_new(b->loop, &limits, b->counters);
    bench_free(b);
}

#define HUB_TEST(name) cmocka_unit_test_setup_teardown(name, with_hub, without)

int test_visit(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(a_turn_of_many_events_wakes_a_reader_once),
        HUB_TEST(attaching_wakes_even_when_nothing_happens),
        HUB_TEST(topics_are_visited_in_the_order_of_their_first_change),
        HUB_TEST(readers_of_a_topic_are_visited_in_the_order_they_came),
        HUB_TEST(a_reader_may_leave_when_it_is_woken),
        HUB_TEST(every_change_wakes_the_readers),
        HUB_TEST(one_number_counts_arrivals_across_topics),
        HUB_TEST(all_topics_can_be_looked_at),
        cmocka_unit_test(a_hub_that_goes_lets_its_readers_go),
    };
    return cmocka_run_group_tests_name("log: visit", tests, NULL, NULL);
}
