/* submit_inside.h - a submission on its way to the bus; nobody else includes it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_API_SUBMIT_INSIDE_H
#define THINKWIRE_API_SUBMIT_INSIDE_H

#include "api/submit.h"

/* submit_check.c */
/* Bounds and forms of everything that was said; false with a fault. */
bool submission_check(const struct submission *s, size_t max_message_chars,
                      struct api_fault *fault);

/* submit_write.c: the request that is kept with a run (emitters/worker/ask.h) */
void submission_write(const struct submission *s, struct buf *out);
/* Only what a continue says itself, as an object; nothing when it says nothing. */
void submission_write_changes(const struct submission *s, struct buf *out);
/* The request of a continue: the earlier one, where `changes` says nothing else. A partial
 * answer in it stays as it is: it and the accumulated text behind it are one answer. */
void submission_write_continue(const struct bus_kept *kept, struct slice changes,
                               struct buf *out);

#endif
