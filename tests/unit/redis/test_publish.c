/* test_publish.c - the publishing script, row by row of its table (redis/README.md). */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "shop.h"
#include "tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void events_get_gap_free_ids_of_the_run(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "r:Hmm t:Hello");
    shop_expect(&shop, PUBLISH_OK, 1, 2);
    assert_int_equal(shop.result.first.epoch, epoch);
    assert_int_equal(shop.result.expected_counter, 3);
    assert_false(shop.result.stop_requested);
    shop_publish(&shop, "p", epoch, 3, "t:!");
    shop_expect(&shop, PUBLISH_OK, 3, 3);
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:text"), "Hello!");
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:reasoning"), "Hmm");
    assert_string_equal(shop_field(&shop, "state"), "running");
    assert_string_equal(shop_field(&shop, "text_seq"), "3");
    assert_string_equal(shop_field(&shop, "text_first"), "2");
    assert_string_equal(shop_field(&shop, "text_n"), "2");
    assert_string_equal(shop_field(&shop, "text_at"), "2026-11-20T23:00:00.123Z");
    shop_close(&shop);
}

static void
a_repeated_batch_is_answered_with_the_first_ids_and_appends_nothing(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:a t:b t:c");
    shop_publish(&shop, "p", epoch, 1, "t:a t:b t:c");
    shop_expect(&shop, PUBLISH_OK, 1, 3);
    shop_publish(&shop, "p", epoch, 2, "t:b");
    shop_expect(&shop, PUBLISH_OK, 2, 2);
    assert_int_equal(shop.result.expected_counter, 4);
    assert_string_equal(scene_ask(shop.scene, "XLEN tw:{s/t1}:log"), "3");
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:text"), "abc");
    shop_close(&shop);
}

/* It got no answer, so it knows of no epoch: the same bytes are a repeat, others a new run. */
static void
a_first_batch_without_an_epoch_that_is_repeated_is_the_same_run(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    shop_publish(&shop, "p", 0, 1, "t:a t:b");
    shop_expect(&shop, PUBLISH_OK, 1, 2);
    uint64_t epoch = shop.result.first.epoch;
    shop_publish(&shop, "p", 0, 1, "t:a t:b");
    shop_expect(&shop, PUBLISH_OK, 1, 2);
    assert_int_equal(shop.result.first.epoch, epoch);
    shop_publish(&shop, "p", epoch, 3, "t:c x");
    shop_expect(&shop, PUBLISH_OK, 3, 4);
    shop_publish(&shop, "p", 0, 1, "t:a t:b");
    shop_expect(&shop, PUBLISH_OK, 1, 2);
    assert_int_equal(shop.result.first.epoch, epoch);
    assert_string_equal(scene_ask(shop.scene, "XLEN tw:{s/t1}:log"), "4");
    shop_publish(&shop, "p", 0, 1, "t:a t:other");
    shop_expect(&shop, PUBLISH_OK, 1, 2);
    assert_true(shop.result.first.epoch > epoch);
    epoch = shop.result.first.epoch;
    shop_publish(&shop, "q", 0, 1, "t:a t:other");
    assert_true(shop.result.first.epoch > epoch);
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:text"), "aother");
    shop_close(&shop);
}

static void of_an_overlapping_batch_only_what_is_new_is_appended(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:a t:b");
    shop_publish(&shop, "p", epoch, 2, "t:b t:c t:d");
    shop_expect(&shop, PUBLISH_OK, 2, 4);
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:text"), "abcd");
    shop_close(&shop);
}

static void repeats_that_race_are_appended_once(void **state)
{
    struct shop shop;
    struct event events[50];
    struct publish_request request = {
        .task = the_task(), .producer = slice_of("p"), .events = events, .counter = 1};
    const char *field = NULL;

    shop_open(&shop, state);
    request.epoch = shop_run(&shop, "p", 10000);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(
            event_check(slice_of("{\"type\":\"text\",\"text\":\"x\",\"partial\":true}"),
                        &events[i], &field),
            EVENT_OK);
    /* Windows of many sizes, all overlapping, all in flight at once. */
    unsigned before = shop.told;
    for (size_t n = 1; n <= 50; n++) {
        request.count = n;
        shop_send(&shop, &request);
        request.count = n / 2 + 1;
        shop_send(&shop, &request);
    }
    scene_until_count(shop.scene, &shop.told, before + 100);
    assert_string_equal(scene_ask(shop.scene, "XLEN tw:{s/t1}:log"), "50");
    assert_string_equal(scene_ask(shop.scene, "STRLEN tw:{s/t1}:text"), "50");
    assert_string_equal(shop_field(&shop, "counter"), "51");
    shop_close(&shop);
}

static void a_gap_is_refused_with_the_expected_counter(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:a");
    shop_publish(&shop, "p", epoch, 3, "t:c");
    shop_expect(&shop, PUBLISH_GAP, 0, 0);
    assert_int_equal(shop.result.expected_counter, 2);
    assert_string_equal(scene_ask(shop.scene, "XLEN tw:{s/t1}:log"), "1");
    shop_close(&shop);
}

static void another_producer_and_an_older_epoch_are_fenced(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t first = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "other", first, 1, "t:a");
    shop_expect(&shop, PUBLISH_FENCED, 0, 0);
    shop_publish(&shop, "p", first, 1, "t:a");
    uint64_t second = shop_run(&shop, "q", 10000);
    assert_true(second > first);
    shop_publish(&shop, "p", first, 2, "t:b");
    shop_expect(&shop, PUBLISH_FENCED, 0, 0);
    assert_string_equal(scene_ask(shop.scene, "EXISTS tw:{s/t1}:text"), "0");
    shop_close(&shop);
}

static void a_finished_run_takes_nothing_but_repeats(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:a c");
    shop_expect(&shop, PUBLISH_OK, 1, 2);
    assert_string_equal(shop_field(&shop, "state"), "completed");
    assert_true(strtoull(shop_field(&shop, "finished_at"), NULL, 10) > 0);
    shop_publish(&shop, "p", epoch, 1, "t:a c");
    shop_expect(&shop, PUBLISH_OK, 1, 2);
    shop_publish(&shop, "p", epoch, 3, "t:b");
    shop_expect(&shop, PUBLISH_ENDED, 0, 0);
    shop_publish(&shop, "p", epoch, 9, "t:b");
    shop_expect(&shop, PUBLISH_ENDED, 0, 0);
    assert_string_equal(scene_ask(shop.scene, "XLEN tw:{s/t1}:log"), "2");
    shop_close(&shop);
}

static void a_producer_s_events_after_its_terminal_one_are_refused(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:a c t:b");
    shop_expect(&shop, PUBLISH_ENDED, 1, 2);
    assert_int_equal(shop.result.expected_counter, 3);
    shop_close(&shop);
}

static void a_run_nobody_knows_is_refused(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    shop_publish(&shop, "p", 77, 1, "t:a");
    shop_expect(&shop, PUBLISH_UNKNOWN_RUN, 0, 0);
    /* Redis came back with older data. */
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch + 1000, 1, "t:a");
    shop_expect(&shop, PUBLISH_UNKNOWN_RUN, 0, 0);
    shop_close(&shop);
}

static void a_log_that_is_ahead_of_its_run_is_lost_data(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    (void)scene_ask(shop.scene, "XADD tw:{s/t1}:log %llu-5 e {}",
                    (unsigned long long)epoch);
    shop_publish(&shop, "p", epoch, 1, "t:a");
    shop_expect(&shop, PUBLISH_UNKNOWN_RUN, 0, 0);
    assert_string_equal(shop_field(&shop, "counter"), "1");
    uint64_t next = shop_run(&shop, "p", 10000);
    assert_true(next > epoch);
    shop_publish(&shop, "p", next, 1, "t:a");
    shop_expect(&shop, PUBLISH_OK, 1, 1);
    shop_close(&shop);
}

static void a_future_log_pushes_the_epoch_beyond_it(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    (void)scene_ask(shop.scene, "XADD tw:{s/t1}:log 9000000000000-3 e {}");
    assert_int_equal(shop_run(&shop, "p", 0), 9000000000001);
    (void)scene_ask(shop.scene, "DEL tw:{s/t1}:log");
    /* Then it is the run hash that remembers. */
    assert_int_equal(shop_run(&shop, "q", 0), 9000000000002);
    shop_close(&shop);
}

/* ---- without a producer ---- */

static void without_a_producer_a_run_is_opened_then_joined(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    shop_publish(&shop, "", 0, 0, "t:a");
    shop_expect(&shop, PUBLISH_OK, 1, 1);
    uint64_t epoch = shop.result.first.epoch;
    shop_publish(&shop, "", 0, 0, "t:b c");
    shop_expect(&shop, PUBLISH_OK, 2, 3);
    assert_int_equal(shop.result.last.epoch, epoch);
    shop_publish(&shop, "", 0, 0, "t:new");
    shop_expect(&shop, PUBLISH_OK, 1, 1);
    assert_true(shop.result.first.epoch > epoch);
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:text"), "new");
    shop_close(&shop);
}

static void
after_a_terminal_event_in_the_same_batch_an_unleased_run_is_opened_anew(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    shop_publish(&shop, "", 0, 0, "t:a c t:b t:c e t:d");
    shop_expect(&shop, PUBLISH_OK, 1, 1);
    assert_true(shop.result.last.epoch > shop.result.first.epoch);
    assert_string_equal(scene_ask(shop.scene, "XLEN tw:{s/t1}:log"), "6");
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:text"), "d");
    assert_string_equal(shop_field(&shop, "state"), "running");
    shop_close(&shop);
}

static void without_a_producer_a_leased_run_is_fenced(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "", 0, 0, "t:a");
    shop_expect(&shop, PUBLISH_FENCED, 0, 0);
    shop_publish(&shop, "p", epoch, 1, "c");
    shop_publish(&shop, "", 0, 0, "t:a");
    shop_expect(&shop, PUBLISH_OK, 1, 1);
    shop_close(&shop);
}

static void repeats_find_their_ids_although_others_published_in_between(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 0);
    shop_publish(&shop, "p", epoch, 1, "t:a t:b");
    shop_publish(&shop, "", 0, 0, "s s");
    shop_expect(&shop, PUBLISH_OK, 3, 4);
    shop_publish(&shop, "p", epoch, 3, "t:c");
    shop_expect(&shop, PUBLISH_OK, 5, 5);
    shop_publish(&shop, "", 0, 0, "s");
    shop_publish(&shop, "p", epoch, 4, "t:d");
    shop_expect(&shop, PUBLISH_OK, 7, 7);
    shop_publish(&shop, "p", epoch, 2, "t:b t:c t:d");
    shop_expect(&shop, PUBLISH_OK, 2, 7);
    shop_publish(&shop, "p", epoch, 3, "t:c");
    shop_expect(&shop, PUBLISH_OK, 5, 5);
    /* More changes than are remembered: nothing is doubled all the same. */
    for (uint64_t i = 5; i < 80; i++) {
        shop_publish(&shop, "", 0, 0, "s");
        shop_publish(&shop, "p", epoch, i, "t:x");
        shop_expect(&shop, PUBLISH_OK, 0, 0);
    }
    assert_true(strlen(shop_field(&shop, "marks")) < 512);
    shop_publish(&shop, "p", epoch, 79, "t:x");
    assert_int_equal(shop.result.first.seq, shop.result.last.seq);
    assert_string_equal(scene_ask(shop.scene, "STRLEN tw:{s/t1}:text"), "79");
    shop_close(&shop);
}

/* ---- the live channel ---- */

struct ear {
    unsigned confirmed;
    unsigned heard;
    struct buf all;
};

static void on_confirmed(void *ctx, struct slice channel)
{
    (void)channel;
    ((struct ear *)ctx)->confirmed++;
}

static void on_heard(void *ctx, struct slice channel, struct slice payload)
{
    struct ear *ear = ctx;

    (void)channel;
    ear->heard++;
    buf_slice(&ear->all, payload);
    buf_putc(&ear->all, '\n');
}

static void each_event_is_published_live_after_a_note_that_opens_the_run(void **state)
{
    struct shop shop;
    struct ear ear = {.heard = 0};
    struct link_options options = {.is_quiet = true,
                                   .is_subscriber = true,
                                   .on_subscribed = on_confirmed,
                                   .on_message = on_heard,
                                   .ctx = &ear};
    char expected[512];

    shop_open(&shop, state);
    buf_init(&ear.all, 1 << 16);
    struct link *link =
        link_new(shop.scene->loop, shop.scene->redis.url, &options, &ear.all);
    link_subscribe(link, slice_of("tw:{s/t1}:live"));
    scene_until_count(shop.scene, &ear.confirmed, 1);
    struct run_open_request request = {
        .task = the_task(), .producer = slice_of("p"), .state = RUN_QUEUED};
    shop_open_run(&shop, &request, 0);
    unsigned long long epoch = shop.epoch;
    shop_publish(&shop, "p", epoch, 1, "t:hi");
    shop_publish(&shop, "p", epoch, 1, "t:hi");
    shop_erase(&shop);
    scene_until_count(shop.scene, &ear.heard, 3);
    (void)snprintf(
        expected, sizeof(expected),
        "%llu-0 {\"type\":\"opened\",\"state\":\"queued\",\"started_at\":%llu,"
        "\"keeps_text\":false}\n%llu-1 {\"type\":\"text\",\"text\":\"hi\",\"partial\":true"
        ",\"task_id\":\"t1\",\"timestamp\":\"2026-11-20T23:00:00.123Z\"}\n"
        "%llu-0 {\"type\":\"erased\"}\n",
        epoch, epoch, epoch, epoch);
    assert_string_equal(buf_text(&ear.all), expected);
    link_free(link);
    buf_release(&ear.all);
    shop_close(&shop);
}

/* ---- bounds ---- */

static void past_the_text_bound_the_run_ends(void **state)
{
    struct shop shop;
    struct store_limits limits;

    shop_open(&shop, state);
    limits = shop.limits;
    limits.retain_text_bytes = 10;
    shop_limits(&shop, &limits);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:1234567890 r:1234567890");
    shop_expect(&shop, PUBLISH_OK, 1, 2);
    shop_publish(&shop, "p", epoch, 3, "s t:x t:y");
    shop_expect(&shop, PUBLISH_TOO_LARGE, 3, 3);
    assert_string_equal(shop_field(&shop, "state"), "error");
    assert_string_equal(scene_ask(shop.scene, "STRLEN tw:{s/t1}:text"), "10");
    assert_non_null(strstr(scene_ask(shop.scene, "XREVRANGE tw:{s/t1}:log + - COUNT 1"),
                           "\"code\":\"RUN_TOO_LARGE\""));
    shop_publish(&shop, "p", epoch, 4, "t:x");
    shop_expect(&shop, PUBLISH_ENDED, 0, 0);
    shop_close(&shop);
}

static void the_log_is_capped_by_events_and_by_bytes(void **state)
{
    struct shop shop;
    struct store_limits limits;

    shop_open(&shop, state);
    limits = shop.limits;
    limits.retain_events = 200;
    shop_limits(&shop, &limits);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    for (uint64_t i = 0; i < 1000; i += 50)
        shop_publish(&shop, "p", epoch, i + 1,
                     "s s s s s s s s s s s s s s s s s s s s s s s s s "
                     "s s s s s s s s s s s s s s s s s s s s s s s s s");
    (void)scene_ask(shop.scene, "XLEN tw:{s/t1}:log");
    assert_in_range(shop.scene->answer_number, 200, 320);
    limits.retain_bytes = 5000;
    shop_limits(&shop, &limits);
    shop_publish(&shop, "p", epoch, 1001, "s");
    shop_expect(&shop, PUBLISH_OK, 1001, 1001);
    (void)scene_ask(shop.scene, "XLEN tw:{s/t1}:log");
    assert_in_range(shop.scene->answer_number, 1, 80);
    assert_true(strtoull(shop_field(&shop, "bytes"), NULL, 10) <= 5000);
    shop_close(&shop);
}

static void a_batch_too_large_or_empty_is_rejected_at_once(void **state)
{
    struct shop shop;
    struct event *events = mem_array(STORE_MAX_BATCH_EVENTS + 1, sizeof(*events));
    struct publish_request request = {.task = the_task(), .events = events};
    const char *field = NULL;

    shop_open(&shop, state);
    for (size_t i = 0; i <= STORE_MAX_BATCH_EVENTS; i++)
        (void)event_check(slice_of("{\"type\":\"status\"}"), &events[i], &field);
    shop_send(&shop, &request);
    assert_int_equal(shop.told, 1);
    shop_expect(&shop, PUBLISH_REJECTED, 0, 0);
    request.count = STORE_MAX_BATCH_EVENTS + 1;
    shop_send(&shop, &request);
    assert_int_equal(shop.told, 2);
    shop_expect(&shop, PUBLISH_REJECTED, 0, 0);
    assert_non_null(shop.result.detail);
    request.count = STORE_MAX_BATCH_EVENTS;
    shop_send(&shop, &request);
    scene_until_count(shop.scene, &shop.told, 3);
    shop_expect(&shop, PUBLISH_OK, 1, STORE_MAX_BATCH_EVENTS);
    shop_close(&shop);
    free(events);
}

static void text_arrives_decoded_and_json_on_one_line(void **state)
{
    struct shop shop;
    struct event event;
    struct publish_request request = {.task = the_task(), .events = &event, .count = 1};
    const char *field = NULL;

    shop_open(&shop, state);
    assert_int_equal(
        event_check(slice_of("{\n \"type\": \"text\",\n \"partial\": true,\n "
                             "\"text\": \"a\\n\\u00e9\\ud83d\\ude00 \\\"\"\n}"),
                    &event, &field),
        EVENT_OK);
    shop_send(&shop, &request);
    scene_until_count(shop.scene, &shop.told, 1);
    shop_expect(&shop, PUBLISH_OK, 1, 1);
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:text"),
                        "a\n\xc3\xa9\xf0\x9f\x98\x80 \"");
    assert_null(strchr(scene_ask(shop.scene, "XRANGE tw:{s/t1}:log - +"), '\n'));
    shop_close(&shop);
}

/* ---- Redis away ---- */

static void without_redis_the_answer_is_unavailable(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    private_redis_kill(&shop.scene->redis);
    shop_publish(&shop, "p", epoch, 1, "t:a");
    shop_expect(&shop, PUBLISH_UNAVAILABLE, 0, 0);
    private_redis_start(&shop.scene->redis);
    scene_until_count(shop.scene, &shop.ups, 2);
    /* Nothing was saved: the producer is told so, and opens anew. */
    shop_publish(&shop, "p", epoch, 1, "t:a");
    shop_expect(&shop, PUBLISH_UNKNOWN_RUN, 0, 0);
    assert_true(shop_run(&shop, "p", 10000) > epoch);
    shop_close(&shop);
}

static void scripts_survive_being_flushed(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:a");
    assert_string_equal(scene_ask(shop.scene, "SCRIPT FLUSH"), "OK");
    shop_publish(&shop, "p", epoch, 2, "t:b");
    shop_expect(&shop, PUBLISH_OK, 2, 2);
    (void)scene_ask(shop.scene, "CONFIG RESETSTAT");
    shop_publish(&shop, "p", epoch, 3, "t:c");
    shop_expect(&shop, PUBLISH_OK, 3, 3);
    /* The digest made at build time is the one Redis computes. */
    assert_null(strstr(scene_ask(shop.scene, "INFO commandstats"), "cmdstat_eval:"));
    assert_non_null(strstr(buf_text(&shop.scene->answer), "cmdstat_evalsha:"));
    shop_close(&shop);
}

static void a_full_memory_is_unavailable_and_loses_nothing(void **state)
{
    struct shop shop;

    shop_open(&shop, state);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:a");
    (void)scene_ask(shop.scene, "CONFIG SET maxmemory 1");
    shop_publish(&shop, "p", epoch, 2, "t:b");
    shop_expect(&shop, PUBLISH_UNAVAILABLE, 0, 0);
    (void)scene_ask(shop.scene, "CONFIG SET maxmemory 0");
    shop_publish(&shop, "p", epoch, 2, "t:b");
    shop_expect(&shop, PUBLISH_OK, 2, 2);
    assert_string_equal(scene_ask(shop.scene, "GET tw:{s/t1}:text"), "ab");
    shop_close(&shop);
}

static void freeing_the_store_tells_all_who_wait(void **state)
{
    struct shop shop;
    struct event event;
    struct publish_request request = {.task = the_task(), .events = &event, .count = 1};
    const char *field = NULL;

    shop_open(&shop, state);
    (void)event_check(slice_of("{\"type\":\"status\"}"), &event, &field);
    for (int i = 0; i < 10; i++)
        shop_send(&shop, &request);
    store_free(shop.store);
    assert_int_equal(shop.told, 10);
    shop_expect(&shop, PUBLISH_UNAVAILABLE, 0, 0);
    scene_idle(shop.scene, 20);
    assert_int_equal(shop.told, 10);
    shop.store = NULL;
    shop_close(&shop);
}

int test_publish(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(events_get_gap_free_ids_of_the_run),
        cmocka_unit_test(
            a_repeated_batch_is_answered_with_the_first_ids_and_appends_nothing),
        cmocka_unit_test(
            a_first_batch_without_an_epoch_that_is_repeated_is_the_same_run),
        cmocka_unit_test(of_an_overlapping_batch_only_what_is_new_is_appended),
        cmocka_unit_test(repeats_that_race_are_appended_once),
        cmocka_unit_test(a_gap_is_refused_with_the_expected_counter),
        cmocka_unit_test(another_producer_and_an_older_epoch_are_fenced),
        cmocka_unit_test(a_finished_run_takes_nothing_but_repeats),
        cmocka_unit_test(a_producer_s_events_after_its_terminal_one_are_refused),
        cmocka_unit_test(a_run_nobody_knows_is_refused),
        cmocka_unit_test(a_log_that_is_ahead_of_its_run_is_lost_data),
        cmocka_unit_test(a_future_log_pushes_the_epoch_beyond_it),
        cmocka_unit_test(without_a_producer_a_run_is_opened_then_joined),
        cmocka_unit_test(
            after_a_terminal_event_in_the_same_batch_an_unleased_run_is_opened_anew),
        cmocka_unit_test(without_a_producer_a_leased_run_is_fenced),
        cmocka_unit_test(repeats_find_their_ids_although_others_published_in_between),
        cmocka_unit_test(each_event_is_published_live_after_a_note_that_opens_the_run),
        cmocka_unit_test(past_the_text_bound_the_run_ends),
        cmocka_unit_test(the_log_is_capped_by_events_and_by_bytes),
        cmocka_unit_test(a_batch_too_large_or_empty_is_rejected_at_once),
        cmocka_unit_test(text_arrives_decoded_and_json_on_one_line),
        cmocka_unit_test(without_redis_the_answer_is_unavailable),
        cmocka_unit_test(scripts_survive_being_flushed),
        cmocka_unit_test(a_full_memory_is_unavailable_and_loses_nothing),
        cmocka_unit_test(freeing_the_store_tells_all_who_wait),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("publish", tests, scene_new, scene_free);
}
