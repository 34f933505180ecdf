/* eio_queue.c - the private packets of a session that wait for its transport. */
/* SPDX-License-Identifier: MIT */
#include "engine/eio_queue.h"

#include <assert.h>
#include <stdint.h>

struct record_head {
    uint32_t len;
    uint8_t type;
    uint8_t is_binary;
    uint8_t unused[2];
};

void eio_queue_init(struct eio_queue *queue, size_t limit_bytes)
{
    buf_init(&queue->records, limit_bytes);
    queue->count = 0;
}

void eio_queue_release(struct eio_queue *queue)
{
    buf_release(&queue->records);
    queue->count = 0;
}

bool eio_queue_put(struct eio_queue *queue, const struct eio_packet *packet)
{
    struct buf *records = &queue->records;
    const struct record_head head = {
        .len = (uint32_t)packet->data.len,
        .type = (uint8_t)packet->type,
        .is_binary = packet->is_binary,
    };

    if (packet->data.len > UINT32_MAX ||
        packet->data.len + sizeof(head) > records->limit_bytes - records->len)
        return false;
    buf_append(records, &head, sizeof(head));
    buf_slice(records, packet->data);
    queue->count++;
    return !records->failed;
}

bool eio_queue_next(const struct eio_queue *queue, size_t *at,
                    struct eio_packet *packet)
{
    struct record_head head;
    const struct buf *records = &queue->records;

    if (*at >= records->len)
        return false;
    memcpy(&head, records->data + *at, sizeof(head));
    packet->type = (enum eio_type)head.type;
    packet->is_binary = head.is_binary != 0;
    packet->data = slice_make(records->data + *at + sizeof(head), head.len);
    *at += sizeof(head) + head.len;
    return true;
}

void eio_queue_drop(struct eio_queue *queue, unsigned count, size_t at)
{
    assert(count <= queue->count && at <= queue->records.len);
    queue->count -= count;
    if (queue->count == 0) {
        buf_release(&queue->records);
        return;
    }
    buf_consume(&queue->records, at);
}
