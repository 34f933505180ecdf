/* test_spare.c - when memory is given back after a load. */
/* SPDX-License-Identifier: MIT */
#include "base/spare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void memory_is_given_back_when_a_load_is_over(void **state)
{
    struct spare_mark mark = {0};

    (void)state;
    assert_false(spare_is_due(&mark, 10));
    assert_false(spare_is_due(&mark, 400));
    assert_false(spare_is_due(&mark, 101));
    assert_true(spare_is_due(&mark, 100));
    assert_false(spare_is_due(&mark, 90));
}

static void what_goes_later_is_given_back_later_and_then_there_is_peace(void **state)
{
    struct spare_mark mark = {0};
    unsigned times = 0;

    (void)state;
    assert_false(spare_is_due(&mark, 100));
    assert_true(spare_is_due(&mark, 0));
    for (int i = 0; i < 1000; i++)
        times += spare_is_due(&mark, 5);
    assert_int_equal(times, 2);
}

static void a_load_between_two_looks_is_one_too(void **state)
{
    struct spare_mark mark = {0};

    (void)state;
    assert_false(spare_is_due(&mark, 1));
    spare_note(&mark, 500);
    spare_note(&mark, 1);
    assert_true(spare_is_due(&mark, 1));
}

static void few_things_are_no_load(void **state)
{
    struct spare_mark mark = {0};

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_false(spare_is_due(&mark, SPARE_LOAD_MIN - 1));
        assert_false(spare_is_due(&mark, 0));
    }
}

static void a_next_load_counts_from_the_level_of_then(void **state)
{
    struct spare_mark mark = {0};

    (void)state;
    assert_false(spare_is_due(&mark, 4000));
    assert_true(spare_is_due(&mark, 1000));
    assert_true(spare_is_due(&mark, 250));
    assert_false(spare_is_due(&mark, 1000));
    assert_true(spare_is_due(&mark, 250));
}

static size_t count_looks(void *ctx)
{
    (void)ctx;
    return 0;
}

static void one_that_never_looked_is_freed_as_well(void **state)
{
    struct loop *loop = loop_new();

    (void)state;
    spare_free(NULL);
    spare_free(spare_new(loop, count_looks, NULL));
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_given_back_when_a_load_is_over),
        cmocka_unit_test(what_goes_later_is_given_back_later_and_then_there_is_peace),
        cmocka_unit_test(a_load_between_two_looks_is_one_too),
        cmocka_unit_test(few_things_are_no_load),
        cmocka_unit_test(a_next_load_counts_from_the_level_of_then),
        cmocka_unit_test(one_that_never_looked_is_freed_as_well),
    };

    return cmocka_run_group_tests_name("spare", tests, NULL, NULL);
}
