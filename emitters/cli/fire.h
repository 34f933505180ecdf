/* fire.h - inside `thinkwire fire`: what is asked, what came back, how it is told. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CLI_FIRE_H
#define THINKWIRE_CLI_FIRE_H

#include "base/config.h"
#include "base/loop.h"
#include "http/client.h"

#include <stdint.h>
#include <stdio.h>

/*
 *   fire.c        the command line
 *   fire_drive.c  which case, on which path, is next
 *   fire_case.c   the words that are asked               pure
 *   fire_ask.c    one request, from start to end
 *   fire_answer.c what its stream said; is that good?    pure
 *   fire_row.c    table, lines of the report             pure
 *   fire_file.c   where the report goes
 *
 * One request is in flight at a time. A step is one request; a case has one step, except
 * long_context (one for each size) and multi_step (each builds on the answer before).
 */

/* ---- fire_case.c ---- */

struct fire_case {
    const char *name;
    const char *mode;        /* "chat", "agent", "autonomous" */
    const char *const *asks; /* a message for each step; NULL: long_context */
    size_t ask_count;
};
#define FIRE_CASES 6
extern const struct fire_case fire_cases[FIRE_CASES];

#define FIRE_PATHS 2
extern const char *const fire_paths[FIRE_PATHS];

/* The index of a case, or -1. */
int fire_case_find(const char *name);
/* How many steps it has where messages have at most `limit_chars` characters. */
size_t fire_case_steps(const struct fire_case *which, size_t limit_chars);
/* Appends the message of a step: UTF-8. That of long_context has 4000, 8000, 12000 and then
 * exactly `limit_chars` characters (Unicode code points), some of them of several bytes;
 * sizes not below the limit are left out. `limit_chars` is FIRE_LIMIT_MIN at least. */
void fire_case_message(const struct fire_case *which, size_t step, size_t limit_chars,
                       struct buf *out);
#define FIRE_LIMIT_MIN 500

struct fire_wish {
    const struct fire_case *which;
    struct slice message; /* UTF-8 */
    struct slice earlier; /* as fire_earlier_add() made it; empty in a first step */
    const char *model;    /* "" = the worker's default */
    const char *conversation_id; /* ASCII */
};
/* The JSON body of a request. */
void fire_body(const struct fire_wish *wish, struct buf *out);
/* One step that is over, for the next one's `earlier`. Of a long answer the end is kept. */
void fire_earlier_add(struct buf *earlier, struct slice message, struct slice answer);

/* ---- fire_answer.c ---- */

#define FIRE_ANSWER_LIMIT (8U << 20)  /* of text; past it the answer is endless */
#define FIRE_EVENT_LIMIT  (16U << 20) /* of one event: final_response repeats the text */
#define FIRE_STREAM_LIMIT (UINT64_C(256) << 20) /* of bytes, whatever they say */

/* What the data lines of a stream have said so far. */
struct fire_answer {
    struct buf said;    /* the deltas of content, joined */
    struct buf final;   /* the text of final_response */
    struct buf trouble; /* an error event, or what cannot be read, in words */
    uint64_t tokens;    /* deltas with content */
    uint64_t events;
    bool has_final;
    bool is_done; /* [DONE] */
};
void fire_answer_init(struct fire_answer *answer);
void fire_answer_release(struct fire_answer *answer);
/* The data of one event. */
void fire_answer_take(struct fire_answer *answer, struct slice data);
/* It said more than is kept: nobody's answer is that long. */
bool fire_answer_is_full(const struct fire_answer *answer);

/* One request, as it ended. Slices are borrowed during a call. */
struct fire_result {
    const struct fire_case *which;
    const char *path;
    size_t step;    /* from 0 */
    size_t chars;   /* of the message */
    uint64_t at_ms; /* wall clock, when it left */
    enum http_client_outcome outcome;
    const char *detail;   /* of the outcome */
    unsigned status;      /* 0 = none */
    bool is_stream;       /* text/event-stream was answered */
    bool is_endless;      /* given up for its size */
    struct slice refusal; /* the body of what is no stream */
    struct slice task_id;
    struct slice request_id;
    const struct fire_answer *answer;
    bool has_first;
    uint64_t first_ms; /* until the first token */
    uint64_t total_ms;
    struct slice failure; /* as fire_judge() put it; empty = good */
};
/* True when all is as it should be; else `why` is one line, fit for a terminal, without text
 * of the answer. */
bool fire_judge(const struct fire_result *result, struct buf *why);
/* Every further request would end like this one: nobody there, or rights are missing. */
bool fire_is_hopeless(const struct fire_result *result);

/* ---- fire_row.c ---- */

/* Sums, of a case on a path or of all. */
struct fire_sum {
    uint64_t requests;
    uint64_t failed;
    uint64_t tokens;
    uint64_t events;
    uint64_t time_ms;
    uint64_t firsts;   /* requests with a first token */
    uint64_t first_ms; /* of them, in all */
};
void fire_sum_add(struct fire_sum *sum, const struct fire_result *result);
/* The average time to the first token; 0 when there was none. */
uint64_t fire_sum_first_ms(const struct fire_sum *sum);

void fire_table_head(FILE *out);
void fire_table_row(FILE *out, const struct fire_case *which, const char *path,
                    const struct fire_sum *sum);

/* Appends one line of the report, with its line end. */
void fire_report_request(struct buf *out, const struct fire_result *result,
                         const char *model);
struct fire_summary {
    uint64_t at_ms;
    const char *url;
    struct fire_sum sum;
    uint64_t not_made;
    uint64_t first_limit_ms;
    bool is_good;
};
void fire_report_summary(struct buf *out, const struct fire_summary *summary);

/* ---- fire_file.c ---- */

#define FIRE_NO_REPORT   "none"
#define FIRE_TREE_FOLDER "tests/e2e"

/* The file's name: `wanted` is a file (it ends in .json or .jsonl) or a folder, or "": then
 * the folder is tests/e2e/_reports in a source tree and the current one elsewhere. A file of
 * our own naming is chat_fire_test_<ISO time>.jsonl, in ISO 8601's basic form. */
void fire_file_name(const char *wanted, bool is_in_tree, uint64_t wall_ms,
                    struct buf *out);
/* Makes missing folders, then the file. NULL: errno tells. */
FILE *fire_file_open(const char *name);

/* ---- fire_ask.c ---- */

struct fire_ask;
struct fire_ask_options {
    struct loop *loop;
    struct http_client *client;
    const char *url;
    const char *const *headers;
    size_t header_count;
    struct slice body;
    uint64_t timeout_ms;
    /* Once. All of `result` but what was asked is filled in; the ask is freed afterwards. */
    void (*on_over)(void *ctx, struct fire_result *result);
    void *ctx;
};
/* What `options` points to is copied. */
struct fire_ask *fire_ask_start(const struct fire_ask_options *options);
/* on_over is not called. NULL is allowed. */
void fire_ask_cancel(struct fire_ask *ask);

/* ---- fire_drive.c ---- */

struct fire_options {
    char *url;
    char *site;
    char *api_key;
    char *token;
    char *model;
    char *report;
    struct config_list cases; /* empty = all */
    uint64_t limit_chars;
    uint64_t first_limit_ms;
    uint64_t timeout_ms;
};

struct fire_target {
    const struct fire_options *options;
    bool is_chosen[FIRE_CASES];
    const char *url;       /* without a slash at its end */
    const char *shown_url; /* without a password */
    FILE *report;          /* NULL: none. Closed by its owner */
    const char *report_name;
};
/* Asks everything, prints the table and what failed, writes the report; answers the exit code
 * (tool.h). */
int fire_drive(const struct fire_target *target);

#endif
