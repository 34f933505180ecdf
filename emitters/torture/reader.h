/* reader.h - one client of a broker: it joins, is cut, comes back, and judges. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_READER_H
#define THINKWIRE_TORTURE_READER_H

#include "codec/sse.h"
#include "emitters/torture/draw.h"
#include "emitters/torture/fold.h"
#include "emitters/torture/oracle.h"
#include "emitters/torture/watch.h"

/*
 *   AWAY --(any broker)--> HEAD --200 / 101--> BODY
 *     ^                                          |
 *     +---- cut, closed, refused: a moment later-+
 */
enum reader_kind {
    READER_SSE,
    READER_WS,
    READER_LONG_POLL,
    READER_SIO_WEBSOCKET,
    READER_SIO_POLLING,
    READER_SIO_STRING, /* Frappe's form: from now on, as published; no resume */
    READER_KINDS
};
const char *reader_kind_name(enum reader_kind kind);

enum reader_phase { READER_AWAY, READER_HEAD, READER_BODY };
enum reader_from { FROM_SNAPSHOT, FROM_START, FROM_NOW };

struct reader_place {
    uint64_t epoch; /* 0: none is known */
    uint64_t seq;
    bool is_loose; /* behind a merged event some may be passed over */
};

struct reader_tally {
    uint64_t joins;
    uint64_t cuts;
    uint64_t events;
    uint64_t resyncs;
    uint64_t errors; /* UNKNOWN_TASK, GONE, UNAVAILABLE */
    uint64_t ends;
};

struct house; /* what readers have in common: below */

struct reader {
    struct watch watch;
    struct house *house;
    unsigned index;
    unsigned task;
    enum reader_kind kind;
    enum reader_phase phase;
    enum reader_from from;
    struct draw draw;

    uint64_t retry_at_ms;
    uint64_t stalled_until_ms;
    bool has_small_socket;
    bool will_be_cut;
    size_t bytes_until_cut;

    struct buf in;
    struct buf out;
    struct buf message; /* of parts */
    size_t body_left;
    bool is_chunked;
    bool is_posting; /* Socket.IO polling: the answer to a POST is awaited */
    bool is_joined;
    struct sse_parser *sse;
    char sid[64];
    struct buf to_post;

    char since[96]; /* "": joins anew */
    struct fold fold;
    struct reader_place place;
    uint64_t end_epoch; /* of the run whose terminal event it has; 0 = none */
    enum outcome end_outcome;
    unsigned known_losses; /* string form */
    uint64_t level_epoch;  /* joined by `now` behind the end of this run */
    struct reader_tally tally;
};

struct house {
    struct watch_set *set;
    uint16_t *broker_ports;
    unsigned broker_count;
    struct fold_book book;
    uint64_t now_ms;
    unsigned losses; /* times Redis has lost data */
    /* Something was told that must not be; `text` says what. */
    void (*on_violation)(void *ctx, const struct reader *reader, const char *text);
    /* Worth keeping for a history. */
    void (*on_note)(void *ctx, const struct reader *reader, const char *text);
    void *ctx;
};

struct reader_plan {
    unsigned index;
    unsigned task;
    enum reader_kind kind;
    uint64_t seed;
};
void reader_init(struct reader *reader, struct house *house,
                 const struct reader_plan *plan);
void reader_release(struct reader *reader);
/* Connects when it is time, ends stalls. */
void reader_tick(struct reader *reader);

/* ---- faults ---- */
void reader_cut_after(struct reader *reader, size_t bytes);
void reader_stall(struct reader *reader, uint64_t until_ms);
/* Leaves its connection open without a word; answers that descriptor, -1 when it has none. */
int reader_leave(struct reader *reader);
/* Forgets everything: somebody new in its place, who joins from `from`. */
void reader_renew(struct reader *reader, enum reader_from from);
/* Asks for the end of the run it reads. False when it cannot just now. */
bool reader_ask_stop(struct reader *reader);

/* ---- between the files of readers ---- */

/* dialect.c: what is said when connected, and what is made of an answer's body. */
void dialect_connected(struct reader *reader);
/* False at what no broker of ours says. */
bool dialect_body(struct reader *reader, struct slice data);
void dialect_answer_over(struct reader *reader);
void dialect_release(struct reader *reader);
/* reader.c */
void reader_close(struct reader *reader, unsigned wait_ms);
/* told.c: a named event in whichever dialect. */
void told(struct reader *reader, struct slice name, struct slice data);
void told_joining(struct reader *reader);
void told_resync(struct reader *reader);

#endif
