/* test_judge_property.c - what holds for every request, whatever fails; the breaker. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/judge.h"

#include "tests.h"

struct story {
    uint32_t seed;
    unsigned calls;
    unsigned plain_fallbacks;
    unsigned called[JUDGE_MAX_CANDIDATES][2]; /* by provider and plain */
    unsigned again[JUDGE_MAX_CANDIDATES];     /* retries, options and switches */
    uint64_t waited_ms;
    bool has_told;
    bool has_text;
};

static unsigned pick(struct story *story, unsigned bound)
{
    story->seed = story->seed * 1664525u + 1013904223u;
    return (story->seed >> 16) % bound;
}

static struct judge_step play_call(struct story *story, struct judge *judge)
{
    struct failure failure = {.retry_after_ms = pick(story, 4) == 0 ? 300 : 0};

    if (!judge->call.is_plain && pick(story, 3) == 0) {
        bool is_text = pick(story, 2) == 0;
        judge_token(judge, is_text);
        story->has_told = true;
        story->has_text = story->has_text || is_text;
    }
    if (pick(story, 6) == 0)
        return judge_done(judge, pick(story, 2) == 0, FINISH_STOP);
    failure.class = (enum failure_class)(1 + pick(story, FAILURE_CLASSES - 1));
    return judge_failed(judge, &failure, pick(story, 1000));
}

static void look_at_call(struct story *story, const struct judge_step *before,
                         const struct judge_step *step)
{
    story->calls++;
    story->waited_ms += step->wait_ms;
    if (story->has_told)
        assert_true(step->is_plain && step->drops_reasoning);
    assert_int_equal(step->continues, story->has_text);
    assert_true(step->provider >= before->provider);
    assert_true(step->provider <= before->provider + 1);
    if (step->is_plain && !before->is_plain)
        story->plain_fallbacks++;
    if (step->provider == before->provider && step->is_plain == before->is_plain)
        story->again[step->provider]++;
    else
        story->called[step->provider][step->is_plain ? 1 : 0]++;
    if (step->provider == before->provider)
        assert_int_equal(step->verdict, VERDICT_NONE);
}

static void look_at_end(const struct story *story, const struct judge_step *step,
                        const struct judge_settings *settings, unsigned count)
{
    if (step->end == JUDGE_ERROR)
        assert_false(story->has_told);
    if (step->end == JUDGE_PARTIAL)
        assert_true(story->has_told);
    assert_int_equal(step->end == JUDGE_ANSWER, step->failure == FAILURE_NONE);
    assert_true(story->plain_fallbacks <= 1);
    assert_true(story->waited_ms <= settings->retry_total_ms);
    for (unsigned i = 0; i < count; i++) {
        assert_true(story->called[i][0] <= 1 && story->called[i][1] <= 1);
        /* a retry twice, the option once, the other API once */
        assert_true(story->again[i] <= settings->max_retries + 2);
        if (i > 0) {
            assert_true(story->called[i][0] + story->called[i][1] <= 1);
            assert_true(story->again[i] <= 2);
        }
    }
    if (count > 1 && story->called[1][0] + story->called[1][1] > 0)
        assert_int_equal(story->called[0][0] + story->called[0][1], 1);
}

static void play(uint32_t seed)
{
    struct judge_settings settings = {.has_fallback = true,
                                      .max_retries = 2,
                                      .backoff_ms = 100,
                                      .retry_total_ms = 800};
    enum provider_api apis[JUDGE_MAX_CANDIDATES];
    struct story story = {.seed = seed};
    struct judge judge;
    unsigned count = 1 + pick(&story, 4);
    bool wants_stream = pick(&story, 4) != 0;

    settings.routes_around_open = pick(&story, 2) == 0;
    for (unsigned i = 0; i < count; i++)
        apis[i] = (enum provider_api)pick(&story, 3);
    struct judge_step step = judge_start(&judge, &settings, apis, count, wants_stream);
    story.called[0][wants_stream ? 0 : 1] = 1;
    while (step.act == JUDGE_CALL) {
        struct judge_step before = step;
        assert_true(story.calls < 40);
        step = play_call(&story, &judge);
        if (step.act == JUDGE_CALL)
            look_at_call(&story, &before, &step);
    }
    look_at_end(&story, &step, &settings, count);
}

static void whatever_fails_nothing_is_doubled_and_all_ends(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 50000; seed++)
        play(seed);
}

/* ---- the breaker ---- */

static const struct breaker_settings five = {5, 1000};

static bool admit(struct breaker *breaker, uint64_t now_ms,
                  struct breaker_ticket *ticket)
{
    return breaker_admit(breaker, &five, now_ms, ticket);
}

static void report(struct breaker *breaker, uint64_t now_ms,
                   struct breaker_ticket *ticket, enum breaker_verdict verdict)
{
    breaker_report(breaker, &five, now_ms, ticket, verdict);
}

static void call(struct breaker *breaker, uint64_t now_ms, enum breaker_verdict verdict)
{
    struct breaker_ticket ticket;

    assert_true(admit(breaker, now_ms, &ticket));
    report(breaker, now_ms, &ticket, verdict);
}

static void fail_times(struct breaker *breaker, uint64_t now_ms, unsigned times)
{
    while (times-- > 0)
        call(breaker, now_ms, VERDICT_FAILURE);
}

static void five_failures_in_a_row_open_it(void **state)
{
    struct breaker breaker = {0};
    struct breaker_ticket ticket;

    (void)state;
    fail_times(&breaker, 0, 4);
    call(&breaker, 0, VERDICT_SUCCESS);
    fail_times(&breaker, 0, 2);
    call(&breaker, 0,
         VERDICT_NEUTRAL); /* bad requests never count, nor do they reset */
    fail_times(&breaker, 0, 2);
    assert_string_equal(breaker_state_name(&breaker, &five, 0), "closed");
    fail_times(&breaker, 0, 1);
    assert_string_equal(breaker_state_name(&breaker, &five, 0), "open");
    assert_false(admit(&breaker, 999, &ticket));
    report(&breaker, 999, &ticket,
           VERDICT_SUCCESS); /* was not called: counts nowhere */
    assert_false(admit(&breaker, 999, &ticket));
}

static void after_the_cool_down_one_probe_decides(void **state)
{
    struct breaker breaker = {0};
    struct breaker_ticket probe;
    struct breaker_ticket other;

    (void)state;
    fail_times(&breaker, 0, 5);
    assert_string_equal(breaker_state_name(&breaker, &five, 1000), "half-open");
    assert_true(admit(&breaker, 1000, &probe));
    assert_false(admit(&breaker, 1000, &other));
    report(&breaker, 1000, &probe, VERDICT_NEUTRAL);
    assert_true(admit(&breaker, 1000, &probe));
    report(&breaker, 1100, &probe, VERDICT_NONE);
    assert_false(admit(&breaker, 1100, &other));
    report(&breaker, 1100, &probe, VERDICT_FAILURE);
    assert_false(admit(&breaker, 2099, &other));
    assert_true(admit(&breaker, 2100, &probe));
    report(&breaker, 2100, &probe, VERDICT_SUCCESS);
    assert_string_equal(breaker_state_name(&breaker, &five, 2100), "closed");
    fail_times(&breaker, 2100, 4); /* the count began anew */
    assert_string_equal(breaker_state_name(&breaker, &five, 2100), "closed");
}

static void verdicts_from_before_a_change_are_too_old(void **state)
{
    struct breaker breaker = {0};
    struct breaker_ticket old;

    (void)state;
    assert_true(admit(&breaker, 0, &old));
    fail_times(&breaker, 0, 5);
    report(&breaker, 10, &old, VERDICT_SUCCESS);
    assert_string_equal(breaker_state_name(&breaker, &five, 10), "open");
    report(&breaker, 10, &old, VERDICT_SUCCESS); /* nor twice */
}

static void a_threshold_of_none_never_opens(void **state)
{
    const struct breaker_settings never = {0, 1000};
    struct breaker breaker = {0};
    struct breaker_ticket ticket;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        assert_true(breaker_admit(&breaker, &never, 0, &ticket));
        breaker_report(&breaker, &never, 0, &ticket, VERDICT_FAILURE);
    }
}

int test_judge_property(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_fails_nothing_is_doubled_and_all_ends),
        cmocka_unit_test(five_failures_in_a_row_open_it),
        cmocka_unit_test(after_the_cool_down_one_probe_decides),
        cmocka_unit_test(verdicts_from_before_a_change_are_too_old),
        cmocka_unit_test(a_threshold_of_none_never_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
