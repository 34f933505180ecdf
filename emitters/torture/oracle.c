/* oracle.c - how a run may end, and how much of it must be there. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/oracle.h"

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[] = {"open",         "completion",    "error",
                                        "stopped",      "PRODUCER_LOST", "SUPERSEDED",
                                        "another error"};

    return names[outcome];
}

enum outcome outcome_of(struct slice type, struct slice code)
{
    if (slice_is(type, "completion"))
        return OUTCOME_COMPLETION;
    if (slice_is(type, "stopped"))
        return OUTCOME_STOPPED;
    if (!slice_is(type, "error"))
        return OUTCOME_NONE;
    if (slice_is(code, ORACLE_OWN_ERROR))
        return OUTCOME_ERROR;
    if (slice_is(code, "PRODUCER_LOST"))
        return OUTCOME_PRODUCER_LOST;
    return slice_is(code, "SUPERSEDED") ? OUTCOME_SUPERSEDED : OUTCOME_OTHER;
}

const char *oracle_outcome(const struct story *story, const struct run_facts *facts,
                           enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_NONE:
        return "the run has not ended";
    case OUTCOME_COMPLETION:
        return facts->has_ended && story->ending == ENDING_COMPLETION
                   ? NULL
                   : "it is complete, but its producer has not said so";
    case OUTCOME_ERROR:
        return facts->has_ended && story->ending == ENDING_ERROR
                   ? NULL
                   : "it failed, but its producer has not said so";
    case OUTCOME_STOPPED:
        return facts->was_stopped ? NULL : "it was stopped, but nobody asked for it";
    case OUTCOME_PRODUCER_LOST:
        return facts->was_killed || facts->was_paused_long
                   ? NULL
                   : "PRODUCER_LOST, but its producer was alive";
    case OUTCOME_SUPERSEDED:
        return facts->was_superseded ? NULL : "SUPERSEDED, but there was no newer run";
    case OUTCOME_OTHER:
    case OUTCOMES:
        break;
    }
    return "it ended with an error that nothing here causes";
}

void oracle_least(const struct story *story, const struct run_facts *facts,
                  enum outcome outcome, size_t lengths[STORY_KINDS])
{
    unsigned deltas = facts->flushed;

    if (outcome == OUTCOME_COMPLETION || outcome == OUTCOME_ERROR)
        deltas = story->deltas;
    else if (facts->has_lost_data && (facts->was_killed || facts->was_paused_long))
        deltas = 0;
    for (int kind = 0; kind < STORY_KINDS; kind++)
        lengths[kind] = story->ends[kind][deltas];
}
