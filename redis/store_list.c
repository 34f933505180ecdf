/* store_list.c - listing tasks by the index that stands beside them. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "redis/store_inside.h"

#include <stdlib.h>

/* Members read at a time; a listing goes on with the next part until it has enough. */
#define PART_SIZE 500
#define LIST_MAX  1000

/*
 *   ZRANGE part --> a store_item of each member that fits --> HMGET each, in order
 *        ^                                                        |
 *        +------------ the part was full and more is wanted ------+
 */
struct listing {
    struct store_listing wanted; /* site is owned */
    void *ctx;
    struct store *store;
    size_t found;
    size_t read;    /* members of the index seen so far */
    size_t waiting; /* items asked for in this part */
    bool is_last;   /* this part was the last one */
    bool has_failed;
};

enum field {
    F_STATE,
    F_EPOCH,
    F_SEQ,
    F_STARTED,
    F_FINISHED,
    F_UPDATED,
    F_LEASE,
    F_STOP,
    F_ERASED,
    F_COUNT
};
static const char *const field_names[F_COUNT] = {
    "state",    "epoch",          "seq",   "started_at", "finished_at", "updated_at",
    "lease_ms", "stop_requested", "erased"};

static void read_part(struct listing *listing);

static void listing_end(struct listing *listing)
{
    listing->wanted.done(listing->ctx, !listing->has_failed);
    free((void *)(uintptr_t)listing->wanted.site.ptr);
    free(listing);
}

static void part_end(struct listing *listing)
{
    if (listing->waiting > 0)
        return;
    if (listing->has_failed || listing->is_last ||
        listing->found >= listing->wanted.limit)
        listing_end(listing);
    else
        read_part(listing);
}

static uint64_t number_of(const struct reply *reply, size_t i)
{
    return reply_u64(reply_at(reply, i));
}

static void read_item(struct call *call, const struct reply *reply)
{
    struct listing *listing = call->ctx;
    struct store_item item = {.task = call->task};

    item.epoch = number_of(reply, F_EPOCH);
    item.state = run_state_of(reply_text(reply_at(reply, F_STATE)));
    bool is_gone = item.epoch == 0 || reply_text(reply_at(reply, F_ERASED)).len > 0;
    /* Repaired on read. */
    if (is_gone) {
        store_index_forget(listing->store, &call->task);
        return;
    }
    if (run_state_is_final(item.state))
        store_index_close(listing->store, &call->task, item.epoch);
    if (listing->wanted.only_open && run_state_is_final(item.state))
        return;
    item.last_seq = number_of(reply, F_SEQ);
    item.started_ms = number_of(reply, F_STARTED);
    item.finished_ms = number_of(reply, F_FINISHED);
    item.updated_ms = number_of(reply, F_UPDATED);
    item.lease_ms = number_of(reply, F_LEASE);
    item.stop_requested = number_of(reply, F_STOP) == item.epoch;
    if (listing->found++ < listing->wanted.limit)
        listing->wanted.each(listing->ctx, &item);
}

static void finish_item(struct call *call, const struct reply *reply)
{
    struct listing *listing = call->ctx;

    listing->waiting--;
    if (reply == NULL || reply_count(reply) != F_COUNT)
        listing->has_failed = true;
    else
        read_item(call, reply);
    part_end(listing);
}

static void ask_item(struct listing *listing, const struct task_key *task)
{
    struct call *call = call_new(listing->store, task, finish_item);

    call->ctx = listing;
    call_arg(call, slice_of("HMGET"));
    call_arg_key(call, "run");
    for (size_t i = 0; i < F_COUNT; i++)
        call_arg(call, slice_of(field_names[i]));
    listing->waiting++;
    call_command(call);
}

static bool member_parse(struct slice member, struct task_key *task)
{
    const char *slash = member.len == 0 ? NULL : memchr(member.ptr, '/', member.len);

    if (slash == NULL)
        return false;
    size_t len = (size_t)(slash - member.ptr);
    task->site = slice_make(member.ptr, len);
    task->task_id = slice_make(slash + 1, member.len - len - 1);
    return site_is_native(task->site) && task_id_is_native(task->task_id);
}

static void finish_part(struct call *call, const struct reply *reply)
{
    struct listing *listing = call->ctx;
    size_t wanted = listing->wanted.limit - listing->found;

    if (reply == NULL || reply_kind(reply) != REPLY_LIST) {
        listing->has_failed = true;
        listing_end(listing);
        return;
    }
    size_t count = reply_count(reply);
    size_t i = 0;
    for (; i < count && listing->waiting < wanted; i++) {
        struct task_key task;
        if (!member_parse(reply_text(reply_at(reply, i)), &task))
            continue;
        if (listing->wanted.only_open || slice_equal(task.site, listing->wanted.site))
            ask_item(listing, &task);
    }
    listing->read += i;
    listing->is_last = i == count && count < PART_SIZE;
    part_end(listing);
}

static void read_part(struct listing *listing)
{
    struct call *call = call_new(listing->store, NULL, finish_part);
    bool only_open = listing->wanted.only_open;
    size_t from = listing->wanted.offset + listing->read;

    call->ctx = listing;
    call_arg(call, slice_of(only_open ? "ZRANGE" : "ZREVRANGE"));
    buf_puts(&call->bytes, listing->store->prefix);
    call_arg(call, slice_of(only_open ? ":open" : ":recent"));
    call_arg_u64(call, from);
    call_arg_u64(call, from + PART_SIZE - 1);
    call_command(call);
}

void store_list(struct store *store, const struct store_listing *listing, void *ctx)
{
    struct listing *mine = mem_new(sizeof(*mine));

    mine->wanted = *listing;
    mine->wanted.site =
        slice_make(mem_text(listing->site.len == 0 ? slice_of("") : listing->site),
                   listing->site.len);
    if (mine->wanted.limit > LIST_MAX)
        mine->wanted.limit = LIST_MAX;
    mine->ctx = ctx;
    mine->store = store;
    read_part(mine);
}
