/* test_history.c - what a stream retains is had by whom wants it, on any broker. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include "codec/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOADED  256 /* entries of a first load */
#define A_CHUNK 500 /* entries of one question for older ones */

/* A reader that wants everything after an id. */
struct past {
    struct reader reader;
    struct topic *topic;
    struct event_id after; /* epoch 0: of whatever run is there, from its first on */
    uint64_t epoch;        /* of what was read */
    uint64_t last_seq;
    unsigned seen;
    unsigned lost;
    bool is_waiting;
    bool is_placed;
};

static bool find_place(struct past *past)
{
    struct event_id after = past->after;

    if (after.epoch == 0)
        after.epoch = topic_run(past->topic)->epoch;
    past->is_waiting = topic_fetch_after(past->topic, after);
    if (past->is_waiting)
        return false;
    past->reader.pos = topic_after(past->topic, after);
    if (past->reader.pos == 0 && past->after.epoch == 0)
        past->reader.pos = topic_base(past->topic);
    past->is_placed = true;
    return true;
}

/* In order, without a hole, each once, and each the one it says it is. */
static void read_one(struct past *past, const struct entry *entry)
{
    struct json_member text;
    uint64_t number;

    if (past->seen > 0 && entry->id.epoch == past->epoch)
        assert_int_equal(entry->id.seq, past->last_seq + 1);
    if (json_get(entry->body, "n", &text)) {
        assert_true(json_u64(text.value, &number));
        assert_int_equal(number, entry->id.seq);
    }
    past->epoch = entry->id.epoch;
    past->last_seq = entry->id.seq;
    past->seen++;
}

static void on_wake(struct reader *reader)
{
    struct past *past = LIST_ENTRY(reader, struct past, reader);

    if (topic_phase(past->topic) != TOPIC_READY ||
        (!past->is_placed && !find_place(past)))
        return;
    if (reader_lag(reader) == READER_LOST) {
        past->lost++;
        past->seen = 0;
        reader->pos = topic_next(past->topic);
    }
    for (; reader->pos < topic_next(past->topic); reader->pos++)
        read_one(past, topic_entry(past->topic, reader->pos));
}

static void past_attach(struct past *past, struct stage *stage, struct event_id after)
{
    *past = (struct past){.after = after};
    past->topic = hub_topic(stage->hub, TOPIC_TASK, slice_of("s"), slice_of("t1"));
    assert_non_null(past->topic);
    reader_init(&past->reader, on_wake);
    reader_attach(&past->reader, past->topic, topic_next(past->topic));
}

static bool is_placed(void *ctx)
{
    return ((struct past *)ctx)->is_placed;
}

static void past_open(struct past *past, struct stage *stage, struct event_id after)
{
    past_attach(past, stage, after);
    scene_until(stage->scene, is_placed, past);
}

static bool is_waiting(void *ctx)
{
    return ((struct past *)ctx)->is_waiting;
}

/* Events first..last of t1, as if they had been published while nobody listened. */
static void write_events(struct stage *stage, uint64_t epoch, unsigned first,
                         unsigned last)
{
    char args[3][24];

    (void)snprintf(args[0], sizeof(args[0]), "%" PRIu64, epoch);
    (void)snprintf(args[1], sizeof(args[1]), "%u", first);
    (void)snprintf(args[2], sizeof(args[2]), "%u", last);
    (void)scene_ask_words(
        stage->scene, "EVAL",
        "for i = ARGV[2], ARGV[3] do redis.call('XADD', KEYS[1], ARGV[1] .. '-' .. i, "
        "'e', '{\"type\":\"status\",\"n\":' .. i .. '}') end "
        "redis.call('HSET', KEYS[2], 'seq', ARGV[3], 'counter', ARGV[3] + 1)",
        "2", "tw:{s/t1}:log", "tw:{s/t1}:run", args[0], args[1], args[2], (char *)NULL);
}

/* A run of t1 with `last` events on a broker that has not heard of it. */
static uint64_t open_cold(struct stage *stage, void **state, unsigned last)
{
    stage_open(stage, state);
    uint64_t epoch = shop_run(&stage->shop, "p", 60000);

    shop_publish(&stage->shop, "p", epoch, 1, "s");
    write_events(stage, epoch, 2, last);
    (void)scene_ask(stage->scene, "CONFIG RESETSTAT");
    return epoch;
}

static unsigned questions(struct stage *stage)
{
    const char *line = strstr(scene_ask(stage->scene, "INFO commandstats"),
                              "cmdstat_xrevrange:calls=");

    return line == NULL ? 0 : (unsigned)strtoul(strchr(line, '=') + 1, NULL, 10);
}

static void since_an_old_id_each_retained_event_comes_once_in_order(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t epoch = open_cold(&stage, state, 1200);

    past_open(&past, &stage, (struct event_id){epoch, 3, false});
    scene_until_count(stage.scene, &past.seen, 1197);
    assert_int_equal(past.last_seq, 1200);
    assert_int_equal(past.lost, 0);
    /* The load and two questions, not the whole log in one. */
    assert_int_equal(questions(&stage), 3);
    shop_publish(&stage.shop, "p", epoch, 1201, "c");
    scene_until_count(stage.scene, &past.seen, 1198);
    assert_int_equal(past.lost, 0);
    reader_detach(&past.reader);
    stage_close(&stage);
}

static void a_recent_id_costs_one_question(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t epoch = open_cold(&stage, state, 1200);

    past_open(&past, &stage, (struct event_id){epoch, 1200 - LOADED, false});
    scene_until_count(stage.scene, &past.seen, LOADED);
    assert_int_equal(questions(&stage), 1);
    reader_detach(&past.reader);
    stage_close(&stage);
}

static void from_the_start_every_event_comes(void **state)
{
    struct stage stage;
    struct past past;

    (void)open_cold(&stage, state, LOADED + 2 * A_CHUNK);
    past_open(&past, &stage, (struct event_id){0});
    scene_until_count(stage.scene, &past.seen, LOADED + 2 * A_CHUNK);
    assert_int_equal(past.lost, 0);
    assert_int_equal(questions(&stage), 3);
    assert_int_equal(stage_counter(&stage, "redis_history_entries_total "),
                     2 * A_CHUNK);
    reader_detach(&past.reader);
    stage_close(&stage);
}

static void of_a_trimmed_stream_what_is_left_comes(void **state)
{
    struct stage stage;
    struct past start;
    struct past gone;
    struct past left;
    uint64_t epoch = open_cold(&stage, state, 1200);

    (void)scene_ask(stage.scene, "XTRIM tw:{s/t1}:log MAXLEN = 400");
    past_open(&start, &stage, (struct event_id){0});
    scene_until_count(stage.scene, &start.seen, 400);
    past_open(&gone, &stage, (struct event_id){epoch, 799, false});
    assert_int_equal(gone.reader.pos, topic_next(gone.topic));
    assert_int_equal(gone.lost, 1);
    past_open(&left, &stage, (struct event_id){epoch, 800, false});
    scene_until_count(stage.scene, &left.seen, 400);
    assert_int_equal(start.lost + left.lost, 0);
    /* What is known to be gone is not asked for again. */
    assert_int_equal(questions(&stage), 2);
    reader_detach(&start.reader);
    reader_detach(&gone.reader);
    reader_detach(&left.reader);
    stage_close(&stage);
}

static void two_joiners_share_the_questions(void **state)
{
    struct stage stage;
    struct past first;
    struct past second;
    uint64_t epoch = open_cold(&stage, state, 1200);

    past_attach(&first, &stage, (struct event_id){epoch, 600, false});
    past_attach(&second, &stage, (struct event_id){epoch, 100, false});
    scene_until_count(stage.scene, &first.seen, 600);
    scene_until_count(stage.scene, &second.seen, 1100);
    assert_int_equal(first.lost + second.lost, 0);
    assert_int_equal(questions(&stage), 3);
    reader_detach(&first.reader);
    reader_detach(&second.reader);
    stage_close(&stage);
}

static void a_run_opened_in_a_task_with_earlier_ones_has_its_own_past(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t earlier = open_cold(&stage, state, 300);
    uint64_t epoch = shop_run(&stage.shop, "p", 60000);

    assert_true(epoch > earlier);
    shop_publish(&stage.shop, "p", epoch, 1, "s");
    write_events(&stage, epoch, 2, 400);
    past_open(&past, &stage, (struct event_id){0});
    scene_until_count(stage.scene, &past.seen, 400);
    assert_int_equal(past.epoch, epoch);
    assert_int_equal(past.lost, 0);
    reader_detach(&past.reader);
    stage_close(&stage);
}

static void what_cannot_be_read_keeps_its_place_in_history(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t epoch = open_cold(&stage, state, 99);

    (void)scene_ask(stage.scene, "XADD tw:{s/t1}:log %" PRIu64 "-100 e garbage", epoch);
    write_events(&stage, epoch, 101, 500);
    past_open(&past, &stage, (struct event_id){0});
    scene_until_count(stage.scene, &past.seen, 500);
    assert_int_equal(stage_counter(&stage, "redis_bad_entries_total "), 1);
    reader_detach(&past.reader);
    stage_close(&stage);
}

static void a_hole_in_the_stream_ends_its_history(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t epoch = open_cold(&stage, state, 900);

    (void)scene_ask(stage.scene, "XDEL tw:{s/t1}:log %" PRIu64 "-500", epoch);
    past_open(&past, &stage, (struct event_id){0});
    scene_until_count(stage.scene, &past.seen, 400);
    assert_int_equal(past.last_seq, 900);
    reader_detach(&past.reader);
    stage_close(&stage);
}

/* ---- while it is fetched ---- */

/* Waits until the question is on its way; Redis is stopped then and answers nothing. */
static void ask_the_silent(struct stage *stage, struct past *past,
                           struct event_id after)
{
    struct past first;

    past_open(&first, stage, (struct event_id){after.epoch, 1200, false});
    private_redis_pause(&stage->scene->redis);
    past_attach(past, stage, after);
    scene_until(stage->scene, is_waiting, past);
    scene_idle(stage->scene, 5);
    reader_detach(&first.reader);
}

static void live_events_during_a_fetch_are_neither_lost_nor_doubled(void **state)
{
    struct event event;
    struct publish_request request = {
        .task = the_task(), .producer = slice_of("p"), .events = &event, .count = 1};
    const char *field = NULL;
    struct stage stage;
    struct past past;

    request.epoch = open_cold(&stage, state, 1200);
    (void)event_check(slice_of("{\"type\":\"status\"}"), &event, &field);
    ask_the_silent(&stage, &past, (struct event_id){request.epoch, 0, false});
    for (request.counter = 1201; request.counter <= 1300; request.counter++)
        shop_send(&stage.shop, &request);
    private_redis_resume(&stage.scene->redis);
    scene_until_count(stage.scene, &past.seen, 1300);
    assert_int_equal(past.last_seq, 1300);
    assert_int_equal(past.lost, 0);
    reader_detach(&past.reader);
    stage_close(&stage);
}

static void a_gap_found_during_a_fetch_is_healed_first(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t epoch = open_cold(&stage, state, 1200);
    struct event event;
    struct publish_request request = {.task = the_task(),
                                      .producer = slice_of("p"),
                                      .epoch = epoch,
                                      .counter = 1301,
                                      .events = &event,
                                      .count = 1};
    const char *field = NULL;
    struct past live;

    (void)event_check(slice_of("{\"type\":\"status\"}"), &event, &field);
    past_open(&live, &stage, (struct event_id){epoch, 1200, false});
    write_events(&stage, epoch, 1201, 1300);
    private_redis_pause(&stage.scene->redis);
    past_attach(&past, &stage, (struct event_id){epoch, 0, false});
    scene_until(stage.scene, is_waiting, &past);
    shop_send(&stage.shop, &request);
    private_redis_resume(&stage.scene->redis);
    scene_until_count(stage.scene, &past.seen, 1301);
    scene_until_count(stage.scene, &live.seen, 101);
    assert_int_equal(past.lost + live.lost, 0);
    reader_detach(&past.reader);
    reader_detach(&live.reader);
    stage_close(&stage);
}

static void a_run_that_begins_during_a_fetch_is_not_mixed_with_the_old_one(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t epoch = open_cold(&stage, state, 1200);
    struct run_open_request again = {
        .task = the_task(), .producer = slice_of("q"), .state = RUN_RUNNING};

    ask_the_silent(&stage, &past, (struct event_id){epoch, 0, false});
    private_redis_resume(&stage.scene->redis);
    shop_open_run(&stage.shop, &again, 0);
    scene_until(stage.scene, is_placed, &past);
    shop_publish(&stage.shop, "q", stage.shop.epoch, 1, "s c");
    while (past.epoch != stage.shop.epoch || past.last_seq != 2)
        scene_idle(stage.scene, 1);
    reader_detach(&past.reader);
    stage_close(&stage);
}

static void nobody_waits_for_the_answer_any_more(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t epoch = open_cold(&stage, state, 1200);

    ask_the_silent(&stage, &past, (struct event_id){epoch, 0, false});
    reader_detach(&past.reader);
    private_redis_resume(&stage.scene->redis);
    while (stage_counter(&stage, "redis_history_entries_total ") == 0)
        scene_idle(stage.scene, 1);
    assert_int_equal(topic_next(past.topic) - topic_base(past.topic), LOADED + A_CHUNK);
    stage_close(&stage);
}

/* The bus is freed while Redis owes it an answer. */
static void a_bus_may_go_while_it_fetches(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t epoch = open_cold(&stage, state, 1200);

    ask_the_silent(&stage, &past, (struct event_id){epoch, 0, false});
    reader_detach(&past.reader);
    stage_close(&stage);
    private_redis_resume(&((struct scene *)*state)->redis);
}

static void a_redis_that_goes_away_during_a_fetch_leaves_no_hole(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t epoch = open_cold(&stage, state, 1200);
    char dump[96];

    assert_string_equal(scene_ask(stage.scene, "SAVE"), "OK");
    ask_the_silent(&stage, &past, (struct event_id){epoch, 3, false});
    private_redis_kill(&stage.scene->redis);
    scene_idle(stage.scene, 20);
    assert_true(past.is_waiting);
    private_redis_start(&stage.scene->redis);
    (void)snprintf(dump, sizeof(dump), "%s/dump.rdb", stage.scene->redis.dir);
    assert_int_equal(unlink(dump), 0);
    scene_until_count(stage.scene, &past.seen, 1197);
    assert_int_equal(past.last_seq, 1200);
    assert_int_equal(past.lost, 0);
    reader_detach(&past.reader);
    stage_close(&stage);
}

static void a_redis_that_loses_its_data_during_a_fetch_is_told(void **state)
{
    struct stage stage;
    struct past past;
    uint64_t epoch = open_cold(&stage, state, 1200);

    ask_the_silent(&stage, &past, (struct event_id){epoch, 3, false});
    private_redis_kill(&stage.scene->redis);
    private_redis_start(&stage.scene->redis);
    while (topic_run(past.topic)->state != RUN_UNKNOWN || !past.is_placed)
        scene_idle(stage.scene, 1);
    assert_int_equal(past.seen, 0);
    assert_true(past.lost > 0);
    reader_detach(&past.reader);
    stage_close(&stage);
}

int test_history(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(since_an_old_id_each_retained_event_comes_once_in_order),
        cmocka_unit_test(a_recent_id_costs_one_question),
        cmocka_unit_test(from_the_start_every_event_comes),
        cmocka_unit_test(of_a_trimmed_stream_what_is_left_comes),
        cmocka_unit_test(two_joiners_share_the_questions),
        cmocka_unit_test(a_run_opened_in_a_task_with_earlier_ones_has_its_own_past),
        cmocka_unit_test(what_cannot_be_read_keeps_its_place_in_history),
        cmocka_unit_test(a_hole_in_the_stream_ends_its_history),
        cmocka_unit_test(live_events_during_a_fetch_are_neither_lost_nor_doubled),
        cmocka_unit_test(a_gap_found_during_a_fetch_is_healed_first),
        cmocka_unit_test(
            a_run_that_begins_during_a_fetch_is_not_mixed_with_the_old_one),
        cmocka_unit_test(nobody_waits_for_the_answer_any_more),
        cmocka_unit_test(a_bus_may_go_while_it_fetches),
        cmocka_unit_test(a_redis_that_goes_away_during_a_fetch_leaves_no_hole),
        cmocka_unit_test(a_redis_that_loses_its_data_during_a_fetch_is_told),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("history", tests, scene_new, scene_free);
}
