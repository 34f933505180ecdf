/* spare.c - after a load, memory that lies free goes back to the system. */
/* SPDX-License-Identifier: MIT */
#include "base/spare.h"

#include "base/mem.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define LOOK_MS 5000
/* A load may come and go between two looks. */
#define GLANCE_MS 500
/* So many looks after the first time it is done again: what follows a load's end, like idle
 * connections that are closed a minute later, is free by then. */
#define SECOND_LOOK 2
#define THIRD_LOOK  20

struct spare {
    struct timer timer;
    struct spare_mark mark;
    unsigned glances; /* since the last look */
    size_t (*alive)(void *ctx);
    void *ctx;
};

void spare_note(struct spare_mark *mark, size_t alive)
{
    if (alive > mark->peak)
        mark->peak = alive;
}

bool spare_is_due(struct spare_mark *mark, size_t alive)
{
    spare_note(mark, alive);
    if (mark->peak >= SPARE_LOAD_MIN && alive <= mark->peak / 4) {
        *mark = (struct spare_mark){.peak = alive, .looks = 1};
        return true;
    }
    if (mark->looks == 0)
        return false;
    unsigned looks = mark->looks++;
    if (looks == THIRD_LOOK)
        mark->looks = 0;
    return looks == SECOND_LOOK || looks == THIRD_LOOK;
}

static void give_back(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

static void on_timer(struct timer *timer)
{
    struct spare *spare = LIST_ENTRY(timer, struct spare, timer);

    size_t alive = spare->alive(spare->ctx);

    spare_note(&spare->mark, alive);
    if (++spare->glances < LOOK_MS / GLANCE_MS)
        return;
    spare->glances = 0;
    if (spare_is_due(&spare->mark, alive))
        give_back();
}

struct spare *spare_new(struct loop *loop, size_t (*alive)(void *ctx), void *ctx)
{
    struct spare *spare = mem_new(sizeof(*spare));

    spare->alive = alive;
    spare->ctx = ctx;
    timer_init(&spare->timer, loop, on_timer);
    timer_start(&spare->timer, GLANCE_MS, GLANCE_MS);
    return spare;
}

void spare_free(struct spare *spare)
{
    if (spare == NULL)
        return;
    timer_release(&spare->timer);
    free(spare);
}
