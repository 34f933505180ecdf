/* utf8.c - validity, code points and repair of UTF-8 (RFC 3629). */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <stdint.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* How many of the first bytes are ASCII; eight are looked at in one step. */
static size_t ascii_run(const char *data, size_t len)
{
    size_t at = 0;

    for (; len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, data + at, sizeof(word));
        if ((word & 0x8080808080808080u) != 0)
            break;
    }
    while (at < len && (unsigned char)data[at] < 0x80)
        at++;
    return at;
}

/* What may follow a lead byte (The Unicode Standard, table 3-7): the second byte has a
 * range of its own, any further byte is 80..BF. */
struct lead {
    unsigned char length; /* 0: no lead byte */
    unsigned char low;
    unsigned char high;
};

static struct lead lead_of(unsigned char byte)
{
    if (byte >= 0xc2 && byte <= 0xdf)
        return (struct lead){2, 0x80, 0xbf};
    if (byte >= 0xe0 && byte <= 0xef)
        return (struct lead){3, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    if (byte >= 0xf0 && byte <= 0xf4)
        return (struct lead){4, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
    return (struct lead){0, 0, 0};
}

size_t utf8_next(const char *data, size_t len, uint32_t *code_point)
{
    unsigned char first = (unsigned char)data[0];
    if (first < 0x80) {
        *code_point = first;
        return 1;
    }

    *code_point = UTF8_INVALID;
    struct lead lead = lead_of(first);
    if (lead.length == 0)
        return 1;

    uint32_t value = first & (0x7fu >> lead.length);
    for (size_t i = 1; i < lead.length; i++) {
        unsigned char byte = i < len ? (unsigned char)data[i] : 0;
        unsigned char low = i == 1 ? lead.low : 0x80;
        unsigned char high = i == 1 ? lead.high : 0xbf;
        if (byte < low || byte > high)
            return i;
        value = value << 6 | (byte & 0x3f);
    }
    *code_point = value;
    return lead.length;
}

bool utf8_is_valid(const char *data, size_t len)
{
    size_t at = 0;

    while (at < len) {
        at += ascii_run(data + at, len - at);
        if (at == len)
            break;
        uint32_t code_point;
        at += utf8_next(data + at, len - at, &code_point);
        if (code_point == UTF8_INVALID)
            return false;
    }
    return true;
}

size_t utf8_length(const char *data, size_t len)
{
    size_t count = 0;

    /* One for each byte that does not continue another. */
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)data[i] & 0xc0) != 0x80;
    return count;
}

size_t utf8_utf16_length(const char *data, size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)data[i];
        count += (size_t)((byte & 0xc0) != 0x80) + (size_t)(byte >= 0xf0);
    }
    return count;
}

bool utf8_repair(struct buf *out, const char *data, size_t len)
{
    size_t from = 0;
    size_t at = 0;

    while (at < len) {
        at += ascii_run(data + at, len - at);
        if (at == len)
            break;
        uint32_t code_point;
        size_t step = utf8_next(data + at, len - at, &code_point);
        if (code_point == UTF8_INVALID) {
            buf_append(out, data + from, at - from);
            buf_puts(out, REPLACEMENT);
            from = at + step;
        }
        at += step;
    }
    if (from < len)
        buf_append(out, data + from, len - from);
    return !out->failed;
}

bool utf8_put(struct buf *out, uint32_t code_point)
{
    char bytes[4];
    size_t len = 0;

    if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff))
        return buf_puts(out, REPLACEMENT);
    if (code_point < 0x80) {
        bytes[len++] = (char)code_point;
    } else if (code_point < 0x800) {
        bytes[len++] = (char)(0xc0 | code_point >> 6);
        bytes[len++] = (char)(0x80 | (code_point & 0x3f));
    } else if (code_point < 0x10000) {
        bytes[len++] = (char)(0xe0 | code_point >> 12);
        bytes[len++] = (char)(0x80 | (code_point >> 6 & 0x3f));
        bytes[len++] = (char)(0x80 | (code_point & 0x3f));
    } else {
        bytes[len++] = (char)(0xf0 | code_point >> 18);
        bytes[len++] = (char)(0x80 | (code_point >> 12 & 0x3f));
        bytes[len++] = (char)(0x80 | (code_point >> 6 & 0x3f));
        bytes[len++] = (char)(0x80 | (code_point & 0x3f));
    }
    return buf_append(out, bytes, len);
}
