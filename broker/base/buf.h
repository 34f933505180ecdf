/* buf.h - a growing byte buffer that cannot be made without its limit. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_BUF_H
#define THINKWIRE_BASE_BUF_H

#include "base/bytes.h"
#include "base/slice.h"

/*
 * Full means: the append that would pass `limit_bytes` adds nothing, `failed` becomes
 * true and stays so until buf_reset(); so a chain of appends is checked once, at its
 * end. Out of memory aborts. `data` is not NUL-terminated except by buf_text().
 */
struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t limit_bytes;
    bool failed;
};

void buf_init(struct buf *buf, size_t limit_bytes);
/* Frees the memory; the buffer may be used again as if just initialised. */
void buf_release(struct buf *buf);
/* Forgets contents and failure, keeps the memory. */
void buf_reset(struct buf *buf);

/* Each answers !buf->failed. */
bool buf_append(struct buf *buf, const void *data, size_t len);
bool buf_puts(struct buf *buf, const char *text);
bool buf_putc(struct buf *buf, char c);
bool buf_slice(struct buf *buf, struct slice s);
bool buf_u64(struct buf *buf, uint64_t value);
bool buf_printf(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Room for `len` more bytes at data+len, or NULL when that passes the limit; what was
 * really written is then added to `len` by the caller. */
char *buf_reserve(struct buf *buf, size_t len);
/* Drops the first `len` bytes (at most all). */
void buf_consume(struct buf *buf, size_t len);
/* The contents as a NUL-terminated string, valid until the next append; the NUL is not
 * counted in `len`. */
const char *buf_text(struct buf *buf);
/* The contents as shared bytes (copied); the buffer is reset. */
struct bytes *buf_share(struct buf *buf);

static inline struct slice buf_view(const struct buf *buf)
{
    return (struct slice){buf->data, buf->len};
}

#endif
