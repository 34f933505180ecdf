/* test_window.c - positions, ids and cursors of one topic. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

static struct event_id id(uint64_t epoch, uint64_t seq)
{
    return (struct event_id){epoch, seq, false};
}

static void an_event_keeps_what_it_was_born_with(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    char body[] = "{\"type\":\"text\",\"text\":\"a\\n\",\"timestamp\":\"T\"}";
    struct topic_event event = {
        .id = id(EPOCH, 1),
        .type = EVENT_TEXT,
        .is_delta = true,
        .body = slice_of(body),
        .text = slice_make(body + 23, 3),
        .timestamp = slice_make(body + 41, 1),
    };
    const struct entry *entry;

    assert_true(topic_append(topic, &event));
    memset(body, 'x', sizeof(body) - 1);
    entry = topic_entry(topic, topic_base(topic));
    assert_true(slice_is(entry->name, "ai_progress"));
    assert_true(slice_is(entry->body,
                         "{\"type\":\"text\",\"text\":\"a\\n\",\"timestamp\":\"T\"}"));
    assert_true(slice_is(entry->text, "a\\n"));
    assert_true(slice_is(entry->timestamp, "T"));
    assert_true(event_id_equal(entry->id, id(EPOCH, 1)));
    accumulates(&topic_run(topic)->text, "a\n");
}

static void seq_has_no_gaps_and_no_repeats(void **state)
{
    struct topic *topic = task(*state, "t");

    assert_false(say_text(topic, EPOCH, 2, "a"));
    assert_true(say_text(topic, EPOCH, 1, "a"));
    assert_false(say_text(topic, EPOCH, 1, "a"));
    assert_false(say_text(topic, EPOCH, 3, "c"));
    assert_true(say_text(topic, EPOCH, 2, "b"));
    assert_int_equal(topic_next(topic) - topic_base(topic), 2);
    assert_int_equal(topic_run(topic)->last_seq, 2);
    accumulates(&topic_run(topic)->text, "ab");
}

static void a_new_epoch_begins_with_its_first_event(void **state)
{
    struct topic *topic = task(*state, "t");

    assert_true(say_text(topic, EPOCH, 1, "old"));
    assert_false(say_text(topic, EPOCH + 1, 2, "x"));
    assert_true(say_text(topic, EPOCH + 1, 1, "new"));
    assert_int_equal(topic_run(topic)->epoch, EPOCH + 1);
    assert_int_equal(topic_run(topic)->last_seq, 1);
    accumulates(&topic_run(topic)->text, "new");
    assert_int_equal(topic_run(topic)->first_pos, topic_next(topic) - 1);
}

static void since_finds_the_place_after_an_id(void **state)
{
    struct topic *topic = task(*state, "t");
    uint64_t base = topic_base(topic);

    for (uint64_t seq = 1; seq <= 5; seq++)
        say_text(topic, EPOCH, seq, "x");
    assert_int_equal(topic_after(topic, id(EPOCH, 0)), base);
    assert_int_equal(topic_after(topic, id(EPOCH, 1)), base + 1);
    assert_int_equal(topic_after(topic, id(EPOCH, 5)), topic_next(topic));
    assert_int_equal(topic_after(topic, id(EPOCH, 6)), 0);
    assert_int_equal(topic_after(topic, id(EPOCH, UINT64_MAX)), 0);
    assert_int_equal(topic_after(topic, id(EPOCH + 1, 1)), 0);
    assert_int_equal(topic_after(topic, id(0, 0)), 0);
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 1, true}), 0);
}

static void since_counts_from_the_second_run_too(void **state)
{
    struct topic *topic = task(*state, "t");

    for (uint64_t seq = 1; seq <= 3; seq++)
        say_text(topic, EPOCH, seq, "x");
    say_text(topic, EPOCH + 9, 1, "y");
    say_text(topic, EPOCH + 9, 2, "y");
    assert_int_equal(topic_after(topic, id(EPOCH, 2)), 0);
    assert_int_equal(topic_after(topic, id(EPOCH + 9, 0)), topic_next(topic) - 2);
    assert_int_equal(topic_after(topic, id(EPOCH + 9, 1)), topic_next(topic) - 1);
}

static void since_an_id_before_the_window_is_unknown(void **state)
{
    struct hub_limits limits = roomy();
    struct bench *b;
    struct topic *topic;

    (void)state;
    limits.retain_events = 3;
    b = bench_new(&limits, false);
    topic = task(b, "t");
    for (uint64_t seq = 1; seq <= 10; seq++)
        say_text(topic, EPOCH, seq, "x");
    assert_int_equal(topic_after(topic, id(EPOCH, 6)), 0);
    assert_int_equal(topic_after(topic, id(EPOCH, 7)), topic_base(topic));
    bench_free(b);
}

static void a_reader_is_level_behind_or_lost(void **state)
{
    struct hub_limits limits = roomy();
    struct fake_reader reader;
    struct bench *b;
    struct topic *topic;

    (void)state;
    limits.retain_events = 2;
    b = bench_new(&limits, false);
    topic = task(b, "t");
    join(b, &reader, topic, topic_next(topic));
    assert_int_equal(reader_lag(&reader.reader), READER_LEVEL);
    assert_int_equal(reader_lag_bytes(&reader.reader), 0);
    say_text(topic, EPOCH, 1, "a");
    assert_int_equal(reader_lag(&reader.reader), READER_BEHIND);
    say_text(topic, EPOCH, 2, "b");
    assert_int_equal(reader_lag_bytes(&reader.reader),
                     topic_entry(topic, topic_base(topic))->body.len * 2);
    assert_int_equal(reader_lag(&reader.reader), READER_BEHIND);
    say_text(topic, EPOCH, 3, "c");
    /* What one turn brought is offered before the window is cut to size. */
    assert_int_equal(reader_lag(&reader.reader), READER_BEHIND);
    settle(b);
    assert_int_equal(reader_lag(&reader.reader), READER_LOST);
    reader.reader.pos = topic_next(topic);
    assert_int_equal(reader_lag(&reader.reader), READER_LEVEL);
    reader_detach(&reader.reader);
    bench_free(b);
}

static void entries_are_found_only_inside_the_window(void **state)
{
    struct topic *topic = task(*state, "t");

    assert_null(topic_entry(topic, topic_next(topic)));
    for (uint64_t seq = 1; seq <= 100; seq++) {
        char text[16];
        snprintf(text, sizeof(text), "%u", (unsigned)seq);
        say_text(topic, EPOCH, seq, text);
    }
    for (uint64_t seq = 1; seq <= 100; seq++) {
        const struct entry *entry = topic_entry(topic, topic_base(topic) + seq - 1);
        assert_int_equal(entry->id.seq, seq);
        assert_int_equal(entry->order, seq);
    }
    assert_null(topic_entry(topic, topic_base(topic) - 1));
    assert_null(topic_entry(topic, topic_next(topic)));
}

static void topics_are_found_by_kind_site_and_name(void **state)
{
    struct bench *b = *state;
    struct topic *one = task(b, "t");
    struct topic *room = hub_topic(b->hub, TOPIC_ROOM, slice_of("site"), slice_of("t"));
    struct topic *elsewhere =
        hub_topic(b->hub, TOPIC_TASK, slice_of("other"), slice_of("t"));
    struct topic *bare = hub_topic(b->hub, TOPIC_ROOM, slice_of(""), slice_of("a/b\n"));

    assert_ptr_equal(task(b, "t"), one);
    assert_ptr_not_equal(one, room);
    assert_ptr_not_equal(one, elsewhere);
    assert_true(slice_is(topic_site(one), "site"));
    assert_true(slice_is(topic_name(one), "t"));
    assert_true(slice_is(topic_site(bare), ""));
    assert_true(slice_is(topic_name(bare), "a/b\n"));
    assert_int_equal(topic_kind(bare), TOPIC_ROOM);
    assert_null(hub_find(b->hub, TOPIC_TASK, slice_of("site"), slice_of("u")));
    assert_int_equal(hub_topic_count(b->hub), 4);
}

/* ---- ids of this broker ---- */

static void opaque_events_get_local_ids_that_go_on(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    char text[EVENT_ID_SIZE];
    char wanted[EVENT_ID_SIZE];

    assert_true(say_opaque(topic, "1"));
    assert_true(say_opaque(topic, "\"two\""));
    event_id_format(topic_last_id(topic), text);
    snprintf(wanted, sizeof(wanted), "~%llx-2", (unsigned long long)hub_nonce(b->hub));
    assert_string_equal(text, wanted);
    assert_true(topic_run(topic)->is_local);
    assert_true(topic_entry(topic, topic_base(topic))->is_opaque);
    assert_int_equal(topic_after(topic, (struct event_id){hub_nonce(b->hub), 1, true}),
                     topic_base(topic) + 1);
    assert_int_equal(topic_run(topic)->text.merged, 0);
}

static void a_local_id_never_means_two_events(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    struct event_id first;

    for (int i = 0; i < 5; i++)
        say_opaque(topic, "1");
    first = topic_last_id(topic);
    topic_erase(topic);
    for (int i = 0; i < 9; i++)
        say_opaque(topic, "2");
    assert_int_equal(topic_after(topic, first), 0);
    topic_reset(topic);
    say_opaque(topic, "3");
    assert_true(topic_last_id(topic).seq > first.seq + 9);
    /* Another topic may use the same numbers, but not one that was freed and made anew. */
    say_opaque(task(b, "u"), "1");
    assert_true(topic_last_id(task(b, "u")).seq > topic_last_id(topic).seq);
}

static void an_opaque_run_that_ended_begins_anew_and_its_ids_go_on(void **state)
{
    struct topic *topic = task(*state, "t");
    struct topic_event end = {
        .is_opaque = true, .type = EVENT_COMPLETION, .body = slice_of("{}")};

    say_opaque(topic, "1");
    assert_true(topic_append(topic, &end));
    assert_int_equal(topic_run(topic)->state, RUN_COMPLETED);
    say_opaque(topic, "2");
    assert_int_equal(topic_run(topic)->state, RUN_RUNNING);
    assert_int_equal(topic_last_id(topic).seq, 3);
    assert_int_equal(topic_run(topic)->first_pos, topic_next(topic) - 1);
}

#define HUB_TEST(name) cmocka_unit_test_setup_teardown(name, with_hub, without)

int test_window(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(an_event_keeps_what_it_was_born_with),
        HUB_TEST(seq_has_no_gaps_and_no_repeats),
        HUB_TEST(a_new_epoch_begins_with_its_first_event),
        HUB_TEST(since_finds_the_place_after_an_id),
        HUB_TEST(since_counts_from_the_second_run_too),
        cmocka_unit_test(since_an_id_before_the_window_is_unknown),
        cmocka_unit_test(a_reader_is_level_behind_or_lost),
        HUB_TEST(entries_are_found_only_inside_the_window),
        HUB_TEST(topics_are_found_by_kind_site_and_name),
        HUB_TEST(opaque_events_get_local_ids_that_go_on),
        HUB_TEST(a_local_id_never_means_two_events),
        HUB_TEST(an_opaque_run_that_ended_begins_anew_and_its_ids_go_on),
    };
    return cmocka_run_group_tests_name("log: window", tests, NULL, NULL);
}
