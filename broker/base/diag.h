/* diag.h - diagnostics: one line per event, a fixed phrase, then key=value. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_DIAG_H
#define THINKWIRE_BASE_DIAG_H

#include "base/slice.h"

#include <stdint.h>

/* Written to stderr: `2026-11-20T23:00:00.123Z info broker ready listen=127.0.0.1:9000`,
 * or one JSON object a line ("time", "level", "message", then the fields). Values are cut
 * at 512 bytes and are quoted and escaped where needed, so a peer cannot
 * forge a line. Never hand a payload, a token or a cookie to it. */
enum diag_level { DIAG_ERROR, DIAG_WARN, DIAG_INFO, DIAG_DEBUG };
enum diag_format { DIAG_TEXT, DIAG_JSON };

void diag_setup(enum diag_level level, enum diag_format format);
bool diag_is_on(enum diag_level level);
/* error, warn, info, debug; false when the name is none of them. */
bool diag_level_parse(const char *name, enum diag_level *level);

/* One field of a line; made with the three helpers below. */
struct diag_field {
    const char *key;
    struct slice text; /* used when `is_number` is false */
    int64_t number;
    bool is_number;
};

#define DIAG_S(k, s)                                                                   \
    (struct diag_field)                                                                \
    {                                                                                  \
        .key = (k), .text = slice_of(s)                                                \
    }
#define DIAG_SLICE(k, s)                                                               \
    (struct diag_field)                                                                \
    {                                                                                  \
        .key = (k), .text = (s)                                                        \
    }
#define DIAG_N(k, n)                                                                   \
    (struct diag_field)                                                                \
    {                                                                                  \
        .key = (k), .number = (int64_t)(n), .is_number = true                          \
    }

void diag_line(enum diag_level level, const char *phrase,
               const struct diag_field *fields, size_t count);

/* diag(DIAG_INFO, "redis link up", DIAG_S("host", host), DIAG_N("port", 6379)); the list
 * may not be empty: use diag_say() for a phrase alone. */
/* Reads as a call, so it is named as one. NOLINTNEXTLINE(readability-identifier-naming) */
#define diag(level, phrase, ...)                                                       \
    diag_line((level), (phrase), (const struct diag_field[]){__VA_ARGS__},             \
              sizeof((const struct diag_field[]){__VA_ARGS__}) /                       \
                  sizeof(struct diag_field))
void diag_say(enum diag_level level, const char *phrase);

/* A gate for lines that a peer can trigger: at most `burst` lines per second pass; what
 * was held back is told in a field suppressed=N of the next line by the caller,
 * who then sets `suppressed` to 0. */
struct diag_gate {
    uint64_t second;
    uint32_t passed;
    uint32_t suppressed;
};
bool diag_gate_pass(struct diag_gate *gate, uint32_t burst, uint64_t now_ms);

#endif
