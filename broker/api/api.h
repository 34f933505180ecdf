/* api.h - the HTTP resources: tasks, streams, health, metrics. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_API_API_H
#define THINKWIRE_API_API_H

#include "base/telemetry.h"
#include "bus/bus.h"
#include "session/session.h"

/* design.md section 5. Handlers only: the transport brings requests, the bus and the
 * sessions do the work. */
struct api;

struct api_options {
    const char *default_site;
    size_t publish_limit_bytes;  /* longest body of a publish */
    size_t publish_limit_events; /* most lines in one publish */
    size_t submit_limit_bytes;   /* longest body of a request for a generation */
    size_t max_message_chars;    /* code points of one message in it */
    uint64_t load_timeout_ms;    /* a task that is not loaded by then is a 503 */
    bool guards_tasks;           /* who reads or stops one is held to session_guard() */
    const char *models;          /* the body of GET /v1/models; borrowed */
    bool test_scenarios;         /* X-Test-Scenario is obeyed */
    struct auth *auth;           /* borrowed */
    bool needs_identity;         /* nothing is done for who is not known */
    bool writes_are_local;       /* from elsewhere nothing is published or erased */
    struct telemetry *telemetry; /* borrowed; NULL: what clients leave is not kept */
    size_t telemetry_limit_bytes;  /* longest event of a client */
    uint64_t telemetry_per_minute; /* events of clients that are kept, in all */
};

/* The rooms it asks; borrowed for its life. */
struct api_rooms {
    struct loop *loop;
    struct hub *hub;
    struct bus *bus;
    struct session_set *sessions;
    struct counters *counters;
};
struct api *api_new(const struct api_rooms *rooms, const struct api_options *options);
void api_free(struct api *api);

/* More to tell on /readyz: NULL when `what` is well. */
void api_add_check(struct api *api, const char *what, const char *(*trouble)(void *ctx),
                   void *ctx);

/* The routes to register, API_ROUTES of them. */
#define API_ROUTES 24
size_t api_routes(struct api *api, struct http_route routes[API_ROUTES]);

#endif
