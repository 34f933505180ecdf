/* h1.h - the head of an HTTP/1 request (RFC 9112), read strictly. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TRANSPORT_H1_H
#define THINKWIRE_TRANSPORT_H1_H

#include "base/http.h"

#include <stdint.h>

/*
 * A pure decoder: no I/O, no clock, no memory of its own. It reads what a request
 * smuggler would like to have read differently by a proxy and by us (folded lines, bare
 * line feeds, space before the colon, two lengths, a length beside Transfer-Encoding)
 * as an error.
 *
 * libwebsockets 4.1.6 has an HTTP parser too; server.h says why it is not the one that
 * reads strangers' bytes here.
 */
#define H1_HEAD_MAX_BYTES 16384 /* request line and headers; more is answered 431 */
#define H1_MAX_HEADERS    100

struct h1_head {
    enum http_method method;
    bool is_http10;
    bool wants_close;    /* after this request, by version and Connection */
    bool wants_continue; /* Expect: 100-continue */
    bool is_upgrade;     /* Connection: upgrade and Upgrade: websocket */
    bool has_length;
    bool has_transfer_encoding;
    uint64_t content_length;
    struct slice path; /* decoded; valid UTF-8 without control characters */
    struct slice query;
    struct http_header headers[H1_MAX_HEADERS]; /* names in lower case */
    size_t header_count;
};

/* Length of the head in `data`, its empty line included, or 0 when it is not all there.
 * `*scanned` (0 at first) remembers how far was searched, so that a head that trickles
 * in is not searched again and again. Empty lines before the request line are part of
 * it. */
size_t h1_head_length(struct slice data, size_t *scanned);

/* Reads a whole head of `len` bytes in place: header names are lowered and the path is
 * decoded inside `data`; every slice of `head` points there. Answers 0, or the HTTP
 * status of the refusal with its reason in `*why` (fixed text). */
unsigned h1_parse(char *data, size_t len, struct h1_head *head, const char **why)
    __attribute__((warn_unused_result));

/* Whether the comma list `value` has the token `lower_word`, in any case. */
bool h1_has_token(struct slice value, const char *lower_word);
/* The standard phrase of a status, "" when it has none. */
const char *h1_phrase(unsigned status);

#endif
