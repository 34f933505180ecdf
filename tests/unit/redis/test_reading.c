/* test_reading.c - loading, ranges, listing. */
/* SPDX-License-Identifier: MIT */
#include "shop.h"
#include "tests.h"

#include <stdio.h>
#include <string.h>

static void an_unknown_task_loads_as_unknown(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    shop_load(&shop, 10);
    assert_true(shop.is_loaded);
    assert_int_equal(shop.task.state, RUN_UNKNOWN);
    assert_false(shop.task.was_erased);
    assert_int_equal(shop.task.count, 0);
    shop_look(&shop);
    assert_true(shop.is_loaded);
    assert_int_equal(shop.task.state, RUN_UNKNOWN);
    shop_close(&shop);
}

static void a_task_loads_whole_with_its_newest_entries_in_order(void **state)
{
    struct shop shop;
    struct run_open_request request = {.task = the_task(),
                                       .producer = slice_of("p"),
                                       .lease_ms = 5000,
                                       .state = RUN_RUNNING,
                                       .request = slice_of("{\"m\":1}")};

    shop_open(&shop, state);
    shop_open_run(&shop, &request, 0);
    uint64_t epoch = shop.epoch;
    shop_publish(&shop, "p", epoch, 1, "r:Hmm s t:He t:llo s");
    shop_load(&shop, 3);
    assert_int_equal(shop.task.state, RUN_RUNNING);
    assert_int_equal(shop.task.epoch, epoch);
    assert_int_equal(shop.task.last_seq, 5);
    assert_int_equal(shop.task.lease_ms, 5000);
    assert_true(shop.task.started_ms > 0);
    assert_true(shop.task.text_started_ms >= shop.task.started_ms);
    assert_int_equal(shop.task.finished_ms, 0);
    assert_false(shop.task.keeps_text);
    assert_false(shop.task.stop_requested);
    assert_string_equal(buf_text(&shop.text), "Hello");
    assert_string_equal(buf_text(&shop.reasoning), "Hmm");
    assert_string_equal(buf_text(&shop.producer), "p");
    assert_string_equal(buf_text(&shop.request), "{\"m\":1}");
    assert_int_equal(shop.task.text.merged, 2);
    assert_int_equal(shop.task.text.first_seq, 3);
    assert_int_equal(shop.task.text.last_seq, 4);
    assert_int_equal(shop.task.reasoning.merged, 1);
    assert_int_equal(shop.task.reasoning.last_seq, 1);
    assert_int_equal(shop.task.text.timestamp.len, 24);
    assert_string_equal(buf_text(&shop.ids), "3 4 5");
    shop_publish(&shop, "p", epoch, 6, "c");
    shop_look(&shop);
    assert_int_equal(shop.task.state, RUN_COMPLETED);
    assert_int_equal(shop.task.last_seq, 6);
    assert_true(shop.task.finished_ms > 0);
    assert_int_equal(shop.task.count, 0);
    shop_close(&shop);
}

static void entries_of_earlier_runs_are_not_loaded(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    shop_publish(&shop, "", 0, 0, "t:a c");
    shop_publish(&shop, "", 0, 0, "t:b s");
    shop_load(&shop, 100);
    assert_string_equal(buf_text(&shop.ids), "1 2");
    assert_string_equal(buf_text(&shop.text), "b");
    shop_close(&shop);
}

static void ranges_come_in_chunks_before_an_id_of_its_run_alone(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t old = shop_run(&shop, "p", 0);
    shop_publish(&shop, "p", old, 1, "s s s c");
    uint64_t epoch = shop_run(&shop, "p", 0);
    shop_range_back(&shop, (struct event_id){epoch, 9, false}, 10);
    assert_true(shop.is_good);
    assert_string_equal(buf_text(&shop.ids), "");
    shop_publish(&shop, "p", epoch, 1, "s s s s s");
    shop_range_back(&shop, (struct event_id){epoch, 5, false}, 3);
    assert_string_equal(buf_text(&shop.ids), "2 3 4");
    shop_range_back(&shop, (struct event_id){epoch, 2, false}, 3);
    assert_string_equal(buf_text(&shop.ids), "1");
    shop_range_back(&shop, (struct event_id){epoch, 1, false}, 3);
    assert_string_equal(buf_text(&shop.ids), "");
    shop_range_back(&shop, (struct event_id){epoch, 0, false}, 3);
    assert_string_equal(buf_text(&shop.ids), "");
    shop_range_back(&shop, (struct event_id){old, 9, false}, 9);
    assert_string_equal(buf_text(&shop.ids), "1 2 3 4");
    shop_close(&shop);
}

static void ranges_come_in_chunks_after_an_id(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 0);
    shop_range(&shop, (struct event_id){epoch, 0, false}, 10);
    assert_true(shop.is_good);
    assert_string_equal(buf_text(&shop.ids), "");
    shop_publish(&shop, "p", epoch, 1, "s s s s s s s");
    shop_range(&shop, (struct event_id){epoch, 0, false}, 3);
    assert_string_equal(buf_text(&shop.ids), "1 2 3");
    shop_range(&shop, (struct event_id){epoch, 3, false}, 100);
    assert_string_equal(buf_text(&shop.ids), "4 5 6 7");
    shop_range(&shop, (struct event_id){epoch, 7, false}, 100);
    assert_string_equal(buf_text(&shop.ids), "");
    shop_entry_at(&shop, (struct event_id){epoch, 5, false});
    assert_string_equal(buf_text(&shop.ids), "5");
    shop_entry_at(&shop, (struct event_id){epoch, 8, false});
    assert_string_equal(buf_text(&shop.ids), "");
    shop_close(&shop);
}

static void foreign_entries_of_a_log_are_passed_over(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    shop_publish(&shop, "", 0, 0, "s");
    uint64_t epoch = shop.result.first.epoch;
    (void)scene_ask(shop.scene, "XADD tw:{s/t1}:log %llu-2 other value",
                    (unsigned long long)epoch);
    (void)scene_ask(shop.scene, "XADD tw:{s/t1}:log %llu-3 a b e {}",
                    (unsigned long long)epoch);
    shop_range(&shop, (struct event_id){epoch, 0, false}, 10);
    assert_string_equal(buf_text(&shop.ids), "1 3");
    shop_close(&shop);
}

static void a_key_of_the_wrong_type_is_unavailable_not_a_crash(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    (void)scene_ask(shop.scene, "SET tw:{s/t1}:run x");
    shop_load(&shop, 10);
    assert_false(shop.is_loaded);
    shop_look(&shop);
    assert_false(shop.is_loaded);
    shop_publish(&shop, "", 0, 0, "s");
    shop_expect(&shop, PUBLISH_UNAVAILABLE, 0, 0);
    (void)scene_ask(shop.scene, "SET tw:{s/t1}:log x");
    shop_range(&shop, (struct event_id){1, 0, false}, 10);
    assert_false(shop.is_good);
    shop_close(&shop);
}

static void reading_while_redis_is_away_is_unavailable(void **state)
{
    struct shop shop;
    struct store_listing listing = {.site = slice_of("s"), .limit = 10};

    shop_open(&shop, state);
    private_redis_kill(&shop.scene->redis);
    shop_load(&shop, 10);
    assert_false(shop.is_loaded);
    shop_range(&shop, (struct event_id){1, 0, false}, 10);
    assert_false(shop.is_good);
    shop_list(&shop, &listing);
    assert_false(shop.is_good);
    shop_close(&shop);
}

/* ---- listing ---- */

static void publish_one(struct shop *shop, const char *site, const char *id,
                        const char *json)
{
    struct event event;
    const char *field = NULL;
    struct publish_request request = {
        .task = task_of(site, id), .events = &event, .count = 1};
    unsigned before = shop->told;

    assert_int_equal(event_check(slice_of(json), &event, &field), EVENT_OK);
    shop_send(shop, &request);
    scene_until_count(shop->scene, &shop->told, before + 1);
    shop_expect(shop, PUBLISH_OK, 1, 1);
}

#define STATUS "{\"type\":\"status\"}"
#define DONE   "{\"type\":\"completion\",\"text\":\"x\"}"

static void tasks_are_listed_by_site_newest_first(void **state)
{
    struct shop shop;
    struct store_listing listing = {.site = slice_of("s"), .limit = 10};

    shop_open(&shop, state);
    publish_one(&shop, "s", "a", STATUS);
    scene_idle(shop.scene, 2);
    publish_one(&shop, "other", "b", STATUS);
    publish_one(&shop, "", "c", STATUS);
    scene_idle(shop.scene, 2);
    publish_one(&shop, "s", "d:1", DONE);
    shop_list(&shop, &listing);
    assert_true(shop.is_good);
    assert_string_equal(buf_text(&shop.listed), "s/d:1:completed s/a:running ");
    listing.limit = 1;
    shop_list(&shop, &listing);
    assert_string_equal(buf_text(&shop.listed), "s/d:1:completed ");
    listing.limit = 10;
    listing.site = slice_of("");
    shop_list(&shop, &listing);
    assert_string_equal(buf_text(&shop.listed), "/c:running ");
    shop_close(&shop);
}

static void open_runs_are_listed_oldest_first_and_leave_when_they_end(void **state)
{
    struct shop shop;
    struct store_listing listing = {.only_open = true, .limit = 10};

    shop_open(&shop, state);
    publish_one(&shop, "s", "a", STATUS);
    scene_idle(shop.scene, 2);
    publish_one(&shop, "s", "b", DONE);
    publish_one(&shop, "x", "c", STATUS);
    shop_list(&shop, &listing);
    assert_string_equal(buf_text(&shop.listed), "s/a:running x/c:running ");
    assert_string_equal(scene_ask(shop.scene, "ZCARD tw:open"), "2");
    listing.offset = 1;
    shop_list(&shop, &listing);
    assert_string_equal(buf_text(&shop.listed), "x/c:running ");
    shop_close(&shop);
}

static void the_index_is_repaired_on_read(void **state)
{
    struct shop shop;
    struct store_listing listing = {.only_open = true, .limit = 10};

    shop_open(&shop, state);
    publish_one(&shop, "s", "a", STATUS);
    (void)scene_ask(shop.scene, "ZADD tw:open 1 s/gone");
    (void)scene_ask(shop.scene, "ZADD tw:open 2 nonsense");
    (void)scene_ask(shop.scene, "ZADD tw:recent 1 s/gone");
    shop_list(&shop, &listing);
    assert_string_equal(buf_text(&shop.listed), "s/a:running ");
    assert_string_equal(scene_ask(shop.scene, "ZRANGE tw:recent 0 -1"), "s/a");
    assert_string_equal(scene_ask(shop.scene, "ZSCORE tw:open s/gone"), "");
    shop_close(&shop);
}

static void a_late_end_does_not_hide_a_newer_run(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 0);
    shop_publish(&shop, "p", epoch, 1, "c");
    (void)shop_run(&shop, "q", 0);
    /* The repeat of a finished run takes its own epoch out, not the new one's. */
    shop_publish(&shop, "p", epoch, 1, "c");
    assert_string_equal(scene_ask(shop.scene, "ZCARD tw:open"), "1");
    shop_close(&shop);
}

static void long_indexes_are_read_in_parts(void **state)
{
    struct shop shop;
    struct store_listing listing = {.site = slice_of("few"), .limit = 3};
    char words[4096];

    shop_open(&shop, state);
    publish_one(&shop, "few", "a", STATUS);
    scene_idle(shop.scene, 2);
    publish_one(&shop, "few", "b", STATUS);
    for (int i = 0; i < 1300; i += 10) {
        int len = snprintf(words, sizeof(words), "ZADD tw:recent");
        for (int j = 0; j < 10; j++)
            len += snprintf(words + len, sizeof(words) - (size_t)len,
                            " 9000000000000 many/%d", i + j);
        (void)scene_ask(shop.scene, "%s", words);
    }
    shop_list(&shop, &listing);
    assert_true(shop.is_good);
    assert_string_equal(buf_text(&shop.listed), "few/b:running few/a:running ");
    shop_close(&shop);
}

int test_reading(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_task_loads_as_unknown),
        cmocka_unit_test(a_task_loads_whole_with_its_newest_entries_in_order),
        cmocka_unit_test(entries_of_earlier_runs_are_not_loaded),
        cmocka_unit_test(ranges_come_in_chunks_after_an_id),
        cmocka_unit_test(ranges_come_in_chunks_before_an_id_of_its_run_alone),
        cmocka_unit_test(foreign_entries_of_a_log_are_passed_over),
        cmocka_unit_test(a_key_of_the_wrong_type_is_unavailable_not_a_crash),
        cmocka_unit_test(reading_while_redis_is_away_is_unavailable),
        cmocka_unit_test(tasks_are_listed_by_site_newest_first),
        cmocka_unit_test(open_runs_are_listed_oldest_first_and_leave_when_they_end),
        cmocka_unit_test(the_index_is_repaired_on_read),
        cmocka_unit_test(a_late_end_does_not_hide_a_newer_run),
        cmocka_unit_test(long_indexes_are_read_in_parts),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("reading", tests, scene_new, scene_free);
}
