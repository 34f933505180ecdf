/* test_redis.c - emitters on a private Redis that is emptied, killed and paused. */
/* SPDX-License-Identifier: MIT */
#include "shop.h"

#include "emitters/lib/emitter.h"

#include <stdio.h>

struct run_rig {
    struct shop shop;
    struct scene *scene;
    struct emitter_sink *sink;
    struct emitter *emitter;
    bool settled;
    bool has_ended;
    enum publish_status ended_as;
    unsigned stops;
};

static void on_ended(void *ctx, enum publish_status status)
{
    struct run_rig *rig = ctx;
    rig->has_ended = true;
    rig->ended_as = status;
}

static void on_settled(void *ctx)
{
    struct run_rig *rig = ctx;
    rig->settled = true;
}

static void on_stop(void *ctx)
{
    struct run_rig *rig = ctx;
    rig->stops++;
}

static void start(struct run_rig *rig, void **state, uint64_t lease_ms, bool is_guest)
{
    memset(rig, 0, sizeof(*rig));
    shop_open(&rig->shop, state);
    rig->scene = rig->shop.scene;
    struct emitter_options options = {
        .task = the_task(),
        .window_ms = EMITTER_WINDOW_MS,
        .lease_ms = lease_ms,
        .on_ended = on_ended,
        .on_settled = on_settled,
        .on_stop = on_stop,
        .ctx = rig,
    };
    rig->sink = is_guest ? sink_joining_new(rig->scene->loop, rig->shop.store)
                         : sink_redis_new(rig->shop.store);
    rig->emitter = emitter_new(rig->scene->loop, rig->sink, &options);
}

static void finish(struct run_rig *rig)
{
    emitter_free(rig->emitter);
    sink_free(rig->sink);
    shop_close(&rig->shop);
}

static void settle(struct run_rig *rig)
{
    rig->settled = emitter_is_settled(rig->emitter);
    scene_until_flag(rig->scene, &rig->settled);
    rig->settled = false;
}

static void text(struct run_rig *rig, const char *delta)
{
    assert_true(emitter_text(rig->emitter, slice_of(delta)));
}

static const char *stored(struct run_rig *rig, const char *what)
{
    return scene_ask(rig->scene, "GET tw:{s/t1}:%s", what);
}

static void a_run_reaches_redis_in_order_and_ends_once(void **state)
{
    struct run_rig rig;
    (void)state;
    start(&rig, state, 5000, false);
    assert_true(emitter_reasoning(rig.emitter, slice_of("Hmm \xf0\x9f\x98\x80")));
    for (int i = 0; i < 200; i++) {
        char word[16];
        snprintf(word, sizeof(word), "%d ", i);
        text(&rig, word);
        if (i % 50 == 0)
            settle(&rig);
    }
    assert_true(emitter_complete(rig.emitter));
    scene_until_flag(rig.scene, &rig.has_ended);
    assert_int_equal(rig.ended_as, PUBLISH_OK);
    assert_string_equal(stored(&rig, "reasoning"), "Hmm \xf0\x9f\x98\x80");
    const char *all = stored(&rig, "text");
    assert_non_null(strstr(all, "0 1 2 3 "));
    assert_non_null(strstr(all, "198 199 "));
    assert_int_equal(strlen(all), 10 * 2 + 90 * 3 + 100 * 4);
    assert_string_equal(shop_field(&rig.shop, "state"), "completed");
    shop_load(&rig.shop, 1000);
    assert_true(rig.shop.task.count >= 4 && rig.shop.task.count < 100);
    assert_non_null(strstr(buf_text(&rig.shop.bodies), "\"type\":\"completion\""));
    finish(&rig);
}

static void a_quiet_run_keeps_its_lease_and_a_dropped_one_loses_it(void **state)
{
    struct run_rig rig;
    start(&rig, state, 150, false);
    text(&rig, "a");
    settle(&rig);
    scene_idle(rig.scene, 400);
    assert_int_equal(strlen(stored(&rig, "lease")), 32);
    emitter_free(rig.emitter);
    rig.emitter = NULL;
    scene_idle(rig.scene, 200);
    assert_string_equal(stored(&rig, "lease"), "");
    finish(&rig);
}

static void redis_that_lost_everything_gets_the_whole_text_again(void **state)
{
    struct run_rig rig;
    start(&rig, state, 5000, false);
    assert_true(emitter_reasoning(rig.emitter, slice_of("why")));
    text(&rig, "one ");
    settle(&rig);
    text(&rig, "two ");
    settle(&rig);
    uint64_t before = emitter_epoch(rig.emitter);
    scene_ask(rig.scene, "FLUSHALL");
    text(&rig, "three");
    settle(&rig);
    assert_true(emitter_epoch(rig.emitter) > before);
    assert_string_equal(stored(&rig, "text"), "one two three");
    assert_string_equal(stored(&rig, "reasoning"), "why");
    assert_int_equal(emitter_stats(rig.emitter)->reopened, 1);
    assert_true(emitter_complete(rig.emitter));
    scene_until_flag(rig.scene, &rig.has_ended);
    assert_int_equal(rig.ended_as, PUBLISH_OK);
    finish(&rig);
}

static void a_quiet_run_notices_lost_data_by_its_renewal(void **state)
{
    struct run_rig rig;
    start(&rig, state, 150, false);
    text(&rig, "said");
    settle(&rig);
    scene_ask(rig.scene, "FLUSHALL");
    unsigned tries = 0;
    while (strcmp(stored(&rig, "text"), "said") != 0) {
        assert_true(tries++ < 100);
        scene_idle(rig.scene, 20);
    }
    finish(&rig);
}

static void a_killed_redis_costs_nothing_once_it_is_back(void **state)
{
    struct run_rig rig;
    start(&rig, state, 5000, false);
    text(&rig, "before ");
    settle(&rig);
    private_redis_kill(&rig.scene->redis);
    for (int i = 0; i < 10; i++) {
        text(&rig, "x");
        scene_idle(rig.scene, 10);
    }
    private_redis_start(&rig.scene->redis);
    settle(&rig);
    assert_string_equal(stored(&rig, "text"), "before xxxxxxxxxx");
    finish(&rig);
}

static void a_paused_redis_is_waited_for_without_a_double(void **state)
{
    struct run_rig rig;
    start(&rig, state, 5000, false);
    text(&rig, "a");
    settle(&rig);
    private_redis_pause(&rig.scene->redis);
    for (int i = 0; i < 20; i++) {
        text(&rig, "b");
        scene_idle(rig.scene, 10);
    }
    assert_false(emitter_is_settled(rig.emitter));
    private_redis_resume(&rig.scene->redis);
    settle(&rig);
    assert_string_equal(stored(&rig, "text"), "abbbbbbbbbbbbbbbbbbbb");
    finish(&rig);
}

static void a_connection_lost_in_the_middle_doubles_nothing(void **state)
{
    struct run_rig rig;
    char expected[256] = "";
    start(&rig, state, 5000, false);
    for (int i = 0; i < 40; i++) {
        char word[8];
        snprintf(word, sizeof(word), "%d,", i);
        strncat(expected, word, sizeof(expected) - strlen(expected) - 1);
        text(&rig, word);
        scene_idle(rig.scene, 3);
        if (i % 10 == 5)
            link_drop(rig.shop.link, "the test says so");
    }
    settle(&rig);
    assert_string_equal(stored(&rig, "text"), expected);
    assert_int_equal(emitter_stats(rig.emitter)->reopened, 0);
    finish(&rig);
}

static void another_producer_fences_us(void **state)
{
    struct run_rig rig;
    start(&rig, state, 5000, false);
    text(&rig, "a");
    settle(&rig);
    shop_run(&rig.shop, "somebody else", 5000);
    text(&rig, "b");
    scene_until_flag(rig.scene, &rig.has_ended);
    assert_int_equal(rig.ended_as, PUBLISH_FENCED);
    finish(&rig);
}

static void a_stop_is_heard_with_the_next_answer(void **state)
{
    struct run_rig rig;
    start(&rig, state, 5000, false);
    text(&rig, "a");
    settle(&rig);
    shop_stop(&rig.shop, 0);
    assert_int_equal(rig.shop.stopped, STOP_ACCEPTED);
    text(&rig, "b");
    scene_until_count(rig.scene, &rig.stops, 1);
    assert_true(emitter_stopped(rig.emitter));
    scene_until_flag(rig.scene, &rig.has_ended);
    assert_int_equal(rig.ended_as, PUBLISH_OK);
    assert_string_equal(shop_field(&rig.shop, "state"), "stopped");
    finish(&rig);
}

static void a_queued_run_is_taken_over_by_its_epoch(void **state)
{
    struct run_rig rig;
    memset(&rig, 0, sizeof(rig));
    shop_open(&rig.shop, state);
    rig.scene = rig.shop.scene;
    struct run_open_request queued = {
        .task = the_task(), .producer = slice_of("api"), .state = RUN_QUEUED};
    shop_open_run(&rig.shop, &queued, 0);
    assert_int_equal(rig.shop.status, PUBLISH_OK);
    struct emitter_options options = {.task = the_task(),
                                      .lease_ms = 5000,
                                      .claim_epoch = rig.shop.epoch,
                                      .on_settled = on_settled,
                                      .ctx = &rig};
    rig.sink = sink_redis_new(rig.shop.store);
    rig.emitter = emitter_new(rig.scene->loop, rig.sink, &options);
    text(&rig, "mine");
    settle(&rig);
    assert_int_equal(emitter_epoch(rig.emitter), rig.shop.epoch);
    assert_string_equal(shop_field(&rig.shop, "state"), "running");
    finish(&rig);
}

static void two_guests_share_one_unleased_run(void **state)
{
    struct run_rig first;
    start(&first, state, 0, true);
    text(&first, "one ");
    settle(&first);
    uint64_t epoch = emitter_epoch(first.emitter);
    emitter_free(first.emitter);
    sink_free(first.sink);
    first.sink = sink_joining_new(first.scene->loop, first.shop.store);
    struct emitter_options options = {.task = the_task(),
                                      .on_ended = on_ended,
                                      .on_settled = on_settled,
                                      .ctx = &first};
    first.emitter = emitter_new(first.scene->loop, first.sink, &options);
    text(&first, "two");
    settle(&first);
    assert_int_equal(emitter_epoch(first.emitter), epoch);
    assert_string_equal(stored(&first, "text"), "one two");
    finish(&first);
}

static void a_guest_whose_connection_breaks_doubles_nothing(void **state)
{
    struct run_rig rig;
    char expected[128] = "";
    start(&rig, state, 0, true);
    for (int i = 0; i < 20; i++) {
        char word[8];
        snprintf(word, sizeof(word), "%d,", i);
        strncat(expected, word, sizeof(expected) - strlen(expected) - 1);
        text(&rig, word);
        scene_idle(rig.scene, 2);
        if (i % 5 == 2)
            link_drop(rig.shop.link, "the test says so");
    }
    settle(&rig);
    assert_string_equal(stored(&rig, "text"), expected);
    finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_run_reaches_redis_in_order_and_ends_once, scene_clean),
        cmocka_unit_test_setup(a_quiet_run_keeps_its_lease_and_a_dropped_one_loses_it,
                               scene_clean),
        cmocka_unit_test_setup(redis_that_lost_everything_gets_the_whole_text_again,
                               scene_clean),
        cmocka_unit_test_setup(a_quiet_run_notices_lost_data_by_its_renewal,
                               scene_clean),
        cmocka_unit_test_setup(a_killed_redis_costs_nothing_once_it_is_back,
                               scene_clean),
        cmocka_unit_test_setup(a_paused_redis_is_waited_for_without_a_double,
                               scene_clean),
        cmocka_unit_test_setup(a_connection_lost_in_the_middle_doubles_nothing,
                               scene_clean),
        cmocka_unit_test_setup(another_producer_fences_us, scene_clean),
        cmocka_unit_test_setup(a_stop_is_heard_with_the_next_answer, scene_clean),
        cmocka_unit_test_setup(a_queued_run_is_taken_over_by_its_epoch, scene_clean),
        cmocka_unit_test_setup(two_guests_share_one_unleased_run, scene_clean),
        cmocka_unit_test_setup(a_guest_whose_connection_breaks_doubles_nothing,
                               scene_clean),
    };
    return cmocka_run_group_tests_name("emitter on redis", tests, scene_new,
                                       scene_free);
}
