/* test_sentinel.c - finding the master, and following it. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include <stdio.h>
#include <string.h>

/* A master, a replica, a sentinel, and a link that asks it. */
struct party {
    struct scene *scene;
    struct private_redis master;
    struct private_redis replica;
    struct private_redis sentinel;
    struct link *link;
    unsigned ups;
    unsigned downs;
    unsigned told;
    struct buf answer;
    char url[160];
    char reason[192];
};

static void on_up(void *ctx)
{
    struct party *party = ctx;
    party->ups++;
}

static void on_down(void *ctx, const char *reason)
{
    struct party *party = ctx;

    party->downs++;
    (void)snprintf(party->reason, sizeof(party->reason), "%s", reason);
}

static void on_answer(void *ctx, const struct reply *reply)
{
    struct party *party = ctx;

    party->told++;
    buf_reset(&party->answer);
    if (reply != NULL && reply_kind(reply) == REPLY_TEXT)
        buf_slice(&party->answer, reply_text(reply));
}

static void party_init(struct party *party, void **state)
{
    *party = (struct party){.scene = *state};
    buf_init(&party->answer, 65536);
}

static void link_to(struct party *party, const char *url)
{
    struct link_options options = {.is_quiet = true,
                                   .backoff_min_ms = 5,
                                   .backoff_max_ms = 100,
                                   .on_up = on_up,
                                   .on_down = on_down,
                                   .ctx = party};
    struct buf error;

    buf_init(&error, 1024);
    party->link = link_new(party->scene->loop, url, &options, &error);
    assert_non_null(party->link);
    buf_release(&error);
}

static void party_close(struct party *party)
{
    link_free(party->link);
    private_redis_release(&party->sentinel);
    private_redis_release(&party->replica);
    private_redis_release(&party->master);
    buf_release(&party->answer);
}

static const char *ask(struct party *party, struct link *link, const char *words)
{
    struct slice argv[8];
    struct slice rest = slice_of(words);
    size_t argc = 0;
    unsigned told = party->told;

    while (argc < 8 && next_part(&rest, ' ', &argv[argc]))
        argc++;
    link_command(link, argv, argc, on_answer, party);
    scene_until_count(party->scene, &party->told, told + 1);
    return buf_text(&party->answer);
}

/* Asks one of the servers on a connection of its own. */
static const char *ask_server(struct party *party, const struct private_redis *server,
                              const char *words)
{
    struct link_options options = {.is_quiet = true, .takes_replicas = true};
    struct buf error;

    buf_init(&error, 1024);
    struct link *link = link_new(party->scene->loop, server->url, &options, &error);
    while (!link_is_up(link))
        scene_idle(party->scene, 5);
    (void)ask(party, link, words);
    link_free(link);
    buf_release(&error);
    return buf_text(&party->answer);
}

/* A sentinel learns of replicas when it asks the master: they must be there before. */
static void open_party(struct party *party, void **state)
{
    party_init(party, state);
    private_redis_start(&party->master);
    party->replica.replica_of = party->master.port;
    private_redis_start(&party->replica);
    while (strstr(ask_server(party, &party->master, "INFO replication"),
                  "state=online") == NULL)
        scene_idle(party->scene, 20);
    party->sentinel.sentinel_of = party->master.port;
    private_redis_start(&party->sentinel);
    /* Nobody listens at port 1. */
    (void)snprintf(party->url, sizeof(party->url),
                   "redis+sentinel://127.0.0.1:1,127.0.0.1:%u/main",
                   party->sentinel.port);
}

static void await_server(struct party *party, const struct private_redis *server)
{
    char port[32];

    (void)snprintf(port, sizeof(port), "tcp_port:%u\r", server->port);
    /* A failed election is repeated after twice failover-timeout, and a sentinel that was
     * not scheduled for two seconds decides nothing for thirty. */
    for (int i = 0; i < 18000; i++) {
        if (link_is_up(party->link) &&
            strstr(ask(party, party->link, "INFO server"), port) != NULL)
            return;
        scene_idle(party->scene, 5);
    }
    fail_msg("the link did not find the server");
}

static void the_master_is_found_through_the_sentinel_that_answers(void **state)
{
    struct party party;

    open_party(&party, state);
    link_to(&party, party.url);
    await_server(&party, &party.master);
    assert_int_equal(party.ups, 1);
    assert_non_null(strstr(link_target(party.link), "main@127.0.0.1:1,127.0.0.1:"));
    party_close(&party);
}

static bool is_known(struct party *party)
{
    return strstr(ask_server(party, &party->sentinel, "INFO sentinel"), "slaves=1") !=
           NULL;
}

static void when_the_master_dies_the_link_goes_to_the_one_that_took_over(void **state)
{
    struct party party;

    open_party(&party, state);
    link_to(&party, party.url);
    await_server(&party, &party.master);
    while (!is_known(&party))
        scene_idle(party.scene, 20);
    private_redis_kill(&party.master);
    await_server(&party, &party.replica);
    assert_int_equal(party.downs, 1);
    assert_int_equal(party.ups, 2);
    /* And it takes writes. */
    assert_string_equal(ask(&party, party.link, "SET key value"), "OK");
    party_close(&party);
}

static void a_master_that_was_replaced_is_left_though_it_still_answers(void **state)
{
    struct private_redis other = {.port = 0};
    struct party party;
    char words[96];

    open_party(&party, state);
    private_redis_start(&other);
    link_to(&party, party.url);
    await_server(&party, &party.master);
    (void)ask_server(&party, &party.sentinel, "SENTINEL REMOVE main");
    (void)snprintf(words, sizeof(words), "SENTINEL MONITOR main 127.0.0.1 %u 1",
                   other.port);
    (void)ask_server(&party, &party.sentinel, words);
    await_server(&party, &other);
    assert_string_equal(party.reason, "the sentinels name another master");
    party_close(&party);
    private_redis_release(&other);
}

static bool is_in_trouble(void *ctx)
{
    struct party *party = ctx;
    const char *trouble = link_trouble(party->link);

    return trouble != NULL && strcmp(trouble, "connecting") != 0;
}

static void without_any_sentinel_the_link_waits_and_says_so(void **state)
{
    struct party party;

    open_party(&party, state);
    private_redis_kill(&party.sentinel);
    link_to(&party, party.url);
    scene_until(party.scene, is_in_trouble, &party);
    assert_non_null(strstr(link_trouble(party.link), "sentinel 127.0.0.1:"));
    assert_non_null(strstr(link_trouble(party.link), "refused"));
    private_redis_start(&party.sentinel);
    await_server(&party, &party.master);
    /* Once it is up, it needs none. */
    private_redis_kill(&party.sentinel);
    scene_idle(party.scene, 1500);
    assert_true(link_is_up(party.link));
    assert_int_equal(party.downs, 0);
    party_close(&party);
}

static void a_name_that_no_sentinel_knows_is_told(void **state)
{
    struct party party;
    char url[128];

    open_party(&party, state);
    (void)snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:%u/mian",
                   party.sentinel.port);
    link_to(&party, url);
    scene_until(party.scene, is_in_trouble, &party);
    assert_non_null(strstr(link_trouble(party.link), "knows no master of this name"));
    party_close(&party);
}

static void a_sentinel_is_no_server(void **state)
{
    struct party party;

    open_party(&party, state);
    link_to(&party, party.sentinel.url);
    scene_until(party.scene, is_in_trouble, &party);
    assert_non_null(strstr(link_trouble(party.link), "redis+sentinel://"));
    party_close(&party);
}

static void
a_replica_behind_a_plain_address_is_tried_until_it_is_the_master(void **state)
{
    struct party party;

    open_party(&party, state);
    link_to(&party, party.replica.url);
    scene_until(party.scene, is_in_trouble, &party);
    assert_string_equal(link_trouble(party.link), "the server is a read-only replica");
    assert_int_equal(party.ups, 0);
    (void)ask_server(&party, &party.replica, "REPLICAOF NO ONE");
    scene_until_count(party.scene, &party.ups, 1);
    party_close(&party);
}

int test_sentinel(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_master_is_found_through_the_sentinel_that_answers),
        cmocka_unit_test(when_the_master_dies_the_link_goes_to_the_one_that_took_over),
        cmocka_unit_test(a_master_that_was_replaced_is_left_though_it_still_answers),
        cmocka_unit_test(without_any_sentinel_the_link_waits_and_says_so),
        cmocka_unit_test(a_name_that_no_sentinel_knows_is_told),
        cmocka_unit_test(a_sentinel_is_no_server),
        cmocka_unit_test(
            a_replica_behind_a_plain_address_is_tried_until_it_is_the_master),
    };
    return cmocka_run_group_tests_name("sentinel", tests, scene_new, scene_free);
}
