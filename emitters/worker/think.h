/* think.h - reasoning that a model writes into its text: <think>...</think>. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_THINK_H
#define THINKWIRE_WORKER_THINK_H

#include "base/slice.h"

/*
 *      START --"<think>"--> INSIDE --"</think>"--> START
 *        |
 *        +-- anything else --> TEXT, for good
 *
 * The tag counts only where the answer begins (white space may stand before it), so that an
 * answer about the tag is left alone. White space around the tags is dropped. Tags may be
 * cut anywhere; at most THINK_HELD bytes are held back until it is clear what they are.
 */
#define THINK_HELD 64

struct think {
    enum { THINK_START, THINK_INSIDE, THINK_TEXT } state;
    bool was_inside; /* white space at the start is dropped, not held */
    bool has_said;   /* some reasoning of this block was told */
    size_t held_len;
    char held[THINK_HELD];
    /* Called with what is clear, never empty. */
    void (*on_piece)(void *ctx, bool is_reasoning, struct slice text);
    void *ctx;
};

void think_init(struct think *think,
                void (*on_piece)(void *ctx, bool is_reasoning, struct slice text),
                void *ctx);
void think_feed(struct think *think, struct slice text);
/* The text has ended: what is held is told as what it then is. */
void think_end(struct think *think);

#endif
