/* test_clock.c - time stamps and randomness. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void assert_iso(uint64_t wall_ms, const char *expected)
{
    char text[CLOCK_ISO_SIZE];
    clock_iso(wall_ms, text);
    assert_string_equal(text, expected);
}

static void known_moments_are_written_as_iso_8601(void **state)
{
    (void)state;
    assert_iso(0, "1970-01-01T00:00:00.000Z");
    assert_iso(951782399999u, "2000-02-28T23:59:59.999Z");
    assert_iso(951782400000u, "2000-02-29T00:00:00.000Z");
    assert_iso(4107542400001u, "2100-03-01T00:00:00.001Z");
    assert_iso(1795215600123u, "2026-11-20T23:00:00.123Z");
}

static void a_moment_past_the_year_9999_stays_in_the_buffer(void **state)
{
    (void)state;
    assert_iso(253402300799999u, "9999-12-31T23:59:59.999Z");
    assert_iso(UINT64_MAX, "9999-12-31T23:59:59.999Z");
}

static void every_day_of_400_years_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 146097 + 366; day++) {
        char ours[CLOCK_ISO_SIZE];
        char theirs[64];
        struct tm parts;
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        clock_iso((uint64_t)seconds * 1000, ours);
        assert_non_null(gmtime_r(&seconds, &parts));
        assert_true(strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S.000Z", &parts) >
                    0);
        assert_string_equal(ours, theirs);
    }
}

static void clocks_tell_the_same_time_as_the_system(void **state)
{
    (void)state;
    time_t before = time(NULL);
    uint64_t wall = clock_wall_ms();
    time_t after = time(NULL);
    assert_true(wall / 1000 + 1 >= (uint64_t)before &&
                wall / 1000 <= (uint64_t)after + 1);

    uint64_t first = clock_mono_ns();
    uint64_t middle = clock_mono_ms();
    uint64_t last = clock_mono_ns();
    assert_true(first / 1000000 <= middle && middle <= last / 1000000);
}

static void random_bytes_fill_exactly_what_was_asked_for(void **state)
{
    (void)state;
    unsigned char seen[32] = {0};
    for (int round = 0; round < 64; round++) {
        unsigned char block[34];
        memset(block, 0xaa, sizeof(block));
        random_bytes(block + 1, 32);
        assert_int_equal(block[0], 0xaa);
        assert_int_equal(block[33], 0xaa);
        for (int i = 0; i < 32; i++)
            seen[i] |= block[i + 1];
    }
    /* 64 rounds leave a bit unset with probability 2^-64. */
    for (int i = 0; i < 32; i++)
        assert_int_equal(seen[i], 0xff);
    random_bytes(seen, 0);
}

static void random_names_are_digits_and_never_the_same(void **state)
{
    char name[26];
    char other[26];
    (void)state;
    name[25] = other[25] = '!'; /* nothing is written behind the NUL */
    random_hex(name, 24);
    random_hex(other, 24);
    assert_int_equal(strlen(name), 24);
    assert_int_equal(strspn(name, "0123456789abcdef"), 24);
    assert_string_not_equal(name, other);
    assert_int_equal(name[25], '!');
    random_hex(name, 0);
    assert_string_equal(name, "");
}

static void random_numbers_stay_below_their_bound_and_reach_all_of_it(void **state)
{
    (void)state;
    unsigned counts[3] = {0};
    for (int i = 0; i < 3000; i++)
        counts[random_below(3)]++;
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], 800, 1200);
    for (int i = 0; i < 10; i++)
        assert_int_equal(random_below(1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(random_below(0x80000001u) <= 0x80000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_moments_are_written_as_iso_8601),
        cmocka_unit_test(a_moment_past_the_year_9999_stays_in_the_buffer),
        cmocka_unit_test(every_day_of_400_years_agrees_with_the_c_library),
        cmocka_unit_test(clocks_tell_the_same_time_as_the_system),
        cmocka_unit_test(random_bytes_fill_exactly_what_was_asked_for),
        cmocka_unit_test(random_names_are_digits_and_never_the_same),
        cmocka_unit_test(random_numbers_stay_below_their_bound_and_reach_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
