/* wire.c - fake pipes and exchanges: what was written, and how much of it arrived. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define WIRE_LIMIT (64 << 20)

/* ---- pipes ---- */

static bool on_send(struct pipe *base, struct bytes *bytes)
{
    struct fake_pipe *pipe = LIST_ENTRY(base, struct fake_pipe, base);

    assert_false(base->is_full); /* nobody sends into a full pipe */
    assert_false(pipe->is_gone);
    if (base->is_closing)
        return false;
    assert_true(bytes->len > 0);
    buf_append(&pipe->wire, bytes->data, bytes->len);
    pipe->accepted += bytes->len;
    pipe->sends++;
    pipe->last_bytes = bytes;
    base->is_full = pipe->accepted >= pipe->granted;
    return !base->is_full;
}

static void on_close(struct pipe *base, unsigned code, const char *reason)
{
    struct fake_pipe *pipe = LIST_ENTRY(base, struct fake_pipe, base);

    (void)reason;
    assert_false(pipe->was_closed);
    pipe->was_closed = true;
    pipe->code = code;
    base->is_closing = true;
}

static struct pipe_progress on_progress(const struct pipe *base)
{
    const struct fake_pipe *pipe =
        LIST_ENTRY((struct pipe *)(uintptr_t)base, struct fake_pipe, base);
    uint64_t acked = pipe->accepted < pipe->granted ? pipe->accepted : pipe->granted;

    return (struct pipe_progress){acked, pipe->accepted - acked, pipe->heard};
}

static const struct pipe_ops pipe_ops = {
    .send = on_send, .close = on_close, .progress = on_progress};

static struct fake_pipe *pipe_make(struct bench *b, enum framing framing)
{
    struct fake_pipe *pipe = mem_new(sizeof(*pipe));

    pipe->base.ops = &pipe_ops;
    pipe->base.framing = framing;
    pipe->granted = b->grant == 0 ? UINT64_MAX : b->grant;
    buf_init(&pipe->wire, WIRE_LIMIT);
    pipe->next = b->pipes;
    b->pipes = pipe;
    return pipe;
}

struct fake_pipe *pipe_dial(struct bench *b, struct ws_route *route, const char *query,
                            unsigned *status)
{
    struct fake_exchange *x = exchange_new(b, HTTP_GET, query, slice_make(NULL, 0));
    const char *content_type = NULL;
    const char *body = NULL;
    struct fake_pipe *pipe;
    void *token = NULL;

    x->is_answered = true; /* by the transport */
    *status = route->accept(route->ctx, &x->request, &token, &body, &content_type);
    if (*status != 0) {
        buf_puts(&x->body, body);
        return NULL;
    }
    pipe = pipe_make(b, FRAMING_WS);
    route->on_open(route->ctx, &pipe->base, token);
    return pipe;
}

void pipe_stall(struct fake_pipe *pipe)
{
    pipe->granted = pipe->accepted;
}

void pipe_grant(struct fake_pipe *pipe, uint64_t bytes)
{
    if (pipe->granted != UINT64_MAX)
        pipe->granted += bytes;
    if (pipe->is_gone || !pipe->base.is_full || pipe->accepted > pipe->granted)
        return;
    pipe->base.is_full = false;
    pipe->base.owner->on_drain(&pipe->base);
}

void pipe_flow(struct fake_pipe *pipe)
{
    pipe->granted = UINT64_MAX;
    pipe_grant(pipe, 0);
}

void pipe_read(struct fake_pipe *pipe, struct buf *out)
{
    uint64_t arrived = pipe->accepted < pipe->granted ? pipe->accepted : pipe->granted;
    size_t len = (size_t)(arrived - pipe->consumed);

    buf_append(out, pipe->wire.data, len);
    buf_consume(&pipe->wire, len);
    pipe->consumed = arrived;
}

void pipe_hang_up(struct fake_pipe *pipe, const char *reason)
{
    assert_false(pipe->is_gone);
    pipe->base.is_closing = true;
    pipe->is_gone = true;
    pipe->base.owner->on_closed(&pipe->base, reason);
}

/* ---- exchanges ---- */

static void on_respond(struct http_exchange *base, unsigned status, const char *headers,
                       struct slice body)
{
    struct fake_exchange *x = LIST_ENTRY(base, struct fake_exchange, base);

    assert_false(x->is_answered);
    assert_false(x->is_gone);
    x->is_answered = true;
    x->status = status;
    snprintf(x->extra, sizeof(x->extra), "%s", headers);
    buf_slice(&x->body, body);
}

static struct pipe *on_stream(struct http_exchange *base, unsigned status,
                              const char *headers, const struct pipe_owner *owner,
                              void *owner_data)
{
    struct fake_exchange *x = LIST_ENTRY(base, struct fake_exchange, base);

    assert_false(x->is_answered);
    assert_false(x->is_gone);
    x->is_answered = true;
    x->status = status;
    snprintf(x->extra, sizeof(x->extra), "%s", headers);
    x->pipe = pipe_make(x->bench, FRAMING_CHUNKED);
    x->pipe->base.owner = owner;
    x->pipe->base.owner_data = owner_data;
    return &x->pipe->base;
}

static const struct http_exchange_ops exchange_ops = {.respond = on_respond,
                                                      .stream = on_stream};

static void add_header(struct fake_exchange *x, const char *name, const char *value)
{
    if (value == NULL)
        return;
    x->headers[x->request.header_count].name = slice_of(name);
    x->headers[x->request.header_count].value = slice_of(value);
    x->request.header_count++;
}

struct fake_exchange *exchange_new(struct bench *b, enum http_method method,
                                   const char *query, struct slice body)
{
    struct fake_exchange *x = mem_new(sizeof(*x));

    buf_init(&x->body, WIRE_LIMIT);
    snprintf(x->query, sizeof(x->query), "%s", query);
    x->request = (struct http_request){
        .method = method,
        .path = slice_of("/"),
        .query = slice_of(x->query),
        .body = body,
        .peer = slice_of("127.0.0.1"),
        .id = slice_of("req_1"),
        .headers = x->headers,
    };
    add_header(x, "accept", b->accept);
    add_header(x, "last-event-id", b->last_event_id);
    x->bench = b;
    x->base.ops = &exchange_ops;
    x->base.request = &x->request;
    x->next = b->exchanges;
    b->exchanges = x;
    return x;
}

void exchange_abort(struct fake_exchange *x)
{
    assert_false(x->is_answered);
    assert_non_null(x->base.on_closed);
    x->is_gone = true;
    x->base.on_closed(&x->base);
}

/* ---- the end: the transport goes, and says so to whoever listens ---- */

void wires_free(struct bench *b)
{
    while (b->exchanges != NULL) {
        struct fake_exchange *x = b->exchanges;
        b->exchanges = x->next;
        if (!x->is_answered && !x->is_gone)
            exchange_abort(x);
        buf_release(&x->body);
        free(x);
    }
    while (b->pipes != NULL) {
        struct fake_pipe *pipe = b->pipes;
        b->pipes = pipe->next;
        if (!pipe->is_gone)
            pipe_hang_up(pipe, "transport close");
        buf_release(&pipe->wire);
        free(pipe);
    }
}
