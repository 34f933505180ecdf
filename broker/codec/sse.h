/* sse.h - server-sent events (WHATWG HTML, section 9.2) and HTTP/1.1 chunks. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CODEC_SSE_H
#define THINKWIRE_CODEC_SSE_H

#include "base/buf.h"

/* Appends one event: "event: E\nid: I\ndata: D\n\n". `event` and `id` may be empty and are
 * left out then; they must not hold line ends or NUL (assert: ours). Data is split at line
 * ends (LF, CR, CRLF). */
bool sse_event(struct buf *out, struct slice event, struct slice id, struct slice data);
/* ": text\n\n"; `text` holds no line ends (assert: ours). */
bool sse_comment(struct buf *out, struct slice text);
/* "retry: ms\n\n" */
bool sse_retry(struct buf *out, uint64_t ms);

/* Wraps what lies behind `start` in `out` as one HTTP chunk, in place. Nothing when it is
 * empty (an empty chunk would end the body). */
bool chunk_wrap(struct buf *out, size_t start);
#define CHUNK_LAST "0\r\n\r\n"

/* A parser for the client side (thinkwire tail, tests): feed bytes, get events. Bytes are
 * handed on as they came: whether they are UTF-8 is the caller's question. */
struct sse_parser;
struct sse_message {
    struct slice event; /* "message" when absent */
    struct slice id;    /* the last id seen so far */
    struct slice data;
};
/* `limit_bytes` bounds each line and the joined data of one event; an event with more is
 * dropped and counted in `dropped`. `on_event` may not free or feed the parser. */
struct sse_parser *
sse_parser_new(size_t limit_bytes,
               void (*on_event)(void *ctx, const struct sse_message *), void *ctx);
void sse_parser_free(struct sse_parser *parser);
void sse_parser_feed(struct sse_parser *parser, struct slice data);
uint64_t sse_parser_dropped(const struct sse_parser *parser);
/* The last `retry:` value in milliseconds, or 0. */
uint64_t sse_parser_retry_ms(const struct sse_parser *parser);

#endif
