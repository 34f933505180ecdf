/* main.c - the tests of the log room. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

int main(void)
{
    int failures = test_window();

    failures += test_bounds();
    failures += test_run();
    failures += test_restore();
    failures += test_history();
    failures += test_visit();
    failures += test_burst();
    failures += test_sweep();
    return failures;
}
