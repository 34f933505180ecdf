/* json_run.h - the hot loop that json.c and json_text.c share. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CODEC_JSON_RUN_H
#define THINKWIRE_CODEC_JSON_RUN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* 1 for ASCII that stands in a JSON string as it is. */
extern const unsigned char json_plain[256];

/* How many of the first bytes are such ASCII: eight at a time, then by table. In the word
 * test a byte's high bit comes out set when that byte is below 0x20, a quote, a backslash
 * or above 0x7f; borrows can only set too many bits behind a byte that is special itself,
 * and the table decides where the run ends anyway. */
static inline size_t json_plain_run(const char *data, size_t len)
{
    const uint64_t ones = 0x0101010101010101u;
    size_t at = 0;

    for (; len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, data + at, sizeof(word));
        uint64_t quote = word ^ ones * '"';
        uint64_t backslash = word ^ ones * '\\';
        uint64_t special =
            (word - ones * 0x20) | (quote - ones) | (backslash - ones) | word;
        if ((special & ones * 0x80) != 0)
            break;
    }
    while (at < len && json_plain[(unsigned char)data[at]] != 0)
        at++;
    return at;
}

#endif
