/* http_far.h - a broker's HTTP interface, seen from a publisher. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_LIB_HTTP_FAR_H
#define THINKWIRE_LIB_HTTP_FAR_H

#include "emitters/lib/sink.h"

/* Both HTTP sinks embed one; it carries one request at a time. */
struct http_far {
    struct http_client *client;
    struct http_client_call *call; /* in flight */
    char *base_url;
    char *unix_socket;
    char **headers;
    size_t header_count;
    uint64_t timeout_ms;
    char *trouble; /* or NULL */
    bool is_looking;
};

typedef void http_far_done(void *ctx, const struct http_client_result *result);

void http_far_init(struct http_far *far, struct http_client *client,
                   const struct sink_http_options *options);
/* Cancels what is in flight; its `done` is called and must expect that. */
void http_far_release(struct http_far *far);

/* POST /v1/tasks/{id}/events. `epoch` 0: the run is opened. Producer and counter are told
 * only when the request has a producer. */
void http_far_post(struct http_far *far, const struct publish_request *request,
                   http_far_done *done, void *ctx);
/* GET /v1/tasks/{id} */
void http_far_get(struct http_far *far, const struct task_key *task,
                  http_far_done *done, void *ctx);

enum post_outcome {
    POST_ANSWERED,    /* the result says all */
    POST_NOT_WRITTEN, /* surely nothing was written */
    POST_UNKNOWN      /* the answer is missing */
};
/* Notes what is wrong with the far end; for every answer. */
void http_far_note(struct http_far *far, const struct http_client_result *http);
/* Reads the answer to a POST. */
enum post_outcome http_far_judge(const struct http_client_result *http,
                                 struct publish_result *result);
/* Reads a string member that is an event id. */
bool http_far_read_id(struct slice body, const char *name, struct event_id *id);

#endif
