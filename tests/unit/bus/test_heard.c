/* test_heard.c - rooms in which nothing was said, and those of which it is not known. */
/* SPDX-License-Identifier: MIT */
#include "bus/heard.h"
#include "tests.h"

static bool is_quiet(const struct heard *heard, const char *room, uint64_t since_ms)
{
    return heard_nothing(heard, slice_of("site1"), slice_of(room), since_ms);
}

static void a_room_is_quiet_while_nothing_is_said_and_all_is_heard(void **state)
{
    struct heard *heard = heard_new();

    (void)state;
    assert_false(is_quiet(heard, "user:ann", 100));
    heard_begins(heard, 100);
    assert_false(is_quiet(heard, "user:ann", 99));
    assert_true(is_quiet(heard, "user:ann", 100));
    heard_in_room(heard, slice_of("site1"), slice_of("user:ann"), 150);
    assert_false(is_quiet(heard, "user:ann", 100));
    assert_false(is_quiet(heard, "user:ann", 150));
    assert_true(is_quiet(heard, "user:ann", 151));
    heard_stops(heard);
    assert_false(is_quiet(heard, "user:ann", 151));
    heard_begins(heard, 200);
    assert_false(is_quiet(heard, "user:ann", 151));
    assert_true(is_quiet(heard, "user:ann", 200));
    heard_free(heard);
}

static void what_is_said_to_everybody_is_said_in_the_room_without_a_name(void **state)
{
    struct heard *heard = heard_new();

    (void)state;
    heard_begins(heard, 1);
    heard_everywhere(heard, 150);
    assert_false(is_quiet(heard, "", 100));
    assert_true(is_quiet(heard, "", 151));
    assert_true(is_quiet(heard, "all", 100));
    heard_free(heard);
}

static void rooms_of_two_sites_do_not_sound_alike(void **state)
{
    static const char loud[] = "abcdefghijklmnopqrstuvwxyz";
    static const char still[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    struct heard *heard = heard_new();
    unsigned quiet = 0;

    (void)state;
    heard_begins(heard, 1);
    for (size_t i = 0; i < 26; i++)
        heard_in_room(heard, slice_make(&loud[i], 1), slice_of("all"), 150);
    for (size_t i = 0; i < 26; i++)
        quiet += heard_nothing(heard, slice_make(&still[i], 1), slice_of("all"), 100);
    /* One that shares a place is taken for loud: not more than a few of them. */
    assert_true(quiet >= 20);
    heard_free(heard);
}

int test_heard(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_room_is_quiet_while_nothing_is_said_and_all_is_heard),
        cmocka_unit_test(what_is_said_to_everybody_is_said_in_the_room_without_a_name),
        cmocka_unit_test(rooms_of_two_sites_do_not_sound_alike),
    };

    return cmocka_run_group_tests_name("heard", tests, NULL, NULL);
}
