/* tail.h - inside `thinkwire tail`: the connection, what it tells, how it looks. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CLI_TAIL_H
#define THINKWIRE_CLI_TAIL_H

#include "base/loop.h"
#include "codec/sse.h"
#include "emitters/cli/tool.h"
#include "schema/run.h"

/* ---- tail_view.c: the terminal ---- */

/*
 *     Reasoning, dim, as it grows...|           the cursor stays at the end of the text
 *     💡 Thinking 3s                             redrawn below it, once a second
 *
 * Without a terminal there are no colours, no timer and no redrawing: reasoning, an empty
 * line, the text.
 */
struct view {
    bool is_terminal;
    bool only_text;
    bool has_status; /* the thinking line stands below the cursor */
    bool at_line_start;
    enum event_type last; /* kind of what was printed last; EVENT_OTHER = nothing */
};
void view_init(struct view *view, bool only_text);
/* Text to append, of type reasoning or text. */
void view_say(struct view *view, enum event_type type, struct slice utf8);
/* A line about something that is neither. */
void view_note(struct view *view, const char *mark, struct slice words);
void view_thinking(struct view *view, uint64_t seconds);
void view_no_thinking(struct view *view);
/* Everything ends with a line end. */
void view_end(struct view *view);

/* ---- tail_events.c: what the task is, as far as told ---- */

/* What was said of one kind, and how much of it stands on the terminal already. A resync
 * says everything again; only what is new is printed then. */
struct told {
    struct buf said;
    struct buf shown;
};

struct tail_task {
    struct view view;
    bool is_raw;
    struct told reasoning;
    struct told text;
    bool is_thinking;
    uint64_t thinking_since_ms; /* on our monotonic clock */
    bool is_over;
    int exit_code;
    bool is_begun_anew; /* the next join tells everything from the start */
};
void tail_task_init(struct tail_task *task, bool is_raw, bool only_text);
void tail_task_release(struct tail_task *task);
/* One message of the stream: subscribed, ai_progress, resync, error. */
void tail_task_take(struct tail_task *task, const struct sse_message *message);
/* The thinking line, once a second. */
void tail_task_tick(struct tail_task *task);

#endif
