/* sha256.h - a hash that cannot be turned back (FIPS 180-4). */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_SHA256_H
#define THINKWIRE_BASE_SHA256_H

#include <stddef.h>

#define SHA256_BYTES 32

/* `data` may be NULL when `len` is 0. For names made of secrets, not for passwords. */
void sha256(unsigned char digest[SHA256_BYTES], const void *data, size_t len);

#endif
