/* test_fold.c - loss, doubles, disorder and crossings are found by content. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include "emitters/torture/fold.h"

#define TASK 3
#define RUNS 4

/* Stories of one task, and the longest of them. */
struct shelf {
    struct story stories[RUNS];
    struct fold_book book;
    const struct story *story;
    struct fold fold;
};

static const struct story *find(void *ctx, unsigned task, unsigned run)
{
    struct shelf *shelf = ctx;

    return task == TASK && run < RUNS ? &shelf->stories[run] : NULL;
}

static int set_up(void **state)
{
    struct shelf *shelf = test_calloc(1, sizeof(*shelf));

    for (unsigned run = 0; run < RUNS; run++) {
        story_init(&shelf->stories[run], 7, TASK, run);
        if (shelf->story == NULL || shelf->stories[run].deltas > shelf->story->deltas)
            shelf->story = &shelf->stories[run];
    }
    shelf->book = (struct fold_book){find, shelf};
    fold_begin(&shelf->fold, true);
    *state = shelf;
    return 0;
}

static int tear_down(void **state)
{
    struct shelf *shelf = *state;

    for (unsigned run = 0; run < RUNS; run++)
        story_release(&shelf->stories[run]);
    test_free(shelf);
    return 0;
}

static enum verdict tell(struct shelf *shelf, unsigned k)
{
    return fold_take(&shelf->fold, &shelf->book, TASK, story_kind_of(shelf->story, k),
                     story_delta(shelf->story, k));
}

static void whole(const struct story *story, size_t lengths[STORY_KINDS])
{
    for (int kind = 0; kind < STORY_KINDS; kind++)
        lengths[kind] = story->told[kind].len;
}

static void a_story_is_the_same_whoever_makes_it(void **state)
{
    struct shelf *shelf = *state;
    struct story again;

    story_init(&again, 7, TASK, shelf->story->run);
    assert_int_equal(again.deltas, shelf->story->deltas);
    for (int kind = 0; kind < STORY_KINDS; kind++) {
        assert_int_equal(again.told[kind].len, shelf->story->told[kind].len);
        assert_memory_equal(again.told[kind].data, shelf->story->told[kind].data,
                            again.told[kind].len);
    }
    story_release(&again);
}

static void all_deltas_in_order_are_the_whole_story(void **state)
{
    struct shelf *shelf = *state;
    size_t lengths[STORY_KINDS];

    whole(shelf->story, lengths);
    for (unsigned k = 0; k < shelf->story->deltas; k++) {
        assert_false(fold_reaches(&shelf->fold, lengths));
        assert_int_equal(tell(shelf, k), VERDICT_GOOD);
    }
    assert_true(fold_reaches(&shelf->fold, lengths));
}

static void deltas_may_come_joined(void **state)
{
    struct shelf *shelf = *state;
    size_t lengths[STORY_KINDS];

    whole(shelf->story, lengths);
    for (int kind = 0; kind < STORY_KINDS; kind++)
        assert_int_equal(fold_take(&shelf->fold, &shelf->book, TASK,
                                   (enum story_kind)kind,
                                   buf_view(&shelf->story->told[kind])),
                         VERDICT_GOOD);
    assert_true(fold_reaches(&shelf->fold, lengths));
}

static void a_missing_delta_is_lost(void **state)
{
    struct shelf *shelf = *state;

    assert_int_equal(tell(shelf, 0), VERDICT_GOOD);
    assert_int_equal(tell(shelf, 2), VERDICT_LOST);
    /* And what is not good has changed nothing. */
    assert_int_equal(tell(shelf, 1), VERDICT_GOOD);
}

static void a_missing_first_delta_is_lost(void **state)
{
    assert_int_equal(tell(*state, 1), VERDICT_LOST);
}

static void a_delta_told_twice_is_doubled(void **state)
{
    struct shelf *shelf = *state;

    assert_int_equal(tell(shelf, 0), VERDICT_GOOD);
    assert_int_equal(tell(shelf, 1), VERDICT_GOOD);
    assert_int_equal(tell(shelf, 1), VERDICT_DOUBLED);
    assert_int_equal(tell(shelf, 0), VERDICT_DOUBLED);
}

static void two_deltas_changed_about_are_reordered(void **state)
{
    struct shelf *shelf = *state;
    struct buf text;

    buf_init(&text, 1 << 20);
    buf_slice(&text, story_delta(shelf->story, 1));
    buf_slice(&text, story_delta(shelf->story, 0));
    assert_int_equal(fold_take(&shelf->fold, &shelf->book, TASK,
                               story_kind_of(shelf->story, 0), buf_view(&text)),
                     VERDICT_REORDERED);
    buf_release(&text);
}

static void what_another_run_or_task_says_has_crossed(void **state)
{
    struct shelf *shelf = *state;
    enum story_kind kind = story_kind_of(shelf->story, 0);
    struct story other;

    assert_int_equal(tell(shelf, 0), VERDICT_GOOD);
    assert_int_equal(
        fold_take(&shelf->fold, &shelf->book, TASK, kind, slice_of("[3:99:1]x")),
        VERDICT_CROSSED);
    story_init(&other, 7, TASK + 1, 0);
    assert_int_equal(
        fold_take(&shelf->fold, &shelf->book, TASK, kind, slice_of("[4:0:1]x")),
        VERDICT_CROSSED);
    story_release(&other);
    fold_begin(&shelf->fold, true);
    assert_int_equal(
        fold_take(&shelf->fold, &shelf->book, TASK, kind, slice_of("[4:0:0]x")),
        VERDICT_CROSSED);
}

static void what_nobody_said_is_garbled(void **state)
{
    struct shelf *shelf = *state;
    enum story_kind kind = story_kind_of(shelf->story, 0);

    assert_int_equal(
        fold_take(&shelf->fold, &shelf->book, TASK, kind, slice_of("hello")),
        VERDICT_GARBLED);
    assert_int_equal(
        fold_take(&shelf->fold, &shelf->book, TASK, kind, slice_of("[3:77:0]")),
        VERDICT_GARBLED);
    assert_int_equal(tell(shelf, 0), VERDICT_GOOD);
    assert_int_equal(fold_take(&shelf->fold, &shelf->book, TASK, kind, slice_of("!")),
                     VERDICT_GARBLED);
}

static void who_joins_in_the_middle_has_no_hole_from_there(void **state)
{
    struct shelf *shelf = *state;
    size_t lengths[STORY_KINDS];

    whole(shelf->story, lengths);
    fold_begin(&shelf->fold, false);
    assert_int_equal(tell(shelf, 5), VERDICT_GOOD);
    assert_int_equal(tell(shelf, 7), VERDICT_LOST);
    for (unsigned k = 6; k < shelf->story->deltas; k++)
        assert_int_equal(tell(shelf, k), VERDICT_GOOD);
    assert_true(fold_reaches(&shelf->fold, lengths));
}

int run_fold_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_story_is_the_same_whoever_makes_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(all_deltas_in_order_are_the_whole_story, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(deltas_may_come_joined, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_delta_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_first_delta_is_lost, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_delta_told_twice_is_doubled, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(two_deltas_changed_about_are_reordered, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_another_run_or_task_says_has_crossed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_said_is_garbled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_joins_in_the_middle_has_no_hole_from_there,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
