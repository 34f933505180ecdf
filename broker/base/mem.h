/* mem.h - allocation that cannot fail: out of memory aborts. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_MEM_H
#define THINKWIRE_BASE_MEM_H

#include "base/slice.h"

/* Every result is freed with free(). Sizes are our own or were bounded before; a size that
 * cannot be had aborts, because nothing above could go on in a defined state. */

/* `size` zeroed bytes. */
void *mem_new(size_t size) __attribute__((malloc, returns_nonnull));
/* `count` * `size` zeroed bytes; an overflow aborts. */
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* As realloc(3); what was added is not initialised. `size` > 0. */
void *mem_resize(void *old, size_t size) __attribute__((returns_nonnull));
/* A NUL-terminated copy. */
char *mem_text(struct slice text) __attribute__((malloc, returns_nonnull));

#endif
