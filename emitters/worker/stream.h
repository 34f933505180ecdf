/* stream.h - what a provider answers, whichever of three protocols it speaks. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_STREAM_H
#define THINKWIRE_WORKER_STREAM_H

#include "failure.h"

/*
 *      bytes of the body --> stream_feed() --> on_value()*, the last one DONE or FAILED
 *      end of the body   --> stream_end()  --> DONE or FAILED, unless there was one
 *
 * Responses events, Chat Completions chunks and Anthropic messages become the same values.
 * The same parser reads a non-streaming answer (stream_plain), and notices by itself when a
 * provider answers a streaming request with one JSON document.
 *
 * A stream is complete only on its protocol's own end: response.completed or .incomplete;
 * a finish_reason (and then [DONE] or the end of the body); message_stop. An end before that
 * is FAILURE_TRUNCATED, also a [DONE]. An error inside a 200 is FAILED. How the bytes were
 * cut makes no difference, neither to values nor to their order.
 *
 * Pure: no I/O, no clock. Memory is bounded by `limit_bytes` (a few times that): an event or
 * document above it is FAILURE_TOO_LARGE.
 */
enum stream_kind {
    STREAM_REASONING, /* text: a delta, UTF-8, whole characters, never empty */
    STREAM_TEXT,      /* likewise */
    STREAM_TOOL,      /* text: a piece of a tool call, JSON as the provider sent it */
    STREAM_MODEL,     /* text: the name of the model that answers; once */
    STREAM_USAGE,     /* usage; at most once, right before the last value */
    STREAM_DONE,      /* finish; the last value */
    STREAM_FAILED     /* failure; the last value */
};

enum stream_finish {
    FINISH_NONE,
    FINISH_STOP,
    FINISH_LENGTH,
    FINISH_TOOL_CALLS,
    FINISH_CONTENT_FILTER
};
/* OpenAI's words: "stop", "length", "tool_calls", "content_filter"; "" for none. */
const char *stream_finish_name(enum stream_finish finish);

struct stream_usage {
    uint64_t tokens_in; /* cached ones included */
    uint64_t tokens_out;
    uint64_t reasoning_tokens; /* part of tokens_out */
    uint64_t cached_tokens;    /* part of tokens_in */
};

struct stream_value {
    enum stream_kind kind;
    struct slice text; /* valid during the call */
    struct stream_usage usage;
    enum stream_finish finish;
    const struct failure *failure; /* valid as long as the stream */
};

struct stream;
/* `on_value` may neither feed nor free the stream. `limit_bytes` > 0. */
struct stream *stream_new(enum provider_api api, size_t limit_bytes,
                          void (*on_value)(void *ctx, const struct stream_value *),
                          void *ctx);
void stream_free(struct stream *stream);

/* True when a token (reasoning, text or a piece of a tool call) was among it: that, and not
 * the comments and pings that any byte may be, is what the timers for tokens wait for. */
bool stream_feed(struct stream *stream, struct slice data);
/* The body has ended regularly. The last value has been told when this returns. */
void stream_end(struct stream *stream);
/* A whole non-streaming answer (status 2xx) instead of feed and end. */
void stream_plain(struct stream *stream, struct slice body);

/* Nothing more will be told. */
bool stream_is_over(const struct stream *stream);
/* The model has said why it ended; what may still come is usage and the end mark. A time-out
 * now is no failure: call stream_end(). */
bool stream_has_finish(const struct stream *stream);
/* Something that is not white space was told as STREAM_TEXT, or a tool call: the answer is
 * not empty (requirement R14). */
bool stream_has_answer(const struct stream *stream);

#endif
