/* test_buf.c - buffers keep their limit; bytes are shared, not copied. */
/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

static void an_append_past_the_limit_adds_nothing_and_sticks(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    assert_true(buf_puts(&buf, "four"));
    assert_false(buf_puts(&buf, "no"));
    assert_true(buf.failed);
    assert_false(buf_putc(&buf, '!'));
    assert_string_equal(buf_text(&buf), "four");
    buf_reset(&buf);
    assert_true(buf_puts(&buf, "12345"));
    assert_string_equal(buf_text(&buf), "12345");
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_append_past_the_limit_adds_nothing_and_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
