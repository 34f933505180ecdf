/* text.h - a growing run of bytes, for the measuring programs. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Deliberately not base/buf.h: what measures the house does not stand on it. */
struct text {
    char *bytes;
    size_t length;
    size_t room;
};

/* Past this a peer sent something no row of the benchmark asks for; the program ends. */
#define TEXT_MAX ((size_t)64 << 20)

/* At least `more` writable bytes behind the content; answers where they are. */
char *text_reserve(struct text *text, size_t more);
void text_add(struct text *text, const void *bytes, size_t length);
void text_printf(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Drops the first `length` bytes. */
void text_consume(struct text *text, size_t length);
void text_release(struct text *text);

/* Prints `program: message` and exits 2: a benchmark that cannot run has no result. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
