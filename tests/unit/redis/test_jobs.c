/* test_jobs.c - jobs go to one worker each, and to another when that falls silent. */
/* SPDX-License-Identifier: MIT */
#include "redis/jobs.h"
#include "shop.h"
#include "tests.h"

#include <stdio.h>
#include <string.h>

#define SILENT_MS 300

struct hand {
    struct jobs *jobs;
    unsigned count;
    bool is_again;
    char id[48];
    char names[512]; /* "t1@7 " of each */
};

struct factory {
    struct shop shop;
    struct hand a;
    struct hand b;
};

static void on_job(void *ctx, const struct job *job)
{
    struct hand *hand = ctx;
    size_t len = strlen(hand->names);

    hand->count++;
    hand->is_again = job->is_again;
    (void)snprintf(hand->id, sizeof(hand->id), "%.*s", (int)job->id.len, job->id.ptr);
    (void)snprintf(hand->names + len, sizeof(hand->names) - len, "%.*s/%.*s@%u ",
                   (int)job->task.site.len, job->task.site.ptr,
                   (int)job->task.task_id.len, job->task.task_id.ptr,
                   (unsigned)job->epoch);
}

static void hire(struct factory *factory, struct hand *hand, const char *name)
{
    struct jobs_options options = {
        .url = factory->shop.scene->redis.url,
        .prefix = "tw",
        .consumer = name,
        .silent_ms = SILENT_MS,
        .on_job = on_job,
        .ctx = hand,
    };
    struct buf error;

    buf_init(&error, 200);
    *hand = (struct hand){0};
    hand->jobs =
        jobs_new(factory->shop.scene->loop, factory->shop.link, &options, &error);
    assert_non_null(hand->jobs);
    buf_release(&error);
}

static void factory_open(struct factory *factory, void **state)
{
    shop_open(&factory->shop, state);
    hire(factory, &factory->a, "a");
    hire(factory, &factory->b, "b");
}

static void factory_close(struct factory *factory)
{
    jobs_free(factory->a.jobs);
    jobs_free(factory->b.jobs);
    shop_close(&factory->shop);
}

static void on_added(void *ctx, bool ok)
{
    unsigned *added = ctx;

    assert_true(ok);
    (*added)++;
}

static void add(struct factory *factory, const char *task_id, uint64_t epoch)
{
    struct job job = {.task = task_of("s", task_id), .epoch = epoch};
    unsigned added = 0;

    jobs_add(factory->shop.link, "tw", &job, on_added, &added);
    scene_until_count(factory->shop.scene, &added, 1);
}

static void a_job_comes_to_who_wants_one(void **state)
{
    struct factory factory;

    factory_open(&factory, state);
    add(&factory, "t1", 7); /* before anybody has asked */
    jobs_want(factory.a.jobs, 1);
    scene_until_count(factory.shop.scene, &factory.a.count, 1);
    assert_string_equal(factory.a.names, "s/t1@7 ");
    assert_false(factory.a.is_again);
    add(&factory, "t2", 8);
    jobs_want(factory.b.jobs, 2);
    scene_until_count(factory.shop.scene, &factory.b.count, 1);
    assert_string_equal(factory.b.names, "s/t2@8 ");
    add(&factory, "t3", 9); /* while it waits */
    scene_until_count(factory.shop.scene, &factory.b.count, 2);
    assert_int_equal(factory.a.count, 1);
    factory_close(&factory);
}

static void nobody_gets_more_than_was_wanted(void **state)
{
    struct factory factory;

    factory_open(&factory, state);
    for (unsigned i = 1; i <= 5; i++)
        add(&factory, "t", i);
    jobs_want(factory.a.jobs, 2);
    scene_until_count(factory.shop.scene, &factory.a.count, 2);
    jobs_want(factory.b.jobs, 3);
    scene_until_count(factory.shop.scene, &factory.b.count, 3);
    assert_int_equal(factory.a.count, 2);
    assert_string_equal(factory.a.names, "s/t@1 s/t@2 ");
    assert_string_equal(factory.b.names, "s/t@3 s/t@4 s/t@5 ");
    factory_close(&factory);
}

static void a_silent_workers_job_is_handed_on_until_it_is_finished(void **state)
{
    struct factory factory;

    factory_open(&factory, state);
    add(&factory, "t1", 7);
    jobs_want(factory.a.jobs, 1);
    scene_until_count(factory.shop.scene, &factory.a.count, 1);
    jobs_want(factory.b.jobs, 5);
    scene_until_count(factory.shop.scene, &factory.b.count, 1);
    assert_true(factory.b.is_again);
    assert_string_equal(factory.b.id, factory.a.id);
    jobs_finish(factory.b.jobs, slice_of(factory.b.id));
    scene_idle(factory.shop.scene, 3 * (uint64_t)SILENT_MS);
    assert_int_equal(factory.b.count, 1);
    assert_string_equal(scene_ask(factory.shop.scene, "XLEN tw:jobs"), "0");
    assert_string_equal(scene_ask(factory.shop.scene, "XPENDING tw:jobs workers"),
                        "0|||");
    factory_close(&factory);
}

static void a_job_nobody_can_read_is_finished_by_itself(void **state)
{
    struct factory factory;

    factory_open(&factory, state);
    (void)scene_ask(factory.shop.scene, "XADD tw:jobs * what ever");
    (void)scene_ask(factory.shop.scene, "XADD tw:jobs * site s task t epoch 0");
    (void)scene_ask(factory.shop.scene, "XADD tw:jobs * site s task t epoch 1x");
    (void)scene_ask(factory.shop.scene, "XADD tw:jobs * site s epoch 4");
    add(&factory, "good", 1);
    jobs_want(factory.a.jobs, 1);
    scene_until_count(factory.shop.scene, &factory.a.count, 1);
    assert_string_equal(factory.a.names, "s/good@1 ");
    assert_string_equal(scene_ask(factory.shop.scene, "XLEN tw:jobs"), "1");
    factory_close(&factory);
}

static void the_group_is_made_again_when_redis_lost_it(void **state)
{
    struct factory factory;

    factory_open(&factory, state);
    add(&factory, "t1", 1);
    jobs_want(factory.a.jobs, 10);
    scene_until_count(factory.shop.scene, &factory.a.count, 1);
    (void)scene_ask(factory.shop.scene, "FLUSHALL");
    add(&factory, "t2", 2);
    scene_until_count(factory.shop.scene, &factory.a.count, 2);
    assert_string_equal(factory.a.names, "s/t1@1 s/t2@2 ");
    factory_close(&factory);
}

int test_jobs(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_job_comes_to_who_wants_one, scene_clean),
        cmocka_unit_test_setup(nobody_gets_more_than_was_wanted, scene_clean),
        cmocka_unit_test_setup(a_silent_workers_job_is_handed_on_until_it_is_finished,
                               scene_clean),
        cmocka_unit_test_setup(a_job_nobody_can_read_is_finished_by_itself,
                               scene_clean),
        cmocka_unit_test_setup(the_group_is_made_again_when_redis_lost_it, scene_clean),
    };

    return cmocka_run_group_tests_name("jobs", tests, scene_new, scene_free);
}
