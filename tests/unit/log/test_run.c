/* test_run.c - states, accumulated text, continues, and data that goes away. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

static void states_follow_the_events(void **state)
{
    struct topic *topic = task(*state, "t");

    assert_int_equal(topic_run(topic)->state, RUN_UNKNOWN);
    assert_int_equal(topic_last_id(topic).epoch, 0);
    say(topic, EPOCH, 1, EVENT_QUEUED, "");
    assert_int_equal(topic_run(topic)->state, RUN_QUEUED);
    say(topic, EPOCH, 2, EVENT_REASONING, "hm");
    assert_int_equal(topic_run(topic)->state, RUN_RUNNING);
    assert_int_equal(topic_run(topic)->text_started_ms, 0);
    say(topic, EPOCH, 3, EVENT_TEXT, "a");
    assert_true(topic_run(topic)->text_started_ms > 0);
    assert_int_equal(topic_run(topic)->finished_ms, 0);
    say(topic, EPOCH, 4, EVENT_COMPLETION, "a");
    assert_int_equal(topic_run(topic)->state, RUN_COMPLETED);
    assert_true(topic_run(topic)->finished_ms > 0);
}

static void other_endings_have_their_states(void **state)
{
    struct bench *b = *state;

    say(task(b, "e"), EPOCH, 1, EVENT_ERROR, "");
    assert_int_equal(topic_run(task(b, "e"))->state, RUN_FAILED);
    say(task(b, "s"), EPOCH, 1, EVENT_STOPPED, "");
    assert_int_equal(topic_run(task(b, "s"))->state, RUN_STOPPED);
}

static void reasoning_and_text_accumulate_apart(void **state)
{
    struct topic *topic = task(*state, "t");
    const struct run *run = topic_run(topic);

    say(topic, EPOCH, 1, EVENT_REASONING, "r1 ");
    say(topic, EPOCH, 2, EVENT_TEXT, "t\\u00e9 ");
    say(topic, EPOCH, 3, EVENT_STATUS, "not this");
    say(topic, EPOCH, 4, EVENT_REASONING, "r2");
    say(topic, EPOCH, 5, EVENT_TEXT, "\\ud83d\\ude00\\\"");
    accumulates(&run->reasoning, "r1 r2");
    accumulates(&run->text, "t\xc3\xa9 \xf0\x9f\x98\x80\"");
    assert_int_equal(run->reasoning.merged, 2);
    assert_int_equal(run->reasoning.first_seq, 1);
    assert_int_equal(run->reasoning.last_seq, 4);
    assert_int_equal(run->text.first_seq, 2);
    assert_int_equal(run->text.last_seq, 5);
}

static void an_opened_run_is_known_before_its_first_event(void **state)
{
    struct topic *topic = task(*state, "t");

    topic_open_run(topic, EPOCH, RUN_QUEUED, 1234, false);
    assert_int_equal(topic_run(topic)->state, RUN_QUEUED);
    assert_int_equal(topic_run(topic)->started_ms, 1234);
    assert_int_equal(topic_last_id(topic).epoch, EPOCH);
    assert_int_equal(topic_last_id(topic).seq, 0);
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 0, false}),
                     topic_next(topic));
    assert_false(say_text(topic, EPOCH, 2, "x"));
    assert_true(say_text(topic, EPOCH, 1, "x"));
    assert_int_equal(topic_run(topic)->started_ms, 1234);
}

static void opening_the_same_run_again_changes_nothing(void **state)
{
    struct topic *topic = task(*state, "t");

    say_text(topic, EPOCH, 1, "x");
    topic_open_run(topic, EPOCH, RUN_QUEUED, 1, false);
    assert_int_equal(topic_run(topic)->state, RUN_RUNNING);
    accumulates(&topic_run(topic)->text, "x");
}

static struct topic_event stamped(const char *body, uint64_t epoch, uint64_t seq)
{
    const char *text = strstr(body, "\"text\":\"") + 8;
    const char *stamp = strstr(body, "\"timestamp\":\"") + 13;

    return (struct topic_event){
        .id = {epoch, seq, false},
        .type = EVENT_TEXT,
        .is_delta = true,
        .body = slice_of(body),
        .text = slice_make(text, 1),
        .timestamp = slice_make(stamp, 24),
    };
}

static void a_continue_keeps_the_text_and_the_first_time(void **state)
{
    struct topic *topic = task(*state, "t");
    const struct run *run = topic_run(topic);
    struct topic_event first = stamped(
        "{\"text\":\"a\",\"timestamp\":\"2026-11-20T10:00:00.000Z\"}", EPOCH, 1);
    struct topic_event second = stamped(
        "{\"text\":\"b\",\"timestamp\":\"2026-11-20T11:00:00.000Z\"}", EPOCH + 5, 1);

    topic_append(topic, &first);
    topic_open_run(topic, EPOCH + 5, RUN_RUNNING, 77, true);
    accumulates(&run->text, "a");
    assert_int_equal(run->text.merged, 1);
    assert_int_equal(run->text.last_seq, 0);
    topic_append(topic, &second);
    accumulates(&run->text, "ab");
    assert_int_equal(run->text.merged, 2);
    /* No id of this run stands before all of it. */
    assert_int_equal(run->text.first_seq, 0);
    assert_int_equal(run->text.last_seq, 1);
    assert_string_equal(run->text.timestamp, "2026-11-20T10:00:00.000Z");
    assert_int_equal(run->text_epoch, EPOCH);
    /* What begins in the continue has its place there. */
    say(topic, EPOCH + 5, 2, EVENT_REASONING, "r");
    assert_int_equal(run->reasoning.first_seq, 2);
}

static void a_run_that_begins_with_other_words_has_a_new_text(void **state)
{
    struct topic *topic = task(*state, "t");
    const struct run *run = topic_run(topic);

    say_text(topic, EPOCH, 1, "abc");
    say(topic, EPOCH, 2, EVENT_REASONING, "r");
    topic_open_run(topic, EPOCH + 5, RUN_QUEUED, 77, true);
    topic_rewrite(topic, slice_of("ab"), slice_of(""));
    accumulates(&run->text, "ab");
    accumulates(&run->reasoning, "");
    assert_int_equal(run->text.merged, 1);
    assert_int_equal(run->reasoning.merged, 0);
    assert_int_equal(run->text_epoch, EPOCH + 5);
    say_text(topic, EPOCH + 5, 1, "d");
    accumulates(&run->text, "abd");
}

static void a_run_that_keeps_nothing_begins_a_new_text(void **state)
{
    struct topic *topic = task(*state, "t");

    say_text(topic, EPOCH, 1, "a");
    assert_int_equal(topic_run(topic)->text_epoch, EPOCH);
    topic_open_run(topic, EPOCH + 5, RUN_RUNNING, 77, false);
    accumulates(&topic_run(topic)->text, "");
    assert_int_equal(topic_run(topic)->text.merged, 0);
    assert_int_equal(topic_run(topic)->text_epoch, EPOCH + 5);
}

static void a_reset_loses_every_reader(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    uint32_t generation = topic_generation(topic);
    struct fake_reader level;
    struct fake_reader behind;

    say_text(topic, EPOCH, 1, "a");
    join(b, &level, topic, topic_next(topic));
    join(b, &behind, topic, topic_base(topic));
    topic_reset(topic);
    assert_int_equal(reader_lag(&level.reader), READER_LOST);
    assert_int_equal(reader_lag(&behind.reader), READER_LOST);
    assert_int_not_equal(topic_generation(topic), generation);
    assert_int_equal(topic_run(topic)->state, RUN_UNKNOWN);
    assert_false(topic_was_erased(topic));
    assert_int_equal(topic_after(topic, (struct event_id){EPOCH, 1, false}), 0);
    accumulates(&topic_run(topic)->text, "");
    assert_true(topic_live(topic) == topic_next(topic));
    reader_detach(&level.reader);
    reader_detach(&behind.reader);
}

static void an_erased_topic_is_a_tombstone_until_the_next_run(void **state)
{
    struct topic *topic = task(*state, "t");

    say_text(topic, EPOCH, 1, "a");
    topic_erase(topic);
    assert_true(topic_was_erased(topic));
    assert_int_equal(topic_run(topic)->state, RUN_UNKNOWN);
    assert_true(say_text(topic, EPOCH + 1, 1, "b"));
    assert_false(topic_was_erased(topic));
    topic_erase(topic);
    topic_open_run(topic, EPOCH + 2, RUN_QUEUED, 1, false);
    assert_false(topic_was_erased(topic));
}

static void no_two_topics_share_a_generation(void **state)
{
    struct bench *b = *state;
    uint32_t first = topic_generation(task(b, "a"));

    assert_int_not_equal(first, topic_generation(task(b, "b")));
    topic_reset(task(b, "a"));
    assert_int_not_equal(topic_generation(task(b, "a")), first);
    assert_int_not_equal(topic_generation(task(b, "a")),
                         topic_generation(task(b, "b")));
}

static void a_stamp_that_is_too_long_is_left_out(void **state)
{
    struct topic *topic = task(*state, "t");
    const char *body = "{\"text\":\"a\",\"timestamp\":\"2026-11-20T10:00:00.000Z and "
                       "many more words\"}";
    struct topic_event event = stamped(body, EPOCH, 1);

    event.timestamp.len = 45;
    assert_true(topic_append(topic, &event));
    assert_string_equal(topic_run(topic)->text.timestamp, "");
}

#define HUB_TEST(name) cmocka_unit_test_setup_teardown(name, with_hub, without)

int test_run(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(states_follow_the_events),
        HUB_TEST(other_endings_have_their_states),
        HUB_TEST(reasoning_and_text_accumulate_apart),
        HUB_TEST(an_opened_run_is_known_before_its_first_event),
        HUB_TEST(opening_the_same_run_again_changes_nothing),
        HUB_TEST(a_continue_keeps_the_text_and_the_first_time),
        HUB_TEST(a_run_that_keeps_nothing_begins_a_new_text),
        HUB_TEST(a_run_that_begins_with_other_words_has_a_new_text),
        HUB_TEST(a_reset_loses_every_reader),
        HUB_TEST(an_erased_topic_is_a_tombstone_until_the_next_run),
        HUB_TEST(no_two_topics_share_a_generation),
        HUB_TEST(a_stamp_that_is_too_long_is_left_out),
    };
    return cmocka_run_group_tests_name("log: run", tests, NULL, NULL);
}
