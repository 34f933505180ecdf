/* memory.h - what a memory service knows about a question, in time or not at all. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_MEMORY_H
#define THINKWIRE_WORKER_MEMORY_H

#include "base/buf.h"
#include "http/client.h"

/*
 *   POST <url>  {"query","user","conversation_id","top_k","memory_token_budget",
 *                "clip_sentences","min_relevance_score"}
 *   answer      {"results":[{"text" or "content" or "memory", "score" or
 *                "relevance_score"?, "tokens"?}, ...]}, best first; or the list alone
 *
 * The bounds that are asked for are also kept here, whatever the service answers. Being late,
 * down or unreadable is no failure of the request: it goes on without (requirement C10).
 */
#define MEMORY_QUERY_BYTES  ((size_t)8192)
#define MEMORY_ANSWER_BYTES ((size_t)1 << 20)

struct memory_settings {
    const char *url; /* "" = there is no memory service */
    const char *key; /* for Authorization: Bearer; NULL or "" = none */
    uint64_t top_k;
    uint64_t token_budget;
    uint64_t clip_sentences;    /* of each result; 0 = all */
    uint64_t min_score_percent; /* results that tell a lower score are left out */
    uint64_t timeout_ms;
};

struct memory_question {
    struct slice query; /* UTF-8 */
    const char *user;
    const char *conversation_id;
};

struct memory_found {
    struct slice text; /* for the model; empty = nothing. Valid during the call */
    size_t count;
    uint64_t tokens; /* as told, else a quarter of the characters */
    uint64_t elapsed_ms;
    const char *trouble; /* "" = the service answered */
};

struct memory_call;
/* `done` is called once, not from inside. `client` is borrowed, the rest is copied but for the
 * settings. */
struct memory_call *
memory_ask(struct http_client *client, const struct memory_settings *settings,
           const struct memory_question *question,
           void (*done)(void *ctx, const struct memory_found *found), void *ctx);
/* `done` is not called. */
void memory_cancel(struct memory_call *call);

/* The words of the last message of a user in OpenAI's `messages` (checked JSON), cut to
 * MEMORY_QUERY_BYTES. Pure, as is the next. */
void memory_query(struct slice messages, struct buf *out);
/* False when it is not an answer of a memory service. `found` without time and trouble; its
 * text is in `out`. */
bool memory_read(const struct memory_settings *settings, struct slice json,
                 struct buf *out, struct memory_found *found);

#endif
