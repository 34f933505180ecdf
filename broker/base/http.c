/* http.c - what the rooms above the transport read from a request, and its error answer. */
/* SPDX-License-Identifier: MIT */
#include "base/http.h"

#include "base/quote.h"

#define ERROR_BODY_MAX_BYTES 4096

struct slice http_header(const struct http_request *request, const char *lower_name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (slice_is(request->headers[i].name, lower_name))
            return request->headers[i].value;
    }
    return slice_make(NULL, 0);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte of an escape at text.ptr[at], or -1. */
static int escaped_byte(struct slice text, size_t at)
{
    if (text.len - at < 3)
        return -1;
    int high = hex_digit(text.ptr[at + 1]);
    int low = hex_digit(text.ptr[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool decode(struct slice text, bool plus_is_space, struct buf *out)
{
    for (size_t at = 0; at < text.len; at++) {
        char c = text.ptr[at];
        if (c == '%') {
            int byte = escaped_byte(text, at);
            if (byte < 0)
                return false;
            c = (char)byte;
            at += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return false;
        buf_putc(out, c);
    }
    return !out->failed;
}

bool http_percent_decode(struct slice text, struct buf *out)
{
    return decode(text, false, out);
}

/* Bytes before the first `c`, all of them when there is none. */
static size_t span_to(struct slice text, char c)
{
    const char *found = text.len == 0 ? NULL : memchr(text.ptr, c, text.len);
    return found == NULL ? text.len : (size_t)(found - text.ptr);
}

static struct slice slice_from(struct slice text, size_t at)
{
    return slice_make(text.ptr + at, text.len - at);
}

/* name[=value], decoded; both lie in `scratch`. */
static bool decode_pair(struct slice part, struct buf *scratch, struct slice *name,
                        struct slice *value)
{
    size_t name_len = span_to(part, '=');

    buf_reset(scratch);
    if (!decode(slice_make(part.ptr, name_len), true, scratch))
        return false;
    size_t split = scratch->len;
    if (name_len < part.len && !decode(slice_from(part, name_len + 1), true, scratch))
        return false;
    *name = slice_make(scratch->data, split);
    *value = slice_make(split == scratch->len ? "" : scratch->data + split,
                        scratch->len - split);
    return true;
}

bool http_query_next(struct slice query, size_t *at, struct buf *scratch,
                     struct slice *name, struct slice *value)
{
    while (*at < query.len) {
        struct slice rest = slice_from(query, *at);
        struct slice part = slice_make(rest.ptr, span_to(rest, '&'));
        *at += part.len + (part.len < rest.len ? 1 : 0);
        if (part.len > 0 && decode_pair(part, scratch, name, value))
            return true;
    }
    return false;
}

bool http_query_get(struct slice query, const char *name, struct buf *out)
{
    struct buf scratch;
    struct slice key;
    struct slice value;
    size_t at = 0;
    bool found = false;

    buf_reset(out);
    buf_init(&scratch, query.len);
    while (http_query_next(query, &at, &scratch, &key, &value)) {
        if (!slice_is(key, name))
            continue;
        buf_reset(out);
        found = buf_slice(out, value);
    }
    buf_release(&scratch);
    return found;
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && (*text.ptr == ' ' || *text.ptr == '\t'))
        text = slice_from(text, 1);
    while (text.len > 0 &&
           (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

struct slice http_cookie(struct slice cookie_header, const char *name)
{
    struct slice rest = cookie_header;

    while (rest.len > 0) {
        struct slice part = slice_make(rest.ptr, span_to(rest, ';'));
        rest = slice_from(rest, part.len + (part.len < rest.len ? 1 : 0));
        size_t name_len = span_to(part, '=');
        if (name_len == part.len ||
            !slice_is(trim(slice_make(part.ptr, name_len)), name))
            continue;
        struct slice value = trim(slice_from(part, name_len + 1));
        if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
            value = slice_make(value.ptr + 1, value.len - 2);
        return value;
    }
    return slice_make(NULL, 0);
}

void http_respond_error(struct http_exchange *x, unsigned status, const char *code,
                        const char *message, const char *field)
{
    struct buf body;

    buf_init(&body, ERROR_BODY_MAX_BYTES);
    buf_puts(&body, "{\"error\":{\"code\":");
    quote_json(&body, slice_of(code));
    buf_puts(&body, ",\"message\":");
    quote_json(&body, slice_of(message));
    if (field != NULL) {
        buf_puts(&body, ",\"field\":");
        quote_json(&body, slice_of(field));
    }
    buf_puts(&body, "}}");
    http_respond(x, status, "content-type: application/json\r\n", buf_view(&body));
    buf_release(&body);
}
