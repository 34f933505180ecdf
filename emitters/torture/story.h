/* story.h - what a run says: text that tells by itself whose it is and where it belongs. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_STORY_H
#define THINKWIRE_TORTURE_STORY_H

#include "base/buf.h"

#include <stdint.h>

/*
 * Delta k of run r of task t is "[t:r:k]" and some padding, so a reader's text can be judged
 * by its content alone: what is missing, doubled, out of order, or from elsewhere. A story is
 * drawn from the seed; the emitter and the judge make the same one, apart from each other.
 */
enum story_kind { STORY_REASONING, STORY_TEXT, STORY_KINDS };

/* How its producer ends it, if nobody stops or kills it before. */
enum story_ending { ENDING_COMPLETION, ENDING_ERROR };

struct story {
    uint64_t seed;
    unsigned task;
    unsigned run;
    unsigned deltas;
    unsigned pace_us; /* mean pause between two */
    enum story_ending ending;
    bool is_stubborn;    /* its producer does not listen to a stop */
    bool is_interleaved; /* reasoning and text alternate; else reasoning comes first */
    struct buf told[STORY_KINDS];
    size_t *ends[STORY_KINDS]; /* deltas + 1 each: bytes of a kind before delta k */
};

/* Drawn from the seed; story_release() frees. */
void story_init(struct story *story, uint64_t seed, unsigned task, unsigned run);
void story_release(struct story *story);
enum story_kind story_kind_of(const struct story *story, unsigned k);
/* The text of delta k: a view. */
struct slice story_delta(const struct story *story, unsigned k);
/* How many deltas of a kind the first `bytes` of its text hold, as number of the first delta
 * not told; bytes within a delta count as not told. */
unsigned story_reaches(const struct story *story, enum story_kind kind, size_t bytes);

/* "[t:r:k]" at the beginning of `text`. */
struct story_mark {
    unsigned task;
    unsigned run;
    unsigned k;
};
bool story_mark_read(struct slice text, struct story_mark *mark);

#endif
