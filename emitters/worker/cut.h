/* cut.h - where an answer was cut off, and how to ask for its rest. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_CUT_H
#define THINKWIRE_WORKER_CUT_H

#include "base/slice.h"

/* Looks at Markdown as models write it; UTF-8. Linear, nothing allocated. */
enum cut_point {
    CUT_NOWHERE,  /* ends like an answer ends */
    CUT_SENTENCE, /* within a sentence */
    CUT_LIST,     /* within or behind an item of a list */
    CUT_CODE      /* within a fenced block of code */
};

enum cut_point cut_point_of(struct slice text);
/* "none", "sentence", "list", "code" */
const char *cut_point_name(enum cut_point point);
/* Something is missing at the end of an answer that was broken off. */
bool cut_is_incomplete(struct slice text);
/* Likewise at an end the model made itself: a last sentence without its end counts only where an
 * earlier one has it, since many an answer is a word or a number. A continue is offered (S12). */
bool cut_breaks_off(struct slice text);
/* The system's instruction that ends a continuation prompt (S2). */
const char *cut_instruction(enum cut_point point);

/* The end of `text` that has at most `limit` code points (S10): from the beginning of a word
 * where there is one in the first tenth. */
struct slice cut_tail(struct slice text, size_t limit);

#endif
