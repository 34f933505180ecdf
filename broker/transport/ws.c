/* ws.c - WebSockets: who may have one, and whole messages out of what comes in. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#define KEY_BYTES           24 /* 16 bytes in base64 */
#define UPGRADES_PER_TURN   64 /* each holds a second descriptor until the turn ends */
#define UPGRADE_LINES_BYTES 2048
#define CLOSE_BAD_DATA      1007
#define CLOSE_TOO_BIG       1009

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

/* A subprotocol the client offers is not answered: none is spoken here. Then RFC 6455
 * leaves it to the client to go on (most libraries) or to fail with a reason
 * (browsers). */
static void accept_upgrade(struct conn *conn, const struct http_request *request,
                           void *token)
{
    struct upgrade *upgrade = mem_new(sizeof(*upgrade));

    upgrade->token = token;
    memcpy(upgrade->key, http_header(request, "sec-websocket-key").ptr, KEY_BYTES);
    buf_init(&upgrade->lines, UPGRADE_LINES_BYTES);
    buf_puts(&upgrade->lines, "X-Request-Id: ");
    buf_slice(&upgrade->lines, request->id);
    buf_puts(&upgrade->lines, "\r\n");
    origin_write_lines(server_origins(conn->server, conn->route->judges_origins),
                       http_header(request, "origin"), http_header(request, "host"),
                       &upgrade->lines);
    conn->upgrade = upgrade;
    conn->state = CONN_UPGRADE;
    list_push_back(&conn->server->upgrades, &conn->queue);
    turn_defer(conn->server->loop, &conn->server->upgrade_task);
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
    accept_upgrade(conn, &x->request, token);
    conn->exchange = NULL;
    exchange_free(x);
}

static void free_upgrade(struct conn *conn)
{
    buf_release(&conn->upgrade->lines);
    free(conn->upgrade);
    conn->upgrade = NULL;
}

void ws_abandon(struct conn *conn)
{
    void *token = conn->upgrade->token;

    free_upgrade(conn);
    conn->route->on_open(conn->route->ctx, NULL, token);
}

bool ws_add_lines(struct conn *conn, char **at, size_t room)
{
    const struct buf *lines = conn->upgrade == NULL ? NULL : &conn->upgrade->lines;

    if (lines == NULL || lines->failed || lines->len >= room)
        return false;
    memcpy(*at, lines->data, lines->len);
    *at += lines->len;
    return true;
}

static void open_websocket(struct conn *conn)
{
    void *token = conn->upgrade->token;
    int fd = wire_duplicate(conn);

    if (fd < 0) {
        counter_add(conn->server->count.refused_files, 1);
        ws_abandon(conn);
        conn->route = NULL;
        respond_refusal(conn, 503, "UNAVAILABLE", "out of file descriptors");
        return;
    }
    if (!wire_adopt_ws(conn, fd)) {
        conn_finish(conn, "transport error");
        return;
    }
    free_upgrade(conn);
    buf_init(&conn->in, conn->route->message_limit_bytes);
    conn->state = CONN_WEBSOCKET;
    conn->is_paused = false; /* a new handle reads */
    conn->pipe.framing = FRAMING_WS;
    counter_add(conn->server->count.websockets, 1);
    conn->route->on_open(conn->route->ctx, &conn->pipe, token);
    assert(conn->pipe.owner != NULL);
    if (conn->is_retired)
        conn_later(conn, LATER_RETIRE);
}

void ws_run_upgrades(struct turn_task *task)
{
    struct server *server = LIST_ENTRY(task, struct server, upgrade_task);

    for (int i = 0; i < UPGRADES_PER_TURN && !list_is_empty(&server->upgrades); i++) {
        struct conn *conn = LIST_ENTRY(server->upgrades.next, struct conn, queue);
        list_remove(&conn->queue);
        open_websocket(conn);
    }
    if (!list_is_empty(&server->upgrades))
        turn_defer(server->loop, &server->upgrade_task);
}

/* ---- messages ---- */

/* libwebsockets 4.1.6 takes unmasked frames from clients too, which RFC 6455
 * section 5.1 forbids, and does not tell. Masking protects proxies from pages, not us. */

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

static void deliver(struct conn *conn, struct slice message)
{
    struct server *server = conn->server;

    if (!conn->is_binary && !utf8_is_valid(message.ptr, message.len)) {
        refuse_message(conn, server->count.bad_messages, CLOSE_BAD_DATA,
                       "invalid UTF-8");
        return;
    }
    counter_add(server->count.messages, 1);
    if (conn->pipe.owner->on_message != NULL)
        conn->pipe.owner->on_message(&conn->pipe, message, conn->is_binary);
    forget_message(conn);
}

/* What a frame announces counts at once. */
static bool is_too_long(const struct conn *conn, size_t len)
{
    size_t limit = conn->route->message_limit_bytes;
    size_t here = conn->in.len + len;

    return here > limit || wire_frame_left(conn) > limit - here;
}

void ws_receive(struct conn *conn, const char *data, size_t len)
{
    struct server *server = conn->server;

    conn->heard++;
    if (conn->pipe.owner == NULL || conn->pipe.is_closing)
        return;
    if (wire_message_is_first(conn)) {
        forget_message(conn);
        conn->is_binary = wire_message_is_binary(conn);
    }
    bool is_final = wire_message_is_final(conn);
    if (is_too_long(conn, len)) {
        conn_report(conn, "websocket message too long",
                    conn->route->message_limit_bytes);
        refuse_message(conn, server->count.oversize_message, CLOSE_TOO_BIG,
                       "message too big");
        return;
    }
    if (is_final && conn->in.len == 0) {
        deliver(conn, slice_make(data, len)); /* the usual case: no copy */
        return;
    }
    (void)buf_append(&conn->in, data, len);
    if (is_final)
        deliver(conn, buf_view(&conn->in));
}
