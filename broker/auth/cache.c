/* cache.c - answers that are still good, so that a reconnecting crowd does not ask again. */
/* SPDX-License-Identifier: MIT */
#include "auth/internal.h"
#include "base/mem.h"

#include <stdlib.h>

/*
 *   used:  least recently found <-> ... <-> just found or kept
 *
 * Keys hold credentials, byte for byte, because a hash would let somebody in on a collision.
 * So what is no longer good is not left to be pushed out: a timer wipes it within good_ms.
 */
struct answer_cache {
    struct loop *loop;
    uint64_t good_ms;
    size_t max_entries;
    struct map *entries; /* by the question's key */
    struct list used;
    struct timer sweep;
};

struct cached {
    struct list node;
    struct question *question;
    struct identity *identity;
    bool is_allowed;
    uint64_t good_until_ms;
};

static void drop(struct answer_cache *cache, struct cached *cached)
{
    map_remove(cache->entries, cached->question->key);
    list_remove(&cached->node);
    identity_unref(cached->identity);
    question_free(cached->question);
    free(cached);
}

static bool is_good(const struct answer_cache *cache, const struct cached *cached)
{
    return loop_now_ms(cache->loop) < cached->good_until_ms;
}

static void on_sweep(struct timer *timer)
{
    struct answer_cache *cache = LIST_ENTRY(timer, struct answer_cache, sweep);
    LIST_FOR_EACH(it, tmp, &cache->used)
    {
        struct cached *cached = LIST_ENTRY(it, struct cached, node);
        if (!is_good(cache, cached))
            drop(cache, cached);
    }
    if (list_is_empty(&cache->used))
        timer_stop(timer);
}

struct answer_cache *answer_cache_new(struct loop *loop, uint64_t good_ms,
                                      size_t max_entries)
{
    struct answer_cache *cache = mem_new(sizeof(*cache));
    cache->loop = loop;
    cache->good_ms = good_ms;
    cache->max_entries = max_entries;
    cache->entries = map_new();
    list_init(&cache->used);
    timer_init(&cache->sweep, loop, on_sweep);
    return cache;
}

void answer_cache_free(struct answer_cache *cache)
{
    LIST_FOR_EACH(it, tmp, &cache->used)
    {
        drop(cache, LIST_ENTRY(it, struct cached, node));
    }
    timer_release(&cache->sweep);
    map_free(cache->entries);
    free(cache);
}

void answer_cache_keep(struct answer_cache *cache, struct question *question,
                       const struct answer *answer)
{
    if (cache->good_ms == 0 || question->key.len > CACHED_KEY_MAX_BYTES) {
        question_free(question);
        return;
    }
    struct cached *old = map_get(cache->entries, question->key);
    if (old != NULL)
        drop(cache, old);
    else if (map_size(cache->entries) >= cache->max_entries)
        drop(cache, LIST_ENTRY(cache->used.next, struct cached, node));
    struct cached *cached = mem_new(sizeof(*cached));
    cached->question = question;
    if (answer->identity != NULL)
        cached->identity = identity_ref(answer->identity);
    cached->is_allowed = answer->is_allowed;
    cached->good_until_ms = loop_now_ms(cache->loop) + cache->good_ms;
    list_push_back(&cache->used, &cached->node);
    map_set(cache->entries, question->key, cached);
    if (!timer_is_active(&cache->sweep))
        timer_start(&cache->sweep, cache->good_ms, cache->good_ms);
}

bool answer_cache_find(struct answer_cache *cache, const struct question *question,
                       struct answer *answer)
{
    struct cached *cached = map_get(cache->entries, question->key);
    if (cached == NULL)
        return false;
    if (!is_good(cache, cached)) {
        drop(cache, cached);
        return false;
    }
    list_remove(&cached->node);
    list_push_back(&cache->used, &cached->node);
    *answer = (struct answer){
        .identity = cached->identity,
        .is_allowed = cached->is_allowed,
    };
    return true;
}
