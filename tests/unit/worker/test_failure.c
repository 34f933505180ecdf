/* test_failure.c - what providers say when they fail. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/failure.h"

#include "tests.h"

static enum failure_class class_of(enum provider_api api, unsigned status,
                                   const char *body)
{
    struct failure failure;

    failure_of_answer(&failure, api, status, slice_of(body));
    assert_int_equal(failure.status, status);
    return failure.class;
}

static void each_status_has_its_class(void **state)
{
    static const struct {
        unsigned status;
        enum failure_class class;
    } rows[] = {
        {301, FAILURE_MALFORMED},   {400, FAILURE_BAD_REQUEST},
        {401, FAILURE_KEY},         {402, FAILURE_CREDIT},
        {403, FAILURE_KEY},         {404, FAILURE_NO_MODEL},
        {408, FAILURE_SERVER},      {413, FAILURE_BAD_REQUEST},
        {422, FAILURE_BAD_REQUEST}, {429, FAILURE_RATE_LIMITED},
        {500, FAILURE_SERVER},      {501, FAILURE_SERVER},
        {503, FAILURE_SERVER},      {529, FAILURE_SERVER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_int_equal(class_of(API_CHAT, rows[i].status, "oops"), rows[i].class);
}

static void the_word_in_the_body_tells_more_than_the_status(void **state)
{
    (void)state;
    assert_int_equal(class_of(API_CHAT, 429,
                              "{\"error\":{\"message\":\"no\",\"type\":\"x\","
                              "\"code\":\"insufficient_quota\"}}"),
                     FAILURE_CREDIT);
    assert_int_equal(class_of(API_ANTHROPIC, 529,
                              "{\"type\":\"error\",\"error\":{\"type\":"
                              "\"overloaded_error\",\"message\":\"x\"}}"),
                     FAILURE_SERVER);
    assert_int_equal(
        class_of(API_ANTHROPIC, 404, "{\"error\":{\"type\":\"not_found_error\"}}"),
        FAILURE_NO_MODEL);
    assert_int_equal(class_of(API_CHAT, 400,
                              "{\"error\":{\"message\":\"Unrecognized request argument"
                              " supplied: stream_options\"}}"),
                     FAILURE_OPTION);
    assert_int_equal(class_of(API_CHAT, 400, "{\"error\":\"no\"}"),
                     FAILURE_BAD_REQUEST);
}

static void responses_is_unsupported_only_where_nothing_else_is_wrong(void **state)
{
    static const unsigned refusals[] = {400, 404, 405, 422, 501};

    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
        assert_int_equal(class_of(API_RESPONSES, refusals[i], "no"),
                         FAILURE_UNSUPPORTED);
    assert_int_equal(class_of(API_RESPONSES, 401, "no"), FAILURE_KEY);
    assert_int_equal(class_of(API_RESPONSES, 403, "no"), FAILURE_KEY);
    assert_int_equal(class_of(API_RESPONSES, 429, "no"), FAILURE_RATE_LIMITED);
    assert_int_equal(class_of(API_RESPONSES, 500, "no"), FAILURE_SERVER);
    assert_int_equal(class_of(API_RESPONSES, 400,
                              "{\"error\":{\"code\":\"context_length_exceeded\"}}"),
                     FAILURE_BAD_REQUEST);
    assert_int_equal(
        class_of(API_RESPONSES, 404, "{\"error\":{\"code\":\"model_not_found\"}}"),
        FAILURE_NO_MODEL);
    assert_int_equal(class_of(API_RESPONSES, 404,
                              "{\"error\":{\"type\":\"not_found_error\","
                              "\"message\":\"no such path\"}}"),
                     FAILURE_UNSUPPORTED);
}

static void the_provider_s_words_are_kept_safely(void **state)
{
    struct failure failure;

    (void)state;
    failure_of_answer(&failure, API_CHAT, 401,
                      slice_of("{\"error\":{\"code\":\"invalid api/key\",\"message\":"
                               "\"Incorrect key sk-abcDEF123: go\\naway\\u0007\"}}"));
    assert_string_equal(failure.code, "invalid_api_key");
    assert_string_equal(failure.message, "Incorrect key *** go away ");
    failure_of_answer(&failure, API_CHAT, 500,
                      slice_of("{\"error\":\"text \\u00e9\"}"));
    assert_string_equal(failure.message, "text \xc3\xa9");
    failure_of_answer(
        &failure, API_CHAT, 500,
        slice_of("{\"object\":\"error\",\"message\":\"m\",\"code\":500}"));
    assert_string_equal(failure.message, "m");
    failure_of_answer(&failure, API_CHAT, 500, slice_make("\xff\xfe<html>", 8));
    assert_string_equal(failure.message, "");
    assert_string_equal(failure.code, "");
}

static void a_long_message_is_cut_between_characters(void **state)
{
    struct failure failure;
    char body[2000] = "{\"error\":\"x";

    (void)state;
    for (size_t i = 0; i < 400; i++)
        strncat(body, "\xc3\xa9", sizeof(body) - strlen(body) - 1);
    strncat(body, "\"}", sizeof(body) - strlen(body) - 1);
    failure_of_answer(&failure, API_CHAT, 500, slice_of(body));
    assert_int_equal(strlen(failure.message), FAILURE_MESSAGE_SIZE - 1);
    assert_memory_equal(failure.message + FAILURE_MESSAGE_SIZE - 3, "\xc3\xa9", 2);
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    const uint64_t now_ms = 784111777000; /* Sun, 06 Nov 1994 08:49:37 GMT */
    uint64_t ms = 1;

    (void)state;
    assert_true(failure_retry_after(slice_of("120"), now_ms, &ms));
    assert_int_equal(ms, 120000);
    assert_true(failure_retry_after(slice_of("0"), now_ms, &ms));
    assert_int_equal(ms, 0);
    assert_true(
        failure_retry_after(slice_of("Sun, 06 Nov 1994 08:49:47 GMT"), now_ms, &ms));
    assert_int_equal(ms, 10000);
    assert_true(
        failure_retry_after(slice_of("Sun, 06 Nov 1994 08:49:00 GMT"), now_ms, &ms));
    assert_int_equal(ms, 0);
    assert_false(failure_retry_after(slice_of(""), now_ms, &ms));
    assert_false(failure_retry_after(slice_of("-1"), now_ms, &ms));
    assert_false(failure_retry_after(slice_of("1.5"), now_ms, &ms));
    assert_false(failure_retry_after(slice_of("99999999999"), now_ms, &ms));
    assert_false(failure_retry_after(slice_of("soon"), now_ms, &ms));
    assert_false(
        failure_retry_after(slice_of("Sun, 06 Nov 1994 08:49:47 GMT+1"), now_ms, &ms));
}

static void each_class_has_its_code_and_sentence(void **state)
{
    (void)state;
    assert_string_equal(failure_code(FAILURE_RATE_LIMITED), "RATE_LIMIT");
    assert_string_equal(failure_text(FAILURE_RATE_LIMITED),
                        "Overloaded, please try again soon.");
    assert_string_equal(failure_code(FAILURE_SERVER), "SERVER_ERROR");
    assert_string_equal(failure_text(FAILURE_SERVER),
                        "Server error, please try again later.");
    for (unsigned i = FAILURE_TIMEOUT_CONNECT; i <= FAILURE_TIMEOUT_TOTAL; i++) {
        assert_string_equal(failure_code((enum failure_class)i), "OPENAI_TIMEOUT");
        assert_string_equal(
            failure_text((enum failure_class)i),
            "Request timed out. Please try again with a shorter message.");
    }
    for (unsigned i = 1; i < FAILURE_CLASSES; i++) {
        assert_true(strlen(failure_code((enum failure_class)i)) > 0);
        assert_true(strlen(failure_text((enum failure_class)i)) > 0);
    }
}

static void an_api_is_known_by_its_name(void **state)
{
    enum provider_api api = API_CHAT;

    (void)state;
    for (unsigned i = 0; i <= API_ANTHROPIC; i++) {
        assert_true(
            provider_api_of(slice_of(provider_api_name((enum provider_api)i)), &api));
        assert_int_equal(api, i);
    }
    assert_false(provider_api_of(slice_of("soap"), &api));
}

int test_failure(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_has_its_class),
        cmocka_unit_test(the_word_in_the_body_tells_more_than_the_status),
        cmocka_unit_test(responses_is_unsupported_only_where_nothing_else_is_wrong),
        cmocka_unit_test(the_provider_s_words_are_kept_safely),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(each_class_has_its_code_and_sentence),
        cmocka_unit_test(an_api_is_known_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
