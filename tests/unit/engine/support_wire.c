/* support_wire.c - a bench for the engine: fake exchanges and fake WebSockets. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/mem.h"
#include "codec/eio.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- HTTP ---- */

static void on_respond(struct http_exchange *base, unsigned status, const char *headers,
                       struct slice body)
{
    struct fake_exchange *x = LIST_ENTRY(base, struct fake_exchange, base);

    assert_false(x->is_answered);
    x->is_answered = true;
    x->status = status;
    snprintf(x->extra, sizeof(x->extra), "%s", headers);
    buf_slice(&x->body, body);
}

static const struct http_exchange_ops exchange_ops = {.respond = on_respond};

static void add_header(struct fake_exchange *x, const char *name, const char *value)
{
    if (value == NULL)
        return;
    x->headers[x->request.header_count].name = slice_of(name);
    x->headers[x->request.header_count].value = slice_of(value);
    x->request.header_count++;
}

static struct fake_exchange *new_request(struct bench *b, enum http_method method,
                                         const char *query, struct slice body)
{
    struct fake_exchange *x = mem_new(sizeof(*x));

    buf_init(&x->body, 1 << 24);
    x->request = (struct http_request){
        .method = method,
        .path = slice_of(b->http.path),
        .query = slice_of(query),
        .body = body,
        .peer = slice_of("127.0.0.1"),
        .id = slice_of("req_1"),
        .headers = x->headers,
    };
    add_header(x, "origin", b->origin);
    add_header(x, "content-type", b->content_type);
    add_header(x, "user-agent", b->user_agent);
    x->base.ops = &exchange_ops;
    x->base.request = &x->request;
    x->next = b->exchanges;
    b->exchanges = x;
    return x;
}

struct fake_exchange *ask(struct bench *b, enum http_method method, const char *query,
                          struct slice body)
{
    struct fake_exchange *x = new_request(b, method, query, body);
    b->http.handler(b->http.ctx, &x->base);
    return x;
}

struct fake_exchange *get(struct bench *b, const char *query)
{
    return ask(b, HTTP_GET, query, slice_make(NULL, 0));
}

struct fake_exchange *fetch(struct bench *b)
{
    return get(b, b->query);
}

struct fake_exchange *post(struct bench *b, const char *body)
{
    struct fake_exchange *x = ask(b, HTTP_POST, b->query, slice_of(body));
    settle(b);
    return x;
}

void answered(struct bench *b, struct fake_exchange *x, unsigned status,
              const char *body)
{
    settle(b);
    assert_true(x->is_answered);
    assert_string_equal(buf_text(&x->body), body);
    assert_int_equal(x->status, status);
}

void answered_bytes(struct bench *b, struct fake_exchange *x, const char *body,
                    size_t len)
{
    settle(b);
    assert_true(x->is_answered);
    assert_int_equal(x->body.len, len);
    assert_memory_equal(x->body.data, body, len);
}

void not_answered(struct bench *b, const struct fake_exchange *x)
{
    settle(b);
    assert_false(x->is_answered);
}

void abort_exchange(struct bench *b, struct fake_exchange *x)
{
    assert_false(x->is_answered);
    assert_non_null(x->base.on_closed);
    x->is_answered = true; /* nobody may answer it now */
    x->base.on_closed(&x->base);
    settle(b);
}

/* ---- WebSocket ---- */

static bool on_send(struct pipe *base, struct bytes *bytes)
{
    struct fake_pipe *pipe = LIST_ENTRY(base, struct fake_pipe, base);

    assert_false(base->is_full);
    if (base->is_closing)
        return false;
    buf_append(&pipe->wire, bytes->data, bytes->len);
    pipe->sends++;
    base->is_full = pipe->is_stalled;
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

static const struct pipe_ops pipe_ops = {.send = on_send, .close = on_close};

struct fake_pipe *dial(struct bench *b, const char *query)
{
    struct fake_exchange *x = new_request(b, HTTP_GET, query, slice_make(NULL, 0));
    struct fake_pipe *pipe = NULL;
    const char *content_type = NULL;
    void *token = NULL;

    x->is_answered = true; /* by the transport */
    b->ws_body = NULL;
    b->ws_status =
        b->ws.accept(b->ws.ctx, &x->request, &token, &b->ws_body, &content_type);
    if (b->ws_status != 0) {
        assert_string_equal(content_type, "text/html");
        return NULL;
    }
    pipe = mem_new(sizeof(*pipe));
    pipe->base.ops = &pipe_ops;
    pipe->base.framing = FRAMING_WS;
    buf_init(&pipe->wire, 1 << 24);
    buf_init(&pipe->said, 1 << 24);
    pipe->next = b->pipes;
    b->pipes = pipe;
    b->ws.on_open(b->ws.ctx, &pipe->base, token);
    settle(b);
    return pipe;
}

struct fake_pipe *dial_upgrade(struct bench *b)
{
    char query[TEXT_SIZE];
    char revision = b->query[4];

    snprintf(query, sizeof(query), "EIO=%c&transport=websocket&sid=%s", revision,
             b->sid);
    return dial(b, query);
}

void say(struct bench *b, struct fake_pipe *pipe, const char *text)
{
    pipe->base.owner->on_message(&pipe->base, slice_of(text), false);
    settle(b);
}

void say_bytes(struct bench *b, struct fake_pipe *pipe, const char *data, size_t len)
{
    pipe->base.owner->on_message(&pipe->base, slice_make(data, len), true);
    settle(b);
}

/* Takes one frame off the wire into `said`; answers whether it was the last of its
 * message. */
static bool take_frame(struct fake_pipe *pipe, unsigned *opcode)
{
    const unsigned char *head = (const unsigned char *)pipe->wire.data;
    size_t len = head[1];
    size_t head_len = 2;
    bool is_last = (head[0] & 0x80) != 0;

    if ((head[0] & 0x0f) != 0)
        *opcode = head[0] & 0x0f;
    if (len == 126) {
        len = (size_t)head[2] << 8 | head[3];
        head_len = 4;
    } else if (len == 127) {
        len = 0;
        for (int i = 2; i < 10; i++)
            len = len << 8 | head[i];
        head_len = 10;
    }
    assert_true(head_len + len <= pipe->wire.len);
    assert_true(head_len + len <= 65536);
    buf_append(&pipe->said, pipe->wire.data + head_len, len);
    buf_consume(&pipe->wire, head_len + len);
    return is_last;
}

static unsigned take_message(struct bench *b, struct fake_pipe *pipe)
{
    unsigned opcode = 0;

    settle(b);
    buf_reset(&pipe->said);
    if (pipe->wire.len == 0)
        return 0;
    while (!take_frame(pipe, &opcode))
        ;
    return opcode;
}

const char *next_message(struct bench *b, struct fake_pipe *pipe)
{
    return take_message(b, pipe) == 0 ? NULL : buf_text(&pipe->said);
}

void said(struct bench *b, struct fake_pipe *pipe, const char *text)
{
    unsigned opcode = take_message(b, pipe);
    assert_string_equal(buf_text(&pipe->said), text);
    assert_int_equal(opcode, 1);
}

void said_bytes(struct bench *b, struct fake_pipe *pipe, const char *data, size_t len)
{
    unsigned opcode = take_message(b, pipe);
    assert_int_equal(opcode, 2);
    assert_int_equal(pipe->said.len, len);
    assert_memory_equal(pipe->said.data, data, len);
}

void silent(struct bench *b, struct fake_pipe *pipe)
{
    settle(b);
    assert_int_equal(pipe->wire.len, 0);
}

void unstall(struct bench *b, struct fake_pipe *pipe)
{
    pipe->is_stalled = false;
    if (!pipe->base.is_full)
        return;
    pipe->base.is_full = false;
    pipe->base.owner->on_drain(&pipe->base);
    settle(b);
}

void closed(struct bench *b, const struct fake_pipe *pipe)
{
    settle(b);
    assert_true(pipe->was_closed);
    assert_int_equal(pipe->code, 0);
}

void still_open(struct bench *b, const struct fake_pipe *pipe)
{
    settle(b);
    assert_false(pipe->was_closed);
}

void hang_up(struct bench *b, struct fake_pipe *pipe, const char *reason)
{
    assert_false(pipe->is_gone);
    pipe->is_gone = true;
    pipe->base.is_closing = true;
    pipe->base.owner->on_closed(&pipe->base, reason);
    settle(b);
}

/* ---- sessions ---- */

static void keep_sid(struct bench *b, const char *packet)
{
    const char *at = strstr(packet, "{\"sid\":\"");

    assert_non_null(at);
    memcpy(b->sid, at + strlen("{\"sid\":\""), EIO_ID_SIZE - 1);
    b->sid[EIO_ID_SIZE - 1] = '\0';
}

void open_polling(struct bench *b, int revision, const char *more_query)
{
    struct fake_exchange *x = NULL;

    snprintf(b->query, sizeof(b->query), "EIO=%d&transport=polling%s", revision,
             more_query);
    x = get(b, b->query);
    settle(b);
    assert_int_equal(x->status, 200);
    keep_sid(b, buf_text(&x->body));
    snprintf(b->query, sizeof(b->query), "EIO=%d&transport=polling&sid=%s", revision,
             b->sid);
}

struct fake_pipe *open_websocket(struct bench *b, int revision)
{
    struct fake_pipe *pipe = NULL;

    snprintf(b->query, sizeof(b->query), "EIO=%d&transport=websocket", revision);
    pipe = dial(b, b->query);
    assert_non_null(pipe);
    keep_sid(b, next_message(b, pipe));
    snprintf(b->query, sizeof(b->query), "EIO=%d&transport=polling&sid=%s", revision,
             b->sid);
    return pipe;
}

struct fake_pipe *join_websocket(struct bench *b)
{
    struct fake_pipe *pipe = open_websocket(b, 4);

    say(b, pipe, "40");
    assert_memory_equal(next_message(b, pipe), "40{\"sid\":\"", 10);
    buf_reset(&b->seen);
    return pipe;
}

void join_polling(struct bench *b)
{
    struct fake_exchange *x = NULL;

    open_polling(b, 4, "");
    post(b, "40");
    x = fetch(b);
    settle(b);
    assert_int_equal(x->status, 200);
    assert_memory_equal(x->body.data, "40{\"sid\":\"", 10);
    buf_reset(&b->seen);
}

struct bytes *events(enum framing framing, int revision, unsigned from, unsigned count)
{
    struct buf out;
    struct bytes *bytes = NULL;

    buf_init(&out, 1 << 24);
    for (unsigned i = 0; i < count; i++) {
        char text[64];
        struct eio_packet packet = {.type = EIO_MESSAGE};
        snprintf(text, sizeof(text), "2[\"n\",%u]", from + i);
        packet.data = slice_of(text);
        eio_encode(&out, framing, revision, 0, &packet);
    }
    bytes = buf_share(&out);
    buf_release(&out);
    return bytes;
}
