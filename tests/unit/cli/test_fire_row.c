/* test_fire_row.c - the sums, the table and the report of the fire test. */
/* SPDX-License-Identifier: MIT */
#include "emitters/cli/fire.h"

#include "tests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void begin(struct fire_result *result, struct fire_answer *answer)
{
    fire_answer_init(answer);
    *result = (struct fire_result){
        .which = &fire_cases[3],
        .path = fire_paths[1],
        .step = 1,
        .chars = 8000,
        .at_ms = UINT64_C(1795241700123),
        .status = 200,
        .task_id = slice_of("gen_1"),
        .request_id = slice_of("req_1"),
        .answer = answer,
        .total_ms = 40,
    };
}

static void the_average_counts_requests_with_a_first_token_only(void **state)
{
    (void)state;
    struct fire_sum sum = {0};
    struct fire_answer answer;
    struct fire_result result;

    assert_int_equal(fire_sum_first_ms(&sum), 0);
    begin(&result, &answer);
    answer.tokens = 3;
    answer.events = 7;
    result.has_first = true;
    result.first_ms = 10;
    fire_sum_add(&sum, &result);
    result.first_ms = 31;
    fire_sum_add(&sum, &result);
    result.has_first = false;
    result.failure = slice_of("no tokens");
    answer.tokens = 0;
    fire_sum_add(&sum, &result);
    assert_int_equal(fire_sum_first_ms(&sum), 20);
    assert_int_equal(sum.requests, 3);
    assert_int_equal(sum.failed, 1);
    assert_int_equal(sum.tokens, 6);
    assert_int_equal(sum.events, 21);
    assert_int_equal(sum.time_ms, 120);
    fire_answer_release(&answer);
}

static void a_line_of_the_report_has_every_field(void **state)
{
    (void)state;
    struct fire_answer answer;
    struct fire_result result;
    struct buf line;

    buf_init(&line, 4096);
    begin(&result, &answer);
    answer.tokens = 2;
    answer.events = 6;
    buf_puts(&answer.final, "süd");
    result.has_first = true;
    result.first_ms = 12;
    fire_report_request(&line, &result, "gpt");
    assert_string_equal(
        buf_text(&line),
        "{\"type\":\"request\",\"at\":\"2026-11-21T06:15:00.123Z\",\"case\":\"long_context\","
        "\"path\":\"/api/streaming/stream\",\"step\":2,\"mode\":\"chat\",\"model\":\"gpt\","
        "\"message_chars\":8000,\"status\":200,\"task_id\":\"gen_1\",\"request_id\":\"req_1\","
        "\"tokens\":2,\"events\":6,\"final_chars\":3,\"ttft_ms\":12,\"total_ms\":40,"
        "\"ok\":true,\"failure\":\"\"}\n");
    buf_reset(&line);
    result.has_first = false;
    result.failure = slice_of("answered 422 \"x\"");
    fire_report_request(&line, &result, "");
    assert_non_null(strstr(buf_text(&line), "\"ttft_ms\":null"));
    assert_non_null(strstr(buf_text(&line),
                           "\"ok\":false,\"failure\":\"answered 422 \\\"x\\\"\"}\n"));
    buf_release(&line);
    fire_answer_release(&answer);
}

static void the_summary_has_every_field(void **state)
{
    (void)state;
    struct fire_summary summary = {
        .at_ms = UINT64_C(1795241700123),
        .url = "http://h",
        .sum = {.requests = 4, .failed = 1, .tokens = 30, .events = 40, .time_ms = 99},
        .not_made = 2,
        .first_limit_ms = 2000,
    };
    struct buf line;

    buf_init(&line, 4096);
    fire_report_summary(&line, &summary);
    assert_string_equal(
        buf_text(&line),
        "{\"type\":\"summary\",\"at\":\"2026-11-21T06:15:00.123Z\",\"url\":\"http://h\","
        "\"version\":\"" THINKWIRE_VERSION
        "\",\"requests\":4,\"failed\":1,\"not_made\":2,"
        "\"tokens\":30,\"events\":40,\"total_ms\":99,\"average_ttft_ms\":null,"
        "\"ttft_limit_ms\":2000,\"ok\":false}\n");
    buf_reset(&line);
    summary.sum.firsts = 3;
    summary.sum.first_ms = 31;
    summary.is_good = true;
    fire_report_summary(&line, &summary);
    assert_non_null(strstr(buf_text(&line), "\"average_ttft_ms\":10,"));
    assert_non_null(strstr(buf_text(&line), "\"ok\":true}\n"));
    buf_release(&line);
}

static void the_rows_of_the_table_are_of_one_width(void **state)
{
    (void)state;
    struct fire_sum sum = {.requests = 4, .tokens = 80, .events = 96, .time_ms = 1234};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    fire_table_head(out);
    fire_table_row(out, &fire_cases[3], fire_paths[0], &sum);
    sum.firsts = 4;
    sum.first_ms = 48;
    sum.failed = 1;
    fire_table_row(out, &fire_cases[4], fire_paths[1], &sum);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(
        text,
        "case               path                           requests   tokens   events  "
        "first token        time  result\n"
        "long_context       /api/v2/chat/streaming/stream         4       80       96  "
        "          -     1234 ms  ok\n"
        "autonomous_simple  /api/streaming/stream                 4       80       96  "
        "      12 ms     1234 ms  FAILED\n");
    free(text);
}

int run_fire_row_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_average_counts_requests_with_a_first_token_only),
        cmocka_unit_test(a_line_of_the_report_has_every_field),
        cmocka_unit_test(the_summary_has_every_field),
        cmocka_unit_test(the_rows_of_the_table_are_of_one_width),
    };

    return cmocka_run_group_tests_name("fire: table and report", tests, NULL, NULL);
}
