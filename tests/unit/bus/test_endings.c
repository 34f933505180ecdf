/* test_endings.c - every run ends: stops that are ignored, lost producers, abandoned runs. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include <stdio.h>
#include <string.h>

static void on_stopped(void *ctx, enum stop_status status)
{
    struct stage *stage = ctx;

    stage->told++;
    stage->stopped = status;
}

static void stop(struct stage *stage)
{
    struct task_key task = the_task();
    unsigned before = stage->told;

    stage->bus->ops->stop(stage->bus, &task, 0, on_stopped, stage);
    scene_until_count(stage->scene, &stage->told, before + 1);
}

static void
a_stop_that_its_producer_ignores_is_carried_out_after_the_grace(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    stop(&stage);
    assert_int_equal(stage.stopped, STOP_UNKNOWN_TASK);
    uint64_t epoch = shop_run(&stage.shop, "p", 60000);
    shop_publish(&stage.shop, "p", epoch, 1, "t:abc");
    stop(&stage);
    assert_int_equal(stage.stopped, STOP_ACCEPTED);
    eye_until_seen(&eye, &stage, 1);
    assert_int_equal(topic_run(eye.topic)->state, RUN_RUNNING);
    eye_until_seen(&eye, &stage, 2);
    assert_string_equal(buf_text(&eye.log), "1:text 2:stopped ");
    assert_non_null(strstr(buf_text(&eye.last), "\"length\":3,"));
    shop_publish(&stage.shop, "p", epoch, 2, "t:d");
    shop_expect(&stage.shop, PUBLISH_ENDED, 0, 0);
    assert_true(stage.shop.result.stop_requested);
    stop(&stage);
    assert_int_equal(stage.stopped, STOP_ALREADY_FINISHED);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_stop_that_is_obeyed_gets_no_second_terminal_event(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    uint64_t epoch = shop_run(&stage.shop, "p", 60000);
    stop(&stage);
    shop_publish(&stage.shop, "p", epoch, 1, "x");
    scene_idle(stage.scene, 1500);
    assert_string_equal(buf_text(&eye.log), "1:stopped ");
    eye_close(&eye);
    stage_close(&stage);
}

static void a_run_whose_lease_has_run_out_ends_as_producer_lost(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    (void)shop_run(&stage.shop, "p", 300);
    eye_until_seen(&eye, &stage, 1);
    assert_string_equal(buf_text(&eye.log), "1:error ");
    assert_non_null(strstr(buf_text(&eye.last), "\"code\":\"PRODUCER_LOST\""));
    assert_int_equal(stage_counter(&stage, "redis_runs_ended_total "), 1);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_run_that_is_renewed_lives(void **state)
{
    struct stage stage;

    stage_open(&stage, state);
    uint64_t epoch = shop_run(&stage.shop, "p", 400);
    for (int i = 0; i < 15; i++) {
        scene_idle(stage.scene, 100);
        shop_renew(&stage.shop, "p", epoch, 400);
        shop_expect(&stage.shop, PUBLISH_OK, 0, 0);
    }
    stage_close(&stage);
}

static void a_lease_is_not_judged_before_redis_has_answered_for_its_time(void **state)
{
    struct stage stage;

    stage_open(&stage, state);
    (void)shop_run(&stage.shop, "p", 60000);
    /* As after a time in which Redis was silent, and nobody could renew. */
    (void)scene_ask(stage.scene, "DEL tw:{s/t1}:lease");
    scene_idle(stage.scene, 2200);
    assert_string_equal(shop_field(&stage.shop, "state"), "running");
    stage_close(&stage);
}

/* The lease runs out while Redis is silent; its producer needs a moment to come back. */
static void a_silence_of_redis_kills_no_run(void **state)
{
    struct stage stage;

    stage_open(&stage, state);
    uint64_t epoch = shop_run(&stage.shop, "p", 2000);
    for (int i = 0; i < 5; i++) {
        scene_idle(stage.scene, 500);
        shop_renew(&stage.shop, "p", epoch, 2000);
    }
    private_redis_pause(&stage.scene->redis);
    scene_idle(stage.scene, 2600);
    private_redis_resume(&stage.scene->redis);
    scene_idle(stage.scene, 800);
    assert_string_equal(shop_field(&stage.shop, "state"), "running");
    shop_renew(&stage.shop, "p", epoch, 2000);
    shop_expect(&stage.shop, PUBLISH_OK, 0, 0);
    scene_idle(stage.scene, 1500);
    assert_string_equal(shop_field(&stage.shop, "state"), "running");
    stage_close(&stage);
}

static void a_queued_run_that_nobody_takes_up_ends_after_its_time(void **state)
{
    struct stage stage;
    struct eye eye;
    struct run_open_request open = {
        .task = the_task(), .producer = slice_of("p"), .state = RUN_QUEUED};

    stage_open(&stage, state);
    stage.bus->ops->free(stage.bus);
    stage.limits.queue_timeout_ms = 200;
    stage.bus = bus_redis_new(stage.scene->loop, stage.hub, stage.scene->redis.url,
                              "tw", &stage.limits, stage.counters, &stage.listed);
    eye_open(&eye, &stage, "t1");
    shop_open_run(&stage.shop, &open, 0);
    eye_until_seen(&eye, &stage, 1);
    assert_string_equal(buf_text(&eye.log), "1:error ");
    assert_non_null(strstr(buf_text(&eye.last), "\"code\":\"QUEUE_TIMEOUT\""));
    /* One that was taken up in time is none of these. */
    shop_open_run(&stage.shop, &open, 0);
    open.state = RUN_RUNNING;
    open.producer = slice_of("worker");
    shop_open_run(&stage.shop, &open, stage.shop.epoch);
    scene_idle(stage.scene, 1500);
    assert_string_equal(shop_field(&stage.shop, "state"), "running");
    eye_close(&eye);
    stage_close(&stage);
}

/* The index is in another slot: it may miss a run, or be lost. */
static void a_run_that_the_index_has_lost_is_found_again_by_its_readers(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    (void)shop_run(&stage.shop, "p", 300);
    (void)scene_ask(stage.scene, "DEL tw:open");
    scene_idle(stage.scene, 1500);
    assert_string_equal(shop_field(&stage.shop, "state"), "running");
    eye_open(&eye, &stage, "t1");
    eye_until_seen(&eye, &stage, 1);
    assert_non_null(strstr(buf_text(&eye.last), "\"code\":\"PRODUCER_LOST\""));
    assert_string_equal(scene_ask(stage.scene, "ZCARD tw:open"), "0");
    eye_close(&eye);
    stage_close(&stage);
}

static void several_brokers_that_sweep_at_once_end_a_run_once(void **state)
{
    enum { BROKERS = 5, RUNS = 30 };
    struct stage stage;
    struct hub_limits limits;
    struct hub *hubs[BROKERS];
    struct bus *buses[BROKERS];
    struct counters *counters[BROKERS];

    stage_open(&stage, state);
    limits = *hub_limits(stage.hub);
    for (size_t i = 0; i < BROKERS; i++) {
        counters[i] = counters_new();
        hubs[i] = hub_new(stage.scene->loop, &limits, counters[i]);
        buses[i] = bus_redis_new(stage.scene->loop, hubs[i], stage.scene->redis.url,
                                 "tw", &stage.limits, counters[i], &stage.listed);
    }
    for (int i = 0; i < RUNS; i++) {
        char name[16];
        struct run_open_request open = {
            .producer = slice_of("p"), .state = RUN_RUNNING, .lease_ms = 200};
        (void)snprintf(name, sizeof(name), "run%d", i);
        open.task = task_of("s", name);
        shop_open_run(&stage.shop, &open, 0);
    }
    while (strcmp(scene_ask(stage.scene, "ZCARD tw:open"), "0") != 0)
        scene_idle(stage.scene, 50);
    for (int i = 0; i < RUNS; i++)
        assert_string_equal(scene_ask(stage.scene, "XLEN tw:{s/run%d}:log", i), "1");
    for (size_t i = 0; i < BROKERS; i++) {
        buses[i]->ops->free(buses[i]);
        hub_free(hubs[i]);
        counters_free(counters[i]);
    }
    stage_close(&stage);
}

static void an_unleased_run_without_events_is_abandoned_after_its_time(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    stage.bus->ops->free(stage.bus);
    stage.limits.abandon_ms = 200;
    stage.bus = bus_redis_new(stage.scene->loop, stage.hub, stage.scene->redis.url,
                              "tw", &stage.limits, stage.counters, &stage.listed);
    eye_open(&eye, &stage, "t1");
    shop_publish(&stage.shop, "", 0, 0, "s");
    eye_until_seen(&eye, &stage, 2);
    assert_string_equal(buf_text(&eye.log), "1:status 2:error ");
    assert_non_null(strstr(buf_text(&eye.last), "\"code\":\"ABANDONED\""));
    eye_close(&eye);
    stage_close(&stage);
}

int test_endings(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_stop_that_its_producer_ignores_is_carried_out_after_the_grace),
        cmocka_unit_test(a_stop_that_is_obeyed_gets_no_second_terminal_event),
        cmocka_unit_test(a_run_whose_lease_has_run_out_ends_as_producer_lost),
        cmocka_unit_test(a_run_that_is_renewed_lives),
        cmocka_unit_test(a_lease_is_not_judged_before_redis_has_answered_for_its_time),
        cmocka_unit_test(a_silence_of_redis_kills_no_run),
        cmocka_unit_test(a_queued_run_that_nobody_takes_up_ends_after_its_time),
        cmocka_unit_test(a_run_that_the_index_has_lost_is_found_again_by_its_readers),
        cmocka_unit_test(several_brokers_that_sweep_at_once_end_a_run_once),
        cmocka_unit_test(an_unleased_run_without_events_is_abandoned_after_its_time),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("endings", tests, scene_new, scene_free);
}
