/* main.c - the tests of the session room. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

int main(void)
{
    int failures = test_join();

    return failures;
}
