/* test_fire_case.c - the questions of the fire test, and the names of its report. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "codec/json.h"
#include "emitters/cli/fire.h"

#include "tests.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct fire_case *named(const char *name)
{
    int at = fire_case_find(name);

    assert_in_range(at, 0, FIRE_CASES - 1);
    return &fire_cases[at];
}

static size_t chars_of(const struct fire_case *which, size_t step, size_t limit)
{
    struct buf message;
    size_t chars;

    buf_init(&message, 64U << 20);
    fire_case_message(which, step, limit, &message);
    assert_true(utf8_is_valid(message.data, message.len));
    chars = utf8_length(message.data, message.len);
    assert_true(which->asks != NULL ||
                message.len > chars); /* bytes are not characters */
    buf_release(&message);
    return chars;
}

static void the_cases_have_the_names_of_the_requirement(void **state)
{
    (void)state;
    static const char *const names[FIRE_CASES] = {
        "basic_math_chat", "reasoning_short",   "planning",
        "long_context",    "autonomous_simple", "multi_step"};

    for (size_t i = 0; i < FIRE_CASES; i++) {
        assert_string_equal(fire_cases[i].name, names[i]);
        assert_int_equal(fire_case_find(names[i]), i);
    }
    assert_int_equal(fire_case_find("basic"), -1);
    assert_string_equal(named("autonomous_simple")->mode, "autonomous");
    assert_int_equal(fire_case_steps(named("multi_step"), 16000), 3);
    assert_int_equal(fire_case_steps(named("planning"), 16000), 1);
}

static void long_context_has_exactly_the_sizes_up_to_the_limit(void **state)
{
    (void)state;
    static const struct {
        size_t limit;
        size_t sizes[5];
    } rows[] = {
        {16000, {4000, 8000, 12000, 16000}},
        {32000, {4000, 8000, 12000, 32000}},
        {12000, {4000, 8000, 12000}},
        {12001, {4000, 8000, 12000, 12001}},
        {4000, {4000}},
        {FIRE_LIMIT_MIN, {FIRE_LIMIT_MIN}},
    };
    const struct fire_case *which = named("long_context");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t steps = fire_case_steps(which, rows[i].limit);
        for (size_t step = 0; step < steps; step++)
            assert_int_equal(chars_of(which, step, rows[i].limit), rows[i].sizes[step]);
        assert_int_equal(rows[i].sizes[steps], 0);
    }
}

static void no_question_is_longer_than_the_smallest_limit(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIRE_CASES; i++) {
        for (size_t step = 0; step < fire_case_steps(&fire_cases[i], FIRE_LIMIT_MIN);
             step++)
            assert_in_range(chars_of(&fire_cases[i], step, FIRE_LIMIT_MIN), 1,
                            FIRE_LIMIT_MIN);
    }
}

static void a_body_is_json_with_or_without_what_came_earlier(void **state)
{
    (void)state;
    struct fire_wish wish = {
        .which = named("multi_step"),
        .message = slice_of("and \"now\"?"),
        .model = "",
        .conversation_id = "c",
    };
    struct buf earlier;
    struct buf body;

    buf_init(&earlier, 65536);
    buf_init(&body, 65536);
    fire_body(&wish, &body);
    assert_string_equal(buf_text(&body),
                        "{\"mode\":\"agent\",\"conversation_id\":\"c\","
                        "\"message\":\"and \\\"now\\\"?\"}");
    fire_earlier_add(&earlier, slice_of("one"), slice_of("1\n"));
    wish.earlier = buf_view(&earlier);
    wish.model = "m";
    buf_reset(&body);
    fire_body(&wish, &body);
    assert_string_equal(
        buf_text(&body),
        "{\"mode\":\"agent\",\"model\":\"m\",\"conversation_id\":\"c\",\"messages\":["
        "{\"role\":\"user\",\"content\":\"one\"},"
        "{\"role\":\"assistant\",\"content\":\"1\\n\"},"
        "{\"role\":\"user\",\"content\":\"and \\\"now\\\"?\"}]}");
    assert_true(json_check(buf_view(&body)));
    buf_release(&earlier);
    buf_release(&body);
}

static void of_a_long_answer_the_end_goes_on_whole_characters(void **state)
{
    (void)state;
    struct buf earlier;
    struct buf answer;

    buf_init(&earlier, 65536);
    buf_init(&answer, 65536);
    buf_putc(&answer, 'x');
    for (unsigned i = 0; i < 2000; i++)
        buf_puts(&answer, "€");
    fire_earlier_add(&earlier, slice_of("q"), buf_view(&answer));
    assert_in_range(earlier.len, 1900, 2100);
    assert_null(strstr(buf_text(&earlier), "\xef\xbf\xbd"));
    buf_release(&earlier);
    buf_release(&answer);
}

static void a_report_is_named_by_folder_file_or_place(void **state)
{
    (void)state;
    static const struct {
        const char *wanted;
        bool is_in_tree;
        const char *name;
    } rows[] = {
        {"", true, "tests/e2e/_reports/chat_fire_test_20261121T061500.123Z.jsonl"},
        {"", false, "chat_fire_test_20261121T061500.123Z.jsonl"},
        {"/tmp/", true, "/tmp/chat_fire_test_20261121T061500.123Z.jsonl"},
        {"a/b", false, "a/b/chat_fire_test_20261121T061500.123Z.jsonl"},
        {"/", false, "/chat_fire_test_20261121T061500.123Z.jsonl"},
        {"a/mine.jsonl", true, "a/mine.jsonl"},
        {"mine.json", true, "mine.json"},
    };
    struct buf name;

    buf_init(&name, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_reset(&name);
        fire_file_name(rows[i].wanted, rows[i].is_in_tree, UINT64_C(1795241700123),
                       &name);
        assert_string_equal(buf_text(&name), rows[i].name);
    }
    buf_release(&name);
}

int run_fire_case_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cases_have_the_names_of_the_requirement),
        cmocka_unit_test(long_context_has_exactly_the_sizes_up_to_the_limit),
        cmocka_unit_test(no_question_is_longer_than_the_smallest_limit),
        cmocka_unit_test(a_body_is_json_with_or_without_what_came_earlier),
        cmocka_unit_test(of_a_long_answer_the_end_goes_on_whole_characters),
        cmocka_unit_test(a_report_is_named_by_folder_file_or_place),
    };

    return cmocka_run_group_tests_name("fire: questions", tests, NULL, NULL);
}
