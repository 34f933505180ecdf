/* bytes.h - immutable, reference-counted bytes: encoded once, shared by every reader. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_BYTES_H
#define THINKWIRE_BASE_BYTES_H

#include "base/slice.h"

#include <stdint.h>

/*
 * One allocation: header, then data. Written only by who made it, before the first
 * share; afterwards read-only. Not thread-safe: a bytes belongs to one loop.
 */
struct bytes {
    uint32_t refs;
    uint32_t frames; /* how many frames or packets are inside; informative */
    size_t len;
    char data[];
};

/* A new bytes of `len` uninitialised bytes with one reference. Aborts when out of memory. */
struct bytes *bytes_new(size_t len);
/* A copy of `data`. The caller owns the one reference. */
struct bytes *bytes_copy(const void *data, size_t len);
/* One more reference; answers its argument. */
struct bytes *bytes_ref(struct bytes *bytes);
/* One reference less; frees at zero. NULL is allowed. */
void bytes_unref(struct bytes *bytes);

#endif
