/* test_worker.c - jobs become runs, on a real Redis, with the provider that is built in. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/worker.h"
#include "redis/jobs.h"
#include "shop.h"

#include <string.h>

#define REQUEST "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"

struct office {
    struct shop shop;
    struct providers providers;
    struct counters *counters;
    struct worker *worker;
    unsigned reports;
    char outcome[32];
    char code[64];
};

static void on_report(void *ctx, const struct generation_report *report)
{
    struct office *office = ctx;

    office->reports++;
    strncpy(office->outcome, report->outcome, sizeof(office->outcome) - 1);
    strncpy(office->code, report->code, sizeof(office->code) - 1);
}

static struct worker *hire(struct office *office)
{
    struct worker_source_redis_options bus = {
        .url = office->shop.scene->redis.url,
        .prefix = "tw",
        .job_silent_ms = 300,
    };
    struct worker_options options = {
        .providers = &office->providers,
        .generation = {.answer_limit_bytes = 1 << 20},
        .max_generations = 10,
        .lease_ms = 500,
        .on_report = on_report,
        .ctx = office,
    };
    struct buf error;

    buf_init(&error, 500);
    options.source = worker_source_redis_new(office->shop.scene->loop, &bus, &error);
    assert_non_null(options.source);
    struct worker *worker =
        worker_new(office->shop.scene->loop, &options, office->counters, &error);
    assert_non_null(worker);
    buf_release(&error);
    return worker;
}

static void office_open(struct office *office, void **state)
{
    static const char file[] =
        "default-model demo\nprovider demo\ndemo on\nmodels demo\n";
    struct buf error;

    *office = (struct office){0};
    shop_open(&office->shop, state);
    buf_init(&error, 500);
    assert_true(providers_parse(&office->providers, slice_of(file), &error));
    buf_release(&error);
    office->counters = counters_new();
}

static void office_close(struct office *office)
{
    worker_free(office->worker);
    counters_free(office->counters);
    providers_release(&office->providers);
    shop_close(&office->shop);
}

static void on_added(void *ctx, bool ok)
{
    unsigned *added = ctx;

    assert_true(ok);
    (*added)++;
}

static uint64_t submit(struct office *office, const char *request, bool keeps_text)
{
    struct run_open_request open = {
        .task = the_task(),
        .producer = slice_of("broker"),
        .state = RUN_QUEUED,
        .keeps_text = keeps_text,
        .request = slice_of(request),
    };
    unsigned added = 0;

    shop_open_run(&office->shop, &open, 0);
    assert_int_equal(office->shop.status, PUBLISH_OK);
    struct job job = {.task = the_task(), .epoch = office->shop.epoch};
    jobs_add(office->shop.link, "tw", &job, on_added, &added);
    scene_until_count(office->shop.scene, &added, 1);
    return job.epoch;
}

static void a_job_becomes_a_whole_run(void **state)
{
    struct office office;

    office_open(&office, state);
    office.worker = hire(&office);
    submit(&office, REQUEST, false);
    scene_until_count(office.shop.scene, &office.reports, 1);
    assert_string_equal(office.outcome, "completed");
    shop_load(&office.shop, 1000);
    assert_int_equal(office.shop.task.state, RUN_COMPLETED);
    assert_non_null(strstr(buf_text(&office.shop.text), "demonstration provider"));
    assert_true(office.shop.reasoning.len > 0);
    assert_non_null(
        strstr(buf_text(&office.shop.bodies), "\"finish_reason\":\"stop\""));
    assert_non_null(strstr(buf_text(&office.shop.bodies), "\"type\":\"usage\""));
    assert_string_equal(scene_ask(office.shop.scene, "XLEN tw:jobs"), "0");
    office_close(&office);
}

static bool has_text(void *ctx)
{
    struct office *office = ctx;

    (void)scene_ask(office->shop.scene, "STRLEN tw:{s/t1}:reasoning");
    return office->shop.scene->answer_number > 0;
}

static void wait_for_words(struct office *office)
{
    while (!has_text(office))
        scene_idle(office->shop.scene, 5);
}

static void a_stop_ends_a_run_at_once(void **state)
{
    struct office office;

    office_open(&office, state);
    office.worker = hire(&office);
    uint64_t epoch = submit(&office, REQUEST, false);
    wait_for_words(&office);
    shop_stop(&office.shop, epoch);
    assert_int_equal(office.shop.stopped, STOP_ACCEPTED);
    scene_until_count(office.shop.scene, &office.reports, 1);
    assert_string_equal(office.outcome, "stopped");
    shop_load(&office.shop, 1000);
    assert_int_equal(office.shop.task.state, RUN_STOPPED);
    office_close(&office);
}

static void a_job_of_a_worker_that_died_before_a_word_is_taken_by_another(void **state)
{
    struct office office;

    office_open(&office, state);
    struct worker *first = hire(&office);
    submit(&office, REQUEST, false);
    while (worker_active(first) == 0)
        scene_idle(office.shop.scene, 1);
    worker_free(first); /* as if killed: nothing is said, nothing is given back */
    office.worker = hire(&office);
    scene_until_count(office.shop.scene, &office.reports, 1);
    assert_string_equal(office.outcome, "completed");
    shop_load(&office.shop, 1000);
    assert_int_equal(office.shop.task.state, RUN_COMPLETED);
    office_close(&office);
}

static void a_request_nobody_can_read_ends_with_an_error(void **state)
{
    struct office office;

    office_open(&office, state);
    office.worker = hire(&office);
    submit(&office, "{\"messages\":7}", false);
    scene_until_count(office.shop.scene, &office.reports, 1);
    assert_string_equal(office.outcome, "error");
    assert_string_equal(office.code, "BAD_REQUEST");
    office_close(&office);
}

static void a_model_nobody_has_is_named(void **state)
{
    struct office office;

    office_open(&office, state);
    office.worker = hire(&office);
    submit(&office,
           "{\"model\":\"none\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
           false);
    scene_until_count(office.shop.scene, &office.reports, 1);
    assert_string_equal(office.code, "MODEL_NOT_FOUND");
    office_close(&office);
}

static void on_drained(void *ctx)
{
    unsigned *drained = ctx;

    (*drained)++;
}

static void a_worker_that_is_told_to_end_finishes_what_runs(void **state)
{
    struct office office;
    unsigned drained = 0;

    office_open(&office, state);
    office.worker = hire(&office);
    submit(&office, REQUEST, false);
    wait_for_words(&office);
    worker_drain(office.worker, on_drained, &drained);
    assert_int_equal(drained, 0);
    scene_until_count(office.shop.scene, &drained, 1);
    assert_int_equal(office.reports, 1);
    assert_string_equal(office.outcome, "completed");
    office_close(&office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_job_becomes_a_whole_run, scene_clean),
        cmocka_unit_test_setup(a_stop_ends_a_run_at_once, scene_clean),
        cmocka_unit_test_setup(
            a_job_of_a_worker_that_died_before_a_word_is_taken_by_another, scene_clean),
        cmocka_unit_test_setup(a_request_nobody_can_read_ends_with_an_error,
                               scene_clean),
        cmocka_unit_test_setup(a_model_nobody_has_is_named, scene_clean),
        cmocka_unit_test_setup(a_worker_that_is_told_to_end_finishes_what_runs,
                               scene_clean),
    };

    return cmocka_run_group_tests_name("worker", tests, scene_new, scene_free);
}
