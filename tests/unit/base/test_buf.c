/* test_buf.c - buffers keep their limit; bytes are shared, not copied. */
/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_holds(struct buf *buf, const char *text)
{
    assert_int_equal(buf->len, strlen(text));
    assert_string_equal(buf_text(buf), text);
}

static void an_append_past_the_limit_adds_nothing_and_sticks(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    assert_true(buf_puts(&buf, "four"));
    assert_false(buf_puts(&buf, "no"));
    assert_true(buf.failed);
    assert_false(buf_putc(&buf, '!'));
    assert_holds(&buf, "four");
    buf_reset(&buf);
    assert_true(buf_puts(&buf, "12345"));
    assert_holds(&buf, "12345");
    buf_release(&buf);
}

static void a_released_buffer_may_be_used_again(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 3);
    assert_false(buf_puts(&buf, "long"));
    buf_release(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.limit_bytes, 3);
    assert_true(buf_puts(&buf, "abc"));
    buf_release(&buf);
}

static void each_append_adds_what_it_says(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    assert_true(buf_append(&buf, NULL, 0));
    assert_true(buf_append(&buf, "ab\0c", 2));
    assert_true(buf_puts(&buf, "-"));
    assert_true(buf_putc(&buf, 'x'));
    assert_true(buf_slice(&buf, slice_of("yz")));
    assert_true(buf_slice(&buf, slice_make(NULL, 0)));
    assert_true(buf_u64(&buf, 0));
    assert_true(buf_putc(&buf, ' '));
    assert_true(buf_u64(&buf, UINT64_MAX));
    assert_true(buf_printf(&buf, " %d %s", -7, "end"));
    assert_holds(&buf, "ab-xyz0 18446744073709551615 -7 end");
    buf_release(&buf);
}

static void contents_survive_growth(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    for (unsigned i = 0; i < 100000; i++)
        assert_true(buf_putc(&buf, (char)('a' + i % 26)));
    assert_int_equal(buf.len, 100000);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(buf.data[i], 'a' + i % 26);
    buf_release(&buf);
}

static void formatted_text_may_fill_the_buffer_exactly(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 6);
    assert_true(buf_printf(&buf, "%s", "123456"));
    assert_holds(&buf, "123456");
    assert_true(buf_printf(&buf, "%s", ""));
    assert_false(buf_printf(&buf, "%c", '7'));
    assert_holds(&buf, "123456");
    buf_release(&buf);
}

static void memory_never_grows_far_past_the_limit(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    for (int i = 0; i < 200; i++)
        (void)buf_putc(&buf, 'x');
    assert_int_equal(buf.len, 100);
    assert_in_range(buf.cap, 100, 101);
    buf_release(&buf);
}

static void reserved_room_is_counted_by_the_caller(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    char *room = buf_reserve(&buf, 10);
    assert_non_null(room);
    assert_int_equal(buf.len, 0);
    for (int i = 0; i < 3; i++)
        room[i] = (char)('a' + i);
    buf.len += 3;
    assert_null(buf_reserve(&buf, 8));
    assert_true(buf.failed);
    assert_holds(&buf, "abc");
    buf_release(&buf);
}

static void a_huge_reserve_does_not_wrap_around(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    assert_true(buf_puts(&buf, "abc"));
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_null(buf_reserve(&buf, SIZE_MAX - 2));
    buf_release(&buf);
}

static void consuming_drops_from_the_front(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    buf_puts(&buf, "abcdef");
    buf_consume(&buf, 2);
    assert_holds(&buf, "cdef");
    buf_consume(&buf, 0);
    assert_holds(&buf, "cdef");
    buf_consume(&buf, 99);
    assert_holds(&buf, "");
    buf_release(&buf);
}

static void text_of_an_empty_buffer_is_empty(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    assert_string_equal(buf_text(&buf), "");
    assert_int_equal(buf.len, 0);
    assert_false(buf_putc(&buf, 'x'));
    buf_release(&buf);
}

static void sharing_copies_the_contents_and_resets_the_buffer(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 4);
    buf_puts(&buf, "abc");
    (void)buf_puts(&buf, "too long");
    struct bytes *bytes = buf_share(&buf);
    assert_int_equal(bytes->len, 3);
    assert_memory_equal(bytes->data, "abc", 3);
    assert_int_equal(buf.len, 0);
    assert_false(buf.failed);
    assert_int_equal(buf_view(&buf).len, 0);
    bytes_unref(bytes);

    bytes = buf_share(&buf);
    assert_int_equal(bytes->len, 0);
    bytes_unref(bytes);
    buf_release(&buf);
}

static void bytes_live_until_the_last_reference_goes(void **state)
{
    (void)state;
    struct bytes *bytes = bytes_copy("shared", 6);
    assert_int_equal(bytes->refs, 1);
    assert_int_equal(bytes->frames, 0);
    assert_ptr_equal(bytes_ref(bytes), bytes);
    bytes_unref(bytes);
    assert_memory_equal(bytes->data, "shared", 6);
    bytes_unref(bytes);
    bytes_unref(NULL);
}

static void new_bytes_have_the_length_asked_for(void **state)
{
    (void)state;
    struct bytes *bytes = bytes_new(3);
    assert_int_equal(bytes->len, 3);
    memcpy(bytes->data, "xyz", 3);
    bytes_unref(bytes);
    bytes = bytes_copy(NULL, 0);
    assert_int_equal(bytes->len, 0);
    bytes_unref(bytes);
}

static void new_memory_is_zeroed_even_when_none_is_asked_for(void **state)
{
    (void)state;
    char *memory = mem_array(3, 5);
    for (int i = 0; i < 15; i++)
        assert_int_equal(memory[i], 0);
    memory = mem_resize(memory, 100);
    free(memory);
    memory = mem_new(0);
    assert_non_null(memory);
    free(memory);
    char *text = mem_text(slice_make("abcdef", 3));
    assert_string_equal(text, "abc");
    free(text);
    text = mem_text(slice_make(NULL, 0));
    assert_string_equal(text, "");
    free(text);
}

static void slices_compare_by_content(void **state)
{
    (void)state;
    assert_true(slice_is(slice_of("abc"), "abc"));
    assert_false(slice_is(slice_of("abc"), "abcd"));
    assert_true(slice_is(slice_of(NULL), ""));
    assert_true(slice_equal(slice_make(NULL, 0), slice_make("x", 0)));
    assert_false(slice_equal(slice_of("abc"), slice_of("abd")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_append_past_the_limit_adds_nothing_and_sticks),
        cmocka_unit_test(a_released_buffer_may_be_used_again),
        cmocka_unit_test(each_append_adds_what_it_says),
        cmocka_unit_test(contents_survive_growth),
        cmocka_unit_test(formatted_text_may_fill_the_buffer_exactly),
        cmocka_unit_test(memory_never_grows_far_past_the_limit),
        cmocka_unit_test(reserved_room_is_counted_by_the_caller),
        cmocka_unit_test(a_huge_reserve_does_not_wrap_around),
        cmocka_unit_test(consuming_drops_from_the_front),
        cmocka_unit_test(text_of_an_empty_buffer_is_empty),
        cmocka_unit_test(sharing_copies_the_contents_and_resets_the_buffer),
        cmocka_unit_test(bytes_live_until_the_last_reference_goes),
        cmocka_unit_test(new_bytes_have_the_length_asked_for),
        cmocka_unit_test(new_memory_is_zeroed_even_when_none_is_asked_for),
        cmocka_unit_test(slices_compare_by_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
