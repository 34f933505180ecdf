/* ws.c - WebSockets: who may have one, whole messages out of what comes in, the close. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "codec/eio.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#define KEY_BYTES      24 /* 16 bytes in base64 */
#define ACCEPT_BYTES   64 /* 28 are needed */
#define CLOSE_PROTOCOL 1002
#define CLOSE_BAD_DATA 1007
#define CLOSE_TOO_BIG  1009

/* ---- the upgrade ---- */

static bool is_key(struct slice key)
{
    if (key.len != KEY_BYTES || memcmp(key.ptr + KEY_BYTES - 2, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < KEY_BYTES - 2; i++) {
        char c = key.ptr[i];
        if (isalnum((unsigned char)c) == 0 && c != '+' && c != '/')
            return false;
    }
    return true;
}

/* 0, or the status of a refusal that needs no route. */
static unsigned judge_request(const struct conn *conn,
                              const struct http_request *request, const char **body)
{
    if (request->method != HTTP_GET) {
        *body = "a WebSocket is opened with GET";
        return 400;
    }
    if (conn->route == NULL) {
        *body = "no WebSocket at this address";
        return 404;
    }
    if (!slice_is(http_header(request, "sec-websocket-version"), "13")) {
        *body = "WebSocket version 13 is spoken here";
        return 426;
    }
    if (!is_key(http_header(request, "sec-websocket-key"))) {
        *body = "malformed Sec-WebSocket-Key";
        return 400;
    }
    if (!origin_may_connect(server_origins(conn->server, conn->route->judges_origins),
                            http_header(request, "origin"),
                            http_header(request, "host"))) {
        counter_add(conn->server->count.foreign_origins, 1);
        *body = "this origin is not allowed";
        return 403;
    }
    return 0;
}

/* RFC 6455 section 4.2.2. */
static void write_accept(struct slice key, struct buf *out)
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_BYTES + sizeof(suffix) - 1];
    unsigned char digest[SHA1_BYTES];
    const void *bytes = digest;

    memcpy(text, key.ptr, KEY_BYTES);
    memcpy(text + KEY_BYTES, suffix, sizeof(suffix) - 1);
    wire_sha1(slice_make(text, sizeof(text)), digest);
    (void)base64_encode(out, slice_make(bytes, sizeof(digest)));
}

/* What came behind the request is read after the owner was told. A subprotocol the client
 * offers is not answered: none is spoken here. Then RFC 6455 leaves it to the client to go
 * on (most libraries) or to fail with a reason (browsers). */
static void open_websocket(struct conn *conn, struct exchange *x, void *token)
{
    struct buf behind = conn->in;
    struct buf accept;

    buf_init(&accept, ACCEPT_BYTES);
    write_accept(http_header(&x->request, "sec-websocket-key"), &accept);
    respond_switch(conn, x, buf_view(&accept));
    buf_release(&accept);
    buf_init(&conn->in, conn->route->message_limit_bytes);
    conn->websocket = mem_new(sizeof(*conn->websocket));
    conn->state = CONN_WEBSOCKET;
    conn_set_paused(conn, false);
    conn->pipe.framing = FRAMING_WS;
    counter_add(conn->server->count.websockets, 1);
    conn->route->on_open(conn->route->ctx, &conn->pipe, token);
    assert(conn->pipe.owner != NULL);
    if (conn->is_retired)
        conn_later(conn, LATER_RETIRE);
    if (behind.len > 0)
        ws_input(conn, (struct ws_bytes){.ptr = behind.data, .len = behind.len});
    buf_release(&behind);
}

void ws_upgrade(struct conn *conn, struct exchange *x)
{
    void *token = NULL;
    const char *body = "";
    const char *content_type = NULL;

    conn->route = server_find_ws_route(conn->server, x->request.path);
    unsigned status = judge_request(conn, &x->request, &body);
    if (status == 0)
        status = conn->route->accept(conn->route->ctx, &x->request, &token, &body,
                                     &content_type);
    if (status != 0) {
        conn->route = NULL;
        respond_ws_refusal(conn, x, status, body, content_type);
        return;
    }
    open_websocket(conn, x, token);
}

void ws_release(struct conn *conn)
{
    if (conn->websocket == NULL)
        return;
    bytes_unref(conn->websocket->pong);
    free(conn->websocket);
    conn->websocket = NULL;
}

/* ---- messages ---- */

static void forget_message(struct conn *conn)
{
    size_t limit = conn->in.limit_bytes;

    buf_release(&conn->in); /* an idle connection keeps no buffer */
    buf_init(&conn->in, limit);
}

static void refuse_message(struct conn *conn, struct counter *counter, unsigned code,
                           const char *reason)
{
    counter_add(counter, 1);
    forget_message(conn);
    pipe_close(&conn->pipe, code, reason);
}

static void deliver(struct conn *conn, const struct ws_part *part, struct slice message)
{
    struct server *server = conn->server;
    bool is_binary = part->opcode == WS_BINARY;

    if (!is_binary && !utf8_is_valid(message.ptr, message.len)) {
        refuse_message(conn, server->count.bad_messages, CLOSE_BAD_DATA,
                       "invalid UTF-8");
        return;
    }
    counter_add(server->count.messages, 1);
    if (conn->pipe.owner->on_message != NULL)
        conn->pipe.owner->on_message(&conn->pipe, message, is_binary);
    forget_message(conn);
}

/* What a frame announces counts at once. */
static bool is_too_long(const struct conn *conn, const struct ws_part *part)
{
    size_t limit = conn->route->message_limit_bytes;
    size_t here = conn->in.len + part->payload.len;

    return here > limit || part->left > limit - here;
}

static void take_part(struct conn *conn, const struct ws_part *part)
{
    if (is_too_long(conn, part)) {
        conn_report(conn, "websocket message too long",
                    conn->route->message_limit_bytes);
        refuse_message(conn, conn->server->count.oversize_message, CLOSE_TOO_BIG,
                       "message too big");
        return;
    }
    if (part->is_last && conn->in.len == 0) {
        deliver(conn, part, part->payload); /* the usual case: no copy */
        return;
    }
    (void)buf_append(&conn->in, part->payload.ptr, part->payload.len);
    if (part->is_last)
        deliver(conn, part, buf_view(&conn->in));
}

/* ---- control frames ---- */

/* While the socket is full only the newest ping will be answered (RFC 6455 section
 * 5.5.3), so pings nobody reads the answers of cost one frame. */
static void answer_ping(struct conn *conn, struct slice payload)
{
    struct websocket *websocket = conn->websocket;
    struct buf frame;

    buf_init(&frame, WS_CONTROL_MAX_BYTES + WS_HEAD_MAX_BYTES);
    (void)ws_frame(&frame, WS_PONG, payload);
    bytes_unref(websocket->pong);
    websocket->pong = buf_share(&frame);
    buf_release(&frame);
    if (conn->rest == NULL)
        (void)ws_flush(conn);
}

bool ws_flush(struct conn *conn)
{
    if (conn->websocket == NULL || conn->websocket->pong == NULL)
        return true;
    struct bytes *pong = conn->websocket->pong;
    conn->websocket->pong = NULL;
    bool is_out = pipe_put(conn, pong);
    bytes_unref(pong);
    return is_out;
}

/* The first close frame of either side is answered with the same code; after the second
 * the connection ends. */
static void take_close(struct conn *conn, struct slice payload)
{
    unsigned code = 0;

    conn->websocket->has_heard_bye = true;
    if (conn->has_said_bye) {
        conn_later(conn, LATER_KILL);
        return;
    }
    if (!ws_close_read(payload, &code)) {
        counter_add(conn->server->count.bad_frames, 1);
        pipe_close(&conn->pipe, CLOSE_PROTOCOL, "malformed close frame");
        return;
    }
    if (code != 0 && !utf8_is_valid(payload.ptr + 2, payload.len - 2)) {
        counter_add(conn->server->count.bad_messages, 1);
        pipe_close(&conn->pipe, CLOSE_BAD_DATA, "invalid UTF-8");
        return;
    }
    pipe_close(&conn->pipe, code, NULL);
}

static void take_control(struct conn *conn, const struct ws_part *part)
{
    if (part->opcode == WS_CLOSE)
        take_close(conn, part->payload);
    else if (part->opcode == WS_PING && !conn->pipe.is_closing)
        answer_ping(conn, part->payload);
}

/* ---- bytes in ---- */

void ws_input(struct conn *conn, struct ws_bytes input)
{
    struct websocket *websocket = conn->websocket;
    struct ws_part part;

    conn->heard++;
    while ((conn->later & LATER_KILL) == 0 && !websocket->has_heard_bye &&
           !websocket->reader.is_broken) {
        enum ws_read what = ws_read(&websocket->reader, &input, &part);
        if (what == WS_READ_MORE)
            return;
        if (what == WS_READ_CONTROL) {
            take_control(conn, &part);
        } else if (what == WS_READ_BROKEN) {
            counter_add(conn->server->count.bad_frames, 1);
            pipe_close(&conn->pipe, CLOSE_PROTOCOL, part.problem);
        } else if (!conn->pipe.is_closing) {
            take_part(conn, &part);
        }
    }
}
