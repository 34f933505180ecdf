/* loop.h - the one loop: timers, and work at the end of a turn. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_LOOP_H
#define THINKWIRE_BASE_LOOP_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A thin layer over libuv. A turn is one iteration: expired timers, then all input that
 * is ready, then the work that was put off with turn_defer(). So everything Redis or a
 * client had ready is taken in before the first reader is visited.
 *
 * Lifecycle law: memory that holds a timer may go once timer_release() was called; the
 * libuv handle inside is ours, allocated apart, and freed in its own close callback.
 */
struct loop;
struct uv_loop_s;

struct loop *loop_new(void);
/* Closes what is left, runs the close callbacks, frees. */
void loop_free(struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* For libwebsockets, hiredis and curl adapters only. */
struct uv_loop_s *loop_uv(struct loop *loop);
/* Monotonic milliseconds, cached once per turn: cheap. */
uint64_t loop_now_ms(const struct loop *loop);

/* ---- timers ---- */
struct timer {
    struct timer_handle *handle; /* NULL while released */
    void (*fire)(struct timer *timer);
};
/* Prepares a stopped timer. `fire` runs on the loop and may start, stop or release it. */
void timer_init(struct timer *timer, struct loop *loop, void (*fire)(struct timer *));
/* (Re)starts: first after `delay_ms`, then every `repeat_ms` unless that is 0. */
void timer_start(struct timer *timer, uint64_t delay_ms, uint64_t repeat_ms);
void timer_stop(struct timer *timer);
bool timer_is_active(const struct timer *timer);
/* Idempotent. `fire` is not called afterwards. */
void timer_release(struct timer *timer);

/* ---- end-of-turn work ---- */

/* In this order: what a library took in is told, then work is done, then what that had to say
 * to others is sent. So a token that has come from a provider leaves for Redis in the same
 * turn. */
enum turn_stage { TURN_INPUT, TURN_WORK, TURN_OUTPUT };
#define TURN_STAGES 3

struct turn_task {
    struct list node;
    void (*run)(struct turn_task *task);
    enum turn_stage stage;
};
/* At the stage TURN_WORK. */
void turn_task_init(struct turn_task *task, void (*run)(struct turn_task *));
void turn_task_init_at(struct turn_task *task, enum turn_stage stage,
                       void (*run)(struct turn_task *));
/* Runs once at the end of this turn; deferring a task that is already deferred changes
 * nothing. A task deferred while end-of-turn work runs is run in this turn when its stage is
 * still to come, else in the next, which then starts without waiting. */
void turn_defer(struct loop *loop, struct turn_task *task);
/* Takes it back; harmless when it is not deferred. */
void turn_cancel(struct turn_task *task);

/* ---- signals ---- */
/* `handler` runs on the loop. At most 8 signals in all. */
void loop_on_signal(struct loop *loop, int signum,
                    void (*handler)(void *ctx, int signum), void *ctx);

#endif
