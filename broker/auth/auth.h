/* auth.h - who is this, and what may they do. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_AUTH_AUTH_H
#define THINKWIRE_AUTH_AUTH_H

#include "base/buf.h"
#include "base/counters.h"
#include "base/loop.h"
#include "base/slice.h"

/*
 * One question, asked by sessions before anything is shown or done. The answer may come
 * later, because a backend is asked over HTTP; everything that is asked is bounded in time,
 * and equal questions that are under way at once share one flight.
 *
 *   none     everyone is the same trusted stranger
 *   api-key  a file says whose a key is
 *   jwt      a signed token says who bears it
 *   frappe   the site's backend tells who a cookie or an Authorization header is
 *            (frappe-realtime contract: get_user_info, can_subscribe_doc, has_permission)
 */
struct auth;
struct http_client;
struct http_request;

struct identity {
    unsigned refs;
    char *user; /* "Guest" where the backend says so; "" with `none` */
    char *site; /* the only one it may use; NULL = not bound to one */
    bool is_system_user;
    bool is_trusted; /* `none`: nothing is asked, everything is allowed */
};
struct identity *identity_ref(struct identity *identity);
void identity_unref(struct identity *identity);

/* What a request shows of itself; header values as sent, NULL where absent. Copied as far
 * as they are needed longer; never written to diagnostics. */
struct credentials {
    struct slice site; /* resolved */
    struct slice origin;
    struct slice host;
    struct slice cookie;
    struct slice authorization;
    struct slice api_key; /* X-API-Key */
    bool is_tls;
};
/* Borrows from both. */
struct credentials credentials_of(const struct http_request *request,
                                  struct slice site);

/* `identity` is borrowed (take a reference to keep it); NULL when refused: then `error` is
 * the text that the original tells its clients ("No cookie transmitted.", "Unauthorized").
 * Called exactly once, possibly before the call returns. */
typedef void auth_identified(void *ctx, struct identity *identity, const char *error);
void auth_identify(struct auth *auth, const struct credentials *credentials,
                   auth_identified *done, void *ctx);

/* One answer for one request: what a backend says is remembered for cache_ms, so a right
 * that was taken away, or a session that ended, is noticed that much later.
 *
 * May the bearer read the document, or (name NULL) documents of the type at all; or, with
 * `doctype` NULL, watch the task `name` (--task-guard backend; no without task_method)? */
struct auth_question {
    struct slice doctype;
    struct slice name;
};
typedef void auth_permitted(void *ctx, bool allowed);
void auth_permit(struct auth *auth, const struct credentials *credentials,
                 const struct auth_question *question, auth_permitted *done, void *ctx);

struct auth *auth_none_new(void);

struct auth_frappe_options {
    /* Which Frappe speaks: 13..17 (12 is served as 13). Decides error texts, how the
     * credentials are handed on and which permission methods are called. */
    unsigned version;
    const char *web_base;    /* "" = the client's Origin, else its Host */
    bool developer_mode;     /* v16+: the same host, `webserver_port` */
    unsigned webserver_port; /* 0 = unknown */
    const char *task_method; /* "" or the method asked about tasks */
    uint64_t timeout_ms;     /* of one question to the backend; 0 = 10 s */
    uint64_t cache_ms;       /* an answer is good for so long; 0 = is not kept */
    /* Under way at once, 0 = 1000; more are refused, and counted. How many of them a
     * backend sees at once is the client's max_connections_per_host: the others wait. */
    size_t max_questions;
    size_t max_cached; /* answers remembered, 0 = 2000; the least recently used goes */
    /* v17: the shared secret the backend expects, or NULL. Asked for before each question,
     * as the original does. Calls `done` once, with an empty slice when there is none; that
     * may be after auth_free(). */
    void (*secret)(void *ctx, void (*done)(void *done_ctx, struct slice secret),
                   void *done_ctx);
    void *secret_ctx;
};
/* `client` is borrowed and must outlive the auth, `options` are copied. Refused counts by
 * reason and one diagnostic line (five a second at most) say what is wrong with a backend;
 * credentials are in neither, and wiped from memory when no longer needed (what libcurl
 * copied of them is not). */
struct auth *auth_frappe_new(struct loop *loop, struct http_client *client,
                             const struct auth_frappe_options *options,
                             struct counters *counters);
/* API keys and bearer tokens, each where its file is named (NULL: no such way).
 *
 *   keys_file    a line for each: KEY USER [SITE]; `#` begins a comment. Compared in constant
 *                time. Also taken as a bearer token, as OpenAI's clients send theirs.
 *   secret_file  of 32 characters at least. Tokens are JSON Web Tokens signed with HS256: exp,
 *                aud (`audience`, or a list with it) and sub are needed, nbf is obeyed, site
 *                binds the bearer to it.
 *
 * Who shows neither is asked of `backend` (taken, also on failure; NULL: refused). NULL with
 * words in `error` when a file cannot be read or is malformed. */
struct auth_native_options {
    const char *keys_file;
    const char *secret_file;
    const char *audience;
};
struct auth *auth_native_new(const struct auth_native_options *options,
                             struct auth *backend, struct counters *counters,
                             struct buf *error);
/* Reads the keys again; what is malformed changes nothing. */
bool auth_native_reload(struct auth *auth, struct buf *error);

/* Questions under way are answered "refused" before this returns; they may not free it
 * again. Allowed inside a callback. NULL is allowed. */
void auth_free(struct auth *auth);

/* ---- the site of a request (frappe-realtime.md section 2.3), pure ---- */

/* "site1.local" of "https://site1.local:8080/x" or "site1.local:9000"; IPv6 in brackets. A
 * view of what was sent, upper case included: compare host names without regard to case. */
struct slice auth_hostname(struct slice url_or_host);
/* X-Frappe-Site-Name, else `default_site` for localhost, else Origin's host, else Host's. */
struct slice auth_site(struct slice site_header, struct slice origin, struct slice host,
                       struct slice default_site);

#endif
