/* json_text.c - JSON string contents: escaped, unescaped, compared. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "codec/json.h"
#include "codec/json_run.h"

/* All of ASCII but the control characters, the quote and the backslash. */
const unsigned char json_plain[256] = {
    [0x20 ... 0x21] = 1,
    [0x23 ... 0x5b] = 1,
    [0x5d ... 0x7f] = 1,
};

/* What stands behind the backslash of a short escape, or NUL where there is none. */
static char short_escape(uint32_t code_point)
{
    switch (code_point) {
    case '"':
    case '\\':
        return (char)code_point;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return '\0';
    }
}

static void put_unicode_escape(struct buf *out, uint32_t code_point)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = "\\u";

    for (unsigned i = 0; i < 4; i++)
        text[2 + i] = hex[code_point >> (12 - 4 * i) & 15];
    buf_append(out, text, sizeof(text));
}

static void put_escaped(struct buf *out, uint32_t code_point)
{
    char letter = short_escape(code_point);

    if (letter != '\0') {
        const char text[2] = {'\\', letter};
        buf_append(out, text, sizeof(text));
    } else if (code_point == UTF8_INVALID) {
        buf_append(out, "\xef\xbf\xbd", 3);
    } else {
        put_unicode_escape(out, code_point);
    }
}

/* U+2028 and U+2029 end a line in old JavaScript: JSONP and inline scripts break there. */
static bool stands_as_it_is(uint32_t code_point)
{
    return code_point >= 0x80 && code_point != UTF8_INVALID && code_point != 0x2028 &&
           code_point != 0x2029;
}

bool json_escape(struct buf *out, struct slice utf8)
{
    size_t from = 0; /* what lies between `from` and `at` is copied in one go */
    size_t at = 0;

    while (at < utf8.len) {
        at += json_plain_run(utf8.ptr + at, utf8.len - at);
        if (at == utf8.len)
            break;
        uint32_t code_point;
        size_t len = utf8_next(utf8.ptr + at, utf8.len - at, &code_point);
        if (!stands_as_it_is(code_point)) {
            buf_append(out, utf8.ptr + from, at - from);
            put_escaped(out, code_point);
            from = at + len;
        }
        at += len;
    }
    if (from < utf8.len)
        buf_append(out, utf8.ptr + from, utf8.len - from);
    return !out->failed;
}

bool json_quote(struct buf *out, struct slice utf8)
{
    buf_putc(out, '"');
    json_escape(out, utf8);
    return buf_putc(out, '"');
}

static uint32_t hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0');
    return (uint32_t)((c | 0x20) - 'a' + 10);
}

/* A UTF-16 unit at a \uXXXX escape; UTF8_INVALID when there is none. */
static uint32_t unit_at(struct slice raw, size_t at)
{
    if (at > raw.len || raw.len - at < 6 || raw.ptr[at] != '\\' ||
        raw.ptr[at + 1] != 'u')
        return UTF8_INVALID;
    uint32_t unit = 0;
    for (size_t i = 2; i < 6; i++)
        unit = unit << 4 | (hex_value(raw.ptr[at + i]) & 15);
    return unit;
}

/* \uXXXX, or two of them that make a pair: bytes taken. */
static size_t decode_units(struct slice raw, size_t at, uint32_t *code_point)
{
    uint32_t first = unit_at(raw, at);
    uint32_t second = unit_at(raw, at + 6);

    *code_point = first;
    if (first < 0xd800 || first > 0xdfff)
        return first == UTF8_INVALID ? raw.len - at : 6;
    if (first > 0xdbff || second < 0xdc00 || second > 0xdfff) {
        *code_point = UTF8_INVALID;
        return 6;
    }
    *code_point = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    return 12;
}

/* The escape at `at` (a backslash): bytes taken. What is no escape cannot be in text that
 * passed json_check() and becomes UTF8_INVALID. */
static size_t decode_escape(struct slice raw, size_t at, uint32_t *code_point)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";

    *code_point = UTF8_INVALID;
    if (raw.len - at < 2)
        return raw.len - at;
    if (raw.ptr[at + 1] == 'u')
        return decode_units(raw, at, code_point);
    const char *letter = memchr(letters, raw.ptr[at + 1], sizeof(letters) - 1);
    if (letter != NULL)
        *code_point = (unsigned char)values[letter - letters];
    return 2;
}

bool json_unescape(struct buf *out, struct slice raw)
{
    size_t at = 0;

    while (at < raw.len) {
        const char *escape = memchr(raw.ptr + at, '\\', raw.len - at);
        size_t run = (escape == NULL ? raw.len : (size_t)(escape - raw.ptr)) - at;
        buf_append(out, raw.ptr + at, run);
        at += run;
        if (escape == NULL)
            break;
        uint32_t code_point;
        at += decode_escape(raw, at, &code_point);
        utf8_put(out, code_point);
    }
    return !out->failed;
}

bool json_raw_is(struct slice raw, const char *ascii)
{
    size_t at = 0;

    for (; *ascii != '\0'; ascii++) {
        uint32_t code_point;
        if (at == raw.len)
            return false;
        if (raw.ptr[at] == '\\')
            at += decode_escape(raw, at, &code_point);
        else
            code_point = (unsigned char)raw.ptr[at++];
        if (code_point != (unsigned char)*ascii)
            return false;
    }
    return at == raw.len;
}
