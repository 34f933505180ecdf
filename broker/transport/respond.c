/* respond.c - answers out: status line, common lines, body or stream. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include "base/quote.h"

#include <sys/socket.h>

/* The lines of one answer, ours and the handler's. */
#define LINES_MAX_BYTES 32768
/* An error body of our own. */
#define ERROR_MAX_BYTES 1024

/* What is to be said; `x` is NULL when the request could not be read. */
struct answer {
    const struct exchange *x;
    unsigned status;
    const char *headers;
    struct slice body;
    bool is_stream;
};

/* ---- the head of an answer ---- */

static bool is_head_request(const struct answer *answer)
{
    return answer->x != NULL && answer->x->request.method == HTTP_HEAD;
}

/* Statuses that end with their head (RFC 9112 section 6.3). */
static bool has_no_body(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

static void write_origin(const struct conn *conn, const struct answer *answer,
                         struct buf *out)
{
    struct slice origin = slice_make(NULL, 0);
    struct slice host = slice_make(NULL, 0);
    bool judges_itself = false;

    if (answer->x != NULL) {
        origin = http_header(&answer->x->request, "origin");
        host = http_header(&answer->x->request, "host");
        judges_itself = answer->x->route != NULL && answer->x->route->judges_origins;
    }
    origin_write_lines(server_origins(conn->server, judges_itself), origin, host, out);
}

static void write_framing(const struct conn *conn, const struct answer *answer,
                          struct buf *out)
{
    if (answer->is_stream && !answer->x->request.is_http10)
        buf_puts(out, "Transfer-Encoding: chunked\r\n");
    else if (!answer->is_stream && !has_no_body(answer->status))
        buf_printf(out, "Content-Length: %zu\r\n", answer->body.len);
    buf_puts(out, conn->closes ? "Connection: close\r\n\r\n"
                               : "Connection: keep-alive\r\n\r\n");
}

static struct bytes *write_answer(struct conn *conn, const struct answer *answer)
{
    struct buf head;
    char made_id[REQUEST_ID_SIZE];
    bool has_body = !is_head_request(answer) && !has_no_body(answer->status);
    size_t body_len = has_body ? answer->body.len : 0;

    buf_init(&head, LINES_MAX_BYTES);
    buf_printf(&head, "HTTP/1.1 %u %s\r\nDate: %s\r\n", answer->status,
               h1_phrase(answer->status), server_date(conn->server));
    buf_puts(&head, answer->headers);
    buf_puts(&head, "X-Request-Id: ");
    if (answer->x != NULL)
        buf_slice(&head, answer->x->request.id);
    else
        buf_slice(&head, request_make_id(made_id));
    buf_puts(&head, "\r\n");
    write_origin(conn, answer, &head);
    write_framing(conn, answer, &head);
    struct bytes *bytes = bytes_new(head.len + body_len);
    memcpy(bytes->data, head.data, head.len);
    if (body_len > 0)
        memcpy(bytes->data + head.len, answer->body.ptr, body_len);
    buf_release(&head);
    return bytes;
}

/* While the server drains, a connection ends with its answer or when its turn has come. */
static void consider_draining(struct conn *conn, const struct answer *answer)
{
    bool is_bound = answer->x != NULL && answer->x->pub.is_bound;

    if (conn->server->is_draining && !is_bound)
        conn->closes = true;
}

static void count_answer(const struct conn *conn, unsigned status)
{
    counter_add(conn->server->count.answers[status < 600 ? status / 100 : 5], 1);
}

/* ---- whole answers ---- */

/* The peer may still be sending; closing at once would reset the connection and could
 * take the answer with it. So we end our side and read on until it ends its own. */
static void linger(struct conn *conn)
{
    conn->state = CONN_LINGER;
    conn_set_paused(conn, false);
    buf_release(&conn->in);
    if (conn->wsi != NULL)
        (void)shutdown(wire_fd(conn), SHUT_WR);
    deadline_set(conn, WAIT_CLOSE);
}

void respond_done(struct conn *conn)
{
    if (conn->closes) {
        linger(conn);
        return;
    }
    conn->state = CONN_HEAD;
    if (!conn->is_advancing)
        conn_later(conn, LATER_ADVANCE);
}

static void send_answer(struct conn *conn, const struct answer *answer)
{
    struct bytes *bytes;

    consider_draining(conn, answer);
    bytes = write_answer(conn, answer);
    count_answer(conn, answer->status);
    conn->state = CONN_ANSWER;
    deadline_set(conn, WAIT_BODY);
    if (pipe_put(conn, bytes))
        respond_done(conn);
    bytes_unref(bytes);
}

static void respond(struct http_exchange *pub, unsigned status, const char *headers,
                    struct slice body)
{
    struct exchange *x = (struct exchange *)(void *)pub;
    struct conn *conn = x->conn;

    conn->exchange = NULL;
    send_answer(conn, &(struct answer){
                          .x = x,
                          .status = status,
                          .headers = headers,
                          .body = body,
                      });
    exchange_free(x);
}

void respond_refusal(struct conn *conn, unsigned status, const char *code,
                     const char *message)
{
    struct buf body;

    exchange_free(conn->exchange); /* its body was still to come: nobody has it */
    conn->exchange = NULL;
    conn->closes = true;
    buf_init(&body, ERROR_MAX_BYTES);
    buf_puts(&body, "{\"error\":{\"code\":");
    quote_json(&body, slice_of(code));
    buf_puts(&body, ",\"message\":");
    quote_json(&body, slice_of(message));
    buf_puts(&body, "}}");
    send_answer(conn, &(struct answer){
                          .status = status,
                          .headers = "Content-Type: application/json\r\n",
                          .body = buf_view(&body),
                      });
    buf_release(&body);
}

void respond_switch(struct conn *conn, struct exchange *x, struct slice accept)
{
    const struct http_request *request = &x->request;
    struct buf head;

    buf_init(&head, LINES_MAX_BYTES);
    buf_puts(&head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    buf_slice(&head, accept);
    buf_puts(&head, "\r\nX-Request-Id: ");
    buf_slice(&head, request->id);
    buf_puts(&head, "\r\n");
    origin_write_lines(server_origins(conn->server, conn->route->judges_origins),
                       http_header(request, "origin"), http_header(request, "host"),
                       &head);
    buf_puts(&head, "\r\n");
    struct bytes *bytes = buf_share(&head);
    buf_release(&head);
    conn->exchange = NULL;
    exchange_free(x);
    count_answer(conn, 101);
    (void)pipe_put(conn, bytes);
    bytes_unref(bytes);
}

void respond_ws_refusal(struct conn *conn, struct exchange *x, unsigned status,
                        const char *body, const char *content_type)
{
    struct buf headers;

    conn->closes = true;
    buf_init(&headers, ERROR_MAX_BYTES);
    buf_printf(&headers, "Content-Type: %s\r\n%s",
               content_type != NULL ? content_type : "text/plain; charset=utf-8",
               status == 426 ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                             : "");
    http_respond(&x->pub, status, buf_text(&headers), slice_of(body));
    buf_release(&headers);
}

void respond_continue(struct conn *conn)
{
    static const char lines[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct bytes *bytes = bytes_copy(lines, sizeof(lines) - 1);

    count_answer(conn, 100);
    (void)pipe_put(conn, bytes);
    bytes_unref(bytes);
}

/* ---- streams ---- */

static struct pipe *stream(struct http_exchange *pub, unsigned status,
                           const char *headers, const struct pipe_owner *owner,
                           void *owner_data)
{
    struct exchange *x = (struct exchange *)(void *)pub;
    struct conn *conn = x->conn;

    if (x->request.method == HTTP_HEAD || conn->wsi == NULL ||
        (conn->later & LATER_KILL) != 0) {
        respond(pub, status, headers, slice_make(NULL, 0));
        return NULL;
    }
    /* HTTP/1.0 knows no chunks: the body ends with the connection. */
    bool is_plain = x->request.is_http10;
    conn->closes = conn->closes || is_plain;
    struct bytes *bytes = write_answer(conn, &(struct answer){
                                                 .x = x,
                                                 .status = status,
                                                 .headers = headers,
                                                 .is_stream = true,
                                             });
    conn->exchange = NULL;
    exchange_free(x);
    count_answer(conn, status);
    conn->state = CONN_STREAM;
    conn->pipe.framing = is_plain ? FRAMING_PLAIN : FRAMING_CHUNKED;
    conn->pipe.is_full = !pipe_put(conn, bytes);
    bytes_unref(bytes);
    if ((conn->later & LATER_KILL) != 0)
        return NULL;
    conn->pipe.is_closing = false;
    conn->pipe.owner = owner;
    conn->pipe.owner_data = owner_data;
    counter_add(conn->server->count.streams, 1);
    return &conn->pipe;
}

const struct http_exchange_ops exchange_ops = {.respond = respond, .stream = stream};
