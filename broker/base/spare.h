/* spare.h - after a load, memory that lies free goes back to the system. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_SPARE_H
#define THINKWIRE_BASE_SPARE_H

#include "base/loop.h"

#include <stddef.h>

/*
 * What a load has used and freed lies in pieces between what is still used, and the C library
 * keeps it: after 500 streams at once a worker that used 2 MB had 28 MB of memory. It can be
 * told to give such pieces back, page by page, but looks at every one of them for that, 0.1 us
 * each, in which nothing else happens: a moment for a heap of 30 MB, 0.1 s for a gigabyte in a
 * million pieces. Hence not now and then, and not when a good deal is free, which is as dear
 * to ask: only when a load is over, that is, when of what was alive (connections, tasks,
 * streams) at most a quarter is left; then, and twice later, since not everything goes at
 * once.
 *
 *     alive       ____
 *          ______/    \____________/\_____
 *                      1  2     3            malloc_trim()
 *
 * Where the C library is not glibc nothing happens.
 */
struct spare;

/* `alive` is asked twice a second; what is to be done is decided every five seconds. */
struct spare *spare_new(struct loop *loop, size_t (*alive)(void *ctx), void *ctx);
/* NULL is allowed. */
void spare_free(struct spare *spare);

/* ---- inside, for the test: the decision ---- */

#define SPARE_LOAD_MIN 16 /* less alive is no load */

struct spare_mark {
    size_t peak;    /* since the last load was over */
    unsigned looks; /* since then; 0 = none was */
};
void spare_note(struct spare_mark *mark, size_t alive);
/* At each look: whether memory is to be given back now. */
bool spare_is_due(struct spare_mark *mark, size_t alive);

#endif
