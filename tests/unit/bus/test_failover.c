/* test_failover.c - the two connections of a bus come to another server one after the other. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The scene's server is the old one; a socket's name leads to the one that counts. */
struct move {
    struct stage stage;
    struct private_redis other;
    struct eye eye;
    char name[96];
};

static void point_to(struct move *move, const struct private_redis *redis)
{
    (void)unlink(move->name);
    assert_int_equal(symlink(redis->socket_path, move->name), 0);
}

static bool is_well(void *ctx)
{
    struct move *move = ctx;
    return move->stage.bus->ops->trouble(move->stage.bus) == NULL;
}

static void open_move(struct move *move, void **state)
{
    char url[128];

    memset(move, 0, sizeof(*move));
    stage_open_without_bus(&move->stage, state);
    private_redis_start(&move->other);
    (void)snprintf(move->name, sizeof(move->name), "%s/name", move->other.dir);
    point_to(move, &move->stage.scene->redis);
    (void)snprintf(url, sizeof(url), "unix://%s", move->name);
    stage_open_bus(&move->stage, url);
    scene_until(move->stage.scene, is_well, move);
    eye_open(&move->eye, &move->stage, "t1");
    shop_publish(&move->stage.shop, "", 0, 0, "t:a");
    eye_until_seen(&move->eye, &move->stage, 1);
}

static void close_move(struct move *move)
{
    eye_close(&move->eye);
    stage_close(&move->stage);
    (void)unlink(move->name);
    private_redis_release(&move->other);
}

/* The other server has the same run, with another text under the same id: its guest was
 * another one, while the two did not hear of each other. */
static void diverge(struct move *move)
{
    struct scene *scene = move->stage.scene;
    struct event_id id = topic_last_id(move->eye.topic);
    char text[EVENT_ID_SIZE];
    char port[16];

    event_id_format(id, text);
    (void)scene_ask(scene, "RENAME tw:{s/t1}:log tw:{s/t1}:kept");
    (void)scene_ask(scene, "SET tw:{s/t1}:text b");
    assert_string_equal(
        scene_ask_words(scene, "XADD", "tw:{s/t1}:log", text, "e",
                        "{\"type\":\"text\",\"text\":\"b\",\"partial\":true}",
                        (char *)NULL),
        text);
    (void)snprintf(port, sizeof(port), "%u", move->other.port);
    assert_string_equal(scene_ask_words(scene, "MIGRATE", "127.0.0.1", port, "", "0",
                                        "5000", "COPY", "KEYS", "tw:{s/t1}:log",
                                        "tw:{s/t1}:run", "tw:{s/t1}:text",
                                        (char *)NULL),
                        "OK");
    (void)scene_ask(scene, "RENAME tw:{s/t1}:kept tw:{s/t1}:log");
    (void)scene_ask(scene, "SET tw:{s/t1}:text a");
}

/* The subscription has been compared, with whom ever: twice an XRANGE each. */
static bool has_compared(struct move *move)
{
    return strstr(scene_ask(move->stage.scene, "INFO commandstats"),
                  "cmdstat_xrange:calls=2,") != NULL;
}

static void what_was_compared_with_the_old_server_is_compared_with_the_new(void **state)
{
    struct move move;

    open_move(&move, state);
    diverge(&move);
    point_to(&move, &move.other);
    (void)scene_ask(move.stage.scene, "CONFIG RESETSTAT");
    (void)scene_ask(move.stage.scene, "CLIENT KILL TYPE pubsub");
    while (!has_compared(&move))
        scene_idle(move.stage.scene, 2);
    assert_int_equal(move.eye.lost, 0);
    assert_string_equal(eye_text(&move.eye, &move.stage), "a");
    (void)scene_ask(move.stage.scene, "CLIENT KILL TYPE normal SKIPME yes");
    eye_until_lost(&move.eye, &move.stage, 1);
    assert_string_equal(eye_text(&move.eye, &move.stage), "b");
    close_move(&move);
}

static void whichever_connection_comes_last_readers_are_told_once(void **state)
{
    static const char *const kills[][2] = {{"pubsub", "normal"}, {"normal", "pubsub"}};

    for (size_t i = 0; i < 2; i++) {
        struct move move;
        (void)scene_clean(state);
        open_move(&move, state);
        diverge(&move);
        point_to(&move, &move.other);
        for (size_t k = 0; k < 2; k++)
            (void)scene_ask(move.stage.scene, "CLIENT KILL TYPE %s SKIPME yes",
                            kills[i][k]);
        eye_until_lost(&move.eye, &move.stage, 1);
        scene_until(move.stage.scene, is_well, &move);
        scene_idle(move.stage.scene, 50);
        assert_int_equal(move.eye.lost, 1);
        assert_string_equal(eye_text(&move.eye, &move.stage), "b");
        close_move(&move);
    }
}

static void commands_that_were_cut_alone_cost_readers_nothing(void **state)
{
    struct move move;

    open_move(&move, state);
    (void)scene_ask(move.stage.scene, "CONFIG RESETSTAT");
    (void)scene_ask(move.stage.scene, "CLIENT KILL TYPE normal SKIPME yes");
    while (!has_compared(&move))
        scene_idle(move.stage.scene, 2);
    scene_until_count(move.stage.scene, &move.stage.shop.ups, 2);
    shop_publish(&move.stage.shop, "", 0, 0, "t:b");
    eye_until_seen(&move.eye, &move.stage, 2);
    assert_int_equal(move.eye.lost, 0);
    assert_string_equal(eye_text(&move.eye, &move.stage), "ab");
    close_move(&move);
}

int test_failover(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(
            what_was_compared_with_the_old_server_is_compared_with_the_new),
        cmocka_unit_test(whichever_connection_comes_last_readers_are_told_once),
        cmocka_unit_test(commands_that_were_cut_alone_cost_readers_nothing),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("failover", tests, scene_new, scene_free);
}
