/* test_confirm.c - ends of runs wait until a replica has them, and nothing else does. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "shop.h"
#include "tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nobody waits for the end of it, but where the test is about that. */
#define WAIT_MS       CONFIRM_WAIT_MAX_MS
#define BRIEF_WAIT_MS 400

struct pair {
    struct shop shop;
    struct private_redis replica;
    struct confirm *confirm;
    unsigned rounds[3]; /* calls told so, by outcome */
};

static void on_round(void *ctx, enum confirm_outcome outcome, size_t count)
{
    struct pair *pair = ctx;
    pair->rounds[outcome] += (unsigned)count;
}

static bool has_replica(struct pair *pair)
{
    return strstr(scene_ask(pair->shop.scene, "INFO replication"), "state=online") !=
           NULL;
}

static void await_replica(struct pair *pair, bool is_there)
{
    for (int i = 0; i < 500; i++) {
        if (has_replica(pair) == is_there)
            return;
        scene_idle(pair->shop.scene, 20);
    }
    fail_msg("the replica is %s", is_there ? "not there" : "still there");
}

static void pair_open_for(struct pair *pair, void **state, bool has_one,
                          unsigned wait_ms)
{
    const struct confirm_options options = {.prefix = "tw",
                                            .wait_ms = wait_ms,
                                            .is_quiet = true,
                                            .on_round = on_round,
                                            .ctx = pair};

    *pair = (struct pair){.confirm = NULL};
    shop_open(&pair->shop, state);
    struct scene *scene = pair->shop.scene;
    pair->confirm =
        confirm_new(scene->loop, pair->shop.link, scene->redis.url, &options);
    store_set_confirm(pair->shop.store, pair->confirm);
    if (!has_one)
        return;
    (void)scene_ask(scene, "CONFIG SET repl-diskless-sync-delay 0");
    pair->replica.replica_of = scene->redis.port;
    private_redis_start(&pair->replica);
    await_replica(pair, true);
    /* Online is one thing; to have sent the first acknowledgement is another. */
    (void)scene_ask(scene, "SET probe 1");
    assert_string_equal(scene_ask(scene, "WAIT 1 5000"), "1");
}

static void pair_open(struct pair *pair, void **state, bool has_one)
{
    pair_open_for(pair, state, has_one, WAIT_MS);
}

static void pair_close(struct pair *pair)
{
    struct scene *scene = pair->shop.scene;

    store_free(pair->shop.store);
    pair->shop.store = NULL;
    confirm_free(pair->confirm);
    shop_close(&pair->shop);
    private_redis_release(&pair->replica);
    if (scene->redis.pid != 0)
        await_replica(pair, false);
}

static bool is_in_stats(struct pair *pair, const char *words)
{
    return strstr(scene_ask(pair->shop.scene, "INFO commandstats"), words) != NULL;
}

static void without_replicas_nobody_waits(void **state)
{
    struct pair pair;

    pair_open(&pair, state, false);
    (void)scene_ask(pair.shop.scene, "CONFIG RESETSTAT");
    uint64_t epoch = shop_run(&pair.shop, "p", 10000);
    shop_publish(&pair.shop, "p", epoch, 1, "t:a c");
    shop_expect(&pair.shop, PUBLISH_OK, 1, 2);
    assert_false(is_in_stats(&pair, "cmdstat_wait"));
    assert_int_equal(pair.rounds[CONFIRM_DONE], 0);
    pair_close(&pair);
}

static void the_end_of_a_run_is_on_the_replica_when_its_producer_is_told(void **state)
{
    struct pair pair;

    pair_open(&pair, state, true);
    uint64_t epoch = shop_run(&pair.shop, "p", 10000);
    shop_publish(&pair.shop, "p", epoch, 1, "t:a");
    assert_int_equal(pair.rounds[CONFIRM_DONE], 0);
    shop_publish(&pair.shop, "p", epoch, 2, "c");
    shop_expect(&pair.shop, PUBLISH_OK, 2, 2);
    assert_int_equal(pair.rounds[CONFIRM_DONE], 1);
    /* A repeat is as good as the first time. */
    shop_publish(&pair.shop, "p", epoch, 2, "c");
    shop_expect(&pair.shop, PUBLISH_OK, 2, 2);
    assert_int_equal(pair.rounds[CONFIRM_DONE], 2);
    assert_int_equal(pair.rounds[CONFIRM_LATE], 0);
    pair_close(&pair);
}

static void
a_replica_that_hangs_delays_the_end_for_a_bounded_time_and_nothing_else(void **state)
{
    struct event event;
    const char *field = NULL;
    struct pair pair;

    pair_open_for(&pair, state, true, BRIEF_WAIT_MS);
    uint64_t epoch = shop_run(&pair.shop, "p", 10000);
    shop_publish(&pair.shop, "p", epoch, 1, "t:a");
    private_redis_pause(&pair.replica);
    struct publish_request end = {.task = the_task(),
                                  .producer = slice_of("p"),
                                  .epoch = epoch,
                                  .counter = 2,
                                  .events = &event,
                                  .count = 1};
    (void)event_check(slice_of("{\"type\":\"completion\",\"text\":\"a\"}"), &event,
                      &field);
    uint64_t before = clock_mono_ms();
    unsigned told = pair.shop.told;
    shop_send(&pair.shop, &end);
    /* Another task's deltas pass by. */
    struct publish_request delta = {
        .task = task_of("s", "t2"), .events = &event, .count = 1};
    (void)event_check(slice_of("{\"type\":\"status\"}"), &event, &field);
    shop_send(&pair.shop, &delta);
    scene_until_count(pair.shop.scene, &pair.shop.told, told + 1);
    assert_int_equal(pair.rounds[CONFIRM_LATE], 0);
    scene_until_count(pair.shop.scene, &pair.shop.told, told + 2);
    assert_true(clock_mono_ms() - before >= BRIEF_WAIT_MS);
    assert_int_equal(pair.shop.result.status, PUBLISH_OK);
    assert_int_equal(pair.rounds[CONFIRM_LATE], 1);
    private_redis_resume(&pair.replica);
    pair_close(&pair);
}

static void when_the_master_dies_meanwhile_the_producer_is_to_repeat(void **state)
{
    struct event event;
    const char *field = NULL;
    struct pair pair;

    pair_open(&pair, state, true);
    uint64_t epoch = shop_run(&pair.shop, "p", 10000);
    private_redis_pause(&pair.replica);
    struct publish_request end = {.task = the_task(),
                                  .producer = slice_of("p"),
                                  .epoch = epoch,
                                  .counter = 1,
                                  .events = &event,
                                  .count = 1};
    (void)event_check(slice_of("{\"type\":\"completion\",\"text\":\"a\"}"), &event,
                      &field);
    unsigned told = pair.shop.told;
    shop_send(&pair.shop, &end);
    /* Its end is written, and the replica's word is waited for. */
    while (strstr(scene_ask(pair.shop.scene, "INFO clients"), "blocked_clients:1") ==
           NULL)
        scene_idle(pair.shop.scene, 5);
    private_redis_kill(&pair.shop.scene->redis);
    scene_until_count(pair.shop.scene, &pair.shop.told, told + 1);
    assert_int_equal(pair.shop.result.status, PUBLISH_UNAVAILABLE);
    assert_int_equal(pair.rounds[CONFIRM_LOST], 1);
    private_redis_resume(&pair.replica);
    pair_close(&pair);
}

static void a_hundred_ends_at_once_share_their_rounds(void **state)
{
    struct event event;
    const char *field = NULL;
    struct pair pair;
    char name[16];

    pair_open(&pair, state, true);
    (void)scene_ask(pair.shop.scene, "CONFIG RESETSTAT");
    (void)event_check(slice_of("{\"type\":\"completion\",\"text\":\"a\"}"), &event,
                      &field);
    unsigned told = pair.shop.told;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        struct publish_request end = {
            .task = task_of("s", name), .events = &event, .count = 1};
        shop_send(&pair.shop, &end);
    }
    scene_until_count(pair.shop.scene, &pair.shop.told, told + 100);

    assert_int_equal(pair.rounds[CONFIRM_DONE], 100);
    const char *stats = scene_ask(pair.shop.scene, "INFO commandstats");
    const char *calls = strstr(stats, "cmdstat_wait:calls=");
    assert_non_null(calls);
    unsigned long waits = strtoul(calls + strlen("cmdstat_wait:calls="), NULL, 10);
    assert_in_range(waits, 1, 20);
    pair_close(&pair);
}

static void stops_and_sweeps_that_end_a_run_wait_too(void **state)
{
    const struct store_ending ending = {.task = the_task(),
                                        .condition = STORE_IF_ANY,
                                        .type = EVENT_ERROR,
                                        .code = "X",
                                        .message = "Y."};
    struct pair pair;

    pair_open(&pair, state, true);
    (void)shop_run(&pair.shop, "p", 10000);
    shop_end(&pair.shop, &ending);
    assert_int_equal(pair.shop.ended, STORE_END_DONE);
    assert_int_equal(pair.rounds[CONFIRM_DONE], 1);
    shop_end(&pair.shop, &ending);
    assert_int_equal(pair.shop.ended, STORE_END_ALREADY);
    assert_int_equal(pair.rounds[CONFIRM_DONE], 1);
    (void)shop_run(&pair.shop, "p", 0);
    shop_stop(&pair.shop, 0);
    assert_int_equal(pair.shop.stopped, STOP_NO_PRODUCER);
    assert_int_equal(pair.rounds[CONFIRM_DONE], 2);
    pair_close(&pair);
}

static void freeing_tells_who_waits(void **state)
{
    struct event event;
    const char *field = NULL;
    struct pair pair;

    pair_open(&pair, state, true);
    private_redis_pause(&pair.replica);
    (void)event_check(slice_of("{\"type\":\"completion\",\"text\":\"a\"}"), &event,
                      &field);
    struct publish_request end = {.task = the_task(), .events = &event, .count = 1};
    unsigned told = pair.shop.told;
    shop_send(&pair.shop, &end);
    scene_idle(pair.shop.scene, 50);
    assert_int_equal(pair.shop.told, told);
    store_free(pair.shop.store);
    pair.shop.store = NULL;
    assert_int_equal(pair.shop.told, told + 1);
    assert_int_equal(pair.shop.result.status, PUBLISH_UNAVAILABLE);
    private_redis_resume(&pair.replica);
    pair_close(&pair);
}

int test_confirm(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(without_replicas_nobody_waits),
        cmocka_unit_test(the_end_of_a_run_is_on_the_replica_when_its_producer_is_told),
        cmocka_unit_test(
            a_replica_that_hangs_delays_the_end_for_a_bounded_time_and_nothing_else),
        cmocka_unit_test(when_the_master_dies_meanwhile_the_producer_is_to_repeat),
        cmocka_unit_test(a_hundred_ends_at_once_share_their_rounds),
        cmocka_unit_test(stops_and_sweeps_that_end_a_run_wait_too),
        cmocka_unit_test(freeing_tells_who_waits),
    };
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("confirm", tests, scene_new, scene_free);
}
