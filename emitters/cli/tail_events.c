/* tail_events.c - what the stream tells of a task. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "emitters/cli/tail.h"

#include "base/clock.h"

#include <stdio.h>

#define TEXT_LIMIT_BYTES (64U << 20)

void tail_task_init(struct tail_task *task, bool is_raw, bool only_text)
{
    *task = (struct tail_task){.is_raw = is_raw, .exit_code = TOOL_UNREACHABLE};
    view_init(&task->view, only_text);
    buf_init(&task->reasoning.said, TEXT_LIMIT_BYTES);
    buf_init(&task->reasoning.shown, TEXT_LIMIT_BYTES);
    buf_init(&task->text.said, TEXT_LIMIT_BYTES);
    buf_init(&task->text.shown, TEXT_LIMIT_BYTES);
    task->is_begun_anew = true;
}

void tail_task_release(struct tail_task *task)
{
    buf_release(&task->reasoning.said);
    buf_release(&task->reasoning.shown);
    buf_release(&task->text.said);
    buf_release(&task->text.shown);
}

/* ---- printing what is new ---- */

static bool is_prefix(struct slice start, struct slice whole)
{
    return start.len <= whole.len &&
           (start.len == 0 || memcmp(start.ptr, whole.ptr, start.len) == 0);
}

static void show(struct tail_task *task, struct told *told, enum event_type type)
{
    struct slice said = buf_view(&told->said);
    struct slice shown = buf_view(&told->shown);
    if (task->is_raw || is_prefix(said, shown))
        return; /* all of it stands there already */
    if (!is_prefix(shown, said)) {
        view_note(&task->view, "↻ it was different:", slice_make(NULL, 0));
        shown.len = 0;
    }
    view_say(&task->view, type, slice_make(said.ptr + shown.len, said.len - shown.len));
    buf_reset(&told->shown);
    buf_slice(&told->shown, said);
}

static void forget(struct tail_task *task)
{
    buf_reset(&task->reasoning.said);
    buf_reset(&task->text.said);
}

/* ---- members ---- */

static bool number_of(struct slice object, const char *name, uint64_t *number)
{
    struct json_member m;
    return json_get(object, name, &m) && m.kind == JSON_NUMBER &&
           json_u64(m.value, number);
}

static void string_of(struct slice object, const char *name, struct buf *out)
{
    struct json_member m;
    if (json_get(object, name, &m) && m.kind == JSON_STRING)
        json_unescape(out, json_string_raw(m.value));
}

static void finish(struct tail_task *task, int exit_code)
{
    task->is_over = true;
    task->is_thinking = false;
    task->exit_code = exit_code;
    if (!task->is_raw)
        view_end(&task->view);
}

/* ---- messages ---- */

/* The broker tells its own clock with it, so ours need not be right. */
static void take_subscribed(struct tail_task *task, struct slice data)
{
    uint64_t since = 0;
    uint64_t now = 0;
    if (task->is_begun_anew)
        forget(task);
    task->is_begun_anew = false;
    task->is_thinking = number_of(data, "thinking_since", &since) &&
                        number_of(data, "now", &now) && now >= since;
    task->thinking_since_ms = clock_mono_ms() - (now - since);
    tail_task_tick(task);
}

static void take_end(struct tail_task *task, const struct event *event,
                     const struct buf *message)
{
    struct buf words;
    struct json_member m;
    if (event->type == EVENT_COMPLETION) {
        finish(task, TOOL_OK);
        return;
    }
    if (event->type == EVENT_STOPPED) {
        if (!task->is_raw)
            view_note(&task->view, "■ stopped", slice_make(NULL, 0));
        finish(task, TOOL_STOPPED);
        return;
    }
    /* A newer run of the task has taken its place: that one is watched from here on. */
    if (json_get(event->json, "code", &m) && slice_is(m.value, "\"SUPERSEDED\"")) {
        task->is_thinking = true;
        return;
    }
    buf_init(&words, 4096);
    string_of(event->json, "code", &words);
    if (message->len > 0)
        buf_puts(&words, ": ");
    buf_slice(&words, buf_view(message));
    if (!task->is_raw)
        view_note(&task->view, "✖", buf_view(&words));
    buf_release(&words);
    finish(task, TOOL_RUN_FAILED);
}

static void take_text(struct tail_task *task, const struct event *event)
{
    bool is_text = event->type != EVENT_REASONING;
    struct told *told = is_text ? &task->text : &task->reasoning;
    if (is_text)
        task->is_thinking = false;
    if (event->type == EVENT_COMPLETION) {
        buf_reset(&task->reasoning.said);
        string_of(event->json, "reasoning", &task->reasoning.said);
        show(task, &task->reasoning, EVENT_REASONING);
        buf_reset(&told->said); /* it carries the whole */
    }
    json_unescape(&told->said, event->text);
    show(task, told, is_text ? EVENT_TEXT : EVENT_REASONING);
}

static void take_other(struct tail_task *task, const struct event *event)
{
    struct buf words;
    if (task->is_raw || event->type == EVENT_QUEUED)
        return;
    buf_init(&words, 65536);
    if (event->type == EVENT_STATUS) {
        string_of(event->json, "message", &words);
    } else {
        buf_slice(&words, event->type_name);
        buf_putc(&words, ' ');
        string_of(event->json, "tool", &words);
        string_of(event->json, "name", &words);
        string_of(event->json, "message", &words);
    }
    view_note(&task->view, "·", buf_view(&words));
    buf_release(&words);
    tail_task_tick(task);
}

static void take_event(struct tail_task *task, struct slice data)
{
    struct event event;
    struct buf message;
    if (!event_view(data, &event))
        return;
    if (task->is_raw) {
        printf("%.*s\n", (int)data.len, data.ptr);
        fflush(stdout);
    }
    /* A run that began after we came: it thinks since now. */
    if (!task->is_thinking && task->text.said.len == 0) {
        task->is_thinking = true;
        task->thinking_since_ms = clock_mono_ms();
    }
    bool is_spoken = event.type == EVENT_REASONING || event.type == EVENT_TEXT ||
                     event.type == EVENT_COMPLETION;
    if (is_spoken && event.text.ptr != NULL)
        take_text(task, &event);
    else if (!event_type_is_terminal(event.type))
        take_other(task, &event);
    if (event_type_is_terminal(event.type)) {
        buf_init(&message, 65536);
        string_of(data, "message", &message);
        take_end(task, &event, &message);
        buf_release(&message);
    }
    tail_task_tick(task);
}

/* The stream itself cannot go on: the task is unknown, or has expired. */
static void take_error(struct tail_task *task, struct slice data)
{
    struct buf words;
    buf_init(&words, 4096);
    string_of(data, "code", &words);
    buf_puts(&words, ": ");
    string_of(data, "message", &words);
    if (!task->is_raw)
        view_end(&task->view);
    tool_fail("tail", 0, "%s", buf_text(&words));
    buf_release(&words);
    finish(task, TOOL_REFUSED);
}

void tail_task_take(struct tail_task *task, const struct sse_message *message)
{
    if (task->is_over || !json_check(message->data))
        return;
    if (slice_is(message->event, "ai_progress"))
        take_event(task, message->data);
    else if (slice_is(message->event, "subscribed"))
        take_subscribed(task, message->data);
    else if (slice_is(message->event, "resync"))
        forget(task); /* what follows says everything again */
    else if (slice_is(message->event, "error"))
        take_error(task, message->data);
}

void tail_task_tick(struct tail_task *task)
{
    if (task->is_raw || task->is_over)
        return;
    if (task->is_thinking)
        view_thinking(&task->view, (clock_mono_ms() - task->thinking_since_ms) / 1000);
    else
        view_no_thinking(&task->view);
}
