/* thinkwire.c - libthinkwire: what callers see; nothing here touches the loop. */
/* SPDX-License-Identifier: MIT */
#include "emitters/lib/thinkwire.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "emitters/lib/shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Beyond its deadline thinkwire_disconnect() waits this long for the thread to go. */
#define LEAVE_MS 1000

static bool is_foreign(const struct thinkwire *thinkwire)
{
    return thinkwire->pid != getpid();
}

/* ---- commands ---- */

/* Room for `len` bytes in the queue, waiting for it within the bound. The mutex is held. */
static bool await_room(struct thinkwire *thinkwire, size_t len)
{
    uint64_t deadline = clock_mono_ms() + thinkwire->max_block_ms;
    while (thinkwire->queue_bytes + len > SHELL_QUEUE_BYTES &&
           thinkwire->queue_bytes > 0)
        if (!shell_wait(thinkwire, deadline))
            return false;
    return true;
}

static struct command *command_new(enum command_kind kind, struct thinkwire_run *run,
                                   struct slice data)
{
    struct command *command = mem_new(sizeof(*command) + data.len + 1);
    list_init(&command->node);
    command->kind = kind;
    command->run = run;
    command->len = data.len;
    if (data.len > 0)
        memcpy(command->data, data.ptr, data.len);
    return command;
}

/* The mutex is held. */
static void push(struct thinkwire *thinkwire, struct command *command)
{
    list_push_back(&thinkwire->queue, &command->node);
    thinkwire->queue_bytes += sizeof(*command) + command->len;
    command->run->pushed++;
    wake_send(thinkwire->wake);
}

static enum thinkwire_status refuse(struct thinkwire_run *run,
                                    enum thinkwire_status status)
{
    run->refused++;
    return status;
}

/* The mutex is held; takes `command`. */
static enum thinkwire_status try_push(struct thinkwire_run *run,
                                      struct command *command, bool is_end)
{
    struct thinkwire *thinkwire = run->thinkwire;
    enum thinkwire_status status = run->status;
    if (status == THINKWIRE_OK && run->has_end)
        status = THINKWIRE_ENDED;
    if (status == THINKWIRE_OK &&
        !await_room(thinkwire, sizeof(*command) + command->len)) {
        /* Dropping it silently would leave a hole; so this is the end of the run. */
        run->has_hole = true;
        run->status = THINKWIRE_OVERFLOW;
        wake_send(thinkwire->wake);
        status = THINKWIRE_OVERFLOW;
    }
    if (status != THINKWIRE_OK) {
        free(command);
        return refuse(run, status);
    }
    run->has_end = is_end;
    push(thinkwire, command);
    return THINKWIRE_OK;
}

static enum thinkwire_status hand_in(struct thinkwire_run *run, enum command_kind kind,
                                     struct slice data, bool is_end)
{
    struct thinkwire *thinkwire = run->thinkwire;
    if (is_foreign(thinkwire))
        return THINKWIRE_FORKED;
    struct command *command = command_new(kind, run, data);
    pthread_mutex_lock(&thinkwire->mutex);
    enum thinkwire_status status = try_push(run, command, is_end);
    pthread_mutex_unlock(&thinkwire->mutex);
    return status;
}

static enum thinkwire_status invalid(struct thinkwire_run *run)
{
    struct thinkwire *thinkwire = run->thinkwire;
    if (is_foreign(thinkwire))
        return THINKWIRE_FORKED;
    pthread_mutex_lock(&thinkwire->mutex);
    run->refused++;
    pthread_mutex_unlock(&thinkwire->mutex);
    return THINKWIRE_INVALID;
}

/* ---- runs ---- */

static struct thinkwire_run *begin(struct thinkwire *thinkwire, const char *site,
                                   const char *task_id, enum command_kind how)
{
    struct slice site_name = slice_of(site);
    struct slice task_name = slice_of(task_id);
    if (is_foreign(thinkwire) || !site_is_native(site_name) ||
        !task_id_is_native(task_name))
        return NULL;
    struct thinkwire_run *run = mem_new(sizeof(*run));
    run->thinkwire = thinkwire;
    run->site = mem_text(site_name);
    run->task_id = mem_text(task_name);
    list_init(&run->node);
    pthread_mutex_lock(&thinkwire->mutex);
    bool has_room = thinkwire->run_count < SHELL_MAX_RUNS;
    if (has_room) {
        thinkwire->run_count++;
        push(thinkwire, command_new(how, run, slice_make(NULL, 0)));
    }
    pthread_mutex_unlock(&thinkwire->mutex);
    if (has_room)
        return run;
    shell_free_run(run);
    return NULL;
}

struct thinkwire_run *thinkwire_open(struct thinkwire *thinkwire, const char *site,
                                     const char *task_id)
{
    return begin(thinkwire, site, task_id, COMMAND_OPEN);
}

struct thinkwire_run *thinkwire_join(struct thinkwire *thinkwire, const char *site,
                                     const char *task_id)
{
    return begin(thinkwire, site, task_id, COMMAND_JOIN);
}

enum thinkwire_status thinkwire_reasoning(struct thinkwire_run *run, const char *delta,
                                          size_t len)
{
    return hand_in(run, COMMAND_REASONING, slice_make(delta, len), false);
}

enum thinkwire_status thinkwire_text(struct thinkwire_run *run, const char *delta,
                                     size_t len)
{
    return hand_in(run, COMMAND_TEXT, slice_make(delta, len), false);
}

/* {"type":<type>, <members>} */
static bool compose(struct buf *out, const char *type, struct slice members)
{
    struct slice object = {NULL, 0};
    enum json_kind kind;
    size_t at = 0;
    struct json_member first;
    buf_puts(out, "{\"type\":");
    json_quote(out, slice_of(type));
    if (members.len > 0) {
        if (!json_check(members) || json_scan(members, &kind, &object) < 0 ||
            kind != JSON_OBJECT)
            return false;
        buf_puts(out, json_next(object, &at, &first) ? "," : "");
        buf_append(out, object.ptr + 1, object.len - 2);
    }
    return buf_putc(out, '}');
}

enum thinkwire_status thinkwire_event(struct thinkwire_run *run, const char *type,
                                      const char *members)
{
    struct buf json;
    struct event event;
    const char *field;
    enum thinkwire_status status;
    buf_init(&json, EVENT_MAX_BYTES);
    bool good = type != NULL && compose(&json, type, slice_of(members)) &&
                event_check(buf_view(&json), &event, &field) == EVENT_OK;
    if (good && event.task_id.ptr != NULL)
        good = slice_is(event.task_id, run->task_id);
    if (good)
        status = hand_in(run, COMMAND_EVENT, buf_view(&json),
                         event_type_is_terminal(event.type));
    else
        status = invalid(run);
    buf_release(&json);
    return status;
}

enum thinkwire_status thinkwire_completion(struct thinkwire_run *run)
{
    return hand_in(run, COMMAND_COMPLETE, slice_make(NULL, 0), true);
}

static bool is_code(const char *code)
{
    size_t len = strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                              "0123456789._-");
    return len > 0 && len <= 64 && code[len] == 0;
}

enum thinkwire_status thinkwire_error(struct thinkwire_run *run, const char *code,
                                      const char *message)
{
    struct buf data;
    struct slice words = slice_of(message);
    if (code == NULL || !is_code(code) || words.len > EVENT_MAX_BYTES / 8)
        return invalid(run);
    buf_init(&data, EVENT_MAX_BYTES);
    buf_append(&data, code, strlen(code) + 1);
    buf_slice(&data, words);
    enum thinkwire_status status = hand_in(run, COMMAND_FAIL, buf_view(&data), true);
    buf_release(&data);
    return status;
}

enum thinkwire_status thinkwire_stopped(struct thinkwire_run *run)
{
    return hand_in(run, COMMAND_STOPPED, slice_make(NULL, 0), true);
}

int thinkwire_stop_requested(struct thinkwire_run *run)
{
    struct thinkwire *thinkwire = run->thinkwire;
    if (is_foreign(thinkwire))
        return 0;
    pthread_mutex_lock(&thinkwire->mutex);
    bool is_requested = run->is_stop_requested;
    pthread_mutex_unlock(&thinkwire->mutex);
    return is_requested;
}

/* ---- waiting ---- */

/* The mutex is held. */
static enum thinkwire_status await_settled(struct thinkwire_run *run,
                                           unsigned timeout_ms)
{
    uint64_t deadline = clock_mono_ms() + timeout_ms;
    uint64_t wanted = run->pushed;
    while (run->settled < wanted && !run->is_over)
        if (!shell_wait(run->thinkwire, deadline))
            return THINKWIRE_TIMEOUT;
    return run->status;
}

/* Our own end is what was wanted: that is success. The mutex is held. */
static enum thinkwire_status verdict(const struct thinkwire_run *run,
                                     enum thinkwire_status status)
{
    bool is_ours = run->has_end && status == THINKWIRE_ENDED;
    return is_ours && run->settled >= run->pushed ? THINKWIRE_OK : status;
}

enum thinkwire_status thinkwire_flush(struct thinkwire_run *run, unsigned timeout_ms)
{
    struct thinkwire *thinkwire = run->thinkwire;
    if (is_foreign(thinkwire))
        return THINKWIRE_FORKED;
    pthread_mutex_lock(&thinkwire->mutex);
    enum thinkwire_status status = verdict(run, await_settled(run, timeout_ms));
    pthread_mutex_unlock(&thinkwire->mutex);
    return status;
}

enum thinkwire_status thinkwire_close(struct thinkwire_run *run, unsigned timeout_ms)
{
    if (run == NULL)
        return THINKWIRE_OK;
    struct thinkwire *thinkwire = run->thinkwire;
    if (is_foreign(thinkwire))
        return THINKWIRE_FORKED;
    pthread_mutex_lock(&thinkwire->mutex);
    enum thinkwire_status status = verdict(run, await_settled(run, timeout_ms));
    push(thinkwire, command_new(COMMAND_CLOSE, run, slice_make(NULL, 0)));
    pthread_mutex_unlock(&thinkwire->mutex);
    return status;
}

void thinkwire_read_counters(struct thinkwire_run *run,
                             struct thinkwire_counters *counters)
{
    struct thinkwire *thinkwire = run->thinkwire;
    *counters = (struct thinkwire_counters){0};
    if (is_foreign(thinkwire))
        return;
    pthread_mutex_lock(&thinkwire->mutex);
    *counters = (struct thinkwire_counters){
        .emitted = run->stats.emitted,
        .merged = run->stats.merged,
        .published = run->stats.published,
        .retries = run->stats.retries,
        .reopened = run->stats.reopened,
        .refused = run->refused + run->stats.refused,
        .unsent_bytes = run->stats.unsent_bytes,
    };
    pthread_mutex_unlock(&thinkwire->mutex);
}

int thinkwire_trouble(struct thinkwire *thinkwire, char *words, size_t size)
{
    if (words != NULL && size > 0)
        words[0] = 0;
    if (is_foreign(thinkwire))
        return 0;
    uint64_t deadline = clock_mono_ms() + 200;
    pthread_mutex_lock(&thinkwire->mutex);
    thinkwire->wants_trouble = true;
    wake_send(thinkwire->wake);
    while (thinkwire->wants_trouble)
        if (!shell_wait(thinkwire, deadline))
            break;
    int has_trouble = thinkwire->trouble[0] != 0;
    if (words != NULL && size > 0)
        snprintf(words, size, "%s", thinkwire->trouble);
    pthread_mutex_unlock(&thinkwire->mutex);
    return has_trouble;
}

/* ---- leaving ---- */

enum thinkwire_status thinkwire_disconnect(struct thinkwire *thinkwire,
                                           unsigned timeout_ms)
{
    if (thinkwire == NULL)
        return THINKWIRE_OK;
    if (is_foreign(thinkwire))
        return THINKWIRE_FORKED;
    uint64_t deadline = clock_mono_ms() + timeout_ms + LEAVE_MS;
    pthread_mutex_lock(&thinkwire->mutex);
    thinkwire->wants_end = true;
    thinkwire->end_timeout_ms = timeout_ms;
    wake_send(thinkwire->wake);
    while (!thinkwire->has_exited)
        if (!shell_wait(thinkwire, deadline))
            break;
    bool has_exited = thinkwire->has_exited;
    bool has_lost = thinkwire->has_lost || !has_exited;
    thinkwire->is_abandoned = !has_exited;
    pthread_t thread = thinkwire->thread;
    pthread_mutex_unlock(&thinkwire->mutex);
    if (has_exited) {
        pthread_join(thread, NULL);
        shell_free(thinkwire);
    } else {
        pthread_detach(thread);
    }
    return has_lost ? THINKWIRE_TIMEOUT : THINKWIRE_OK;
}

const char *thinkwire_status_text(enum thinkwire_status status)
{
    switch (status) {
    case THINKWIRE_OK:
        return "all is well";
    case THINKWIRE_TIMEOUT:
        return "not everything is acknowledged yet";
    case THINKWIRE_ENDED:
        return "the run is over";
    case THINKWIRE_FENCED:
        return "somebody else has opened a newer run of this task";
    case THINKWIRE_OVERFLOW:
        return "too much was unsent for too long; the run has ended";
    case THINKWIRE_REFUSED:
        return "the far end refused it";
    case THINKWIRE_INVALID:
        return "malformed argument";
    case THINKWIRE_FORKED:
        return "the handle belongs to the parent process";
    }
    return "unknown status";
}

const char *thinkwire_version(void)
{
    return THINKWIRE_VERSION;
}
