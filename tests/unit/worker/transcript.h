/* transcript.h - what a stream told, as text that can be compared. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_TRANSCRIPT_H
#define THINKWIRE_TESTS_TRANSCRIPT_H

#include "base/buf.h"
#include "emitters/worker/stream.h"

/* One line per value: "R reasoning", "T text", "C tool call", "M model",
 * "U in out reasoning cached", "D stop", "F CODE". */
void transcript_add(void *buf, const struct stream_value *value);
/* Feeds `body` in pieces (0 = whole, then each is `piece` long), ends, and answers what
 * was told in `out`, which it initialises. */
void transcript_of(struct buf *out, enum provider_api api, struct slice body,
                   size_t piece);
/* The body cut in two at `cut`. */
void transcript_of_cut(struct buf *out, enum provider_api api, struct slice body,
                       size_t cut);

#define TRANSCRIPT_LIMIT 4096

#endif
