/* store_inside.h - what the files of the store share. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_STORE_INSIDE_H
#define THINKWIRE_REDIS_STORE_INSIDE_H

#include "redis/scripts.h"
#include "redis/store.h"

#include "base/list.h"

#define STORE_MAX_RECENT 10000

struct store {
    struct link *link;
    char *prefix;
    struct store_limits limits;
    struct list calls;
    struct confirm *confirm;                                   /* or NULL */
    void (*on_refused)(void *ctx, enum store_refusal refusal); /* or NULL */
    void *on_refused_ctx;
    uint64_t
        loaded_connect; /* the connection (link_stats.connects) `loaded` is about */
    unsigned loaded;    /* a bit per script: this connection's server has it */
};

/*
 * One question on its way. `finish` is called exactly once, with the answer, an error, or
 * NULL; then the call is gone, unless `finish` asked another question with it.
 */
struct call {
    struct list node;    /* in store->calls */
    struct store *store; /* NULL: the store was freed, the answer is dropped */
    void (*finish)(struct call *call, const struct reply *reply);
    void (*done)(void); /* the caller's, cast back by `finish` */
    void *ctx;
    bool is_asked; /* waits for an answer */
    /* What was answered, while a replica confirms it: see call_hold(). */
    void (*resume)(struct call *call, bool is_lost);
    struct publish_result published;
    enum store_end_status ended;
    enum stop_status stopped;
    uint64_t epoch;
    size_t newest; /* entries a load is to bring; 0 = a script was asked already */

    /* Arguments, one after the other; kept for EVAL after NOSCRIPT. */
    const struct script *script;
    bool is_eval; /* sent with its text already */
    struct buf bytes;
    size_t *ends;
    size_t argc;
    size_t cap;

    struct task_key task; /* a copy; empty when the question is about no task */
};

struct call *call_new(struct store *store, const struct task_key *task,
                      void (*finish)(struct call *, const struct reply *));
void call_arg(struct call *call, struct slice text);
void call_arg_u64(struct call *call, uint64_t number);
/* For an argument written piecemeal to call->bytes. */
void call_arg_end(struct call *call);
void call_arg_key(struct call *call, const char *what);
/* Keys and the arguments that all scripts of a task share. */
void call_begin(struct call *call, const struct script *script);
/* Sends the script with the arguments added so far. */
void call_run(struct call *call);
/* Sends the arguments added so far as a plain command. */
void call_command(struct call *call);
/* Inside `finish`, with a terminal event written: `resume` is called once it is confirmed;
 * false when nobody confirms. When the store goes first, `finish` is called again, with
 * NULL. */
bool call_hold(struct call *call, void (*resume)(struct call *call, bool is_lost));
/* Forgets the arguments, for another question. */
void call_reset(struct call *call);

/* Of an answer that is an error. */
enum store_refusal store_refusal_of(const struct reply *reply);
/* Sends a command nobody waits for. */
void store_fire(struct store *store, const struct slice *argv, size_t argc);
/* The run is open, or has ended: keeps <prefix>:open and <prefix>:recent. */
void store_index_open(struct store *store, const struct task_key *task, uint64_t epoch);
/* An open run was read: puts it back where the sweep finds it. */
void store_index_repair(struct store *store, const struct task_key *task,
                        uint64_t epoch);
void store_index_close(struct store *store, const struct task_key *task,
                       uint64_t epoch);
void store_index_forget(struct store *store, const struct task_key *task);

#endif
