/* sse.c - server-sent events (WHATWG HTML, section 9.2) and HTTP/1.1 chunks. */
/* SPDX-License-Identifier: MIT */
#include "codec/sse.h"

#include <assert.h>

/* Used by assertions alone. */
static bool __attribute__((unused)) is_one_line(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n' || text.ptr[i] == '\r' || text.ptr[i] == '\0')
            return false;
    }
    return true;
}

static void put_field(struct buf *out, const char *name, struct slice value)
{
    buf_puts(out, name);
    buf_slice(out, value);
    buf_putc(out, '\n');
}

/* Bytes before the first line end; JSON has none, so two memchr() are the common case. */
static size_t line_length(struct slice text)
{
    if (text.len == 0)
        return 0;
    const char *lf = memchr(text.ptr, '\n', text.len);
    size_t len = lf == NULL ? text.len : (size_t)(lf - text.ptr);
    const char *cr = memchr(text.ptr, '\r', len);
    return cr == NULL ? len : (size_t)(cr - text.ptr);
}

/* A trailing line end gives a last empty line: the reader gets it back that way. */
static void put_data(struct buf *out, struct slice data)
{
    for (;;) {
        size_t len = line_length(data);
        put_field(out, "data: ", slice_make(data.ptr, len));
        if (len == data.len)
            return;
        bool is_crlf =
            data.ptr[len] == '\r' && len + 1 < data.len && data.ptr[len + 1] == '\n';
        size_t skip = len + (is_crlf ? 2 : 1);
        data = slice_make(data.ptr + skip, data.len - skip);
    }
}

bool sse_event(struct buf *out, struct slice event, struct slice id, struct slice data)
{
    assert(is_one_line(event) && is_one_line(id));
    if (event.len > 0)
        put_field(out, "event: ", event);
    if (id.len > 0)
        put_field(out, "id: ", id);
    put_data(out, data);
    return buf_putc(out, '\n');
}

bool sse_comment(struct buf *out, struct slice text)
{
    assert(is_one_line(text));
    put_field(out, ": ", text);
    return buf_putc(out, '\n');
}

bool sse_retry(struct buf *out, uint64_t ms)
{
    buf_puts(out, "retry: ");
    buf_u64(out, ms);
    return buf_puts(out, "\n\n");
}

bool chunk_wrap(struct buf *out, size_t start)
{
    static const char hex[] = "0123456789abcdef";
    char head[18]; /* 16 digits and the line end */
    size_t from = sizeof(head) - 2;

    assert(start <= out->len);
    size_t body_len = out->len - start;
    if (out->failed || body_len == 0)
        return !out->failed;
    head[from] = '\r';
    head[from + 1] = '\n';
    for (size_t rest = body_len; rest > 0; rest >>= 4)
        head[--from] = hex[rest & 15];

    size_t head_len = sizeof(head) - from;
    if (buf_reserve(out, head_len + 2) == NULL)
        return false;
    char *body = out->data + start;
    memmove(body + head_len, body, body_len);
    memcpy(body, head + from, head_len);
    body[head_len + body_len] = '\r';
    body[head_len + body_len + 1] = '\n';
    out->len += head_len + 2;
    return true;
}
