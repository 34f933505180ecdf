/* frames.c - the client's half of HTTP/1.1 and WebSocket. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/frames.h"

#include <stdlib.h>
#include <strings.h>

#define HEAD_MAX    16384
#define MESSAGE_MAX ((size_t)64 << 20)

static bool line_is(const char *line, const char *end, const char *prefix)
{
    size_t len = strlen(prefix);

    return (size_t)(end - line) >= len && strncasecmp(line, prefix, len) == 0;
}

ssize_t http_answer_read(struct slice bytes, struct http_answer *answer)
{
    const char *end;
    const char *line = bytes.ptr;

    if (bytes.len < 13)
        return 0;
    if (memcmp(bytes.ptr, "HTTP/1.1 ", 9) != 0)
        return -1;
    end = memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4);
    if (end == NULL)
        return bytes.len > HEAD_MAX ? -1 : 0;
    *answer =
        (struct http_answer){.status = (unsigned)strtoul(bytes.ptr + 9, NULL, 10)};
    while (line < end) {
        const char *stop = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (line_is(line, stop, "content-length:"))
            answer->length = strtoul(line + 15, NULL, 10);
        else if (line_is(line, stop, "transfer-encoding: chunked"))
            answer->is_chunked = true;
        line = stop + 2;
    }
    return end + 4 - bytes.ptr;
}

ssize_t http_chunk_read(struct slice bytes, struct slice *data)
{
    const char *end = bytes.len == 0 ? NULL : memmem(bytes.ptr, bytes.len, "\r\n", 2);
    char *stop = NULL;
    size_t head;
    size_t len;

    if (end == NULL)
        return bytes.len > 32 ? -1 : 0;
    len = strtoul(bytes.ptr, &stop, 16);
    if (stop == bytes.ptr || len > MESSAGE_MAX)
        return -1;
    head = (size_t)(end + 2 - bytes.ptr);
    if (bytes.len < head + len + 2)
        return 0;
    *data = slice_make(bytes.ptr + head, len);
    return (ssize_t)(head + len + 2);
}

ssize_t ws_part_read(struct slice bytes, struct ws_part *part)
{
    const unsigned char *head = (const unsigned char *)bytes.ptr;
    size_t extra;
    size_t len;

    if (bytes.len < 2)
        return 0;
    if ((head[0] & 0x70) != 0 || (head[1] & 0x80) != 0)
        return -1;
    extra = head[1] < 126 ? 0 : head[1] == 126 ? 2 : 8;
    len = extra == 0 ? head[1] : 0;
    if (bytes.len < 2 + extra)
        return 0;
    for (size_t i = 0; i < extra; i++)
        len = len << 8 | head[2 + i];
    if (len > MESSAGE_MAX)
        return -1;
    if (bytes.len < 2 + extra + len)
        return 0;
    part->opcode = head[0] & 0x0fU;
    part->is_last = (head[0] & 0x80) != 0;
    part->payload = slice_make(bytes.ptr + 2 + extra, len);
    return (ssize_t)(2 + extra + len);
}

void ws_part_write(struct buf *out, unsigned opcode, struct slice payload)
{
    /* A constant mask is as valid as a random one; loopback needs no secret. */
    static const unsigned char mask[4] = {0x61, 0xf3, 0x08, 0x9c};

    buf_putc(out, (char)(0x80U | opcode));
    if (payload.len < 126) {
        buf_putc(out, (char)(0x80U | payload.len));
    } else {
        buf_putc(out, (char)(0x80U | 126));
        buf_putc(out, (char)(payload.len >> 8));
        buf_putc(out, (char)(payload.len & 0xff));
    }
    buf_append(out, mask, sizeof(mask));
    for (size_t i = 0; i < payload.len; i++)
        buf_putc(out, (char)((unsigned char)payload.ptr[i] ^ mask[i & 3]));
}
