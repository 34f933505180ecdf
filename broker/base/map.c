/* map.c - byte-string keys to pointers. */
/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#define uthash_fatal(message) abort()
#include <uthash.h>

struct map_entry {
    UT_hash_handle hh;
    void *value;
    char key[];
};

struct map {
    struct map_entry *head;
    uint64_t seed[2];
};

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein) with a random key for each map: peers choose task ids
 * and room names, and none of uthash's own functions resists a peer who picks them so that
 * they collide. */
static unsigned hash_key(const struct map *map, struct slice key)
{
    uint64_t v[4] = {
        map->seed[0] ^ 0x736f6d6570736575u, map->seed[1] ^ 0x646f72616e646f6du,
        map->seed[0] ^ 0x6c7967656e657261u, map->seed[1] ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)key.len << 56;
    size_t at = 0;

    for (; key.len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, key.ptr + at, sizeof(word));
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (unsigned shift = 0; at < key.len; at++, shift += 8)
        last |= (uint64_t)(unsigned char)key.ptr[at] << shift;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    uint64_t sum = v[0] ^ v[1] ^ v[2] ^ v[3];
    return (unsigned)(sum ^ sum >> 32);
}

/* uthash compares keys with memcmp, which must not be handed NULL. */
static struct slice with_ptr(struct slice key)
{
    return key.len == 0 ? slice_make("", 0) : key;
}

/* uthash is macros that nest deeper than our own code may.
 * NOLINTBEGIN(readability-function-size) */
static struct map_entry *find(const struct map *map, struct slice key, unsigned hash)
{
    struct map_entry *entry = NULL;
    HASH_FIND_BYHASHVALUE(hh, map->head, key.ptr, key.len, hash, entry);
    return entry;
}

static void add(struct map *map, struct slice key, unsigned hash, void *value)
{
    struct map_entry *entry = mem_new(sizeof(*entry) + key.len);

    entry->value = value;
    memcpy(entry->key, key.ptr, key.len);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, map->head, entry->key, key.len, hash, entry);
}

static void drop(struct map *map, struct map_entry *entry)
{
    HASH_DELETE(hh, map->head, entry);
    explicit_bzero(entry->key, entry->hh.keylen);
    free(entry);
}

/* NOLINTEND(readability-function-size) */

struct map *map_new(void)
{
    struct map *map = mem_new(sizeof(*map));
    random_bytes(map->seed, sizeof(map->seed));
    return map;
}

void map_free(struct map *map)
{
    if (map == NULL)
        return;
    while (map->head != NULL)
        drop(map, map->head);
    free(map);
}

void *map_get(const struct map *map, struct slice key)
{
    key = with_ptr(key);
    const struct map_entry *entry = find(map, key, hash_key(map, key));
    return entry == NULL ? NULL : entry->value;
}

void *map_set(struct map *map, struct slice key, void *value)
{
    assert(value != NULL);
    key = with_ptr(key);
    unsigned hash = hash_key(map, key);
    struct map_entry *entry = find(map, key, hash);

    if (entry != NULL) {
        void *old = entry->value;
        entry->value = value;
        return old;
    }
    add(map, key, hash, value);
    return NULL;
}

void *map_remove(struct map *map, struct slice key)
{
    key = with_ptr(key);
    struct map_entry *entry = find(map, key, hash_key(map, key));
    if (entry == NULL)
        return NULL;
    void *value = entry->value;
    drop(map, entry);
    return value;
}

size_t map_size(const struct map *map)
{
    return HASH_COUNT(map->head);
}

void map_each(struct map *map, bool (*visit)(struct slice key, void *value, void *ctx),
              void *ctx)
{
    struct map_entry *next;

    for (struct map_entry *entry = map->head; entry != NULL; entry = next) {
        next = entry->hh.next;
        if (!visit(slice_make(entry->key, entry->hh.keylen), entry->value, ctx))
            return;
    }
}
