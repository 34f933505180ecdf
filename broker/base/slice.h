/* slice.h - a view of bytes that somebody else owns. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_SLICE_H
#define THINKWIRE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Not NUL-terminated; `ptr` may be NULL when `len` is 0. Valid as long as its owner is. */
struct slice {
    const char *ptr;
    size_t len;
};

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text == NULL ? 0 : strlen(text)};
}

static inline struct slice slice_make(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

static inline bool slice_is(struct slice s, const char *text)
{
    size_t len = strlen(text);
    return s.len == len && (len == 0 || memcmp(s.ptr, text, len) == 0);
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

#endif
