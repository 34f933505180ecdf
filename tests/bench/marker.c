/* marker.c - what is inside a measured event, and its canonical 120 bytes. */
/* SPDX-License-Identifier: MIT */
#include "marker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void task_name(unsigned task, char out[TASK_NAME_LENGTH + 1])
{
    snprintf(out, TASK_NAME_LENGTH + 1, "b%04x", task & 0xffffu);
}

void marker_message(struct text *out, const struct marker *marker)
{
    char name[TASK_NAME_LENGTH + 1];
    task_name(marker->task, name);
    text_printf(out,
                "{\"task_id\":\"%s\",\"type\":\"text\",\"partial\":true,\"text\":\""
                "~%04x.%06x.%016" PRIx64 "~ and then some\"}",
                name, marker->task & 0xffffu, marker->seq & 0xffffffu, marker->sent_ns);
}

void marker_frame(struct text *out, const struct marker *marker)
{
    text_printf(out, "42[\"ai_progress\",");
    marker_message(out, marker);
    text_add(out, "]", 1);
}

/* Exactly `digits` lower-case hexadecimal digits, then `after`. */
static bool take_hex(const char **from, unsigned digits, char after, uint64_t *value)
{
    const char *at = *from;
    *value = 0;
    for (unsigned i = 0; i < digits; i++, at++) {
        if (*at >= '0' && *at <= '9')
            *value = *value << 4 | (uint64_t)(*at - '0');
        else if (*at >= 'a' && *at <= 'f')
            *value = *value << 4 | (uint64_t)(*at - 'a' + 10);
        else
            return false;
    }
    if (*at != after)
        return false;
    *from = at + 1;
    return true;
}

bool marker_next(const char **from, const char *end, struct marker *marker)
{
    while (*from < end) {
        const char *at = memchr(*from, '~', (size_t)(end - *from));
        if (!at || end - at < MARKER_LENGTH)
            break;
        uint64_t task = 0;
        uint64_t seq = 0;
        uint64_t sent_ns = 0;
        *from = at + 1;
        const char *body = at + 1;
        if (!take_hex(&body, 4, '.', &task) || !take_hex(&body, 6, '.', &seq) ||
            !take_hex(&body, 16, '~', &sent_ns))
            continue;
        *from = body;
        *marker = (struct marker){(unsigned)task, (unsigned)seq, sent_ns};
        return true;
    }
    *from = end;
    return false;
}

void word_message(struct text *out, unsigned index, unsigned count)
{
    text_printf(out, "{\"type\":\"%s\",\"partial\":true,\"text\":\"w%05u \"}",
                index < count / 2 ? "reasoning" : "text", index % 100000u);
}

bool word_next(const char **from, const char *end, unsigned *index)
{
    for (const char *at = *from; end - at >= WORD_LENGTH; at++) {
        if (at[0] != 'w' || at[6] != ' ')
            continue;
        unsigned value = 0;
        unsigned digits = 0;
        while (digits < 5 && at[1 + digits] >= '0' && at[1 + digits] <= '9')
            value = value * 10 + (unsigned)(at[1 + digits++] - '0');
        if (digits < 5)
            continue;
        *index = value;
        *from = at + WORD_LENGTH;
        return true;
    }
    *from = end;
    return false;
}
