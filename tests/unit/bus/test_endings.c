/* test_endings.c - every run ends: stops that are ignored, lost producers, abandoned runs. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

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
        cmocka_unit_test(an_unleased_run_without_events_is_abandoned_after_its_time),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("endings", tests, scene_new, scene_free);
}
