/* test_schedule.c - the same seed draws the same faults, and none is forgotten. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include "emitters/torture/schedule.h"

#include <stdlib.h>
#include <string.h>

static struct schedule_wants wants(uint64_t seed, uint64_t length_ms)
{
    return (struct schedule_wants){.seed = seed,
                                   .length_ms = length_ms,
                                   .readers = 12,
                                   .tasks = 4,
                                   .brokers = 2,
                                   .lease_ms = 4000};
}

static void a_seed_draws_the_same_faults_every_time(void **state)
{
    struct schedule_wants w = wants(7, 30000);
    size_t count;
    size_t again_count;
    struct fault *faults = schedule_make(&w, &count);
    struct fault *again = schedule_make(&w, &again_count);

    (void)state;
    assert_int_equal(count, again_count);
    assert_true(count > 50);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(faults[i].at_ms, again[i].at_ms);
        assert_int_equal(faults[i].kind, again[i].kind);
        assert_int_equal(faults[i].target, again[i].target);
        assert_int_equal(faults[i].length_ms, again[i].length_ms);
        assert_int_equal(faults[i].detail, again[i].detail);
    }
    free(faults);
    free(again);
}

static void another_seed_draws_others(void **state)
{
    struct schedule_wants one = wants(7, 30000);
    struct schedule_wants two = wants(8, 30000);
    size_t count;
    size_t other_count;
    struct fault *faults = schedule_make(&one, &count);
    struct fault *others = schedule_make(&two, &other_count);

    (void)state;
    assert_true(count != other_count ||
                memcmp(faults, others, count * sizeof(*faults)) != 0);
    free(faults);
    free(others);
}

static void faults_stand_in_the_order_of_time_and_hit_what_exists(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 50; seed++) {
        struct schedule_wants w = wants(seed, 60000);
        size_t count;
        struct fault *faults = schedule_make(&w, &count);
        for (size_t i = 0; i < count; i++) {
            unsigned bound = faults[i].kind <= FAULT_READER_NEW ? w.readers
                             : faults[i].kind <= FAULT_RUN_STOP ? w.tasks
                                                                : w.brokers;
            assert_true(faults[i].target < bound);
            assert_true(faults[i].at_ms < w.length_ms);
            assert_true(i == 0 || faults[i - 1].at_ms <= faults[i].at_ms);
        }
        free(faults);
    }
}

static void two_minutes_have_every_fault(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 50; seed++) {
        struct schedule_wants w = wants(seed, 120000);
        unsigned seen[FAULT_KINDS] = {0};
        size_t count;
        struct fault *faults = schedule_make(&w, &count);
        for (size_t i = 0; i < count; i++)
            seen[faults[i].kind]++;
        for (int kind = 0; kind < FAULT_KINDS; kind++)
            assert_true(seen[kind] > 0);
        free(faults);
    }
}

/* So that it does not hang on the seed whether a build that does not heal, or does not ask for
 * leases, is found within a minute. */
static void it_opens_with_lost_messages_and_a_silence_longer_than_a_lease(void **state)
{
    static const enum fault_kind first[] = {
        FAULT_REDIS_OUTPUT_LIMIT, FAULT_REDIS_SILENCE, FAULT_REDIS_KILL_PUBSUB};

    (void)state;
    for (uint64_t seed = 1; seed < 300; seed++) {
        struct schedule_wants w = wants(seed, 60000);
        unsigned found = 0;
        size_t count;
        struct fault *faults = schedule_make(&w, &count);
        for (size_t i = 0; i < count && found < 3; i++) {
            if (faults[i].kind < FAULT_BROKER_KILL)
                continue;
            assert_int_equal(faults[i].kind, first[found++]);
            assert_true(faults[i].at_ms < 27000);
            if (found == 1)
                assert_true(faults[i].at_ms < 3000);
            if (found == 2)
                assert_true(faults[i].at_ms < 12000);
            if (faults[i].kind != FAULT_REDIS_SILENCE)
                continue;
            assert_true(faults[i].length_ms > w.lease_ms);
            assert_true(faults[i].length_ms <= w.lease_ms + 2500);
        }
        assert_int_equal(found, 3);
        free(faults);
    }
}

static void no_pause_of_a_producer_is_about_as_long_as_its_lease(void **state)
{
    struct schedule_wants w = wants(3, 600000);
    size_t count;
    struct fault *faults = schedule_make(&w, &count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        if (faults[i].kind == FAULT_EMITTER_PAUSE)
            assert_true(faults[i].length_ms <= w.lease_ms / 2 ||
                        faults[i].length_ms >= w.lease_ms * 2);
    }
    free(faults);
}

int run_schedule_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_draws_the_same_faults_every_time),
        cmocka_unit_test(another_seed_draws_others),
        cmocka_unit_test(faults_stand_in_the_order_of_time_and_hit_what_exists),
        cmocka_unit_test(two_minutes_have_every_fault),
        cmocka_unit_test(it_opens_with_lost_messages_and_a_silence_longer_than_a_lease),
        cmocka_unit_test(no_pause_of_a_producer_is_about_as_long_as_its_lease),
    };

    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
