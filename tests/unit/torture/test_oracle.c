/* test_oracle.c - which ends a run may have, in the words of the design. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include "emitters/torture/oracle.h"

static struct story a_story(enum story_ending ending)
{
    struct story story;

    story_init(&story, 1, 0, 0);
    story.ending = ending;
    return story;
}

static void a_healthy_run_may_only_end_as_its_producer_says(void **state)
{
    struct story story = a_story(ENDING_COMPLETION);
    struct run_facts facts = {.has_ended = true};

    (void)state;
    for (int outcome = 0; outcome < OUTCOMES; outcome++) {
        const char *why = oracle_outcome(&story, &facts, (enum outcome)outcome);
        if (outcome == OUTCOME_COMPLETION)
            assert_null(why);
        else
            assert_non_null(why);
    }
    facts.has_ended = false;
    assert_non_null(oracle_outcome(&story, &facts, OUTCOME_COMPLETION));
    story_release(&story);
}

static void each_other_end_needs_its_cause(void **state)
{
    struct story story = a_story(ENDING_ERROR);

    (void)state;
    assert_null(
        oracle_outcome(&story, &(struct run_facts){.has_ended = true}, OUTCOME_ERROR));
    assert_null(oracle_outcome(&story, &(struct run_facts){.was_killed = true},
                               OUTCOME_PRODUCER_LOST));
    assert_null(oracle_outcome(&story, &(struct run_facts){.was_paused_long = true},
                               OUTCOME_PRODUCER_LOST));
    assert_null(oracle_outcome(&story, &(struct run_facts){.was_superseded = true},
                               OUTCOME_SUPERSEDED));
    assert_null(oracle_outcome(&story, &(struct run_facts){.was_stopped = true},
                               OUTCOME_STOPPED));
    /* Lost data is no reason to call a living producer lost. */
    assert_non_null(oracle_outcome(&story, &(struct run_facts){.has_lost_data = true},
                                   OUTCOME_PRODUCER_LOST));
    story_release(&story);
}

static void what_was_acknowledged_must_be_there(void **state)
{
    struct story story = a_story(ENDING_COMPLETION);
    struct run_facts facts = {
        .accepted = story.deltas, .flushed = story.deltas / 2, .was_killed = true};
    size_t least[STORY_KINDS];

    (void)state;
    oracle_least(&story, &facts, OUTCOME_PRODUCER_LOST, least);
    assert_int_equal(least[STORY_TEXT], story.ends[STORY_TEXT][story.deltas / 2]);
    oracle_least(&story, &facts, OUTCOME_COMPLETION, least);
    assert_int_equal(least[STORY_TEXT], story.told[STORY_TEXT].len);
    /* The one permitted loss: the producer died together with the data. */
    facts.has_lost_data = true;
    oracle_least(&story, &facts, OUTCOME_PRODUCER_LOST, least);
    assert_int_equal(least[STORY_TEXT], 0);
    facts.was_killed = false;
    facts.was_paused_long = true;
    oracle_least(&story, &facts, OUTCOME_PRODUCER_LOST, least);
    assert_int_equal(least[STORY_TEXT], 0);
    facts.was_paused_long = false;
    oracle_least(&story, &facts, OUTCOME_STOPPED, least);
    assert_int_equal(least[STORY_TEXT], story.ends[STORY_TEXT][story.deltas / 2]);
    story_release(&story);
}

static void an_end_is_known_by_its_type_and_code(void **state)
{
    const struct slice none = {0};

    (void)state;
    assert_int_equal(outcome_of(slice_of("completion"), none), OUTCOME_COMPLETION);
    assert_int_equal(outcome_of(slice_of("stopped"), none), OUTCOME_STOPPED);
    assert_int_equal(outcome_of(slice_of("text"), none), OUTCOME_NONE);
    assert_int_equal(outcome_of(slice_of("error"), slice_of("PRODUCER_LOST")),
                     OUTCOME_PRODUCER_LOST);
    assert_int_equal(outcome_of(slice_of("error"), slice_of(ORACLE_OWN_ERROR)),
                     OUTCOME_ERROR);
    assert_int_equal(outcome_of(slice_of("error"), slice_of("RUN_TOO_LARGE")),
                     OUTCOME_OTHER);
}

int run_oracle_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_run_may_only_end_as_its_producer_says),
        cmocka_unit_test(each_other_end_needs_its_cause),
        cmocka_unit_test(what_was_acknowledged_must_be_there),
        cmocka_unit_test(an_end_is_known_by_its_type_and_code),
    };

    return cmocka_run_group_tests_name("oracle", tests, NULL, NULL);
}
