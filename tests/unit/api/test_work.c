/* test_work.c - the memory bus as a worker in the same process sees it. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "bus/memory.h"

static const struct task_key key = {{"", 0}, {"t", 1}};

struct office {
    struct bench *b;
    unsigned jobs;
    unsigned stops;
    uint64_t epoch; /* of the last job */
};

static void on_job(void *ctx, const struct task_key *task_key, uint64_t epoch)
{
    struct office *office = ctx;

    assert_true(slice_is(task_key->task_id, "t"));
    office->jobs++;
    office->epoch = epoch;
}

static void on_stop(void *ctx, const struct task_key *task_key, uint64_t epoch)
{
    struct office *office = ctx;

    assert_true(slice_is(task_key->task_id, "t"));
    assert_int_equal(epoch, office->epoch);
    office->stops++;
}

static void employ(struct office *office, struct bench *b, size_t wanted)
{
    struct memory_office slots = {on_job, on_stop, office};

    *office = (struct office){.b = b};
    bus_memory_employ(b->bus, &slots);
    bus_memory_want(b->bus, wanted);
}

static void submit(struct office *office)
{
    struct fake_exchange *x =
        ask(office->b, HTTP_POST, "/v1/tasks", "{\"task_id\":\"t\",\"message\":\"a\"}");

    answered(office->b, x, 202, "queued");
    if (office->epoch == 0)
        office->epoch = topic_run(task(office->b, "t"))->epoch;
}

static enum publish_status claim(struct office *office, const char *producer,
                                 uint64_t epoch, uint64_t lease_ms)
{
    struct run_open_request request = {
        .task = key, .producer = slice_of(producer), .lease_ms = lease_ms};

    return bus_memory_claim(office->b->bus, &request, epoch);
}

static struct publish_result renew(struct office *office, const char *producer,
                                   uint64_t epoch)
{
    struct store_renewal renewal = {
        .task = key, .producer = slice_of(producer), .epoch = epoch, .lease_ms = 60000};

    return bus_memory_renew(office->b->bus, &renewal);
}

static void on_published(void *ctx, const struct publish_result *result)
{
    *(struct publish_result *)ctx = *result;
}

static struct publish_result say(struct office *office, const char *producer,
                                 uint64_t counter)
{
    struct event event;
    const char *field;
    struct publish_result result = {0};
    struct publish_request request = {.task = key,
                                      .producer = slice_of(producer),
                                      .epoch = office->epoch,
                                      .counter = counter,
                                      .events = &event,
                                      .count = 1};

    assert_int_equal(
        event_check(slice_of("{\"type\":\"text\",\"text\":\"a\",\"partial\":"
                             "true,\"task_id\":\"t\"}"),
                    &event, &field),
        EVENT_OK);
    office->b->bus->ops->publish(office->b->bus, &request, on_published, &result);
    return result;
}

static enum run_state state_of(struct office *office)
{
    return topic_run(task(office->b, "t"))->state;
}

static void last_says(struct office *office, const char *part)
{
    struct topic *topic = task(office->b, "t");
    const struct entry *last = topic_entry(topic, topic_next(topic) - 1);
    struct buf text;

    assert_non_null(last);
    buf_init(&text, 4096);
    buf_slice(&text, last->body);
    assert_non_null(strstr(buf_text(&text), part));
    buf_release(&text);
}

/* ---- jobs ---- */

static void a_job_waits_until_it_is_wanted(void **state)
{
    struct office office;

    employ(&office, *state, 0);
    submit(&office);
    settle(office.b);
    assert_int_equal(office.jobs, 0);
    bus_memory_want(office.b->bus, 5);
    settle(office.b);
    assert_int_equal(office.jobs, 1);
    assert_int_equal(office.epoch, topic_run(task(office.b, "t"))->epoch);
}

static void a_job_that_was_stopped_is_not_handed_out(void **state)
{
    struct office office;

    employ(&office, *state, 0);
    submit(&office);
    ask(office.b, HTTP_POST, "/v1/tasks/t/stop", "");
    bus_memory_want(office.b->bus, 5);
    settle(office.b);
    assert_int_equal(office.jobs, 0);
}

static void no_more_are_handed_out_than_wanted(void **state)
{
    struct office office;

    employ(&office, *state, 1);
    submit(&office);
    settle(office.b);
    assert_int_equal(office.jobs, 1);
    ask(office.b, HTTP_POST, "/v1/tasks/t/stop", "");
    submit(&office);
    settle(office.b);
    assert_int_equal(office.jobs, 1);
    bus_memory_want(office.b->bus, 1);
    settle(office.b);
    assert_int_equal(office.jobs, 2);
}

/* ---- taking over ---- */

static void a_claim_is_answered_by_the_rows_of_the_table(void **state)
{
    struct office office;

    employ(&office, *state, 1);
    assert_int_equal(claim(&office, "w", 5, 60000), PUBLISH_UNKNOWN_RUN);
    submit(&office);
    settle(office.b);
    assert_int_equal(claim(&office, "w", office.epoch + 1, 60000), PUBLISH_UNKNOWN_RUN);
    assert_int_equal(claim(&office, "w", office.epoch - 1, 60000), PUBLISH_FENCED);
    assert_int_equal(claim(&office, "w", office.epoch, 60000), PUBLISH_OK);
    assert_int_equal(claim(&office, "w", office.epoch, 60000), PUBLISH_OK);
    assert_int_equal(claim(&office, "v", office.epoch, 60000), PUBLISH_FENCED);
    assert_int_equal(state_of(&office), RUN_QUEUED);
    assert_int_equal(say(&office, "w", 1).status, PUBLISH_OK);
    assert_int_equal(state_of(&office), RUN_RUNNING);
    assert_int_equal(say(&office, "v", 1).status, PUBLISH_FENCED);
    ask(office.b, HTTP_DELETE, "/v1/tasks/t", "");
    assert_int_equal(claim(&office, "w", office.epoch, 60000), PUBLISH_ENDED);
}

static void a_queued_run_is_taken_over_when_its_lease_is_gone(void **state)
{
    struct office office;

    employ(&office, *state, 1);
    submit(&office);
    settle(office.b);
    assert_int_equal(claim(&office, "w", office.epoch, 20), PUBLISH_OK);
    assert_int_equal(claim(&office, "v", office.epoch, 60000), PUBLISH_FENCED);
    pass_ms(office.b, 40);
    assert_int_equal(claim(&office, "v", office.epoch, 60000), PUBLISH_OK);
    struct publish_result result = say(&office, "v", 1);
    assert_int_equal(result.status, PUBLISH_OK);
    assert_int_equal(result.first.seq, 2); /* behind `queued` */
    assert_int_equal(say(&office, "w", 1).status, PUBLISH_FENCED);
}

static void a_running_run_without_its_producer_is_lost(void **state)
{
    struct office office;

    employ(&office, *state, 1);
    submit(&office);
    settle(office.b);
    assert_int_equal(claim(&office, "w", office.epoch, 500), PUBLISH_OK);
    assert_int_equal(say(&office, "w", 1).status, PUBLISH_OK);
    for (int i = 0; i < 100 && state_of(&office) == RUN_RUNNING; i++)
        pass_ms(office.b, 100);
    assert_int_equal(state_of(&office), RUN_FAILED);
    last_says(&office, "PRODUCER_LOST");
    assert_int_equal(claim(&office, "v", office.epoch, 500), PUBLISH_ENDED);
    assert_int_equal(renew(&office, "w", office.epoch).status, PUBLISH_ENDED);
}

static void a_producer_that_renews_is_not_lost(void **state)
{
    struct office office;

    employ(&office, *state, 1);
    submit(&office);
    settle(office.b);
    assert_int_equal(claim(&office, "w", office.epoch, 500), PUBLISH_OK);
    assert_int_equal(say(&office, "w", 1).status, PUBLISH_OK);
    assert_int_equal(renew(&office, "w", office.epoch).status, PUBLISH_OK);
    assert_int_equal(renew(&office, "v", office.epoch).status, PUBLISH_FENCED);
    assert_int_equal(renew(&office, "w", office.epoch + 1).status, PUBLISH_UNKNOWN_RUN);
    pass_ms(office.b, 2200);
    assert_int_equal(state_of(&office), RUN_RUNNING);
}

/* ---- stops ---- */

static void a_stop_is_told_at_once_and_with_every_answer(void **state)
{
    struct office office;

    employ(&office, *state, 1);
    submit(&office);
    settle(office.b);
    assert_int_equal(claim(&office, "w", office.epoch, 60000), PUBLISH_OK);
    assert_false(say(&office, "w", 1).stop_requested);
    answered(office.b, ask(office.b, HTTP_POST, "/v1/tasks/t/stop", ""), 200,
             "accepted");
    assert_int_equal(office.stops, 1);
    assert_int_equal(state_of(&office), RUN_RUNNING);
    assert_true(say(&office, "w", 2).stop_requested);
    assert_true(renew(&office, "w", office.epoch).stop_requested);
}

static void a_stop_that_is_not_obeyed_is_carried_out(void **state)
{
    struct office office;

    employ(&office, *state, 1);
    submit(&office);
    settle(office.b);
    assert_int_equal(claim(&office, "w", office.epoch, 60000), PUBLISH_OK);
    assert_int_equal(say(&office, "w", 1).status, PUBLISH_OK);
    ask(office.b, HTTP_POST, "/v1/tasks/t/stop", "");
    for (int i = 0; i < 100 && state_of(&office) == RUN_RUNNING; i++)
        pass_ms(office.b, 100);
    assert_int_equal(state_of(&office), RUN_STOPPED);
    last_says(&office, "\"length\":1");
    assert_int_equal(say(&office, "w", 2).status, PUBLISH_ENDED);
}

static void who_is_at_work_on_what_is_erased_is_told(void **state)
{
    struct office office;

    employ(&office, *state, 1);
    submit(&office);
    settle(office.b);
    assert_int_equal(claim(&office, "w", office.epoch, 60000), PUBLISH_OK);
    ask(office.b, HTTP_DELETE, "/v1/tasks/t", "");
    assert_int_equal(office.stops, 1);
    assert_int_equal(bus_memory_load(office.b->bus, &key).state, RUN_UNKNOWN);
}

#define WORK_TEST(name) cmocka_unit_test_setup_teardown(name, with_memory, without)

int test_work(void)
{
    const struct CMUnitTest tests[] = {
        WORK_TEST(a_job_waits_until_it_is_wanted),
        WORK_TEST(a_job_that_was_stopped_is_not_handed_out),
        WORK_TEST(no_more_are_handed_out_than_wanted),
        WORK_TEST(a_claim_is_answered_by_the_rows_of_the_table),
        WORK_TEST(a_queued_run_is_taken_over_when_its_lease_is_gone),
        WORK_TEST(a_running_run_without_its_producer_is_lost),
        WORK_TEST(a_producer_that_renews_is_not_lost),
        WORK_TEST(a_stop_is_told_at_once_and_with_every_answer),
        WORK_TEST(a_stop_that_is_not_obeyed_is_carried_out),
        WORK_TEST(who_is_at_work_on_what_is_erased_is_told),
    };
    return cmocka_run_group_tests_name("api: a worker inside", tests, NULL, NULL);
}
