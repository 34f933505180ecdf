/* main_runs.c - the tests of runs, from opening to their one end, against a real redis-server. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

int main(void)
{
    int failures = test_endings();
    failures += test_same();
    failures += test_races();
    failures += test_lift();
    return failures;
}
