/* test_judge.c - the table of judge.h, row by row and cell by cell. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/judge.h"

#include "tests.h"

static const struct judge_settings usual = {
    .has_fallback = true, .max_retries = 2, .backoff_ms = 100, .retry_total_ms = 800};

/* As in the header: the letters of what a row allows. */
struct row {
    enum failure_class class;
    const char *allows; /* b breaker, c chat, n next, p plain, r retry */
};

static const struct row table[] = {
    {FAILURE_CONNECT, "bnr"},
    {FAILURE_TIMEOUT_CONNECT, "bnp"},
    {FAILURE_TIMEOUT_FIRST_TOKEN, "bnp"},
    {FAILURE_TIMEOUT_IDLE, "bnp"},
    {FAILURE_TIMEOUT_TOTAL, "bnp"},
    {FAILURE_RATE_LIMITED, "nr"},
    {FAILURE_SERVER, "bnpr"},
    {FAILURE_KEY, "n"},
    {FAILURE_CREDIT, "n"},
    {FAILURE_BAD_REQUEST, ""},
    {FAILURE_NO_MODEL, "n"},
    {FAILURE_UNSUPPORTED, "cn"},
    {FAILURE_TRUNCATED, "bnpr"},
    {FAILURE_MALFORMED, "bcnp"},
    {FAILURE_TOO_LARGE, ""},
    {FAILURE_EMPTY, "bnp"},
    {FAILURE_FILTERED, ""},
    {FAILURE_BREAKER, ""},
    {FAILURE_CANCELLED, ""},
};

#define ROWS (sizeof(table) / sizeof(*table))

static bool allows(const struct row *row, char letter)
{
    return strchr(row->allows, letter) != NULL;
}

static struct judge_step failed(struct judge *judge, enum failure_class class)
{
    struct failure failure = {.class = class};

    return judge_failed(judge, &failure, 0);
}

static struct judge_step start(struct judge *judge, enum provider_api api,
                               unsigned count, bool wants_stream)
{
    enum provider_api apis[JUDGE_MAX_CANDIDATES];

    for (unsigned i = 0; i < count; i++)
        apis[i] = api;
    return judge_start(judge, &usual, apis, count, wants_stream);
}

static void assert_end(struct judge_step step, enum judge_end end,
                       enum failure_class class)
{
    assert_int_equal(step.act, JUDGE_END);
    assert_int_equal(step.end, end);
    assert_int_equal(step.failure, class);
}

static enum judge_end end_of(enum failure_class class)
{
    return class == FAILURE_CANCELLED ? JUDGE_CANCELLED : JUDGE_ERROR;
}

static void a_class_is_in_the_table_once(void **state)
{
    unsigned seen[FAILURE_CLASSES] = {0};

    (void)state;
    for (const struct row *row = table; row < table + ROWS; row++)
        seen[row->class]++;
    for (unsigned i = 1; i < FAILURE_CLASSES; i++)
        assert_int_equal(seen[i], i == FAILURE_OPTION ? 0 : 1);
}

static void a_first_call_is_the_first_choice_streaming(void **state)
{
    struct judge judge;
    struct judge_step step = start(&judge, API_RESPONSES, 2, true);

    (void)state;
    assert_int_equal(step.act, JUDGE_CALL);
    assert_int_equal(step.provider, 0);
    assert_int_equal(step.api, API_RESPONSES);
    assert_false(step.is_plain || step.continues || step.without_options);
    assert_int_equal(step.wait_ms, 0);
}

static void column_counts(void **state)
{
    (void)state;
    for (const struct row *row = table; row < table + ROWS; row++) {
        struct judge judge;
        start(&judge, API_CHAT, 2, true);
        struct judge_step step = failed(&judge, row->class);
        enum breaker_verdict expected =
            allows(row, 'b') ? VERDICT_FAILURE : VERDICT_NEUTRAL;
        if (row->class == FAILURE_BREAKER)
            expected = VERDICT_NONE;
        assert_int_equal(step.verdict, expected);
    }
}

static void column_chat(void **state)
{
    (void)state;
    for (const struct row *row = table; row < table + ROWS; row++) {
        struct judge judge;
        start(&judge, API_RESPONSES, 2, true);
        struct judge_step step = failed(&judge, row->class);
        if (!allows(row, 'c')) {
            assert_true(step.act == JUDGE_END || step.provider == 1);
            continue;
        }
        assert_int_equal(step.act, JUDGE_CALL);
        assert_int_equal(step.provider, 0);
        assert_int_equal(step.api, API_CHAT);
        assert_false(step.is_plain);
        assert_int_equal(step.verdict, VERDICT_NONE);
        assert_int_equal(judge.api_switches, 1);
        assert_int_equal(judge.fallbacks, 0);
    }
}

static void column_next(void **state)
{
    (void)state;
    for (const struct row *row = table; row < table + ROWS; row++) {
        struct judge judge;
        start(&judge, API_CHAT, 2, true);
        struct judge_step step = failed(&judge, row->class);
        if (!allows(row, 'n')) {
            assert_end(step, end_of(row->class), row->class);
            continue;
        }
        assert_int_equal(step.act, JUDGE_CALL);
        assert_int_equal(step.provider, 1);
        assert_false(step.is_plain);
        /* and it is the last: each was called exactly once (R17) */
        step = failed(&judge, row->class);
        assert_end(step, JUDGE_ERROR, row->class);
    }
}

static void column_plain(void **state)
{
    (void)state;
    for (const struct row *row = table; row < table + ROWS; row++) {
        struct judge judge;
        start(&judge, API_CHAT, 1, true);
        struct judge_step step = failed(&judge, row->class);
        if (!allows(row, 'p')) {
            assert_true(step.act == JUDGE_END || !step.is_plain);
            continue;
        }
        assert_int_equal(step.act, JUDGE_CALL);
        assert_true(step.is_plain);
        assert_false(step.continues || step.drops_reasoning);
        assert_int_equal(step.verdict, VERDICT_NONE);
        step = failed(&judge, row->class);
        assert_end(step, JUDGE_ERROR, row->class);
        assert_int_equal(step.verdict, VERDICT_FAILURE);
    }
}

static void column_retry(void **state)
{
    (void)state;
    for (const struct row *row = table; row < table + ROWS; row++) {
        struct judge judge;
        start(&judge, API_CHAT, 1, false);
        struct judge_step step = failed(&judge, row->class);
        if (!allows(row, 'r')) {
            assert_end(step, end_of(row->class), row->class);
            continue;
        }
        assert_int_equal(step.act, JUDGE_CALL);
        assert_int_equal(step.wait_ms, 100);
        step = failed(&judge, row->class);
        assert_int_equal(step.wait_ms, 200);
        assert_end(failed(&judge, row->class), JUDGE_ERROR, row->class);
        assert_int_equal(judge.retries, 2);
    }
}

static void without_fallback_the_first_failure_is_the_end(void **state)
{
    const enum provider_api apis[2] = {API_RESPONSES, API_CHAT};
    struct judge_settings off = usual;

    (void)state;
    off.has_fallback = false;
    off.routes_around_open = true;
    for (unsigned told = 0; told < 2; told++) {
        for (unsigned i = 1; i < FAILURE_CLASSES; i++) {
            struct judge judge;
            enum judge_end end = told != 0 ? JUDGE_PARTIAL : JUDGE_ERROR;
            judge_start(&judge, &off, apis, 2, true);
            if (told != 0)
                judge_token(&judge, true);
            if (i == FAILURE_CANCELLED)
                end = JUDGE_CANCELLED;
            assert_end(failed(&judge, (enum failure_class)i), end,
                       (enum failure_class)i);
        }
    }
}

static void after_a_token_only_the_rest_is_asked_for_plainly(void **state)
{
    (void)state;
    for (const struct row *row = table; row < table + ROWS; row++) {
        for (unsigned count = 1; count <= 2; count++) {
            struct judge judge;
            start(&judge, API_RESPONSES, count, true);
            judge_token(&judge, false);
            judge_token(&judge, true);
            struct judge_step step = failed(&judge, row->class);
            bool goes_on = allows(row, count == 1 ? 'p' : 'n');
            if (!goes_on) {
                enum judge_end end =
                    row->class == FAILURE_CANCELLED ? JUDGE_CANCELLED : JUDGE_PARTIAL;
                assert_end(step, end, row->class);
                continue;
            }
            assert_int_equal(step.act, JUDGE_CALL);
            assert_int_equal(step.provider, count - 1);
            assert_true(step.is_plain && step.continues && step.drops_reasoning);
            assert_end(failed(&judge, FAILURE_SERVER), JUDGE_PARTIAL, FAILURE_SERVER);
        }
    }
}

static void after_reasoning_alone_the_answer_is_asked_for_anew(void **state)
{
    struct judge judge;

    (void)state;
    start(&judge, API_CHAT, 1, true);
    judge_token(&judge, false);
    struct judge_step step = judge_done(&judge, false, FINISH_STOP);
    assert_true(step.is_plain && step.drops_reasoning && !step.continues);
    step = judge_done(&judge, true, FINISH_STOP);
    assert_end(step, JUDGE_ANSWER, FAILURE_NONE);
    assert_int_equal(step.verdict, VERDICT_SUCCESS);
}

static void an_empty_answer_is_a_failure_and_a_filtered_one_another(void **state)
{
    struct judge judge;

    (void)state;
    start(&judge, API_CHAT, 1, true);
    assert_true(judge_done(&judge, false, FINISH_STOP).is_plain);
    assert_end(judge_done(&judge, false, FINISH_STOP), JUDGE_ERROR, FAILURE_EMPTY);
    start(&judge, API_CHAT, 1, true);
    struct judge_step step = judge_done(&judge, false, FINISH_CONTENT_FILTER);
    assert_end(step, JUDGE_ERROR, FAILURE_FILTERED);
    assert_int_equal(step.verdict, VERDICT_NEUTRAL);
}

static void chat_is_remembered_once_it_has_answered(void **state)
{
    struct judge judge;

    (void)state;
    start(&judge, API_RESPONSES, 1, true);
    assert_false(failed(&judge, FAILURE_UNSUPPORTED).remembers_chat);
    struct judge_step step = judge_done(&judge, true, FINISH_STOP);
    assert_true(step.remembers_chat);
    assert_int_equal(step.api, API_CHAT);
    start(&judge, API_RESPONSES, 1, true);
    failed(&judge, FAILURE_UNSUPPORTED);
    assert_false(failed(&judge, FAILURE_BAD_REQUEST).remembers_chat);
    start(&judge, API_RESPONSES, 2, true);
    failed(&judge, FAILURE_UNSUPPORTED);
    failed(&judge, FAILURE_SERVER);
    assert_false(judge_done(&judge, true, FINISH_STOP).remembers_chat);
}

static void a_refused_option_is_left_out_once(void **state)
{
    struct judge judge;

    (void)state;
    start(&judge, API_CHAT, 1, true);
    struct judge_step step = failed(&judge, FAILURE_OPTION);
    assert_int_equal(step.act, JUDGE_CALL);
    assert_true(step.without_options && !step.is_plain);
    assert_end(failed(&judge, FAILURE_OPTION), JUDGE_ERROR, FAILURE_OPTION);
}

static void an_open_breaker_rejects_or_routes_around(void **state)
{
    const enum provider_api apis[3] = {API_CHAT, API_CHAT, API_CHAT};
    struct judge_settings around = usual;
    struct judge judge;

    (void)state;
    judge_start(&judge, &usual, apis, 3, true);
    assert_end(failed(&judge, FAILURE_BREAKER), JUDGE_ERROR, FAILURE_BREAKER);
    around.routes_around_open = true;
    judge_start(&judge, &around, apis, 3, true);
    assert_int_equal(failed(&judge, FAILURE_BREAKER).provider, 1);
    /* a later candidate whose breaker is open is passed over in any case, and is not why */
    judge_start(&judge, &usual, apis, 3, true);
    assert_int_equal(failed(&judge, FAILURE_SERVER).provider, 1);
    assert_int_equal(failed(&judge, FAILURE_BREAKER).provider, 2);
    assert_end(failed(&judge, FAILURE_BREAKER), JUDGE_ERROR, FAILURE_SERVER);
    judge_start(&judge, &usual, apis, 3, true);
    judge_token(&judge, true);
    assert_true(failed(&judge, FAILURE_SERVER).is_plain);
    struct judge_step step = failed(&judge, FAILURE_BREAKER);
    assert_int_equal(step.provider, 2);
    assert_true(step.is_plain && step.continues);
    assert_end(failed(&judge, FAILURE_SERVER), JUDGE_PARTIAL, FAILURE_SERVER);
}

static void retry_after_is_kept_or_is_the_end(void **state)
{
    struct failure failure = {.class = FAILURE_RATE_LIMITED, .retry_after_ms = 500};
    struct judge judge;

    (void)state;
    start(&judge, API_CHAT, 1, true);
    assert_int_equal(judge_failed(&judge, &failure, 255).wait_ms, 500);
    assert_end(judge_failed(&judge, &failure, 0), JUDGE_ERROR, FAILURE_RATE_LIMITED);
    start(&judge, API_CHAT, 1, true);
    failure.retry_after_ms = 801;
    assert_end(judge_failed(&judge, &failure, 0), JUDGE_ERROR, FAILURE_RATE_LIMITED);
    start(&judge, API_CHAT, 1, true);
    failure.retry_after_ms = 0;
    assert_int_equal(judge_failed(&judge, &failure, 255).wait_ms, 75);
}

int test_judge(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_class_is_in_the_table_once),
        cmocka_unit_test(a_first_call_is_the_first_choice_streaming),
        cmocka_unit_test(column_counts),
        cmocka_unit_test(column_chat),
        cmocka_unit_test(column_next),
        cmocka_unit_test(column_plain),
        cmocka_unit_test(column_retry),
        cmocka_unit_test(without_fallback_the_first_failure_is_the_end),
        cmocka_unit_test(after_a_token_only_the_rest_is_asked_for_plainly),
        cmocka_unit_test(after_reasoning_alone_the_answer_is_asked_for_anew),
        cmocka_unit_test(an_empty_answer_is_a_failure_and_a_filtered_one_another),
        cmocka_unit_test(chat_is_remembered_once_it_has_answered),
        cmocka_unit_test(a_refused_option_is_left_out_once),
        cmocka_unit_test(an_open_breaker_rejects_or_routes_around),
        cmocka_unit_test(retry_after_is_kept_or_is_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
