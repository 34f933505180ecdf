/* redis_restore.c - what was read from Redis is put into topics. */
/* SPDX-License-Identifier: MIT */
#include "bus/redis_inside.h"

static void lend(struct accumulated *acc, const struct store_text *text)
{
    struct slice stamp = text->timestamp;

    acc->merged = text->merged;
    acc->first_seq = text->first_seq;
    acc->last_seq = text->last_seq;
    /* Read only: topic_restore() copies. */
    acc->utf8 = (struct buf){.data = (char *)(uintptr_t)text->utf8.ptr,
                             .len = text->utf8.len,
                             .cap = text->utf8.len,
                             .limit_bytes = text->utf8.len};
    if (stamp.len > 0 && stamp.len < sizeof(acc->timestamp))
        memcpy(acc->timestamp, stamp.ptr, stamp.len);
}

void bus_entry_read(struct bus_redis *bus, const struct topic *topic,
                    const struct store_entry *entry, struct buf *scratch,
                    struct topic_event *event)
{
    if (bus_event_read(entry->id, entry->json, scratch, event))
        return;
    counter_add(bus->bad_entries, 1);
    bus_event_unreadable(topic, entry->id, scratch, event);
}

void bus_restore(struct bus_redis *bus, struct topic *topic,
                 const struct store_task *task)
{
    struct run run = {
        .epoch = task->epoch,
        .is_opaque = task->is_opaque,
        .state = task->state,
        .last_seq = task->last_seq,
        .started_ms = task->started_ms,
        .text_started_ms = task->text_started_ms,
        .finished_ms = task->finished_ms,
    };
    struct buf scratch;

    lend(&run.text, &task->text);
    lend(&run.reasoning, &task->reasoning);
    /* "First in this run" is not where a text began that an earlier run left. */
    if (task->keeps_text)
        run.text.first_seq = run.reasoning.first_seq = 0;
    topic_restore(topic, &run);
    buf_init(&scratch, EVENT_MAX_BYTES);
    for (size_t i = 0; i < task->count; i++) {
        struct topic_event event;
        bus_entry_read(bus, topic, &task->entries[i], &scratch, &event);
        topic_restore_entry(topic, &event);
    }
    buf_release(&scratch);
}

size_t bus_restore_older(struct bus_redis *bus, struct topic *topic,
                         const struct store_entry *entries, size_t count)
{
    struct topic_event event;
    struct buf scratch;
    size_t taken = 0;

    buf_init(&scratch, EVENT_MAX_BYTES);
    for (; taken < count; taken++) {
        bus_entry_read(bus, topic, &entries[count - 1 - taken], &scratch, &event);
        if (!topic_restore_older(topic, &event))
            break;
    }
    buf_release(&scratch);
    return taken;
}
