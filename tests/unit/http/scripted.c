/* scripted.c - a server that says exactly what a test wants, on the test's loop. */
/* SPDX-License-Identifier: MIT */
#include "scripted.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

union any_stream {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct scripted {
    union any_stream listener;
    struct loop *loop;
    bool is_unix;
    void (*on_request)(void *ctx, struct scripted_peer *peer, struct slice request);
    void (*on_gone)(void *ctx);
    void *ctx;
    struct list peers;
    unsigned accepted;
    unsigned requests;
    unsigned gone;
};

struct scripted_peer {
    union any_stream stream;
    struct list node;
    struct scripted *server;
    struct buf in;
    char chunk[65536];
};

static void on_peer_closed(uv_handle_t *handle)
{
    struct scripted_peer *peer = handle->data;
    buf_release(&peer->in);
    free(peer);
}

void scripted_close(struct scripted_peer *peer)
{
    if (uv_is_closing(&peer->stream.handle))
        return;
    list_remove(&peer->node);
    uv_close(&peer->stream.handle, on_peer_closed);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct scripted_peer *peer = handle->data;
    (void)size;
    *buf = uv_buf_init(peer->chunk, sizeof(peer->chunk));
}

/* Length of the first whole request in `in`, or 0. */
static size_t whole_request(struct buf *in)
{
    const char *text = buf_text(in);
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL)
        return 0;
    size_t head = (size_t)(end - text) + 4;
    const char *length = strcasestr(text, "\r\ncontent-length:");
    size_t body = 0;
    if (length != NULL && length < end)
        body = (size_t)strtoul(length + 17, NULL, 10);
    return in->len >= head + body ? head + body : 0;
}

static void take_requests(struct scripted_peer *peer)
{
    size_t len;
    while (!uv_is_closing(&peer->stream.handle) &&
           (len = whole_request(&peer->in)) > 0) {
        struct scripted *server = peer->server;
        server->requests++;
        server->on_request(server->ctx, peer, slice_make(peer->in.data, len));
        buf_consume(&peer->in, len);
    }
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct scripted_peer *peer = stream->data;
    struct scripted *server = peer->server;
    if (len > 0) {
        buf_append(&peer->in, buf->base, (size_t)len);
        take_requests(peer);
        return;
    }
    if (len == 0)
        return;
    server->gone++;
    scripted_close(peer);
    if (server->on_gone != NULL)
        server->on_gone(server->ctx);
}

static void open_stream(struct scripted *server, union any_stream *stream)
{
    if (server->is_unix)
        uv_pipe_init(loop_uv(server->loop), &stream->pipe, 0);
    else
        uv_tcp_init(loop_uv(server->loop), &stream->tcp);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct scripted *server = listener->data;
    if (status != 0)
        return;
    struct scripted_peer *peer = mem_new(sizeof(*peer));
    peer->server = server;
    buf_init(&peer->in, 64U << 20);
    open_stream(server, &peer->stream);
    peer->stream.handle.data = peer;
    list_push_back(&server->peers, &peer->node);
    if (uv_accept(listener, &peer->stream.stream) != 0)
        abort();
    server->accepted++;
    uv_read_start(&peer->stream.stream, on_alloc, on_read);
}

struct scripted *scripted_new(struct loop *loop, const char *unix_path,
                              void (*on_request)(void *ctx, struct scripted_peer *peer,
                                                 struct slice request),
                              void *ctx)
{
    struct scripted *server = mem_new(sizeof(*server));
    struct sockaddr_in any = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server->loop = loop;
    server->is_unix = unix_path != NULL;
    server->on_request = on_request;
    server->ctx = ctx;
    list_init(&server->peers);
    open_stream(server, &server->listener);
    server->listener.handle.data = server;
    int failed = unix_path != NULL
                     ? uv_pipe_bind(&server->listener.pipe, unix_path)
                     : uv_tcp_bind(&server->listener.tcp, (struct sockaddr *)&any, 0);
    if (failed != 0 || uv_listen(&server->listener.stream, 64, on_connection) != 0)
        abort();
    return server;
}

static void on_listener_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void scripted_free(struct scripted *server)
{
    LIST_FOR_EACH(it, tmp, &server->peers)
    {
        scripted_close(LIST_ENTRY(it, struct scripted_peer, node));
    }
    uv_close(&server->listener.handle, on_listener_closed);
}

unsigned scripted_port(const struct scripted *server)
{
    struct sockaddr_in address;
    int len = sizeof(address);
    uv_tcp_getsockname(&server->listener.tcp, (struct sockaddr *)&address, &len);
    return ntohs(address.sin_port);
}

unsigned scripted_accepted(const struct scripted *server)
{
    return server->accepted;
}

unsigned scripted_requests(const struct scripted *server)
{
    return server->requests;
}

unsigned scripted_gone(const struct scripted *server)
{
    return server->gone;
}

void scripted_on_gone(struct scripted *server, void (*on_gone)(void *ctx))
{
    server->on_gone = on_gone;
}

/* ---- writing ---- */

struct sending {
    uv_write_t write;
    char *bytes;
};

static void on_sent(uv_write_t *write, int status)
{
    struct sending *sending = write->data;
    (void)status;
    free(sending->bytes);
    free(sending);
}

void scripted_send(struct scripted_peer *peer, const char *bytes)
{
    struct sending *sending = mem_new(sizeof(*sending));
    sending->bytes = mem_text(slice_of(bytes));
    sending->write.data = sending;
    uv_buf_t buf = uv_buf_init(sending->bytes, (unsigned)strlen(bytes));
    if (uv_write(&sending->write, &peer->stream.stream, &buf, 1, on_sent) != 0)
        abort();
}
