/* buf.c - a growing byte buffer that cannot be made without its limit. */
/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST_CAP 64

/* Makes `cap` at least `need`, doubling, but never past the limit and its NUL. */
static void grow(struct buf *buf, size_t need)
{
    size_t ceiling = buf->limit_bytes == SIZE_MAX ? SIZE_MAX : buf->limit_bytes + 1;
    size_t cap = buf->cap < BUF_FIRST_CAP ? BUF_FIRST_CAP : buf->cap;

    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > ceiling)
        cap = need > ceiling ? need : ceiling;
    buf->data = mem_resize(buf->data, cap);
    buf->cap = cap;
}

void buf_init(struct buf *buf, size_t limit_bytes)
{
    *buf = (struct buf){.limit_bytes = limit_bytes};
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->limit_bytes);
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

char *buf_reserve(struct buf *buf, size_t len)
{
    if (buf->failed)
        return NULL;
    if (buf->len > buf->limit_bytes || len > buf->limit_bytes - buf->len) {
        buf->failed = true;
        return NULL;
    }
    if (buf->data == NULL || len > buf->cap - buf->len)
        grow(buf, buf->len + len);
    return buf->data + buf->len;
}

bool buf_append(struct buf *buf, const void *data, size_t len)
{
    char *room = buf_reserve(buf, len);
    if (room == NULL)
        return false;
    if (len > 0)
        memcpy(room, data, len);
    buf->len += len;
    return true;
}

bool buf_puts(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

bool buf_putc(struct buf *buf, char c)
{
    return buf_append(buf, &c, 1);
}

bool buf_slice(struct buf *buf, struct slice s)
{
    return buf_append(buf, s.ptr, s.len);
}

bool buf_u64(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return buf_append(buf, digits + at, sizeof(digits) - at);
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *room = need < 0 ? NULL : buf_reserve(buf, (size_t)need);
    if (room == NULL) {
        buf->failed = true;
    } else {
        if (buf->cap - buf->len <= (size_t)need)
            grow(buf, buf->len + (size_t)need + 1);
        (void)vsnprintf(buf->data + buf->len, (size_t)need + 1, format, again);
        buf->len += (size_t)need;
    }
    va_end(again);
    return !buf->failed;
}

void buf_consume(struct buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
}

const char *buf_text(struct buf *buf)
{
    if (buf->cap <= buf->len)
        grow(buf, buf->len + 1);
    buf->data[buf->len] = '\0';
    return buf->data;
}

struct bytes *buf_share(struct buf *buf)
{
    struct bytes *bytes = bytes_copy(buf->data, buf->len);
    buf_reset(buf);
    return bytes;
}
