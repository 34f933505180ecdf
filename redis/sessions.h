/* sessions.h - Socket.IO sessions in Redis, so that another broker can go on with them. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_SESSIONS_H
#define THINKWIRE_REDIS_SESSIONS_H

#include "redis/link.h"

/*
 * "<prefix>:session:<hash>" is one record that says what its owner wants, with an expiry. The
 * name is a hash of the client's secret `pid`: who reads Redis cannot come as the client. A
 * record belongs to the broker that wrote it last. claim() makes it the claimant's, in one
 * step: of several that ask at once one gets it, and its former owner cannot write it again.
 *
 * Nothing is repeated and nothing waits: while Redis is away, nothing is kept, and claiming is
 * answered "away".
 */
struct sessions;

/* A record that is longer is not written. */
#define SESSIONS_MAX_BYTES 16384

/* `link` is borrowed and is a command link. `prefix` as in store_new(). */
struct sessions *sessions_new(struct link *link, const char *prefix);
/* Claims under way are told SESSIONS_AWAY, records under way that they were not taken. Free it
 * before its link. NULL is allowed. */
void sessions_free(struct sessions *sessions);

bool sessions_is_up(const struct sessions *sessions);
struct sessions_record {
    struct slice pid;
    struct slice text;
    uint64_t ttl_ms;
};
/* `is_taken` false: Redis did not take the record (it is full, has gone), and holds what it
 * held before. A record that has become another's needs nothing more: true. */
typedef void sessions_kept(void *ctx, bool is_taken);
/* Writes the record, unless it has become another's. False: Redis is away, or the record is
 * too long, and nothing was sent; else `done`, which may be NULL, is called exactly once, not
 * from inside the call. */
bool sessions_keep(struct sessions *sessions, const struct sessions_record *record,
                   sessions_kept *done, void *ctx);
/* Deletes the record if it is ours. */
void sessions_drop(struct sessions *sessions, struct slice pid);

enum sessions_answer {
    SESSIONS_NONE,   /* there is no such record */
    SESSIONS_MINE,   /* it was ours all along */
    SESSIONS_OTHERS, /* it was another's and is ours now */
    SESSIONS_TAKEN,  /* another has just taken it over */
    SESSIONS_AWAY    /* Redis does not answer: nothing is known */
};
/* `record` is valid during the call; empty unless MINE (may be empty then too) or OTHERS. */
typedef void sessions_claimed(void *ctx, enum sessions_answer answer,
                              struct slice record);
/* The record is ours and empty afterwards, for `ttl_ms`, until it is kept. `done` is called
 * exactly once, not from inside the call. */
void sessions_claim(struct sessions *sessions, struct slice pid, uint64_t ttl_ms,
                    sessions_claimed *done, void *ctx);

#endif
