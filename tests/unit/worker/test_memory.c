/* test_memory.c - what is asked of a memory service, and what is taken of its answer. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/memory.h"

#include "tests.h"

#include <string.h>

static struct memory_settings standard(void)
{
    return (struct memory_settings){
        .top_k = 3, .token_budget = 20, .clip_sentences = 2, .min_score_percent = 70};
}

/* What the model is told behind the heading. */
static void check(const struct memory_settings *settings, const char *json,
                  const char *told, size_t count)
{
    struct memory_found found;
    struct buf out;

    buf_init(&out, 100000);
    assert_true(memory_read(settings, slice_of(json), &out, &found));
    assert_int_equal(found.count, count);
    assert_int_equal(found.text.len, out.len);
    const char *list = strstr(buf_text(&out), ":\n");
    assert_string_equal(list == NULL ? "" : list + 2, told);
    buf_release(&out);
}

static void results_are_clipped_and_weighed(void **state)
{
    struct memory_settings settings = standard();

    (void)state;
    check(&settings,
          "{\"results\":[{\"text\":\"One. Two? Three!\",\"score\":0.7},"
          "{\"content\":\"far\",\"relevance_score\":0.69},{\"memory\":\"no score\"}]}",
          "- One. Two?\n- no score\n", 2);
    check(&settings, "[{\"text\":\"v1.2 of it\\nand \\u00e9\"}]",
          "- v1.2 of it and \xc3\xa9\n", 1);
    settings.clip_sentences = 0;
    check(&settings, "[{\"text\":\"One. Two? Three!\"}]", "- One. Two? Three!\n", 1);
}

static void the_bounds_are_kept_whatever_comes(void **state)
{
    struct memory_settings settings = standard();

    (void)state;
    check(&settings,
          "[{\"text\":\"a\"},{\"text\":\"b\"},{\"text\":\"c\"},{\"text\":\"d\"}]",
          "- a\n- b\n- c\n", 3);
    check(
        &settings,
        "[{\"text\":\"a\",\"tokens\":15},{\"text\":\"b\",\"tokens\":6},{\"text\":\"c\"}]",
        "- a\n", 1);
    check(&settings, "[{\"text\":\"a\",\"tokens\":21}]", "", 0);
    check(&settings, "[7,null,{\"text\":null},{\"text\":\"\"},{\"score\":1}]", "", 0);
    check(&settings, "{\"results\":[]}", "", 0);
}

static void other_documents_are_no_answer(void **state)
{
    static const char *const wrong[] = {
        "", "{", "7", "\"x\"", "{}", "{\"results\":{}}", "<html>"};
    struct memory_settings settings = standard();
    struct memory_found found;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf out;
        buf_init(&out, 1000);
        assert_false(memory_read(&settings, slice_of(wrong[i]), &out, &found));
        buf_release(&out);
    }
}

static void check_query(const char *messages, const char *query)
{
    struct buf out;

    buf_init(&out, MEMORY_QUERY_BYTES);
    memory_query(slice_of(messages), &out);
    assert_string_equal(buf_text(&out), query);
    buf_release(&out);
}

static void the_last_words_of_the_user_are_asked_about(void **state)
{
    (void)state;
    check_query(
        "[{\"role\":\"user\",\"content\":\"old\"},{\"role\":\"user\",\"content\":"
        "\"a\\u00e9\"},{\"role\":\"assistant\",\"content\":\"x\"}]",
        "a\xc3\xa9");
    check_query("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
                "{\"type\":\"image_url\"},{\"type\":\"text\",\"text\":\"b\"}]}]",
                "ab");
    check_query("[{\"role\":\"system\",\"content\":\"x\"}]", "");
    check_query("[{\"role\":\"user\",\"content\":null}]", "");
}

static void a_long_question_is_cut_between_characters(void **state)
{
    struct buf messages;
    struct buf out;

    (void)state;
    buf_init(&messages, 100000);
    (void)buf_puts(&messages, "[{\"role\":\"user\",\"content\":\"x");
    for (size_t i = 0; i < MEMORY_QUERY_BYTES; i++)
        (void)buf_puts(&messages, "\xc3\xa9");
    (void)buf_puts(&messages, "\"}]");
    buf_init(&out, MEMORY_QUERY_BYTES);
    memory_query(buf_view(&messages), &out);
    assert_int_equal(out.len, MEMORY_QUERY_BYTES - 1);
    assert_false(out.failed);
    buf_release(&out);
    buf_release(&messages);
}

int test_memory(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_clipped_and_weighed),
        cmocka_unit_test(the_bounds_are_kept_whatever_comes),
        cmocka_unit_test(other_documents_are_no_answer),
        cmocka_unit_test(the_last_words_of_the_user_are_asked_about),
        cmocka_unit_test(a_long_question_is_cut_between_characters),
    };

    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
