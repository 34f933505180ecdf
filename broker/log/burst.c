/* burst.c - runs of entries, encoded once for all readers that stand at one cursor. */
/* SPDX-License-Identifier: MIT */
#include "log/internal.h"

#include <assert.h>

/* Encoded text is at most 6 times a body, and a body is bounded by EVENT_MAX_BYTES. */
#define BURST_LIMIT ((size_t)8 * EVENT_MAX_BYTES)

/* What is written around a body, roughly. */
#define ENVELOPE_BYTES 192

static bool slot_matches(const struct burst_slot *slot, const struct topic *topic,
                         const struct burst *want)
{
    return slot->topic == topic && slot->burst.from == want->from &&
           slot->burst.key == want->key &&
           slot->burst.max_entries == want->max_entries &&
           slot->burst.about_bytes == want->about_bytes;
}

static void slot_clear(struct burst_slot *slot)
{
    bytes_unref(slot->bytes);
    *slot = (struct burst_slot){0};
}

void burst_forget(struct hub *hub, const struct topic *topic)
{
    for (unsigned i = 0; i < BURST_SLOTS; i++)
        if (hub->slots[i].topic == topic)
            slot_clear(&hub->slots[i]);
}

void burst_forget_all(struct hub *hub)
{
    for (unsigned i = 0; i < BURST_SLOTS; i++)
        if (hub->slots[i].topic != NULL)
            slot_clear(&hub->slots[i]);
}

static struct bytes *encode_burst(const struct topic *topic, struct burst *burst,
                                  entry_encoder *encode)
{
    struct buf out;
    struct bytes *bytes;
    unsigned count = 0;

    buf_init(&out, BURST_LIMIT);
    /* Enough for most bursts of one event: it grows once, not in steps. */
    (void)buf_reserve(&out, topic_entry(topic, burst->from)->body.len + ENVELOPE_BYTES);
    burst->to = burst->from;
    while (burst->to < topic->next_pos && count < burst->max_entries &&
           (count == 0 || out.len < burst->about_bytes)) {
        encode(&out, topic, topic_entry(topic, burst->to), burst->key);
        burst->to++;
        count++;
    }
    bytes = buf_share(&out);
    bytes->frames = count;
    buf_release(&out);
    return bytes;
}

struct bytes *topic_burst(struct topic *topic, struct burst *burst,
                          entry_encoder *encode)
{
    struct hub *hub = topic->hub;
    struct burst_slot *slot;

    assert(burst->from >= topic->base_pos && burst->from < topic->next_pos);
    for (unsigned i = 0; i < BURST_SLOTS; i++) {
        slot = &hub->slots[i];
        if (slot_matches(slot, topic, burst)) {
            burst->to = slot->burst.to;
            return bytes_ref(slot->bytes);
        }
    }
    slot = &hub->slots[hub->next_slot++ % BURST_SLOTS];
    slot_clear(slot);
    slot->bytes = encode_burst(topic, burst, encode);
    slot->topic = topic;
    slot->burst = *burst;
    return bytes_ref(slot->bytes);
}
