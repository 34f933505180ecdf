/* http.h - one HTTP exchange as the rooms above the transport see it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_HTTP_H
#define THINKWIRE_BASE_HTTP_H

#include "base/buf.h"
#include "base/pipe.h"

/*
 *   transport --handler(exchange)--> api / engine
 *             <--http_respond()-----   a whole answer, now or later (long poll), or
 *             <--http_stream()------   headers now, then a pipe
 *
 * Every exchange gets exactly one of the two, or is closed by the peer first: then
 * on_closed is called and the exchange is gone.
 */
enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER
};

/* A request, whole, with its body. Owned by the transport; all slices live until the
 * exchange ends. Header names are lower case. */
struct http_request {
    enum http_method method;
    bool is_http10;
    bool is_tls;
    struct slice path;  /* decoded once by the transport, begins with '/', no NUL */
    struct slice query; /* raw, without '?' */
    struct slice body;
    struct slice peer; /* "127.0.0.1" or "unix" */
    struct slice id;   /* X-Request-Id: the client's if well-formed, else made here */
    const struct http_header *headers;
    size_t header_count;
};

struct http_header {
    struct slice name;
    struct slice value;
};

/* The value of the first header called `lower_name`, or an empty slice with NULL ptr. */
struct slice http_header(const struct http_request *request, const char *lower_name);
/* Walks the query: sets percent-decoded name and value ('+' is a space) in `scratch`
 * (reset at each step). *at starts at 0. False at the end; parts that do not decode are
 * passed over. */
bool http_query_next(struct slice query, size_t *at, struct buf *scratch,
                     struct slice *name, struct slice *value);
/* The last value of `name`, decoded into `out` (reset first). False when it is absent. */
bool http_query_get(struct slice query, const char *name, struct buf *out);
/* Appends `text` percent-decoded; false on a bad escape, a NUL or when `out` is full. */
bool http_percent_decode(struct slice text, struct buf *out);
/* The value of cookie `name` in a Cookie header, or NULL ptr. */
struct slice http_cookie(struct slice cookie_header, const char *name);

struct http_exchange;

struct http_exchange_ops {
    void (*respond)(struct http_exchange *x, unsigned status, const char *headers,
                    struct slice body);
    struct pipe *(*stream)(struct http_exchange *x, unsigned status,
                           const char *headers, const struct pipe_owner *owner,
                           void *owner_data);
};

struct http_exchange {
    const struct http_exchange_ops *ops;
    const struct http_request *request;
    /* Set by a handler that keeps the exchange: called when the peer goes away before the
     * answer; the exchange is freed afterwards. Not called once it was answered. */
    void (*on_closed)(struct http_exchange *x);
    /* May be set by a handler that keeps the exchange without an end in sight: the broker is
     * about to end, answer now. NULL: the answer is waited for. */
    void (*on_retire)(struct http_exchange *x);
    void *owner_data;
    /* Set by a handler whose clients need this very process: while it is about to end, the
     * connection lasts until its turn has come, not only until this answer. */
    bool is_bound;
};

/* Answers whole and ends the exchange (it is gone when this returns). `headers` are extra
 * lines "name: value\r\n" (may be ""), trusted text; Content-Length, X-Request-Id, Date and
 * the CORS lines are added by the transport. Body is copied. */
static inline void http_respond(struct http_exchange *x, unsigned status,
                                const char *headers, struct slice body)
{
    x->ops->respond(x, status, headers, body);
}

/* Sends status and headers at once and turns the exchange into a pipe (FRAMING_CHUNKED, or
 * FRAMING_PLAIN for HTTP/1.0). The exchange is gone when this returns; NULL when the
 * connection died (owner is not told). */
static inline struct pipe *http_stream(struct http_exchange *x, unsigned status,
                                       const char *headers,
                                       const struct pipe_owner *owner, void *owner_data)
{
    return x->ops->stream(x, status, headers, owner, owner_data);
}

/* {"error":{"code":code,"message":message[,"field":field]}} with `status`. `field` may be
 * NULL. The message is our own text, never a peer's bytes. */
void http_respond_error(struct http_exchange *x, unsigned status, const char *code,
                        const char *message, const char *field);

/* ---- routes: registered by the broker at start ---- */

/* Called with the whole request. Must answer, stream, or keep `x` with on_closed set. */
typedef void http_handler(void *ctx, struct http_exchange *x);

/* A body that does not come with its head: it has begun, or will never be whole. When it is
 * whole the handler is called with the same request. */
enum http_body_phase { HTTP_BODY_BEGUN, HTTP_BODY_DROPPED };

struct http_route {
    /* Exact path, or with `is_prefix` everything below it (prefix ends with '/'). The
     * longest match wins. */
    const char *path;
    bool is_prefix;
    size_t body_limit_bytes; /* a longer body is answered 413 by the transport */
    http_handler *handler;
    void *ctx;
    /* The handler judges origins itself: the transport lets any pass and tells browsers
     * so, credentials included. */
    bool judges_origins;
    /* May be NULL: for who must know of requests that are still on their way. May not answer.
     */
    void (*on_body)(void *ctx, const struct http_request *request,
                    enum http_body_phase phase);
};

/* Decides on a WebSocket upgrade. Answer 0 to accept: then on_open follows with the pipe,
 * whose owner must be set there. Otherwise an HTTP status (400..599): the transport answers
 * it with `*body` (static text) and `*content_type` and closes. `*token` is handed to
 * on_open, which always follows. */
struct ws_route {
    const char *path;
    bool is_prefix;
    size_t message_limit_bytes; /* a longer message closes the pipe with 1009 */
    unsigned (*accept)(void *ctx, const struct http_request *request, void **token,
                       const char **body, const char **content_type);
    void (*on_open)(void *ctx, struct pipe *pipe, void *token);
    void *ctx;
    bool judges_origins; /* as that of a http_route */
};

#endif
