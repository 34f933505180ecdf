/* test_guard.c - requests meant to confuse, exhaust or get past the server. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdlib.h>

/* Sends one request on a connection of its own: the status; 0 when the server just
 * closed. `stays` tells whether the connection went on. */
static unsigned ask(struct world *world, const char *request, bool *stays)
{
    struct client client;
    unsigned status = 0;

    client_open(&client, world);
    client_send(&client, request);
    status = client_answer(&client, NULL);
    *stays = strstr(client_last_head(), "\r\nConnection: close\r\n") == NULL;
    if (*stays) {
        client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_int_equal(client_answer(&client, NULL), 200);
    } else {
        (void)client_wait_end(&client);
    }
    client_close(&client);
    return status;
}

struct conversation {
    const char *request;
    unsigned status;
    bool stays;
};

static const struct conversation conversations[] = {
    /* Upgrades to anything but websocket are ignored: no h2c, no use after free. */
    {"GET /echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
     200, true},
    {"GET /echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
     "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
     200, true},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, false},
    /* Bodies whose length two parsers could read differently. */
    {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
     "5\r\nhello\r\n0\r\n\r\n",
     411, false},
    {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\nGET /stolen HTTP/1.1\r\nHost: h\r\n\r\n",
     411, false},
    {"GET /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", 411,
     false},
    {"POST /echo HTTP/1.1\r\nHost: h\r\n\r\n", 411, false},
    {"PUT /echo HTTP/1.1\r\nHost: h\r\n\r\n", 411, false},
    {"DELETE /echo HTTP/1.1\r\nHost: h\r\n\r\n", 200, true},
    {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
     400, false},
    {"GET /echo HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\nhello", 400, false},
    {"GET /echo HTTP/1.1\r\nHost: h\r\nFoo\r\nX: y\r\n\r\n", 400, false},
    /* Addresses. */
    {"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", 404, true},
    {"GET /under HTTP/1.1\r\nHost: h\r\n\r\n", 404, true},
    {"GET //echo HTTP/1.1\r\nHost: h\r\n\r\n", 404, true},
    {"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", 404, true},
    {"BREW /echo HTTP/1.1\r\nHost: h\r\n\r\n", 200, true}, /* the handler sees OTHER */
    {"GET /under/../echo HTTP/1.1\r\nHost: h\r\n\r\n", 400, false},
    {"GET /under%2fx HTTP/1.1\r\nHost: h\r\n\r\n", 400, false},
    {"GET /under/%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400, false},
    {"GET /under/\xff HTTP/1.1\r\nHost: h\r\n\r\n", 400, false},
    {"GET /echo HTTP/1.1\nHost: h\n\r\n\r\n", 400, false},
    {"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400, false},
    {"\x16\x03\x01\x02\r\n\r\n", 400, false},
    /* WebSockets where there are none, and wrong ones where there are. */
    {"GET /ws HTTP/1.1\r\nHost: h\r\n\r\n", 426, true},
    {"GET /nows HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
     404, false},
    {"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n",
     400, false},
    {"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
     426, false},
    {"POST /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Content-Length: 0\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
     "Sec-WebSocket-Version: 13\r\n\r\n",
     400, false},
    {"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Content-Length: 1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
     "Sec-WebSocket-Version: 13\r\n\r\nx",
     400, false},
};

static void every_guard_answers_as_stated(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world_start(&world);
    for (size_t i = 0; i < sizeof(conversations) / sizeof(conversations[0]); i++) {
        const struct conversation *it = &conversations[i];
        bool stays = false;
        unsigned status = ask(&world, it->request, &stays);
        if (status != it->status || stays != it->stays)
            fail_msg("%u, %s: %s", status, stays ? "stays" : "closes", it->request);
    }
    world_until_connections(&world, 0);
    world_end(&world);
}

static void a_smuggled_request_is_never_served(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                         "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *all = client_wait_end(&client);
    assert_memory_equal(all, "HTTP/1.1 411 ", 13);
    assert_null(strstr(all + 9, "HTTP/1.1"));
    assert_null(world.held);
    client_close(&client);
    world_end(&world);
}

/* CVE-2025-11677 needs `Upgrade: foo` with more behind it. */
static void strange_upgrades_are_harmless_when_pipelined(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    for (int i = 0; i < 10; i++)
        client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
                             "Upgrade: foo\r\n\r\nGET /echo HTTP/1.1\r\nHost: h\r\n"
                             "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    for (int i = 0; i < 20; i++)
        assert_int_equal(client_answer(&client, NULL), 200);
    client_close(&client);
    world_end(&world);
}

static void a_body_above_the_limit_is_refused_and_the_connection_lives_on(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;
    char *data = malloc(5000);

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    memset(data, 'q', 5000);
    client_send(&client,
                "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n");
    client_send_bytes(&client, data, 5000);
    assert_int_equal(client_answer(&client, &body), 413);
    assert_non_null(strstr(body, "PAYLOAD_TOO_LARGE"));
    client_send(&client,
                "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    client_send_bytes(&client, data, 1000);
    assert_int_equal(client_answer(&client, NULL), 200);
    client_close(&client);
    /* A length nobody wants to read through ends the connection. */
    client_open(&client, &world);
    client_send(
        &client,
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n");
    assert_memory_equal(client_wait_end(&client), "HTTP/1.1 413 ", 13);
    client_close(&client);
    assert_int_equal(world_counter(&world, "oversize_total{what=\"body\"}"), 2);
    free(data);
    world_end(&world);
}

static void a_client_that_waits_is_told_to_go_on(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
                         "Expect: 100-continue\r\n\r\n");
    assert_string_equal(client_wait(&client, "\r\n\r\n"),
                        "HTTP/1.1 100 Continue\r\n\r\n");
    client_forget(&client);
    client_send(&client, "hello");
    assert_int_equal(client_answer(&client, &body), 200);
    assert_string_equal(body, "POST|/echo||hello|");
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n"
                         "Expect: 100-continue\r\n\r\n");
    assert_memory_equal(client_wait_end(&client), "HTTP/1.1 413 ", 13);
    client_close(&client);
    world_end(&world);
}

static void a_head_has_its_bound(void **state)
{
    struct world world;
    struct client client;
    char *data = malloc(16000);

    (void)state;
    world_init(&world);
    world_start(&world);
    memset(data, 'a', 16000);
    client_open(&client, &world);
    client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\nX: ");
    client_send_bytes(&client, data, 16000);
    client_send(&client, "\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 200);
    client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\nX: ");
    client_send_bytes(&client, data, 16000);
    client_send_bytes(&client, data, 16000);
    assert_memory_equal(client_wait_end(&client), "HTTP/1.1 431 ", 13);
    client_close(&client);
    assert_int_equal(world_counter(&world, "oversize_total{what=\"head\"}"), 1);
    free(data);
    world_end(&world);
}

static void slow_heads_and_bodies_run_out_of_time(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world.options.header_timeout_ms = 40;
    world.options.body_timeout_ms = 40;
    world_start(&world);
    client_open(&client, &world);
    assert_string_equal(client_wait_end(&client), ""); /* never said a word */
    client_close(&client);
    client_open(&client, &world);
    for (int i = 0; i < 30; i++) {
        client_send(&client, "G"); /* a byte at a time wins no time */
        world_idle(&world, 3);
    }
    assert_memory_equal(client_wait_end(&client), "HTTP/1.1 408 ", 13);
    client_close(&client);
    client_open(&client, &world);
    client_send(&client,
                "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    assert_memory_equal(client_wait_end(&client), "HTTP/1.1 408 ", 13);
    client_close(&client);
    assert_int_equal(world_counter(&world, "timeouts_total{wait=\"head\"}"), 2);
    assert_int_equal(world_counter(&world, "timeouts_total{wait=\"body\"}"), 1);
    world_end(&world);
}

int run_guard_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_guard_answers_as_stated),
        cmocka_unit_test(a_smuggled_request_is_never_served),
        cmocka_unit_test(strange_upgrades_are_harmless_when_pipelined),
        cmocka_unit_test(a_body_above_the_limit_is_refused_and_the_connection_lives_on),
        cmocka_unit_test(a_client_that_waits_is_told_to_go_on),
        cmocka_unit_test(a_head_has_its_bound),
        cmocka_unit_test(slow_heads_and_bodies_run_out_of_time),
    };

    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
