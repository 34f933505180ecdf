/* heard.c - when something was last said in a room. */
/* SPDX-License-Identifier: MIT */
#include "bus/heard.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

#define ROOMS 16384

struct heard {
    uint64_t since_ms; /* 0: nothing is heard at the moment */
    uint64_t everywhere_ms;
    uint64_t seed; /* whoever names rooms cannot choose which of them share a place */
    uint64_t last_ms[ROOMS];
};

struct heard *heard_new(void)
{
    struct heard *heard = mem_new(sizeof(*heard));

    random_bytes(&heard->seed, sizeof(heard->seed));
    return heard;
}

void heard_free(struct heard *heard)
{
    free(heard);
}

/* FNV-1a, stirred once more. */
static uint64_t add(uint64_t hash, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 29;
    return hash * UINT64_C(0xbf58476d1ce4e5b9);
}

static size_t place_of(const struct heard *heard, struct slice site, struct slice room)
{
    uint64_t hash = add(add(heard->seed ^ UINT64_C(0xcbf29ce484222325), site), room);

    return (size_t)((hash ^ hash >> 32) % ROOMS);
}

void heard_begins(struct heard *heard, uint64_t now_ms)
{
    heard->since_ms = now_ms;
}

void heard_stops(struct heard *heard)
{
    heard->since_ms = 0;
}

void heard_in_room(struct heard *heard, struct slice site, struct slice room,
                   uint64_t now_ms)
{
    heard->last_ms[place_of(heard, site, room)] = now_ms;
}

void heard_everywhere(struct heard *heard, uint64_t now_ms)
{
    heard->everywhere_ms = now_ms;
}

bool heard_nothing(const struct heard *heard, struct slice site, struct slice room,
                   uint64_t since_ms)
{
    if (heard->since_ms == 0 || heard->since_ms > since_ms)
        return false;
    if (room.len == 0 && heard->everywhere_ms >= since_ms)
        return false;
    return heard->last_ms[place_of(heard, site, room)] < since_ms;
}
