/* run.h - tasks, runs and event ids; publishing requests and their answers. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_SCHEMA_RUN_H
#define THINKWIRE_SCHEMA_RUN_H

#include "base/buf.h"
#include "schema/event.h"

/* design.md section 3. A task is (site, task_id). */
struct task_key {
    struct slice site;    /* [A-Za-z0-9._-]{0,128} */
    struct slice task_id; /* [A-Za-z0-9._:-]{1,128} */
};
bool site_is_native(struct slice site);
bool task_id_is_native(struct slice task_id);
/* The same names in memory of the copy's own, given back by task_key_release(). What the
 * slices of a key that is only passed along point to belongs to somebody else. */
struct task_key task_key_copy(const struct task_key *key);
/* Of a copy, or of a zeroed key; it is empty afterwards. */
void task_key_release(struct task_key *copy);

enum run_state {
    RUN_UNKNOWN, /* nobody has published for this task */
    RUN_QUEUED,
    RUN_RUNNING,
    RUN_COMPLETED,
    RUN_FAILED, /* written "error" */
    RUN_STOPPED
};
const char *run_state_name(enum run_state state);
enum run_state run_state_of(struct slice name);
static inline bool run_state_is_final(enum run_state state)
{
    return state >= RUN_COMPLETED;
}
/* The state a run has after an event of this type (RUN_RUNNING for all that are neither
 * queued nor terminal). */
enum run_state run_state_after(enum event_type type);

/* `<epoch>-<seq>`, a valid Redis stream id; seq counts from 1 without gaps. Unlifted Frappe
 * events have ids of this broker alone, `~<nonce>-<n>`: is_local, epoch holds the nonce. */
struct event_id {
    uint64_t epoch; /* 0 = none */
    uint64_t seq;
    bool is_local;
};
#define EVENT_ID_SIZE 48
/* "" for none. Answers the length without NUL. */
size_t event_id_format(struct event_id id, char out[EVENT_ID_SIZE]);
/* Decimal digits only (`~` hex nonce for local ids); false otherwise. */
bool event_id_parse(struct slice text, struct event_id *id);
static inline bool event_id_equal(struct event_id a, struct event_id b)
{
    return a.epoch == b.epoch && a.seq == b.seq && a.is_local == b.is_local;
}

/* ---- publishing, the same for every bus ---- */
struct publish_request {
    struct task_key task;
    struct slice producer; /* empty: an unleased run is joined or opened */
    /* With a producer: the run it opened. 0, with counter 1: it has none yet, and gets one
     * unless this very batch was its first before. */
    uint64_t epoch;
    uint64_t counter;           /* with a producer: of the first event, counts from 1 */
    const struct event *events; /* checked; without "id" and with "task_id" */
    size_t count;
};

enum publish_status {
    PUBLISH_OK,          /* also for a repeat: the first ids are told again */
    PUBLISH_FENCED,      /* another producer or a newer epoch owns the task */
    PUBLISH_ENDED,       /* the run has its terminal event */
    PUBLISH_GAP,         /* `expected_counter` tells what is wanted */
    PUBLISH_UNKNOWN_RUN, /* no such run (lost data) */
    PUBLISH_TOO_LARGE,   /* accumulated text passed its bound; the run was ended */
    PUBLISH_UNAVAILABLE, /* the bus is away or answered an error; nothing is known */
    PUBLISH_REJECTED     /* malformed or over a bound; nothing was written */
};
/* "FENCED", "ENDED", ...; "OK". */
const char *publish_status_name(enum publish_status status);

struct publish_result {
    enum publish_status status;
    struct event_id first;
    struct event_id last;
    uint64_t expected_counter;
    bool stop_requested; /* of this epoch */
    const char *detail;  /* our own words for an operator; NULL or static */
};

struct run_open_request {
    struct task_key task;
    struct slice producer;
    uint64_t lease_ms;    /* 0 = unleased */
    enum run_state state; /* RUN_QUEUED or RUN_RUNNING */
    bool keeps_text;      /* a continue: accumulated text goes on... */
    uint64_t
        from_point; /* ...from this point, as struct task_point has it; 0 = its end */
    struct slice request; /* JSON kept for a later continue; may be empty */
    /* A client asks for a generation: `queued` is the first event, and an open run is left
     * alone (PUBLISH_FENCED, with its epoch). */
    bool is_submission;
};

/* ---- points: where runs of a generation ended, and where continues began ---- */
#define TASK_POINTS_MAX 64
struct task_point {
    uint64_t number;   /* from 1; never used again in the life of a task's text */
    struct slice kind; /* "stopped", "error", "completed"; "continued" */
    uint64_t epoch;    /* of the run that ended or began there */
    uint64_t at_ms;
    uint64_t length; /* code points of text before it */
    uint64_t
        from; /* of "continued": the point it was asked to go on from; 0 = the end */
};
/* Valid during the call; oldest first. */
struct task_points {
    enum run_state state; /* RUN_UNKNOWN: there is no such task */
    const struct task_point *points;
    size_t count;
};
typedef void task_pointed(void *ctx, const struct task_points *points); /* NULL: away */

enum stop_status {
    STOP_ACCEPTED,
    STOP_NO_PRODUCER, /* no live lease; the run was ended */
    STOP_ALREADY_FINISHED,
    STOP_UNKNOWN_TASK,
    STOP_STALE_EPOCH,
    STOP_DENIED,
    STOP_UNAVAILABLE
};
/* "accepted", "no_producer", ... */
const char *stop_status_name(enum stop_status status);

#endif
