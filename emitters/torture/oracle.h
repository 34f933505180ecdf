/* oracle.h - how a run may end, and how much of it must be there. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_ORACLE_H
#define THINKWIRE_TORTURE_ORACLE_H

#include "emitters/torture/story.h"

/* As told by the terminal event. */
enum outcome {
    OUTCOME_NONE, /* the run is open */
    OUTCOME_COMPLETION,
    OUTCOME_ERROR, /* its producer's own */
    OUTCOME_STOPPED,
    OUTCOME_PRODUCER_LOST,
    OUTCOME_SUPERSEDED,
    OUTCOME_OTHER, /* any other error */
    OUTCOMES
};
const char *outcome_name(enum outcome outcome);
/* `type` and, of an error, `code` of a terminal event. OUTCOME_NONE: it is none. */
enum outcome outcome_of(struct slice type, struct slice code);
/* The code of OUTCOME_ERROR. */
#define ORACLE_OWN_ERROR "DEMO_FAILED"

/* What was done to a run, and what its producer knows. */
struct run_facts {
    unsigned accepted; /* deltas the library took */
    unsigned flushed;  /* deltas it said were acknowledged */
    bool has_ended;    /* the producer called its end */
    bool was_killed;
    bool was_paused_long; /* longer than its lease */
    bool was_superseded;  /* a newer run of the task was begun while it was open */
    bool was_stopped;     /* a reader asked for it */
    bool has_lost_data;   /* Redis lost data while it ran */
};

/* NULL when the run may end so; otherwise why not. */
const char *oracle_outcome(const struct story *story, const struct run_facts *facts,
                           enum outcome outcome);
/* The least bytes of each kind that must be there at such an end. A producer that died
 * (or was taken for dead) together with data is the one that may take some along. */
void oracle_least(const struct story *story, const struct run_facts *facts,
                  enum outcome outcome, size_t lengths[STORY_KINDS]);

#endif
