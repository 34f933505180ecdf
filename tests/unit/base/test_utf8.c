/* test_utf8.c - UTF-8 against the tables of RFC 3629 and the Unicode Standard. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define FFFD "\xef\xbf\xbd"

static void assert_repaired(const char *data, size_t len, const char *expected)
{
    struct buf out;
    buf_init(&out, 200);
    assert_true(utf8_repair(&out, data, len));
    assert_string_equal(buf_text(&out), expected);
    buf_release(&out);
}

static void every_code_point_survives_a_round_trip(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 8);
    for (uint32_t code_point = 0; code_point <= 0x10ffff; code_point++) {
        if (code_point >= 0xd800 && code_point <= 0xdfff)
            continue;
        uint32_t back;
        buf_reset(&out);
        assert_true(utf8_put(&out, code_point));
        if (utf8_next(out.data, out.len, &back) != out.len || back != code_point)
            fail_msg("U+%04X", (unsigned)code_point);
        if (!utf8_is_valid(out.data, out.len) || utf8_length(out.data, out.len) != 1)
            fail_msg("U+%04X", (unsigned)code_point);
        size_t units = code_point > 0xffff ? 2 : 1;
        assert_int_equal(utf8_utf16_length(out.data, out.len), units);
    }
    buf_release(&out);
}

static void surrogates_and_what_is_no_code_point_become_the_replacement(void **state)
{
    (void)state;
    const uint32_t bad[] = {0xd800, 0xdbff, 0xdc00, 0xdfff, 0x110000, UTF8_INVALID};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf out;
        buf_init(&out, 8);
        assert_true(utf8_put(&out, bad[i]));
        assert_string_equal(buf_text(&out), FFFD);
        buf_release(&out);
    }
}

static void what_rfc_3629_forbids_is_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",                 /* a continuation alone */
        "\xbf",                 /* another */
        "\xc0\xaf",             /* overlong slash */
        "\xc1\xbf",             /* overlong */
        "\xc3",                 /* cut short */
        "\xc3(",                /* no continuation */
        "\xe0\x80\xaf",         /* overlong */
        "\xe0\x9f\xbf",         /* overlong */
        "\xed\xa0\x80",         /* first surrogate */
        "\xed\xbf\xbf",         /* last surrogate */
        "\xe2\x82",             /* cut short */
        "\xf0\x80\x80\xaf",     /* overlong */
        "\xf0\x8f\xbf\xbf",     /* overlong */
        "\xf4\x90\x80\x80",     /* U+110000 */
        "\xf5\x80\x80\x80",     /* no lead byte any more */
        "\xf8\x88\x80\x80\x80", /* five bytes */
        "\xfe",
        "\xff",
        "\xf0\x9f\x98", /* cut short */
        "plain text up to here, then \xff",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (utf8_is_valid(bad[i], strlen(bad[i])))
            fail_msg("case %zu", i);
    }
}

static void the_edges_of_each_length_are_valid(void **state)
{
    (void)state;
    static const char text[] =
        "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"
        "\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";
    assert_true(utf8_is_valid(text, sizeof(text)));
    assert_true(utf8_is_valid(NULL, 0));
    assert_true(utf8_is_valid("\0", 1));
    assert_int_equal(utf8_length(text, sizeof(text) - 1), 9);
    assert_int_equal(utf8_utf16_length(text, sizeof(text) - 1), 11);
}

static void a_bad_byte_is_found_at_every_distance(void **state)
{
    (void)state;
    char text[40];
    for (size_t len = 1; len <= sizeof(text); len++) {
        for (size_t at = 0; at < len; at++) {
            memset(text, 'a', sizeof(text));
            assert_true(utf8_is_valid(text, len));
            text[at] = (char)0x80;
            assert_false(utf8_is_valid(text, len));
        }
    }
}

static void length_counts_code_points_and_utf16_units(void **state)
{
    (void)state;
    const char *text = "a\xe2\x82\xac\xf0\x9f\x98\x80";
    assert_int_equal(utf8_length(text, strlen(text)), 3);
    assert_int_equal(utf8_utf16_length(text, strlen(text)), 4);
    assert_int_equal(utf8_length(NULL, 0), 0);
    assert_int_equal(utf8_utf16_length(NULL, 0), 0);
}

/* The Unicode Standard 15, section 3.9, tables 3-8 to 3-11. */
static void repair_replaces_each_maximal_part_as_browsers_do(void **state)
{
    (void)state;
    assert_repaired("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", 9,
                    FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A");
    assert_repaired("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", 9,
                    FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A");
    assert_repaired("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", 9,
                    FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B");
    assert_repaired("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9, FFFD FFFD FFFD FFFD "A");
}

static void repair_leaves_valid_text_alone_and_marks_a_cut_end(void **state)
{
    (void)state;
    assert_repaired("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
    assert_repaired("abc\xe2\x82", 5, "abc" FFFD);
    assert_repaired("", 0, "");
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 2);
    assert_false(utf8_put(&out, 0x20ac));
    buf_reset(&out);
    assert_false(utf8_repair(&out, "\xff", 1));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_survives_a_round_trip),
        cmocka_unit_test(surrogates_and_what_is_no_code_point_become_the_replacement),
        cmocka_unit_test(what_rfc_3629_forbids_is_invalid),
        cmocka_unit_test(the_edges_of_each_length_are_valid),
        cmocka_unit_test(a_bad_byte_is_found_at_every_distance),
        cmocka_unit_test(length_counts_code_points_and_utf16_units),
        cmocka_unit_test(repair_replaces_each_maximal_part_as_browsers_do),
        cmocka_unit_test(repair_leaves_valid_text_alone_and_marks_a_cut_end),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
