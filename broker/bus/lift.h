/* lift.h - Frappe's progress into the durable log, through one elected broker. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BUS_LIFT_H
#define THINKWIRE_BUS_LIFT_H

#include "bus/bus.h"

/*
 *   Frappe's channel --> every broker --> the elected one --lift.lua--> log and live channel
 *                                                                            |
 *                          readers of every broker <-------------------------+
 *
 * Whoever is elected writes; the others wait for the live channel as for any other task. An
 * election lasts LIFT_LASTS_MS and is renewed each LIFT_RENEW_MS, so after a SIGKILL nobody
 * writes for up to five seconds: what comes then is missing in the log. Each lifter writes
 * under a name of its own, and takes a new one whenever it may have missed something: the
 * next event of each task then opens a new run, and readers are told.
 */
#define LIFT_LASTS_MS 4000
#define LIFT_RENEW_MS 1000
/* We stop writing so long before the election is over by our own clock. */
#define LIFT_MARGIN_MS 1000
/* Events on their way; past it one is dropped, and the name with it. */
#define LIFT_MAX_IN_FLIGHT 8192
#define LIFT_MAX_BYTES     ((size_t)32 << 20)

/* Frappe's channel is heard, or not: who does not hear it does not stand for election. */
void bus_lift_hears(struct bus_lift *lift, bool is_heard);
/* An event of a task's room; `type` as in its JSON, `json` on one line. */
void bus_lift_event(struct bus_lift *lift, const struct task_key *task,
                    struct slice type, struct slice json);
/* After the store is gone. NULL is allowed. */
void bus_lift_free(struct bus_lift *lift);

#endif
