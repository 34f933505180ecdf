/* test_map.c - byte-string keys to pointers. */
/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void what_was_set_is_found_until_it_is_removed(void **state)
{
    (void)state;
    struct map *map = map_new();
    int one = 1;
    int two = 2;
    assert_null(map_get(map, slice_of("a")));
    assert_null(map_set(map, slice_of("a"), &one));
    assert_ptr_equal(map_get(map, slice_of("a")), &one);
    assert_ptr_equal(map_set(map, slice_of("a"), &two), &one);
    assert_int_equal(map_size(map), 1);
    assert_ptr_equal(map_remove(map, slice_of("a")), &two);
    assert_null(map_remove(map, slice_of("a")));
    assert_int_equal(map_size(map), 0);
    map_free(map);
    map_free(NULL);
}

static void keys_are_copied_and_may_hold_any_byte(void **state)
{
    (void)state;
    struct map *map = map_new();
    int value[3];
    char key[] = "k\0y1";
    map_set(map, slice_make(key, 4), &value[0]);
    key[3] = '2';
    map_set(map, slice_make(key, 4), &value[1]);
    map_set(map, slice_make(NULL, 0), &value[2]);
    assert_ptr_equal(map_get(map, slice_make("k\0y1", 4)), &value[0]);
    assert_ptr_equal(map_get(map, slice_make("k\0y2", 4)), &value[1]);
    assert_null(map_get(map, slice_make("k", 1)));
    assert_ptr_equal(map_get(map, slice_make("", 0)), &value[2]);
    map_free(map);
}

static size_t make_key(char *key, unsigned i)
{
    /* Every length from 1 to 24, so that each tail of the hash is taken. */
    size_t len =
        (size_t)snprintf(key, 40, "%u:%.*s", i, (int)(i % 17), "abcdefghijklmnopqrst");
    return len;
}

static void ten_thousand_keys_are_kept_apart(void **state)
{
    (void)state;
    struct map *map = map_new();
    static int values[10000];
    char key[40];
    for (unsigned i = 0; i < 10000; i++)
        assert_null(map_set(map, slice_make(key, make_key(key, i)), &values[i]));
    assert_int_equal(map_size(map), 10000);
    for (unsigned i = 0; i < 10000; i += 2)
        assert_ptr_equal(map_remove(map, slice_make(key, make_key(key, i))),
                         &values[i]);
    assert_int_equal(map_size(map), 5000);
    for (unsigned i = 0; i < 10000; i++) {
        void *expected = i % 2 == 0 ? NULL : &values[i];
        assert_ptr_equal(map_get(map, slice_make(key, make_key(key, i))), expected);
    }
    map_free(map);
}

struct visits {
    struct map *map;
    unsigned count;
    unsigned stop_after;
    bool removes;
};

static bool visit(struct slice key, void *value, void *ctx)
{
    struct visits *visits = ctx;
    char *seen = value;
    (*seen)++;
    visits->count++;
    if (visits->removes)
        assert_ptr_equal(map_remove(visits->map, key), value);
    return visits->count != visits->stop_after;
}

static void each_pair_is_visited_once_and_may_be_removed(void **state)
{
    (void)state;
    struct map *map = map_new();
    char seen[100] = {0};
    char key[40];
    for (unsigned i = 0; i < 100; i++)
        map_set(map, slice_make(key, make_key(key, i)), &seen[i]);

    struct visits visits = {map, 0, 0, false};
    map_each(map, visit, &visits);
    assert_int_equal(visits.count, 100);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(seen[i], 1);

    visits = (struct visits){map, 0, 3, false};
    map_each(map, visit, &visits);
    assert_int_equal(visits.count, 3);

    visits = (struct visits){map, 0, 0, true};
    map_each(map, visit, &visits);
    assert_int_equal(visits.count, 100);
    assert_int_equal(map_size(map), 0);
    map_each(map, visit, &visits);
    assert_int_equal(visits.count, 100);
    map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_set_is_found_until_it_is_removed),
        cmocka_unit_test(keys_are_copied_and_may_hold_any_byte),
        cmocka_unit_test(ten_thousand_keys_are_kept_apart),
        cmocka_unit_test(each_pair_is_visited_once_and_may_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
