/* internal.h - what the files of this room share; nobody else includes it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_AUTH_INTERNAL_H
#define THINKWIRE_AUTH_INTERNAL_H

#include "auth/auth.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/list.h"
#include "base/map.h"
#include "http/client.h"

/*
 *   frappe.c ---- question.c   what a request shows becomes a question, or is refused
 *      |----- cache.c          ... that was answered a moment ago, or
 *      '----- flight.c         ... that is on its way: request.c writes it,
 *                                  answer.c reads what came back
 */
struct auth_ops {
    void (*identify)(struct auth *auth, const struct credentials *credentials,
                     auth_identified *done, void *ctx);
    void (*permit)(struct auth *auth, const struct credentials *credentials,
                   const struct auth_question *question, auth_permitted *done,
                   void *ctx);
    void (*free)(struct auth *auth);
};

/* The head of whatever answers. */
struct auth {
    const struct auth_ops *ops;
};

/* Copies `user`; one reference. */
struct identity *identity_new(struct slice user, bool is_system_user);

/* Of a key or a token; an empty site binds to none. */
struct identity *identity_of(struct slice user, struct slice site);

/* ---- keys and tokens (api_key.c, jwt.c) ---- */

struct api_keys;
struct api_keys *api_keys_load(const char *path, struct buf *error);
void api_keys_free(struct api_keys *keys);
/* One reference, or NULL. */
struct identity *api_keys_find(const struct api_keys *keys, struct slice shown);

struct jwt_rules;
struct jwt_rules *jwt_rules_load(const char *path, const char *audience,
                                 struct buf *error);
void jwt_rules_free(struct jwt_rules *rules);
/* One reference, or NULL. */
struct identity *jwt_rules_judge(const struct jwt_rules *rules, struct slice token);

static inline bool char_is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* "host[:port]" of an URL or a Host header, with user:pass@ if there is one (site.c). */
struct slice auth_authority(struct slice url_or_host);

/* ---- how a version of Frappe asks and answers (question.c) ---- */

struct dialect {
    const char *no_header;      /* told when no header that counts is there */
    const char *no_session;     /* ... or nothing in it to ask with */
    bool takes_authorization;   /* also the Authorization header counts */
    bool prefers_authorization; /* ... and wins over a sid */
    bool puts_sid_in_query;
    bool has_permission_method; /* one that says yes in its body, not by its status */
    bool swaps_port;            /* developer_mode leads to webserver_port */
    bool knows_secret;
};

struct rules {
    const struct dialect *dialect;
    char *web_base;
    char *task_method;
    bool developer_mode;
    unsigned webserver_port;
};
void rules_init(struct rules *rules, const struct auth_frappe_options *options);
void rules_release(struct rules *rules);

/* Why nobody is let in; REFUSED_NOT = an answer was given. */
enum refusal {
    REFUSED_NOT,
    REFUSED_CREDENTIALS, /* none, or none that this version takes */
    REFUSED_ADDRESS,     /* neither Origin nor Host is a place to ask */
    REFUSED_TOO_LARGE,   /* QUESTION_MAX_BYTES */
    REFUSED_BUSY,        /* max_questions, WAITERS_MAX */
    REFUSED_FORBIDDEN,   /* 401, 403 */
    REFUSED_STATUS,      /* any other status */
    REFUSED_GARBAGE,     /* 200, and no sense in it */
    REFUSED_SECRET,      /* the backend does not take our shared secret */
    REFUSED_TIMEOUT,
    REFUSED_UNREACHABLE,
    REFUSED_BROKEN, /* the connection ended in the middle of the answer */
    REFUSED_UNSENT, /* the HTTP client would not: its bound, or a malformed header */
    REFUSED_CLOSING,
    REFUSED_COUNT
};
const char *refusal_text(enum refusal refusal);

struct answer {
    enum refusal refusal;
    const char *error;         /* static text for the client, when refused */
    struct identity *identity; /* of ASK_IDENTITY; one reference */
    bool is_allowed;           /* of the others */
    /* for the operator's line */
    unsigned status;
    const char *detail; /* borrowed until the line is written; may be NULL */
};

enum question_kind { ASK_IDENTITY, ASK_DOCTYPE, ASK_DOCUMENT, ASK_TASK };

/* All parts of a question together, credentials included; a session id has 56 bytes, a
 * bearer token some hundreds, a document's name 140 characters. */
#define QUESTION_MAX_BYTES 16384

/* One allocation that holds everything that tells one question from another: equal keys
 * are equal questions. Wiped when freed. */
struct question {
    enum question_kind kind;
    bool is_by_sid;
    struct slice base; /* "https://site1.local:8080" */
    struct slice site;
    struct slice credential; /* the sid as sent, or the Authorization header */
    struct slice doctype;
    struct slice name;
    struct slice key;
    char bytes[];
};
/* NULL when it is refused without asking; `refused` says why. `about` is NULL for
 * ASK_IDENTITY. */
struct question *question_new(const struct rules *rules,
                              const struct credentials *credentials,
                              enum question_kind kind,
                              const struct auth_question *about,
                              struct answer *refused);
void question_free(struct question *question);
const char *question_text(enum question_kind kind);
/* The base as an operator may see it: without user:pass@. */
struct slice question_shown_base(const struct question *question, struct buf *scratch);

/* ---- the request on the wire (request.c) ---- */

#define REQUEST_MAX_HEADERS 4
struct request {
    struct buf url;
    struct buf text; /* the header lines, each with its NUL */
    const char *headers[REQUEST_MAX_HEADERS];
    size_t header_count;
};
void request_init(struct request *request, const struct rules *rules,
                  const struct question *question, struct slice secret);
void request_wipe(struct request *request);

/* ---- what came back (answer.c) ---- */

/* `*answer` must be zeroed. True when the backend would not know us without another look
 * at the shared secret; `answer` then says REFUSED_SECRET. */
bool answer_read(struct answer *answer, const struct rules *rules,
                 const struct question *question,
                 const struct http_client_result *result);

/* ---- answers that are still good (cache.c) ---- */

struct answer_cache;
/* `good_ms` 0: nothing is kept. At most `max_entries`, the least recently used goes. */
struct answer_cache *answer_cache_new(struct loop *loop, uint64_t good_ms,
                                      size_t max_entries);
void answer_cache_free(struct answer_cache *cache);
/* Longer questions are not kept: with the map's own copy of the key, 16 MB at the worst for
 * the default of 2000 entries. */
#define CACHED_KEY_MAX_BYTES 4096
/* Takes `question`. Answers that are refusals are not for keeping. */
void answer_cache_keep(struct answer_cache *cache, struct question *question,
                       const struct answer *answer);
/* `answer->identity` is borrowed. */
bool answer_cache_find(struct answer_cache *cache, const struct question *question,
                       struct answer *answer);

/* ---- questions under way (flight.c) ---- */

/* Callers that wait, in all: some 6 MB of them. */
#define WAITERS_MAX 100000

/* Who is told: one of the two callbacks. */
struct asker {
    auth_identified *identified;
    auth_permitted *permitted;
    void *ctx;
};
void asker_tell(const struct asker *asker, const struct answer *answer);

struct frappe {
    struct auth auth;
    struct loop *loop;
    struct http_client *client;
    struct rules rules;
    uint64_t timeout_ms;
    size_t max_questions;
    void (*secret)(void *ctx, void (*done)(void *done_ctx, struct slice secret),
                   void *done_ctx);
    void *secret_ctx;

    struct answer_cache *cache;
    struct map *flights_by_key;
    struct list flights;
    size_t flight_count;
    size_t waiter_count;
    bool is_closing;

    struct diag_gate gate;
    struct counter *by_backend; /* who was to answer */
    struct counter *by_cache;
    struct counter *by_flight;
    struct counter *denied;
    struct counter *under_way;
    struct counter *refused[REFUSED_COUNT];
    struct histogram *took_ms;
};
/* One line for the operator, at most five a second; `question` may be NULL. */
void frappe_complain(struct frappe *frappe, const struct question *question,
                     const struct answer *answer);

struct flight;
/* Takes `question`, and asks it. Nobody is told before this returns. */
struct flight *flight_new(struct frappe *frappe, struct question *question);
void flight_join(struct flight *flight, const struct asker *asker);
/* Ends all of them: everybody who joined is told a refusal. */
void flights_end(struct frappe *frappe);

#endif
