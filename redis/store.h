/* store.h - tasks in Redis: typed calls of the scripts, for broker and emitters. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_STORE_H
#define THINKWIRE_REDIS_STORE_H

#include "redis/confirm.h"
#include "redis/link.h"
#include "schema/run.h"

/*
 * Each call is one script (redis/README.md has the table of answers) and each `done` is
 * called exactly once; not from inside the call, but for PUBLISH_REJECTED. When Redis is away or answers an error
 * the status is ..._UNAVAILABLE: nothing is known then, and a producer may simply repeat,
 * because publishing is idempotent. What callbacks point to is valid during the call.
 */
struct store;

struct store_limits {
    size_t retain_events;     /* log entries per task (approximately: XADD MAXLEN ~) */
    size_t retain_bytes;      /* of JSON in the log per task, approximately */
    size_t retain_text_bytes; /* past it a run ends with RUN_TOO_LARGE; each kind */
    uint64_t retain_finished_ms; /* all keys of a task, from its terminal event on */
    uint64_t retain_running_ms;  /* all keys of a task, from its last event on */
};

/* `link` is borrowed and is a command link. `prefix` of keys: letters, digits, . _ - : */
struct store *store_new(struct link *link, const char *prefix,
                        const struct store_limits *limits);
/* Answers that still come are dropped after `done` was told "unavailable", at once. Free
 * the store before its link. */
void store_free(struct store *store);

/* Redis answered a write with an error: why, as far as we know the reasons. */
enum store_refusal {
    STORE_REFUSED_FULL,     /* OOM: maxmemory is reached */
    STORE_REFUSED_READONLY, /* a replica: the link is dropped and looks for the master */
    STORE_REFUSED_REPLICAS, /* NOREPLICAS: min-replicas-to-write */
    STORE_REFUSED_DISK,     /* MISCONF: it cannot save */
    STORE_REFUSED_DENIED,   /* NOPERM: an ACL */
    STORE_REFUSED_OTHER
};
#define STORE_REFUSALS 6
/* "full", "readonly", ... */
const char *store_refusal_name(enum store_refusal refusal);
/* A few words of ours for an operator. */
const char *store_refusal_text(enum store_refusal refusal);
/* `told` is called at each, before the call that was refused is answered. */
void store_on_refused(struct store *store,
                      void (*told)(void *ctx, enum store_refusal refusal), void *ctx);

/* From now on who writes a terminal event (publish, end, stop) is told OK only when
 * `confirm` (borrowed, freed after the store) is done with it or late, and ..._UNAVAILABLE
 * when it is lost: to be repeated, as after any other lost answer. NULL: at once. */
void store_set_confirm(struct store *store, struct confirm *confirm);

/* ---- names ---- */

/* Appends "<prefix>:{<site>/<task_id>}:<what>": log, run, text, reasoning, lease, live
 * (channel), ctl (channel). */
void store_key(const struct store *store, const struct task_key *task, const char *what,
               struct buf *out);

/* ---- what producers do ---- */

typedef void store_opened(void *ctx, enum publish_status status, uint64_t epoch);
/* Opens a run; an open earlier one is ended with SUPERSEDED first. */
void store_open(struct store *store, const struct run_open_request *request,
                store_opened *done, void *ctx);
/* Takes over the queued run `epoch` (design: a redelivered job). PUBLISH_ENDED when it is
 * final, PUBLISH_FENCED when it is another one or has a live producer, else the epoch. */
void store_claim(struct store *store, const struct run_open_request *request,
                 uint64_t epoch, store_opened *done, void *ctx);

typedef void store_published(void *ctx, const struct publish_result *result);
#define STORE_MAX_BATCH_EVENTS 1024
#define STORE_MAX_BATCH_BYTES  (4u << 20)
/* A larger (or empty) batch is PUBLISH_REJECTED. With PUBLISH_ENDED and PUBLISH_TOO_LARGE first and
 * last tell what was still appended (epoch 0: nothing). */
void store_publish(struct store *store, const struct publish_request *request,
                   store_published *done, void *ctx);

struct store_renewal {
    struct task_key task;
    struct slice producer;
    uint64_t epoch;
    uint64_t lease_ms;
};
/* Of the result only status and stop_requested are set. */
void store_renew(struct store *store, const struct store_renewal *renewal,
                 store_published *done, void *ctx);

/* ---- what brokers do ---- */

enum store_condition {
    STORE_IF_ANY,          /* whenever the run is open */
    STORE_IF_LEASE_ABSENT, /* leased, and its lease has run out */
    STORE_IF_QUEUED,       /* queued for min_age_ms or longer */
    STORE_IF_STOP_GRACE,   /* a stop was asked for min_age_ms ago or longer */
    STORE_IF_IDLE          /* unleased, and without events for min_age_ms or longer */
};
struct store_ending {
    struct task_key task;
    uint64_t epoch; /* 0 = whatever run is current */
    enum store_condition condition;
    uint64_t min_age_ms;
    uint64_t not_after_ms; /* Redis's clock: HELD when it comes later; 0 = whenever */
    enum event_type type;  /* EVENT_ERROR or EVENT_STOPPED */
    const char *code;      /* of an error: "PRODUCER_LOST" */
    const char *message;   /* of an error: one sentence */
};
enum store_end_status {
    STORE_END_DONE,    /* ended now */
    STORE_END_ALREADY, /* it was final */
    STORE_END_HELD,    /* the condition does not hold */
    STORE_END_STALE,   /* another epoch is current */
    STORE_END_UNKNOWN, /* no such run */
    STORE_END_UNAVAILABLE
};
void store_end(struct store *store, const struct store_ending *ending,
               void (*done)(void *ctx, enum store_end_status status), void *ctx);

/* epoch 0 = whatever run is current. */
void store_stop(struct store *store, const struct task_key *task, uint64_t epoch,
                void (*done)(void *ctx, enum stop_status status, uint64_t epoch),
                void *ctx);

/* Leaves a marker for ten minutes, so that its producer is told ENDED and epochs go on.
 * done(true) also when there was nothing. */
void store_erase(struct store *store, const struct task_key *task,
                 void (*done)(void *ctx, bool ok), void *ctx);

/* ---- reading ---- */

struct store_entry {
    struct event_id id;
    struct slice json; /* as stored: not checked here */
};

struct store_text {
    struct slice utf8;
    uint64_t merged;        /* deltas inside */
    uint64_t first_seq;     /* in the current run; 0 = none yet */
    uint64_t last_seq;      /* the seq up to which `utf8` reaches; 0 = none yet */
    struct slice timestamp; /* the first one's */
};

struct store_task {
    enum run_state state; /* RUN_UNKNOWN: nothing is stored (all else is empty then) */
    bool was_erased;      /* a marker stands: RUN_UNKNOWN */
    uint64_t epoch;
    uint64_t last_seq;
    uint64_t started_ms;
    uint64_t text_started_ms; /* first answer text; 0 = none yet */
    uint64_t finished_ms;
    uint64_t lease_ms; /* 0 = unleased */
    bool keeps_text;
    bool is_opaque; /* lifted: entries as Frappe's channel brought them, behind "~" */
    bool stop_requested;
    struct slice producer;
    struct slice request;
    struct store_text text;
    struct store_text reasoning;
    const struct store_entry *entries; /* newest of the current run, in order */
    size_t count;
};

/* One consistent picture. NULL = unavailable. */
typedef void store_loaded(void *ctx, const struct store_task *task);
void store_load(struct store *store, const struct task_key *task, size_t newest,
                store_loaded *done, void *ctx);
/* As store_load(), without texts and entries: cheap. */
void store_look(struct store *store, const struct task_key *task, store_loaded *done,
                void *ctx);

/* The points of a task; none of one that was no generation. */
void store_points(struct store *store, const struct task_key *task, task_pointed *done,
                  void *ctx);

/* Entries after `after` (epoch-0: from the first), at most `count`, any later epoch too. */
struct store_span {
    struct task_key task;
    struct event_id after;
    size_t count;
};
typedef void store_ranged(void *ctx, bool ok, const struct store_entry *entries,
                          size_t count);
void store_range(struct store *store, const struct store_span *span, store_ranged *done,
                 void *ctx);
/* Entries of the run of `before` that stand before it, at most `count`: the newest of them,
 * in order. */
struct store_past {
    struct task_key task;
    struct event_id before;
    size_t count;
};
void store_range_back(struct store *store, const struct store_past *past,
                      store_ranged *done, void *ctx);
/* The one entry `id`: count is 0 or 1. */
void store_entry_at(struct store *store, const struct task_key *task,
                    struct event_id id, store_ranged *done, void *ctx);

struct store_item {
    struct task_key task;
    enum run_state state;
    uint64_t epoch;
    uint64_t last_seq;
    uint64_t started_ms;
    uint64_t finished_ms; /* 0 = open */
    uint64_t updated_ms;  /* last event */
    uint64_t lease_ms;    /* 0 = unleased */
    bool stop_requested;
};
struct store_listing {
    /* Tasks of `site`, newest first; or, with only_open, open runs of every site, oldest
     * first (for the sweep). Best effort: an index beside the tasks, repaired on read. */
    struct slice site;
    bool only_open;
    size_t offset; /* in the index, for the next part of a long one */
    size_t limit;  /* at most 1000 */
    void (*each)(void *ctx, const struct store_item *item);
    void (*done)(void *ctx, bool ok);
};
void store_list(struct store *store, const struct store_listing *listing, void *ctx);

#endif
