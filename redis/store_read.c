/* store_read.c - loading a task, and entries of its log. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "redis/store_inside.h"

#include <stdlib.h>

/* The fields of the run hash that readers need, in the order they are asked for. */
enum field {
    F_STATE,
    F_ERASED,
    F_EPOCH,
    F_SEQ,
    F_STARTED,
    F_TEXT_STARTED,
    F_FINISHED,
    F_LEASE,
    F_KEEPS_TEXT,
    F_OPAQUE,
    F_STOP,
    F_PRODUCER,
    F_REQUEST,
    F_TEXT, /* _n _first _seq _at */
    F_REASONING = F_TEXT + 4,
    F_COUNT = F_REASONING + 4
};
static const char *const field_names[F_COUNT] = {
    "state",        "erased",          "epoch",           "seq",
    "started_at",   "text_started_at", "finished_at",     "lease_ms",
    "keeps_text",   "opaque",          "stop_requested",  "producer",
    "request",      "text_n",          "text_first",      "text_seq",
    "text_at",      "reasoning_n",     "reasoning_first", "reasoning_seq",
    "reasoning_at",
};

static struct slice text_of(const struct reply *list, size_t i)
{
    const struct reply *item = reply_at(list, i);
    return item == NULL ? slice_make(NULL, 0) : reply_text(item);
}

static uint64_t number_of(const struct reply *list, size_t i)
{
    const struct reply *item = reply_at(list, i);
    return item == NULL ? 0 : reply_u64(item);
}

/* ---- entries ---- */

/* [id, [field, value, ...]] -> entry; false when it is none of ours. */
static bool read_entry(const struct reply *item, struct store_entry *entry)
{
    const struct reply *fields = item == NULL ? NULL : reply_at(item, 1);

    if (fields == NULL || !event_id_parse(text_of(item, 0), &entry->id))
        return false;
    for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
        if (slice_is(text_of(fields, i), "e")) {
            entry->json = text_of(fields, i + 1);
            return true;
        }
    }
    return false;
}

/* Those of `list` that are ours (and of `epoch` unless 0), in order. The caller frees. */
static struct store_entry *read_entries(const struct reply *list, bool is_newest_first,
                                        uint64_t epoch, size_t *count)
{
    size_t total = reply_count(list);
    struct store_entry *entries = mem_array(total + 1, sizeof(*entries));

    *count = 0;
    for (size_t i = 0; i < total; i++) {
        const struct reply *item = reply_at(list, is_newest_first ? total - 1 - i : i);
        struct store_entry *entry = &entries[*count];
        if (read_entry(item, entry) && (epoch == 0 || entry->id.epoch == epoch))
            ++*count;
    }
    return entries;
}

/* ---- load ---- */

static void read_text(const struct reply *fields, size_t first, struct store_text *text)
{
    text->merged = number_of(fields, first);
    text->first_seq = number_of(fields, first + 1);
    text->last_seq = number_of(fields, first + 2);
    text->timestamp = text_of(fields, first + 3);
}

static void read_run(const struct reply *fields, struct store_task *task)
{
    task->was_erased = text_of(fields, F_ERASED).len > 0;
    if (task->was_erased || number_of(fields, F_EPOCH) == 0)
        return;
    task->state = run_state_of(text_of(fields, F_STATE));
    task->epoch = number_of(fields, F_EPOCH);
    task->last_seq = number_of(fields, F_SEQ);
    task->started_ms = number_of(fields, F_STARTED);
    task->text_started_ms = number_of(fields, F_TEXT_STARTED);
    task->finished_ms = number_of(fields, F_FINISHED);
    task->lease_ms = number_of(fields, F_LEASE);
    task->keeps_text = slice_is(text_of(fields, F_KEEPS_TEXT), "1");
    task->is_opaque = text_of(fields, F_OPAQUE).len > 0;
    task->stop_requested = number_of(fields, F_STOP) == task->epoch;
    task->producer = text_of(fields, F_PRODUCER);
    task->request = text_of(fields, F_REQUEST);
    read_text(fields, F_TEXT, &task->text);
    read_text(fields, F_REASONING, &task->reasoning);
}

/* The index of open runs stands beside the tasks, in another slot, and may have missed one
 * (or lost it): who reads a task that is open puts it back, so that it is swept. */
static void repair_index(struct call *call, const struct store_task *task)
{
    if (task->state != RUN_UNKNOWN && !run_state_is_final(task->state))
        store_index_repair(call->store, &call->task, task->epoch);
}

static bool is_list_of(const struct reply *reply, size_t count)
{
    return reply != NULL && reply_kind(reply) == REPLY_LIST &&
           reply_count(reply) == count;
}

static void ask_script(struct call *call)
{
    static const char *const keys[] = {"log", "run", "text", "reasoning"};

    call_reset(call);
    call_arg(call, slice_of("EVAL"));
    call_arg(call, slice_make(script_load.text, script_load.len));
    call_arg_u64(call, 4);
    for (size_t i = 0; i < 4; i++)
        call_arg_key(call, keys[i]);
    call_arg_u64(call, call->newest);
    for (size_t i = 0; i < F_COUNT; i++)
        call_arg(call, slice_of(field_names[i]));
    call->newest = 0;
    call_command(call);
}

static bool is_aborted(const struct reply *reply)
{
    struct slice text = reply == NULL ? slice_make(NULL, 0) : reply_text(reply);

    return text.len > 9 && reply_kind(reply) == REPLY_ERROR &&
           memcmp(text.ptr, "EXECABORT", 9) == 0;
}

/* The answer of EXEC: HMGET, GET text, GET reasoning, XREVRANGE. */
static void finish_load(struct call *call, const struct reply *reply)
{
    if (call->newest > 0 && is_aborted(reply)) {
        ask_script(call);
        return;
    }
    struct store_task task = {.state = RUN_UNKNOWN};
    store_loaded *done = (store_loaded *)call->done;

    if (!is_list_of(reply, 4) || !is_list_of(reply_at(reply, 0), F_COUNT)) {
        done(call->ctx, NULL);
        return;
    }
    read_run(reply_at(reply, 0), &task);
    repair_index(call, &task);
    struct store_entry *entries = NULL;
    if (task.state != RUN_UNKNOWN) {
        task.text.utf8 = text_of(reply, 1);
        task.reasoning.utf8 = text_of(reply, 2);
        entries = read_entries(reply_at(reply, 3), true, task.epoch, &task.count);
        task.entries = entries;
    }
    done(call->ctx, &task);
    free(entries);
}

static void finish_look(struct call *call, const struct reply *reply)
{
    struct store_task task = {.state = RUN_UNKNOWN};
    store_loaded *done = (store_loaded *)call->done;

    if (!is_list_of(reply, F_COUNT)) {
        done(call->ctx, NULL);
        return;
    }
    read_run(reply, &task);
    repair_index(call, &task);
    done(call->ctx, &task);
}

static void ask_fields(struct call *call)
{
    call_arg(call, slice_of("HMGET"));
    call_arg_key(call, "run");
    for (size_t i = 0; i < F_COUNT; i++)
        call_arg(call, slice_of(field_names[i]));
}

void store_look(struct store *store, const struct task_key *task, store_loaded *done,
                void *ctx)
{
    struct call *call = call_new(store, task, finish_look);

    call->done = (void (*)(void))done;
    call->ctx = ctx;
    ask_fields(call);
    call_command(call);
}

/* Inside MULTI: answered QUEUED, which nobody waits for. */
static void fire_queued(struct call *call)
{
    struct slice argv[2 + F_COUNT];
    size_t from = 0;

    for (size_t i = 0; i < call->argc; i++) {
        argv[i] = slice_make(call->bytes.data + from, call->ends[i] - from);
        from = call->ends[i];
    }
    store_fire(call->store, argv, call->argc);
    call_reset(call);
}

static void fire_get(struct call *call, const char *what)
{
    call_arg(call, slice_of("GET"));
    call_arg_key(call, what);
    fire_queued(call);
}

/* A transaction and not a script: large texts and logs need not go through Lua. But a Redis
 * that is full refuses to queue commands, reads as well; then it is asked by a script. */
void store_load(struct store *store, const struct task_key *task, size_t newest,
                store_loaded *done, void *ctx)
{
    struct call *call = call_new(store, task, finish_load);

    call->done = (void (*)(void))done;
    call->ctx = ctx;
    call->newest = newest == 0 ? 1 : newest;
    /* All or nothing, lest a lone MULTI swallow everything that follows. */
    if (link_has_room(store->link, 6)) {
        call_arg(call, slice_of("MULTI"));
        fire_queued(call);
        ask_fields(call);
        fire_queued(call);
        fire_get(call, "text");
        fire_get(call, "reasoning");
        call_arg(call, slice_of("XREVRANGE"));
        call_arg_key(call, "log");
        call_arg(call, slice_of("+"));
        call_arg(call, slice_of("-"));
        call_arg(call, slice_of("COUNT"));
        call_arg_u64(call, call->newest);
        fire_queued(call);
    }
    call_arg(call, slice_of("EXEC"));
    call_command(call);
}

/* ---- range ---- */

static void hand_out(struct call *call, const struct reply *reply, bool is_newest_first)
{
    store_ranged *done = (store_ranged *)call->done;
    size_t count = 0;

    if (reply == NULL || reply_kind(reply) != REPLY_LIST) {
        done(call->ctx, false, NULL, 0);
        return;
    }
    struct store_entry *entries = read_entries(reply, is_newest_first, 0, &count);
    done(call->ctx, true, entries, count);
    free(entries);
}

static void finish_range(struct call *call, const struct reply *reply)
{
    hand_out(call, reply, false);
}

static void finish_range_back(struct call *call, const struct reply *reply)
{
    hand_out(call, reply, true);
}

static struct call *range_new(struct store *store, const struct task_key *task,
                              store_ranged *done, void *ctx)
{
    struct call *call = call_new(store, task, finish_range);

    call->done = (void (*)(void))done;
    call->ctx = ctx;
    call_arg(call, slice_of("XRANGE"));
    call_arg_key(call, "log");
    return call;
}

void store_range(struct store *store, const struct store_span *span, store_ranged *done,
                 void *ctx)
{
    struct call *call = range_new(store, &span->task, done, ctx);
    char id[EVENT_ID_SIZE];

    (void)event_id_format(span->after, id);
    buf_putc(&call->bytes, '(');
    call_arg(call, slice_of(id));
    call_arg(call, slice_of("+"));
    call_arg(call, slice_of("COUNT"));
    call_arg_u64(call, span->count == 0 ? 1 : span->count);
    call_command(call);
}

void store_range_back(struct store *store, const struct store_past *past,
                      store_ranged *done, void *ctx)
{
    struct call *call = call_new(store, &past->task, finish_range_back);
    struct event_id newest = past->before;
    struct event_id oldest = {past->before.epoch, 0, false};
    char id[EVENT_ID_SIZE];

    call->done = (void (*)(void))done;
    call->ctx = ctx;
    newest.seq -= newest.seq > 0 ? 1 : 0; /* <epoch>-0 is no entry's id */
    call_arg(call, slice_of("XREVRANGE"));
    call_arg_key(call, "log");
    (void)event_id_format(newest, id);
    call_arg(call, slice_of(id));
    (void)event_id_format(oldest, id);
    call_arg(call, slice_of(id));
    call_arg(call, slice_of("COUNT"));
    call_arg_u64(call, past->count == 0 ? 1 : past->count);
    call_command(call);
}

void store_entry_at(struct store *store, const struct task_key *task,
                    struct event_id id, store_ranged *done, void *ctx)
{
    struct call *call = range_new(store, task, done, ctx);
    char text[EVENT_ID_SIZE];

    (void)event_id_format(id, text);
    call_arg(call, slice_of(text));
    call_arg(call, slice_of(text));
    call_command(call);
}
