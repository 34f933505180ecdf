/* loop.c - the one loop: timers, and work at the end of a turn. */
/* SPDX-License-Identifier: MIT */
#include "base/loop.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#define LOOP_MAX_SIGNALS 8

struct loop_signal {
    uv_signal_t uv;
    void (*handler)(void *ctx, int signum);
    void *ctx;
};

/*
 * One iteration of libuv, and what we hang into it:
 *
 *     timers -> idle -> poll for input -> check -> close callbacks
 *               |                         `- end-of-turn work
 *               `- active while work is put off, which makes the poll return at once
 */
struct loop {
    uv_loop_t uv;
    uv_check_t
        check; /* always active: it also keeps uv_run() going until loop_stop() */
    uv_idle_t idle;
    struct list deferred[TURN_STAGES];
    struct list timers;
    struct loop_signal signals[LOOP_MAX_SIGNALS];
    unsigned signal_count;
    bool is_running;
};

struct timer_handle {
    uv_timer_t uv;
    struct timer *owner; /* NULL once released */
    struct loop *loop;
    struct list node;
};

/* libuv refuses these calls only when they are called wrongly, which is our bug. */
static void must(int result)
{
    if (result != 0)
        abort();
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being active is the point */
}

static void run_stage(struct list *deferred)
{
    struct list batch;

    list_init(&batch);
    list_splice(&batch, deferred);
    while (!list_is_empty(&batch)) {
        struct turn_task *task = LIST_ENTRY(batch.next, struct turn_task, node);
        list_remove(&task->node);
        task->run(task);
    }
}

static void on_check(uv_check_t *check)
{
    struct loop *loop = check->data;
    bool is_done = true;

    for (int i = 0; i < TURN_STAGES; i++)
        run_stage(&loop->deferred[i]);
    for (int i = 0; i < TURN_STAGES; i++)
        is_done = is_done && list_is_empty(&loop->deferred[i]);
    if (is_done)
        must(uv_idle_stop(&loop->idle));
}

struct loop *loop_new(void)
{
    struct loop *loop = mem_new(sizeof(*loop));

    must(uv_loop_init(&loop->uv));
    must(uv_check_init(&loop->uv, &loop->check));
    must(uv_idle_init(&loop->uv, &loop->idle));
    loop->check.data = loop;
    must(uv_check_start(&loop->check, on_check));
    for (int i = 0; i < TURN_STAGES; i++)
        list_init(&loop->deferred[i]);
    list_init(&loop->timers);
    return loop;
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    LIST_FOR_EACH(it, tmp, &loop->timers)
    {
        timer_release(LIST_ENTRY(it, struct timer_handle, node)->owner);
    }
    for (int i = 0; i < TURN_STAGES; i++)
        LIST_FOR_EACH(it, tmp, &loop->deferred[i])
        {
            list_remove(it);
        }
    uv_walk(&loop->uv, close_handle, NULL);
    /* Twice at the most: a stop that was asked for while the loop stood ends the first run
     * before the close callbacks. */
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0)
        continue;
    must(uv_loop_close(&loop->uv));
    free(loop);
}

void loop_run(struct loop *loop)
{
    loop->is_running = true;
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    loop->is_running = false;
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

static void on_timer(uv_timer_t *uv)
{
    struct timer_handle *handle = uv->data;
    handle->owner->fire(handle->owner);
}

static void on_timer_closed(uv_handle_t *uv)
{
    free(uv->data);
}

void timer_init(struct timer *timer, struct loop *loop, void (*fire)(struct timer *))
{
    struct timer_handle *handle = mem_new(sizeof(*handle));

    must(uv_timer_init(&loop->uv, &handle->uv));
    handle->uv.data = handle;
    handle->owner = timer;
    handle->loop = loop;
    list_init(&handle->node);
    list_push_back(&loop->timers, &handle->node);
    timer->handle = handle;
    timer->fire = fire;
}

void timer_start(struct timer *timer, uint64_t delay_ms, uint64_t repeat_ms)
{
    struct timer_handle *handle = timer->handle;

    assert(handle != NULL);
    /* The cached time stands still while the loop does not turn; counted from there the
     * first timers of a slow start would all fire at once. */
    if (!handle->loop->is_running)
        uv_update_time(&handle->loop->uv);
    must(uv_timer_start(&handle->uv, on_timer, delay_ms, repeat_ms));
}

void timer_stop(struct timer *timer)
{
    if (timer->handle != NULL)
        must(uv_timer_stop(&timer->handle->uv));
}

bool timer_is_active(const struct timer *timer)
{
    return timer->handle != NULL &&
           uv_is_active((const uv_handle_t *)(const void *)&timer->handle->uv) != 0;
}

void timer_release(struct timer *timer)
{
    struct timer_handle *handle = timer->handle;

    if (handle == NULL)
        return;
    timer->handle = NULL;
    handle->owner = NULL;
    list_remove(&handle->node);
    uv_close((uv_handle_t *)(void *)&handle->uv, on_timer_closed);
}

void turn_task_init_at(struct turn_task *task, enum turn_stage stage,
                       void (*run)(struct turn_task *))
{
    list_init(&task->node);
    task->run = run;
    task->stage = stage;
}

void turn_task_init(struct turn_task *task, void (*run)(struct turn_task *))
{
    turn_task_init_at(task, TURN_WORK, run);
}

void turn_defer(struct loop *loop, struct turn_task *task)
{
    if (list_is_linked(&task->node))
        return;
    list_push_back(&loop->deferred[task->stage], &task->node);
    must(uv_idle_start(&loop->idle, on_idle));
}

void turn_cancel(struct turn_task *task)
{
    list_remove(&task->node);
}

static void on_signal(uv_signal_t *uv, int signum)
{
    struct loop_signal *entry = uv->data;
    entry->handler(entry->ctx, signum);
}

void loop_on_signal(struct loop *loop, int signum,
                    void (*handler)(void *ctx, int signum), void *ctx)
{
    assert(loop->signal_count < LOOP_MAX_SIGNALS);
    struct loop_signal *entry = &loop->signals[loop->signal_count++];

    entry->handler = handler;
    entry->ctx = ctx;
    must(uv_signal_init(&loop->uv, &entry->uv));
    entry->uv.data = entry;
    must(uv_signal_start(&entry->uv, on_signal, signum));
}
