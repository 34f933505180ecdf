/* bus.h - where events come from and where publishing goes: one interface, three buses. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BUS_BUS_H
#define THINKWIRE_BUS_BUS_H

#include "log/hub.h"

/*
 * A bus feeds topics of the hub and carries out what HTTP or a socket asks of a task.
 * Completion callbacks run on the loop, exactly once, possibly before the call returns;
 * what they point to is valid during the call.
 */
struct bus;

struct bus_task {
    struct task_key task;
    enum run_state state;
    struct event_id last;
    uint64_t started_ms;
    uint64_t finished_ms; /* 0 = open */
};

/* What a continue goes on from. */
struct bus_kept {
    enum run_state state; /* RUN_UNKNOWN: there is no such task */
    uint64_t epoch;
    struct slice request; /* JSON; empty: it was no generation */
    struct slice text;    /* UTF-8, accumulated */
};

struct bus_lift;

struct bus_ops {
    void (*publish)(struct bus *bus, const struct publish_request *request,
                    void (*done)(void *ctx, const struct publish_result *result),
                    void *ctx);
    void (*open)(struct bus *bus, const struct run_open_request *request,
                 void (*done)(void *ctx, enum publish_status status, uint64_t epoch),
                 void *ctx);
    /* Opens a queued run (`is_submission`) and hands it to the workers. PUBLISH_FENCED, with
     * its epoch: a run is open. PUBLISH_UNKNOWN_RUN: there is no such `from_point`. PUBLISH_UNAVAILABLE: it is not known whether it was opened;
     * if so, it ends with QUEUE_TIMEOUT. */
    void (*submit)(struct bus *bus, const struct run_open_request *request,
                   void (*done)(void *ctx, enum publish_status status, uint64_t epoch),
                   void *ctx);
    /* NULL = unavailable. */
    void (*recall)(struct bus *bus, const struct task_key *task,
                   void (*done)(void *ctx, const struct bus_kept *kept), void *ctx);
    void (*points)(struct bus *bus, const struct task_key *task, task_pointed *done,
                   void *ctx);
    /* `epoch` 0 = whatever run is current. */
    void (*stop)(struct bus *bus, const struct task_key *task, uint64_t epoch,
                 void (*done)(void *ctx, enum stop_status status), void *ctx);
    /* done(true) also when there was nothing; false = unavailable. */
    void (*erase)(struct bus *bus, const struct task_key *task,
                  void (*done)(void *ctx, bool ok), void *ctx);
    /* Calls `each` for the tasks of `site` (newest first, at most `limit`), then `done`. */
    void (*list)(struct bus *bus, struct slice site, size_t limit,
                 void (*each)(void *ctx, const struct bus_task *task),
                 void (*done)(void *ctx, bool ok), void *ctx);
    /* NULL when healthy, else a short reason for /readyz. */
    const char *(*trouble)(struct bus *bus);
    /* Before anything is served; may run the loop for a moment. False, with a sentence that
     * holds the remedy, when what is there must not be used. A server that is away is no
     * reason. NULL: nothing to judge. */
    bool (*judge)(struct bus *bus, struct buf *error);
    void (*free)(struct bus *bus);
};

struct bus {
    const struct bus_ops *ops;
    const char *name; /* "memory", "redis" */
};

struct bus_limits {
    size_t retain_events;
    size_t retain_text_bytes;
    uint64_t retain_finished_ms;
    uint64_t queue_timeout_ms; /* a queued run that nobody takes up ends after it */
    uint64_t abandon_ms;       /* an unleased run without events ends after it */
    uint64_t stop_grace_ms;
    size_t
        max_waiting; /* commands to Redis without an answer; 0 = the link's default */
    uint64_t redis_wait_ms; /* for a replica to have what ends a run; 0 = not at all */
};

/* The embedded default: the hub itself is the truth. */
struct bus *bus_memory_new(struct loop *loop, struct hub *hub,
                           const struct bus_limits *limits, struct counters *counters);
/* `url` as in --bus; `prefix` of keys. NULL with a message when the URL is malformed; an
 * unreachable server is not an error (it is retried). */
struct bus *bus_redis_new(struct loop *loop, struct hub *hub, const char *url,
                          const char *prefix, const struct bus_limits *limits,
                          struct counters *counters, struct buf *error);

/* --lift: from now on the bus writes `ai_progress` of Frappe's channel into its log while this
 * broker is the elected one. Owned by the bus. */
struct bus_lift *bus_redis_lift(struct bus *bus, struct counters *counters);
/* Lets another broker be elected at once: this one is about to end. NULL is allowed. */
void bus_lift_resign(struct bus_lift *lift);

/* Frappe's channel: feeds topics; what is to be lifted is handed to `lift` instead. */
struct bus_frappe;
struct frappe_channel {
    const char *url;
    const char *name;
    struct bus_lift *lift; /* borrowed; NULL = events stay this broker's */
};
struct bus_frappe *bus_frappe_new(struct loop *loop, struct hub *hub,
                                  const struct frappe_channel *channel,
                                  struct counters *counters, struct buf *error);
void bus_frappe_free(struct bus_frappe *frappe);
/* This broker has heard all of the channel for so long, and nothing in the room. */
bool bus_frappe_was_quiet(const struct bus_frappe *frappe, struct slice site,
                          struct slice room, uint64_t for_ms);
const char *bus_frappe_trouble(const struct bus_frappe *frappe);

#endif
