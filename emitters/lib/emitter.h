/* emitter.h - one run of one task, seen from its producer. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_LIB_EMITTER_H
#define THINKWIRE_LIB_EMITTER_H

#include "emitters/lib/sink.h"

/*
 *   emitter_text() --> pending items --> batches, numbered --> sink --> acknowledged
 *                      merge freely      fixed for ever
 *
 * Nagle-like: what is emitted leaves at the end of this turn when nothing is in flight;
 * while a publish is unanswered, deltas of one kind merge, and leave when the answer comes
 * or `window_ms` has passed. A batch that has been sent keeps its counters and its bytes, so
 * repeating it is harmless.
 *
 * When the far end is away, what is unsent merges within `max_unsent_bytes`; past that the
 * run ends with the error EMITTER_OVERFLOW rather than go on with a hole. When the far end
 * has lost data (GAP, UNKNOWN_RUN), a new epoch is opened and the accumulated reasoning and
 * text are published again, one delta per kind (in pieces of 256 KB), then what was not yet
 * acknowledged of all else.
 *
 * No locks, no threads: everything happens on the loop. The worker makes one per run on a
 * shared sink; libthinkwire wraps it in a thread (thinkwire.h).
 */
struct emitter;

#define EMITTER_WINDOW_MS        30
#define EMITTER_LEASE_MS         10000
#define EMITTER_MAX_UNSENT_BYTES (4U << 20)
#define EMITTER_MAX_TEXT_BYTES   (4U << 20)

struct emitter_options {
    struct task_key task;      /* native forms */
    uint64_t window_ms;        /* 0 = no coalescing: every delta leaves in its turn */
    uint64_t lease_ms;         /* 0 = unleased; ignored by a sink without leases */
    size_t max_unsent_bytes;   /* 0 = EMITTER_MAX_UNSENT_BYTES */
    size_t max_text_bytes;     /* of each kind; 0 = EMITTER_MAX_TEXT_BYTES */
    enum run_state opens_as;   /* RUN_QUEUED, else RUN_RUNNING */
    uint64_t claim_epoch;      /* take over this queued run instead of opening one */
    struct slice producer;     /* empty = a random name */
    struct slice request;      /* JSON kept for a later continue; may be empty */
    bool keeps_text;           /* a continue... */
    struct slice earlier_text; /* ...of this text and reasoning */
    struct slice earlier_reasoning;

    /* On the loop, never from inside an emitter_...() call; each may free the emitter. */
    /* Exactly once. PUBLISH_OK: our terminal event stands. Otherwise somebody else ended
     * the run or took it (ENDED, FENCED, UNKNOWN_RUN for a claim), or it was refused
     * (TOO_LARGE, REJECTED). */
    void (*on_ended)(void *ctx, enum publish_status status);
    void (*on_settled)(void *ctx); /* all that was emitted is acknowledged */
    void (*on_stop)(void *ctx);    /* somebody asked this run to stop; once per epoch */
    void *ctx;
};

struct emitter_stats {
    uint64_t emitted;   /* events and deltas handed in and accepted */
    uint64_t merged;    /* deltas that left inside another one */
    uint64_t published; /* events acknowledged */
    uint64_t publishes; /* calls of the sink */
    uint64_t retries;   /* batches sent again */
    uint64_t reopened;  /* new epochs because data was lost */
    uint64_t refused;   /* calls after the end, or malformed events */
    uint64_t restarts; /* HTTP: the run's epoch changed under us (a broker restarted) */
    size_t unsent_bytes; /* now: pending or not acknowledged */
    bool has_overflowed; /* the run has ended with EMITTER_OVERFLOW */
};

/* Opens the run at once. All of `options` is copied; `sink` is borrowed. */
struct emitter *emitter_new(struct loop *loop, struct emitter_sink *sink,
                            const struct emitter_options *options);
/* Without a terminal event the run is left to its lease. on_ended is not called. NULL is
 * allowed. */
void emitter_free(struct emitter *emitter);

/* Each answers false, and counts it, when the run has ended or the event is malformed. */

/* A delta of UTF-8; a character cut at its end waits for its rest, invalid bytes become
 * U+FFFD. */
bool emitter_reasoning(struct emitter *emitter, struct slice delta);
bool emitter_text(struct emitter *emitter, struct slice delta);
/* A whole event as JSON. task_id and timestamp are added where absent, an id is taken
 * out; a terminal type ends the run. Plain deltas merge as above. */
bool emitter_event(struct emitter *emitter, struct slice json);
/* What the terminal event is to carry besides: members of a JSON object, checked,
 * without braces (`"finish_reason":"stop","tokens_in":5`). Replaces what was given before. */
void emitter_end_with(struct emitter *emitter, struct slice members);
/* The terminal event: full text and reasoning, this run's share. */
bool emitter_complete(struct emitter *emitter);
bool emitter_fail(struct emitter *emitter, const char *code, struct slice message);
/* Carries the length of the text so far. */
bool emitter_stopped(struct emitter *emitter);
/* Something could not even be handed in: drops what is not numbered yet and ends the run
 * with EMITTER_OVERFLOW. */
bool emitter_overflow(struct emitter *emitter);

/* Everything is acknowledged, or the run has ended. */
bool emitter_is_settled(const struct emitter *emitter);
/* on_ended was told, or is about to be. */
bool emitter_is_over(const struct emitter *emitter);
/* 0 until the run is open; over HTTP until the first answer. */
uint64_t emitter_epoch(const struct emitter *emitter);
const struct emitter_stats *emitter_stats(const struct emitter *emitter);

#endif
