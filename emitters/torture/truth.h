/* truth.h - what Redis holds of a task, asked of Redis itself. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_TRUTH_H
#define THINKWIRE_TORTURE_TRUTH_H

#include "emitters/torture/oracle.h"

struct truth {
    uint64_t epoch; /* of the newest run; 0 = there is none */
    enum outcome outcome;
    bool has_run; /* its text says which run of the task it is: `run` */
    unsigned run;
    bool is_prefix; /* both texts are the beginning of the story */
    size_t lengths[STORY_KINDS];
    char fault[128]; /* what its log must not hold; "" = nothing */
};

/* Compares with `story`. False when Redis cannot be asked just now. */
bool truth_read(uint16_t port, const struct story *story, struct truth *truth);
/* The same out of the answers to its questions: for tests. */
bool truth_of(struct slice answer, const struct story *story, struct truth *truth);

#endif
