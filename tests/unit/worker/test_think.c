/* test_think.c - reasoning written into the text, its tags cut anywhere. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/think.h"

#include "base/buf.h"
#include "tests.h"

struct heard {
    struct buf reasoning;
    struct buf text;
};

static void hear(void *ctx, bool is_reasoning, struct slice text)
{
    struct heard *heard = ctx;

    assert_true(text.len > 0);
    buf_slice(is_reasoning ? &heard->reasoning : &heard->text, text);
}

static void check_pieces(struct slice input, size_t piece, const char *reasoning,
                         const char *text)
{
    struct heard heard;
    struct think think;

    buf_init(&heard.reasoning, 1000);
    buf_init(&heard.text, 1000);
    think_init(&think, hear, &heard);
    for (size_t at = 0; at < input.len; at += piece) {
        size_t left = input.len - at;
        think_feed(&think, slice_make(input.ptr + at, left < piece ? left : piece));
    }
    think_end(&think);
    assert_string_equal(buf_text(&heard.reasoning), reasoning);
    assert_string_equal(buf_text(&heard.text), text);
    buf_release(&heard.reasoning);
    buf_release(&heard.text);
}

static void check(const char *input, const char *reasoning, const char *text)
{
    for (size_t piece = 1; piece <= strlen(input) + 1; piece++)
        check_pieces(slice_of(input), piece, reasoning, text);
}

static void a_block_at_the_beginning_is_reasoning(void **state)
{
    (void)state;
    check("<think>why</think>because", "why", "because");
    check("<think>\nwhy\n</think>\n\nbecause", "why\n", "because");
    check("\n <think>why</think> because", "why", "because");
    check("<think>a</think><think>b</think>c", "ab", "c");
    check("<think>a</think>\n<think>b</think>\nc", "ab", "c");
    check("<think></think>c", "", "c");
    check("<think>\n\n</think>\n\nc", "", "c");
}

static void a_tag_within_the_answer_is_text(void **state)
{
    (void)state;
    check("the tag <think> is", "", "the tag <think> is");
    check("a</think>b", "", "a</think>b");
    check("<think>a</think>b <think>c", "a", "b <think>c");
    check("<b>x", "", "<b>x");
    check("  <thin", "", "  <thin");
    check("<<think>x", "", "<<think>x");
}

static void what_only_begins_like_the_closing_tag_is_reasoning(void **state)
{
    (void)state;
    check("<think>a < b </thin> c </</think>d", "a < b </thin> c </", "d");
    check("<think>a <</think>d", "a <", "d");
}

static void a_block_that_is_not_closed_is_reasoning_to_the_end(void **state)
{
    (void)state;
    check("<think>a", "a", "");
    check("<think>a</thin", "a</thin", "");
    check("<think>", "", "");
}

static void white_space_before_an_answer_is_kept_and_bounded(void **state)
{
    char many[200];

    (void)state;
    check("  x", "", "  x");
    check("\n", "", "\n");
    memset(many, ' ', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    check(many, "", many);
}

int test_think(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_at_the_beginning_is_reasoning),
        cmocka_unit_test(a_tag_within_the_answer_is_text),
        cmocka_unit_test(what_only_begins_like_the_closing_tag_is_reasoning),
        cmocka_unit_test(a_block_that_is_not_closed_is_reasoning_to_the_end),
        cmocka_unit_test(white_space_before_an_answer_is_kept_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
