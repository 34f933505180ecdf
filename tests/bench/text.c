/* text.c - a growing run of bytes, for the measuring programs. */
/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *text_reserve(struct text *text, size_t more)
{
    size_t need = text->length + more;
    if (need > TEXT_MAX)
        die("more than %zu bytes wait in one buffer", TEXT_MAX);
    if (need > text->room) {
        size_t room = text->room ? text->room : 1024;
        while (room < need)
            room *= 2;
        text->bytes = realloc(text->bytes, room);
        if (!text->bytes)
            abort();
        text->room = room;
    }
    return text->bytes + text->length;
}

void text_add(struct text *text, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    memcpy(text_reserve(text, length), bytes, length);
    text->length += length;
}

void text_printf(struct text *text, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof(line))
        die("a line is longer than %zu bytes", sizeof(line));
    text_add(text, line, (size_t)length);
}

void text_consume(struct text *text, size_t length)
{
    if (length == 0)
        return;
    if (length < text->length)
        memmove(text->bytes, text->bytes + length, text->length - length);
    text->length -= length;
}

void text_release(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}
