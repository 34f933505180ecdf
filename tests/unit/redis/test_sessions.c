/* test_sessions.c - who owns a kept session, and who gets it when several ask. */
/* SPDX-License-Identifier: MIT */
#include "redis/sessions.h"
#include "shop.h"
#include "tests.h"

#include <stdio.h>
#include <string.h>

#define PID "0123456789abcdef01234567"

/* Two brokers on one Redis. */
struct pair {
    struct shop a;
    struct shop b;
    struct sessions *first;
    struct sessions *second;
};

struct told {
    unsigned count;
    enum sessions_answer answer;
    char record[256];
};

static void pair_open(struct pair *pair, void **state)
{
    shop_open(&pair->a, state);
    shop_open(&pair->b, state);
    pair->first = sessions_new(pair->a.link, "tw");
    pair->second = sessions_new(pair->b.link, "tw");
}

static void pair_close(struct pair *pair)
{
    sessions_free(pair->first);
    sessions_free(pair->second);
    shop_close(&pair->a);
    shop_close(&pair->b);
}

static void on_claimed(void *ctx, enum sessions_answer answer, struct slice record)
{
    struct told *told = ctx;

    told->count++;
    told->answer = answer;
    (void)snprintf(told->record, sizeof(told->record), "%.*s", (int)record.len,
                   record.len == 0 ? "" : record.ptr);
}

static void expect_claim(struct pair *pair, struct sessions *who,
                         enum sessions_answer answer, const char *record)
{
    struct told told = {0};

    sessions_claim(who, slice_of(PID), 5000, on_claimed, &told);
    assert_int_equal(told.count, 0);
    scene_until_count(pair->a.scene, &told.count, 1);
    assert_int_equal(told.answer, answer);
    assert_string_equal(told.record, record);
}

static void on_pong(void *ctx, const struct reply *reply)
{
    unsigned *pongs = ctx;

    (void)reply;
    (*pongs)++;
}

/* What was given to the first's connection has been done. */
static void settle(struct pair *pair)
{
    const struct slice ping = slice_of("PING");
    unsigned pongs = 0;

    link_command(pair->a.link, &ping, 1, on_pong, &pongs);
    scene_until_count(pair->a.scene, &pongs, 1);
}

static void keep(struct pair *pair, struct sessions *who, const char *record)
{
    const struct sessions_record given = {slice_of(PID), slice_of(record), 5000};

    (void)sessions_keep(who, &given, NULL, NULL);
    if (sessions_is_up(pair->first))
        settle(pair);
}

static void
a_record_goes_to_the_claimant_and_its_owner_cannot_write_it_again(void **state)
{
    struct pair pair;

    pair_open(&pair, state);
    expect_claim(&pair, pair.second, SESSIONS_NONE, "");
    keep(&pair, pair.first, "{\"a\":1}");
    expect_claim(&pair, pair.first, SESSIONS_MINE, "{\"a\":1}");
    keep(&pair, pair.first, "{\"a\":2}");
    expect_claim(&pair, pair.second, SESSIONS_OTHERS, "{\"a\":2}");
    keep(&pair, pair.first, "{\"a\":3}");
    sessions_drop(pair.first, slice_of(PID));
    settle(&pair);
    expect_claim(&pair, pair.second, SESSIONS_MINE, "");
    keep(&pair, pair.second, "{\"b\":1}");
    expect_claim(&pair, pair.second, SESSIONS_MINE, "{\"b\":1}");
    pair_close(&pair);
}

static void of_two_that_ask_at_once_one_gets_it(void **state)
{
    struct pair pair;
    struct sessions *third;
    struct told told[2] = {0};
    unsigned won = 0;

    pair_open(&pair, state);
    third = sessions_new(pair.a.link, "tw");
    keep(&pair, pair.first, "{}");
    sessions_claim(pair.second, slice_of(PID), 5000, on_claimed, &told[0]);
    sessions_claim(third, slice_of(PID), 5000, on_claimed, &told[1]);
    for (size_t i = 0; i < 2; i++) {
        scene_until_count(pair.a.scene, &told[i].count, 1);
        won += told[i].answer == SESSIONS_OTHERS ? 1 : 0;
        assert_true(told[i].answer == SESSIONS_OTHERS ||
                    told[i].answer == SESSIONS_TAKEN);
    }
    assert_int_equal(won, 1);
    sessions_free(third);
    pair_close(&pair);
}

static void the_name_does_not_tell_the_secret_and_the_record_expires(void **state)
{
    struct sessions_record given = {slice_of(PID), slice_of("{}"), 1000};
    struct pair pair;
    const char *keys;

    pair_open(&pair, state);
    (void)sessions_keep(pair.first, &given, NULL, NULL);
    settle(&pair);
    keys = scene_ask(pair.a.scene, "KEYS *");
    assert_non_null(strstr(keys, "tw:session:"));
    assert_null(strstr(keys, "0123456789abcdef"));
    given.ttl_ms = 60000;
    (void)sessions_keep(pair.first, &given, NULL, NULL);
    scene_idle(pair.a.scene, 1200);
    keys = scene_ask(pair.a.scene, "KEYS *");
    assert_non_null(strstr(keys, "tw:session:"));
    given.ttl_ms = 1;
    (void)sessions_keep(pair.first, &given, NULL, NULL);
    settle(&pair);
    scene_idle(pair.a.scene, 50);
    expect_claim(&pair, pair.second, SESSIONS_NONE, "");
    pair_close(&pair);
}

static void a_record_that_is_too_long_is_not_written(void **state)
{
    static char text[SESSIONS_MAX_BYTES + 2];
    struct pair pair;

    pair_open(&pair, state);
    memset(text, 'x', SESSIONS_MAX_BYTES + 1);
    keep(&pair, pair.first, text);
    expect_claim(&pair, pair.second, SESSIONS_NONE, "");
    pair_close(&pair);
}

static void while_redis_is_away_everybody_is_told_so_once(void **state)
{
    struct pair pair;
    struct told told = {0};

    pair_open(&pair, state);
    private_redis_pause(&pair.a.scene->redis);
    sessions_claim(pair.first, slice_of(PID), 5000, on_claimed, &told);
    scene_idle(pair.a.scene, 20);
    assert_int_equal(told.count, 0);
    private_redis_kill(&pair.a.scene->redis);
    scene_until_count(pair.a.scene, &told.count, 1);
    assert_int_equal(told.answer, SESSIONS_AWAY);
    assert_false(sessions_is_up(pair.first));
    keep(&pair, pair.first, "{}");
    expect_claim(&pair, pair.first, SESSIONS_AWAY, "");
    private_redis_start(&pair.a.scene->redis);
    pair_close(&pair);
}

static void a_claim_under_way_is_answered_when_the_sessions_go(void **state)
{
    struct pair pair;
    struct told told = {0};

    pair_open(&pair, state);
    sessions_claim(pair.first, slice_of(PID), 5000, on_claimed, &told);
    sessions_free(pair.first);
    pair.first = NULL;
    assert_int_equal(told.count, 1);
    assert_int_equal(told.answer, SESSIONS_AWAY);
    scene_idle(pair.a.scene, 20);
    assert_int_equal(told.count, 1);
    pair_close(&pair);
}

struct fate {
    unsigned count;
    bool is_taken;
};

static void on_kept(void *ctx, bool is_taken)
{
    struct fate *fate = ctx;

    fate->count++;
    fate->is_taken = is_taken;
}

static void expect_kept(struct pair *pair, struct sessions *who, const char *record,
                        bool is_taken)
{
    const struct sessions_record given = {slice_of(PID), slice_of(record), 5000};
    struct fate fate = {0};

    assert_true(sessions_keep(who, &given, on_kept, &fate));
    assert_int_equal(fate.count, 0);
    scene_until_count(pair->a.scene, &fate.count, 1);
    assert_int_equal(fate.is_taken, is_taken);
}

static void who_writes_a_record_is_told_whether_it_was_taken(void **state)
{
    const struct sessions_record given = {slice_of(PID), slice_of("{}"), 5000};
    struct fate fate = {0};
    struct pair pair;

    pair_open(&pair, state);
    expect_kept(&pair, pair.first, "{\"a\":1}", true);
    expect_claim(&pair, pair.second, SESSIONS_OTHERS, "{\"a\":1}");
    /* Another's by now: there is nothing to be repeated. */
    expect_kept(&pair, pair.first, "{\"a\":2}", true);
    (void)scene_ask(pair.a.scene, "CONFIG SET maxmemory 1");
    expect_kept(&pair, pair.second, "{\"b\":1}", false);
    /* What is out of date can be deleted in a Redis that is full. */
    sessions_drop(pair.second, slice_of(PID));
    (void)scene_ask(pair.a.scene, "CONFIG SET maxmemory 0");
    expect_claim(&pair, pair.first, SESSIONS_NONE, "");
    /* Freed with a record on its way. */
    assert_true(sessions_keep(pair.first, &given, on_kept, &fate));
    sessions_free(pair.first);
    assert_int_equal(fate.count, 1);
    assert_false(fate.is_taken);
    pair.first = sessions_new(pair.a.link, "tw");
    pair_close(&pair);
}

static void a_full_redis_gives_no_record_away_and_forgets_none(void **state)
{
    struct pair pair;

    pair_open(&pair, state);
    keep(&pair, pair.first, "{\"a\":1}");
    (void)scene_ask(pair.a.scene, "CONFIG SET maxmemory 1");
    expect_claim(&pair, pair.second, SESSIONS_AWAY, "");
    expect_claim(&pair, pair.first, SESSIONS_AWAY, "");
    expect_kept(&pair, pair.first, "{\"a\":2}", false);
    (void)scene_ask(pair.a.scene, "CONFIG SET maxmemory 0");
    expect_claim(&pair, pair.second, SESSIONS_OTHERS, "{\"a\":1}");
    pair_close(&pair);
}

int test_sessions(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(
            a_record_goes_to_the_claimant_and_its_owner_cannot_write_it_again,
            scene_clean),
        cmocka_unit_test_setup(of_two_that_ask_at_once_one_gets_it, scene_clean),
        cmocka_unit_test_setup(the_name_does_not_tell_the_secret_and_the_record_expires,
                               scene_clean),
        cmocka_unit_test_setup(a_record_that_is_too_long_is_not_written, scene_clean),
        cmocka_unit_test_setup(who_writes_a_record_is_told_whether_it_was_taken,
                               scene_clean),
        cmocka_unit_test_setup(a_full_redis_gives_no_record_away_and_forgets_none,
                               scene_clean),
        cmocka_unit_test_setup(a_claim_under_way_is_answered_when_the_sessions_go,
                               scene_clean),
        cmocka_unit_test_setup(while_redis_is_away_everybody_is_told_so_once,
                               scene_clean),
    };

    return cmocka_run_group_tests_name("sessions", tests, scene_new, scene_free);
}
