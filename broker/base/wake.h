/* wake.h - waking a loop from another thread. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_WAKE_H
#define THINKWIRE_BASE_WAKE_H

#include "base/loop.h"

/*
 * The one thing in the house that two threads may touch: libthinkwire's callers have threads
 * of their own, its loop has another. Everything else belongs to one loop.
 */
struct wake;

/* `woken` runs on the loop, once or more often, after one or more wake_send(). */
struct wake *wake_new(struct loop *loop, void (*woken)(void *ctx), void *ctx);
/* On the loop's thread, before loop_free(). No wake_send() may run now or later. */
void wake_free(struct wake *wake);
/* From any thread; never blocks. */
void wake_send(struct wake *wake);

#endif
