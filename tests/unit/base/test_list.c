/* test_list.c - the intrusive list. */
/* SPDX-License-Identifier: MIT */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int value;
    struct list node;
};

static int sum_in_order(struct list *head)
{
    int sum = 0;
    LIST_FOR_EACH(it, tmp, head)
    {
        sum = sum * 10 + LIST_ENTRY(it, struct item, node)->value;
    }
    return sum;
}

static void items_come_in_the_order_they_were_pushed(void **state)
{
    (void)state;
    struct list head;
    struct item items[3] = {{1, {0}}, {2, {0}}, {3, {0}}};
    list_init(&head);
    assert_true(list_is_empty(&head));
    for (int i = 0; i < 3; i++) {
        list_init(&items[i].node);
        assert_false(list_is_linked(&items[i].node));
        list_push_back(&head, &items[i].node);
        assert_true(list_is_linked(&items[i].node));
    }
    assert_int_equal(sum_in_order(&head), 123);
    list_remove(&items[1].node);
    assert_false(list_is_linked(&items[1].node));
    assert_int_equal(sum_in_order(&head), 13);
    list_remove(&items[1].node);
    assert_int_equal(sum_in_order(&head), 13);
}

static void the_walk_may_unlink_what_it_stands_on(void **state)
{
    (void)state;
    struct list head;
    struct item items[4] = {{1, {0}}, {2, {0}}, {3, {0}}, {4, {0}}};
    list_init(&head);
    for (int i = 0; i < 4; i++)
        list_push_back(&head, &items[i].node);
    LIST_FOR_EACH(it, tmp, &head)
    {
        if (LIST_ENTRY(it, struct item, node)->value % 2 == 0)
            list_remove(it);
    }
    assert_int_equal(sum_in_order(&head), 13);
}

static void splicing_moves_everything_to_the_end(void **state)
{
    (void)state;
    struct list one;
    struct list two;
    struct item items[3] = {{1, {0}}, {2, {0}}, {3, {0}}};
    list_init(&one);
    list_init(&two);
    list_push_back(&one, &items[0].node);
    list_splice(&one, &two);
    assert_int_equal(sum_in_order(&one), 1);
    list_push_back(&two, &items[1].node);
    list_push_back(&two, &items[2].node);
    list_splice(&one, &two);
    assert_int_equal(sum_in_order(&one), 123);
    assert_true(list_is_empty(&two));
    list_splice(&two, &one);
    assert_int_equal(sum_in_order(&two), 123);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_in_the_order_they_were_pushed),
        cmocka_unit_test(the_walk_may_unlink_what_it_stands_on),
        cmocka_unit_test(splicing_moves_everything_to_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
