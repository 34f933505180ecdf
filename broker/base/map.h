/* map.h - byte-string keys to pointers. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_MAP_H
#define THINKWIRE_BASE_MAP_H

#include "base/slice.h"

/* Copies its keys, never touches its values. uthash inside (seeded against chosen keys by
 * a random prefix of the hash). Not bounded by itself: who owns the map bounds it. A key may
 * be a secret: it is wiped before its memory is freed. */
struct map;

struct map *map_new(void);
/* Frees the map and its keys, not the values. NULL is allowed. */
void map_free(struct map *map);
/* The value, or NULL. */
void *map_get(const struct map *map, struct slice key);
/* Sets or replaces; `value` must not be NULL. Answers the value it replaced, or NULL. */
void *map_set(struct map *map, struct slice key, void *value);
/* Removes and answers the value, or NULL. */
void *map_remove(struct map *map, struct slice key);
size_t map_size(const struct map *map);
/* Visits each pair; `visit` may remove the pair it is shown, nothing else; it answers
 * false to stop early. */
void map_each(struct map *map, bool (*visit)(struct slice key, void *value, void *ctx),
              void *ctx);

#endif
