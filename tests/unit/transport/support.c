/* support.c - a real server on loopback and blocking-style clients in one loop. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/clock.h"
#include "codec/sse.h"
#include "codec/ws.h"
#include "kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define PATIENCE_MS ((uint64_t)5000)

/* ---- handlers ---- */

static void echo_request(void *ctx, struct http_exchange *x)
{
    static const char *const names[] = {"GET",   "HEAD",   "POST",    "PUT",
                                        "PATCH", "DELETE", "OPTIONS", "OTHER"};
    static const enum http_method order[] = {HTTP_GET,     HTTP_HEAD,  HTTP_POST,
                                             HTTP_PUT,     HTTP_PATCH, HTTP_DELETE,
                                             HTTP_OPTIONS, HTTP_OTHER};
    const struct http_request *request = x->request;
    struct buf text;

    (void)ctx;
    buf_init(&text, 65536);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (order[i] == request->method)
            buf_puts(&text, names[i]);
    }
    buf_putc(&text, '|');
    buf_slice(&text, request->path);
    buf_putc(&text, '|');
    buf_slice(&text, request->query);
    buf_putc(&text, '|');
    buf_slice(&text, request->body);
    buf_putc(&text, '|');
    buf_slice(&text, http_header(request, "x-test-scenario"));
    http_respond(x, 200, "Content-Type: text/plain\r\n", buf_view(&text));
    buf_release(&text);
}

static void held_closed(struct http_exchange *x)
{
    struct world *world = x->owner_data;

    world->held_closed++;
    world->held = NULL;
}

static void hold_request(void *ctx, struct http_exchange *x)
{
    struct world *world = ctx;

    world->held = x;
    x->on_closed = held_closed;
    x->owner_data = world;
}

static void pipe_feed(struct pipe *pipe)
{
    struct world *world = pipe->owner_data;

    while (world->feed_left > 0 && pipe_is_ready(pipe)) {
        world->feed_left--;
        (void)pipe_send(pipe, world->feed);
    }
}

static void pipe_drained(struct pipe *pipe)
{
    struct world *world = pipe->owner_data;

    world->drains++;
    pipe_feed(pipe);
}

static void pipe_closed(struct pipe *pipe, const char *reason)
{
    struct world *world = pipe->owner_data;

    world->pipes_closed++;
    world->closed_reason = reason;
    if (world->pipe == pipe)
        world->pipe = NULL;
}

static void send_text_frame(struct pipe *pipe, enum ws_opcode opcode, struct slice data)
{
    struct buf frame;

    buf_init(&frame, SIZE_MAX);
    (void)ws_frame(&frame, opcode, data);
    struct bytes *bytes = buf_share(&frame);
    (void)pipe_send(pipe, bytes);
    bytes_unref(bytes);
    buf_release(&frame);
}

static void pipe_message(struct pipe *pipe, struct slice data, bool is_binary)
{
    struct world *world = pipe->owner_data;

    world->messages++;
    if (slice_is(data, "close me"))
        pipe_close(pipe, 4001, "as you wish");
    else if (slice_is(data, "close without status"))
        pipe_close(pipe, 0, NULL);
    else if (world->echoes && pipe_is_ready(pipe))
        send_text_frame(pipe, is_binary ? WS_BINARY : WS_TEXT, data);
}

static const struct pipe_owner test_owner = {
    .on_message = pipe_message, .on_drain = pipe_drained, .on_closed = pipe_closed};

static void stream_request(void *ctx, struct http_exchange *x)
{
    struct world *world = ctx;

    world->pipe =
        http_stream(x, 200, "content-type: text/event-stream\r\n", &test_owner, world);
}

static unsigned ws_accept(void *ctx, const struct http_request *request, void **token,
                          const char **body, const char **content_type)
{
    struct world *world = ctx;

    if (slice_is(request->path, "/ws/refuse")) {
        *body = "{\"code\":1}";
        *content_type = "application/json";
        return 400;
    }
    world->tokens++;
    *token = &world->tokens;
    return 0;
}

static void ws_open(void *ctx, struct pipe *pipe, void *token)
{
    struct world *world = ctx;

    assert_ptr_equal(token, &world->tokens);
    world->tokens--;
    pipe->owner = &test_owner;
    pipe->owner_data = world;
    world->pipe = pipe;
    if (world->sends_at_open)
        send_text_frame(pipe, WS_TEXT, slice_of("0{}"));
}

/* ---- the world ---- */

void world_init(struct world *world)
{
    memset(world, 0, sizeof(*world));
    world->loop = loop_new();
    world->counters = counters_new();
    world->listen_item = strdup("127.0.0.1:0");
    world->listen.items = &world->listen_item;
    world->listen.count = 1;
    world->echoes = true;
    world->options = (struct server_options){
        .listen = &world->listen,
        .origins = &world->origins,
        .max_connections = 4000,
        .socket_unsent_bytes = 16384,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 10000,
        .keepalive_timeout_ms = 10000,
        .close_timeout_ms = 3000,
        .keepalive_requests = 100,
    };
}

static void add_routes(struct world *world)
{
    server_route(world->server, &(struct http_route){.path = "/echo",
                                                     .body_limit_bytes = 1000,
                                                     .handler = echo_request});
    server_route(world->server, &(struct http_route){.path = "/under/",
                                                     .is_prefix = true,
                                                     .body_limit_bytes = 100000,
                                                     .handler = echo_request});
    server_route(world->server, &(struct http_route){.path = "/own-rule",
                                                     .body_limit_bytes = 1000,
                                                     .handler = echo_request,
                                                     .judges_origins = true});
    server_route(world->server, &(struct http_route){.path = "/hold",
                                                     .body_limit_bytes = 1000,
                                                     .handler = hold_request,
                                                     .ctx = world});
    server_route(world->server, &(struct http_route){.path = "/stream",
                                                     .handler = stream_request,
                                                     .ctx = world});
    server_ws_route(world->server, &(struct ws_route){.path = "/ws",
                                                      .message_limit_bytes = 1000,
                                                      .accept = ws_accept,
                                                      .on_open = ws_open,
                                                      .ctx = world});
    server_ws_route(world->server, &(struct ws_route){.path = "/ws/",
                                                      .is_prefix = true,
                                                      .message_limit_bytes = 1000000,
                                                      .accept = ws_accept,
                                                      .on_open = ws_open,
                                                      .ctx = world});
    server_ws_route(world->server, &(struct ws_route){.path = "/own-rule",
                                                      .message_limit_bytes = 1000,
                                                      .accept = ws_accept,
                                                      .on_open = ws_open,
                                                      .ctx = world,
                                                      .judges_origins = true});
}

void world_start(struct world *world)
{
    struct buf error;

    buf_init(&error, 1000);
    world->server = server_new(world->loop, &world->options, world->counters, &error);
    assert_non_null(world->server);
    add_routes(world);
    if (!server_listen(world->server, &error))
        fail_msg("%s", buf_text(&error));
    buf_release(&error);
}

void world_end(struct world *world)
{
    server_free(world->server);
    bytes_unref(world->feed);
    counters_free(world->counters);
    loop_free(world->loop);
    free(world->listen_item);
}

uint64_t world_counter(struct world *world, const char *name)
{
    char line[200];

    (void)snprintf(line, sizeof(line), "thinkwire_%s ", name);
    return kit_counted(world->counters, line);
}

void world_turn(struct world *world)
{
    (void)uv_run(loop_uv(world->loop), UV_RUN_NOWAIT);
}

static void breathe(struct world *world)
{
    world_turn(world);
    (void)usleep(50);
}

void world_until(struct world *world, const unsigned *value, unsigned wanted)
{
    uint64_t end = clock_mono_ms() + PATIENCE_MS;

    while (*value != wanted) {
        if (clock_mono_ms() > end)
            fail_msg("waited for %u, have %u", wanted, *value);
        breathe(world);
    }
}

void world_until_connections(struct world *world, size_t wanted)
{
    uint64_t end = clock_mono_ms() + PATIENCE_MS;

    while (server_connections(world->server) != wanted) {
        if (clock_mono_ms() > end)
            fail_msg("waited for %zu connections", wanted);
        breathe(world);
    }
}

void world_until_held(struct world *world)
{
    uint64_t end = clock_mono_ms() + PATIENCE_MS;

    while (world->held == NULL) {
        assert_true(clock_mono_ms() < end);
        breathe(world);
    }
}

void world_until_pipe(struct world *world)
{
    uint64_t end = clock_mono_ms() + PATIENCE_MS;

    while (world->pipe == NULL) {
        assert_true(clock_mono_ms() < end);
        breathe(world);
    }
}

void world_idle(struct world *world, unsigned ms)
{
    uint64_t end = clock_mono_ms() + ms;

    while (clock_mono_ms() < end)
        breathe(world);
}

/* ---- clients ---- */

void client_open_small(struct client *client, struct world *world, int receive_bytes)
{
    const char *address = server_address(world->server, 0);
    struct sockaddr_in to = {.sin_family = AF_INET};

    client->world = world;
    client->is_ended = false;
    buf_init(&client->in, SIZE_MAX);
    to.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    if (receive_bytes > 0)
        (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes,
                         sizeof(receive_bytes));
    assert_int_equal(connect(client->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

void client_open(struct client *client, struct world *world)
{
    client_open_small(client, world, 0);
}

void client_close(struct client *client)
{
    buf_release(&client->in);
    (void)close(client->fd);
}

void client_send_bytes(struct client *client, const void *data, size_t len)
{
    const char *at = data;
    uint64_t end = clock_mono_ms() + PATIENCE_MS;

    while (len > 0) {
        ssize_t sent = send(client->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            at += sent;
            len -= (size_t)sent;
            continue;
        }
        if (errno != EAGAIN)
            return; /* the server has gone: the test looks at what it said */
        assert_true(clock_mono_ms() < end);
        breathe(client->world);
    }
}

void client_send(struct client *client, const char *text)
{
    client_send_bytes(client, text, strlen(text));
}

/* One read; false when nothing came. */
static bool client_read(struct client *client)
{
    char *room = buf_reserve(&client->in, 65536);
    ssize_t got = recv(client->fd, room, 65536, MSG_DONTWAIT);

    if (got > 0) {
        client->in.len += (size_t)got;
        return true;
    }
    if (got == 0 || errno != EAGAIN)
        client->is_ended = true;
    return false;
}

static void client_step(struct client *client, uint64_t end, const char *what)
{
    if (client_read(client))
        return;
    if (clock_mono_ms() > end)
        fail_msg("waited for %s, have: %s", what, buf_text(&client->in));
    breathe(client->world);
}

const char *client_wait(struct client *client, const char *needle)
{
    uint64_t end = clock_mono_ms() + PATIENCE_MS;

    while (client->in.len == 0 ||
           memmem(client->in.data, client->in.len, needle, strlen(needle)) == NULL) {
        if (client->is_ended)
            fail_msg("ended before %s: %s", needle, buf_text(&client->in));
        client_step(client, end, needle);
    }
    return buf_text(&client->in);
}

void client_wait_bytes(struct client *client, size_t len)
{
    uint64_t end = clock_mono_ms() + 4 * PATIENCE_MS;

    while (client->in.len < len) {
        assert_false(client->is_ended);
        client_step(client, end, "bytes");
    }
}

const char *client_wait_end(struct client *client)
{
    uint64_t end = clock_mono_ms() + PATIENCE_MS;

    while (!client->is_ended)
        client_step(client, end, "the end");
    return buf_text(&client->in);
}

void client_forget(struct client *client)
{
    buf_reset(&client->in);
}

static char last_head[4096];
static char last_body[70000];

const char *client_last_head(void)
{
    return last_head;
}

static unsigned read_answer(struct client *client, const char **body, bool has_body)
{
    const char *text = client_wait(client, "\r\n\r\n");
    size_t head_len = (size_t)(strstr(text, "\r\n\r\n") - text) + 4;
    const char *length = NULL;
    size_t body_len = 0;

    assert_true(head_len < sizeof(last_head));
    memcpy(last_head, text, head_len);
    last_head[head_len] = '\0';
    length = strstr(last_head, "\r\nContent-Length: ");
    if (has_body && length != NULL)
        body_len = strtoul(length + 18, NULL, 10);
    client_wait_bytes(client, head_len + body_len);
    assert_true(body_len < sizeof(last_body));
    memcpy(last_body, client->in.data + head_len, body_len);
    last_body[body_len] = '\0';
    buf_consume(&client->in, head_len + body_len);
    if (body != NULL)
        *body = last_body;
    assert_memory_equal(last_head, "HTTP/1.1 ", 9);
    return (unsigned)strtoul(last_head + 9, NULL, 10);
}

unsigned client_answer(struct client *client, const char **body)
{
    return read_answer(client, body, true);
}

unsigned client_head_answer(struct client *client)
{
    return read_answer(client, NULL, false);
}

/* ---- WebSocket clients ---- */

void client_open_ws(struct client *client, struct world *world)
{
    client_open(client, world);
    client_send(client, WS_REQUEST "\r\n");
    assert_int_equal(client_answer(client, NULL), 101);
    world_until_pipe(world);
}

void client_send_frame(struct client *client, unsigned first, const void *data,
                       size_t len)
{
    static const unsigned char mask[4] = {0x11, 0x82, 0x43, 0xf4};
    unsigned char head[14] = {(unsigned char)first};
    size_t head_len = 2;
    unsigned char *masked = malloc(len + 1);
    const unsigned char *plain = data;

    if (len < 126) {
        head[1] = (unsigned char)(0x80 | len);
    } else if (len < 65536) {
        head[1] = 0x80 | 126;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        head_len = 4;
    } else {
        head[1] = 0x80 | 127;
        for (unsigned i = 0; i < 8; i++)
            head[2 + i] = (unsigned char)(len >> 8 * (7 - i));
        head_len = 10;
    }
    memcpy(head + head_len, mask, 4);
    for (size_t i = 0; i < len; i++)
        masked[i] = plain[i] ^ mask[i & 3];
    client_send_bytes(client, head, head_len + 4);
    client_send_bytes(client, masked, len);
    free(masked);
}

unsigned client_frame(struct client *client, struct slice *payload)
{
    client_wait_bytes(client, 2);
    const unsigned char *head = (const unsigned char *)client->in.data;
    size_t len = head[1] & 0x7f;
    size_t head_len = len == 126 ? 4 : len == 127 ? 10 : 2;

    assert_int_equal(head[1] & 0x80, 0);
    client_wait_bytes(client, head_len);
    head = (const unsigned char *)client->in.data;
    for (size_t i = 2, first = 1; i < head_len; i++, first = 0)
        len = (first != 0 ? 0 : len << 8) | head[i];
    client_wait_bytes(client, head_len + len);
    assert_true(len < sizeof(last_body));
    memcpy(last_body, client->in.data + head_len, len);
    last_body[len] = '\0';
    unsigned first_byte = (unsigned char)client->in.data[0];
    buf_consume(&client->in, head_len + len);
    *payload = slice_make(last_body, len);
    return first_byte;
}

unsigned client_close_code(struct client *client)
{
    struct slice payload;

    assert_int_equal(client_frame(client, &payload), 0x88);
    if (payload.len < 2)
        return 0;
    return (unsigned)(unsigned char)payload.ptr[0] << 8 | (unsigned char)payload.ptr[1];
}
