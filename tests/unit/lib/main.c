/* main.c - the tests of an emitter's core against a fake far end. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

int main(void)
{
    int failures = test_coalescing();
    failures += test_events();
    failures += test_faults();
    return failures;
}
