/* test_http.c - requests and answers: bodies, keep-alive, pipelining, holding. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdlib.h>

static void a_request_is_answered_with_every_promised_line(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client,
                "GET /echo?a=1&b=%20x HTTP/1.1\r\nHost: h\r\nX-Request-Id: my.id-1\r\n"
                "X-Test-Scenario: \t slow \r\n\r\n");
    assert_int_equal(client_answer(&client, &body), 200);
    assert_string_equal(body, "GET|/echo|a=1&b=%20x||slow");
    const char *head = client_last_head();
    assert_memory_equal(head, "HTTP/1.1 200 OK\r\nDate: ", 23);
    assert_non_null(strstr(head, " GMT\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(head, "\r\nX-Request-Id: my.id-1\r\n"));
    assert_non_null(
        strstr(head, "\r\nContent-Length: 26\r\nConnection: keep-alive\r\n\r\n"));
    client_close(&client);
    world_end(&world);
}

static void an_unfit_request_id_is_replaced(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\nX-Request-Id: a b\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 200);
    const char *id = strstr(client_last_head(), "\r\nX-Request-Id: req_");
    assert_non_null(id);
    assert_int_equal(strspn(id + 20, "0123456789abcdefghijklmnopqrstuv"), 16);
    client_close(&client);
    world_end(&world);
}

static void bodies_arrive_whole_however_they_are_cut(void **state)
{
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: h\r\n"
                                  "Content-Length: 11\r\n\r\nhello world";
    struct world world;
    struct client client;
    const char *body = NULL;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    for (size_t cut = 1; cut < sizeof(request) - 1; cut += 7) {
        client_send_bytes(&client, request, cut);
        world_turn(&world);
        client_send_bytes(&client, request + cut, sizeof(request) - 1 - cut);
        assert_int_equal(client_answer(&client, &body), 200);
        assert_string_equal(body, "POST|/echo||hello world|");
    }
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(client_answer(&client, &body), 200);
    assert_string_equal(body, "POST|/echo|||");
    client_close(&client);
    world_end(&world);
}

static void a_large_body_is_put_together(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;
    char *data = malloc(50001);

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    memset(data, 'x', 50000);
    data[49999] = 'y';
    data[50000] = '\0';
    client_send(&client,
                "PUT /under/a HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n");
    client_send_bytes(&client, data, 50000);
    assert_int_equal(client_answer(&client, &body), 200);
    assert_memory_equal(body, "PUT|/under/a||xxx", 17);
    assert_memory_equal(body + strlen(body) - 4, "xxy|", 4);
    free(data);
    client_close(&client);
    world_end(&world);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client,
                "GET /echo?1 HTTP/1.1\r\nHost: h\r\n\r\n"
                "POST /echo?2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
                "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"
                "\r\nGET /under/x?3 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&client, &body), 200);
    assert_string_equal(body, "GET|/echo|1||");
    assert_int_equal(client_answer(&client, &body), 200);
    assert_string_equal(body, "POST|/echo|2|hi|");
    assert_int_equal(client_answer(&client, &body), 404);
    assert_non_null(strstr(body, "{\"error\":{\"code\":\"NOT_FOUND\""));
    assert_int_equal(client_answer(&client, &body), 200);
    assert_string_equal(body, "GET|/under/x|3||");
    client_close(&client);
    world_end(&world);
}

static void a_held_request_is_answered_later_and_the_connection_lives_on(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    world_until_held(&world);
    /* What is pipelined behind it waits. */
    client_send(&client, "GET /echo?next HTTP/1.1\r\nHost: h\r\n\r\n");
    world_idle(&world, 20);
    http_respond(world.held, 200, "", slice_of("at last"));
    assert_int_equal(client_answer(&client, &body), 200);
    assert_string_equal(body, "at last");
    assert_int_equal(client_answer(&client, &body), 200);
    assert_string_equal(body, "GET|/echo|next||");
    assert_int_equal(world.held_closed, 0);
    client_close(&client);
    world_end(&world);
}

static void a_held_request_is_told_at_once_when_its_peer_goes(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    world_until_held(&world);
    client_close(&client);
    world_until(&world, &world.held_closed, 1);
    world_until_connections(&world, 0);
    world_end(&world);
}

static void much_pipelined_behind_a_held_request_is_not_lost(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;
    char *data = malloc(40000);

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    memset(data, 'z', 40000);
    client_send(&client, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    world_until_held(&world);
    client_send(&client,
                "POST /under/b HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n");
    client_send_bytes(&client, data, 40000);
    world_idle(&world, 20);
    http_respond(world.held, 204, "", slice_make(NULL, 0));
    assert_int_equal(client_answer(&client, NULL), 204);
    assert_null(strstr(client_last_head(), "Content-Length"));
    assert_int_equal(client_answer(&client, &body), 200);
    assert_int_equal(strlen(body), strlen("POST|/under/b|||") + 40000);
    free(data);
    client_close(&client);
    world_end(&world);
}

/* Far more than is kept of what was not handled yet: the rest waits in the kernel. */
static void many_pipelined_posts_that_are_answered_late_are_all_answered(void **state)
{
    static const char head[] =
        "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 200\r\n\r\n";
    struct world world;
    struct client client;
    char body[200];

    (void)state;
    world_init(&world);
    world.options.keepalive_requests = 1000;
    world_start(&world);
    client_open(&client, &world);
    memset(body, 'b', sizeof(body));
    for (unsigned i = 0; i < 400; i++) {
        client_send(&client, head);
        client_send_bytes(&client, body, sizeof(body));
    }
    for (unsigned i = 0; i < 400; i++) {
        world_until_held(&world);
        struct http_exchange *held = world.held;
        world.held = NULL;
        assert_int_equal(held->request->body.len, sizeof(body));
        world_turn(&world); /* more may come in meanwhile */
        http_respond(held, 204, "", slice_make(NULL, 0));
        assert_int_equal(client_answer(&client, NULL), 204);
    }
    client_close(&client);
    world_end(&world);
}

static void head_is_answered_without_its_body(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "HEAD /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_head_answer(&client), 200);
    assert_non_null(strstr(client_last_head(), "\r\nContent-Length: 13\r\n"));
    client_send(&client, "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_head_answer(&client), 200);
    client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 200);
    client_close(&client);
    world_end(&world);
}

static void keep_alive_has_its_bounds(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world.options.keepalive_requests = 2;
    world.options.keepalive_timeout_ms = 30;
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 200);
    client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 200);
    assert_non_null(strstr(client_last_head(), "\r\nConnection: close\r\n"));
    (void)client_wait_end(&client);
    client_close(&client);
    client_open(&client, &world);
    client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 200);
    (void)client_wait_end(&client);
    client_close(&client);
    assert_int_equal(world_counter(&world, "timeouts_total{wait=\"keepalive\"}"), 1);
    world_end(&world);
}

static void old_clients_get_their_connection_closed(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "GET /echo HTTP/1.0\r\n\r\n");
    assert_non_null(
        strstr(client_wait_end(&client), "\r\nConnection: close\r\n\r\nGET|/echo"));
    client_close(&client);
    client_open(&client, &world);
    client_send(&client, "GET /echo HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 200);
    client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(client_wait_end(&client), "\r\nConnection: close\r\n"));
    client_close(&client);
    world_end(&world);
}

int run_http_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered_with_every_promised_line),
        cmocka_unit_test(an_unfit_request_id_is_replaced),
        cmocka_unit_test(bodies_arrive_whole_however_they_are_cut),
        cmocka_unit_test(a_large_body_is_put_together),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_held_request_is_answered_later_and_the_connection_lives_on),
        cmocka_unit_test(a_held_request_is_told_at_once_when_its_peer_goes),
        cmocka_unit_test(much_pipelined_behind_a_held_request_is_not_lost),
        cmocka_unit_test(many_pipelined_posts_that_are_answered_late_are_all_answered),
        cmocka_unit_test(head_is_answered_without_its_body),
        cmocka_unit_test(keep_alive_has_its_bounds),
        cmocka_unit_test(old_clients_get_their_connection_closed),
    };

    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
