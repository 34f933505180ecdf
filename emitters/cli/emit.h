/* emit.h - inside `thinkwire emit`: what was asked, and where it goes. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CLI_EMIT_H
#define THINKWIRE_CLI_EMIT_H

#include "emitters/cli/tool.h"
#include "emitters/lib/thinkwire.h"
#include "schema/run.h"

struct emit_options {
    char *url;
    char *redis;
    char *http;
    char *prefix;
    char *token;
    char *site;
    char *task;
    char *type;
    char *text;
    char *code;
    char *json;
    bool json_lines;
    bool no_completion;
    uint64_t window_ms;
    uint64_t connect_timeout_ms;
    uint64_t timeout_ms;
};

struct emit {
    struct emit_options options;
    const char *url;  /* the one that counts */
    struct buf shown; /* the same, for messages */
    struct buf words; /* positional arguments, joined by blanks */
    bool has_words;   /* or --text */
    struct thinkwire *thinkwire;
    struct thinkwire_run *run;
    bool takes_input;  /* standard input, to its end */
    bool is_whole_run; /* ... and that is the whole run: it is ours, and ends with it */
    bool has_ended;    /* a terminal event was given */
};

/* emit_one.c: one event from the arguments. */
int emit_one(struct emit *emit);
/* emit_input.c: standard input to its end. */
int emit_input(struct emit *emit);

/* Waits for the acknowledgement of everything and closes. */
int emit_finish(struct emit *emit);
/* What a call of the library answered, as an exit code; the reason is printed. */
int emit_status(const struct emit *emit, enum thinkwire_status status);

/* known.c: what the task has said so far, into `text` and `reasoning` (empty when nobody
 * has published). False when it cannot be read. */
bool known_text(const struct emit *emit, struct buf *text, struct buf *reasoning);
/* A broker answers at the URL; otherwise the reason is put into `words`. */
bool broker_answers(const struct emit *emit, char *words, size_t size);

#endif
