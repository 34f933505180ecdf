/* spare.c - after a load, memory that lies free goes back to the system. */
/* SPDX-License-Identifier: MIT */
#include "base/spare.h"

#include "base/mem.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define LOOK_MS 5000
/* So many looks after the first time it is done again: what follows a load's end, like idle
 * connections that are closed a minute later, is free by then. */
#define SECOND_LOOK 2
#define THIRD_LOOK  20

struct spare {
    struct timer timer;
    struct spare_mark mark;
    size_t (*alive)(void *ctx);
    void *ctx;
};

bool spare_is_due(struct spare_mark *mark, size_t alive)
{
    if (alive > mark->peak)
        mark->peak = alive;
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

    if (spare_is_due(&spare->mark, spare->alive(spare->ctx)))
        give_back();
}

struct spare *spare_new(struct loop *loop, size_t (*alive)(void *ctx), void *ctx)
{
    struct spare *spare = mem_new(sizeof(*spare));

    spare->alive = alive;
    spare->ctx = ctx;
    timer_init(&spare->timer, loop, on_timer);
    timer_start(&spare->timer, LOOK_MS, LOOK_MS);
    return spare;
}

void spare_free(struct spare *spare)
{
    if (spare == NULL)
        return;
    timer_release(&spare->timer);
    free(spare);
}
