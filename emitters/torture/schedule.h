/* schedule.h - which fault when: drawn from the seed, before anything begins. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_SCHEDULE_H
#define THINKWIRE_TORTURE_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

enum fault_kind {
    /* readers */
    FAULT_READER_CUT,       /* its connection ends after so many more bytes */
    FAULT_READER_STALL,     /* reads nothing for a while */
    FAULT_READER_HALF_OPEN, /* goes away without a word; the old connection hangs on */
    FAULT_READER_NEW,       /* a newcomer in its place: late, by any way of joining */
    /* producers */
    FAULT_EMITTER_CUT,   /* its Redis connection ends, an answer unread */
    FAULT_EMITTER_KILL,  /* SIGKILL */
    FAULT_EMITTER_PAUSE, /* SIGSTOP, shorter or longer than its lease */
    FAULT_RUN_SUPERSEDE, /* a second run of the same task while the first goes on */
    FAULT_RUN_STOP,      /* a reader asks for the end */
    /* brokers and Redis: one at a time */
    FAULT_BROKER_KILL,       /* SIGKILL, and again after a while */
    FAULT_BROKER_TERM,       /* SIGTERM, likewise */
    FAULT_BROKER_PAUSE,      /* SIGSTOP for a while */
    FAULT_REDIS_KEPT,        /* SHUTDOWN SAVE and again */
    FAULT_REDIS_LOST,        /* SIGKILL and again, empty */
    FAULT_REDIS_TAIL_LOST,   /* SIGKILL and again with what it had some time before */
    FAULT_REDIS_FLUSH,       /* FLUSHALL */
    FAULT_REDIS_SILENCE,     /* SIGSTOP for a while */
    FAULT_REDIS_KILL_PUBSUB, /* CLIENT KILL TYPE pubsub */
    FAULT_REDIS_KILL_NORMAL, /* CLIENT KILL TYPE normal */
    FAULT_REDIS_OUTPUT_LIMIT, /* a broker that does not read is cut by its buffer limit */
    FAULT_KINDS
};
/* "reader cut", ... */
const char *fault_name(enum fault_kind kind);

struct fault {
    uint64_t at_ms; /* since the start */
    enum fault_kind kind;
    unsigned target;    /* which reader, task or broker */
    unsigned length_ms; /* how long it lasts */
    unsigned detail;    /* bytes until a cut; ways of joining; a second length */
};

struct schedule_wants {
    uint64_t seed;
    uint64_t length_ms;
    unsigned readers;
    unsigned tasks;
    unsigned brokers;
    unsigned lease_ms;
};

/* A new array in the order of time, freed with free(); `*count` tells how many. Nothing but
 * `wants` decides. */
struct fault *schedule_make(const struct schedule_wants *wants, size_t *count);

#endif
