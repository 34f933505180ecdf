/* test_stream.c - pipes: HTTP streams, slow readers, torn frames, closing. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "codec/sse.h"
#include "codec/ws.h"

#include <stdlib.h>
#include <sys/socket.h>

#define BIG_BYTES ((size_t)4 * 1024 * 1024)

static void open_stream(struct client *client, struct world *world, const char *request)
{
    client_send(client, request);
    assert_int_equal(client_head_answer(client), 200);
    world_until_pipe(world);
}

static void send_chunk(struct pipe *pipe, const char *text)
{
    struct buf out;

    buf_init(&out, 100000);
    buf_puts(&out, text);
    if (pipe->framing == FRAMING_CHUNKED)
        (void)chunk_wrap(&out, 0);
    struct bytes *bytes = buf_share(&out);
    assert_true(pipe_send(pipe, bytes));
    bytes_unref(bytes);
    buf_release(&out);
}

#define GET_STREAM "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"

static void a_stream_is_chunked_and_the_connection_lives_on(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    for (unsigned round = 1; round < 4; round++) {
        open_stream(&client, &world, GET_STREAM);
        assert_non_null(strstr(client_last_head(), "\r\nTransfer-Encoding: chunked\r\n"
                                                   "Connection: keep-alive\r\n\r\n"));
        assert_non_null(
            strstr(client_last_head(), "\r\ncontent-type: text/event-stream\r\n"));
        assert_int_equal(world.pipe->framing, FRAMING_CHUNKED);
        assert_int_equal(world_counter(&world, "pipes{kind=\"stream\"}"), 1);
        send_chunk(world.pipe, "data: 1\n\n");
        send_chunk(world.pipe, "data: 2\n\n");
        struct pipe *pipe = world.pipe;
        pipe_close(pipe, 0, NULL);
        assert_false(pipe_is_ready(pipe));
        assert_int_equal(world.pipes_closed, round - 1); /* never from inside */
        (void)client_wait(&client, "\r\n0\r\n\r\n");
        assert_string_equal(buf_text(&client.in),
                            "9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n");
        client_forget(&client);
        world_until(&world, &world.pipes_closed, round);
        assert_int_equal(world_counter(&world, "pipes{kind=\"stream\"}"), 0);
    }
    client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 200);
    client_close(&client);
    world_end(&world);
}

static void an_old_client_gets_the_stream_plain(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    open_stream(&client, &world,
                "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_null(strstr(client_last_head(), "Transfer-Encoding"));
    assert_non_null(strstr(client_last_head(), "\r\nConnection: close\r\n"));
    assert_int_equal(world.pipe->framing, FRAMING_PLAIN);
    send_chunk(world.pipe, "data: 1\n\n");
    pipe_close(world.pipe, 0, NULL);
    assert_string_equal(client_wait_end(&client), "data: 1\n\n");
    world_until(&world, &world.pipes_closed, 1);
    client_close(&client);
    world_end(&world);
}

static void
a_stream_to_a_client_that_wants_to_close_is_chunked_all_the_same(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    open_stream(&client, &world,
                "GET /stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(client_last_head(), "\r\nTransfer-Encoding: chunked\r\n"
                                               "Connection: close\r\n"));
    send_chunk(world.pipe, "x");
    pipe_close(world.pipe, 0, NULL);
    assert_string_equal(client_wait_end(&client), "1\r\nx\r\n0\r\n\r\n");
    client_close(&client);
    world_until(&world, &world.pipes_closed, 1);
    world_end(&world);
}

static void a_stream_ends_when_its_peer_goes(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    open_stream(&client, &world, GET_STREAM);
    client_close(&client);
    world_until(&world, &world.pipes_closed, 1);
    assert_string_equal(world.closed_reason, "transport close");
    assert_int_equal(server_connections(world.server), 0);
    world_end(&world);
}

static void requests_pipelined_behind_a_stream_wait_for_its_end(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    open_stream(&client, &world,
                GET_STREAM "GET /echo?behind HTTP/1.1\r\nHost: h\r\n\r\n");
    world_idle(&world, 10);
    pipe_close(world.pipe, 0, NULL);
    (void)client_wait(&client, "0\r\n\r\n");
    buf_consume(&client.in, 5);
    assert_int_equal(client_answer(&client, &body), 200);
    assert_string_equal(body, "GET|/echo|behind||");
    client_close(&client);
    world_end(&world);
}

/* Numbers, so that a byte out of place shows. */
static struct bytes *numbered(size_t len)
{
    struct bytes *bytes = bytes_new(len);
    uint32_t state = 1;

    for (size_t i = 0; i < len; i++) {
        state = state * 1103515245u + 12345u;
        bytes->data[i] = (char)('a' + (state >> 16) % 26);
    }
    return bytes;
}

static void a_slow_stream_reader_gets_identical_bytes_and_costs_no_copy(void **state)
{
    struct world world;
    struct client client;
    struct bytes *data = numbered(BIG_BYTES);
    char *copy = malloc(BIG_BYTES);

    (void)state;
    memcpy(copy, data->data, BIG_BYTES);
    world_init(&world);
    world_start(&world);
    client_open_small(&client, &world, 4096);
    open_stream(&client, &world, "GET /stream HTTP/1.0\r\n\r\n");
    assert_false(pipe_send(world.pipe, data));
    assert_true(world.pipe->is_full);
    /* A reference and an offset is all the pipe keeps. */
    assert_int_equal(data->refs, 2);
    world_idle(&world, 30);
    assert_int_equal(world.drains, 0);
    client_wait_bytes(&client, BIG_BYTES);
    world_until(&world, &world.drains, 1);
    assert_true(pipe_is_ready(world.pipe));
    assert_int_equal(data->refs, 1);
    assert_memory_equal(client.in.data, copy, BIG_BYTES);
    assert_memory_equal(data->data, copy, BIG_BYTES);
    free(copy);
    bytes_unref(data);
    client_close(&client);
    world_end(&world);
}

static void a_large_answer_reaches_a_slow_reader_whole(void **state)
{
    struct world world;
    struct client client;
    struct bytes *data = numbered(BIG_BYTES);

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_small(&client, &world, 4096);
    client_send(&client, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    world_until_held(&world);
    http_respond(world.held, 200, "", slice_make(data->data, data->len));
    client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_head_answer(&client), 200);
    client_wait_bytes(&client, BIG_BYTES);
    assert_memory_equal(client.in.data, data->data, BIG_BYTES);
    buf_consume(&client.in, BIG_BYTES);
    assert_int_equal(client_answer(&client, NULL), 200);
    bytes_unref(data);
    client_close(&client);
    world_end(&world);
}

/* Pings in the middle make libwebsockets send pongs by itself: never inside a frame. */
static void a_slow_websocket_reader_gets_whole_frames(void **state)
{
    struct world world;
    struct client client;
    struct slice payload;
    struct bytes *data = numbered(BIG_BYTES);
    struct buf frames;
    size_t got = 0;
    unsigned pongs = 0;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_small(&client, &world, 4096);
    client_send(&client, WS_REQUEST "\r\n");
    assert_int_equal(client_answer(&client, NULL), 101);
    world_until_pipe(&world);
    buf_init(&frames, SIZE_MAX);
    for (size_t at = 0, step = 1; at < BIG_BYTES;
         at += step, step = step * 3 % 90001 + 1) {
        if (step > BIG_BYTES - at)
            step = BIG_BYTES - at;
        (void)ws_frame(&frames, WS_BINARY, slice_make(data->data + at, step));
    }
    struct bytes *all = buf_share(&frames);
    struct bytes *copy = bytes_copy(all->data, all->len);
    assert_false(pipe_send(world.pipe, all));
    for (int i = 0; got < BIG_BYTES || pongs == 0; i++) {
        if (i % 8 == 0)
            client_send_frame(&client, 0x89, "ping", 4);
        unsigned first = client_frame(&client, &payload);
        if (first == 0x8a) {
            assert_true(slice_is(payload, "ping"));
            pongs++;
            continue;
        }
        assert_true((first & 0x0f) == 2 || (first & 0x0f) == 0);
        assert_true(got + payload.len <= BIG_BYTES);
        assert_memory_equal(payload.ptr, data->data + got, payload.len);
        got += payload.len;
    }
    world_until(&world, &world.drains, 1);
    assert_memory_equal(all->data, copy->data, all->len); /* nobody wrote into them */
    bytes_unref(copy);
    buf_release(&frames);
    bytes_unref(all);
    bytes_unref(data);
    client_close(&client);
    world_end(&world);
}

static void many_sends_with_drains_between_arrive_in_order(void **state)
{
    struct world world;
    struct client client;
    struct bytes *data = numbered(100000);

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_small(&client, &world, 4096);
    open_stream(&client, &world, "GET /stream HTTP/1.0\r\n\r\n");
    world.feed = bytes_ref(data);
    world.feed_left = 29;
    (void)pipe_send(world.pipe, data);
    client_wait_bytes(&client, (size_t)30 * 100000);
    assert_int_equal(world.feed_left, 0);
    assert_true(world.drains > 1);
    for (size_t i = 0; i < 30; i++)
        assert_memory_equal(client.in.data + i * 100000, data->data, 100000);
    bytes_unref(data);
    client_close(&client);
    world_end(&world);
}

static void closing_a_full_pipe_lets_the_rest_out_first(void **state)
{
    struct world world;
    struct client client;
    struct buf frames;
    struct slice payload;
    struct bytes *data = numbered(1000000);
    size_t got = 0;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_small(&client, &world, 4096);
    client_send(&client, WS_REQUEST "\r\n");
    assert_int_equal(client_answer(&client, NULL), 101);
    world_until_pipe(&world);
    buf_init(&frames, SIZE_MAX);
    (void)ws_frame(&frames, WS_BINARY, slice_make(data->data, data->len));
    struct bytes *all = buf_share(&frames);
    assert_false(pipe_send(world.pipe, all));
    pipe_close(world.pipe, 4000, "enough");
    assert_false(pipe_send(world.pipe, all)); /* dropped */
    while (got < data->len) {
        (void)client_frame(&client, &payload);
        got += payload.len;
    }
    assert_int_equal(client_close_code(&client), 4000);
    assert_int_equal(world.drains, 0);
    buf_release(&frames);
    bytes_unref(all);
    bytes_unref(data);
    client_close(&client);
    world_until(&world, &world.pipes_closed, 1);
    world_end(&world);
}

static void a_closing_peer_that_takes_nothing_is_cut(void **state)
{
    struct world world;
    struct client client;
    struct buf frames;
    struct bytes *data = numbered(BIG_BYTES);

    (void)state;
    world_init(&world);
    world.options.close_timeout_ms = 50;
    world_start(&world);
    client_open_small(&client, &world, 4096);
    client_send(&client, WS_REQUEST "\r\n");
    assert_int_equal(client_answer(&client, NULL), 101);
    world_until_pipe(&world);
    buf_init(&frames, SIZE_MAX);
    (void)ws_frame(&frames, WS_BINARY, slice_make(data->data, data->len));
    struct bytes *all = buf_share(&frames);
    assert_false(pipe_send(world.pipe, all));
    pipe_close(world.pipe, 1000, NULL);
    world_until(&world, &world.pipes_closed, 1);
    assert_string_equal(world.closed_reason, "transport error");
    assert_int_equal(server_connections(world.server), 0);
    assert_int_equal(all->refs, 1);
    buf_release(&frames);
    bytes_unref(all);
    bytes_unref(data);
    client_close(&client);
    world_end(&world);
}

static void sending_to_a_dead_peer_ends_the_pipe_later(void **state)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    struct world world;
    struct client client;
    struct bytes *data = numbered(1000);

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&client, &world);
    open_stream(&client, &world, "GET /stream HTTP/1.0\r\n\r\n");
    (void)setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    client_close(&client);
    assert_false(pipe_send(world.pipe, data)); /* before the loop has seen the reset */
    assert_false(pipe_is_ready(world.pipe));
    assert_int_equal(world.pipes_closed, 0);
    world_until(&world, &world.pipes_closed, 1);
    assert_string_equal(world.closed_reason, "transport error");
    bytes_unref(data);
    world_end(&world);
}

int run_stream_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_chunked_and_the_connection_lives_on),
        cmocka_unit_test(an_old_client_gets_the_stream_plain),
        cmocka_unit_test(
            a_stream_to_a_client_that_wants_to_close_is_chunked_all_the_same),
        cmocka_unit_test(a_large_answer_reaches_a_slow_reader_whole),
        cmocka_unit_test(a_stream_ends_when_its_peer_goes),
        cmocka_unit_test(requests_pipelined_behind_a_stream_wait_for_its_end),
        cmocka_unit_test(a_slow_stream_reader_gets_identical_bytes_and_costs_no_copy),
        cmocka_unit_test(a_slow_websocket_reader_gets_whole_frames),
        cmocka_unit_test(many_sends_with_drains_between_arrive_in_order),
        cmocka_unit_test(closing_a_full_pipe_lets_the_rest_out_first),
        cmocka_unit_test(a_closing_peer_that_takes_nothing_is_cut),
        cmocka_unit_test(sending_to_a_dead_peer_ends_the_pipe_later),
    };

    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
