/* utf8.h - validity, code points and repair of UTF-8 (RFC 3629). */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_UTF8_H
#define THINKWIRE_BASE_UTF8_H

#include "base/buf.h"

#include <stdint.h>

#define UTF8_INVALID UINT32_MAX

/* The first code point of `data` (`len` > 0): how many bytes it takes. What is no UTF-8
 * sets UTF8_INVALID and answers the length of its maximal invalid part (1..3). */
size_t utf8_next(const char *data, size_t len, uint32_t *code_point);

/* No surrogates, no overlong forms, nothing above U+10FFFF. */
bool utf8_is_valid(const char *data, size_t len);
/* Unicode code points in valid UTF-8. */
size_t utf8_length(const char *data, size_t len);
/* UTF-16 code units of valid UTF-8 (code points above U+FFFF count twice). */
size_t utf8_utf16_length(const char *data, size_t len);
/* Appends `data` with each maximal invalid part replaced by U+FFFD, as WHATWG decoders do. */
bool utf8_repair(struct buf *out, const char *data, size_t len);
/* Appends one code point; surrogates become U+FFFD. */
bool utf8_put(struct buf *out, uint32_t code_point);

#endif
