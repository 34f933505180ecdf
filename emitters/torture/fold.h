/* fold.h - what a reader has made of what it was told, judged by its content. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_FOLD_H
#define THINKWIRE_TORTURE_FOLD_H

#include "emitters/torture/story.h"

/*
 * A native reader appends deltas and begins anew at a resync or a join that names no place.
 * All it may ever have is one piece of one story. Joined by snapshot, that piece starts at
 * the beginning (is_anchored); joined by `now` or `start` (of which the oldest may be gone)
 * it starts anywhere, and has no hole from there.
 */
enum verdict {
    VERDICT_GOOD,
    VERDICT_LOST,      /* something is missing before this */
    VERDICT_DOUBLED,   /* told before */
    VERDICT_REORDERED, /* what is missing here stands further on in the same text */
    VERDICT_CROSSED,   /* of another task or run */
    VERDICT_GARBLED    /* nobody has said this */
};
/* "lost", ... */
const char *verdict_name(enum verdict verdict);

struct fold {
    const struct story *story; /* NULL: nothing was told yet */
    bool is_anchored;
    bool has[STORY_KINDS];
    size_t from[STORY_KINDS]; /* the piece: bytes from..at of the story */
    size_t at[STORY_KINDS];
};

void fold_begin(struct fold *fold, bool is_anchored);
/* Who knows the stories: the one of (task, run), or NULL when nobody tells it. */
struct fold_book {
    const struct story *(*find)(void *ctx, unsigned task, unsigned run);
    void *ctx;
};
/* Appends what a reader of `task` was told. What is not good changes nothing. */
enum verdict fold_take(struct fold *fold, const struct fold_book *book, unsigned task,
                       enum story_kind kind, struct slice text);
/* Nothing is missing up to these lengths. */
bool fold_reaches(const struct fold *fold, const size_t lengths[STORY_KINDS]);

#endif
