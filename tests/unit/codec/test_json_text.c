/* test_json_text.c - string contents: escaped, unescaped, compared. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define FFFD "\xef\xbf\xbd"

static void assert_escaped(struct slice text, const char *expected)
{
    struct buf out;
    buf_init(&out, 1000);
    assert_true(json_escape(&out, text));
    assert_string_equal(buf_text(&out), expected);
    buf_release(&out);
}

static void assert_unescaped(const char *raw, const char *expected)
{
    struct buf out;
    buf_init(&out, 1000);
    assert_true(json_unescape(&out, slice_of(raw)));
    assert_string_equal(buf_text(&out), expected);
    buf_release(&out);
}

static void only_what_json_requires_is_escaped(void **state)
{
    (void)state;
    assert_escaped(slice_of(""), "");
    assert_escaped(slice_of("plain / text \x7f"), "plain / text \x7f");
    assert_escaped(slice_of("a\"b\\c"), "a\\\"b\\\\c");
    assert_escaped(slice_of("\b\f\n\r\t"), "\\b\\f\\n\\r\\t");
    assert_escaped(slice_make("\0\x01\x1f", 3), "\\u0000\\u0001\\u001f");
    assert_escaped(slice_of("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"),
                   "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
    assert_escaped(slice_make(NULL, 0), "");
}

static void line_separators_are_escaped_and_their_neighbours_are_not(void **state)
{
    (void)state;
    assert_escaped(slice_of("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"),
                   "\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa");
}

static void invalid_utf8_becomes_the_replacement(void **state)
{
    (void)state;
    assert_escaped(slice_of("a\xff"
                            "b"),
                   "a" FFFD "b");
    assert_escaped(slice_of("\xe2\x82"), FFFD);
    assert_escaped(slice_of("\xed\xa0\x80"), FFFD FFFD FFFD);
    assert_escaped(slice_of("\xf0\x9f\x98\"x"), FFFD "\\\"x");
}

static void a_special_byte_is_found_at_every_distance(void **state)
{
    (void)state;
    static const struct {
        char byte;
        const char *escaped;
    } cases[] = {{'"', "\\\""},
                 {'\\', "\\\\"},
                 {'\n', "\\n"},
                 {'\x1f', "\\u001f"},
                 {'\xff', FFFD}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        for (size_t at = 0; at < 24; at++) {
            char text[25];
            struct buf expected;
            memset(text, '!', 24);
            text[at] = cases[c].byte;
            buf_init(&expected, 100);
            buf_append(&expected, "!!!!!!!!!!!!!!!!!!!!!!!!", at);
            buf_puts(&expected, cases[c].escaped);
            buf_append(&expected, "!!!!!!!!!!!!!!!!!!!!!!!!", 23 - at);
            assert_escaped(slice_make(text, 24), buf_text(&expected));
            buf_release(&expected);
        }
    }
}

static void every_byte_comes_back_from_escaping(void **state)
{
    (void)state;
    struct buf text;
    struct buf quoted;
    struct buf back;
    buf_init(&text, 1000);
    buf_init(&quoted, 10000);
    buf_init(&back, 1000);
    for (int byte = 0; byte < 0x80; byte++) {
        buf_putc(&text, (char)byte);
        buf_puts(&text, "\xe2\x80\xa8");
    }
    assert_true(json_quote(&quoted, buf_view(&text)));
    assert_true(json_check(buf_view(&quoted)));
    assert_true(json_unescape(&back, json_string_raw(buf_view(&quoted))));
    assert_int_equal(back.len, text.len);
    assert_memory_equal(back.data, text.data, text.len);
    buf_release(&text);
    buf_release(&quoted);
    buf_release(&back);
}

static void quoting_adds_the_quotes(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10);
    assert_true(json_quote(&out, slice_of("a\"")));
    assert_string_equal(buf_text(&out), "\"a\\\"\"");
    buf_reset(&out);
    assert_false(json_quote(&out, slice_of("ten bytes!")));
    buf_release(&out);
}

static void escapes_are_resolved(void **state)
{
    (void)state;
    assert_unescaped("", "");
    assert_unescaped("plain \xe2\x82\xac", "plain \xe2\x82\xac");
    assert_unescaped("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t");
    assert_unescaped("x\\u00e9y\\u20ACz\\u0041", "x\xc3\xa9y\xe2\x82\xaczA");
    assert_unescaped("\\ud83d\\ude00", "\xf0\x9f\x98\x80");
    assert_unescaped("\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf");
    struct buf out;
    buf_init(&out, 3);
    assert_true(json_unescape(&out, slice_of("a\\u0000b")));
    assert_memory_equal(out.data, "a\0b", 3);
    buf_release(&out);
}

static void lone_surrogates_become_the_replacement(void **state)
{
    (void)state;
    assert_unescaped("\\ud83d", FFFD);
    assert_unescaped("\\ude00", FFFD);
    assert_unescaped("\\ude00\\ud83d", FFFD FFFD);
    assert_unescaped("\\ud83dx\\ude00", FFFD "x" FFFD);
    assert_unescaped("\\ud83d\\u0041", FFFD "A");
    assert_unescaped("\\ud83d\\ud83d\\ude00", FFFD "\xf0\x9f\x98\x80");
    assert_unescaped("\\ud83d\\n", FFFD "\n");
}

static void a_broken_escape_stays_inside_its_text(void **state)
{
    (void)state;
    assert_unescaped("\\", FFFD);
    assert_unescaped("a\\u", "a" FFFD);
    assert_unescaped("\\u123", FFFD);
    assert_unescaped("\\q.", FFFD ".");
    assert_unescaped("\\ud83d\\u12", FFFD FFFD);
}

static void raw_text_is_compared_decoded(void **state)
{
    (void)state;
    assert_true(json_raw_is(slice_of("connect"), "connect"));
    assert_true(json_raw_is(slice_of("\\u0063onnec\\u0074"), "connect"));
    assert_true(json_raw_is(slice_of(""), ""));
    assert_true(json_raw_is(slice_of("a\\/b\\\"c"), "a/b\"c"));
    assert_false(json_raw_is(slice_of("connec"), "connect"));
    assert_false(json_raw_is(slice_of("connect_"), "connect"));
    assert_false(json_raw_is(slice_of("connec\\u0054"), "connect"));
    assert_false(json_raw_is(slice_of("connec\\"), "connect"));
    assert_false(json_raw_is(slice_of("connect\\u0000"), "connect"));
}

static void the_inside_of_a_string_is_without_quotes(void **state)
{
    (void)state;
    assert_true(slice_is(json_string_raw(slice_of("\"a\\n\"")), "a\\n"));
    assert_int_equal(json_string_raw(slice_of("\"\"")).len, 0);
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 3);
    assert_false(json_escape(&out, slice_of("ab\n")));
    buf_reset(&out);
    assert_false(json_unescape(&out, slice_of("abcd")));
    buf_reset(&out);
    assert_false(json_unescape(&out, slice_of("ab\\u20ac")));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_json_requires_is_escaped),
        cmocka_unit_test(line_separators_are_escaped_and_their_neighbours_are_not),
        cmocka_unit_test(invalid_utf8_becomes_the_replacement),
        cmocka_unit_test(a_special_byte_is_found_at_every_distance),
        cmocka_unit_test(every_byte_comes_back_from_escaping),
        cmocka_unit_test(quoting_adds_the_quotes),
        cmocka_unit_test(escapes_are_resolved),
        cmocka_unit_test(lone_surrogates_become_the_replacement),
        cmocka_unit_test(a_broken_escape_stays_inside_its_text),
        cmocka_unit_test(raw_text_is_compared_decoded),
        cmocka_unit_test(the_inside_of_a_string_is_without_quotes),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
