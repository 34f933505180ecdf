/* test_fitness.c - which Redis may hold tasks, and what is said when it would not write. */
/* SPDX-License-Identifier: MIT */
#include "redis/fitness.h"
#include "shop.h"
#include "tests.h"

#include <stdio.h>
#include <string.h>

struct doctor {
    struct scene *scene;
    struct link *link;
    struct fitness *fitness;
    unsigned ups;
    unsigned changes;
};

static void on_up(void *ctx)
{
    struct doctor *doctor = ctx;

    doctor->ups++;
    fitness_begin(doctor->fitness);
    assert_int_equal(fitness_state(doctor->fitness), FITNESS_UNASKED);
}

static void on_change(void *ctx, enum fitness_state state)
{
    struct doctor *doctor = ctx;

    assert_int_equal(fitness_state(doctor->fitness), state);
    doctor->changes++;
}

static void doctor_open(struct doctor *doctor, void **state, const char *login)
{
    const struct fitness_options options = {.on_change = on_change, .ctx = doctor};
    struct link_options link = {
        .is_quiet = true, .backoff_max_ms = 50, .on_up = on_up, .ctx = doctor};
    struct buf error;
    char url[96];

    *doctor = (struct doctor){.scene = *state};
    (void)snprintf(url, sizeof(url), "redis://%s127.0.0.1:%u", login,
                   doctor->scene->redis.port);
    buf_init(&error, 1024);
    doctor->link = link_new(doctor->scene->loop, url, &link, &error);
    doctor->fitness = fitness_new(doctor->scene->loop, doctor->link, &options);
    assert_int_equal(fitness_state(doctor->fitness), FITNESS_UNASKED);
    scene_until_count(doctor->scene, &doctor->changes, 1);
    buf_release(&error);
}

static void doctor_close(struct doctor *doctor)
{
    (void)scene_ask(doctor->scene, "CONFIG SET maxmemory 0");
    (void)scene_ask(doctor->scene, "CONFIG SET maxmemory-policy noeviction");
    fitness_free(doctor->fitness);
    link_free(doctor->link);
}

static bool explains(struct doctor *doctor, const char *words)
{
    struct buf text;
    bool does;

    buf_init(&text, 4096);
    fitness_explain(doctor->fitness, &text);
    does = strstr(buf_text(&text), words) != NULL;
    buf_release(&text);
    return does;
}

static void a_redis_that_keeps_what_it_has_is_fit(void **state)
{
    struct doctor doctor;

    doctor_open(&doctor, state, "");
    assert_int_equal(fitness_state(doctor.fitness), FITNESS_GOOD);
    assert_false(fitness_is_unfit(doctor.fitness));
    assert_null(fitness_trouble(doctor.fitness));
    assert_true(explains(&doctor, ""));
    doctor_close(&doctor);
}

static void the_policy_counts_together_with_a_limit_only(void **state)
{
    struct scene *scene = *state;
    struct doctor doctor;

    (void)scene_ask(scene, "CONFIG SET maxmemory-policy allkeys-lru");
    doctor_open(&doctor, state, "");
    assert_int_equal(fitness_state(doctor.fitness), FITNESS_GOOD);
    (void)scene_ask(scene, "CONFIG SET maxmemory 100mb");
    fitness_ask(doctor.fitness);
    scene_until_count(scene, &doctor.changes, 2);
    assert_int_equal(fitness_state(doctor.fitness), FITNESS_EVICTS);
    assert_true(fitness_is_unfit(doctor.fitness));
    assert_non_null(strstr(fitness_trouble(doctor.fitness), "noeviction"));
    assert_true(explains(&doctor, "CONFIG SET maxmemory-policy noeviction"));
    assert_true(explains(&doctor, "104857600"));
    (void)scene_ask(scene, "CONFIG SET maxmemory-policy noeviction");
    fitness_ask(doctor.fitness);
    scene_until_count(scene, &doctor.changes, 3);
    assert_int_equal(fitness_state(doctor.fitness), FITNESS_GOOD);
    doctor_close(&doctor);
}

static void a_full_redis_is_told_until_it_has_room(void **state)
{
    struct doctor doctor;

    doctor_open(&doctor, state, "");
    (void)scene_ask(doctor.scene, "CONFIG SET maxmemory 1");
    fitness_ask(doctor.fitness);
    scene_until_count(doctor.scene, &doctor.changes, 2);
    assert_int_equal(fitness_state(doctor.fitness), FITNESS_FULL);
    assert_false(fitness_is_unfit(doctor.fitness));
    assert_true(explains(&doctor, "refuses writes"));
    (void)scene_ask(doctor.scene, "CONFIG SET maxmemory 0");
    /* Nobody asks: it looks again by itself. */
    scene_until_count(doctor.scene, &doctor.changes, 3);
    assert_int_equal(fitness_state(doctor.fitness), FITNESS_GOOD);
    doctor_close(&doctor);
}

static void where_info_is_forbidden_config_tells(void **state)
{
    struct scene *scene = *state;
    struct doctor doctor;

    (void)scene_ask(scene, "ACL SETUSER shy on >pw ~* &* +@all -info");
    (void)scene_ask(scene, "CONFIG SET maxmemory 100mb");
    (void)scene_ask(scene, "CONFIG SET maxmemory-policy volatile-ttl");
    doctor_open(&doctor, state, "shy:pw@");
    assert_int_equal(fitness_state(doctor.fitness), FITNESS_EVICTS);
    doctor_close(&doctor);
    (void)scene_ask(scene, "ACL DELUSER shy");
}

static void where_both_are_forbidden_nothing_is_claimed(void **state)
{
    struct scene *scene = *state;
    struct doctor doctor;

    (void)scene_ask(scene, "ACL SETUSER shy on >pw ~* &* +@all -info -config");
    doctor_open(&doctor, state, "shy:pw@");
    assert_int_equal(fitness_state(doctor.fitness), FITNESS_UNCHECKED);
    assert_null(fitness_trouble(doctor.fitness));
    assert_true(explains(&doctor, "neither INFO nor CONFIG GET"));
    doctor_close(&doctor);
    (void)scene_ask(scene, "ACL DELUSER shy");
}

static void another_connection_is_asked_anew(void **state)
{
    struct doctor doctor;

    doctor_open(&doctor, state, "");
    (void)scene_ask(doctor.scene, "CONFIG SET maxmemory 1");
    link_drop(doctor.link, "because");
    scene_until_count(doctor.scene, &doctor.changes, 2);
    assert_int_equal(fitness_state(doctor.fitness), FITNESS_FULL);
    doctor_close(&doctor);
}

static void it_may_be_freed_with_its_question_on_the_way(void **state)
{
    struct doctor doctor;

    doctor_open(&doctor, state, "");
    fitness_ask(doctor.fitness);
    doctor_close(&doctor);
}

/* ---- refused writes ---- */

struct refusals {
    unsigned count;
    enum store_refusal last;
};

static void on_refused(void *ctx, enum store_refusal refusal)
{
    struct refusals *refusals = ctx;

    refusals->count++;
    refusals->last = refusal;
}

static void what_a_full_redis_refused_is_repeated_when_it_has_room(void **state)
{
    struct refusals refusals = {.count = 0};
    struct shop shop;

    shop_open(&shop, state);
    store_on_refused(shop.store, on_refused, &refusals);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:a");
    shop_expect(&shop, PUBLISH_OK, 1, 1);
    (void)scene_ask(shop.scene, "CONFIG SET maxmemory 1");
    shop_publish(&shop, "p", epoch, 2, "t:b c");
    shop_expect(&shop, PUBLISH_UNAVAILABLE, 0, 0);
    assert_non_null(strstr(shop.result.detail, "maxmemory"));
    assert_int_equal(refusals.count, 1);
    assert_int_equal(refusals.last, STORE_REFUSED_FULL);
    assert_string_equal(shop_field(&shop, "seq"), "1");
    assert_string_equal(shop_field(&shop, "counter"), "2");
    /* Nor is anything opened. */
    shop_open_run(&shop,
                  &(struct run_open_request){.task = task_of("s", "t2"),
                                             .producer = slice_of("q"),
                                             .state = RUN_RUNNING},
                  0);
    assert_int_equal(shop.status, PUBLISH_UNAVAILABLE);
    /* Readers read on. */
    shop_load(&shop, 10);
    assert_true(shop.is_loaded);
    (void)scene_ask(shop.scene, "CONFIG SET maxmemory 0");
    shop_publish(&shop, "p", epoch, 2, "t:b c");
    shop_expect(&shop, PUBLISH_OK, 2, 3);
    shop_close(&shop);
}

static void a_lack_of_replicas_has_its_own_name(void **state)
{
    struct refusals refusals = {.count = 0};
    struct shop shop;

    shop_open(&shop, state);
    store_on_refused(shop.store, on_refused, &refusals);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    (void)scene_ask(shop.scene, "CONFIG SET min-replicas-to-write 1");
    shop_publish(&shop, "p", epoch, 1, "t:a");
    (void)scene_ask(shop.scene, "CONFIG SET min-replicas-to-write 0");
    shop_expect(&shop, PUBLISH_UNAVAILABLE, 0, 0);
    assert_int_equal(refusals.last, STORE_REFUSED_REPLICAS);
    shop_close(&shop);
}

static void a_master_that_became_a_replica_is_left_and_nothing_is_lost(void **state)
{
    struct refusals refusals = {.count = 0};
    struct shop shop;

    shop_open(&shop, state);
    store_on_refused(shop.store, on_refused, &refusals);
    uint64_t epoch = shop_run(&shop, "p", 10000);
    shop_publish(&shop, "p", epoch, 1, "t:a");
    /* Of a master that is not there: it keeps what it has. */
    (void)scene_ask(shop.scene, "REPLICAOF 127.0.0.1 1");
    shop_publish(&shop, "p", epoch, 2, "t:b");
    shop_expect(&shop, PUBLISH_UNAVAILABLE, 0, 0);
    assert_int_equal(refusals.last, STORE_REFUSED_READONLY);
    scene_idle(shop.scene, 50);
    assert_false(link_is_up(shop.link));
    assert_string_equal(link_trouble(shop.link), "the server is a read-only replica");
    (void)scene_ask(shop.scene, "REPLICAOF NO ONE");
    scene_until_count(shop.scene, &shop.ups, 2);
    shop_publish(&shop, "p", epoch, 2, "t:b");
    shop_expect(&shop, PUBLISH_OK, 2, 2);
    shop_close(&shop);
}

static void on_info(void *ctx, const struct reply *info)
{
    bool *has_told = ctx;

    assert_non_null(info);
    assert_true(slice_is(reply_info(info, "maxmemory"), "0"));
    assert_true(slice_is(reply_info(info, "maxmemory_policy"), "noeviction"));
    assert_int_equal(reply_info(info, "max").len, 0);
    assert_int_equal(reply_info(info, "policy").len, 0);
    assert_int_equal(reply_info(info, "").len, 0);
    assert_true(reply_info_u64(info, "used_memory") > 0);
    assert_int_equal(reply_info_u64(info, "maxmemory_policy"), 0);
    *has_told = true;
}

static void an_answer_to_info_is_read_by_its_lines(void **state)
{
    struct scene *scene = *state;
    struct slice argv[2] = {slice_of("INFO"), slice_of("memory")};
    bool has_told = false;

    link_command(scene->admin, argv, 2, on_info, &has_told);
    scene_until_flag(scene, &has_told);
}

int test_fitness(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_to_info_is_read_by_its_lines),
        cmocka_unit_test(a_redis_that_keeps_what_it_has_is_fit),
        cmocka_unit_test(the_policy_counts_together_with_a_limit_only),
        cmocka_unit_test(a_full_redis_is_told_until_it_has_room),
        cmocka_unit_test(where_info_is_forbidden_config_tells),
        cmocka_unit_test(where_both_are_forbidden_nothing_is_claimed),
        cmocka_unit_test(another_connection_is_asked_anew),
        cmocka_unit_test(it_may_be_freed_with_its_question_on_the_way),
        cmocka_unit_test(what_a_full_redis_refused_is_repeated_when_it_has_room),
        cmocka_unit_test(a_lack_of_replicas_has_its_own_name),
        cmocka_unit_test(a_master_that_became_a_replica_is_left_and_nothing_is_lost),
    };
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("fitness", tests, scene_new, scene_free);
}
