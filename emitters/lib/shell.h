/* shell.h - the thread around a loop that libthinkwire's callers never see. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_LIB_SHELL_H
#define THINKWIRE_LIB_SHELL_H

#include "base/wake.h"
#include "emitters/lib/emitter.h"
#include "emitters/lib/thinkwire.h"

#include <pthread.h>

/*
 *   callers --(commands, under `mutex`)--> queue --(wake)--> loop: emitters
 *   callers <--(status, counters, `changed`)---------------- loop
 *
 * This is the only lock of the house, and the only thread besides a program's first: the
 * callers of libthinkwire have threads and no loop. What stands under the mutex is marked
 * so; everything else belongs to the loop once the thread runs.
 */
#define SHELL_QUEUE_BYTES (4U << 20)
#define SHELL_MAX_RUNS    10000

enum command_kind {
    COMMAND_OPEN,
    COMMAND_JOIN,
    COMMAND_REASONING,
    COMMAND_TEXT,
    COMMAND_EVENT, /* a whole, checked event */
    COMMAND_COMPLETE,
    COMMAND_FAIL, /* code, NUL, message */
    COMMAND_STOPPED,
    COMMAND_CLOSE /* the caller has forgotten the run */
};

struct command {
    struct list node;
    enum command_kind kind;
    struct thinkwire_run *run;
    size_t len;
    char data[];
};

struct thinkwire_run {
    struct list node; /* in thinkwire->runs; the loop's */
    struct thinkwire *thinkwire;
    bool is_guest;
    char *site;
    char *task_id;
    struct emitter *emitter;       /* the loop's */
    struct emitter_sink *own_sink; /* HTTP and guests: one per run; the loop's */
    uint64_t handed;               /* commands given to the emitter; the loop's */
    bool is_closed;                /* the loop's */
    /* under the mutex: */
    uint64_t pushed;  /* commands accepted */
    uint64_t settled; /* commands whose effect is acknowledged */
    enum thinkwire_status
        status;    /* THINKWIRE_OK while the run is open for the caller */
    bool has_end;  /* the caller gave its terminal event */
    bool has_hole; /* the queue was full: the run must end */
    bool is_over;  /* nothing more will happen */
    bool is_stop_requested;
    uint64_t refused;
    struct emitter_stats stats;
};

struct thinkwire {
    int pid;
    bool is_http;
    struct emitter_options defaults;
    uint64_t max_block_ms;
    char *base_url;
    char *authorization; /* a whole header line */
    char *unix_socket;
    pthread_t thread;
    struct loop *loop;
    struct wake *wake;
    struct link *link; /* Redis */
    struct store *store;
    struct confirm *confirm;
    struct emitter_sink *sink;
    char last_trouble[160]; /* HTTP: of the last request; Redis: of the last refusal */
    uint64_t refused_ms;    /* Redis: when that was */
    struct http_client *http; /* HTTP */
    struct list runs;         /* the loop's */
    struct timer deadline;    /* of disconnecting */
    bool is_leaving;          /* the loop's */
    /* under the mutex: */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct list queue;
    size_t queue_bytes;
    size_t run_count;
    bool wants_end;
    uint64_t end_timeout_ms;
    bool wants_trouble;
    char trouble[160];
    bool has_exited;   /* the thread touches nothing any more */
    bool is_abandoned; /* nobody waits for the thread: it frees the rest */
    bool has_lost;     /* something was unsent at the end */
};

/* What thinkwire_connect() has prepared begins to run. False: no thread to be had. */
bool shell_start(struct thinkwire *thinkwire);
/* Frees what the thread has not; no thread may run. */
void shell_free(struct thinkwire *thinkwire);
/* Waits up to `timeout_ms` for `changed`; the mutex is held. False at the deadline. */
bool shell_wait(struct thinkwire *thinkwire, uint64_t deadline_ms);
/* A run that was never given to the loop, or that the loop is done with. */
void shell_free_run(struct thinkwire_run *run);

#endif
