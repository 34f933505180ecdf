/* marker.h - what is inside a measured event, and its canonical 120 bytes. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MARKER_H
#define BENCH_MARKER_H

#include "text.h"

#include <stdint.h>

/*
 * The text of every measured event carries
 *
 *     ~TTTT.SSSSSS.NNNNNNNNNNNNNNNN~      hexadecimal, fixed width
 *      task  seq    CLOCK_MONOTONIC ns when it was sent
 *
 * and survives every envelope (Socket.IO, JSON text frame, SSE) and every merging of
 * deltas, because it needs no escaping: a merged event simply holds several of them.
 */
struct marker {
    unsigned task;
    unsigned seq;
    uint64_t sent_ns;
};
#define MARKER_LENGTH 30

/* Task number `task` is named "b" and four hexadecimal digits. */
#define TASK_NAME_LENGTH 5
void task_name(unsigned task, char out[TASK_NAME_LENGTH + 1]);

/* The message object of an event. The Socket.IO frame around it, 42["ai_progress",…], is
 * exactly 120 bytes: the frame of design.md section 7. */
#define FRAME_LENGTH 120
void marker_message(struct text *out, const struct marker *marker);
/* That Socket.IO frame, for servers that pass on bytes (Nchan, the ceiling). */
void marker_frame(struct text *out, const struct marker *marker);

/* The next marker at or after `*from`; false when there is none. `*from` moves behind it. */
bool marker_next(const char **from, const char *end, struct marker *marker);

/* The deltas of the late-join row are small instead, like a model's tokens: `w00042 `. The
 * first half of a run is reasoning, the second half text. */
#define WORD_LENGTH 7
void word_message(struct text *out, unsigned index, unsigned count);
bool word_next(const char **from, const char *end, unsigned *index);

#endif
