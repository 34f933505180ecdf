/* quote.c - quoted text for diagnostics and error bodies, safe for a terminal and for JSON. */
/* SPDX-License-Identifier: MIT */
#include "base/quote.h"

#include "base/utf8.h"

static void put_code_point(struct buf *out, uint32_t code_point)
{
    if (code_point == '"' || code_point == '\\') {
        buf_putc(out, '\\');
        buf_putc(out, (char)code_point);
    } else if (code_point == '\n') {
        buf_puts(out, "\\n");
    } else if (code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f)) {
        buf_printf(out, "\\u%04x", (unsigned)code_point);
    } else {
        utf8_put(out, code_point);
    }
}

bool quote_json(struct buf *out, struct slice text)
{
    buf_putc(out, '"');
    for (size_t at = 0; at < text.len;) {
        uint32_t code_point;
        at += utf8_next(text.ptr + at, text.len - at, &code_point);
        put_code_point(out, code_point);
    }
    return buf_putc(out, '"');
}
