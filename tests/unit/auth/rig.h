/* rig.h - an auth, a scripted backend, and those who ask. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_AUTH_RIG_H
#define THINKWIRE_TESTS_AUTH_RIG_H

#include "auth/auth.h"
#include "base/buf.h"
#include "http/client.h"
#include "scripted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RIG_MAX_REQUESTS 64

/* What the backend says to a request. */
struct saying {
    unsigned status; /* 0: nothing yet, rig_release() says it */
    const char *body;
    bool breaks_off; /* closes in the middle of the answer */
};

struct rig {
    struct loop *loop;
    struct http_client *client;
    struct scripted *backend;
    struct counters *counters;
    struct auth *auth;
    struct auth_frappe_options options;
    struct timer watchdog;
    char origin[64]; /* of the backend */
    /* The n-th request is answered with the n-th saying, then with the last. */
    struct saying sayings[4];
    size_t saying_count;
    char *requests[RIG_MAX_REQUESTS];
    size_t request_count;
    struct scripted_peer *held[RIG_MAX_REQUESTS];
    size_t held_count;
    size_t stop_at_requests;
    bool is_running;
    unsigned waiting; /* replies to come before the loop stops */
};

/* The backend answers every request with `body`. The auth is made at the first question,
 * so that a test may change rig->options before. */
void rig_start(struct rig *rig, unsigned version, const char *body);
void rig_end(struct rig *rig);
void rig_say(struct rig *rig, size_t index, unsigned status, const char *body);
/* Makes the auth of rig->options; done by the first question too. */
void rig_auth(struct rig *rig);

/* What one who asked was told. */
struct reply {
    struct rig *rig;
    unsigned times;
    char user[64];
    bool is_system_user;
    bool is_trusted;
    bool is_allowed;
    char error[128]; /* "" = none */
    bool frees_auth;
};

/* NULL = the header is absent. Origin and Host are the backend's. */
void rig_identify(struct rig *rig, const char *cookie, const char *authorization,
                  struct reply *reply);
/* The same, and waits for the reply. */
void rig_who(struct rig *rig, const char *cookie, const char *authorization,
             struct reply *reply);
void rig_permit(struct rig *rig, const char *cookie,
                const struct auth_question *question, struct reply *reply);
bool rig_may(struct rig *rig, const char *cookie, const char *doctype,
             const char *name);

struct credentials rig_credentials(const struct rig *rig, const char *cookie,
                                   const char *authorization);
void told_identity(void *ctx, struct identity *identity, const char *error);
void told_permission(void *ctx, bool allowed);

void rig_run(struct rig *rig);
void rig_stop(struct rig *rig);
/* Runs until nobody waits any more. */
void rig_wait(struct rig *rig);
void rig_wait_requests(struct rig *rig, size_t count);
/* Lets so much time pass on the loop. */
void rig_pass_ms(struct rig *rig, uint64_t ms);
/* Answers all requests that were left waiting. */
void rig_release(struct rig *rig, unsigned status, const char *body);

/* "GET /path HTTP/1.1" of a request. */
const char *rig_line(struct rig *rig, size_t request);
/* A header's value, or NULL. */
const char *rig_header(struct rig *rig, size_t request, const char *name);
/* The sample `name` (with its labels) in the exposition. */
long rig_count(struct rig *rig, const char *name);

#define SYSTEM_USER                                                                    \
    "{\"message\":{\"user\":\"a@b.c\",\"user_type\":\"System User\","                  \
    "\"installed_apps\":[\"frappe\"]}}"
#define GUEST "{\"message\":{\"user\":\"Guest\",\"user_type\":\"Website User\"}}"
#define YES   "{\"message\":true}"

/* Each answers how many of its tests failed. */
int test_site(void);
int test_identify(void);
int test_permit(void);
int test_native(void);
int test_trouble(void);
int test_flights(void);
int test_secret(void);
int test_wiping(void);

#endif
