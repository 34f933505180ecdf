/* test_redis.c - the Redis bus when nothing goes wrong. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_reader_sees_what_another_process_publishes(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    assert_int_equal(topic_run(eye.topic)->state, RUN_UNKNOWN);
    uint64_t epoch = shop_run(&stage.shop, "p", 10000);
    shop_publish(&stage.shop, "p", epoch, 1, "r:Hmm t:Hel t:lo c");
    eye_until_seen(&eye, &stage, 4);
    assert_string_equal(buf_text(&eye.log), "1:reasoning 2:text 3:text 4:completion ");
    assert_string_equal(eye_text(&eye, &stage), "Hello");
    assert_int_equal(topic_last_id(eye.topic).epoch, epoch);
    assert_int_equal(topic_run(eye.topic)->state, RUN_COMPLETED);
    assert_int_equal(eye.lost, 0);
    assert_int_equal(stage_counter(&stage, "redis_live_total{outcome=\"taken\"} "), 4);
    eye_close(&eye);
    stage_close(&stage);
}

static void presence_is_known_before_the_first_event(void **state)
{
    struct run_open_request request = {
        .task = the_task(), .producer = slice_of("p"), .state = RUN_QUEUED};
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    unsigned woken = eye.woken;
    shop_open_run(&stage.shop, &request, 0);
    scene_until_count(stage.scene, &eye.woken, woken + 1);
    assert_int_equal(topic_run(eye.topic)->state, RUN_QUEUED);
    assert_int_equal(topic_run(eye.topic)->epoch, stage.shop.epoch);
    assert_int_equal(topic_run(eye.topic)->started_ms, stage.shop.epoch);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_late_reader_finds_state_text_and_entries(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    uint64_t epoch = shop_run(&stage.shop, "p", 10000);
    shop_publish(&stage.shop, "p", epoch, 1, "r:why s t:one t:two");
    eye_open(&eye, &stage, "t1");
    const struct run *run = topic_run(eye.topic);
    assert_int_equal(run->state, RUN_RUNNING);
    assert_int_equal(run->last_seq, 4);
    assert_int_equal(run->text.merged, 2);
    assert_int_equal(run->text.first_seq, 3);
    assert_int_equal(run->text.last_seq, 4);
    assert_string_equal(run->text.timestamp, "2026-11-20T23:00:00.123Z");
    assert_string_equal(eye_text(&eye, &stage), "onetwo");
    assert_int_equal(topic_next(eye.topic) - topic_base(eye.topic), 4);
    assert_int_equal(topic_after(eye.topic, (struct event_id){epoch, 2, false}),
                     topic_next(eye.topic) - 2);
    /* Snapshot and live meet. */
    shop_publish(&stage.shop, "p", epoch, 5, "t:three c");
    eye_until_seen(&eye, &stage, 2);
    assert_string_equal(buf_text(&eye.log), "5:text 6:completion ");
    assert_string_equal(eye_text(&eye, &stage), "onetwothree");
    eye_close(&eye);
    stage_close(&stage);
}

static void a_join_in_the_middle_of_a_burst_misses_and_doubles_nothing(void **state)
{
    struct event event;
    struct publish_request request = {
        .task = the_task(), .producer = slice_of("p"), .events = &event, .count = 1};
    const char *field = NULL;
    struct stage stage;
    struct eye eyes[20];

    stage_open(&stage, state);
    request.epoch = shop_run(&stage.shop, "p", 10000);
    (void)event_check(slice_of("{\"type\":\"text\",\"text\":\"x\",\"partial\":true}"),
                      &event, &field);
    unsigned before = stage.shop.told;
    /* Each round a reader of another broker-like topic life: cold, joined, dropped. */
    for (unsigned round = 0; round < 20; round++) {
        for (int i = 0; i < 50; i++) {
            request.counter++;
            shop_send(&stage.shop, &request);
        }
        eye_attach(&eyes[round],
                   hub_topic(stage.hub, TOPIC_TASK, slice_of("s"), slice_of("t1")));
    }
    scene_until_count(stage.scene, &stage.shop.told, before + 1000);
    for (unsigned i = 0; i < 20; i++) {
        scene_until(stage.scene, eye_is_ready, &eyes[i]);
        while (topic_run(eyes[i].topic)->last_seq < 1000)
            scene_idle(stage.scene, 1);
    }
    assert_int_equal(topic_run(eyes[0].topic)->text.utf8.len, 1000);
    assert_int_equal(topic_run(eyes[0].topic)->text.merged, 1000);
    for (unsigned i = 0; i < 20; i++)
        eye_close(&eyes[i]);
    stage_close(&stage);
}

static void runs_follow_each_other_on_one_task(void **state)
{
    struct run_open_request again = {
        .task = the_task(), .state = RUN_RUNNING, .keeps_text = true};
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    shop_publish(&stage.shop, "", 0, 0, "t:one x");
    shop_open_run(&stage.shop, &again, 0);
    shop_publish(&stage.shop, "", 0, 0, "t:two c");
    shop_publish(&stage.shop, "", 0, 0, "t:new");
    eye_until_seen(&eye, &stage, 5);
    assert_string_equal(buf_text(&eye.log),
                        "1:text 2:stopped 1:text 2:completion 1:text ");
    assert_string_equal(eye_text(&eye, &stage), "new");
    assert_int_equal(eye.lost, 0);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_continue_keeps_the_text_live_and_when_loaded(void **state)
{
    struct run_open_request again = {
        .task = the_task(), .state = RUN_RUNNING, .keeps_text = true};
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    shop_publish(&stage.shop, "", 0, 0, "t:one x");
    shop_open_run(&stage.shop, &again, 0);
    shop_publish(&stage.shop, "", 0, 0, "t:two");
    eye_until_seen(&eye, &stage, 3);
    assert_string_equal(eye_text(&eye, &stage), "onetwo");
    eye_close(&eye);
    stage_close(&stage);
    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    assert_string_equal(eye_text(&eye, &stage), "onetwo");
    assert_int_equal(topic_run(eye.topic)->last_seq, 1);
    /* It began in the run before. */
    assert_int_equal(topic_run(eye.topic)->text.first_seq, 0);
    eye_close(&eye);
    stage_close(&stage);
}

static void tasks_and_sites_do_not_mix(void **state)
{
    struct stage stage;
    struct eye one;
    struct eye two;
    struct eye other_site;

    stage_open(&stage, state);
    eye_open(&one, &stage, "t1");
    eye_open(&two, &stage, "t2");
    eye_attach(&other_site,
               hub_topic(stage.hub, TOPIC_TASK, slice_of(""), slice_of("t1")));
    scene_until(stage.scene, eye_is_ready, &other_site);
    shop_publish(&stage.shop, "", 0, 0, "s s");
    eye_until_seen(&one, &stage, 2);
    scene_idle(stage.scene, 20);
    assert_int_equal(two.seen, 0);
    assert_int_equal(other_site.seen, 0);
    eye_close(&one);
    eye_close(&two);
    eye_close(&other_site);
    stage_close(&stage);
}

static void the_number_of_connections_does_not_grow_with_readers(void **state)
{
    struct eye *eyes = calloc(300, sizeof(*eyes));
    struct stage stage;
    char name[16];

    stage_open(&stage, state);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i / 2);
        eye_open(&eyes[i], &stage, name);
    }
    assert_int_equal(stage_counter(&stage, "redis_loads_total "), 150);
    unsigned named = 0;
    const char *list = scene_ask(stage.scene, "CLIENT LIST");
    for (const char *at = list; (at = strstr(at, "name=thinkwired")) != NULL; at++)
        named++;
    assert_int_equal(named, 2);
    for (int i = 0; i < 300; i++)
        eye_close(&eyes[i]);
    stage_close(&stage);
    free(eyes);
}

static void an_unwatched_task_is_unsubscribed(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    assert_string_equal(scene_ask(stage.scene, "PUBSUB NUMSUB tw:{s/t1}:live"),
                        "tw:{s/t1}:live|1");
    eye_close(&eye);
    /* The hub lets go when its own time has come; the bus is told by its feed. */
    stage.bus->ops->free(stage.bus);
    stage.bus = NULL;
    scene_idle(stage.scene, 20);
    assert_string_equal(scene_ask(stage.scene, "PUBSUB NUMSUB tw:{s/t1}:live"),
                        "tw:{s/t1}:live|0");
    stage_close(&stage);
}

/* ---- what is asked through the bus ---- */

static void on_published(void *ctx, const struct publish_result *result)
{
    struct stage *stage = ctx;

    stage->told++;
    stage->result = *result;
}

static void on_opened(void *ctx, enum publish_status status, uint64_t epoch)
{
    struct stage *stage = ctx;

    stage->told++;
    stage->result.status = status;
    stage->epoch = epoch;
}

static void on_done(void *ctx, bool ok)
{
    struct stage *stage = ctx;

    stage->told++;
    stage->is_good = ok;
}

static void on_each(void *ctx, const struct bus_task *task)
{
    struct stage *stage = ctx;

    buf_slice(&stage->listed, task->task.task_id);
    buf_printf(&stage->listed, ":%s:%llu ", run_state_name(task->state),
               (unsigned long long)task->last.seq);
}

static void publishing_opening_listing_and_erasing_go_through_the_bus(void **state)
{
    struct run_open_request open = {
        .task = the_task(), .producer = slice_of("p"), .state = RUN_RUNNING};
    struct event event;
    struct publish_request request = {.task = the_task(),
                                      .producer = slice_of("p"),
                                      .counter = 1,
                                      .events = &event,
                                      .count = 1};
    struct task_key task = the_task();
    const char *field = NULL;
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    stage.bus->ops->open(stage.bus, &open, on_opened, &stage);
    scene_until_count(stage.scene, &stage.told, 1);
    assert_int_equal(stage.result.status, PUBLISH_OK);
    (void)event_check(slice_of("{\"type\":\"status\"}"), &event, &field);
    request.epoch = stage.epoch;
    stage.bus->ops->publish(stage.bus, &request, on_published, &stage);
    scene_until_count(stage.scene, &stage.told, 2);
    assert_int_equal(stage.result.status, PUBLISH_OK);
    assert_int_equal(stage.result.first.seq, 1);
    eye_until_seen(&eye, &stage, 1);
    stage.bus->ops->list(stage.bus, slice_of("s"), 10, on_each, on_done, &stage);
    scene_until_count(stage.scene, &stage.told, 3);
    assert_true(stage.is_good);
    assert_string_equal(buf_text(&stage.listed), "t1:running:1 ");
    stage.bus->ops->erase(stage.bus, &task, on_done, &stage);
    scene_until_count(stage.scene, &stage.told, 4);
    assert_true(stage.is_good);
    eye_until_lost(&eye, &stage, 1);
    assert_true(topic_was_erased(eye.topic));
    /* The id may be used again. */
    shop_publish(&stage.shop, "", 0, 0, "s");
    eye_until_seen(&eye, &stage, 2);
    assert_false(topic_was_erased(eye.topic));
    eye_close(&eye);
    stage_close(&stage);
}

static void a_reader_of_an_erased_task_is_told_so(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    shop_publish(&stage.shop, "", 0, 0, "s");
    shop_erase(&stage.shop);
    eye_open(&eye, &stage, "t1");
    assert_true(topic_was_erased(eye.topic));
    eye_close(&eye);
    stage_close(&stage);
}

static void while_redis_is_away_readers_stay_and_publishing_fails_fast(void **state)
{
    struct event event;
    struct publish_request request = {.task = the_task(), .events = &event, .count = 1};
    const char *field = NULL;
    struct stage stage;
    struct eye eye;
    struct eye late;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    private_redis_kill(&stage.scene->redis);
    while (stage.bus->ops->trouble(stage.bus) == NULL)
        scene_idle(stage.scene, 1);
    (void)event_check(slice_of("{\"type\":\"status\"}"), &event, &field);
    stage.bus->ops->publish(stage.bus, &request, on_published, &stage);
    scene_idle(stage.scene, 5);
    assert_int_equal(stage.told, 1);
    assert_int_equal(stage.result.status, PUBLISH_UNAVAILABLE);
    assert_int_equal(topic_phase(eye.topic), TOPIC_READY);
    /* Who comes meanwhile waits, and is served when Redis is back. */
    eye_attach(&late, hub_topic(stage.hub, TOPIC_TASK, slice_of("s"), slice_of("t2")));
    scene_idle(stage.scene, 20);
    assert_int_equal(topic_phase(late.topic), TOPIC_LOADING);
    private_redis_start(&stage.scene->redis);
    scene_until(stage.scene, eye_is_ready, &late);
    scene_until_count(stage.scene, &stage.shop.ups, 2);
    shop_publish(&stage.shop, "", 0, 0, "s");
    eye_until_seen(&eye, &stage, 1);
    assert_null(stage.bus->ops->trouble(stage.bus));
    eye_close(&eye);
    eye_close(&late);
    stage_close(&stage);
}

static void a_malformed_address_is_refused_with_a_message(void **state)
{
    struct stage stage;
    struct buf error;

    stage_open(&stage, state);
    buf_init(&error, 1024);
    assert_null(bus_redis_new(stage.scene->loop, stage.hub, "rediss://h", "tw",
                              &stage.limits, stage.counters, &error));
    assert_non_null(strstr(buf_text(&error), "stunnel"));
    buf_reset(&error);
    assert_null(bus_frappe_new(stage.scene->loop, stage.hub,
                               &(struct frappe_channel){"nonsense", "events", NULL},
                               stage.counters, &error));
    assert_true(error.len > 0);
    buf_release(&error);
    stage_close(&stage);
}

int test_redis(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_sees_what_another_process_publishes),
        cmocka_unit_test(presence_is_known_before_the_first_event),
        cmocka_unit_test(a_late_reader_finds_state_text_and_entries),
        cmocka_unit_test(a_join_in_the_middle_of_a_burst_misses_and_doubles_nothing),
        cmocka_unit_test(runs_follow_each_other_on_one_task),
        cmocka_unit_test(a_continue_keeps_the_text_live_and_when_loaded),
        cmocka_unit_test(tasks_and_sites_do_not_mix),
        cmocka_unit_test(the_number_of_connections_does_not_grow_with_readers),
        cmocka_unit_test(an_unwatched_task_is_unsubscribed),
        cmocka_unit_test(publishing_opening_listing_and_erasing_go_through_the_bus),
        cmocka_unit_test(a_reader_of_an_erased_task_is_told_so),
        cmocka_unit_test(while_redis_is_away_readers_stay_and_publishing_fails_fast),
        cmocka_unit_test(a_malformed_address_is_refused_with_a_message),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("redis", tests, scene_new, scene_free);
}
