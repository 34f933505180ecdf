/* event.h - the canonical event: what an emitter publishes and a reader gets. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_SCHEMA_EVENT_H
#define THINKWIRE_SCHEMA_EVENT_H

#include "base/slice.h"

#include <stdint.h>

/* The same contract as schema/ai_progress.schema.json; a test holds the two against each
 * other. Unknown types pass through untouched as EVENT_OTHER. */
enum event_type {
    EVENT_OTHER,
    EVENT_REASONING,
    EVENT_TEXT,
    EVENT_COMPLETION, /* terminal */
    EVENT_QUEUED,
    EVENT_STATUS,
    EVENT_TOOL_CALL,
    EVENT_TOOL_RESULT,
    EVENT_USAGE,
    EVENT_CONTINUE_STARTED,
    EVENT_STOPPED, /* terminal */
    EVENT_ERROR    /* terminal */
};

enum event_type event_type_of(struct slice name);
/* "reasoning", ...; NULL for EVENT_OTHER. */
const char *event_type_name(enum event_type type);
bool event_type_is_terminal(enum event_type type);

/* A checked event. All slices point into the text that was checked. */
struct event {
    enum event_type type;
    struct slice json;      /* the whole object */
    struct slice type_name; /* raw, without quotes */
    struct slice task_id;   /* raw, without quotes; NULL when absent */
    struct slice text;      /* raw (escaped), without quotes; NULL when absent */
    struct slice timestamp; /* raw, without quotes; NULL when absent */
    bool has_id;   /* carries an "id" member: a reader's copy, not an emitter's */
    bool is_delta; /* reasoning or text with partial:true and a text */
};

enum event_fault {
    EVENT_OK,
    EVENT_NOT_JSON,
    EVENT_NOT_OBJECT,
    EVENT_MISSING,  /* a member the contract needs */
    EVENT_BAD_TYPE, /* a member of the wrong JSON type */
    EVENT_BAD_VALUE,
    EVENT_TOO_LARGE
};

#define EVENT_MAX_BYTES 1048576

/* Strict: what our emitters and POST /v1/tasks/{id}/events publish. `task_id` may be absent
 * (the address names it); when present it must have the native form. `*field` names the
 * offending member, or is NULL. */
enum event_fault event_check(struct slice json, struct event *event,
                             const char **field);
/* Tolerant: an object that came over Frappe's channel. Fills what it recognises, of equal
 * members the first, never is_delta; false only when `json` is not an object. */
bool event_view(struct slice json, struct event *event);
const char *event_fault_text(enum event_fault fault);

#endif
