/* call.h - inside the http room: one exchange, and the client that drives it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_HTTP_CALL_H
#define THINKWIRE_HTTP_CALL_H

#include "http/client.h"

#include <curl/curl.h>

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct timer curl_timer;
    struct timer keep_alive; /* runs while there are no calls */
    struct turn_task deliver;
    struct list calls; /* on_done not yet told */
    struct list ready; /* something to tell */
    struct list fds;
    size_t count;
    struct http_client_options options;
    bool is_delivering;
    bool is_doomed; /* freed inside a callback: goes when the delivery unwinds */
};

/*
 * A call is written by curl's callbacks (inbox, headers_in, finished) and told to its owner
 * by http_call_tell() at the end of the turn, so that owners never run inside curl.
 */
struct http_client_call {
    struct list node;       /* in client->calls */
    struct list ready_node; /* in client->ready */
    struct http_client *client;
    CURL *easy;
    bool is_added; /* easy is in the multi */
    struct curl_slist *headers;
    struct buf body_out;
    struct buf inbox; /* received, not yet told; the whole body when collecting */
    struct timer idle;
    uint64_t idle_timeout_ms;
    uint64_t started_ms;
    uint64_t sent_ms; /* 0 = it waits for a connection */
    uint64_t last_byte_ms;
    curl_off_t uploaded; /* when the idle timer last looked */
    unsigned status;
    bool headers_in;
    bool headers_told;
    bool is_paused;
    bool is_finished; /* curl is done with it */
    bool is_told;     /* on_done was called */
    unsigned pins;    /* frames of http_call_tell() that still look at it */
    enum http_client_outcome outcome;
    const char *detail;
    char error_text[CURL_ERROR_SIZE];
    void (*on_headers)(void *ctx, unsigned status);
    void (*on_body)(void *ctx, struct slice data);
    void (*on_done)(void *ctx, const struct http_client_result *result);
    void *ctx;
};

struct http_client_call *http_call_new(struct http_client *client,
                                       const struct http_client_request *request);
/* curl has ended it. */
void http_call_finish(struct http_client_call *call, CURLcode code);
/* Ends it for a reason of our own. */
void http_call_fail(struct http_client_call *call, enum http_client_outcome outcome,
                    const char *detail);
/* Tells the owner what has come; the call may be gone afterwards. */
void http_call_tell(struct http_client_call *call);
void http_call_cancel(struct http_client_call *call);

/* The last call has been told its end: connections are kept for a while. */
void http_client_rest(struct http_client *client);

/* Puts the call on the ready list and the delivery on the turn's end. */
void http_call_ready(struct http_client_call *call);

#endif
