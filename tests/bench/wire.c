/* wire.c - the client's half of WebSocket, HTTP heads and chunked bodies. */
/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

ssize_t ws_decode(const char *bytes, size_t length, struct ws_frame *frame)
{
    if (length < 2)
        return 0;
    unsigned char first = (unsigned char)bytes[0];
    unsigned char second = (unsigned char)bytes[1];
    if ((first & 0x70) != 0 || (second & 0x80) != 0)
        return -1;
    size_t head = 2;
    uint64_t size = second;
    if (second >= 126) {
        size_t extra = second == 126 ? 2 : 8;
        if (length < head + extra)
            return 0;
        size = 0;
        for (size_t i = 0; i < extra; i++)
            size = size << 8 | (unsigned char)bytes[head + i];
        head += extra;
    }
    if (size > TEXT_MAX)
        return -1;
    if (length < head + size)
        return 0;
    *frame = (struct ws_frame){.opcode = (enum ws_opcode)(first & 0x0f),
                               .is_final = (first & 0x80) != 0,
                               .payload = bytes + head,
                               .length = (size_t)size};
    return (ssize_t)(head + (size_t)size);
}

static void ws_encode_head(struct text *out, enum ws_opcode opcode, size_t length,
                           unsigned char mask_bit)
{
    unsigned char head[4] = {(unsigned char)(0x80 | opcode), 0, 0, 0};
    if (length < 126) {
        head[1] = (unsigned char)(mask_bit | length);
        text_add(out, head, 2);
        return;
    }
    if (length > 65535)
        die("a frame of %zu bytes is more than the benchmark sends", length);
    head[1] = mask_bit | 126;
    head[2] = (unsigned char)(length >> 8);
    head[3] = (unsigned char)(length & 255);
    text_add(out, head, 4);
}

void ws_encode_masked(struct text *out, enum ws_opcode opcode, const void *payload,
                      size_t length)
{
    /* A constant mask is as valid on the wire as a random one; loopback needs no secret. */
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    ws_encode_head(out, opcode, length, 0x80);
    text_add(out, mask, 4);
    unsigned char *to = (unsigned char *)text_reserve(out, length);
    const unsigned char *from = payload;
    for (size_t i = 0; i < length; i++)
        to[i] = from[i] ^ mask[i & 3];
    out->length += length;
}

void ws_encode(struct text *out, const void *payload, size_t length)
{
    ws_encode_head(out, WS_TEXT, length, 0);
    text_add(out, payload, length);
}

ssize_t http_head(const char *bytes, size_t length, int *status, ssize_t *body_length)
{
    if (length >= 5 && memcmp(bytes, "HTTP/", 5) != 0)
        return -1;
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end)
        return length > 65536 ? -1 : 0;
    const char *space = memchr(bytes, ' ', (size_t)(end - bytes));
    if (!space)
        return -1;
    *status = (int)strtol(space + 1, NULL, 10);
    *body_length = -1;
    for (const char *line = bytes; line < end;) {
        const char *stop = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (strncasecmp(line, "content-length:", 15) == 0)
            *body_length = strtol(line + 15, NULL, 10);
        line = stop ? stop + 2 : end;
    }
    return end + 4 - bytes;
}

ssize_t chunked_decode(const char *bytes, size_t length, size_t *left,
                       struct text *body)
{
    size_t used = 0;
    while (used < length) {
        if (*left > 2) { /* data, then its CRLF which is never handed on */
            size_t data = *left - 2;
            if (data > length - used)
                data = length - used;
            text_add(body, bytes + used, data);
            used += data;
            *left -= data;
            continue;
        }
        if (*left > 0) {
            used++;
            (*left)--;
            continue;
        }
        const char *end = memmem(bytes + used, length - used, "\r\n", 2);
        if (!end)
            return length - used > 32 ? -1 : (ssize_t)used;
        char *stop = NULL;
        unsigned long size = strtoul(bytes + used, &stop, 16);
        if (stop == bytes + used || size > TEXT_MAX)
            return -1;
        used = (size_t)(end + 2 - bytes);
        *left = size + 2;
    }
    return (ssize_t)used;
}
