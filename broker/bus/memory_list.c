/* memory_list.c - the tasks of a hub, newest first. */
/* SPDX-License-Identifier: MIT */
#include "bus/memory_list.h"

#include <stdlib.h>

struct found {
    struct slice site;
    const struct topic **topics;
    size_t count;
    size_t cap;
};

static bool collect(struct topic *topic, void *ctx)
{
    struct found *found = ctx;

    if (topic_kind(topic) != TOPIC_TASK || topic_run(topic)->state == RUN_UNKNOWN ||
        !slice_equal(topic_site(topic), found->site))
        return true;
    if (found->count == found->cap) {
        found->cap = found->cap == 0 ? 64 : found->cap * 2;
        found->topics =
            realloc(found->topics, found->cap * sizeof(const struct topic *));
        if (found->topics == NULL)
            abort();
    }
    found->topics[found->count++] = topic;
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct run *left = topic_run(*(const struct topic *const *)a);
    const struct run *right = topic_run(*(const struct topic *const *)b);

    return (left->started_ms < right->started_ms) -
           (left->started_ms > right->started_ms);
}

void memory_list_tasks(struct hub *hub, const struct memory_listing *listing)
{
    struct found found = {.site = listing->site};

    hub_each(hub, collect, &found);
    if (found.count > 1)
        qsort(found.topics, found.count, sizeof(const struct topic *), newest_first);
    for (size_t i = 0; i < found.count && i < listing->limit; i++) {
        const struct topic *topic = found.topics[i];
        const struct run *run = topic_run(topic);
        struct bus_task task = {
            .task = {topic_site(topic), topic_name(topic)},
            .state = run->state,
            .last = topic_last_id(topic),
            .started_ms = run->started_ms,
            .finished_ms = run->finished_ms,
        };
        listing->each(listing->ctx, &task);
    }
    free(found.topics);
}
