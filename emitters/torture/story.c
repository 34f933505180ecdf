/* story.c - what a run says: text that tells by itself whose it is and where it belongs. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/story.h"

#include "base/mem.h"
#include "emitters/torture/draw.h"

#include <stdlib.h>

#define PURPOSE_STORY   1
#define PURPOSE_PADDING 2
#define TEXT_LIMIT      ((size_t)3 << 20)

/* Escapes, two, three and four bytes: what a careless cut would break. */
static const char *const paddings[] = {"é😀 ", "\n", "\"\\\t",
                                       "… ",  "a ", "word and word "};

enum story_kind story_kind_of(const struct story *story, unsigned k)
{
    if (story->is_interleaved)
        return k % 5 == 3 ? STORY_REASONING : STORY_TEXT;
    return k < story->deltas / 3 ? STORY_REASONING : STORY_TEXT;
}

/* Mostly a token; now and then a paragraph, that fills sockets. */
static void write_delta(struct story *story, unsigned k, struct buf *out)
{
    struct draw draw = draw_of(story->seed ^ story->task, PURPOSE_PADDING,
                               (uint64_t)story->run << 32 | k);
    unsigned count = draw_below(&draw, 24) == 0 ? draw_between(&draw, 100, 1200)
                                                : draw_below(&draw, 5);

    buf_printf(out, "[%u:%u:%u]", story->task, story->run, k);
    for (unsigned i = 0; i < count; i++)
        buf_puts(out, paddings[draw_below(&draw, 6)]);
}

void story_init(struct story *story, uint64_t seed, unsigned task, unsigned run)
{
    struct draw draw = draw_of(seed, PURPOSE_STORY, (uint64_t)task << 32 | run);
    unsigned length_ms = draw_between(&draw, 1200, 5000);

    *story = (struct story){.seed = seed, .task = task, .run = run};
    story->deltas = draw_below(&draw, 12) == 0 ? draw_below(&draw, 4)
                                               : draw_between(&draw, 20, 500);
    story->pace_us = length_ms * 1000 / (story->deltas + 1);
    story->ending = draw_below(&draw, 6) == 0 ? ENDING_ERROR : ENDING_COMPLETION;
    story->is_stubborn = draw_below(&draw, 4) == 0;
    story->is_interleaved = draw_below(&draw, 3) == 0;
    for (int kind = 0; kind < STORY_KINDS; kind++) {
        buf_init(&story->told[kind], TEXT_LIMIT);
        story->ends[kind] = mem_array(story->deltas + 1, sizeof(size_t));
    }
    for (unsigned k = 0; k < story->deltas; k++) {
        write_delta(story, k, &story->told[story_kind_of(story, k)]);
        for (int kind = 0; kind < STORY_KINDS; kind++)
            story->ends[kind][k + 1] = story->told[kind].len;
    }
}

void story_release(struct story *story)
{
    for (int kind = 0; kind < STORY_KINDS; kind++) {
        buf_release(&story->told[kind]);
        free(story->ends[kind]);
        story->ends[kind] = NULL;
    }
}

struct slice story_delta(const struct story *story, unsigned k)
{
    enum story_kind kind = story_kind_of(story, k);
    size_t from = story->ends[kind][k];

    return slice_make(story->told[kind].data + from, story->ends[kind][k + 1] - from);
}

unsigned story_reaches(const struct story *story, enum story_kind kind, size_t bytes)
{
    unsigned k = 0;

    while (k < story->deltas &&
           (story_kind_of(story, k) != kind || story->ends[kind][k + 1] <= bytes))
        k++;
    return k;
}

/* Digits and the character behind them. */
static bool read_number(struct slice text, size_t *at, char behind, unsigned *number)
{
    size_t start = *at;

    *number = 0;
    while (*at < text.len && *at - start < 9 && text.ptr[*at] >= '0' &&
           text.ptr[*at] <= '9')
        *number = *number * 10 + (unsigned)(text.ptr[(*at)++] - '0');
    if (*at == start || *at == text.len || text.ptr[*at] != behind)
        return false;
    (*at)++;
    return true;
}

bool story_mark_read(struct slice text, struct story_mark *mark)
{
    size_t at = 1;

    return text.len > 0 && text.ptr[0] == '[' &&
           read_number(text, &at, ':', &mark->task) &&
           read_number(text, &at, ':', &mark->run) &&
           read_number(text, &at, ']', &mark->k);
}
