/* subscriptions.c - which channels are wanted, and how far Redis knows of it. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "redis/inside.h"

#include <stdlib.h>

#define CHANNELS_PER_COMMAND 512

/*
 * Wishes may change faster than Redis confirms them. `pending` counts the changes of this
 * channel that are on their way: only when it is back to 0 is what Redis last said true of
 * now, and only then the subscriber is told.
 */
struct subscription {
    struct list dirty;
    unsigned pending;
    bool is_wanted;
    bool is_sent;
    size_t len;
    char channel[];
};

static struct slice name_of(const struct subscription *sub)
{
    return slice_make(sub->channel, sub->len);
}

void subscriptions_init(struct subscriptions *subs)
{
    subs->by_channel = map_new();
    list_init(&subs->dirty);
}

static bool drop_one(struct slice key, void *value, void *ctx)
{
    (void)key;
    (void)ctx;
    free(value);
    return true;
}

void subscriptions_release(struct subscriptions *subs)
{
    map_each(subs->by_channel, drop_one, NULL);
    map_free(subs->by_channel);
    subs->by_channel = NULL;
    list_init(&subs->dirty);
}

static void drop_if_idle(struct subscriptions *subs, struct subscription *sub)
{
    if (sub->is_wanted || sub->is_sent || sub->pending > 0)
        return;
    list_remove(&sub->dirty);
    (void)map_remove(subs->by_channel, name_of(sub));
    free(sub);
}

bool subscriptions_want(struct subscriptions *subs, struct slice channel, bool wanted)
{
    struct subscription *sub = map_get(subs->by_channel, channel);

    if (sub == NULL && wanted) {
        sub = mem_new(sizeof(*sub) + channel.len);
        sub->len = channel.len;
        memcpy(sub->channel, channel.ptr, channel.len);
        list_init(&sub->dirty);
        (void)map_set(subs->by_channel, channel, sub);
    }
    if (sub == NULL || sub->is_wanted == wanted)
        return false;
    sub->is_wanted = wanted;
    list_remove(&sub->dirty);
    list_push_back(&subs->dirty, &sub->dirty);
    return true;
}

static bool forget_one(struct slice key, void *value, void *ctx)
{
    struct subscriptions *subs = ctx;
    struct subscription *sub = value;

    (void)key;
    sub->pending = 0;
    sub->is_sent = false;
    list_remove(&sub->dirty);
    if (sub->is_wanted)
        list_push_back(&subs->dirty, &sub->dirty);
    else
        drop_if_idle(subs, sub);
    return true;
}

void subscriptions_forget_sent(struct subscriptions *subs)
{
    map_each(subs->by_channel, forget_one, subs);
}

struct verb_batch {
    struct slice argv[1 + CHANNELS_PER_COMMAND];
    size_t argc;
    struct buf *out;
};

static void batch_send(struct verb_batch *batch)
{
    if (batch->argc > 1)
        command_encode(batch->out, batch->argv, batch->argc);
    batch->argc = 1;
}

static void batch_add(struct verb_batch *batch, struct subscription *sub)
{
    batch->argv[batch->argc++] = name_of(sub);
    sub->pending++;
    if (batch->argc == 1 + CHANNELS_PER_COMMAND)
        batch_send(batch);
}

void subscriptions_encode(struct subscriptions *subs, struct buf *out)
{
    struct verb_batch give_up = {.argc = 1, .out = out};
    struct verb_batch take = {.argc = 1, .out = out};

    give_up.argv[0] = slice_of("UNSUBSCRIBE");
    take.argv[0] = slice_of("SUBSCRIBE");
    LIST_FOR_EACH(node, next, &subs->dirty)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, dirty);
        list_remove(node);
        if (sub->is_wanted)
            batch_add(&take, sub);
        else if (sub->is_sent)
            batch_add(&give_up, sub);
        sub->is_sent = sub->is_wanted;
        drop_if_idle(subs, sub);
    }
    batch_send(&give_up);
    batch_send(&take);
}

bool subscriptions_confirm(struct subscriptions *subs, struct slice channel)
{
    struct subscription *sub = map_get(subs->by_channel, channel);

    if (sub == NULL || sub->pending == 0)
        return false;
    sub->pending--;
    if (sub->pending > 0 || list_is_linked(&sub->dirty))
        return false;
    if (sub->is_wanted)
        return true;
    drop_if_idle(subs, sub);
    return false;
}

bool subscriptions_is_wanted(const struct subscriptions *subs, struct slice channel)
{
    const struct subscription *sub = map_get(subs->by_channel, channel);

    return sub != NULL && sub->is_wanted;
}
