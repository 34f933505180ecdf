/* window.c - the entries a topic holds: a ring that grows, and its bounds. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "log/internal.h"

#include <assert.h>
#include <stdlib.h>

#define RING_START 8
/* How far past its bounds a window may grow within one turn. */
#define BURST_FACTOR 4

/* ---- entries ---- */

static struct slice name_of(const struct topic_event *event)
{
    return event->name.len == 0 ? slice_of("ai_progress") : event->name;
}

static size_t entry_cost(const struct entry *entry)
{
    return sizeof(struct entry) + entry->name.len + entry->body.len;
}

size_t window_cost(const struct topic_event *event)
{
    return sizeof(struct entry) + name_of(event).len + event->body.len;
}

static struct slice rebase(struct slice part, struct slice from, struct slice to)
{
    return slice_make(to.ptr + (part.ptr - from.ptr), part.len);
}

static struct entry *entry_new(const struct topic_event *event)
{
    struct slice name = name_of(event);
    struct entry *entry = malloc(window_cost(event));
    char *data = (char *)(entry + 1);

    if (entry == NULL)
        abort();
    memcpy(data, name.ptr, name.len);
    memcpy(data + name.len, event->body.ptr, event->body.len);
    *entry = (struct entry){
        .order = event->order,
        .id = event->id,
        .type = event->type,
        .is_delta = event->is_delta,
        .is_opaque = event->is_opaque,
        .lacks_id = event->lacks_id,
        .name = {data, name.len},
        .body = {data + name.len, event->body.len},
    };
    if (event->is_delta)
        entry->text = rebase(event->text, event->body, entry->body);
    if (event->timestamp.len > 0)
        entry->timestamp = rebase(event->timestamp, event->body, entry->body);
    return entry;
}

/* ---- the ring ---- */

static struct entry **slot_of(const struct topic *topic, uint64_t pos)
{
    return &topic->ring[pos & (topic->cap - 1)];
}

/* There is a free slot on either side. */
static void ring_reserve(struct topic *topic)
{
    size_t cap = topic->cap == 0 ? RING_START : topic->cap * 2;
    struct entry **ring;

    if (topic->next_pos - topic->base_pos < topic->cap)
        return;
    ring = mem_array(cap, sizeof(struct entry *));
    for (uint64_t pos = topic->base_pos; pos < topic->next_pos; pos++)
        ring[pos & (cap - 1)] = *slot_of(topic, pos);
    free(topic->ring);
    topic->ring = ring;
    topic->cap = cap;
}

void topic_drop_oldest(struct topic *topic)
{
    struct entry **slot = slot_of(topic, topic->base_pos);

    assert(topic->base_pos < topic->next_pos);
    /* 0 has been fetched again: what was dropped before stays dropped for who counts. */
    if ((*slot)->order > topic->dropped_order)
        topic->dropped_order = (*slot)->order;
    topic->window_bytes -= entry_cost(*slot);
    free(*slot);
    *slot = NULL;
    topic->base_pos++;
}

void window_clear(struct topic *topic)
{
    while (topic->base_pos < topic->next_pos)
        topic_drop_oldest(topic);
}

/* ---- bounds ---- */

/* Of bodies: as Redis counts them, so that both retain the same. What an entry costs beyond
 * its body is bounded by their number, and counts in the hub's total. */
static uint64_t body_bytes(const struct topic *topic)
{
    if (topic->base_pos == topic->next_pos)
        return 0;
    return topic->appended_bytes - (*slot_of(topic, topic->base_pos))->bytes_before;
}

static bool exceeds(const struct topic *topic, size_t times)
{
    const struct hub_limits *limits = &topic->hub->limits;

    return topic->next_pos - topic->base_pos > times * limits->retain_events ||
           body_bytes(topic) > times * limits->retain_bytes;
}

bool window_has_room(const struct topic *topic, size_t bytes)
{
    const struct hub_limits *limits = &topic->hub->limits;

    return topic->next_pos - topic->base_pos < limits->retain_events &&
           body_bytes(topic) + bytes <= limits->retain_bytes;
}

/* The newest entry always stays: it is what the bounds are for. */
void topic_trim(struct topic *topic)
{
    while (topic->next_pos - topic->base_pos > 1 && exceeds(topic, 1)) {
        topic_drop_oldest(topic);
        /* The window is full: what has just left it is not fetched again. */
        topic->bottom_pos = topic->base_pos;
        counter_add(topic->hub->evicted, 1);
    }
}

/* ---- in ---- */

void window_push(struct topic *topic, const struct topic_event *event)
{
    struct entry *entry = entry_new(event);

    ring_reserve(topic);
    if (entry->order == 0)
        entry->order = hub_next_order(topic->hub);
    entry->bytes_before = topic->appended_bytes;
    topic->appended_bytes += entry->body.len;
    *slot_of(topic, topic->next_pos) = entry;
    topic->next_pos++;
    topic->window_bytes += entry_cost(entry);
    /* Readers see what one turn brought before it is cut to size: nobody is called slow for
     * a burst that was never offered. Within reason. */
    if (topic->reader_count == 0 || exceeds(topic, BURST_FACTOR))
        topic_trim(topic);
}

void window_put_first(struct topic *topic, const struct topic_event *event)
{
    const struct entry *first = topic_entry(topic, topic->base_pos);
    struct entry *entry = entry_new(event);

    ring_reserve(topic);
    entry->order = 0;
    entry->bytes_before =
        (first == NULL ? topic->appended_bytes : first->bytes_before) - entry->body.len;
    topic->base_pos--;
    *slot_of(topic, topic->base_pos) = entry;
    topic->window_bytes += entry_cost(entry);
}
