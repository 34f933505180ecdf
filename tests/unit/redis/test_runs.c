/* test_runs.c - open, claim, end, stop, renew, erase, row by row (redis/README.md). */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "shop.h"
#include "tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *last_entry(struct shop *shop)
{
    return scene_ask(shop->scene, "XREVRANGE tw:{s/t1}:log + - COUNT 1");
}

static uint64_t field_number(struct shop *shop, const char *name)
{
    return strtoull(shop_field(shop, name), NULL, 10);
}

static struct run_open_request opening(const char *producer, enum run_state state)
{
    return (struct run_open_request){
        .task = the_task(), .producer = slice_of(producer), .state = state};
}

static struct store_ending ending(enum store_condition condition)
{
    return (struct store_ending){.task = the_task(),
                                 .condition = condition,
                                 .type = EVENT_ERROR,
                                 .code = "PRODUCER_LOST",
                                 .message = "It went \"away\"."};
}

/* ---- open ---- */

static void opening_records_the_run_and_its_lease(void **state)
{
    struct shop shop;
    struct run_open_request request = opening("p", RUN_QUEUED);

    shop_open(&shop, state);
    request.lease_ms = 30000;
    request.request = slice_of("{\"messages\":[]}");
    shop_open_run(&shop, &request, 0);
    assert_int_equal(shop.status, PUBLISH_OK);
    assert_true(shop.epoch >= clock_wall_ms() - 5000);
    assert_int_equal(field_number(&shop, "epoch"), shop.epoch);
    assert_string_equal(shop_field(&shop, "state"), "queued");
    assert_string_equal(shop_field(&shop, "producer"), "p");
    assert_string_equal(shop_field(&shop, "request"), "{\"messages\":[]}");
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:lease"), "p");
    (void)scene_ask(shop.scene, "PTTL tw:{s/t1}:lease");
    assert_in_range(shop.scene->answer_number, 20000, 30000);
    (void)scene_ask(shop.scene, "PTTL tw:{s/t1}:run");
    assert_in_range(shop.scene->answer_number, 3500000, 3600000);
    shop_close(&shop);
}

static void epochs_only_grow(void **state)
{
    struct shop shop;
    uint64_t last = 0;

    shop_open(&shop, state);
    for (int i = 0; i < 20; i++) {
        uint64_t epoch = shop_run(&shop, i % 2 == 0 ? "p" : "q", 0);
        assert_true(epoch > last);
        last = epoch;
    }
    shop_close(&shop);
}

static void who_opens_its_own_run_again_does_not_end_it(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t first = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", first, 1, "t:old");
    uint64_t second = shop_run(&shop, "p", 10000);
    assert_true(second > first);
    assert_null(strstr(last_entry(&shop), "SUPERSEDED"));
    assert_string_equal(scene_ask(shop.scene, "XLEN tw:{s/t1}:log"), "1");
    assert_string_equal(scene_ask(shop.scene, "EXISTS tw:{s/t1}:text"), "0");
    shop_publish(&shop, "p", second, 1, "t:all c");
    shop_expect(&shop, PUBLISH_OK, 1, 2);
    shop_close(&shop);
}

static void an_open_run_is_ended_once_when_a_newer_one_is_opened(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t first = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", first, 1, "t:old");
    uint64_t second = shop_run(&shop, "q", 0);
    assert_non_null(strstr(last_entry(&shop), "\"code\":\"SUPERSEDED\""));
    assert_string_equal(scene_ask(shop.scene, "XLEN tw:{s/t1}:log"), "2");
    assert_string_equal(scene_ask(shop.scene, "EXISTS tw:{s/t1}:lease"), "0");
    assert_string_equal(scene_ask(shop.scene, "EXISTS tw:{s/t1}:text"), "0");
    shop_publish(&shop, "q", second, 1, "c");
    (void)shop_run(&shop, "r", 0);
    /* It had ended: no second terminal event. */
    assert_string_equal(scene_ask(shop.scene, "XLEN tw:{s/t1}:log"), "3");
    shop_close(&shop);
}

static void
a_producer_that_opens_again_for_want_of_an_answer_leaves_no_error(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t first = shop_run(&shop, "p", 10000);
    uint64_t second = shop_run(&shop, "p", 10000);
    assert_true(second > first);
    assert_string_equal(scene_ask(shop.scene, "EXISTS tw:{s/t1}:log"), "0");
    shop_publish(&shop, "p", second, 1, "t:a");
    shop_expect(&shop, PUBLISH_OK, 1, 1);
    shop_close(&shop);
}

static void a_continue_keeps_texts_and_request(void **state)
{
    struct shop shop;
    struct run_open_request request = opening("p", RUN_RUNNING);

    shop_open(&shop, state);
    request.request = slice_of("{\"messages\":[1]}");
    shop_open_run(&shop, &request, 0);
    shop_publish(&shop, "p", shop.epoch, 1, "r:why t:one x");
    request.keeps_text = true;
    request.request = slice_of("");
    shop_open_run(&shop, &request, 0);
    assert_string_equal(shop_field(&shop, "request"), "{\"messages\":[1]}");
    assert_string_equal(shop_field(&shop, "keeps_text"), "1");
    shop_publish(&shop, "p", shop.epoch, 1, "s t:two");
    shop_expect(&shop, PUBLISH_OK, 1, 2);
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:text"), "onetwo");
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:reasoning"), "why");
    assert_string_equal(shop_field(&shop, "text_first"), "2");
    assert_string_equal(shop_field(&shop, "text_n"), "2");
    assert_string_equal(shop_field(&shop, "reasoning_first"), "");
    shop_close(&shop);
}

/* ---- claim ---- */

static void a_queued_run_is_taken_over_under_its_own_epoch(void **state)
{
    struct shop shop;
    struct run_open_request request = opening("", RUN_QUEUED);

    shop_open(&shop, state);
    shop_open_run(&shop, &request, 0);
    uint64_t epoch = shop.epoch;
    shop_publish(&shop, "", 0, 0, "q");
    request = opening("worker", RUN_RUNNING);
    request.lease_ms = 10000;
    shop_open_run(&shop, &request, epoch);
    assert_int_equal(shop.status, PUBLISH_OK);
    assert_int_equal(shop.epoch, epoch);
    assert_string_equal(shop_field(&shop, "state"), "running");
    shop_publish(&shop, "worker", epoch, 1, "t:a");
    shop_expect(&shop, PUBLISH_OK, 2, 2);
    shop_publish(&shop, "worker", epoch, 1, "t:a");
    shop_expect(&shop, PUBLISH_OK, 2, 2);
    /* Its own repeat is harmless, another worker is refused. */
    shop_open_run(&shop, &request, epoch);
    assert_int_equal(shop.status, PUBLISH_OK);
    request.producer = slice_of("late");
    shop_open_run(&shop, &request, epoch);
    assert_int_equal(shop.status, PUBLISH_FENCED);
    shop_publish(&shop, "worker", epoch, 2, "c");
    shop_open_run(&shop, &request, epoch);
    assert_int_equal(shop.status, PUBLISH_ENDED);
    shop_open_run(&shop, &request, epoch + 1);
    assert_int_equal(shop.status, PUBLISH_UNKNOWN_RUN);
    (void)shop_run(&shop, "p", 0);
    shop_open_run(&shop, &request, epoch);
    assert_int_equal(shop.status, PUBLISH_FENCED);
    shop_close(&shop);
}

/* ---- end ---- */

static void any_open_run_can_be_ended_once(void **state)
{
    struct shop shop;
    struct store_ending end = ending(STORE_IF_ANY);

    shop_open(&shop, state);
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_UNKNOWN);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    end.epoch = epoch + 1;
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_STALE);
    end.epoch = epoch;
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_DONE);
    assert_string_equal(shop_field(&shop, "state"), "error");
    assert_non_null(strstr(last_entry(&shop), "\"code\":\"PRODUCER_LOST\",\"message\":"
                                              "\"It went \\\"away\\\".\""));
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_ALREADY);
    assert_string_equal(scene_ask(shop.scene, "XLEN tw:{s/t1}:log"), "1");
    shop_publish(&shop, "p", epoch, 1, "t:a");
    shop_expect(&shop, PUBLISH_ENDED, 0, 0);
    shop_close(&shop);
}

static void events_made_by_scripts_pass_the_strict_check(void **state)
{
    struct shop shop;
    struct store_ending end = ending(STORE_IF_ANY);
    struct event event;
    const char *field = NULL;
    char iso[CLOCK_ISO_SIZE];

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 0);
    shop_publish(&shop, "p", epoch, 1, "t:\xc3\xa9\xf0\x9f\x98\x80");
    shop_end(&shop, &end);
    epoch = shop_run(&shop, "p", 0);
    shop_publish(&shop, "p", epoch, 1, "t:\xc3\xa9\xf0\x9f\x98\x80x");
    end.type = EVENT_STOPPED;
    end.code = end.message = "";
    shop_end(&shop, &end);
    shop_range(&shop, (struct event_id){1, 0, false}, 100);
    struct slice rest = buf_view(&shop.bodies);
    struct slice line;
    for (int i = 0; i < 4; i++) {
        assert_true(next_part(&rest, '\n', &line));
        assert_int_equal(event_check(line, &event, &field), EVENT_OK);
    }
    assert_int_equal(event.type, EVENT_STOPPED);
    assert_true(slice_is(event.task_id, "t1"));
    assert_non_null(memmem(event.json.ptr, event.json.len, "\"length\":3,", 11));
    /* The script's calendar is ours. */
    clock_iso(field_number(&shop, "finished_at"), iso);
    assert_memory_equal(event.timestamp.ptr, iso, event.timestamp.len);
    shop_close(&shop);
}

static void a_lost_producer_is_one_whose_lease_is_absent(void **state)
{
    struct shop shop;
    struct store_ending end = ending(STORE_IF_LEASE_ABSENT);

    shop_open(&shop, state);
    (void)shop_run(&shop, "p", 0);
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_HELD);
    (void)shop_run(&shop, "p", 60000);
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_HELD);
    (void)scene_ask(shop.scene, "DEL tw:{s/t1}:lease");
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_DONE);
    shop_close(&shop);
}

static void conditions_with_an_age_hold_only_when_old_enough(void **state)
{
    struct shop shop;
    struct store_ending end = ending(STORE_IF_QUEUED);
    struct run_open_request request = opening("p", RUN_QUEUED);

    shop_open(&shop, state);
    shop_open_run(&shop, &request, 0);
    end.min_age_ms = 60000;
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_HELD);
    (void)scene_ask(shop.scene, "HSET tw:{s/t1}:run started_at 1000");
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_DONE);

    (void)shop_run(&shop, "p", 0);
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_HELD);
    end.condition = STORE_IF_IDLE;
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_HELD);
    (void)scene_ask(shop.scene, "HSET tw:{s/t1}:run updated_at 1000");
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_DONE);

    (void)shop_run(&shop, "p", 60000);
    (void)scene_ask(shop.scene, "HSET tw:{s/t1}:run updated_at 1000");
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_HELD);
    end.condition = STORE_IF_STOP_GRACE;
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_HELD);
    shop_stop(&shop, 0);
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_HELD);
    (void)scene_ask(shop.scene, "HSET tw:{s/t1}:run stop_at 1000");
    shop_end(&shop, &end);
    assert_int_equal(shop.ended, STORE_END_DONE);
    shop_close(&shop);
}

/* ---- stop ---- */

static void a_stop_is_recorded_and_told_to_the_producer(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_stop(&shop, epoch + 1);
    assert_int_equal(shop.stopped, STOP_STALE_EPOCH);
    shop_stop(&shop, epoch);
    assert_int_equal(shop.stopped, STOP_ACCEPTED);
    assert_int_equal(shop.epoch, epoch);
    uint64_t at = field_number(&shop, "stop_at");
    assert_true(at > 0);
    shop_stop(&shop, 0);
    assert_int_equal(shop.stopped, STOP_ACCEPTED);
    assert_int_equal(field_number(&shop, "stop_at"), at);
    assert_string_equal(scene_ask(shop.scene, "EXISTS tw:{s/t1}:log"), "0");
    shop_publish(&shop, "p", epoch, 1, "t:a");
    shop_expect(&shop, PUBLISH_OK, 1, 1);
    assert_true(shop.result.stop_requested);
    shop_renew(&shop, "p", epoch, 10000);
    assert_true(shop.result.stop_requested);
    shop_publish(&shop, "p", epoch, 2, "x");
    shop_stop(&shop, 0);
    assert_int_equal(shop.stopped, STOP_ALREADY_FINISHED);
    shop_close(&shop);
}

static void without_a_live_producer_a_stop_ends_the_run(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    shop_stop(&shop, 0);
    assert_int_equal(shop.stopped, STOP_UNKNOWN_TASK);
    (void)shop_run(&shop, "p", 0);
    shop_stop(&shop, 0);
    assert_int_equal(shop.stopped, STOP_NO_PRODUCER);
    assert_string_equal(shop_field(&shop, "state"), "stopped");
    (void)shop_run(&shop, "p", 10000);
    (void)scene_ask(shop.scene, "DEL tw:{s/t1}:lease");
    shop_stop(&shop, 0);
    assert_int_equal(shop.stopped, STOP_NO_PRODUCER);
    assert_non_null(strstr(last_entry(&shop), "\"type\":\"stopped\""));
    shop_close(&shop);
}

static void a_queued_run_is_stopped_directly(void **state)
{
    struct shop shop;
    struct run_open_request request = opening("p", RUN_QUEUED);

    shop_open(&shop, state);
    request.lease_ms = 10000;
    shop_open_run(&shop, &request, 0);
    shop_stop(&shop, 0);
    assert_int_equal(shop.stopped, STOP_ACCEPTED);
    assert_string_equal(shop_field(&shop, "state"), "stopped");
    shop_close(&shop);
}

/* ---- renew ---- */

static void renewing_keeps_the_lease_of_its_own_run_only(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    shop_renew(&shop, "p", 5, 10000);
    shop_expect(&shop, PUBLISH_UNKNOWN_RUN, 0, 0);
    uint64_t epoch = shop_run(&shop, "p", 1000);
    shop_renew(&shop, "p", epoch, 50000);
    shop_expect(&shop, PUBLISH_OK, 0, 0);
    assert_false(shop.result.stop_requested);
    (void)scene_ask(shop.scene, "PTTL tw:{s/t1}:lease");
    assert_in_range(shop.scene->answer_number, 40000, 50000);
    shop_renew(&shop, "q", epoch, 50000);
    shop_expect(&shop, PUBLISH_FENCED, 0, 0);
    shop_renew(&shop, "p", epoch - 1, 50000);
    shop_expect(&shop, PUBLISH_FENCED, 0, 0);
    shop_renew(&shop, "p", epoch + 1, 50000);
    shop_expect(&shop, PUBLISH_UNKNOWN_RUN, 0, 0);
    shop_publish(&shop, "p", epoch, 1, "c");
    assert_string_equal(scene_ask(shop.scene, "EXISTS tw:{s/t1}:lease"), "0");
    shop_renew(&shop, "p", epoch, 50000);
    shop_expect(&shop, PUBLISH_ENDED, 0, 0);
    assert_string_equal(scene_ask(shop.scene, "EXISTS tw:{s/t1}:lease"), "0");
    shop_close(&shop);
}

static void publishing_renews_the_lease_too(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 60000);
    (void)scene_ask(shop.scene, "PEXPIRE tw:{s/t1}:lease 500");
    shop_publish(&shop, "p", epoch, 1, "t:a");
    (void)scene_ask(shop.scene, "PTTL tw:{s/t1}:lease");
    assert_in_range(shop.scene->answer_number, 50000, 60000);
    shop_close(&shop);
}

/* ---- erase, expiry ---- */

static void erasing_leaves_a_marker_that_ends_its_producer(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    shop_erase(&shop);
    assert_true(shop.is_good);
    assert_string_equal(scene_ask(shop.scene, "DBSIZE"), "0");
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:a");
    shop_erase(&shop);
    assert_true(shop.is_good);
    assert_string_equal(scene_ask(shop.scene, "KEYS *"), "tw:{s/t1}:run");
    (void)scene_ask(shop.scene, "PTTL tw:{s/t1}:run");
    assert_in_range(shop.scene->answer_number, 590000, 600000);
    shop_publish(&shop, "p", epoch, 1, "t:a");
    shop_expect(&shop, PUBLISH_OK, 1, 1);
    shop_publish(&shop, "p", epoch, 2, "t:b");
    shop_expect(&shop, PUBLISH_ENDED, 0, 0);
    shop_stop(&shop, 0);
    assert_int_equal(shop.stopped, STOP_UNKNOWN_TASK);
    shop_load(&shop, 10);
    assert_int_equal(shop.task.state, RUN_UNKNOWN);
    assert_true(shop.task.was_erased);
    assert_true(shop_run(&shop, "p", 0) > epoch);
    shop_load(&shop, 10);
    assert_int_equal(shop.task.state, RUN_RUNNING);
    shop_close(&shop);
}

static void all_keys_of_a_task_expire_together(void **state)
{
    static const char *const keys[] = {"log", "run", "text", "reasoning"};
    struct shop shop;
    char first[64];

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "r:a");
    scene_idle(shop.scene, 20);
    shop_publish(&shop, "p", epoch, 2, "t:b");
    for (int finished = 0; finished < 2; finished++) {
        (void)snprintf(first, sizeof(first), "%s", shop_field(&shop, "expires_at"));
        for (size_t i = 0; i < 4; i++)
            assert_string_equal(
                scene_ask(shop.scene, "PEXPIRETIME tw:{s/t1}:%s", keys[i]), first);
        shop_publish(&shop, "p", epoch, 3, "c");
    }
    (void)scene_ask(shop.scene, "PTTL tw:{s/t1}:log");
    assert_in_range(shop.scene->answer_number, 55000, 60000);
    shop_close(&shop);
}

int test_runs(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_records_the_run_and_its_lease),
        cmocka_unit_test(epochs_only_grow),
        cmocka_unit_test(who_opens_its_own_run_again_does_not_end_it),
        cmocka_unit_test(an_open_run_is_ended_once_when_a_newer_one_is_opened),
        cmocka_unit_test(
            a_producer_that_opens_again_for_want_of_an_answer_leaves_no_error),
        cmocka_unit_test(a_continue_keeps_texts_and_request),
        cmocka_unit_test(a_queued_run_is_taken_over_under_its_own_epoch),
        cmocka_unit_test(any_open_run_can_be_ended_once),
        cmocka_unit_test(events_made_by_scripts_pass_the_strict_check),
        cmocka_unit_test(a_lost_producer_is_one_whose_lease_is_absent),
        cmocka_unit_test(conditions_with_an_age_hold_only_when_old_enough),
        cmocka_unit_test(a_stop_is_recorded_and_told_to_the_producer),
        cmocka_unit_test(without_a_live_producer_a_stop_ends_the_run),
        cmocka_unit_test(a_queued_run_is_stopped_directly),
        cmocka_unit_test(renewing_keeps_the_lease_of_its_own_run_only),
        cmocka_unit_test(publishing_renews_the_lease_too),
        cmocka_unit_test(erasing_leaves_a_marker_that_ends_its_producer),
        cmocka_unit_test(all_keys_of_a_task_expire_together),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("runs", tests, scene_new, scene_free);
}
