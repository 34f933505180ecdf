/* test_trim.c - repeated beginnings, and where an answer was cut off. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/cut.h"
#include "emitters/worker/trim.h"

#include "tests.h"

static void check_with(const char *said, const char *more, const char *told,
                       bool is_restart)
{
    struct slice text = slice_of(more);

    for (size_t piece = 1; piece <= text.len + 1; piece++) {
        struct trim trim;
        struct buf out;
        buf_init(&out, 10000);
        trim_init(&trim, slice_of(said), is_restart);
        for (size_t at = 0; at < text.len; at += piece) {
            size_t left = text.len - at;
            trim_feed(&trim, slice_make(text.ptr + at, left < piece ? left : piece),
                      &out);
        }
        trim_end(&trim, &out);
        assert_true(trim_is_decided(&trim));
        assert_string_equal(buf_text(&out), told);
        assert_int_equal(trim.trimmed_bytes, strlen(more) - strlen(told));
        trim_release(&trim);
        buf_release(&out);
    }
}

static void check(const char *said, const char *more, const char *told)
{
    check_with(said, more, told, false);
}

static void a_repeat_of_the_end_is_trimmed(void **state)
{
    (void)state;
    check("The cat sat on the mat and then", "on the mat and then it slept",
          " it slept");
    check("The cat sat on the mat and then", "on the mat and then", "");
    check("one two three four", "three four five", " five");
    check("\xc3\xa9t\xc3\xa9 et printemps, ", "et printemps, hiver", "hiver");
    check("The cat sat on", "\n\nThe cat sat on a mat", " a mat");
    check("\n The cat sat on", "The cat sat on a mat", " a mat");
}

static void the_longest_repeat_counts(void **state)
{
    (void)state;
    check("la la la la la la la ", "la la la la la la la la", "la");
    check("abcdefghijkl abcdefghijkl", "abcdefghijkl abcdefghijkl!", "!");
    check("x abcdefghijkl abcdefghijkl", "abcdefghijkl x", " x");
}

static void what_is_no_repeat_goes_through(void **state)
{
    (void)state;
    check("The cat sat on the mat", " and slept", " and slept");
    check("The cat sat on the mat", "The dog", "The dog");
    check("The cat sat on the mat", "on the", "on the");
    check("The cat sat on the mat", "", "");
    check("The cat sat on the mat", "  \n", "  \n");
    check("", "anything", "anything");
}

static void a_short_repeat_is_chance(void **state)
{
    (void)state;
    check("he said ha", "ha ha", "ha ha");
    check("the end of the", "the road", "the road");
    check("<td></td>\n<td>ab</td>", "<td>ab</td>", "<td>ab</td>");
    check("Hel", "Hello", "Hello");
    check("Hell", "Hello", "o");
}

static void a_restart_may_repeat_even_little(void **state)
{
    (void)state;
    check_with("H", "Hello", "ello", true);
    check_with("Hello wor", "Hello world", "ld", true);
    check_with("Hello wor", "Goodbye", "Goodbye", true);
}

static void all_of_a_long_text_may_be_repeated(void **state)
{
    struct buf said;
    struct buf more;

    (void)state;
    buf_init(&said, 100000);
    buf_init(&more, 100000);
    for (unsigned i = 0; said.len < (size_t)3 * TRIM_WINDOW; i++)
        buf_printf(&said, "line %u\n", i);
    buf_slice(&more, buf_view(&said));
    buf_puts(&more, "and more");
    struct trim trim;
    struct buf out;
    buf_init(&out, 100000);
    trim_init(&trim, buf_view(&said), true);
    for (size_t at = 0; at < more.len; at += 7) {
        size_t left = more.len - at;
        trim_feed(&trim, slice_make(more.data + at, left < 7 ? left : 7), &out);
    }
    trim_end(&trim, &out);
    assert_string_equal(buf_text(&out), "and more");
    trim_release(&trim);
    buf_release(&out);
    buf_release(&said);
    buf_release(&more);
}

static void much_white_space_is_not_waited_for(void **state)
{
    char spaces[201];

    (void)state;
    memset(spaces, ' ', sizeof(spaces) - 1);
    spaces[sizeof(spaces) - 1] = '\0';
    check("The cat", spaces, spaces);
}

/* ---- cut points ---- */

static void an_end_of_the_model_s_own_breaks_off_only_where_that_shows(void **state)
{
    (void)state;
    assert_false(cut_breaks_off(slice_of("")));
    assert_false(cut_breaks_off(slice_of("42")));
    assert_false(cut_breaks_off(slice_of("A title without an end")));
    assert_false(cut_breaks_off(slice_of("All is well. Very well!")));
    assert_false(cut_breaks_off(slice_of("Pi is 3.14159")));
    assert_true(cut_breaks_off(slice_of("All is well. Very")));
    assert_true(cut_breaks_off(slice_of("\xe3\x81\xaf\xe3\x80\x82 \xe3\x81\xaf")));
    assert_true(cut_breaks_off(slice_of("```c\nint x;\n")));
    assert_false(cut_breaks_off(slice_of("```c\nint x;\n```")));
    assert_true(cut_breaks_off(slice_of("1. one\n2.")));
}

static enum cut_point point_of(const char *text)
{
    return cut_point_of(slice_of(text));
}

static void where_an_answer_was_cut_is_seen(void **state)
{
    (void)state;
    assert_int_equal(point_of(""), CUT_NOWHERE);
    assert_int_equal(point_of("All is well."), CUT_NOWHERE);
    assert_int_equal(point_of("\"All is well!\"\n"), CUT_NOWHERE);
    assert_int_equal(point_of("**Really?**"), CUT_NOWHERE);
    assert_int_equal(point_of("\xe7\xb5\x82\xe3\x80\x82"), CUT_NOWHERE);
    assert_int_equal(point_of("```c\nint x;\n```"), CUT_NOWHERE);
    assert_int_equal(point_of("All is"), CUT_SENTENCE);
    assert_int_equal(point_of("These are:"), CUT_SENTENCE);
    assert_int_equal(point_of("One.\nTwo"), CUT_SENTENCE);
    assert_int_equal(point_of("List:\n- one\n- tw"), CUT_LIST);
    assert_int_equal(point_of("1. one\n2."), CUT_LIST);
    assert_int_equal(point_of("1) one\n  2) two"), CUT_LIST);
    assert_int_equal(point_of("* one.\n"), CUT_LIST);
    assert_int_equal(point_of("In\n2024 it was"), CUT_SENTENCE);
    assert_int_equal(point_of("Code:\n```c\nint x."), CUT_CODE);
    assert_int_equal(point_of("````\n```\nx\n```\n"), CUT_CODE);
    assert_int_equal(point_of("~~~\n```\n~~~\nDone."), CUT_NOWHERE);
    assert_int_equal(point_of("```\na\n```\n```\nb"), CUT_CODE);
    assert_int_equal(point_of("inline ``` is nothing."), CUT_NOWHERE);
}

static void an_incomplete_ending_is_seen(void **state)
{
    (void)state;
    assert_false(cut_is_incomplete(slice_of("")));
    assert_false(cut_is_incomplete(slice_of("All is well.")));
    assert_true(cut_is_incomplete(slice_of("All is")));
    assert_true(cut_is_incomplete(slice_of("- one\n- tw")));
    assert_false(cut_is_incomplete(slice_of("- one\n- two\n")));
    assert_false(cut_is_incomplete(slice_of("- one\n- Two.")));
    assert_true(cut_is_incomplete(slice_of("1. one\n2.")));
    assert_true(cut_is_incomplete(slice_of("- one\n-\n")));
    assert_true(cut_is_incomplete(slice_of("```\nx\n")));
}

static void each_point_has_its_own_instruction(void **state)
{
    (void)state;
    for (unsigned a = 0; a <= CUT_CODE; a++) {
        assert_non_null(strstr(cut_instruction((enum cut_point)a), "not repeat"));
        for (unsigned b = 0; b < a; b++) {
            assert_string_not_equal(cut_instruction((enum cut_point)a),
                                    cut_instruction((enum cut_point)b));
            assert_string_not_equal(cut_point_name((enum cut_point)a),
                                    cut_point_name((enum cut_point)b));
        }
    }
}

static void a_tail_is_counted_in_characters_and_begins_a_word(void **state)
{
    (void)state;
    struct slice all = slice_of("\xc3\xa9\xc3\xa8\xf0\x9f\x92\xa1z");
    assert_true(slice_is(cut_tail(all, 4), all.ptr));
    assert_true(slice_is(cut_tail(all, 2), "\xf0\x9f\x92\xa1z"));
    assert_int_equal(cut_tail(all, 0).len, 0);
    assert_true(slice_is(cut_tail(slice_of("hello big world and more"), 20),
                         "big world and more"));
    assert_true(slice_is(cut_tail(slice_of("xy big world and more of it"), 26),
                         "big world and more of it"));
}

int test_trim(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repeat_of_the_end_is_trimmed),
        cmocka_unit_test(the_longest_repeat_counts),
        cmocka_unit_test(what_is_no_repeat_goes_through),
        cmocka_unit_test(a_short_repeat_is_chance),
        cmocka_unit_test(a_restart_may_repeat_even_little),
        cmocka_unit_test(all_of_a_long_text_may_be_repeated),
        cmocka_unit_test(much_white_space_is_not_waited_for),
        cmocka_unit_test(where_an_answer_was_cut_is_seen),
        cmocka_unit_test(an_incomplete_ending_is_seen),
        cmocka_unit_test(an_end_of_the_model_s_own_breaks_off_only_where_that_shows),
        cmocka_unit_test(each_point_has_its_own_instruction),
        cmocka_unit_test(a_tail_is_counted_in_characters_and_begins_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
