/* memory.h - the embedded bus, as a worker in the same process sees it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BUS_MEMORY_H
#define THINKWIRE_BUS_MEMORY_H

#include "bus/bus.h"
#include "redis/store.h"

/*
 * What a worker asks of Redis, asked of the memory bus: the rows of redis/README.md for jobs,
 * take-over, leases and stops. Nothing here waits: answers are there at once.
 */
struct memory_office {
    /* A queued run to be generated; at most as many as are wanted. */
    void (*on_job)(void *ctx, const struct task_key *task, uint64_t epoch);
    /* Somebody asked this run to stop, or has ended it. */
    void (*on_stop)(void *ctx, const struct task_key *task, uint64_t epoch);
    void *ctx;
};

/* `bus` is one of bus_memory_new(). One office; NULL: it is closed. Both slots are called on
 * the loop, never from inside a call of this header. */
void bus_memory_employ(struct bus *bus, const struct memory_office *office);
/* How many more jobs it would take now; each on_job() takes one from it. */
void bus_memory_want(struct bus *bus, size_t count);

/* Takes over the queued run `epoch`: as store_claim(). */
enum publish_status bus_memory_claim(struct bus *bus,
                                     const struct run_open_request *request,
                                     uint64_t epoch);
struct publish_result bus_memory_renew(struct bus *bus,
                                       const struct store_renewal *renewal);
/* As store_load(), without entries; what it points to is valid until the loop goes on. */
struct store_task bus_memory_load(struct bus *bus, const struct task_key *task);

#endif
