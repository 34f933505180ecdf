/* producer.h - a process that tells one story, and a journal that outlives it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_PRODUCER_H
#define THINKWIRE_TORTURE_PRODUCER_H

#include "emitters/torture/story.h"

#include <stdatomic.h>
#include <sys/types.h>

/* In memory that both share: what the producer knew when it was killed. */
struct journal {
    atomic_uint accepted; /* deltas that libthinkwire took */
    atomic_uint flushed;  /* ... and said were acknowledged */
    atomic_uint has_ended;
    atomic_uint status; /* of the last call that was refused, or of the close */
    atomic_uint is_done;
    atomic_uint reopened;
    atomic_ullong done_ms; /* monotonic */
};
struct journal *journal_new(void);
void journal_free(struct journal *journal);

struct producer {
    const struct story *story;
    struct journal *journal;
    uint16_t port; /* where its Redis is */
    unsigned lease_ms;
};
/* Task `n` is called so on the wire. */
#define TASK_NAME_BEGINS "torture-"
#define TASK_NAME_SIZE   32
void task_name(unsigned task, char name[TASK_NAME_SIZE]);

/* Forks. The child ends by itself when its run has. */
pid_t producer_start(const struct producer *producer);

#endif
