/* test_truth.c - what stands in Redis, out of its own answers. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include "emitters/torture/resp.h"
#include "emitters/torture/truth.h"

#include <stdio.h>

static void put_text(struct buf *out, const char *text)
{
    buf_printf(out, "$%zu\r\n%s\r\n", strlen(text), text);
}

static void put_run(struct buf *out, const char *state, struct slice text)
{
    buf_puts(out, "*2\r\n");
    put_text(out, "900");
    put_text(out, state);
    buf_printf(out, "$%zu\r\n", text.len);
    buf_slice(out, text);
    buf_puts(out, "\r\n$-1\r\n");
}

static void put_entry(struct buf *out, const char *id, const char *json)
{
    buf_puts(out, "*2\r\n");
    put_text(out, id);
    buf_puts(out, "*2\r\n");
    put_text(out, "e");
    put_text(out, json);
}

#define A_TEXT     "{\"type\":\"text\",\"text\":\"a\",\"partial\":true}"
#define RUN_0      "{\"type\":\"text\",\"text\":\"[0:0:0]\",\"partial\":true}"
#define RUN_1      "{\"type\":\"text\",\"text\":\"[0:1:0]\",\"partial\":true}"
#define A_COMPLETE "{\"type\":\"completion\",\"partial\":false}"
#define A_LOSS     "{\"type\":\"error\",\"code\":\"PRODUCER_LOST\"}"

/* Two entries of the run 900 with these seqs. */
static struct truth truth_with(const char *state, const char *const ids[2],
                               const char *const jsons[2])
{
    struct story story;
    struct truth truth;
    struct buf answer;

    story_init(&story, 1, 0, 0);
    buf_init(&answer, 1 << 20);
    put_run(&answer, state, slice_make(story.told[STORY_TEXT].data, 9));
    buf_puts(&answer, "*2\r\n");
    for (int i = 0; i < 2; i++)
        put_entry(&answer, ids[i], jsons[i]);
    assert_true(truth_of(buf_view(&answer), &story, &truth));
    assert_false(truth_of(slice_make(answer.data, answer.len - 3), &story, &truth));
    assert_true(truth_of(buf_view(&answer), &story, &truth));
    buf_release(&answer);
    story_release(&story);
    return truth;
}

static void a_finished_run_is_read(void **state)
{
    struct truth truth =
        truth_with("completed", (const char *const[2]){"900-1", "900-2"},
                   (const char *const[2]){A_TEXT, A_COMPLETE});

    (void)state;
    assert_string_equal(truth.fault, "");
    assert_int_equal(truth.epoch, 900);
    assert_int_equal(truth.outcome, OUTCOME_COMPLETION);
    assert_int_equal(truth.lengths[STORY_TEXT], 9);
    assert_int_equal(truth.lengths[STORY_REASONING], 0);
    assert_true(truth.is_prefix);
}

static void two_ends_of_one_run_are_a_fault(void **state)
{
    struct truth truth = truth_with("error", (const char *const[2]){"900-1", "900-2"},
                                    (const char *const[2]){A_COMPLETE, A_LOSS});

    (void)state;
    assert_string_not_equal(truth.fault, "");
}

static void a_hole_in_the_log_is_a_fault(void **state)
{
    struct truth truth =
        truth_with("completed", (const char *const[2]){"900-1", "900-3"},
                   (const char *const[2]){A_TEXT, A_COMPLETE});

    (void)state;
    assert_string_not_equal(truth.fault, "");
}

static void an_earlier_run_without_an_end_is_a_fault(void **state)
{
    struct truth truth = truth_with("running", (const char *const[2]){"800-1", "900-1"},
                                    (const char *const[2]){RUN_0, RUN_1});

    (void)state;
    assert_string_not_equal(truth.fault, "");
}

static void a_run_that_its_producer_opened_again_has_one_end(void **state)
{
    struct truth truth = truth_with("running", (const char *const[2]){"800-1", "900-1"},
                                    (const char *const[2]){RUN_0, RUN_0});

    (void)state;
    assert_string_equal(truth.fault, "");
}

static void a_state_that_the_log_denies_is_a_fault(void **state)
{
    struct truth truth = truth_with("running", (const char *const[2]){"900-1", "900-2"},
                                    (const char *const[2]){A_TEXT, A_COMPLETE});

    (void)state;
    assert_string_not_equal(truth.fault, "");
}

static void nothing_stored_is_no_run(void **state)
{
    struct story story;
    struct truth truth;

    (void)state;
    story_init(&story, 1, 0, 0);
    assert_true(
        truth_of(slice_of("*2\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n*0\r\n"), &story, &truth));
    assert_int_equal(truth.epoch, 0);
    assert_int_equal(truth.outcome, OUTCOME_NONE);
    assert_string_equal(truth.fault, "");
    story_release(&story);
}

int run_truth_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finished_run_is_read),
        cmocka_unit_test(two_ends_of_one_run_are_a_fault),
        cmocka_unit_test(a_hole_in_the_log_is_a_fault),
        cmocka_unit_test(an_earlier_run_without_an_end_is_a_fault),
        cmocka_unit_test(a_run_that_its_producer_opened_again_has_one_end),
        cmocka_unit_test(a_state_that_the_log_denies_is_a_fault),
        cmocka_unit_test(nothing_stored_is_no_run),
    };

    return cmocka_run_group_tests_name("truth", tests, NULL, NULL);
}
