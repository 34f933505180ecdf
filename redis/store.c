/* store.c - tasks in Redis: names, and how a script is run. */
/* SPDX-License-Identifier: MIT */
#include "redis/store.h"

#include "base/mem.h"
#include "redis/store_inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Text of deltas is sent twice, in JSON and decoded; then keys and small things. */
#define CALL_MAX_BYTES (2 * (size_t)STORE_MAX_BATCH_BYTES + (size_t)(4 << 20))

struct store *store_new(struct link *link, const char *prefix,
                        const struct store_limits *limits)
{
    struct store *store = mem_new(sizeof(*store));

    store->link = link;
    store->prefix = mem_text(slice_of(prefix));
    store->limits = *limits;
    list_init(&store->calls);
    return store;
}

static void call_free(struct call *call)
{
    list_remove(&call->node);
    buf_release(&call->bytes);
    free(call->ends);
    task_key_release(&call->task);
    free(call);
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    while (!list_is_empty(&store->calls)) {
        struct call *call = LIST_ENTRY(store->calls.next, struct call, node);
        list_remove(&call->node);
        assert(call->is_asked); /* its memory goes when the link has told it */
        call->finish(call, NULL);
        call->store = NULL;
    }
    free(store->prefix);
    free(store);
}

void store_key(const struct store *store, const struct task_key *task, const char *what,
               struct buf *out)
{
    buf_puts(out, store->prefix);
    buf_puts(out, ":{");
    buf_slice(out, task->site);
    buf_putc(out, '/');
    buf_slice(out, task->task_id);
    buf_puts(out, "}:");
    buf_puts(out, what);
}

/* ---- arguments ---- */

struct call *call_new(struct store *store, const struct task_key *task,
                      void (*finish)(struct call *, const struct reply *))
{
    struct call *call = mem_new(sizeof(*call));

    call->store = store;
    call->finish = finish;
    buf_init(&call->bytes, CALL_MAX_BYTES);
    list_push_back(&store->calls, &call->node);
    if (task != NULL)
        call->task = task_key_copy(task);
    return call;
}

void call_arg_end(struct call *call)
{
    if (call->argc == call->cap) {
        call->cap = call->cap == 0 ? 32 : call->cap * 2;
        call->ends = mem_resize(call->ends, call->cap * sizeof(*call->ends));
    }
    call->ends[call->argc++] = call->bytes.len;
}

void call_arg(struct call *call, struct slice text)
{
    buf_slice(&call->bytes, text);
    call_arg_end(call);
}

void call_arg_u64(struct call *call, uint64_t number)
{
    buf_u64(&call->bytes, number);
    call_arg_end(call);
}

void call_arg_key(struct call *call, const char *what)
{
    store_key(call->store, &call->task, what, &call->bytes);
    call_arg_end(call);
}

void call_begin(struct call *call, const struct script *script)
{
    const struct store_limits *limits = &call->store->limits;

    call->script = script;
    call_arg_u64(call, 6);
    call_arg_key(call, "log");
    call_arg_key(call, "run");
    call_arg_key(call, "text");
    call_arg_key(call, "reasoning");
    call_arg_key(call, "lease");
    call_arg_key(call, "points");
    call_arg_key(call, "live");
    call_arg_key(call, "ctl");
    call_arg(call, call->task.task_id);
    call_arg_u64(call, limits->retain_events);
    call_arg_u64(call, limits->retain_bytes);
    call_arg_u64(call, limits->retain_text_bytes);
    call_arg_u64(call, limits->retain_finished_ms);
    call_arg_u64(call, limits->retain_running_ms);
}

void call_reset(struct call *call)
{
    buf_reset(&call->bytes);
    call->argc = 0;
    call->script = NULL;
    call->is_eval = false;
}

/* ---- asking ---- */

static void on_answer(void *ctx, const struct reply *reply);

static void send_call(struct call *call, const struct slice *head, size_t head_count)
{
    struct slice *argv = mem_array(head_count + call->argc, sizeof(*argv));
    size_t from = 0;

    assert(!call->bytes.failed);
    for (size_t i = 0; i < head_count; i++)
        argv[i] = head[i];
    for (size_t i = 0; i < call->argc; i++) {
        argv[head_count + i] =
            slice_make(call->bytes.data + from, call->ends[i] - from);
        from = call->ends[i];
    }
    call->is_asked = true;
    if (!list_is_linked(&call->node))
        list_push_back(&call->store->calls, &call->node);
    link_command(call->store->link, argv, head_count + call->argc, on_answer, call);
    free(argv);
}

static unsigned script_bit(const struct script *script)
{
    const struct script *const all[] = {&script_open,   &script_publish, &script_end,
                                        &script_stop,   &script_renew,   &script_erase,
                                        &script_unindex};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i] == script)
            return 1U << i;
    return 0;
}

static void send_script(struct call *call, bool with_text)
{
    const struct script *script = call->script;
    struct slice head[2];

    call->is_eval = with_text;
    head[0] = slice_of(with_text ? "EVAL" : "EVALSHA");
    head[1] =
        with_text ? slice_make(script->text, script->len) : slice_of(script->sha1);
    send_call(call, head, 2);
}

/* The first use of a script on a connection carries its text. So NOSCRIPT comes only after
 * somebody's SCRIPT FLUSH, and calls of one sender are not reordered by being repeated. */
void call_run(struct call *call)
{
    struct store *store = call->store;
    uint64_t connect = link_stats(store->link)->connects;
    unsigned bit = script_bit(call->script);

    if (store->loaded_connect != connect) {
        store->loaded_connect = connect;
        store->loaded = 0;
    }
    send_script(call, (store->loaded & bit) == 0);
    if (link_is_up(store->link))
        store->loaded |= bit;
}

void call_command(struct call *call)
{
    send_call(call, NULL, 0);
}

static bool begins(const struct reply *reply, const char *word)
{
    struct slice text = reply_text(reply);
    size_t len = strlen(word);

    return reply_kind(reply) == REPLY_ERROR && text.len >= len &&
           memcmp(text.ptr, word, len) == 0;
}

static void refused(struct store *store, enum store_refusal refusal)
{
    /* A replica that was a master: the name may lead to the new one by now. */
    if (refusal == STORE_REFUSED_READONLY)
        link_drop(store->link, "the server is a read-only replica");
    if (store->on_refused != NULL)
        store->on_refused(store->on_refused_ctx, refusal);
}

static void on_answer(void *ctx, const struct reply *reply)
{
    struct call *call = ctx;

    call->is_asked = false;
    if (call->store == NULL) {
        call_free(call);
        return;
    }
    if (reply != NULL && call->script != NULL && !call->is_eval &&
        begins(reply, "NOSCRIPT")) {
        send_script(call, true);
        return;
    }
    if (reply != NULL && reply_kind(reply) == REPLY_ERROR &&
        (call->script != NULL || store_refusal_of(reply) == STORE_REFUSED_DENIED))
        refused(call->store, store_refusal_of(reply));
    /* Out of the list: `finish` may free the store, which tells all that are in it. */
    list_remove(&call->node);
    call->finish(call, reply);
    if (!call->is_asked)
        call_free(call);
}

/* ---- confirming ---- */

void store_set_confirm(struct store *store, struct confirm *confirm)
{
    store->confirm = confirm;
}

static void on_confirmed(void *ctx, enum confirm_outcome outcome)
{
    struct call *call = ctx;

    call->is_asked = false;
    if (call->store == NULL) {
        call_free(call);
        return;
    }
    list_remove(&call->node);
    call->resume(call, outcome == CONFIRM_LOST);
    call_free(call);
}

bool call_hold(struct call *call, void (*resume)(struct call *call, bool is_lost))
{
    if (call->store->confirm == NULL)
        return false;
    call->resume = resume;
    call->is_asked = true;
    list_push_back(&call->store->calls, &call->node);
    confirm_ask(call->store->confirm, on_confirmed, call);
    return true;
}

/* ---- the index beside the tasks ---- */

void store_fire(struct store *store, const struct slice *argv, size_t argc)
{
    link_command(store->link, argv, argc, NULL, NULL);
}

#define MEMBER_SIZE 272

static struct slice member_of(const struct task_key *task, char out[MEMBER_SIZE])
{
    int len = snprintf(out, MEMBER_SIZE, "%.*s/%.*s", (int)task->site.len,
                       task->site.len == 0 ? "" : task->site.ptr,
                       (int)task->task_id.len, task->task_id.ptr);

    assert(len > 0 && len < MEMBER_SIZE);
    return slice_make(out, (size_t)len);
}

static struct slice index_key(const struct store *store, const char *what,
                              struct buf *out)
{
    buf_init(out, 4096);
    buf_printf(out, "%s:%s", store->prefix, what);
    return buf_view(out);
}

static void add_to_index(struct store *store, const char *what, struct slice member,
                         uint64_t epoch)
{
    char score[24];
    struct buf key;
    struct slice argv[5] = {slice_of("ZADD"),
                            index_key(store, what, &key),
                            slice_of("GT"),
                            {NULL, 0},
                            member};

    (void)snprintf(score, sizeof(score), "%llu", (unsigned long long)epoch);
    argv[3] = slice_of(score);
    store_fire(store, argv, 5);
    buf_release(&key);
}

void store_index_open(struct store *store, const struct task_key *task, uint64_t epoch)
{
    char bytes[MEMBER_SIZE];
    char last[24];
    struct slice member = member_of(task, bytes);
    struct buf key;
    struct slice argv[4] = {slice_of("ZREMRANGEBYRANK"),
                            index_key(store, "recent", &key),
                            slice_of("0"),
                            {NULL, 0}};

    add_to_index(store, "open", member, epoch);
    add_to_index(store, "recent", member, epoch);
    (void)snprintf(last, sizeof(last), "-%d", STORE_MAX_RECENT + 1);
    argv[3] = slice_of(last);
    store_fire(store, argv, 4);
    buf_release(&key);
}

void store_index_repair(struct store *store, const struct task_key *task,
                        uint64_t epoch)
{
    char bytes[MEMBER_SIZE];

    add_to_index(store, "open", member_of(task, bytes), epoch);
}

void store_index_close(struct store *store, const struct task_key *task, uint64_t epoch)
{
    char bytes[MEMBER_SIZE];
    char number[24];
    struct buf key;
    /* Short enough to go as it is, and then NOSCRIPT needs no care. */
    struct slice argv[6] = {
        slice_of("EVAL"),       slice_make(script_unindex.text, script_unindex.len),
        slice_of("1"),          index_key(store, "open", &key),
        member_of(task, bytes), {NULL, 0}};

    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)epoch);
    argv[5] = slice_of(number);
    store_fire(store, argv, 6);
    buf_release(&key);
}

void store_index_forget(struct store *store, const struct task_key *task)
{
    static const char *const sets[] = {"open", "recent"};
    char bytes[MEMBER_SIZE];

    for (size_t i = 0; i < 2; i++) {
        struct buf key;
        struct slice argv[3] = {slice_of("ZREM"), index_key(store, sets[i], &key),
                                member_of(task, bytes)};
        store_fire(store, argv, 3);
        buf_release(&key);
    }
}
