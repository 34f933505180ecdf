/* base64.c - RFC 4648 section 4, for Engine.IO's binary packets. */
/* SPDX-License-Identifier: MIT */
#include "codec/eio.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char digit(uint32_t bits, unsigned shift)
{
    return alphabet[bits >> shift & 63];
}

/* 1..3 bytes into four characters. */
static void encode_group(const unsigned char *in, size_t len, char *out)
{
    uint32_t bits = (uint32_t)in[0] << 16;

    if (len > 1)
        bits |= (uint32_t)in[1] << 8;
    if (len > 2)
        bits |= in[2];
    out[0] = digit(bits, 18);
    out[1] = digit(bits, 12);
    out[2] = digit(bits, 6);
    out[3] = digit(bits, 0);
    for (size_t i = len + 1; i < 4; i++)
        out[i] = '=';
}

bool base64_encode(struct buf *out, struct slice data)
{
    size_t text_len = (data.len / 3 + (data.len % 3 > 0 ? 1 : 0)) * 4;
    char *at = buf_reserve(out, text_len);
    if (at == NULL)
        return false;

    for (size_t i = 0; i < data.len; i += 3, at += 4) {
        const void *group = data.ptr + i;
        encode_group(group, data.len - i < 3 ? data.len - i : 3, at);
    }
    out->len += text_len;
    return true;
}

/* 0..63, or 64 for what is no digit. */
static uint32_t value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : 64;
}

/* Whole padding or none. */
static bool strip_padding(struct slice *text)
{
    size_t padding = 0;

    while (padding < 2 && padding < text->len &&
           text->ptr[text->len - 1 - padding] == '=')
        padding++;
    if (padding > 0 && text->len % 4 != 0)
        return false;
    text->len -= padding;
    return text->len % 4 != 1;
}

/* 2..4 digits into 1..3 bytes; bits that are left over must be zero. */
static bool decode_group(const char *in, size_t len, char *out)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < 4; i++) {
        uint32_t value = i < len ? value_of(in[i]) : 0;
        if (value > 63)
            return false;
        bits = bits << 6 | value;
    }
    for (size_t i = 0; i + 1 < len; i++)
        out[i] = (char)(bits >> (16 - 8 * i) & 0xff);
    uint32_t used = len == 4 ? 24u : (uint32_t)(len - 1) * 8;
    return (bits & (0xffffffu >> used)) == 0;
}

bool base64_decode(struct buf *out, struct slice text)
{
    if (!strip_padding(&text))
        return false;
    size_t data_len = text.len / 4 * 3 + (text.len % 4 > 0 ? text.len % 4 - 1 : 0);
    char *at = buf_reserve(out, data_len);
    if (at == NULL)
        return false;

    for (size_t i = 0; i < text.len; i += 4, at += 3) {
        if (!decode_group(text.ptr + i, text.len - i < 4 ? text.len - i : 4, at))
            return false;
    }
    out->len += data_len;
    return true;
}
