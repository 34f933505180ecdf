/* main.c - the tests of the api room and of the memory bus under it. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

int main(void)
{
    int failures = test_publish();

    failures += test_resources();
    failures += test_memory();
    failures += test_away();
    failures += test_writes();
    failures += test_submit();
    failures += test_work();
    failures += test_telemetry();
    return failures;
}
