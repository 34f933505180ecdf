/* outbox.c - what waits to be published, and what was numbered and is not acknowledged. */
/* SPDX-License-Identifier: MIT */
#include "emitters/lib/emitter_inside.h"

#include "base/mem.h"
#include "codec/json.h"

#include <assert.h>
#include <stdlib.h>

/* A merged delta is full past the first bound; text is added in pieces of the second, which
 * escaping can make six times longer: together below EVENT_MAX_BYTES. */
#define ITEM_FULL_BYTES  (256U << 10)
#define PIECE_BYTES      (64U << 10)
#define BATCH_MAX_EVENTS 256
/* What an item or batch costs beside its bytes, about; so that many small events count. */
#define ITEM_COST_BYTES 128

static void item_free(struct outbox *outbox, struct item *item)
{
    outbox->item_bytes -= item->body.len + ITEM_COST_BYTES;
    buf_release(&item->body);
    free(item);
}

static void batch_free(struct outbox *outbox, struct batch *batch)
{
    outbox->batch_bytes -= batch->bytes.len;
    buf_release(&batch->bytes);
    free(batch->events);
    free(batch);
}

void outbox_init(struct outbox *outbox)
{
    *outbox = (struct outbox){.item_bytes = 0};
    list_init(&outbox->items);
    list_init(&outbox->batches);
}

void outbox_drop_items(struct outbox *outbox)
{
    LIST_FOR_EACH(it, tmp, &outbox->items)
    {
        item_free(outbox, LIST_ENTRY(it, struct item, node));
    }
    list_init(&outbox->items);
    outbox->is_urgent = false;
}

void outbox_release(struct outbox *outbox)
{
    outbox_drop_items(outbox);
    LIST_FOR_EACH(it, tmp, &outbox->batches)
    {
        batch_free(outbox, LIST_ENTRY(it, struct batch, node));
    }
    list_init(&outbox->batches);
}

/* ---- items ---- */

static struct item *add_item(struct outbox *outbox, enum event_type type)
{
    struct item *item = mem_new(sizeof(*item));
    item->type = type;
    buf_init(&item->body, EVENT_MAX_BYTES);
    list_push_back(&outbox->items, &item->node);
    outbox->item_bytes += ITEM_COST_BYTES;
    return item;
}

/* The last item, when a delta of `type` may still go into it. */
static struct item *open_item(struct outbox *outbox, enum event_type type)
{
    if (list_is_empty(&outbox->items))
        return NULL;
    struct item *last = LIST_ENTRY(outbox->items.prev, struct item, node);
    bool fits =
        last->is_plain_delta && last->type == type && last->body.len < ITEM_FULL_BYTES;
    return fits ? last : NULL;
}

/* At most PIECE_BYTES, not cutting a character. */
static size_t piece_length(struct slice utf8)
{
    size_t len = utf8.len;
    if (len <= PIECE_BYTES)
        return len;
    len = PIECE_BYTES;
    while (((unsigned char)utf8.ptr[len] & 0xC0) == 0x80)
        len--;
    return len;
}

bool outbox_add_delta(struct outbox *outbox, enum event_type type, struct slice utf8,
                      const char *at)
{
    struct item *item = open_item(outbox, type);
    bool is_merged = item != NULL;
    while (utf8.len > 0) {
        size_t len = piece_length(utf8);
        if (item == NULL) {
            item = add_item(outbox, type);
            item->is_plain_delta = true;
            item->is_spoken = true;
            memcpy(item->at, at, CLOCK_ISO_SIZE);
        }
        size_t before = item->body.len;
        json_escape(&item->body, slice_make(utf8.ptr, len));
        assert(!item->body.failed);
        outbox->item_bytes += item->body.len - before;
        utf8 = slice_make(utf8.ptr + len, utf8.len - len);
        item = item->body.len < ITEM_FULL_BYTES ? item : NULL;
    }
    return is_merged;
}

void outbox_add_event(struct outbox *outbox, const struct event *event)
{
    struct item *item = add_item(outbox, event->type);
    item->is_spoken = event->is_delta;
    buf_slice(&item->body, event->json);
    outbox->item_bytes += item->body.len;
    outbox->is_urgent = true;
}

/* ---- batches ---- */

static void compose_item(struct buf *out, const struct item *item, struct slice task_id)
{
    if (item->is_plain_delta)
        compose_delta(out, item, task_id);
    else
        buf_slice(out, buf_view(&item->body));
}

/* Moves items into `batch->bytes`, one event per line. */
static void fill_batch(struct outbox *outbox, struct batch *batch, struct slice task_id,
                       size_t about_bytes)
{
    LIST_FOR_EACH(it, tmp, &outbox->items)
    {
        struct item *item = LIST_ENTRY(it, struct item, node);
        bool is_full = batch->count == BATCH_MAX_EVENTS ||
                       batch->bytes.len + item->body.len > about_bytes;
        if (batch->count > 0 && is_full)
            break;
        compose_item(&batch->bytes, item, task_id);
        buf_putc(&batch->bytes, '\n');
        batch->count++;
        list_remove(&item->node);
        item_free(outbox, item);
    }
    assert(!batch->bytes.failed);
}

static void read_events(struct batch *batch)
{
    const char *at = batch->bytes.data;
    batch->events = mem_array(batch->count, sizeof(*batch->events));
    for (size_t i = 0; i < batch->count; i++) {
        const char *field;
        const char *end = strchr(at, '\n');
        struct slice line = slice_make(at, (size_t)(end - at));
        enum event_fault fault = event_check(line, &batch->events[i], &field);
        assert(fault == EVENT_OK); /* checked or made by us */
        (void)fault;
        batch->has_terminal =
            batch->has_terminal || event_type_is_terminal(batch->events[i].type);
        at = end + 1;
    }
}

struct batch *outbox_pack(struct outbox *outbox, struct slice task_id, uint64_t counter,
                          size_t about_bytes)
{
    if (list_is_empty(&outbox->items))
        return NULL;
    struct batch *batch = mem_new(sizeof(*batch));
    buf_init(&batch->bytes, about_bytes + (size_t)2 * EVENT_MAX_BYTES);
    list_init(&batch->node);
    batch->counter = counter;
    fill_batch(outbox, batch, task_id, about_bytes);
    (void)buf_text(&batch->bytes);
    read_events(batch);
    list_push_back(&outbox->batches, &batch->node);
    outbox->batch_bytes += batch->bytes.len;
    if (list_is_empty(&outbox->items))
        outbox->is_urgent = false;
    return batch;
}

void outbox_ack(struct outbox *outbox, struct batch *batch)
{
    list_remove(&batch->node);
    batch_free(outbox, batch);
}

/* Turns what is no delta back into items, at the end of `items`. */
static void keep_events(struct outbox *outbox, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (!batch->events[i].is_delta)
            outbox_add_event(outbox, &batch->events[i]);
}

void outbox_unpack(struct outbox *outbox)
{
    struct list waiting;
    list_init(&waiting);
    list_splice(&waiting, &outbox->items);
    LIST_FOR_EACH(it, tmp, &outbox->batches)
    {
        struct batch *batch = LIST_ENTRY(it, struct batch, node);
        keep_events(outbox, batch);
        batch_free(outbox, batch);
    }
    list_init(&outbox->batches);
    LIST_FOR_EACH(it, tmp, &waiting)
    {
        struct item *item = LIST_ENTRY(it, struct item, node);
        list_remove(&item->node);
        if (item->is_spoken)
            item_free(outbox, item);
        else
            list_push_back(&outbox->items, &item->node);
    }
    outbox->in_flight = 0;
    outbox->is_urgent = !list_is_empty(&outbox->items);
}
