/* test_away.c - the bus is away or slow, or the client is. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#define DELTA "{\"type\":\"text\",\"text\":\"a\",\"partial\":true}"

static void an_unavailable_bus_is_503(void **state)
{
    struct bench *b = *state;
    struct publish_result away = {.status = PUBLISH_UNAVAILABLE};
    struct fake_exchange *x = post(b, DELTA);

    b->held.published(b->held.ctx, &away);
    answered(b, x, 503, "\"code\":\"UNAVAILABLE\"");
    x = ask(b, HTTP_DELETE, "/v1/tasks/t", "");
    b->held.erased(b->held.ctx, false);
    answered(b, x, 503, "\"code\":\"UNAVAILABLE\"");
    x = ask(b, HTTP_POST, "/v1/tasks/t/stop", "");
    b->held.stopped(b->held.ctx, STOP_UNAVAILABLE);
    answered(b, x, 503, "unavailable");
    x = get(b, "/v1/tasks");
    b->held.listed(b->held.ctx, false);
    answered(b, x, 503, "\"code\":\"UNAVAILABLE\"");
    b->held.trouble = "connecting";
    answered(b, get(b, "/readyz"), 503, "{\"ready\":false,\"bus\":\"connecting\"}");
}

static void other_answers_have_their_status(void **state)
{
    struct bench *b = *state;
    static const struct {
        enum publish_status status;
        unsigned http;
        const char *code;
    } rows[] = {
        {PUBLISH_FENCED, 409, "FENCED"},
        {PUBLISH_ENDED, 409, "ENDED"},
        {PUBLISH_GAP, 409, "\"expected_counter\":7"},
        {PUBLISH_UNKNOWN_RUN, 409, "UNKNOWN_RUN"},
        {PUBLISH_TOO_LARGE, 413, "TOO_LARGE"},
        {PUBLISH_REJECTED, 413, "REJECTED"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct publish_result result = {.status = rows[i].status,
                                        .expected_counter = 7};
        struct fake_exchange *x = post(b, DELTA);
        b->held.published(b->held.ctx, &result);
        answered(b, x, rows[i].http, rows[i].code);
    }
}

static void a_stop_that_was_asked_for_is_told_to_the_producer(void **state)
{
    struct bench *b = *state;
    struct publish_result result = {.status = PUBLISH_OK,
                                    .first = {5, 1, false},
                                    .last = {5, 1, false},
                                    .stop_requested = true};
    struct fake_exchange *x = post(b, DELTA);

    b->held.published(b->held.ctx, &result);
    answered(b, x, 200,
             "{\"ok\":true,\"first\":\"5-1\",\"last\":\"5-1\",\"ids\":[\"5-1\"],"
             "\"epoch\":5,\"stop_requested\":true}");
}

static void a_producer_without_an_epoch_is_told_the_one_it_got(void **state)
{
    struct bench *b = *state;
    struct publish_result result = {
        .status = PUBLISH_OK, .first = {5, 1, false}, .last = {5, 1, false}};
    struct fake_exchange *x;

    b->producer = "p";
    x = post(b, DELTA);
    assert_int_equal(b->held.asked, 1);
    b->held.published(b->held.ctx, &result);
    answered(b, x, 200, "\"epoch\":5");
    assert_int_equal(b->held.asked, 1);
}

static void a_client_that_went_away_is_not_answered(void **state)
{
    struct bench *b = *state;
    struct publish_result result = {.status = PUBLISH_OK};
    struct fake_exchange *x = post(b, DELTA);

    abort_exchange(x);
    b->held.published(b->held.ctx, &result);
    x = ask(b, HTTP_DELETE, "/v1/tasks/t", "");
    abort_exchange(x);
    b->held.erased(b->held.ctx, true);
    x = get(b, "/v1/tasks");
    abort_exchange(x);
    b->held.listed(b->held.ctx, true);
    x = ask(b, HTTP_POST, "/v1/tasks/t/stop", "");
    abort_exchange(x);
    b->held.stopped(b->held.ctx, STOP_ACCEPTED);
    b->producer = "p";
    x = post(b, DELTA);
    abort_exchange(x);
    /* What it sent is published all the same. */
    b->held.published(b->held.ctx, &result);
    assert_false(x->is_answered);
}

/* ---- tasks that have to be loaded ---- */

static void on_watch(void *ctx, struct topic *topic)
{
    *(struct topic **)ctx = topic;
}

static void on_unwatch(void *ctx, struct topic *topic)
{
    (void)ctx;
    (void)topic;
}

static const struct hub_feed feed = {.on_watch = on_watch, .on_unwatch = on_unwatch};

static void a_task_is_told_when_it_is_loaded(void **state)
{
    struct bench *b = *state;
    struct run run = {.epoch = 5, .state = RUN_COMPLETED, .last_seq = 3};
    struct topic *topic = NULL;
    struct fake_exchange *x;

    hub_set_feed(b->hub, &feed, &topic);
    x = get(b, "/v1/tasks/t");
    settle(b);
    assert_false(x->is_answered);
    topic_restore(topic, &run);
    topic_ready(topic);
    answered(b, x, 200, "\"state\":\"completed\",\"id\":\"5-3\"");
    assert_int_equal(topic_reader_count(topic), 0);
}

static void a_task_that_cannot_be_loaded_is_503(void **state)
{
    struct bench *b = *state;
    struct topic *topic = NULL;
    struct fake_exchange *x;

    hub_set_feed(b->hub, &feed, &topic);
    x = get(b, "/v1/tasks/t");
    pass_ms(b, 60);
    answered(b, x, 503, "\"code\":\"UNAVAILABLE\"");
    assert_int_equal(topic_reader_count(topic), 0);
    /* The client may give up first, and the broker may stop. */
    x = get(b, "/v1/tasks/t");
    abort_exchange(x);
    pass_ms(b, 60);
    assert_false(x->is_answered);
    get(b, "/v1/tasks/t");
}

#define HELD_TEST(name) cmocka_unit_test_setup_teardown(name, with_held, without)

int test_away(void)
{
    const struct CMUnitTest tests[] = {
        HELD_TEST(an_unavailable_bus_is_503),
        HELD_TEST(other_answers_have_their_status),
        HELD_TEST(a_stop_that_was_asked_for_is_told_to_the_producer),
        HELD_TEST(a_producer_without_an_epoch_is_told_the_one_it_got),
        HELD_TEST(a_client_that_went_away_is_not_answered),
        HELD_TEST(a_task_is_told_when_it_is_loaded),
        HELD_TEST(a_task_that_cannot_be_loaded_is_503),
    };
    return cmocka_run_group_tests_name("api: the bus is away", tests, NULL, NULL);
}
