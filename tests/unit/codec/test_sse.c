/* test_sse.c - server-sent events and HTTP chunks, as they are written. */
/* SPDX-License-Identifier: MIT */
#include "codec/sse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_event(const char *event, const char *id, struct slice data,
                         const char *expected)
{
    struct buf out;
    buf_init(&out, 1000);
    assert_true(sse_event(&out, slice_of(event), slice_of(id), data));
    assert_string_equal(buf_text(&out), expected);
    buf_release(&out);
}

static void an_event_has_its_fields_in_order(void **state)
{
    (void)state;
    assert_event("ai_progress", "17-3", slice_of("{\"a\":1}"),
                 "event: ai_progress\nid: 17-3\ndata: {\"a\":1}\n\n");
    assert_event("", "", slice_of("x"), "data: x\n\n");
    assert_event("e", "", slice_of("x"), "event: e\ndata: x\n\n");
    assert_event(NULL, "1", slice_of("x"), "id: 1\ndata: x\n\n");
}

static void empty_data_is_still_an_event(void **state)
{
    (void)state;
    assert_event("end", "", slice_make(NULL, 0), "event: end\ndata: \n\n");
}

static void data_is_split_at_every_kind_of_line_end(void **state)
{
    (void)state;
    assert_event("", "", slice_of("a\nb"), "data: a\ndata: b\n\n");
    assert_event("", "", slice_of("a\rb"), "data: a\ndata: b\n\n");
    assert_event("", "", slice_of("a\r\nb"), "data: a\ndata: b\n\n");
    assert_event("", "", slice_of("a\n\rb"), "data: a\ndata: \ndata: b\n\n");
    assert_event("", "", slice_of("a\n"), "data: a\ndata: \n\n");
    assert_event("", "", slice_of("a\r"), "data: a\ndata: \n\n");
    assert_event("", "", slice_of("\r\n"), "data: \ndata: \n\n");
    assert_event("", "", slice_of("a\nb\rc\r\nd"),
                 "data: a\ndata: b\ndata: c\ndata: d\n\n");
}

static void comments_and_retry_are_written(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100);
    assert_true(sse_comment(&out, slice_of("heartbeat 123")));
    assert_true(sse_comment(&out, slice_make(NULL, 0)));
    assert_true(sse_retry(&out, 2500));
    assert_string_equal(buf_text(&out), ": heartbeat 123\n\n: \n\nretry: 2500\n\n");
    buf_release(&out);
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 8);
    assert_false(sse_event(&out, slice_of(""), slice_of(""), slice_of("abc")));
    buf_reset(&out);
    assert_false(sse_comment(&out, slice_of("too long")));
    buf_reset(&out);
    assert_false(sse_retry(&out, 1));
    buf_release(&out);
}

static void what_lies_behind_start_becomes_one_chunk(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    buf_puts(&out, "head");
    assert_true(chunk_wrap(&out, 4));
    assert_string_equal(buf_text(&out), "head");
    buf_puts(&out, "0123456789");
    assert_true(chunk_wrap(&out, 4));
    assert_string_equal(buf_text(&out), "heada\r\n0123456789\r\n");
    size_t start = out.len;
    for (int i = 0; i < 0x1f3; i++)
        buf_putc(&out, 'x');
    assert_true(chunk_wrap(&out, start));
    assert_int_equal(out.len, start + 5 + 0x1f3 + 2);
    assert_memory_equal(out.data + start, "1f3\r\nx", 6);
    assert_memory_equal(out.data + out.len - 3, "x\r\n", 3);
    assert_string_equal(CHUNK_LAST, "0\r\n\r\n");
    buf_release(&out);
}

static void a_chunk_that_does_not_fit_is_told(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 8);
    buf_puts(&out, "abcd");
    assert_false(chunk_wrap(&out, 0));
    assert_true(out.failed);
    assert_false(chunk_wrap(&out, 0));
    assert_string_equal(buf_text(&out), "abcd");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_has_its_fields_in_order),
        cmocka_unit_test(empty_data_is_still_an_event),
        cmocka_unit_test(data_is_split_at_every_kind_of_line_end),
        cmocka_unit_test(comments_and_retry_are_written),
        cmocka_unit_test(a_full_buffer_is_told),
        cmocka_unit_test(what_lies_behind_start_becomes_one_chunk),
        cmocka_unit_test(a_chunk_that_does_not_fit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
