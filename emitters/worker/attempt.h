/* attempt.h - one call to a provider: its request, its bounds in time, what it says. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_ATTEMPT_H
#define THINKWIRE_WORKER_ATTEMPT_H

#include "base/loop.h"
#include "http/client.h"
#include "stream.h"

/*
 *      attempt_start() --> on_value()* --> on_done(), exactly once
 *
 * What the model says is told as it comes; how it ended is told once: a whole answer, or a
 * failure by class. A provider that has told its end but keeps the connection busy is not
 * waited for: on_done comes at once, the connection is given a moment to become reusable.
 *
 *      start      connected       first token         token       end
 *        |--connect--|                |                 |          |
 *                    |--first_token---|------idle-------|--idle----|
 *                    |--------------------total--------------------|
 *
 * A call that waits for a connection of the pool waits as long as it might for a first token;
 * then it is FAILURE_RATE_LIMITED, which is nobody's fault.
 *
 * Comments and pings keep the connection, not the timers for tokens.
 */
struct attempt_times { /* milliseconds; 0 = no bound of this kind */
    uint64_t connect;
    uint64_t first_token; /* from when the request left */
    uint64_t idle;        /* between two tokens */
    uint64_t total;
    uint64_t plain; /* instead of the three above when not streaming */
};

struct attempt_result {
    /* NULL: the answer is whole. Valid during the call. */
    const struct failure *failure;
    bool has_answer;
    enum stream_finish finish;
    uint64_t first_token_ms; /* from the start; 0 = there was none */
    uint64_t elapsed_ms;
    unsigned status; /* HTTP; 0 = no answer began */
    bool reused;     /* on a kept-alive connection */
};

struct attempt_request {
    enum provider_api api;
    bool is_plain; /* not streaming */
    const char *url;
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    struct slice body; /* JSON */
    struct attempt_times times;
    size_t limit_bytes; /* of an event, a document, an error body */
    /* Never STREAM_DONE or STREAM_FAILED. May cancel the attempt at the end of the turn only,
     * not from inside. */
    void (*on_value)(void *ctx, const struct stream_value *value);
    /* On the loop, not from inside attempt_start(). The attempt is gone when it returns. */
    void (*on_done)(void *ctx, const struct attempt_result *result);
    void *ctx;
};

struct attempt;
/* All of `request` is copied. */
struct attempt *attempt_start(struct loop *loop, struct http_client *client,
                              const struct attempt_request *request);
/* Ends the call at once, upstream too. on_done is not called. */
void attempt_cancel(struct attempt *attempt);

#endif
