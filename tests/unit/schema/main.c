/* main.c - the tests of the schema room. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

int main(void)
{
    int failures = test_event();
    failures += test_run();
    return failures;
}
