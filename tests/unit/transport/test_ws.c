/* test_ws.c - WebSockets: upgrade, messages, closing. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void messages_are_echoed(void **state)
{
    struct world world;
    struct client client;
    struct slice payload;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&client, &world);
    assert_non_null(strstr(client_last_head(),
                           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_non_null(strstr(client_last_head(), "\r\nX-Request-Id: req_"));
    assert_null(strstr(client_last_head(), "Sec-WebSocket-Extensions"));
    client_send_frame(&client, 0x81, "hello", 5);
    assert_int_equal(client_frame(&client, &payload), 0x81);
    assert_true(slice_is(payload, "hello"));
    client_send_frame(&client, 0x82, "\xff\x00\x01", 3);
    assert_int_equal(client_frame(&client, &payload), 0x82);
    assert_true(slice_equal(payload, slice_make("\xff\x00\x01", 3)));
    client_send_frame(&client, 0x81, "", 0);
    assert_int_equal(client_frame(&client, &payload), 0x81);
    assert_int_equal(payload.len, 0);
    assert_int_equal(world_counter(&world, "websocket_messages_total"), 3);
    assert_int_equal(world_counter(&world, "pipes{kind=\"websocket\"}"), 1);
    client_close(&client);
    world_until(&world, &world.pipes_closed, 1);
    assert_string_equal(world.closed_reason, "transport close");
    assert_int_equal(world_counter(&world, "pipes{kind=\"websocket\"}"), 0);
    world_end(&world);
}

static void what_is_sent_at_open_arrives_first(void **state)
{
    struct world world;
    struct client client;
    struct slice payload;

    (void)state;
    world_init(&world);
    world.sends_at_open = true;
    world_start(&world);
    client_open_ws(&client, &world);
    assert_int_equal(client_frame(&client, &payload), 0x81);
    assert_true(slice_is(payload, "0{}"));
    client_close(&client);
    world_end(&world);
}

static void frames_that_come_with_the_upgrade_are_not_lost(void **state)
{
    /* "2probe" masked with zeros, glued to the request */
    static const char frame[] = "\x81\x86\0\0\0\0"
                                "2probe";
    struct world world;
    struct client client;
    struct slice payload;
    struct buf all;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    buf_init(&all, 10000);
    buf_puts(&all, WS_REQUEST "\r\n");
    buf_append(&all, frame, sizeof(frame) - 1);
    buf_append(&all, frame, sizeof(frame) - 1);
    client_send_bytes(&client, all.data, all.len);
    assert_int_equal(client_answer(&client, NULL), 101);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(client_frame(&client, &payload), 0x81);
        assert_true(slice_is(payload, "2probe"));
    }
    buf_release(&all);
    client_close(&client);
    world_end(&world);
}

static void long_and_fragmented_messages_are_put_together(void **state)
{
    struct world world;
    struct client client;
    struct slice payload;
    char data[1000];

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&client, &world);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)('a' + i % 26);
    client_send_frame(&client, 0x81, data, sizeof(data));
    assert_int_equal(client_frame(&client, &payload), 0x81);
    assert_true(slice_equal(payload, slice_make(data, sizeof(data))));
    /* Three fragments with a ping between them. */
    client_send_frame(&client, 0x02, data, 300);
    client_send_frame(&client, 0x89, "are you there", 13);
    client_send_frame(&client, 0x00, data + 300, 200);
    client_send_frame(&client, 0x80, data + 500, 500);
    assert_int_equal(client_frame(&client, &payload), 0x8a);
    assert_true(slice_is(payload, "are you there"));
    assert_int_equal(client_frame(&client, &payload), 0x82);
    assert_true(slice_equal(payload, slice_make(data, sizeof(data))));
    /* An empty first fragment. */
    client_send_frame(&client, 0x01, "", 0);
    client_send_frame(&client, 0x80, "end", 3);
    assert_int_equal(client_frame(&client, &payload), 0x81);
    assert_true(slice_is(payload, "end"));
    client_close(&client);
    world_end(&world);
}

static void a_message_above_the_limit_closes_with_1009(void **state)
{
    struct world world;
    struct client client;
    char data[1001];

    (void)state;
    world_init(&world);
    world_start(&world);
    memset(data, 'x', sizeof(data));
    client_open_ws(&client, &world);
    client_send_frame(&client, 0x81, data, 1001);
    assert_int_equal(client_close_code(&client), 1009);
    client_send_frame(&client, 0x88, "\x03\xf1", 2);
    assert_string_equal(client_wait_end(&client), "");
    client_close(&client);
    world_until(&world, &world.pipes_closed, 1);
    /* The sum of the fragments counts. */
    client_open_ws(&client, &world);
    client_send_frame(&client, 0x01, data, 600);
    client_send_frame(&client, 0x80, data, 600);
    assert_int_equal(client_close_code(&client), 1009);
    client_close(&client);
    world_until(&world, &world.pipes_closed, 2);
    /* So does what a frame only announces: here 2^40 bytes. */
    client_open_ws(&client, &world);
    client_send_bytes(&client, "\x82\xff\0\0\1\0\0\0\0\0\0\0\0\0x", 15);
    assert_int_equal(client_close_code(&client), 1009);
    client_close(&client);
    world_until(&world, &world.pipes_closed, 3);
    assert_int_equal(world.messages, 0);
    assert_int_equal(world_counter(&world, "oversize_total{what=\"message\"}"), 3);
    world_end(&world);
}

static void text_that_is_not_utf8_closes_with_1007(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&client, &world);
    client_send_frame(&client, 0x01, "\xe2\x82", 2); /* cut inside a character: fine */
    client_send_frame(&client, 0x80, "\xac", 1);
    world_until(&world, &world.messages, 1);
    client_send_frame(&client, 0x81, "\xe2\x82", 2);
    client_wait_bytes(&client, 5);
    client_forget(&client); /* the echo of the good one */
    assert_int_equal(world.messages, 1);
    (void)client_wait_bytes(&client, 2);
    assert_int_equal(client_close_code(&client), 1007);
    client_close(&client);
    world_until(&world, &world.pipes_closed, 1);
    world_end(&world);
}

static void broken_frames_close_with_1002_and_end_that_connection_only(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *reason;
    } broken[] = {
        {"\x81\x05Hello", 7, "frame without a mask"},
        {"\x83\x80\0\0\0\0", 6, "reserved opcode"},
        {"\xc1\x80\0\0\0\0", 6, "reserved bits without an extension"},
        {"\x09\x80\0\0\0\0", 6, "fragmented control frame"},
        {"\x89\xfe\x00\x7e\0\0\0\0", 8, "control frame too long"},
        {"\x80\x80\0\0\0\0", 6, "continuation of nothing"},
        {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14, "length above 2^63"},
        {"\x88\x81\0\0\0\0\x03", 7, "malformed close frame"},
        {"\x88\x82\0\0\0\0\x03\xed", 8, "malformed close frame"}, /* 1005 */
    };
    unsigned count = sizeof(broken) / sizeof(broken[0]);
    struct world world;
    struct client other;
    struct slice payload;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&other, &world);
    for (unsigned i = 0; i < count; i++) {
        struct client client;
        client_open_ws(&client, &world);
        client_send_bytes(&client, broken[i].bytes, broken[i].len);
        client_send_frame(&client, 0x81, "is not read any more", 20);
        assert_int_equal(client_frame(&client, &payload), 0x88);
        assert_memory_equal(payload.ptr, "\x03\xea", 2);
        assert_true(
            slice_is(slice_make(payload.ptr + 2, payload.len - 2), broken[i].reason));
        (void)client_wait_end(&client);
        client_close(&client);
        world_until(&world, &world.pipes_closed, i + 1);
    }
    assert_int_equal(world.messages, 0);
    assert_int_equal(world_counter(&world, "bad_frames_total"), count);
    client_send_frame(&other, 0x81, "still here", 10);
    assert_int_equal(client_frame(&other, &payload), 0x81);
    client_close(&other);
    world_end(&world);
}

/* Far more bytes of pongs than the socket takes: the connection owes one at most. */
static void pings_of_a_peer_that_does_not_read_cost_one_frame(void **state)
{
    struct world world;
    struct client client;
    struct slice payload;
    char ping[125];
    unsigned answered = 0;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&client, &world);
    memset(ping, 'p', sizeof(ping));
    for (unsigned i = 0; i < 100000; i++) {
        (void)snprintf(ping, sizeof(ping), "%06u", i);
        client_send_frame(&client, 0x89, ping, sizeof(ping));
    }
    do {
        assert_int_equal(client_frame(&client, &payload), 0x8a);
        answered++;
    } while (strcmp(payload.ptr, "099999") != 0);
    assert_in_range(answered, 2, 99999);
    client_close(&client);
    world_end(&world);
}

static void closing_says_code_and_reason_and_waits_for_the_answer(void **state)
{
    struct world world;
    struct client client;
    struct slice payload;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&client, &world);
    client_send_frame(&client, 0x81, "close me", 8);
    assert_int_equal(client_frame(&client, &payload), 0x88);
    assert_true(slice_is(payload, "\x0f\xa1"
                                  "as you wish"));
    client_send_frame(&client, 0x81, "too late", 8);
    world_idle(&world, 10);
    assert_int_equal(world.messages, 1);
    assert_int_equal(world.pipes_closed, 0);
    client_send_frame(&client, 0x88, "\x0f\xa1", 2);
    assert_string_equal(client_wait_end(&client), "");
    world_until(&world, &world.pipes_closed, 1);
    client_close(&client);
    world_end(&world);
}

static void a_close_may_have_no_status(void **state)
{
    struct world world;
    struct client client;
    struct slice payload;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&client, &world);
    client_send_frame(&client, 0x81, "close without status", 20);
    assert_int_equal(client_frame(&client, &payload), 0x88);
    assert_int_equal(payload.len, 0);
    client_send_frame(&client, 0x88, "", 0);
    assert_string_equal(client_wait_end(&client), "");
    client_close(&client);
    world_end(&world);
}

static void the_close_of_a_client_is_answered(void **state)
{
    struct world world;
    struct client client;
    struct slice payload;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&client, &world);
    client_send_frame(&client, 0x88,
                      "\x03\xe8"
                      "bye",
                      5);
    assert_int_equal(client_frame(&client, &payload), 0x88);
    assert_memory_equal(payload.ptr, "\x03\xe8", 2);
    assert_string_equal(client_wait_end(&client), "");
    world_until(&world, &world.pipes_closed, 1);
    client_close(&client);
    world_end(&world);
}

static void a_client_that_does_not_answer_a_close_is_cut(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world.options.close_timeout_ms = 40;
    world_start(&world);
    client_open_ws(&client, &world);
    client_send_frame(&client, 0x81, "close me", 8);
    assert_int_equal(client_close_code(&client), 4001);
    (void)client_wait_end(&client); /* it sees the end at once */
    assert_int_equal(world.pipes_closed, 0);
    world_until(&world, &world.pipes_closed, 1);
    assert_string_equal(world.closed_reason, "transport error");
    assert_int_equal(world_counter(&world, "timeouts_total{wait=\"close\"}"), 1);
    client_close(&client);
    world_end(&world);
}

static void a_route_may_refuse_with_a_body_of_its_own(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, "GET /ws/refuse HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    assert_int_equal(client_answer(&client, &body), 400);
    assert_string_equal(body, "{\"code\":1}");
    assert_non_null(strstr(client_last_head(), "Content-Type: application/json\r\n"));
    (void)client_wait_end(&client);
    client_close(&client);
    world_end(&world);
}

static void a_subprotocol_nobody_speaks_is_left_out_of_the_answer(void **state)
{
    struct world world;
    struct client client;
    struct slice payload;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client,
                WS_REQUEST "Sec-WebSocket-Protocol: mqtt, wamp\r\n"
                           "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 101);
    assert_null(strstr(client_last_head(), "Sec-WebSocket-Protocol"));
    assert_null(strstr(client_last_head(), "Sec-WebSocket-Extensions"));
    client_send_frame(&client, 0x81, "x", 1);
    assert_int_equal(client_frame(&client, &payload), 0x81);
    client_close(&client);
    world_end(&world);
}

static void a_client_that_goes_during_the_upgrade_leaves_nothing_behind(void **state)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, WS_REQUEST "\r\n");
    (void)setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    client_close(&client);
    world_idle(&world, 20);
    world_until_connections(&world, 0);
    assert_int_equal(world.tokens, 0);
    world_end(&world);
}

int run_ws_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_echoed),
        cmocka_unit_test(what_is_sent_at_open_arrives_first),
        cmocka_unit_test(frames_that_come_with_the_upgrade_are_not_lost),
        cmocka_unit_test(long_and_fragmented_messages_are_put_together),
        cmocka_unit_test(a_message_above_the_limit_closes_with_1009),
        cmocka_unit_test(text_that_is_not_utf8_closes_with_1007),
        cmocka_unit_test(broken_frames_close_with_1002_and_end_that_connection_only),
        cmocka_unit_test(pings_of_a_peer_that_does_not_read_cost_one_frame),
        cmocka_unit_test(closing_says_code_and_reason_and_waits_for_the_answer),
        cmocka_unit_test(a_close_may_have_no_status),
        cmocka_unit_test(the_close_of_a_client_is_answered),
        cmocka_unit_test(a_client_that_does_not_answer_a_close_is_cut),
        cmocka_unit_test(a_route_may_refuse_with_a_body_of_its_own),
        cmocka_unit_test(a_subprotocol_nobody_speaks_is_left_out_of_the_answer),
        cmocka_unit_test(a_client_that_goes_during_the_upgrade_leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("ws", tests, NULL, NULL);
}
