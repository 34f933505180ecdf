/* waiters.c - commands on their way: encoding, and the queue of those who wait. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "redis/inside.h"

#include <assert.h>
#include <stdlib.h>

static void grow(struct waiters *waiters)
{
    size_t cap = waiters->cap == 0 ? 64 : waiters->cap * 2;
    struct waiter *ring = mem_array(cap, sizeof(*ring));

    for (size_t i = 0; i < waiters->count; i++)
        ring[i] = waiters->ring[(waiters->head + i) & (waiters->cap - 1)];
    free(waiters->ring);
    waiters->ring = ring;
    waiters->head = 0;
    waiters->cap = cap;
}

void waiters_push(struct waiters *waiters, struct waiter waiter)
{
    if (waiters->count == waiters->cap)
        grow(waiters);
    waiters->ring[(waiters->head + waiters->count) & (waiters->cap - 1)] = waiter;
    waiters->count++;
}

struct waiter waiters_pop(struct waiters *waiters)
{
    assert(waiters->count > 0);
    struct waiter waiter = waiters->ring[waiters->head];

    waiters->head = (waiters->head + 1) & (waiters->cap - 1);
    waiters->count--;
    return waiter;
}

void waiters_fail(struct waiters *waiters)
{
    while (waiters->count > 0) {
        struct waiter waiter = waiters_pop(waiters);
        if (waiter.done != NULL)
            waiter.done(waiter.ctx, NULL);
    }
    free(waiters->ring);
    *waiters = (struct waiters){.ring = NULL};
}

void command_encode(struct buf *out, const struct slice *argv, size_t argc)
{
    buf_putc(out, '*');
    buf_u64(out, argc);
    buf_puts(out, "\r\n");
    for (size_t i = 0; i < argc; i++) {
        buf_putc(out, '$');
        buf_u64(out, argv[i].len);
        buf_puts(out, "\r\n");
        buf_slice(out, argv[i]);
        buf_puts(out, "\r\n");
    }
}

size_t command_size(const struct slice *argv, size_t argc)
{
    size_t size = 24;

    for (size_t i = 0; i < argc; i++)
        size += argv[i].len + 26;
    return size;
}
