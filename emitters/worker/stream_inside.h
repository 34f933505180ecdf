/* stream_inside.h - what the three protocols of the stream parser share. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_STREAM_INSIDE_H
#define THINKWIRE_WORKER_STREAM_INSIDE_H

#include "codec/sse.h"
#include "field.h"
#include "stream.h"
#include "think.h"

/* The first half of a surrogate pair, "\ud83d", that ended a delta: some servers cut
 * strings by UTF-16 units. */
#define HALF_LENGTH 6

struct stream_half {
    char raw[HALF_LENGTH];
    bool is_set;
};

struct stream {
    enum provider_api api;
    void (*on_value)(void *ctx, const struct stream_value *);
    void *ctx;
    size_t limit_bytes;
    struct sse_parser *sse;
    struct think think;
    struct buf document;          /* a JSON document where a stream was expected */
    struct buf scratch;           /* an event with its UTF-8 repaired */
    struct buf text;              /* a delta, unescaped */
    struct stream_half halves[2]; /* of reasoning, of text */
    struct stream_usage usage;
    struct failure failure;
    enum stream_finish finish;
    bool has_usage;
    bool has_model;
    bool has_text; /* more than white space */
    bool has_tool;
    bool has_token; /* since the last stream_feed() */
    bool is_over;
    bool has_begun;      /* a byte that is not white space was seen */
    bool is_document;    /* and it was a brace */
    bool part_is_told;   /* Responses: deltas of the current part were told */
    bool came_reasoning; /* the protocol told some, */
    bool came_text;      /* whatever was made of it */
};

/* ---- what a protocol tells (stream_tell.c); `raw` is the inside of a JSON string ---- */
void stream_tell_reasoning(struct stream *stream, struct slice raw);
void stream_tell_text(struct stream *stream, struct slice raw);
void stream_tell_tool(struct stream *stream, struct slice json);
void stream_tell_model(struct stream *stream, struct slice raw);
/* Ends the stream. */
void stream_tell_done(struct stream *stream);
void stream_fail(struct stream *stream, enum failure_class class, const char *message);
/* With the value of `error`. */
void stream_fail_with(struct stream *stream, struct slice error);
/* `error` in an object, where it says anything: the stream has ended then. */
bool stream_fail_if_error(struct stream *stream, struct slice object);
/* Content as a string, or as a list of parts of several makers. */
void stream_tell_content(struct stream *stream, const struct json_member *content);
void stream_tell_parts(struct stream *stream, struct slice parts);

/* ---- the protocols; `object` passed json_check() and is an object ---- */
void stream_chat_event(struct stream *stream, struct slice object);
void stream_chat_answer(struct stream *stream, struct slice object);
void stream_responses_event(struct stream *stream, struct slice name,
                            struct slice object);
void stream_responses_answer(struct stream *stream, struct slice object);
void stream_anthropic_event(struct stream *stream, struct slice name,
                            struct slice object);
void stream_anthropic_answer(struct stream *stream, struct slice object);

#endif
