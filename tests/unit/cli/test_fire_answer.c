/* test_fire_answer.c - what a chat stream says, and when the fire test is content with it. */
/* SPDX-License-Identifier: MIT */
#include "emitters/cli/fire.h"

#include "tests.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ACKNOWLEDGED "{\"type\":\"acknowledgement\",\"choices\":[],\"task_id\":\"t\"}"
#define ROLE         "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}"
#define DELTA(text)  "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}"
#define FINAL(text)  "{\"type\":\"final_response\",\"choices\":[],\"text\":\"" text "\"}"
#define END          "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}"

static void take(struct fire_answer *answer, const char *const *events)
{
    fire_answer_init(answer);
    for (; *events != NULL; events++)
        fire_answer_take(answer, slice_of(*events));
}

/* A stream that was answered 200 and ended by itself. */
static struct fire_result streamed(const struct fire_answer *answer)
{
    return (struct fire_result){
        .which = fire_cases,
        .path = fire_paths[0],
        .outcome = HTTP_CLIENT_OK,
        .detail = "",
        .status = 200,
        .is_stream = true,
        .answer = answer,
    };
}

static void assert_judged(const struct fire_result *result, const char *why)
{
    struct buf words;

    buf_init(&words, 4096);
    assert_int_equal(fire_judge(result, &words), why[0] == '\0');
    assert_string_equal(buf_text(&words), why);
    buf_release(&words);
}

/* `events` end with NULL. */
static void assert_stream_judged(const char *const *events, const char *why)
{
    struct fire_answer answer;

    take(&answer, events);
    struct fire_result result = streamed(&answer);
    assert_judged(&result, why);
    fire_answer_release(&answer);
}

static void a_whole_answer_passes_and_is_counted(void **state)
{
    (void)state;
    const char *const events[] = {ACKNOWLEDGED, ROLE,
                                  DELTA("Fo"),  DELTA("rty-two \\u00e9"),
                                  END,          FINAL("Forty-two \\u00e9"),
                                  "[DONE]",     NULL};
    struct fire_answer answer;

    take(&answer, events);
    struct fire_result result = streamed(&answer);
    assert_judged(&result, "");
    assert_int_equal(answer.tokens, 2);
    assert_int_equal(answer.events, 7);
    assert_true(answer.is_done);
    assert_string_equal(buf_text(&answer.said), "Forty-two \xc3\xa9");
    assert_string_equal(buf_text(&answer.final), "Forty-two \xc3\xa9");
    fire_answer_release(&answer);
}

static void each_lack_of_a_stream_has_its_words(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *events[6];
    } rows[] = {
        {"no tokens", {ROLE, END, FINAL("x"), "[DONE]"}},
        {"no tokens", {NULL}},
        {"no final_response", {DELTA("x"), END, "[DONE]"}},
        {"an empty final_response", {DELTA("x"), END, FINAL(""), "[DONE]"}},
        {"an empty final_response",
         {DELTA("x"), "{\"type\":\"final_response\",\"text\":null}", "[DONE]"}},
        {"final_response is not what the tokens said",
         {DELTA("x"), DELTA("y"), FINAL("xz"), "[DONE]"}},
        {"the stream ended without [DONE]", {DELTA("x"), END, FINAL("x")}},
        {"an event is no JSON object",
         {DELTA("x"), "{\"choices\":", FINAL("x"), "[DONE]"}},
        {"an event is no JSON object", {DELTA("x"), "[1]", FINAL("x"), "[DONE]"}},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_stream_judged(rows[i].events, rows[i].why);
}

static void an_error_event_is_told_with_its_code_and_words(void **state)
{
    (void)state;
    const char *const plain[] = {
        DELTA("x"), "{\"error\":{\"message\":\"slow down\",\"code\":\"RATE_LIMIT\"}}",
        NULL};
    const char *const forged[] = {
        "{\"error\":{\"message\":\"a\\u001b[2Jb\\nc\",\"code\":\"two words\"}}", NULL};

    assert_stream_judged(plain,
                         "an error instead of an answer: RATE_LIMIT \"slow down\"");
    assert_stream_judged(forged, "an error instead of an answer: \"a\\u001b[2Jb\\nc\"");
}

static void a_message_of_the_server_is_cut(void **state)
{
    (void)state;
    struct fire_answer answer;
    struct buf event;

    buf_init(&event, 8192);
    buf_puts(&event, "{\"error\":{\"message\":\"");
    for (unsigned i = 0; i < 5000; i++)
        buf_putc(&event, 'x');
    buf_puts(&event, "\"}}");
    fire_answer_init(&answer);
    fire_answer_take(&answer, buf_view(&event));
    assert_in_range(answer.trouble.len, 300, 400);
    fire_answer_release(&answer);
    buf_release(&event);
}

static void what_the_server_refuses_is_told_with_its_field(void **state)
{
    (void)state;
    struct fire_answer answer;
    struct fire_result result;

    fire_answer_init(&answer);
    result = streamed(&answer);
    result.is_stream = false;
    assert_judged(&result, "answered 200, but no event stream");
    result.status = 422;
    result.refusal =
        slice_of("{\"error\":{\"code\":\"MESSAGE_TOO_LONG\",\"message\":\"at "
                 "most 10000\",\"field\":\"message\"}}");
    assert_judged(&result, "answered 422 MESSAGE_TOO_LONG (message) \"at most 10000\"");
    assert_false(fire_is_hopeless(&result));
    result.status = 502;
    result.refusal = slice_of("<html>");
    assert_judged(&result, "answered 502");
    result.status = 401;
    result.refusal = slice_of("{\"error\":{\"code\":\"UNAUTHORIZED\"}}");
    assert_judged(&result,
                  "answered 401 UNAUTHORIZED; --api-key or --token says who asks");
    assert_true(fire_is_hopeless(&result));
    fire_answer_release(&answer);
}

static void an_exchange_that_fails_says_how(void **state)
{
    (void)state;
    struct fire_answer answer;
    struct fire_result result;

    fire_answer_init(&answer);
    fire_answer_take(&answer, slice_of(DELTA("x")));
    result = streamed(&answer);
    result.detail = "reset";
    result.outcome = HTTP_CLIENT_BROKEN;
    assert_judged(&result, "the connection broke: reset");
    result.outcome = HTTP_CLIENT_TIMED_OUT;
    result.total_ms = 7;
    assert_judged(&result, "no end of the answer after 7 ms (--timeout-ms)");
    assert_false(fire_is_hopeless(&result));
    result.status = 0;
    result.outcome = HTTP_CLIENT_NO_CONNECT;
    assert_judged(&result,
                  "nothing answers (reset); start thinkwired with a worker, or "
                  "name a broker with --url");
    assert_true(fire_is_hopeless(&result));
    result.outcome = HTTP_CLIENT_CANCELLED;
    result.is_endless = true;
    assert_judged(&result, "an endless answer, or an event that is too large");
    fire_answer_release(&answer);
}

static void what_comes_behind_the_end_is_no_part_of_the_answer(void **state)
{
    (void)state;
    const char *const events[] = {DELTA("x"), FINAL("x"), "[DONE]", NULL};
    struct fire_answer answer;

    take(&answer, events);
    struct fire_result result = streamed(&answer);
    result.outcome = HTTP_CLIENT_CANCELLED; /* the server did not hang up */
    assert_judged(&result, "");
    fire_answer_release(&answer);
}

static void an_answer_that_does_not_end_is_full_at_its_limit(void **state)
{
    (void)state;
    static char event[1U << 20];
    struct fire_answer answer;
    size_t len = 0;
    unsigned taken = 0;

    memset(event, 'x', sizeof(event));
    len = strlen("{\"choices\":[{\"delta\":{\"content\":\"");
    memcpy(event, "{\"choices\":[{\"delta\":{\"content\":\"", len);
    for (size_t i = 0; i < 5; i++)
        event[sizeof(event) - 5 + i] = "\"}}]}"[i];
    fire_answer_init(&answer);
    while (!fire_answer_is_full(&answer) && taken < 100) {
        fire_answer_take(&answer, slice_make(event, sizeof(event)));
        taken++;
    }
    assert_int_equal(taken, FIRE_ANSWER_LIMIT / sizeof(event) + 1);
    assert_true(answer.said.len <= FIRE_ANSWER_LIMIT);
    fire_answer_release(&answer);
}

int run_fire_answer_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer_passes_and_is_counted),
        cmocka_unit_test(each_lack_of_a_stream_has_its_words),
        cmocka_unit_test(an_error_event_is_told_with_its_code_and_words),
        cmocka_unit_test(a_message_of_the_server_is_cut),
        cmocka_unit_test(what_the_server_refuses_is_told_with_its_field),
        cmocka_unit_test(an_exchange_that_fails_says_how),
        cmocka_unit_test(what_comes_behind_the_end_is_no_part_of_the_answer),
        cmocka_unit_test(an_answer_that_does_not_end_is_full_at_its_limit),
    };

    return cmocka_run_group_tests_name("fire: answers", tests, NULL, NULL);
}
