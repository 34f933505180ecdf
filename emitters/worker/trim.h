/* trim.h - the beginning of a continuation that only repeats what was said. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_TRIM_H
#define THINKWIRE_WORKER_TRIM_H

#include "base/buf.h"

#include <stdint.h>

/*
 *      said:          ... the cat sat on the mat and then
 *      continuation:              on the mat and then it slept
 *                                 `---- trimmed ----' `-- told
 *
 * A repeat is a beginning of the continuation (behind white space) that is the end of what was
 * said, or all of it. The longest counts. Text is held back only while it may still become one:
 * nearly always a few characters. Short repeats are chance, not repetition: they must have 12
 * characters, or 8 with a blank within; all that was said may be repeated from 4 on, and when
 * `is_restart` (the answer was asked for anew) from 1 on.
 *
 * Only the last TRIM_WINDOW bytes of what was said are searched for an overlap. Pure.
 */
#define TRIM_WINDOW 2048

struct trim {
    struct slice said; /* borrowed until trim_is_decided() */
    struct buf held;
    size_t spaces;   /* white space at the beginning of held */
    size_t whole;    /* bytes of `said` matched from its beginning */
    bool is_whole;   /* and still matching */
    size_t repeated; /* the longest repeat so far, 0 = none */
    bool is_restart;
    bool is_decided;
    uint64_t trimmed_bytes;
    size_t alive;
    uint16_t
        places[TRIM_WINDOW]; /* in the window: where held may be the beginning of */
};

/* `said`: UTF-8. */
void trim_init(struct trim *trim, struct slice said, bool is_restart);
void trim_release(struct trim *trim);
/* Takes a delta (whole characters) and appends to `out` what is to be told now. */
void trim_feed(struct trim *trim, struct slice text, struct buf *out);
/* The continuation has ended: what is still held is told, unless it is a repeat. */
void trim_end(struct trim *trim, struct buf *out);
/* Everything goes through from now on; `said` is no longer looked at. trimmed_bytes says
 * whether something was trimmed. */
static inline bool trim_is_decided(const struct trim *trim)
{
    return trim->is_decided;
}

#endif
