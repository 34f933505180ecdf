/* test_stream_ends.c - when a stream has ended, and when it has only stopped. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"
#include "transcript.h"

#define TEXT             "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"
#define ANTH(type, rest) "data: {\"type\":\"" type "\"" rest "}\n\n"

static void check(enum provider_api api, const char *body, const char *expected)
{
    struct buf told;

    for (size_t piece = 0; piece < 5; piece++) {
        transcript_of(&told, api, slice_of(body), piece);
        assert_string_equal(buf_text(&told), expected);
        buf_release(&told);
    }
}

static void an_end_before_the_protocol_s_own_is_truncated(void **state)
{
    (void)state;
    check(API_CHAT, "", "F PROVIDER_TRUNCATED\n");
    check(API_CHAT, TEXT, "T x\nF PROVIDER_TRUNCATED\n");
    check(API_CHAT, TEXT "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}",
          "T x\nF PROVIDER_TRUNCATED\n"); /* without its blank line */
    check(API_RESPONSES,
          "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n",
          "T x\nF PROVIDER_TRUNCATED\n");
    check(API_ANTHROPIC,
          ANTH("content_block_delta", ",\"delta\":{\"text\":\"x\"}")
              ANTH("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"}"),
          "T x\nF PROVIDER_TRUNCATED\n");
}

static void a_done_mark_alone_is_no_end(void **state)
{
    (void)state;
    check(API_CHAT, TEXT "data: [DONE]\n\n", "T x\nF PROVIDER_TRUNCATED\n");
    check(API_CHAT, "data: [DONE]\n\n", "F PROVIDER_TRUNCATED\n");
    check(API_RESPONSES, "data: [DONE]\n\n", "F PROVIDER_TRUNCATED\n");
}

static void errors_inside_a_200_are_failures(void **state)
{
    (void)state;
    check(API_CHAT,
          TEXT "data: {\"error\":{\"code\":502,\"message\":\"m\"},\"choices\":[{"
               "\"finish_reason\":\"error\"}]}\n\n" TEXT "data: [DONE]\n\n",
          "T x\nF SERVER_ERROR\n");
    check(API_CHAT, TEXT "data: {\"choices\":[{\"finish_reason\":\"error\"}]}\n\n",
          "T x\nF SERVER_ERROR\n");
    check(API_CHAT, "data: {\"error\":{\"code\":429,\"message\":\"m\"}}\n\n",
          "F RATE_LIMIT\n");
    check(API_CHAT, "data: {\"error\":\"boom\"}\n\n", "F SERVER_ERROR\n");
    check(API_CHAT, "{\"error\":{\"code\":\"invalid_api_key\"}}", "F PROVIDER_AUTH\n");
    check(API_CHAT, "data: {\"object\":\"error\",\"message\":\"m\",\"code\":400}\n\n",
          "F PROVIDER_REFUSED\n");
    check(API_RESPONSES,
          "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\","
          "\"message\":\"m\"}\n\n",
          "F SERVER_ERROR\n");
    check(API_RESPONSES,
          "data: {\"type\":\"error\",\"error\":{\"code\":\"rate_limit_exceeded\"}}\n\n",
          "F RATE_LIMIT\n");
    check(API_RESPONSES,
          "data: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\","
          "\"error\":{\"code\":\"insufficient_quota\"}}}\n\n",
          "F PROVIDER_CREDIT\n");
    check(API_RESPONSES, "data: {\"type\":\"response.cancelled\"}\n\n",
          "F SERVER_ERROR\n");
    check(API_RESPONSES, "{\"status\":\"failed\",\"output\":[]}", "F SERVER_ERROR\n");
    check(API_ANTHROPIC,
          "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
          "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
          "F SERVER_ERROR\n");
}

static void an_error_that_is_null_is_none(void **state)
{
    (void)state;
    check(API_CHAT,
          "data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"x\"},"
          "\"finish_reason\":\"stop\"}]}\n\n",
          "T x\nD stop\n");
}

static void what_is_not_the_protocol_is_malformed(void **state)
{
    (void)state;
    check(API_CHAT, "data: hello\n\n", "F PROVIDER_MALFORMED\n");
    check(API_CHAT, "data: [1]\n\n", "F PROVIDER_MALFORMED\n");
    check(API_CHAT, "data: {\"a\":}\n\n", "F PROVIDER_MALFORMED\n");
    check(API_CHAT, "{\"choices\":", "F PROVIDER_MALFORMED\n");
    check(API_CHAT, "{}", "F PROVIDER_MALFORMED\n");
    check(API_RESPONSES, "{}", "F PROVIDER_MALFORMED\n");
    check(API_RESPONSES, TEXT, "F PROVIDER_MALFORMED\n");
    check(API_ANTHROPIC, "{}", "F PROVIDER_MALFORMED\n");
    check(API_CHAT, "<html>no</html>\n\n", "F PROVIDER_TRUNCATED\n");
}

static void put_many(struct buf *body, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_putc(body, 'a');
}

static void an_event_above_the_bound_is_too_large(void **state)
{
    struct buf body;

    (void)state;
    buf_init(&body, 100000);
    buf_puts(&body, TEXT "data: {\"a\":\"");
    put_many(&body, TRANSCRIPT_LIMIT);
    buf_puts(&body, "\"}\n\n" TEXT);
    check(API_CHAT, buf_text(&body), "T x\nF PROVIDER_TOO_LARGE\n");
    buf_reset(&body);
    buf_puts(&body, "{\"a\":\"");
    put_many(&body, TRANSCRIPT_LIMIT);
    check(API_CHAT, buf_text(&body), "F PROVIDER_TOO_LARGE\n");
    buf_release(&body);
}

static void comments_and_pings_are_no_tokens(void **state)
{
    struct buf told;
    struct stream *stream;

    (void)state;
    buf_init(&told, 1000);
    stream = stream_new(API_CHAT, TRANSCRIPT_LIMIT, transcript_add, &told);
    assert_false(stream_feed(stream, slice_of(": ping\n\n")));
    assert_false(stream_feed(
        stream,
        slice_of("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n")));
    assert_true(stream_feed(stream, slice_of(TEXT ": ping\n\n")));
    assert_false(stream_feed(stream, slice_of(": ping\n\n")));
    assert_false(stream_has_finish(stream));
    stream_feed(stream,
                slice_of("data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n"));
    assert_true(stream_has_finish(stream));
    assert_false(stream_is_over(stream));
    stream_feed(stream, slice_of("data: [DONE]\n\n"));
    assert_true(stream_is_over(stream));
    assert_false(stream_feed(stream, slice_of(TEXT)));
    stream_end(stream);
    assert_string_equal(buf_text(&told), "T x\nD stop\n");
    stream_free(stream);
    buf_release(&told);
}

static bool has_answer(const char *content)
{
    struct buf told;
    struct buf body;
    struct stream *stream;

    buf_init(&told, 1000);
    buf_init(&body, 1000);
    buf_printf(&body, "{\"choices\":[{\"message\":{%s}}]}", content);
    stream = stream_new(API_CHAT, TRANSCRIPT_LIMIT, transcript_add, &told);
    stream_plain(stream, buf_view(&body));
    bool answer = stream_has_answer(stream);
    assert_true(stream_is_over(stream));
    stream_free(stream);
    buf_release(&told);
    buf_release(&body);
    return answer;
}

static void an_answer_of_white_space_or_reasoning_is_empty(void **state)
{
    (void)state;
    assert_true(has_answer("\"content\":\"x\""));
    assert_true(has_answer("\"tool_calls\":[{}]"));
    assert_false(has_answer("\"content\":\"\""));
    assert_false(has_answer("\"content\":\" \\n\""));
    assert_false(has_answer("\"content\":null"));
    assert_false(has_answer("\"content\":\"<think>x\""));
    assert_false(has_answer("\"reasoning_content\":\"x\""));
}

int test_stream_ends(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_before_the_protocol_s_own_is_truncated),
        cmocka_unit_test(a_done_mark_alone_is_no_end),
        cmocka_unit_test(errors_inside_a_200_are_failures),
        cmocka_unit_test(an_error_that_is_null_is_none),
        cmocka_unit_test(what_is_not_the_protocol_is_malformed),
        cmocka_unit_test(an_event_above_the_bound_is_too_large),
        cmocka_unit_test(comments_and_pings_are_no_tokens),
        cmocka_unit_test(an_answer_of_white_space_or_reasoning_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
