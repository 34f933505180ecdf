/* test_server.c - a Redis that may not be used, one that is full, and what is said of them. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include <string.h>

static void limit(struct stage *stage, const char *bytes, const char *policy)
{
    (void)scene_ask(stage->scene, "CONFIG SET maxmemory %s", bytes);
    (void)scene_ask(stage->scene, "CONFIG SET maxmemory-policy %s", policy);
}

static bool judge(struct stage *stage, struct buf *error)
{
    buf_init(error, 4096);
    return stage->bus->ops->judge(stage->bus, error);
}

static void a_redis_that_evicts_is_refused_at_the_start_with_the_remedy(void **state)
{
    struct stage stage;
    struct buf error;

    stage_open_without_bus(&stage, state);
    limit(&stage, "100mb", "allkeys-lru");
    stage_open_bus(&stage, stage.scene->redis.url);
    assert_false(judge(&stage, &error));
    assert_non_null(strstr(buf_text(&error), "maxmemory-policy allkeys-lru"));
    assert_non_null(strstr(buf_text(&error), "CONFIG SET maxmemory-policy noeviction"));
    buf_release(&error);
    limit(&stage, "0", "noeviction");
    stage_close(&stage);
}

static void the_policy_alone_is_no_reason(void **state)
{
    struct stage stage;
    struct buf error;

    stage_open_without_bus(&stage, state);
    limit(&stage, "0", "allkeys-lru");
    stage_open_bus(&stage, stage.scene->redis.url);
    assert_true(judge(&stage, &error));
    assert_int_equal(error.len, 0);
    buf_release(&error);
    limit(&stage, "0", "noeviction");
    stage_close(&stage);
}

static void a_redis_that_is_away_is_no_reason_and_is_not_waited_for(void **state)
{
    struct stage stage;
    struct buf error;

    stage_open_without_bus(&stage, state);
    stage_open_bus(&stage, "redis://127.0.0.1:1");
    uint64_t before = loop_now_ms(stage.scene->loop);
    assert_true(judge(&stage, &error));
    assert_true(loop_now_ms(stage.scene->loop) - before < 1500);
    buf_release(&error);
    stage_close(&stage);
}

static bool is_in_trouble(void *ctx)
{
    struct stage *stage = ctx;
    return stage->bus->ops->trouble(stage->bus) != NULL;
}

static bool is_well(void *ctx)
{
    return !is_in_trouble(ctx);
}

static void a_redis_that_begins_to_evict_makes_the_broker_unready_not_gone(void **state)
{
    struct stage stage;
    struct buf error;

    stage_open(&stage, state);
    assert_true(judge(&stage, &error));
    buf_release(&error);
    limit(&stage, "100mb", "volatile-lru");
    scene_until(stage.scene, is_in_trouble, &stage);
    assert_non_null(strstr(stage.bus->ops->trouble(stage.bus), "noeviction"));
    assert_int_equal(stage_counter(&stage, "redis_fitness_total{state=\"evicts\"} "),
                     1);
    limit(&stage, "0", "noeviction");
    scene_until(stage.scene, is_well, &stage);
    stage_close(&stage);
}

static void on_published(void *ctx, const struct publish_result *result)
{
    struct stage *stage = ctx;

    stage->result = *result;
    stage->told++;
}

static void publish(struct stage *stage)
{
    const char *field = NULL;
    struct event event;
    unsigned told = stage->told;
    struct publish_request request = {.task = the_task(), .events = &event, .count = 1};

    (void)event_check(slice_of("{\"type\":\"text\",\"text\":\"x\",\"partial\":true}"),
                      &event, &field);
    stage->bus->ops->publish(stage->bus, &request, on_published, stage);
    scene_until_count(stage->scene, &stage->told, told + 1);
}

static void a_full_redis_refuses_and_readers_read_on(void **state)
{
    struct stage stage;
    struct eye eye;
    struct eye late;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    publish(&stage);
    assert_int_equal(stage.result.status, PUBLISH_OK);
    eye_until_seen(&eye, &stage, 1);
    limit(&stage, "1", "noeviction");
    publish(&stage);
    assert_int_equal(stage.result.status, PUBLISH_UNAVAILABLE);
    assert_non_null(strstr(stage.result.detail, "maxmemory"));
    assert_true(is_in_trouble(&stage));
    assert_int_equal(stage_counter(&stage, "redis_refusals_total{reason=\"full\"} "),
                     1);
    /* Also who comes now, to a task that was never read here. */
    eye_open(&late, &stage, "t2");
    limit(&stage, "0", "noeviction");
    publish(&stage);
    assert_int_equal(stage.result.status, PUBLISH_OK);
    eye_until_seen(&eye, &stage, 2);
    assert_int_equal(eye.lost, 0);
    scene_until(stage.scene, is_well, &stage);
    eye_close(&late);
    eye_close(&eye);
    stage_close(&stage);
}

int test_server(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(a_redis_that_evicts_is_refused_at_the_start_with_the_remedy),
        cmocka_unit_test(the_policy_alone_is_no_reason),
        cmocka_unit_test(a_redis_that_is_away_is_no_reason_and_is_not_waited_for),
        cmocka_unit_test(
            a_redis_that_begins_to_evict_makes_the_broker_unready_not_gone),
        cmocka_unit_test(a_full_redis_refuses_and_readers_read_on),
    };
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("server", tests, scene_new, scene_free);
}
