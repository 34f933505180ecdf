/* memory_inside.h - what the files of the memory bus share. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BUS_MEMORY_INSIDE_H
#define THINKWIRE_BUS_MEMORY_INSIDE_H

#include "base/map.h"
#include "bus/bus.h"
#include "bus/memory.h"
#include "bus/points.h"

/*
 * The same answers as the scripts of redis/ give (redis/README.md holds the table). What a
 * topic does not know is kept in a record beside it: whose run it is and what its producer
 * has counted. The record outlives the run, and an erasure, as long as the topic stands, so
 * that a repeat is still recognised.
 */

#define MEMORY_SWEEP_MS 1000

/* From this counter on, seq = counter + offset. */
struct mark {
    uint64_t counter;
    uint64_t offset;
};

struct owned_run {
    uint64_t epoch;
    uint64_t opened_ms;
    uint64_t touched_ms;
    uint64_t lease_ms;       /* 0 = unleased */
    uint64_t lease_until_ms; /* a lease that was renewed lasts until then */
    uint64_t stop_ms;        /* when a stop was asked for first; 0 = it was not */
    uint64_t counter;        /* the next one expected */
    struct mark *marks;      /* newest last */
    size_t mark_count;
    char *producer; /* "" = nobody's */
    bool keeps_text;
    /* JSON kept for a continue; "" = none. It is not counted in retain_total_bytes: at most
     * one request (--submit-max-bytes) for each task in memory. */
    char *request;
    struct points *points; /* NULL: none yet; its bytes are charged to the topic */
};

struct bus_memory {
    struct bus bus;
    struct loop *loop;
    struct hub *hub;
    struct bus_limits limits;
    struct map *runs; /* by site '/' task id */
    uint64_t last_epoch;
    struct timer sweep;
    uint64_t swept_ms;        /* the last time */
    uint64_t steady_since_ms; /* the loop has turned without a long break */
    struct list jobs;         /* submitted, and nobody has taken them yet */
    size_t wanted;
    struct memory_office office; /* slots are NULL: nobody works here */
    struct turn_task handing_out;
    struct counter *published;
    struct counter *refused;
    struct counter *ended;
};

static inline struct bus_memory *memory_of(struct bus *bus)
{
    return LIST_ENTRY(bus, struct bus_memory, bus);
}

/* ---- memory_runs.c: the records, and runs that are opened and ended ---- */
/* NULL when nobody has a run there, or `topic` is NULL. */
struct owned_run *owned_find(struct bus_memory *mem, const struct topic *topic);
void owned_free(struct owned_run *owned);
/* The task was erased: what was said goes, who is at work on it is still known. */
void owned_forget(struct owned_run *owned);
/* The next event of the producer gets seq `seq`. */
void owned_mark(struct owned_run *owned, uint64_t seq);
struct event_id owned_id(const struct owned_run *owned, uint64_t counter);
/* Leased, and its producer has been heard of in time. */
bool owned_is_alive(const struct bus_memory *mem, const struct owned_run *owned);
void owned_renew(struct bus_memory *mem, struct owned_run *owned);
bool run_is_open(const struct topic *topic);
void memory_open_run(struct bus_memory *mem, struct topic *topic,
                     const struct run_open_request *request);
void memory_append(struct bus_memory *mem, struct topic *topic, enum event_type type,
                   const char *code, const char *message);
/* After each event: when it ended a generation, that is a point. */
void memory_note_end(struct bus_memory *mem, struct topic *topic);
/* Runs nobody else ends. */
void memory_sweep(struct timer *timer);

/* ---- memory_work.c: what a worker in this process asks ---- */
void memory_submit(struct bus *bus, const struct run_open_request *request,
                   void (*done)(void *ctx, enum publish_status status, uint64_t epoch),
                   void *ctx);
void memory_recall(struct bus *bus, const struct task_key *task,
                   void (*done)(void *ctx, const struct bus_kept *kept), void *ctx);
void memory_points(struct bus *bus, const struct task_key *task, task_pointed *done,
                   void *ctx);
void memory_hand_out(struct turn_task *turn);
/* Those whose run nobody has to take up any more, or all. */
void memory_drop_jobs(struct bus_memory *mem, bool is_all);
/* Nobody waits for the end of this run any more: its producer is told. */
void memory_tell_stop(struct bus_memory *mem, const struct topic *topic);

#endif
