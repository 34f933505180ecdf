/* internal.h - what the files of this room share; nobody else includes it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_API_INTERNAL_H
#define THINKWIRE_API_INTERNAL_H

#include "api/api.h"

#define JSON_HEADERS "content-type: application/json\r\ncache-control: no-store\r\n"
#define API_CHECKS   4
/* Kinds of events that clients leave. */
#define API_CLIENT_EVENTS 2

struct api {
    struct loop *loop;
    struct hub *hub;
    struct bus *bus;
    struct session_set *sessions;
    struct api_options options;
    struct counters *counters;
    struct counter *too_many_lines;
    struct counter *too_large;
    struct counter *submitted;
    struct counter *submit_refused;
    struct counter *client_events[API_CLIENT_EVENTS]; /* telemetry.c */
    struct counter *client_refused;
    struct counter *client_throttled;
    uint64_t client_tokens;    /* events that may be taken now, in 1/60000 */
    uint64_t client_filled_ms; /* when they were counted */
    struct identity *caller;   /* of the request whose handler runs; NULL = not asked */
    struct list waits;         /* read.c: requests for tasks that are being loaded */
    struct list chats;         /* chat.c: answers under way */
    struct list awaits;        /* await.c: those who wait for the end of a run */
    struct {
        const char *what;
        const char *(*trouble)(void *ctx);
        void *ctx;
    } checks[API_CHECKS];
    size_t check_count;
    uint64_t started_ms;
};

/* False, answered 405, when it is another method; HEAD is let through as a GET. */
bool api_has_only(struct http_exchange *x, enum http_method method);

/* An exchange whose answer comes from a bus callback: the peer may go away first. */
struct pending {
    struct api *api;
    struct http_exchange *x; /* NULL when the peer has gone */
    struct buf body;
};
struct pending *pending_new(struct api *api, struct http_exchange *x);
/* Answers with `body`, if anybody is there, and frees. */
void pending_respond(struct pending *pending, unsigned status);
void pending_error(struct pending *pending, unsigned status, const char *code,
                   const char *message, const char *field);

/* The site of a request in `site`; answers the exchange (false) when it is malformed. */
bool api_site(struct api *api, struct http_exchange *x, struct buf *site);

/* gate.c: serves the request once it is known whose it is; who has to be known and is not is
 * answered 401. */
void api_for_known(struct api *api, struct http_exchange *x,
                   void (*serve)(struct api *api, struct http_exchange *x));
/* GET /api/v1/auth/ping */
void api_ping(struct api *api, struct http_exchange *x);
/* The user of the request whose handler runs; may be empty. */
struct slice api_user(const struct api *api);

/* writes.c: may this peer publish, ask, stop, erase? False, answered 403, when it is not on
 * this machine and has to be (api_options.writes_are_local). */
bool api_may_write(const struct api *api, struct http_exchange *x);

/* publish.c: POST /v1/tasks/{id}/events */
void api_publish(struct api *api, struct http_exchange *x, const struct task_key *task);
/* read.c */
void api_read_task(struct api *api, struct http_exchange *x,
                   const struct task_key *task);
void api_list_tasks(struct api *api, struct http_exchange *x);
/* points.c: GET /v1/tasks/{id}/points */
void api_read_points(struct api *api, struct http_exchange *x,
                     const struct task_key *task);
void api_free_waits(struct api *api);
/* submit_http.c: POST /v1/tasks, POST /v1/tasks/{id}/continue */
void api_submit_task(struct api *api, struct http_exchange *x);
void api_continue_task(struct api *api, struct http_exchange *x,
                       const struct task_key *task);
/* chat_http.c: the chat endpoints */
void api_chat(struct api *api, struct http_exchange *x);
void api_chat_stream(struct api *api, struct http_exchange *x);
void api_chat_continue(struct api *api, struct http_exchange *x);
void api_chat_completions(struct api *api, struct http_exchange *x);
void api_models(struct api *api, struct http_exchange *x);
/* telemetry.c: POST /v1/telemetry */
void api_telemetry_init(struct api *api, struct counters *counters);
void api_telemetry(struct api *api, struct http_exchange *x);
/* chat.c: what is under way forgets the room. */
void api_free_chats(struct api *api);
/* await.c: who still waits is told that the task cannot be read. */
void api_free_awaits(struct api *api);

#endif
