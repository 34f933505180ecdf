/* test_heal.c - gaps, cuts, silence, lost data: what the stream knows is what readers get. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes one event of t1 past the live channel, as if its message had been lost. */
static void write_silently(struct stage *stage, uint64_t epoch, unsigned seq,
                           const char *json)
{
    char key[32] = "tw:{s/t1}:log";
    char id[64];

    (void)snprintf(id, sizeof(id), "%llu-%u", (unsigned long long)epoch, seq);
    assert_string_equal(
        scene_ask_words(stage->scene, "XADD", key, id, "e", json, (char *)NULL), id);
    (void)scene_ask(stage->scene, "HSET tw:{s/t1}:run seq %u counter %u", seq, seq + 1);
}

#define STATUS "{\"type\":\"status\",\"task_id\":\"t1\"}"
#define DONE   "{\"type\":\"completion\",\"text\":\"all\",\"task_id\":\"t1\"}"

static void live(struct stage *stage, const char *payload)
{
    (void)scene_ask_words(stage->scene, "PUBLISH", "tw:{s/t1}:live", payload,
                          (char *)NULL);
}

static void live_id(struct stage *stage, uint64_t epoch, unsigned seq, const char *json)
{
    char payload[512];

    (void)snprintf(payload, sizeof(payload), "%llu-%u %s", (unsigned long long)epoch,
                   seq, json);
    live(stage, payload);
}

static void a_gap_is_healed_from_the_stream(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    uint64_t epoch = shop_run(&stage.shop, "p", 10000);
    shop_publish(&stage.shop, "p", epoch, 1, "s");
    write_silently(&stage, epoch, 2, STATUS);
    write_silently(&stage, epoch, 3, STATUS);
    shop_publish(&stage.shop, "p", epoch, 4, "t:x");
    eye_until_seen(&eye, &stage, 4);
    assert_string_equal(buf_text(&eye.log), "1:status 2:status 3:status 4:text ");
    assert_string_equal(eye_text(&eye, &stage), "x");
    assert_int_equal(eye.lost, 0);
    assert_int_equal(stage_counter(&stage, "redis_live_total{outcome=\"gap\"} "), 1);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_long_gap_is_healed_in_chunks_once_for_all_readers(void **state)
{
    struct stage stage;
    struct eye eyes[10];
    char epoch_text[24];

    stage_open(&stage, state);
    uint64_t epoch = shop_run(&stage.shop, "p", 10000);
    (void)snprintf(epoch_text, sizeof(epoch_text), "%llu", (unsigned long long)epoch);
    for (int i = 0; i < 10; i++)
        eye_open(&eyes[i], &stage, "t1");
    (void)scene_ask_words(stage.scene, "EVAL",
                          "for i = 1, 1200 do redis.call('XADD', KEYS[1], "
                          "ARGV[1] .. '-' .. i, 'e', ARGV[2]) end",
                          "1", "tw:{s/t1}:log", epoch_text, STATUS, (char *)NULL);
    (void)scene_ask(stage.scene, "HSET tw:{s/t1}:run seq 1200 counter 1201");
    (void)scene_ask(stage.scene, "CONFIG RESETSTAT");
    shop_publish(&stage.shop, "p", epoch, 1201, "s");
    for (int i = 0; i < 10; i++)
        eye_until_seen(&eyes[i], &stage, 1201);
    assert_non_null(
        strstr(scene_ask(stage.scene, "INFO commandstats"), "cmdstat_xrange:calls=3,"));
    for (int i = 0; i < 10; i++)
        eye_close(&eyes[i]);
    stage_close(&stage);
}

static void live_messages_during_healing_are_neither_lost_nor_doubled(void **state)
{
    struct event event;
    struct publish_request request = {
        .task = the_task(), .producer = slice_of("p"), .events = &event, .count = 1};
    const char *field = NULL;
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    request.epoch = shop_run(&stage.shop, "p", 10000);
    (void)event_check(slice_of("{\"type\":\"text\",\"text\":\"x\",\"partial\":true}"),
                      &event, &field);
    unsigned before = stage.shop.told;
    unsigned sent = 0;
    for (unsigned seq = 1; seq <= 2000; seq++) {
        if (seq % 400 == 0) {
            scene_until_count(stage.scene, &stage.shop.told, before + sent);
            write_silently(&stage, request.epoch, seq, STATUS);
            continue;
        }
        request.counter = seq;
        shop_send(&stage.shop, &request);
        sent++;
    }
    /* The very last was silent: one more tells of it. */
    scene_until_count(stage.scene, &stage.shop.told, before + sent);
    request.counter = 2001;
    shop_send(&stage.shop, &request);
    eye_until_seen(&eye, &stage, 2001);
    assert_int_equal(eye.seen, 2001);
    assert_int_equal(eye.lost, 0);
    assert_true(stage_counter(&stage, "redis_live_total{outcome=\"gap\"} ") >= 5);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_cut_subscription_is_healed_without_a_seam(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    uint64_t epoch = shop_run(&stage.shop, "p", 10000);
    shop_publish(&stage.shop, "p", epoch, 1, "t:a");
    eye_until_seen(&eye, &stage, 1);
    /* One round trip each: what is published in between reaches nobody. */
    (void)scene_ask(stage.scene, "CLIENT KILL TYPE pubsub");
    assert_string_equal(scene_ask(stage.scene, "PUBSUB NUMSUB tw:{s/t1}:live"),
                        "tw:{s/t1}:live|0");
    shop_publish(&stage.shop, "p", epoch, 2, "t:b t:c c");
    eye_until_seen(&eye, &stage, 4);
    assert_string_equal(buf_text(&eye.log), "1:text 2:text 3:text 4:completion ");
    assert_string_equal(eye_text(&eye, &stage), "abc");
    assert_int_equal(eye.lost, 0);
    assert_int_equal(stage_counter(&stage, "redis_reloads_total "), 0);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_run_opened_while_cut_is_loaded_and_readers_are_told(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    shop_publish(&stage.shop, "", 0, 0, "t:old");
    eye_until_seen(&eye, &stage, 1);
    (void)scene_ask(stage.scene, "CLIENT KILL TYPE pubsub");
    shop_publish(&stage.shop, "", 0, 0, "c t:new");
    eye_until_lost(&eye, &stage, 1);
    assert_string_equal(eye_text(&eye, &stage), "new");
    assert_int_equal(topic_last_id(eye.topic).seq, 1);
    shop_publish(&stage.shop, "", 0, 0, "c");
    eye_until_seen(&eye, &stage, 3);
    assert_string_equal(buf_text(&eye.log), "1:text 2:completion ! 2:completion ");
    eye_close(&eye);
    stage_close(&stage);
}

static void an_idle_cut_costs_readers_nothing(void **state)
{
    struct run_open_request queued = {
        .task = task_of("s", "t3"), .producer = slice_of("p"), .state = RUN_QUEUED};
    struct stage stage;
    struct eye known;
    struct eye unknown;
    struct eye waiting;

    stage_open(&stage, state);
    shop_publish(&stage.shop, "", 0, 0, "s");
    shop_open_run(&stage.shop, &queued, 0);
    eye_open(&known, &stage, "t1");
    eye_open(&unknown, &stage, "t2");
    eye_open(&waiting, &stage, "t3");
    (void)scene_ask(stage.scene, "CLIENT KILL TYPE pubsub");
    shop_publish(&stage.shop, "", 0, 0, "s");
    eye_until_seen(&known, &stage, 1);
    scene_idle(stage.scene, 20);
    assert_int_equal(known.lost + unknown.lost + waiting.lost, 0);
    assert_int_equal(stage_counter(&stage, "redis_reloads_total "), 0);
    assert_int_equal(topic_run(waiting.topic)->state, RUN_QUEUED);
    eye_close(&known);
    eye_close(&unknown);
    eye_close(&waiting);
    stage_close(&stage);
}

static void an_entry_that_changed_under_its_id_means_a_new_start(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    shop_publish(&stage.shop, "", 0, 0, "t:a");
    eye_until_seen(&eye, &stage, 1);
    unsigned long long epoch = topic_last_id(eye.topic).epoch;
    /* As after a failover to a replica that had not got it, where somebody went on. */
    (void)scene_ask(stage.scene, "CLIENT KILL TYPE pubsub");
    (void)scene_ask(stage.scene, "DEL tw:{s/t1}:log tw:{s/t1}:text");
    (void)scene_ask(stage.scene, "SET tw:{s/t1}:text b");
    write_silently(&stage, epoch, 1,
                   "{\"type\":\"text\",\"text\":\"b\",\"partial\":true}");
    eye_until_lost(&eye, &stage, 1);
    assert_string_equal(eye_text(&eye, &stage), "b");
    eye_close(&eye);
    stage_close(&stage);
}

static void when_redis_has_lost_everything_readers_are_told_and_go_on(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    uint64_t epoch = shop_run(&stage.shop, "p", 10000);
    shop_publish(&stage.shop, "p", epoch, 1, "t:a t:b");
    eye_until_seen(&eye, &stage, 2);
    private_redis_kill(&stage.scene->redis);
    scene_idle(stage.scene, 10);
    private_redis_start(&stage.scene->redis);
    eye_until_lost(&eye, &stage, 1);
    /* The producer is told so, opens anew, and publishes what it has, one delta a kind. */
    scene_until_count(stage.scene, &stage.shop.ups, 2);
    shop_publish(&stage.shop, "p", epoch, 3, "t:c");
    shop_expect(&stage.shop, PUBLISH_UNKNOWN_RUN, 0, 0);
    uint64_t next = shop_run(&stage.shop, "p", 10000);
    assert_true(next > epoch);
    shop_publish(&stage.shop, "p", next, 1, "t:abc");
    eye_until_seen(&eye, &stage, 3);
    assert_string_equal(eye_text(&eye, &stage), "abc");
    assert_int_equal(topic_last_id(eye.topic).epoch, next);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_run_whose_opening_was_not_heard_is_loaded(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    shop_publish(&stage.shop, "", 0, 0, "t:a");
    uint64_t epoch = stage.shop.result.first.epoch;
    /* A second topic life from here: forget the note by making the epoch jump. */
    eye_until_seen(&eye, &stage, 1);
    (void)scene_ask(stage.scene, "DEL tw:{s/t1}:log tw:{s/t1}:text");
    (void)scene_ask(stage.scene, "HSET tw:{s/t1}:run epoch %llu seq 0",
                    (unsigned long long)epoch + 5);
    write_silently(&stage, epoch + 5, 1, STATUS);
    live_id(&stage, epoch + 5, 1, STATUS);
    eye_until_lost(&eye, &stage, 1);
    assert_int_equal(topic_last_id(eye.topic).epoch, epoch + 5);
    assert_int_equal(topic_last_id(eye.topic).seq, 1);
    eye_close(&eye);
    stage_close(&stage);
}

/* ---- what must not be believed ---- */

static void bad_live_messages_are_skipped_and_counted(void **state)
{
    static const char *const bad[] = {"",       "nonsense",         "1-1",
                                      "x-1 {}", "5-0 {\"type\":7}", "5-0 nonsense"};
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    uint64_t epoch = shop_run(&stage.shop, "p", 10000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        live(&stage, bad[i]);
    /* The right id with bad JSON: the true one is in the stream. */
    live_id(&stage, epoch, 1, "{\"type\":");
    live_id(&stage, epoch, 1, "{\"type\":\"status\",\"id\":\"1-1\"}");
    write_silently(&stage, epoch, 1, STATUS);
    shop_publish(&stage.shop, "p", epoch, 2, "c");
    eye_until_seen(&eye, &stage, 2);
    assert_string_equal(buf_text(&eye.log), "1:status 2:completion ");
    assert_int_equal(stage_counter(&stage, "redis_live_total{outcome=\"skipped\"} "),
                     8);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_message_that_comes_twice_or_late_is_a_duplicate(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    shop_publish(&stage.shop, "", 0, 0, "s s c s");
    eye_until_seen(&eye, &stage, 4);
    uint64_t epoch = stage.shop.result.first.epoch;
    live_id(&stage, epoch, 2, STATUS);
    live_id(&stage, epoch, 3, STATUS);
    live_id(&stage, epoch - 5, 9, STATUS);
    live_id(&stage, stage.shop.result.last.epoch, 1, STATUS);
    scene_idle(stage.scene, 10);
    assert_int_equal(eye.seen, 4);
    assert_int_equal(eye.lost, 0);
    assert_int_equal(stage_counter(&stage, "redis_live_total{outcome=\"duplicate\"} "),
                     4);
    eye_close(&eye);
    stage_close(&stage);
}

static void forged_ids_are_asked_about_once_and_forgotten(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    shop_publish(&stage.shop, "", 0, 0, "s");
    eye_until_seen(&eye, &stage, 1);
    uint64_t epoch = stage.shop.result.first.epoch;
    live_id(&stage, epoch, 900, STATUS);
    live_id(&stage, epoch + 999999, 4, STATUS);
    scene_idle(stage.scene, 50);
    assert_in_range(stage_counter(&stage, "redis_loads_total "), 2, 3);
    shop_publish(&stage.shop, "", 0, 0, "c");
    eye_until_seen(&eye, &stage, 2);
    assert_int_equal(topic_last_id(eye.topic).epoch, epoch);
    assert_int_equal(topic_last_id(eye.topic).seq, 2);
    eye_close(&eye);
    stage_close(&stage);
}

static void an_entry_that_is_no_event_keeps_its_place(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    uint64_t epoch = shop_run(&stage.shop, "p", 10000);
    write_silently(&stage, epoch, 1, "garbage");
    shop_publish(&stage.shop, "p", epoch, 2, "c");
    eye_until_seen(&eye, &stage, 2);
    assert_string_equal(buf_text(&eye.log), "1:ai_progress 2:completion ");
    assert_int_equal(stage_counter(&stage, "redis_bad_entries_total "), 1);
    eye_close(&eye);
    stage_close(&stage);
}

static void opaque_events_on_the_same_task_do_not_derail_the_run(void **state)
{
    struct topic_event opaque = {
        .is_opaque = true, .name = slice_of("note"), .body = slice_of("{}")};
    struct stage stage;
    struct eye eye;

    stage_open(&stage, state);
    eye_open(&eye, &stage, "t1");
    shop_publish(&stage.shop, "", 0, 0, "t:a");
    eye_until_seen(&eye, &stage, 1);
    assert_true(topic_append(eye.topic, &opaque));
    shop_publish(&stage.shop, "", 0, 0, "t:b");
    while (topic_last_id(eye.topic).is_local)
        scene_idle(stage.scene, 1);
    assert_string_equal(eye_text(&eye, &stage), "ab");
    shop_publish(&stage.shop, "", 0, 0, "c");
    while (topic_run(eye.topic)->state != RUN_COMPLETED)
        scene_idle(stage.scene, 1);
    eye_close(&eye);
    stage_close(&stage);
}

/* ---- silence ---- */

/* Three things that only a comparison can find, in one wait of five seconds. */
static void silence_on_an_unfinished_task_is_looked_into(void **state)
{
    struct stage stage;
    struct eye last;
    struct eye first;
    struct eye back;

    stage_open(&stage, state);
    eye_open(&last, &stage, "t1");
    eye_open(&first, &stage, "t2");
    uint64_t epoch = shop_run(&stage.shop, "p", 60000);
    shop_publish(&stage.shop, "p", epoch, 1, "t:a");
    eye_until_seen(&last, &stage, 1);
    /* t1: the terminal event was not heard. */
    write_silently(&stage, epoch, 2, DONE);
    (void)scene_ask(stage.scene, "HSET tw:{s/t1}:run state completed");
    /* t2: nothing was heard of a whole run. */
    (void)scene_ask(stage.scene, "COPY tw:{s/t1}:log tw:{s/t2}:log");
    (void)scene_ask(stage.scene, "COPY tw:{s/t1}:text tw:{s/t2}:text");
    (void)scene_ask(stage.scene, "COPY tw:{s/t1}:run tw:{s/t2}:run");
    /* t3: data went back without a break of the connection. */
    (void)scene_ask(stage.scene, "COPY tw:{s/t1}:log tw:{s/t3}:log");
    (void)scene_ask(stage.scene, "COPY tw:{s/t1}:run tw:{s/t3}:run");
    (void)scene_ask(stage.scene, "HSET tw:{s/t3}:run state running");
    eye_open(&back, &stage, "t3");
    assert_int_equal(topic_last_id(back.topic).seq, 2);
    (void)scene_ask(stage.scene, "HSET tw:{s/t3}:run seq 1");
    (void)scene_ask(stage.scene, "XDEL tw:{s/t3}:log %llu-2",
                    (unsigned long long)epoch);
    eye_until_seen(&last, &stage, 2);
    assert_int_equal(last.lost, 0);
    assert_int_equal(topic_run(last.topic)->state, RUN_COMPLETED);
    scene_idle(stage.scene, 1000);
    assert_int_equal(topic_run(first.topic)->state, RUN_COMPLETED);
    assert_string_equal(eye_text(&first, &stage), "a");
    assert_int_equal(topic_last_id(back.topic).seq, 1);
    assert_int_equal(back.lost, 1);
    eye_close(&last);
    eye_close(&first);
    eye_close(&back);
    stage_close(&stage);
}

int test_heal(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_is_healed_from_the_stream),
        cmocka_unit_test(a_long_gap_is_healed_in_chunks_once_for_all_readers),
        cmocka_unit_test(live_messages_during_healing_are_neither_lost_nor_doubled),
        cmocka_unit_test(a_cut_subscription_is_healed_without_a_seam),
        cmocka_unit_test(a_run_opened_while_cut_is_loaded_and_readers_are_told),
        cmocka_unit_test(an_idle_cut_costs_readers_nothing),
        cmocka_unit_test(an_entry_that_changed_under_its_id_means_a_new_start),
        cmocka_unit_test(when_redis_has_lost_everything_readers_are_told_and_go_on),
        cmocka_unit_test(a_run_whose_opening_was_not_heard_is_loaded),
        cmocka_unit_test(bad_live_messages_are_skipped_and_counted),
        cmocka_unit_test(a_message_that_comes_twice_or_late_is_a_duplicate),
        cmocka_unit_test(forged_ids_are_asked_about_once_and_forgotten),
        cmocka_unit_test(an_entry_that_is_no_event_keeps_its_place),
        cmocka_unit_test(opaque_events_on_the_same_task_do_not_derail_the_run),
        cmocka_unit_test(silence_on_an_unfinished_task_is_looked_into),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("heal", tests, scene_new, scene_free);
}
