/* mem.c - allocation that cannot fail: out of memory aborts. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include <stdlib.h>

void *mem_new(size_t size)
{
    return mem_array(1, size);
}

void *mem_array(size_t count, size_t size)
{
    /* calloc(0) may answer NULL, which would look like a failure. */
    void *memory = count == 0 || size == 0 ? calloc(1, 1) : calloc(count, size);
    if (memory == NULL)
        abort();
    return memory;
}

void *mem_resize(void *old, size_t size)
{
    void *memory = realloc(old, size);
    if (memory == NULL)
        abort();
    return memory;
}

char *mem_text(struct slice text)
{
    char *copy = mem_resize(NULL, text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}
