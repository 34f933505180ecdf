/* fold.c - what a reader has made of what it was told, judged by its content. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/fold.h"

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"good",      "lost",    "doubled",
                                        "reordered", "crossed", "garbled"};

    return names[verdict];
}

void fold_begin(struct fold *fold, bool is_anchored)
{
    *fold = (struct fold){.is_anchored = is_anchored};
}

/* The first text of a kind says where it stands. */
static enum verdict enter(struct fold *fold, const struct fold_book *book,
                          unsigned task, enum story_kind kind, struct slice text)
{
    struct story_mark mark;
    const struct story *story;

    if (!story_mark_read(text, &mark))
        return VERDICT_GARBLED;
    if (mark.task != task)
        return VERDICT_CROSSED;
    story = fold->story != NULL ? fold->story : book->find(book->ctx, task, mark.run);
    if (story == NULL)
        return VERDICT_GARBLED;
    if (mark.run != story->run)
        return VERDICT_CROSSED;
    if (mark.k >= story->deltas || story_kind_of(story, mark.k) != kind)
        return VERDICT_GARBLED;
    fold->story = story;
    fold->from[kind] = fold->is_anchored ? 0 : story->ends[kind][mark.k];
    fold->at[kind] = fold->from[kind];
    return VERDICT_GOOD;
}

/* `text` is not what comes next; `same` of its bytes are. */
static enum verdict classify(const struct fold *fold, enum story_kind kind,
                             struct slice text, size_t same)
{
    const struct story *story = fold->story;
    unsigned expected = story_reaches(story, kind, fold->at[kind] + same);
    size_t start = story->ends[kind][expected];
    struct story_mark mark;
    struct slice rest;
    struct buf wanted;
    bool comes_later;

    /* Inside of the very first piece there is no mark to look at. */
    if (start < fold->at[kind] || start - fold->at[kind] > same)
        return VERDICT_GARBLED;
    rest = slice_make(text.ptr + (start - fold->at[kind]),
                      text.len - (start - fold->at[kind]));
    if (!story_mark_read(rest, &mark))
        return VERDICT_GARBLED;
    if (mark.task != story->task || mark.run != story->run)
        return VERDICT_CROSSED;
    if (mark.k < expected)
        return VERDICT_DOUBLED;
    if (mark.k == expected || mark.k >= story->deltas)
        return VERDICT_GARBLED;
    buf_init(&wanted, 64);
    buf_printf(&wanted, "[%u:%u:%u]", story->task, story->run, expected);
    comes_later = memmem(rest.ptr, rest.len, wanted.data, wanted.len) != NULL;
    buf_release(&wanted);
    return comes_later ? VERDICT_REORDERED : VERDICT_LOST;
}

static enum verdict compare(const struct fold *fold, enum story_kind kind,
                            struct slice text)
{
    const struct buf *told = &fold->story->told[kind];
    size_t left = told->len - fold->at[kind];
    size_t same = 0;

    while (same < text.len && same < left &&
           text.ptr[same] == told->data[fold->at[kind] + same])
        same++;
    return same == text.len ? VERDICT_GOOD : classify(fold, kind, text, same);
}

enum verdict fold_take(struct fold *fold, const struct fold_book *book, unsigned task,
                       enum story_kind kind, struct slice text)
{
    struct fold next = *fold;
    enum verdict verdict;

    if (text.len == 0)
        return VERDICT_GOOD;
    if (!next.has[kind]) {
        verdict = enter(&next, book, task, kind, text);
        if (verdict != VERDICT_GOOD)
            return verdict;
        next.has[kind] = true;
    }
    verdict = compare(&next, kind, text);
    if (verdict != VERDICT_GOOD)
        return verdict;
    next.at[kind] += text.len;
    *fold = next;
    return VERDICT_GOOD;
}

bool fold_reaches(const struct fold *fold, const size_t lengths[STORY_KINDS])
{
    for (int kind = 0; kind < STORY_KINDS; kind++) {
        if (fold->has[kind] ? fold->at[kind] < lengths[kind]
                            : fold->is_anchored && lengths[kind] > 0)
            return false;
    }
    return true;
}
