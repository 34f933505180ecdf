/* memory_list.h - the tasks of a hub, newest first. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BUS_MEMORY_LIST_H
#define THINKWIRE_BUS_MEMORY_LIST_H

#include "bus/bus.h"

struct memory_listing {
    struct slice site;
    size_t limit;
    void (*each)(void *ctx, const struct bus_task *task);
    void *ctx;
};
void memory_list_tasks(struct hub *hub, const struct memory_listing *listing);

#endif
