/* points.c - where runs of a task ended and continues began, and the words before each. */
/* SPDX-License-Identifier: MIT */
#include "bus/points.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdlib.h>

struct place {
    struct task_point point;
    size_t bytes[POINT_KINDS]; /* of words before it */
    uint64_t branch;
};

/* What a branch has beyond the next one. */
struct cut {
    size_t from[POINT_KINDS];
    struct buf end[POINT_KINDS];
};

struct points {
    size_t limit_bytes;
    uint64_t next;
    struct place *places; /* oldest first */
    size_t count;
    size_t cap;
    uint64_t oldest;  /* branch that is kept */
    uint64_t branch;  /* of the text as it is */
    struct cut *cuts; /* of branches oldest .. branch - 1 */
    size_t bytes;
};

static size_t cut_count(const struct points *points)
{
    return (size_t)(points->branch - points->oldest);
}

struct points *points_new(size_t limit_bytes)
{
    struct points *points = mem_new(sizeof(*points));

    points->limit_bytes = limit_bytes;
    points->next = points->oldest = points->branch = 1;
    return points;
}

static void cut_release(struct cut *cut)
{
    for (size_t kind = 0; kind < POINT_KINDS; kind++)
        buf_release(&cut->end[kind]);
}

void points_free(struct points *points)
{
    if (points == NULL)
        return;
    for (size_t i = 0; i < cut_count(points); i++)
        cut_release(&points->cuts[i]);
    free(points->cuts);
    free(points->places);
    free(points);
}

size_t points_bytes(const struct points *points)
{
    return points == NULL ? 0 : points->bytes;
}

/* ---- bounds ---- */

static void drop_place(struct points *points, size_t at)
{
    points->count--;
    memmove(&points->places[at], &points->places[at + 1],
            (points->count - at) * sizeof(points->places[0]));
}

static void drop_oldest_cut(struct points *points)
{
    for (size_t kind = 0; kind < POINT_KINDS; kind++)
        points->bytes -= points->cuts[0].end[kind].len;
    cut_release(&points->cuts[0]);
    points->oldest++;
    memmove(points->cuts, points->cuts + 1,
            cut_count(points) * sizeof(points->cuts[0]));
}

static uint64_t oldest_needed(const struct points *points)
{
    uint64_t needed = points->branch;

    for (size_t i = 0; i < points->count; i++) {
        if (points->places[i].branch < needed)
            needed = points->places[i].branch;
    }
    return needed;
}

static void keep_within_bounds(struct points *points)
{
    uint64_t needed = oldest_needed(points);

    while (cut_count(points) > 0 &&
           (points->oldest < needed || points->bytes > points->limit_bytes))
        drop_oldest_cut(points);
    for (size_t i = points->count; i > 0; i--) {
        if (points->places[i - 1].branch < points->oldest)
            drop_place(points, i - 1);
    }
}

/* ---- points ---- */

static void make_room(struct points *points)
{
    if (points->count < points->cap)
        return;
    points->cap = points->cap == 0 ? 2 : 2 * points->cap;
    points->places = realloc(points->places, points->cap * sizeof(points->places[0]));
    if (points->places == NULL)
        abort();
}

void points_add(struct points *points, const struct task_point *point,
                const struct slice words[POINT_KINDS])
{
    struct place *place;

    if (points->count == TASK_POINTS_MAX)
        drop_place(points, 0);
    make_room(points);
    place = &points->places[points->count++];
    *place = (struct place){.point = *point, .branch = points->branch};
    place->point.number = points->next++;
    place->point.at_ms = clock_wall_ms();
    place->point.length = utf8_length(words[0].ptr, words[0].len);
    for (size_t kind = 0; kind < POINT_KINDS; kind++)
        place->bytes[kind] = words[kind].len;
    keep_within_bounds(points);
}

static const struct place *find(const struct points *points, uint64_t number)
{
    for (size_t i = 0; points != NULL && i < points->count; i++) {
        if (points->places[i].point.number == number)
            return &points->places[i];
    }
    return NULL;
}

bool points_has(const struct points *points, uint64_t number)
{
    return find(points, number) != NULL;
}

size_t points_list(const struct points *points, struct task_point out[TASK_POINTS_MAX])
{
    size_t count = points == NULL ? 0 : points->count;

    for (size_t i = 0; i < count; i++)
        out[i] = points->places[i].point;
    return count;
}

/* ---- going back ---- */

/* The words before `place`; answers how far they are those of `now` for certain. */
static size_t words_before(const struct points *points, const struct place *place,
                           size_t kind, struct slice now, struct buf *words)
{
    size_t same = now.len;

    (void)buf_slice(words, now);
    for (uint64_t branch = points->branch; branch > place->branch; branch--) {
        const struct cut *cut = &points->cuts[branch - 1 - points->oldest];
        words->len = cut->from[kind];
        (void)buf_slice(words, buf_view(&cut->end[kind]));
        if (cut->from[kind] < same)
            same = cut->from[kind];
    }
    words->len = place->bytes[kind];
    return same < words->len ? same : words->len;
}

static void cut_off(struct points *points, const struct slice now[POINT_KINDS],
                    const size_t same[POINT_KINDS])
{
    size_t count = cut_count(points);
    struct cut *cut;

    points->cuts = realloc(points->cuts, (count + 1) * sizeof(points->cuts[0]));
    if (points->cuts == NULL)
        abort();
    cut = &points->cuts[count];
    for (size_t kind = 0; kind < POINT_KINDS; kind++) {
        cut->from[kind] = same[kind];
        buf_init(&cut->end[kind], SIZE_MAX);
        (void)buf_append(&cut->end[kind], now[kind].ptr + same[kind],
                         now[kind].len - same[kind]);
        points->bytes += cut->end[kind].len;
    }
    points->branch++;
}

static bool stands_before(const struct place *place, const size_t limit[POINT_KINDS])
{
    for (size_t kind = 0; kind < POINT_KINDS; kind++) {
        if (place->bytes[kind] > limit[kind])
            return false;
    }
    return true;
}

/* What is whole in the new branch does not need the old one. */
static void move_to_new_branch(struct points *points, const struct place *back,
                               const size_t same[POINT_KINDS])
{
    uint64_t left = points->branch - 1;

    for (size_t i = 0; i < points->count; i++) {
        struct place *place = &points->places[i];
        if ((place->branch == left && stands_before(place, same)) ||
            (place->branch == back->branch && stands_before(place, back->bytes)))
            place->branch = points->branch;
    }
}

bool points_go_back(struct points *points, uint64_t number,
                    const struct slice now[POINT_KINDS], struct buf back[POINT_KINDS])
{
    const struct place *found = find(points, number);
    size_t same[POINT_KINDS];
    bool is_now;

    assert(found != NULL);
    struct place place = *found;
    is_now = place.branch == points->branch;
    for (size_t kind = 0; kind < POINT_KINDS; kind++)
        is_now = is_now && place.bytes[kind] == now[kind].len;
    if (is_now)
        return false;
    for (size_t kind = 0; kind < POINT_KINDS; kind++)
        same[kind] = words_before(points, &place, kind, now[kind], &back[kind]);
    cut_off(points, now, same);
    move_to_new_branch(points, &place, same);
    keep_within_bounds(points);
    return true;
}
