/* heard.h - when something was last said in a room, for rooms that nobody here is in too. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BUS_HEARD_H
#define THINKWIRE_BUS_HEARD_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A fixed table of times, a place for each room by a hash of its name: 128 KB whatever the
 * number of rooms. Two rooms that share a place make each other seem louder than they are,
 * never quieter: with a thousand rooms that are spoken in all the time, one quiet room in
 * seventeen is taken for one of them.
 */
struct heard;

struct heard *heard_new(void);
void heard_free(struct heard *heard);

/* Everything is heard from `now_ms` (not 0) on, until heard_stops(). */
void heard_begins(struct heard *heard, uint64_t now_ms);
void heard_stops(struct heard *heard);
void heard_in_room(struct heard *heard, struct slice site, struct slice room,
                   uint64_t now_ms);
/* In the room without a name, of every site. */
void heard_everywhere(struct heard *heard, uint64_t now_ms);
/* All was heard since `since_ms`, and nothing was said there since. */
bool heard_nothing(const struct heard *heard, struct slice site, struct slice room,
                   uint64_t since_ms);

#endif
