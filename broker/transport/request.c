/* request.c - bytes in, requests out: heads, bodies, routes. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include "base/clock.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>

#define REQUEST_ID_MAX_BYTES 128
/* A refused body up to this is read and dropped, so that the connection lives on. */
#define DISCARD_MAX_BYTES ((size_t)1024 * 1024)

/* ---- the exchange: one allocation with head, headers and body ---- */

static void tell_body(struct exchange *x, enum http_body_phase phase)
{
    if (x->route->on_body == NULL)
        return;
    x->is_awaited = phase == HTTP_BODY_BEGUN;
    x->route->on_body(x->route->ctx, &x->request, phase);
}

void exchange_free(struct exchange *x)
{
    if (x != NULL && x->is_awaited)
        tell_body(x, HTTP_BODY_DROPPED);
    free(x);
}

static struct slice rebase(struct slice s, const char *from, char *to)
{
    return s.ptr == NULL ? s : slice_make(to + (s.ptr - from), s.len);
}

static bool is_request_id(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (isalnum((unsigned char)c) == 0 && c != '.' && c != '_' && c != '-')
            return false;
    }
    return id.len > 0 && id.len <= REQUEST_ID_MAX_BYTES;
}

struct slice request_make_id(char out[REQUEST_ID_SIZE])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
    unsigned char random[REQUEST_ID_SIZE - 4];

    random_bytes(random, sizeof(random));
    for (size_t i = 0; i < 4; i++)
        out[i] = "req_"[i];
    for (size_t i = 0; i < sizeof(random); i++)
        out[4 + i] = digits[random[i] & 31];
    return slice_make(out, REQUEST_ID_SIZE);
}

static void name_request(struct exchange *x)
{
    x->request.id = http_header(&x->request, "x-request-id");
    if (!is_request_id(x->request.id))
        x->request.id = request_make_id(x->made_id);
}

/* Takes the head's bytes out of conn->in. The body, if any, has its room but is to
 * come. */
static struct exchange *exchange_new(struct conn *conn, const struct h1_head *head,
                                     size_t head_len, size_t body_len)
{
    size_t table = head->header_count * sizeof(struct http_header);
    struct exchange *x = mem_new(sizeof(*x) + table + head_len + body_len + 1);
    char *text = (char *)x + sizeof(*x) + table;
    const char *from = conn->in.data;

    memcpy(text, from, head_len);
    for (size_t i = 0; i < head->header_count; i++) {
        x->headers[i].name = rebase(head->headers[i].name, from, text);
        x->headers[i].value = rebase(head->headers[i].value, from, text);
    }
    x->pub.ops = &exchange_ops;
    x->pub.request = &x->request;
    x->conn = conn;
    x->body = text + head_len;
    x->request = (struct http_request){
        .method = head->method,
        .is_http10 = head->is_http10,
        .path = rebase(head->path, from, text),
        .query = rebase(head->query, from, text),
        .body = slice_make(x->body, body_len),
        .peer = slice_of(conn->peer->text),
        .headers = x->headers,
        .header_count = head->header_count,
    };
    name_request(x);
    buf_consume(&conn->in, head_len);
    conn->scanned = 0;
    return x;
}

/* ---- dispatch ---- */

static void hand_over(struct conn *conn, struct exchange *x)
{
    conn->state = CONN_BUSY;
    deadline_clear(conn);
    x->is_awaited = false;
    x->route->handler(x->route->ctx, &x->pub);
    if (conn->exchange == x)
        x->is_kept = true;
    if (conn->is_retired)
        conn_later(conn, LATER_RETIRE);
}

/* Takes what belongs to the body; answers how much that was. */
static size_t fill_body(struct exchange *x, const char *data, size_t len)
{
    size_t want = x->request.body.len - x->body_got;
    size_t part = len < want ? len : want;

    if (part > 0)
        memcpy(x->body + x->body_got, data, part);
    x->body_got += part;
    return part;
}

static void finish_body(struct conn *conn)
{
    struct exchange *x = conn->exchange;

    if (x->body_got == x->request.body.len)
        hand_over(conn, x);
}

/* A body that no handler will see: read and thrown away when it is short and on its
 * way, else the connection ends with the answer. */
static void skip_body(struct conn *conn, const struct h1_head *head)
{
    if (head->wants_continue || head->content_length > DISCARD_MAX_BYTES) {
        conn->closes = conn->closes || head->content_length > 0;
        return;
    }
    size_t length = (size_t)head->content_length;
    size_t here = conn->in.len < length ? conn->in.len : length;
    buf_consume(&conn->in, here);
    conn->discard = length - here;
}

static void refuse_body(struct conn *conn, struct exchange *x,
                        const struct h1_head *head)
{
    counter_add(conn->server->count.oversize_body, 1);
    conn_report(conn, "request body too long", x->route->body_limit_bytes);
    skip_body(conn, head);
    http_respond_error(&x->pub, 413, "PAYLOAD_TOO_LARGE",
                       "the request body is longer than this address takes", NULL);
}

static void answer_preflight(struct conn *conn, struct exchange *x)
{
    const struct http_request *request = &x->request;
    bool judges_itself = x->route != NULL && x->route->judges_origins;
    struct buf lines;

    if (!origin_may_connect(server_origins(conn->server, judges_itself),
                            http_header(request, "origin"),
                            http_header(request, "host"))) {
        counter_add(conn->server->count.foreign_origins, 1);
        http_respond_error(&x->pub, 403, "ORIGIN_NOT_ALLOWED",
                           "this origin is not in --origins", NULL);
        return;
    }
    buf_init(&lines, 4096);
    origin_write_preflight(request, &lines);
    http_respond(&x->pub, 204, buf_text(&lines), slice_make(NULL, 0));
    buf_release(&lines);
}

static void answer_unrouted(struct conn *conn, struct exchange *x)
{
    if (server_find_ws_route(conn->server, x->request.path) != NULL)
        http_respond_error(&x->pub, 426, "UPGRADE_REQUIRED",
                           "this address speaks WebSocket only", NULL);
    else
        http_respond_error(&x->pub, 404, "NOT_FOUND", "no such address", NULL);
}

static void start_body(struct conn *conn, const struct h1_head *head)
{
    const char *data = conn->in.data;
    size_t len = conn->in.len;

    conn->state = CONN_BODY;
    deadline_set(conn, WAIT_BODY);
    if (head->wants_continue && len == 0)
        respond_continue(conn);
    size_t taken = fill_body(conn->exchange, data, len);
    buf_consume(&conn->in, taken);
    /* With the body all here, what stands behind it are more requests: settle() knows. */
    if (conn->exchange->body_got < conn->exchange->request.body.len) {
        conn_set_paused(conn, false);
        tell_body(conn->exchange, HTTP_BODY_BEGUN);
    }
    finish_body(conn);
}

static void dispatch(struct conn *conn, struct exchange *x, const struct h1_head *head)
{
    conn->exchange = x;
    conn->state = CONN_BUSY;
    conn->requests++;
    conn->closes = head->wants_close || conn->is_retired ||
                   conn->requests >= conn->server->options.keepalive_requests;
    if (conn->requests == conn->server->options.keepalive_requests)
        counter_add(conn->server->count.retired, 1);
    deadline_clear(conn);
    if (head->is_upgrade && head->content_length > 0) {
        conn->closes = true;
        http_respond_error(&x->pub, 400, "BAD_REQUEST", "an upgrade has no body", NULL);
        return;
    }
    if (head->is_upgrade) {
        ws_upgrade(conn, x);
        return;
    }
    x->route = server_find_route(conn->server, x->request.path);
    if (origin_is_preflight(&x->request)) {
        skip_body(conn, head);
        answer_preflight(conn, x);
        return;
    }
    if (x->route == NULL) {
        skip_body(conn, head);
        answer_unrouted(conn, x);
    } else if (head->content_length > x->route->body_limit_bytes) {
        refuse_body(conn, x, head);
    } else if (head->content_length > 0) {
        start_body(conn, head);
    } else {
        hand_over(conn, x);
    }
}

/* ---- heads ---- */

static bool needs_length(const struct h1_head *head)
{
    return head->method == HTTP_POST || head->method == HTTP_PUT ||
           head->method == HTTP_PATCH;
}

static void refuse_head(struct conn *conn, unsigned status, const char *why)
{
    const char *code = status == 431   ? "HEADERS_TOO_LARGE"
                       : status == 505 ? "HTTP_VERSION_NOT_SUPPORTED"
                                       : "BAD_REQUEST";

    counter_add(status == 431 ? conn->server->count.oversize_head
                              : conn->server->count.bad_requests,
                1);
    respond_refusal(conn, status, code, why);
}

/* Reads one request out of conn->in; false when there is none yet or will be none. */
static bool next_request(struct conn *conn)
{
    struct h1_head head;
    const char *why = NULL;
    size_t len = h1_head_length(buf_view(&conn->in), &conn->scanned);

    if (len == 0 && conn->in.len <= H1_HEAD_MAX_BYTES)
        return false;
    if (len == 0 || len > H1_HEAD_MAX_BYTES) {
        refuse_head(conn, 431, "the request head is longer than 16 KB");
        return false;
    }
    unsigned status = h1_parse(conn->in.data, len, &head, &why);
    if (status != 0) {
        refuse_head(conn, status, why);
        return false;
    }
    if (head.has_transfer_encoding || (needs_length(&head) && !head.has_length)) {
        counter_add(conn->server->count.bad_requests, 1);
        respond_refusal(conn, 411, "LENGTH_REQUIRED",
                        "send the body with Content-Length and without "
                        "Transfer-Encoding");
        return false;
    }
    const struct http_route *route = server_find_route(conn->server, head.path);
    bool has_body = route != NULL && head.content_length <= route->body_limit_bytes &&
                    !head.is_upgrade;
    dispatch(conn,
             exchange_new(conn, &head, len, has_body ? (size_t)head.content_length : 0),
             &head);
    return true;
}

/* Between requests: the memory goes, the clock is set. */
static void settle(struct conn *conn)
{
    if (conn->in.len == 0) {
        size_t limit = conn->in.limit_bytes;
        buf_release(&conn->in);
        buf_init(&conn->in, limit);
        conn->scanned = 0;
    }
    if (conn->in.len < H1_HEAD_MAX_BYTES)
        conn_set_paused(conn, false);
    enum wait_kind kind = conn->discard > 0                         ? WAIT_BODY
                          : conn->in.len > 0 || conn->requests == 0 ? WAIT_HEAD
                                                                    : WAIT_KEEPALIVE;
    /* A head that trickles in does not win time with each byte. */
    if (!list_is_linked(&conn->wait) || conn->wait_kind != kind)
        deadline_set(conn, kind);
}

/* The stream has ended on our side and its last byte is out. */
static void end_stream(struct conn *conn)
{
    const struct pipe_owner *owner = conn->pipe.owner;

    conn->server->count.streams->value--;
    owner->on_closed(&conn->pipe, "transport close");
    conn->pipe.owner = NULL;
    conn->pipe.is_closing = false;
    conn->pipe.is_full = false;
    conn->is_ending = false;
    conn->has_said_bye = false;
    respond_done(conn);
}

void request_advance(struct conn *conn)
{
    if (conn->is_advancing || (conn->later & LATER_KILL) != 0)
        return;
    conn->is_advancing = true;
    if (conn->state == CONN_STREAM && conn->has_said_bye)
        end_stream(conn);
    while (conn->state == CONN_HEAD && conn->discard == 0 && conn->in.len > 0 &&
           next_request(conn)) {
    }
    if (conn->state == CONN_HEAD)
        settle(conn);
    conn->is_advancing = false;
}

bool request_input(struct conn *conn, const char *data, size_t len)
{
    if (conn->state == CONN_LINGER || (conn->later & LATER_KILL) != 0)
        return true;
    bool was_body = conn->state == CONN_BODY;
    size_t skip = conn->discard < len ? (size_t)conn->discard : len;
    conn->discard -= skip;
    if (was_body)
        skip = fill_body(conn->exchange, data, len);
    if (len > skip && !buf_append(&conn->in, data + skip, len - skip))
        return false;
    if (was_body)
        finish_body(conn);
    if (conn->state == CONN_HEAD)
        request_advance(conn);
    else if (conn->state != CONN_WEBSOCKET && conn->in.len >= H1_HEAD_MAX_BYTES)
        conn_set_paused(conn, true); /* and do not hear it go until we read again */
    return true;
}
