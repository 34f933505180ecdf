/* main.c - the tests of the worker's pure parts. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

int main(void)
{
    int failures = test_failure();

    failures += test_judge();
    failures += test_judge_property();
    failures += test_memory();
    failures += test_prompt();
    failures += test_providers();
    failures += test_think();
    failures += test_together();
    failures += test_trim();
    failures += test_stream();
    failures += test_stream_ends();
    return failures;
}
