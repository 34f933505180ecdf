/* thinkwire.h - publish the progress of AI runs to Thinkwire. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_H
#define THINKWIRE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A run is one generation of a task: reasoning and text as they come, other events between
 * them, and one end. Whoever subscribes to the task, before, during or after, reads it.
 *
 *     struct thinkwire *tw = thinkwire_connect("redis://127.0.0.1:6379", NULL, NULL, 0);
 *     struct thinkwire_run *run = thinkwire_open(tw, "", "task-1");
 *     thinkwire_reasoning(run, "Analyzing...", 12);
 *     thinkwire_text(run, "Hello", 5);
 *     thinkwire_text(run, " world", 6);
 *     thinkwire_completion(run);
 *     thinkwire_close(run, 2000);
 *     thinkwire_disconnect(tw, 2000);
 *
 * Compile with `pkg-config --cflags --libs thinkwire`, or -lthinkwire.
 *
 * What is promised
 *   - A call never waits for the network. It copies its arguments for a thread of the
 *     library and returns; it waits at most `max_block_ms`, and only when that thread has
 *     fallen behind by 4 MB. thinkwire_flush(), thinkwire_close() and
 *     thinkwire_disconnect() wait as long as they are told, and not longer (plus a second
 *     for thinkwire_disconnect() when a name server hangs).
 *   - What was accepted arrives in order and once, also over reconnects and restarts of the
 *     far end, as long as this process lives.
 *   - While the far end is away, deltas merge in memory up to `max_unsent_bytes`. Past that
 *     the run ends with the error EMITTER_OVERFLOW: readers never get a text with a hole.
 *   - A process that dies in the middle of a run over Redis is noticed: the run then ends
 *     with the error PRODUCER_LOST after its lease.
 *
 * Threads: everything may be called from any thread; calls for one run are in the order in
 * which they return. Signals are blocked in the library's thread.
 * fork(): the child has no such thread. There every call answers THINKWIRE_FORKED at once
 * and frees nothing; a child that wants to publish connects for itself.
 * Memory: like the rest of Thinkwire, running out of it aborts the process.
 */
struct thinkwire;     /* a connection and its thread */
struct thinkwire_run; /* one run of one task */

enum thinkwire_status {
    THINKWIRE_OK = 0,
    THINKWIRE_TIMEOUT, /* not all is acknowledged yet; the library goes on trying */
    THINKWIRE_ENDED,  /* the run is over: our terminal event, a stop, or a lost lease */
    THINKWIRE_FENCED, /* somebody else has opened a newer run of this task */
    THINKWIRE_OVERFLOW, /* too much unsent for too long: the run has ended with an error */
    THINKWIRE_REFUSED, /* the far end will not take it: rights, size, or form */
    THINKWIRE_INVALID, /* malformed argument; nothing was done */
    THINKWIRE_FORKED   /* the handle belongs to the parent process */
};
/* A sentence for an operator. */
const char *thinkwire_status_text(enum thinkwire_status status);

struct thinkwire_options {
    size_t size;               /* set by THINKWIRE_OPTIONS_INIT */
    const char *prefix;        /* of keys in Redis; NULL = "tw" */
    const char *authorization; /* HTTP: value of the Authorization header, or NULL */
    const char *unix_socket;   /* HTTP: connect to this path instead of host and port */
    int window_ms;     /* the longest wait of a delta behind an unanswered publish:
                                 0 = 30, -1 = no coalescing */
    unsigned lease_ms; /* Redis: a dead producer is noticed after it; 0 = 10000 */
    size_t max_unsent_bytes; /* per run; 0 = 4 MB */
    size_t max_text_bytes;   /* per run and kind; 0 = 4 MB */
    unsigned max_block_ms;   /* 0 = 20 */
};
#define THINKWIRE_OPTIONS_INIT                                                         \
    {                                                                                  \
        sizeof(struct thinkwire_options), 0, 0, 0, 0, 0, 0, 0, 0                       \
    }

/*
 * `url`: redis://[[user]:password@]host[:port][/db], unix:///path/of/redis.sock,
 * redis+sentinel://[[user]:password@]host[:port][,host[:port]...]/master[/db] (followed
 * through failovers), or http://host[:port] (https too) of a broker. Answers at once: a far end that is away is
 * waited for in the background. NULL when the URL or an option is malformed, with a message
 * in `error` (which may be NULL); it never repeats a password.
 */
struct thinkwire *thinkwire_connect(const char *url,
                                    const struct thinkwire_options *options,
                                    char *error, size_t error_size);
/* Waits up to `timeout_ms` for what is unsent, then ends the thread and frees everything,
 * runs included. THINKWIRE_TIMEOUT: something was lost. NULL is allowed. */
enum thinkwire_status thinkwire_disconnect(struct thinkwire *thinkwire,
                                           unsigned timeout_ms);

/*
 * Opens a run. `site`: [A-Za-z0-9._-]{0,128}, NULL = "". `task_id`: [A-Za-z0-9._:-]{1,128}.
 * NULL when they are malformed or 10000 runs are open. A run of the same task that is still
 * open ends.
 */
struct thinkwire_run *thinkwire_open(struct thinkwire *thinkwire, const char *site,
                                     const char *task_id);

/* As a guest: joins the run that is open, or opens one, without a lease. For single events
 * from several processes; `--abandon-ms` of the broker ends such a run if nobody does. A
 * run with an owner (thinkwire_open) answers THINKWIRE_FENCED. */
struct thinkwire_run *thinkwire_join(struct thinkwire *thinkwire, const char *site,
                                     const char *task_id);

/* Deltas: text to append, UTF-8. It may be cut anywhere, also inside a character. */
enum thinkwire_status thinkwire_reasoning(struct thinkwire_run *run, const char *delta,
                                          size_t len);
enum thinkwire_status thinkwire_text(struct thinkwire_run *run, const char *delta,
                                     size_t len);
/* Any other event: `type` is "status", "tool_call", ... or one of your own; `members` is a
 * JSON object with what else it carries, or NULL. task_id and timestamp are added. */
enum thinkwire_status thinkwire_event(struct thinkwire_run *run, const char *type,
                                      const char *members);

/* The end, one of three. A completion carries the whole text and reasoning by itself. */
enum thinkwire_status thinkwire_completion(struct thinkwire_run *run);
/* `code`: [A-Za-z0-9._-]{1,64}. `message` for people. */
enum thinkwire_status thinkwire_error(struct thinkwire_run *run, const char *code,
                                      const char *message);
/* After thinkwire_stop_requested(). */
enum thinkwire_status thinkwire_stopped(struct thinkwire_run *run);

/* 1 when a reader asked this run to stop: generate no more and call thinkwire_stopped(). */
int thinkwire_stop_requested(struct thinkwire_run *run);

/* Waits until all that was accepted is acknowledged by the far end. */
enum thinkwire_status thinkwire_flush(struct thinkwire_run *run, unsigned timeout_ms);

/* Flushes and frees the handle. After THINKWIRE_TIMEOUT the library goes on delivering in
 * the background until thinkwire_disconnect(). A run closed without an end is left to its
 * lease and then ends with PRODUCER_LOST. NULL is allowed. */
enum thinkwire_status thinkwire_close(struct thinkwire_run *run, unsigned timeout_ms);

struct thinkwire_counters {
    uint64_t emitted;      /* events and deltas accepted */
    uint64_t merged;       /* deltas that left inside another one */
    uint64_t published;    /* events acknowledged */
    uint64_t retries;      /* publishes sent again */
    uint64_t reopened;     /* times the far end had lost the run and got it again */
    uint64_t refused;      /* calls that were not accepted */
    uint64_t unsent_bytes; /* now */
};
void thinkwire_read_counters(struct thinkwire_run *run,
                             struct thinkwire_counters *counters);

/* Why the far end cannot be reached, in words; "" when it can. True when there is trouble.
 * Waits at most 200 ms for the library's thread. */
int thinkwire_trouble(struct thinkwire *thinkwire, char *words, size_t size);

/* "0.1.0" */
const char *thinkwire_version(void);

#ifdef __cplusplus
}
#endif

#endif
