/* client.h - HTTP requests to other servers, many at once, on our loop. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_HTTP_CLIENT_H
#define THINKWIRE_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/loop.h"

/*
 *   http_client_start() --> on_headers? --> on_body* --> on_done (exactly once)
 *
 * curl's multi-socket interface on the loop, connections kept alive and reused, one thread.
 * (The server's side of HTTP, struct http_exchange, is base/http.h: another thing.)
 *
 * Callbacks run at the end of a turn, after all sockets that were ready have been read;
 * never inside http_client_start(). Each may start and cancel calls, this one included, and
 * may free the client. Redirects are not followed, cookies are not kept, and only http://
 * and https:// are spoken. Nothing is repeated by this room, with the one exception that
 * curl sends again on a new connection what a server closing a kept-alive connection never
 * began to answer.
 */
struct http_client;
struct http_client_call;

struct http_client_options {
    /* 0 = the default in parentheses */
    size_t max_calls;                /* (10000) running or waiting; more are refused */
    size_t max_connections;          /* (10000) open; calls wait for one */
    size_t max_connections_per_host; /* (0 = no bound of its own) */
    size_t max_idle_connections;     /* (50) kept alive for reuse */
    /* (never) when there was no call for so long, all connections are closed: curl by itself
     * looks at idle ones only when it is asked for the next call */
    uint64_t keep_alive_ms;
    bool uses_proxy;    /* obey http_proxy, https_proxy, no_proxy */
    bool refuses_http2; /* over TLS it is used where the server offers it */
    const char *
        ca_file; /* PEM, instead of the system's; borrowed; NULL or "" = the system's */
};
/* NULL options are the defaults. */
struct http_client *http_client_new(struct loop *loop,
                                    const struct http_client_options *options);
/* Cancels every call (their on_done is told so and must not start another) and closes every
 * connection. NULL is allowed; so is calling it inside a callback. Before loop_free(). */
void http_client_free(struct http_client *client);

enum http_client_outcome {
    HTTP_CLIENT_OK,        /* a whole response was received, whatever its status */
    HTTP_CLIENT_CANCELLED, /* http_client_cancel() or http_client_free() */
    HTTP_CLIENT_REFUSED, /* malformed request or max_calls reached; nothing was sent */
    HTTP_CLIENT_NO_CONNECT, /* name, TCP, TLS or time-out of these; nothing was sent */
    HTTP_CLIENT_TIMED_OUT,  /* total or idle time-out after connecting */
    HTTP_CLIENT_BROKEN,     /* the connection ended or spoke nonsense in the middle */
    HTTP_CLIENT_TOO_LARGE   /* more body than response_limit_bytes */
};
const char *http_client_outcome_text(enum http_client_outcome outcome);

/* Valid during on_done. */
struct http_client_result {
    enum http_client_outcome outcome;
    unsigned status;   /* 0 when no response began */
    struct slice body; /* collected, when on_body is NULL */
    bool was_sent;     /* some of the request left: it may have had an effect */
    bool reused;       /* on a kept-alive connection */
    uint64_t elapsed_ms;
    const char *detail; /* words for an operator, without credentials; never NULL */
};

struct http_client_request {
    const char *method; /* NULL = GET, or POST with a body */
    const char *url;    /* credentials in it are refused: use a header */
    const char
        *unix_socket; /* connect to this path instead of the URL's host, or NULL */
    const char *const *headers; /* "Name: value"; CR, LF and NUL are refused */
    size_t header_count;
    struct slice body; /* copied */
    bool is_sent_once; /* on a new connection: curl has no reason to send it again */
    uint64_t connect_timeout_ms; /* 0 = 10 s */
    uint64_t idle_timeout_ms;    /* without a byte in either direction; 0 = none */
    uint64_t total_timeout_ms;   /* 0 = none */
    size_t
        response_limit_bytes; /* of a collected body (0 = 1 MB); ignored with on_body */

    void (*on_headers)(void *ctx, unsigned status); /* may be NULL */
    void (*on_body)(void *ctx, struct slice data);  /* NULL = collect */
    void (*on_done)(void *ctx, const struct http_client_result *result);
    void *ctx;
};

/* The call is valid until on_done returns. All of `request` is copied. */
struct http_client_call *http_client_start(struct http_client *client,
                                           const struct http_client_request *request);
/* Ends the call at once, upstream too: its on_done is told HTTP_CLIENT_CANCELLED before
 * this returns. */
void http_client_cancel(struct http_client_call *call);
/* A header of the response, from on_headers to on_done; empty when absent. The last one
 * when it was sent more than once. Valid until the next call of this function. */
struct slice http_client_header(struct http_client_call *call, const char *name);

/* When it had a connection and began to leave (loop_now_ms()); 0 = it still waits for one, be
 * it of the bounded pool or of the network. */
uint64_t http_client_sent_ms(const struct http_client_call *call);

/* Calls that have not been told on_done. */
size_t http_client_active(const struct http_client *client);

#endif
