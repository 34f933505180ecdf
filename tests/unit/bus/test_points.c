/* test_points.c - whatever was cut off, the words before each point come back exactly. */
/* SPDX-License-Identifier: MIT */
#include "bus/points.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LAST_POINT 800

/* The plainest thing that could be right: all words of each point. */
struct model {
    struct points *points;
    char now[POINT_KINDS][1 << 16];
    char *before[LAST_POINT + 1][POINT_KINDS]; /* by number; NULL: no such point */
    uint64_t last;
    uint32_t seed;
};

static uint32_t below(struct model *m, uint32_t bound)
{
    m->seed = m->seed * 1664525U + 1013904223U;
    return bound == 0 ? 0 : (m->seed >> 8) % bound;
}

static void words_now(const struct model *m, struct slice words[POINT_KINDS])
{
    for (size_t kind = 0; kind < POINT_KINDS; kind++)
        words[kind] = slice_of(m->now[kind]);
}

static void add(struct model *m)
{
    struct slice words[POINT_KINDS];

    words_now(m, words);
    points_add(m->points, &(struct task_point){.kind = slice_of("stopped")}, words);
    m->last++;
    for (size_t kind = 0; kind < POINT_KINDS; kind++)
        m->before[m->last][kind] = mem_text(words[kind]);
}

static void become(struct model *m, const char *text)
{
    (void)snprintf(m->now[0], sizeof(m->now[0]), "%s", text);
}

/* Both kinds grow by a few letters, or not at all. */
static void say(struct model *m)
{
    for (size_t kind = 0; kind < POINT_KINDS; kind++) {
        size_t len = strlen(m->now[kind]);
        for (uint32_t more = below(m, 6); more > 0; more--)
            m->now[kind][len++] = (char)('a' + below(m, 3));
        m->now[kind][len] = '\0';
    }
}

static void go_back_to(struct model *m, uint64_t number)
{
    struct slice now[POINT_KINDS];
    struct buf back[POINT_KINDS];

    words_now(m, now);
    for (size_t kind = 0; kind < POINT_KINDS; kind++)
        buf_init(&back[kind], SIZE_MAX);
    bool is_other = points_go_back(m->points, number, now, back);
    for (size_t kind = 0; kind < POINT_KINDS; kind++) {
        if (is_other)
            (void)snprintf(m->now[kind], sizeof(m->now[kind]), "%.*s",
                           (int)back[kind].len,
                           back[kind].len == 0 ? "" : back[kind].data);
        assert_string_equal(m->now[kind], m->before[number][kind]);
        buf_release(&back[kind]);
    }
}

static struct model *model_new(size_t limit_bytes, uint32_t seed)
{
    struct model *m = mem_new(sizeof(*m));

    m->points = points_new(limit_bytes);
    m->seed = seed;
    return m;
}

static void model_free(struct model *m)
{
    for (uint64_t number = 1; number <= m->last; number++) {
        free(m->before[number][0]);
        free(m->before[number][1]);
    }
    points_free(m->points);
    free(m);
}

/* One of those that are listed; the list rises and has no more than it may. */
static uint64_t any_point(struct model *m)
{
    struct task_point list[TASK_POINTS_MAX];
    size_t count = points_list(m->points, list);

    assert_in_range(count, 1, TASK_POINTS_MAX);
    assert_int_equal(list[count - 1].number, m->last);
    for (size_t i = 1; i < count; i++)
        assert_true(list[i].number > list[i - 1].number);
    for (size_t i = 0; i < count; i++) {
        assert_true(points_has(m->points, list[i].number));
        assert_int_equal(list[i].length, strlen(m->before[list[i].number][0]));
    }
    return list[below(m, (uint32_t)count)].number;
}

static void wander(size_t limit_bytes, uint32_t seed)
{
    struct model *m = model_new(limit_bytes, seed);

    say(m);
    add(m);
    while (m->last < LAST_POINT - 2) {
        if (below(m, 3) > 0)
            go_back_to(m, any_point(m));
        add(m);
        say(m);
        add(m);
        assert_true(points_bytes(m->points) <= limit_bytes);
    }
    model_free(m);
}

static void every_listed_point_comes_back_exactly(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 50; seed++)
        wander(1 << 20, seed);
}

static void so_it_does_when_ends_are_forgotten_for_want_of_room(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 50; seed++)
        wander(10 + seed, seed);
}

static void what_has_no_room_takes_its_points_with_it(void **state)
{
    struct model *m = model_new(8, 1);

    (void)state;
    become(m, "four");
    add(m); /* 1 */
    become(m, "four and a long end");
    add(m); /* 2 */
    go_back_to(m, 1);
    add(m); /* 3 */
    assert_true(points_has(m->points, 1));
    assert_false(points_has(m->points, 2));
    assert_true(points_has(m->points, 3));
    assert_int_equal(points_bytes(m->points), 0);
    model_free(m);
}

static void the_end_of_the_text_cuts_nothing_off(void **state)
{
    struct model *m = model_new(1000, 1);

    (void)state;
    become(m, "all");
    add(m);
    go_back_to(m, 1);
    assert_int_equal(points_bytes(m->points), 0);
    assert_false(points_has(m->points, 2));
    assert_false(points_has(NULL, 1));
    assert_int_equal(points_bytes(NULL), 0);
    points_free(NULL);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_listed_point_comes_back_exactly),
        cmocka_unit_test(so_it_does_when_ends_are_forgotten_for_want_of_room),
        cmocka_unit_test(what_has_no_room_takes_its_points_with_it),
        cmocka_unit_test(the_end_of_the_text_cuts_nothing_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
