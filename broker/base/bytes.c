/* bytes.c - immutable, reference-counted bytes: encoded once, shared by every reader. */
/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

struct bytes *bytes_new(size_t len)
{
    if (len > SIZE_MAX - sizeof(struct bytes))
        abort();
    struct bytes *bytes = mem_resize(NULL, sizeof(*bytes) + len);
    bytes->refs = 1;
    bytes->frames = 0;
    bytes->len = len;
    return bytes;
}

struct bytes *bytes_copy(const void *data, size_t len)
{
    struct bytes *bytes = bytes_new(len);
    if (len > 0)
        memcpy(bytes->data, data, len);
    return bytes;
}

struct bytes *bytes_ref(struct bytes *bytes)
{
    assert(bytes->refs > 0 && bytes->refs < UINT32_MAX);
    bytes->refs++;
    return bytes;
}

void bytes_unref(struct bytes *bytes)
{
    if (bytes == NULL)
        return;
    assert(bytes->refs > 0);
    if (--bytes->refs == 0)
        free(bytes);
}
