/* inside.h - the memory bus as the source of a worker in this process. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_INSIDE_H
#define THINKWIRE_INSIDE_H

#include "bus/bus.h"
#include "emitters/worker/source.h"

/* `bus` is one of bus_memory_new() and outlives the source. */
struct worker_source *inside_source_new(struct loop *loop, struct bus *bus);

#endif
