/* test_together.c - the parts of the worker as a driver puts them together. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/judge.h"
#include "emitters/worker/trim.h"

#include "tests.h"

struct driver {
    struct judge judge;
    struct judge_step step; /* the one to be taken */
    struct trim trim;
    struct buf told;
    bool is_trimming;
};

static void on_value(void *ctx, const struct stream_value *value)
{
    struct driver *driver = ctx;

    if (value->kind == STREAM_TEXT) {
        if (driver->is_trimming)
            trim_feed(&driver->trim, value->text, &driver->told);
        else
            buf_slice(&driver->told, value->text);
        judge_token(&driver->judge, true);
    }
    if (value->kind == STREAM_FAILED)
        driver->step = judge_failed(&driver->judge, value->failure, 0);
    if (value->kind == STREAM_DONE)
        driver->step = judge_done(&driver->judge, true, value->finish);
}

static void begin(struct driver *driver)
{
    const struct judge_settings settings = {.has_fallback = true};
    const enum provider_api api = API_CHAT;

    *driver = (struct driver){0};
    buf_init(&driver->told, 1000);
    driver->step = judge_start(&driver->judge, &settings, &api, 1, true);
}

static void stream_call(struct driver *driver, const char *body)
{
    struct stream *stream = stream_new(API_CHAT, 10000, on_value, driver);

    stream_feed(stream, slice_of(body));
    stream_end(stream);
    stream_free(stream);
}

/* What was told is copied: it grows while the trim looks at it. */
static void plain_call(struct driver *driver, const char *body)
{
    struct stream *stream = stream_new(API_CHAT, 10000, on_value, driver);
    struct buf said;

    buf_init(&said, 1000);
    buf_slice(&said, buf_view(&driver->told));
    trim_init(&driver->trim, buf_view(&said), true);
    driver->is_trimming = driver->step.continues;
    stream_plain(stream, slice_of(body));
    trim_end(&driver->trim, &driver->told);
    trim_release(&driver->trim);
    buf_release(&said);
    stream_free(stream);
}

#define DELTA(text) "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define PLAIN(text) "{\"choices\":[{\"message\":{\"content\":\"" text "\"}}]}"

static void check_plain(const char *streamed, const char *plain, const char *expected)
{
    struct driver driver;

    begin(&driver);
    stream_call(&driver, streamed);
    assert_int_equal(driver.step.act, JUDGE_CALL);
    assert_true(driver.step.is_plain);
    plain_call(&driver, plain);
    assert_int_equal(driver.step.act, JUDGE_END);
    assert_int_equal(driver.step.end, JUDGE_ANSWER);
    assert_int_equal(driver.step.verdict, VERDICT_SUCCESS);
    assert_string_equal(buf_text(&driver.told), expected);
    buf_release(&driver.told);
}

static void a_stream_cut_in_the_middle_becomes_one_undoubled_answer(void **state)
{
    (void)state;
    check_plain(DELTA("Hello ") DELTA("wor"), PLAIN("Hello world, again"),
                "Hello world, again");
    check_plain(DELTA("Hello ") DELTA("wor"), PLAIN("ld, again"), "Hello world, again");
    check_plain(DELTA("H") "data: [DONE]\n\n", PLAIN("Hi"), "Hi");
    check_plain(DELTA("Hi") "data: {\"error\":{\"code\":500}}\n\n", PLAIN("Hi there"),
                "Hi there");
}

static void a_stream_that_fails_before_its_first_token_is_asked_for_anew(void **state)
{
    (void)state;
    check_plain("", PLAIN("Hello"), "Hello");
    check_plain("data: nonsense\n\n", PLAIN("Hello"), "Hello");
}

static void when_the_fallback_fails_too_what_was_told_stays(void **state)
{
    struct driver driver;

    (void)state;
    begin(&driver);
    stream_call(&driver, DELTA("Hello"));
    plain_call(&driver, "{\"error\":{\"code\":503,\"message\":\"m\"}}");
    assert_int_equal(driver.step.end, JUDGE_PARTIAL);
    assert_int_equal(driver.step.failure, FAILURE_SERVER);
    assert_int_equal(driver.step.verdict, VERDICT_FAILURE);
    assert_int_equal(driver.judge.fallbacks, 1);
    assert_string_equal(buf_text(&driver.told), "Hello");
    buf_release(&driver.told);
}

int test_together(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_cut_in_the_middle_becomes_one_undoubled_answer),
        cmocka_unit_test(a_stream_that_fails_before_its_first_token_is_asked_for_anew),
        cmocka_unit_test(when_the_fallback_fails_too_what_was_told_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
