/* shell.c - libthinkwire's thread: takes commands to emitters, tells callers what became. */
/* SPDX-License-Identifier: MIT */
#include "emitters/lib/shell.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

bool shell_wait(struct thinkwire *thinkwire, uint64_t deadline_ms)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                             .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    int result = pthread_cond_timedwait(&thinkwire->changed, &thinkwire->mutex, &until);
    return result != ETIMEDOUT;
}

/* ---- telling callers ---- */

static enum thinkwire_status status_of(enum publish_status status)
{
    switch (status) {
    case PUBLISH_OK:
    case PUBLISH_ENDED:
        return THINKWIRE_ENDED;
    case PUBLISH_FENCED:
        return THINKWIRE_FENCED;
    case PUBLISH_GAP:
    case PUBLISH_UNKNOWN_RUN:
    case PUBLISH_TOO_LARGE:
    case PUBLISH_UNAVAILABLE:
    case PUBLISH_REJECTED:
        return THINKWIRE_REFUSED;
    }
    return THINKWIRE_REFUSED;
}

/* The mutex is held. */
static void copy_state(struct thinkwire_run *run)
{
    run->stats = *emitter_stats(run->emitter);
    if (run->stats.has_overflowed && run->status == THINKWIRE_OK)
        run->status = THINKWIRE_OVERFLOW;
    /* How a run that is over has ended comes first. */
    if (emitter_is_settled(run->emitter) &&
        (run->is_over || !emitter_is_over(run->emitter)))
        run->settled = run->handed;
    pthread_cond_broadcast(&run->thinkwire->changed);
}

/* After each change of an emitter. The mutex is taken for a few copies. */
static void report(struct thinkwire_run *run)
{
    pthread_mutex_lock(&run->thinkwire->mutex);
    copy_state(run);
    pthread_mutex_unlock(&run->thinkwire->mutex);
}

static void on_stop(void *ctx)
{
    struct thinkwire_run *run = ctx;
    pthread_mutex_lock(&run->thinkwire->mutex);
    run->is_stop_requested = true;
    pthread_mutex_unlock(&run->thinkwire->mutex);
}

static void drop_run(struct thinkwire_run *run)
{
    struct thinkwire *thinkwire = run->thinkwire;
    list_remove(&run->node);
    emitter_free(run->emitter);
    sink_free(run->own_sink);
    pthread_mutex_lock(&thinkwire->mutex);
    thinkwire->run_count--;
    pthread_mutex_unlock(&thinkwire->mutex);
    shell_free_run(run);
}

static void check_leaving(struct thinkwire *thinkwire);

static void on_settled(void *ctx)
{
    struct thinkwire_run *run = ctx;
    struct thinkwire *thinkwire = run->thinkwire;
    report(run);
    if (run->is_closed && !run->has_end)
        drop_run(run);
    check_leaving(thinkwire);
}

static void on_ended(void *ctx, enum publish_status status)
{
    struct thinkwire_run *run = ctx;
    struct thinkwire *thinkwire = run->thinkwire;
    pthread_mutex_lock(&thinkwire->mutex);
    run->is_over = true;
    if (run->status == THINKWIRE_OK)
        run->status = status_of(status);
    /* Ended by somebody else: what we had to say last was not. */
    if (status != PUBLISH_OK && run->has_end)
        run->has_end = false;
    copy_state(run);
    pthread_mutex_unlock(&thinkwire->mutex);
    if (run->is_closed)
        drop_run(run);
    check_leaving(thinkwire);
}

/* ---- taking commands ---- */

static struct emitter_sink *http_sink(struct thinkwire_run *run)
{
    struct thinkwire *thinkwire = run->thinkwire;
    const char *const headers[] = {thinkwire->authorization};
    struct sink_http_options http = {
        .base_url = thinkwire->base_url,
        .unix_socket = thinkwire->unix_socket,
        .headers = headers,
        .header_count = thinkwire->authorization != NULL ? 1 : 0,
        .trouble = thinkwire->last_trouble,
    };
    if (run->is_guest)
        return sink_http_joining_new(thinkwire->loop, thinkwire->http, &http);
    return sink_http_new(thinkwire->loop, thinkwire->http, &http);
}

/* Owners share the sink of a Redis; everybody else has one of his own. */
static struct emitter_sink *sink_for(struct thinkwire_run *run)
{
    struct thinkwire *thinkwire = run->thinkwire;
    if (thinkwire->is_http)
        run->own_sink = http_sink(run);
    else if (run->is_guest)
        run->own_sink = sink_joining_new(thinkwire->loop, thinkwire->store);
    return run->own_sink != NULL ? run->own_sink : thinkwire->sink;
}

static void open_run(struct thinkwire_run *run)
{
    struct thinkwire *thinkwire = run->thinkwire;
    struct emitter_options options = thinkwire->defaults;
    options.task.site = slice_of(run->site);
    options.task.task_id = slice_of(run->task_id);
    options.on_ended = on_ended;
    options.on_settled = on_settled;
    options.on_stop = on_stop;
    options.ctx = run;
    run->emitter = emitter_new(thinkwire->loop, sink_for(run), &options);
    list_push_back(&thinkwire->runs, &run->node);
}

/* The caller is gone. What has an end to reach goes on; what has none is left to its
 * lease once everything is acknowledged. */
static void close_run(struct thinkwire_run *run)
{
    run->is_closed = true;
    if (run->is_over || (!run->has_end && emitter_is_settled(run->emitter)))
        drop_run(run);
}

static void fail_run(struct thinkwire_run *run, const struct command *command)
{
    size_t code_len = strlen(command->data) + 1;
    emitter_fail(run->emitter, command->data,
                 slice_make(command->data + code_len, command->len - code_len));
}

static void take(struct command *command)
{
    struct thinkwire_run *run = command->run;
    struct slice data = slice_make(command->data, command->len);
    run->handed++;
    switch (command->kind) {
    case COMMAND_OPEN:
    case COMMAND_JOIN:
        run->is_guest = command->kind == COMMAND_JOIN;
        open_run(run);
        break;
    case COMMAND_REASONING:
        emitter_reasoning(run->emitter, data);
        break;
    case COMMAND_TEXT:
        emitter_text(run->emitter, data);
        break;
    case COMMAND_EVENT:
        emitter_event(run->emitter, data);
        break;
    case COMMAND_COMPLETE:
        emitter_complete(run->emitter);
        break;
    case COMMAND_FAIL:
        fail_run(run, command);
        break;
    case COMMAND_STOPPED:
        emitter_stopped(run->emitter);
        break;
    case COMMAND_CLOSE:
        close_run(run);
        return;
    }
    report(run);
}

/* Runs whose caller could not put a command into the queue end here. */
static void end_holes(struct thinkwire *thinkwire)
{
    LIST_FOR_EACH(it, tmp, &thinkwire->runs)
    {
        struct thinkwire_run *run = LIST_ENTRY(it, struct thinkwire_run, node);
        pthread_mutex_lock(&thinkwire->mutex);
        bool has_hole = run->has_hole;
        run->has_hole = false;
        pthread_mutex_unlock(&thinkwire->mutex);
        if (has_hole)
            emitter_overflow(run->emitter);
    }
}

static void start_leaving(struct thinkwire *thinkwire, uint64_t timeout_ms)
{
    thinkwire->is_leaving = true;
    timer_start(&thinkwire->deadline, timeout_ms, 0);
}

/* What was refused is repeated once a second at the least. */
#define REFUSAL_MS 2000

/* The mutex is held. */
static void tell_trouble(struct thinkwire *thinkwire)
{
    const char *words = thinkwire->last_trouble;
    uint64_t now = loop_now_ms(thinkwire->loop);
    if (thinkwire->link != NULL && !link_is_up(thinkwire->link))
        words = link_trouble(thinkwire->link);
    else if (thinkwire->link != NULL && now - thinkwire->refused_ms > REFUSAL_MS)
        words = NULL;
    thinkwire->wants_trouble = false;
    snprintf(thinkwire->trouble, sizeof(thinkwire->trouble), "%s",
             words != NULL ? words : "");
}

static void on_woken(void *ctx)
{
    struct thinkwire *thinkwire = ctx;
    struct list batch;
    list_init(&batch);
    pthread_mutex_lock(&thinkwire->mutex);
    list_splice(&batch, &thinkwire->queue);
    thinkwire->queue_bytes = 0;
    if (thinkwire->wants_trouble)
        tell_trouble(thinkwire);
    bool wants_end = thinkwire->wants_end;
    uint64_t timeout_ms = thinkwire->end_timeout_ms;
    pthread_cond_broadcast(&thinkwire->changed);
    pthread_mutex_unlock(&thinkwire->mutex);
    LIST_FOR_EACH(it, tmp, &batch)
    {
        struct command *command = LIST_ENTRY(it, struct command, node);
        take(command);
        free(command);
    }
    end_holes(thinkwire);
    if (wants_end && !thinkwire->is_leaving)
        start_leaving(thinkwire, timeout_ms);
    check_leaving(thinkwire);
}

/* ---- leaving ---- */

static bool is_all_settled(struct thinkwire *thinkwire)
{
    LIST_FOR_EACH(it, tmp, &thinkwire->runs)
    {
        if (!emitter_is_settled(LIST_ENTRY(it, struct thinkwire_run, node)->emitter))
            return false;
    }
    return true;
}

static void check_leaving(struct thinkwire *thinkwire)
{
    if (thinkwire->is_leaving && is_all_settled(thinkwire))
        loop_stop(thinkwire->loop);
}

static void on_deadline(struct timer *timer)
{
    struct thinkwire *thinkwire = LIST_ENTRY(timer, struct thinkwire, deadline);
    loop_stop(thinkwire->loop);
}

/* On the thread, after the loop: everything that belongs to the loop. */
static void dismantle(struct thinkwire *thinkwire)
{
    thinkwire->has_lost = !is_all_settled(thinkwire);
    LIST_FOR_EACH(it, tmp, &thinkwire->runs)
    {
        drop_run(LIST_ENTRY(it, struct thinkwire_run, node));
    }
    sink_free(thinkwire->sink);
    store_free(thinkwire->store);
    confirm_free(thinkwire->confirm);
    link_free(thinkwire->link);
    http_client_free(thinkwire->http);
    timer_release(&thinkwire->deadline);
    wake_free(thinkwire->wake);
    loop_free(thinkwire->loop);
    thinkwire->sink = NULL;
    thinkwire->store = NULL;
    thinkwire->link = NULL;
    thinkwire->http = NULL;
    thinkwire->wake = NULL;
    thinkwire->loop = NULL;
}

static void *serve(void *ctx)
{
    struct thinkwire *thinkwire = ctx;
    loop_run(thinkwire->loop);
    dismantle(thinkwire);
    pthread_mutex_lock(&thinkwire->mutex);
    thinkwire->has_exited = true;
    bool is_abandoned = thinkwire->is_abandoned;
    pthread_cond_broadcast(&thinkwire->changed);
    pthread_mutex_unlock(&thinkwire->mutex);
    if (is_abandoned)
        shell_free(thinkwire);
    return NULL;
}

/* ---- making and freeing ---- */

bool shell_start(struct thinkwire *thinkwire)
{
    sigset_t all;
    sigset_t before;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&thinkwire->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&thinkwire->mutex, NULL);
    timer_init(&thinkwire->deadline, thinkwire->loop, on_deadline);
    thinkwire->wake = wake_new(thinkwire->loop, on_woken, thinkwire);
    /* The application's handlers are not for our thread; SIGPIPE neither. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&thinkwire->thread, NULL, serve, thinkwire);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        dismantle(thinkwire);
    return result == 0;
}

void shell_free_run(struct thinkwire_run *run)
{
    free(run->site);
    free(run->task_id);
    free(run);
}

void shell_free(struct thinkwire *thinkwire)
{
    LIST_FOR_EACH(it, tmp, &thinkwire->queue)
    {
        struct command *command = LIST_ENTRY(it, struct command, node);
        free(command);
    }
    pthread_mutex_destroy(&thinkwire->mutex);
    pthread_cond_destroy(&thinkwire->changed);
    free(thinkwire->base_url);
    free(thinkwire->authorization);
    free(thinkwire->unix_socket);
    free(thinkwire);
}
