/* test_drain.c - connections that are let go so that their clients come back elsewhere. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

#define MANY 40

static void on_drained(void *ctx)
{
    unsigned *drained = ctx;

    (*drained)++;
}

static void idle_and_fresh_connections_are_closed_and_nobody_new_comes_in(void **state)
{
    struct world world;
    struct client idle;
    struct client fresh;
    unsigned drained = 0;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&fresh, &world);
    client_open(&idle, &world);
    client_send(&idle, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&idle, NULL), 200);
    server_drain(world.server, 0, on_drained, &drained);
    (void)client_wait_end(&idle);
    (void)client_wait_end(&fresh);
    client_close(&idle);
    client_close(&fresh);
    world_until(&world, &drained, 1);
    assert_int_equal(server_connections(world.server), 0);
    world_end(&world);
}

static void what_is_being_handled_is_answered_and_then_closed(void **state)
{
    struct world world;
    struct client busy;
    struct client late;
    unsigned drained = 0;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&busy, &world);
    client_send(&busy, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    world_until_held(&world);
    client_open(&late, &world);
    client_send(&late, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    world_idle(&world, 20);
    server_drain(world.server, 0, on_drained, &drained);
    world_idle(&world, 60);
    assert_int_equal(drained, 0);
    client_send(&late, "cd");
    assert_int_equal(client_answer(&late, NULL), 200);
    assert_non_null(strstr(client_last_head(), "Connection: close"));
    http_respond(world.held, 200, "", slice_of("done"));
    world.held = NULL;
    assert_int_equal(client_answer(&busy, NULL), 200);
    assert_non_null(strstr(client_last_head(), "Connection: close"));
    client_close(&late);
    client_close(&busy);
    world_until(&world, &drained, 1);
    world_end(&world);
}

static unsigned retired;

static void answer_retired(struct http_exchange *x)
{
    struct world *world = x->owner_data;

    retired++;
    world->held = NULL;
    http_respond(x, 200, "", slice_of("come back"));
}

static void who_holds_an_exchange_without_end_is_asked_for_its_answer(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;
    unsigned drained = 0;

    (void)state;
    retired = 0;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    world_until_held(&world);
    world.held->on_retire = answer_retired;
    server_drain(world.server, 0, on_drained, &drained);
    assert_int_equal(client_answer(&client, &body), 200);
    assert_string_equal(body, "come back");
    assert_int_equal(retired, 1);
    client_close(&client);
    world_until(&world, &drained, 1);
    world_end(&world);
}

static void websockets_are_told_of_a_restart_and_streams_end(void **state)
{
    struct world world;
    struct client socket;
    struct client stream;
    unsigned drained = 0;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&socket, &world);
    client_open(&stream, &world);
    client_send(&stream, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    world_until_pipe(&world);
    (void)client_wait(&stream, "\r\n\r\n");
    server_drain(world.server, 0, on_drained, &drained);
    assert_int_equal(client_close_code(&socket), 1012);
    assert_non_null(strstr(client_wait_end(&stream), "0\r\n\r\n"));
    client_close(&socket);
    client_close(&stream);
    world_until(&world, &drained, 1);
    assert_int_equal(world.pipes_closed, 2);
    world_end(&world);
}

static void connections_leave_one_after_the_other_over_the_time_there_is(void **state)
{
    struct world world;
    struct client clients[MANY];
    unsigned drained = 0;
    unsigned steps = 0;
    unsigned before = 0;

    (void)state;
    world_init(&world);
    world.options.close_timeout_ms = 50; /* cut soon: these clients do not listen */
    world_start(&world);
    for (int i = 0; i < MANY; i++)
        client_open_ws(&clients[i], &world);
    server_drain(world.server, 600, on_drained, &drained);
    for (int i = 0; i < 500 && drained == 0; i++) {
        world_idle(&world, 10);
        unsigned now = MANY - (unsigned)server_connections(world.server);
        steps += now > before ? 1 : 0;
        before = now;
    }
    assert_int_equal(drained, 1);
    /* Not in one go. A loaded machine may join some ticks. */
    assert_true(steps >= 4);
    for (int i = 0; i < MANY; i++)
        client_close(&clients[i]);
    world_end(&world);
}

static void
a_connection_that_becomes_something_after_its_turn_is_asked_again(void **state)
{
    struct world world;
    struct client client;
    unsigned drained = 0;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "GET /stream HTTP/1.1\r\n");
    world_idle(&world, 20);
    server_drain(world.server, 0, on_drained, &drained);
    world_idle(&world, 60);
    client_send(&client, "Host: h\r\n\r\n");
    assert_non_null(strstr(client_wait_end(&client), "0\r\n\r\n"));
    client_close(&client);
    world_until(&world, &drained, 1);
    world_end(&world);
}

int run_drain_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_and_fresh_connections_are_closed_and_nobody_new_comes_in),
        cmocka_unit_test(what_is_being_handled_is_answered_and_then_closed),
        cmocka_unit_test(who_holds_an_exchange_without_end_is_asked_for_its_answer),
        cmocka_unit_test(websockets_are_told_of_a_restart_and_streams_end),
        cmocka_unit_test(connections_leave_one_after_the_other_over_the_time_there_is),
        cmocka_unit_test(
            a_connection_that_becomes_something_after_its_turn_is_asked_again),
    };

    return cmocka_run_group_tests_name("transport drain", tests, NULL, NULL);
}
