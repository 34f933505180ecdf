/* fuzz.h - what every fuzz target shares. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_FUZZ_H
#define THINKWIRE_TESTS_FUZZ_H

#include "base/buf.h"

#include <stdlib.h>

/* Called by libFuzzer, which chose the name, with one input after the other.
 * NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold for every input; unlike assert() it is never compiled out. */
static inline void must(bool holds)
{
    if (!holds)
        abort();
}

static inline struct slice fuzz_input(const uint8_t *data, size_t size)
{
    const void *bytes = data;
    return slice_make(bytes, size);
}

#endif
